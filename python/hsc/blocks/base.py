"""What all blocks share: message ports that cannot kill a block, bounded queues, counters, and an orderly
end.

How a flowgraph ends by itself: the source of images sends an `End` PDU after the last one. Each block passes
it on behind its last output and finishes; the OFDM Transmitter ends the sample stream. The OFDM Receiver,
whose stream has then run dry, sends the `End` of the receive side. GNU Radio's own `done` message is ignored:
it comes from the first neighbour that finishes, whatever the others still have to say, and may overtake
messages that wait in a queue.

How it runs again: after `stop` and `start`, or `lock` and `unlock`, which is the same to a block, PDUs of the
former run still wait in queues. They are handled, but an `End` among them is not: it says that a block had
ended which runs again now.
"""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from abc import abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pmt
from gnuradio import gr

from ..errors import HscError
from . import pdu
from .pdu_base import parse

# PDUs that may wait on a port.
DEFAULT_QUEUE = 64
# Errors that are logged one by one; then one in so many.
_LOGGED = 20
_SYSTEM = pmt.intern("system")
_FINISH = pmt.intern("finish")
# What GNU Radio's scheduler sends to a block that shall end.
_DONE = pmt.cons(pmt.intern("done"), pmt.from_long(1))

Handler = Callable[[Any], None]


@lru_cache(maxsize=1)
def limit_torch_threads() -> None:
    """Leave one core to the sample-rate threads: inference with all cores starves them, and gains little
    itself.
    """
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))


class Ports:
    """Mixin for message ports. A subclass calls `open_ports` once, after its GNU Radio base class is made.

    Attributes:
        counters: what happened, by name: `received`, `dropped`, `errors`, of these `crashes` (mistakes in the
            code, logged with their traceback), and what a block adds.
    """

    counters: Counter[str]

    def open_ports(
        self,
        inputs: dict[str, dict[type[pdu.Pdu], Handler]],
        outputs: tuple[str, ...],
        ends: tuple[str, ...] | None = None,
        queue: int | None = DEFAULT_QUEUE,
    ) -> None:
        """Register message ports.

        Args:
            inputs: port → handler for each kind of PDU that it takes. A handler may raise: the block reports
                it and goes on.
            outputs: ports, to which `End` and `Failed` are passed on. The port `status` comes in addition: it
                tells of every failure.
            ends: input ports on which `End` must have come before the block ends; all of them when None.
            queue: a PDU is dropped, and counted, when more than `queue` younger ones wait on the same port;
                None for no limit.
        """
        self.counters = Counter()
        self._outputs, self._ended = outputs, set()
        self._began, self._stopped = -math.inf, -math.inf  # this run, and the former one [s, time.monotonic]
        self._queue = math.inf if queue is None else max(1, int(queue))
        self._ends = set(inputs if ends is None else ends)
        for port in (*outputs, "status"):
            self.message_port_register_out(pmt.intern(port))
        for port, handlers in inputs.items():
            self.message_port_register_in(pmt.intern(port))
            self._listen(port, partial(self._guard, port, handlers))
        self._listen("system", self._finish)

    def start(self) -> bool:
        """Called by the scheduler; a flowgraph may run more than once. Blocks that override this or `stop`
        call it too.
        """
        self._ended.clear()
        self._began = time.monotonic()
        return True

    def stop(self) -> bool:
        """Called by the scheduler, when the block has ended and when the flowgraph is stopped."""
        self._stopped = time.monotonic()
        return True

    def end(self) -> pdu.End:
        """The `End` of this run."""
        return pdu.End(self._began)

    def publish(self, port: str, message: pdu.Pdu) -> None:
        """Send a PDU."""
        self.message_port_pub(pmt.intern(port), message.to_pdu())

    def connected(self, port: str) -> bool:
        """True when somebody listens to an output port."""
        return pmt.is_pair(self.message_subscribers(pmt.intern(port)))

    def on_failed(self, failed: pdu.Failed) -> None:
        """A message failed before it came here: pass it on. Blocks that join parts override this."""
        self._pass_on(failed)

    def on_end(self) -> None:
        """All inputs have ended: hand out what is left. The End PDU follows."""

    def fail(self, message_id: int | None, reason: str) -> None:
        """Count a failure, log one line, tell `status`, and pass it on in place of the message when it is
        known which.
        """
        self.counters["errors"] += 1
        if self.counters["errors"] <= _LOGGED or self.counters["errors"] % _LOGGED == 0:
            self.logger.error(f"{reason} (error {self.counters['errors']})")
        failed = pdu.Failed(self.name(), reason, message_id)
        self.publish("status", failed)
        if message_id is not None:
            self._pass_on(failed)

    def fail_in_part(self, message_id: int, notices: Iterable[str]) -> None:
        """Count and report, by `fail`, each thing that a message lacks which goes on without it."""
        for notice in notices:
            self.fail(None, f"message {message_id}: {notice}")

    @contextmanager
    def contain(self, message_id: int | None) -> Iterator[None]:
        """Turn any exception into a failure of this message: one that left a handler would end the block's
        thread without a word.
        """
        try:
            yield
        except HscError as error:
            self.fail(message_id, str(error))
        except Exception as error:
            self.counters["crashes"] += 1
            self.logger.error(traceback.format_exc())
            self.fail(message_id, f"{type(error).__name__}: {error}")

    def finish(self) -> None:
        """Leave the flowgraph; a stream block does so in `work` instead."""

    def _listen(self, port: str, handler: Callable[[Any], None]) -> None:
        # The gateway finds a handler again by its name, as an attribute of the block.
        def handle(message: Any) -> None:
            handler(message)

        handle.__name__ = f"_on_{port}"
        setattr(self, handle.__name__, handle)
        self.set_msg_handler(pmt.intern(port), handle)

    def ignore(self, message: pdu.Pdu) -> None:
        """Handler of what has no meaning on a port."""

    def _pass_on(self, message: pdu.Pdu) -> None:
        for port in self._outputs:
            self.publish(port, message)

    def _guard(self, port: str, handlers: dict[type[pdu.Pdu], Handler], message: Any) -> None:
        with self.contain(None):
            received = parse(message)
            with self.contain(received.message_id):
                self._dispatch(port, handlers, received)

    def _finish(self, message: Any) -> None:
        if pmt.equal(message, self._finish_message()):
            self.gateway.system_handler(_DONE)

    def _finish_message(self) -> Any:
        """What asks this block to leave the flowgraph in this run, and not in the next one."""
        return pmt.cons(_FINISH, pmt.from_double(self._began))

    def _dispatch(self, port: str, handlers: dict[type[pdu.Pdu], Handler], received: pdu.Pdu) -> None:
        if isinstance(received, pdu.End) and received.began is not None and received.began < self._stopped:
            return  # of the former run: all blocks have stopped before one starts again
        handler = handlers.get(type(received))
        if handler is None and isinstance(received, pdu.End):
            self._end(port)
        elif handler is None and isinstance(received, pdu.Failed):
            self.on_failed(received)
        elif handler is None:
            kinds = " or ".join(kind.kind for kind in handlers)
            raise HscError(
                f"port '{port}' takes {kinds} PDUs and got one of kind {received.kind}: connect another port"
            )
        elif self.nmsgs(pmt.intern(port)) > self._queue and not isinstance(received, pdu.End):
            self.counters["dropped"] += 1
            raise HscError(f"port '{port}' has more than {self._queue} PDUs waiting: send them more slowly")
        else:
            self.counters["received"] += 1
            handler(received)

    def _end(self, port: str) -> None:
        self._ended.add(port)
        if port in self._ends and self._ended >= self._ends:
            try:
                self.on_end()
            finally:
                self._pass_on(self.end())
                self.finish()


class MessageBlock(Ports, gr.basic_block):
    """A block with message ports only. Its handlers run in a thread of its own, so inference belongs here."""

    def __init__(self, name: str) -> None:
        gr.basic_block.__init__(self, name=name, in_sig=None, out_sig=None)

    def finish(self) -> None:
        """Leave the flowgraph. May be called from any thread."""
        # By a message: the scheduler forgets a `done` that comes between `start` and its first round.
        self._post(_SYSTEM, self._finish_message())


def new_samples(block: Any, items: np.ndarray) -> np.ndarray:
    """What a call of `work` brings behind the history, of the first stream input.

    The history is zeros when a flowgraph starts; after lock and unlock GNU Radio takes the stream's first
    samples for it.
    """
    history = block.history() - 1
    return items if block.nitems_read(0) == 0 and items[:history].any() else items[history:]


class Companion:
    """A thread of a block's own, from the block's `start` to its `stop`, again and again.

    Args:
        name: of the thread.
        run: called with the event that asks it to end.
    """

    def __init__(self, name: str, run: Callable[[threading.Event], None]) -> None:
        self._name, self._run = name, run
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._asked,), name=self._name, daemon=True)
        self._thread.start()

    def stop(self, patience: float = 1.0) -> bool:
        """Ask it to end and wait for at most `patience` seconds; False when it was not running."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._asked.set()
            thread.join(patience)
        return thread is not None


class Joiner:
    """Collects the parts of messages, in any order, and gives each message back once.

    A part comes once of each message. One that a message of its id has, or had when it left, is therefore of
    a new message: a transmitter that was restarted counts its ids from where it likes.

    Attributes:
        late: parts that came when their message had left without them.
        max_open: when more messages than this are open, the oldest leaves with what came of it. As many
            parts of one kind wait on a port before the first of another kind is looked at.
    """

    def __init__(self, max_open: int = DEFAULT_QUEUE) -> None:
        self.max_open = max_open
        self.late = 0
        self._open: OrderedDict[int, dict[Any, Any]] = OrderedDict()
        # parts of messages that have left
        self._left: OrderedDict[int, set[Any]] = OrderedDict()
        self._replaced: list[tuple[int, dict[Any, Any]]] = []

    def put(self, message_id: int, part: Any, value: Any) -> dict[Any, Any]:
        """Add a part; returns all parts of that message so far, none when it has left without this one."""
        if message_id in self._left and part not in self._left[message_id]:
            self._left[message_id].add(part)
            self.late += 1
            return {}
        self._left.pop(message_id, None)
        if part in self._open.get(message_id, {}):
            self._replaced.append((message_id, self._open.pop(message_id)))
        parts = self._open.setdefault(message_id, {})
        parts[part] = value
        return parts

    def take(self, message_id: int) -> bool:
        """Let a message leave; False when it had left before."""
        if message_id in self._left:
            return False
        self._leave(message_id, self._open.pop(message_id, {}))
        return True

    def forget(self) -> None:
        """Messages that left before may come again: the flowgraph runs again."""
        self._left.clear()

    def overflow(self) -> list[tuple[int, dict[Any, Any]]]:
        """Messages that have to leave because too many are open, or another of their id has begun, oldest
        first.
        """
        return self._oldest(len(self._open) - self.max_open)

    def flush(self) -> list[tuple[int, dict[Any, Any]]]:
        """All messages still open, oldest first."""
        return self._oldest(len(self._open))

    def _oldest(self, count: int) -> list[tuple[int, dict[Any, Any]]]:
        replaced, self._replaced = self._replaced, []
        oldest = [self._open.popitem(last=False) for _ in range(max(0, count))]
        for message_id, parts in oldest:
            self._leave(message_id, parts)
        return replaced + oldest

    def _leave(self, message_id: int, parts: dict[Any, Any]) -> None:
        self._left[message_id] = set(parts)
        while len(self._left) > 4 * self.max_open:
            self._left.popitem(last=False)


class PartsBlock(MessageBlock):
    """Base of the blocks that join the parts of a message by its id, and go on without a part that failed or
    never came.

    Args:
        name: of the block.
        inputs: port → kind of PDU that is a part, or several kinds.
        outputs: as of `open_ports`.
    """

    def __init__(
        self,
        name: str,
        inputs: dict[str, type[pdu.Pdu] | tuple[type[pdu.Pdu], ...]],
        outputs: tuple[str, ...],
    ) -> None:
        super().__init__(name)
        self._joiner, self._part_ports = Joiner(), tuple(inputs)
        handlers = {}
        for port, kinds in inputs.items():
            several = kinds if isinstance(kinds, tuple) else (kinds,)
            handlers[port] = dict.fromkeys((*several, pdu.Failed), partial(self._put, port))
        self.open_ports(handlers, outputs)

    def start(self) -> bool:
        self._joiner.forget()
        return super().start()

    @abstractmethod
    def on_parts(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        """Take the parts of a message, at least one; those that failed or never came are missing."""

    def key(self, port: str, part: pdu.Pdu) -> Any:
        """What a part is called among those of its message."""
        return port

    def complete(self, parts: dict[Any, pdu.Pdu]) -> bool:
        """True when nothing more will come. Parts that failed are `Failed`."""
        return len(parts) == len(self._part_ports)

    def on_end(self) -> None:
        for message_id, parts in self._joiner.flush():
            self._serve(message_id, parts)

    def _put(self, port: str, part: pdu.Pdu) -> None:
        key = port if isinstance(part, pdu.Failed) else self.key(port, part)
        parts = self._joiner.put(part.message_id, key, part)
        self.counters["late"] = self._joiner.late
        if parts and self.complete(parts) and self._joiner.take(part.message_id):
            self._serve(part.message_id, parts)
        for message_id, some in self._joiner.overflow():
            self.fail(None, f"message {message_id} goes on without a part that never came")
            self._serve(message_id, some)

    def _serve(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        good = {key: part for key, part in parts.items() if not isinstance(part, pdu.Failed)}
        with self.contain(message_id):
            if good:
                self.on_parts(message_id, good)
            else:
                self.on_failed(next(iter(parts.values())))


def require_codec(name: str, wanted: str) -> None:
    """Raises HscError when a message of codec `name` came to a block that serves `wanted`."""
    if name != wanted:
        raise HscError(
            f"a message of codec '{name}' came to a block for '{wanted}': "
            "use the Message Decoder or the Image Receiver"
        )
