"""Samples from another process (ZeroMQ) or from the sink of this one (`sim`): a source that goes on when the
other end falls silent.

gr-zeromq's own source stops the stream until the other end is back, and with it the receiver's sample clock;
a radio does not.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

import numpy as np
from gnuradio import gr

from ...errors import HscError
from ...radio.addresses import ZMQ_QUEUE, ZMQ_SAMPLES

# Longest wait for samples within a call of `work` [s].
_POLL = 0.02
# Largest ZeroMQ message that is taken [bytes].
_MAX_MESSAGE = 1 << 24
# Between two attempts to connect [ms].
_RECONNECT = 50
# Samples that one call of `work` moves at most. A call costs 0.15 ms, and a flowgraph's own limit may be one
# sample.
_LARGEST = 1 << 16


class Feed(Protocol):
    """Where samples come from."""

    def open(self) -> None:
        """Called from the thread that calls `get`, or before it runs."""

    def close(self) -> None:
        """Nothing is asked for any more."""

    def get(self, timeout: float) -> np.ndarray | None:
        """Next piece, complex64 (n,); None when none came within `timeout` [s]."""


class ZmqFeed:
    """A SUB socket. Attributes: bad: messages that were no whole number of samples."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint, self._socket = endpoint, None
        self.bad = 0

    def open(self) -> None:
        """Connect; the other end need not be there. Raises HscError for an address that is impossible."""
        import zmq

        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        for option, value in (
            (zmq.RCVHWM, ZMQ_QUEUE),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, _MAX_MESSAGE),
            (zmq.RECONNECT_IVL, _RECONNECT),
            (zmq.IPV6, "[" in self._endpoint),
            (zmq.SUBSCRIBE, b""),
        ):
            self._socket.setsockopt(option, value)
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise HscError(
                f"radio zmq:{self._endpoint}: {error}; give the transmitter's machine and port"
            ) from error

    def close(self) -> None:
        """Leave."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._context.destroy(linger=0)
            self._socket = None

    def get(self, timeout: float) -> np.ndarray | None:
        """Next message."""
        import zmq

        if self._socket is None or not self._socket.poll(timeout * 1000):
            return None
        message = self._socket.recv(zmq.NOBLOCK)
        if len(message) % 8:
            self.bad += 1
            return None
        return np.frombuffer(message, np.complex64)


class Pipe:
    """Between sink and source of one process. What is not taken is dropped, oldest first."""

    def __init__(self) -> None:
        self._pieces: deque[np.ndarray] = deque()
        self._size, self._listening = 0, False
        self._changed = threading.Condition()

    def open(self) -> None:
        """From now on pieces are kept."""
        with self._changed:
            self._pieces.clear()
            self._size, self._listening = 0, True

    def close(self) -> None:
        """Nobody listens."""
        with self._changed:
            self._pieces.clear()
            self._size, self._listening = 0, False

    def put(self, samples: np.ndarray) -> None:
        """Add a piece, complex64 (n,)."""
        with self._changed:
            if not self._listening:
                return
            self._pieces.append(samples.copy())
            self._size += samples.size
            while self._size > ZMQ_QUEUE * ZMQ_SAMPLES:
                self._size -= self._pieces.popleft().size
            self._changed.notify()

    def get(self, timeout: float) -> np.ndarray | None:
        """Next piece."""
        with self._changed:
            if not self._pieces and timeout:
                self._changed.wait(timeout)
            if not self._pieces:
                return None
            piece = self._pieces.popleft()
            self._size -= piece.size
            return piece


class pipe_sink(gr.sync_block):  # noqa: N801
    """Stream in: what goes into a `Pipe`."""

    def __init__(self, pipe: Pipe) -> None:
        gr.sync_block.__init__(self, name="Pipe", in_sig=[np.complex64], out_sig=None)
        self.set_max_noutput_items(_LARGEST)
        self._pipe = pipe

    def work(self, input_items: list[np.ndarray], _: list[np.ndarray]) -> int:
        self._pipe.put(input_items[0])
        return len(input_items[0])


class listener(gr.sync_block):  # noqa: N801
    """Stream out: what a feed gives; after `patience` of silence zeros, as many as the sample rate asks for
    since the last sample.

    Args:
        feed: where samples come from.
        sample_rate: of the zeros [samples/s].
        patience: silence that is no more than jitter of the other end [s].

    Attributes:
        hears: the other end is there.
    """

    def __init__(self, feed: Feed, sample_rate: float, patience: float = 0.25) -> None:
        gr.sync_block.__init__(self, name="Listener", in_sig=None, out_sig=[np.complex64])
        self._feed = feed
        self._rate, self._patience = sample_rate, patience
        self._rest = np.zeros(0, np.complex64)
        self.hears = False
        self.set_max_noutput_items(_LARGEST)
        # ms that the scheduler sleeps when `work` gave nothing; 250 unless told
        self.set_blkd_input_timer_value(1)

    def start(self) -> bool:
        self._feed.open()
        self._rest = self._rest[:0]
        self._heard, self._zeros = time.monotonic(), 0
        return True

    def stop(self) -> bool:
        self._feed.close()
        return True

    def work(self, _: list[np.ndarray], output_items: list[np.ndarray]) -> int:
        out, filled = output_items[0], 0
        patience = 0 if self._due() >= len(out) else _POLL
        while filled < len(out):
            if not self._rest.size:
                piece = self._feed.get(0 if filled else patience)
                if piece is None:
                    break
                self._rest = piece
            count = min(len(out) - filled, self._rest.size)
            out[filled : filled + count] = self._rest[:count]
            self._rest, filled = self._rest[count:], filled + count
        if filled:
            self._heard, self._zeros = time.monotonic(), 0
            self.hears = True
            return filled
        count = min(len(out), self._due())
        out[:count] = 0
        self._zeros += count
        self.hears = self.hears and not count
        return count

    def _due(self) -> int:
        """Zeros that the sample clock asks for now."""
        silent = time.monotonic() - self._heard
        return 0 if silent < self._patience else int(silent * self._rate) - self._zeros
