"""Images of messages that are still incomplete, made beside the Message Decoder, which never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..errors import HscError
from ..phy.header import Header
from ..phy.packets import ReceivedPacket

# Symbols of a message of which partial images are made: what a header claims beyond is not decoded before it
# has come.
LARGEST_MESSAGE = 1 << 20
# Patience with an image in the making at the end [s].
_STOP_SECONDS = 1.0
# What is left of the seconds that an image took each time one is not begun for that: the machine may have
# been busy just then. Chosen by trial.
_FORGET = 0.98


def in_time(received: int, count: int, elapsed: float, seconds: float) -> bool:
    """Whether what takes `seconds` is ready before the rest of a message is there, at the pace of the packets
    so far.

    Args:
        received, count: packets that came, and all of the message.
        elapsed: seconds since the first of them.
        seconds: as said.
    """
    return received > 1 and (count - received) * elapsed / (received - 1) >= seconds


class ProgressiveDecoder:
    """Runs `decode` in a thread of its own on the newest state of the newest message; what it cannot keep up
    with is skipped.

    Nothing waits for it: `offer` and `close` return at once, except for the time that publishing an image
    takes. An image that would not be ready before the message is complete is not begun: it would take time of
    the final one.

    Args:
        decode: packets of one message, incomplete → what `publish` takes. May raise.
        publish: called with that, unless the message has been closed in the meantime.
        failed: called with any other exception than HscError, which only says that nothing can be seen yet.
    """

    def __init__(
        self,
        decode: Callable[[list[ReceivedPacket]], object],
        publish: Callable[[object], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._decode, self._publish = decode, publish
        self._failed = failed
        self._changed = threading.Condition()
        self._waiting: list[ReceivedPacket] = []
        self._wanted: Header | None = None
        self._begun: tuple[Header, float] | None = None
        self._seconds_per_pixel: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; it may be started again after `stop`."""
        self._thread = threading.Thread(target=self._run, name="progressive_decoder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting at most a second for an image in the making."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._waiting, self._wanted = [], None
            self._changed.notify_all()
        if thread is not None:
            thread.join(_STOP_SECONDS)

    def offer(self, packets: list[ReceivedPacket]) -> bool:
        """The packets of a message so far, at least one; takes the place of what still waits. False when
        nothing will come of it.
        """
        header, now = packets[0].header, time.monotonic()
        if self._begun is None or self._begun[0] != header.layout:
            self._begun = header.layout, now
        if header.message_symbols > LARGEST_MESSAGE:
            return False
        if not in_time(len(packets), header.count, now - self._begun[1], self._expected(header)):
            self._seconds_per_pixel[header.codec] = self._seconds_per_pixel.get(header.codec, 0.0) * _FORGET
            return False
        with self._changed:
            self._waiting, self._wanted = packets, header.layout
            self._changed.notify()
        return True

    def close(self, header: Header) -> None:
        """A message has left the Message Decoder: no image of an earlier state may follow."""
        with self._changed:
            if self._wanted == header.layout:
                self._waiting, self._wanted = [], None

    def _expected(self, header: Header) -> float:
        """Seconds that an image takes, as the last one of that codec did; 0 when there was none."""
        return self._seconds_per_pixel.get(header.codec, 0.0) * header.shape[0] * header.shape[1]

    def _measure(self, header: Header, seconds: float) -> None:
        # The first time says nothing: the codec's networks had to be loaded.
        per_pixel = seconds / (header.shape[0] * header.shape[1])
        self._seconds_per_pixel[header.codec] = per_pixel if header.codec in self._seconds_per_pixel else 0.0

    def _run(self) -> None:
        while packets := self._next():
            header, begun = packets[0].header, time.monotonic()
            try:
                image = self._decode(packets)
            except HscError:
                image = None
            except Exception as error:
                self._failed(error)
                image = None
            self._measure(header, time.monotonic() - begun)
            with self._changed:
                if image is not None and self._wanted == header.layout and not self._stopped():
                    self._publish(image)

    def _next(self) -> list[ReceivedPacket]:
        """The newest packets once there are some; none when the thread has to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped())
            if self._stopped():
                return []
            packets, self._waiting = self._waiting, []
            return packets

    def _stopped(self) -> bool:
        return self._thread is not threading.current_thread()
