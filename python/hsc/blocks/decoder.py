"""Message Decoder: packets to images through the codec that each message names."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pmt

from .. import modem
from ..codecs import registry
from ..codecs.contract import Codec, Decoded
from ..errors import HscError
from ..message import MOST_PIXELS, ReceivedMessage
from ..phy.assembly import AssembledMessage, join
from ..phy.header import Header
from ..phy.packets import ReceivedPacket
from ..refiner.options import BEFORE
from . import pdu
from .base import limit_torch_threads
from .collector import DEFAULT_HOLD, PacketCollector
from .progressive import ProgressiveDecoder

_PARTIAL = pmt.intern("partial")
_PACKETS = pmt.intern("packets")


class message_decoder(PacketCollector):
    """Packets to images through the codec that each message names.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`); out `images`, `base`, the image that the
    codec's base alone gives (made only when somebody listens, of a codec that has one), `partial`, images of
    messages that are still incomplete, and `snr` (`Snr`), for the transmitter. Partial images are made in a
    thread of their own and change nothing of the final one, which they never follow; the first one of a
    message shows the codec's base alone, as far as it came: the SR of HSC, the digital base of hybrids, the
    base layer of DS²C². Where the codec refines its images, the last partial one, which always comes, is the
    image before that. The refiner runs in the thread of the decoder; one that fails is a failure, and the
    image comes without it.

    Args:
        options: codec name → options of its receiver.
        hold: patience with a message of which packets are missing [samples].
        partial: least distance of partial images on the sample clock [samples]; those that there is no time
            for are skipped. 0: none.
        max_pixels: packets of messages that claim a larger image are refused: what is kept and decoded has to
            fit into memory.
    """

    def __init__(
        self,
        options: dict[str, dict[str, object]] | None = None,
        hold: int = DEFAULT_HOLD,
        partial: int = 0,
        max_pixels: int = MOST_PIXELS,
    ) -> None:
        super().__init__("Message Decoder", ("images", "base"), hold)
        # not among `outputs`: what fails or ends is told with the final images
        self.message_port_register_out(_PARTIAL)
        self._options, self._codecs = options or {}, {}
        self._max_pixels = max_pixels
        self._partial = int(partial)
        self._forget_partial()
        self._progressive = ProgressiveDecoder(
            self._decode_partial, self._publish_partial, self._partial_failed
        )
        limit_torch_threads()

    def start(self) -> bool:
        if self._partial > 0:
            self._progressive.start()
        return super().start()

    def stop(self) -> bool:
        self._progressive.stop()
        return super().stop()

    def begin_run(self) -> None:
        super().begin_run()
        self._forget_partial()

    def _forget_partial(self) -> None:
        self._next_partial = -math.inf  # no partial image before this sample
        self._newest: pdu.ReceivedPacket | None = None  # of which none has been made
        self._based: Header | None = None  # layout of the message whose base has been shown

    def codec(self, name: str) -> Codec:
        """The codec of that name, made when it is first needed."""
        if name not in self._codecs:
            self._codecs[name] = registry.create(name, **self._options.get(name, {}))
        return self._codecs[name]

    def on_message(self, message: AssembledMessage) -> None:
        self._progressive.close(message.header)
        if self._based == message.header:
            self._based = None  # a transmitter that was restarted may send one of this layout again
        received = modem.demodulate(message)
        self.report(message, sum(len(stream.lost_blocks) for stream in received.digital))
        codec = self.codec(received.codec)
        begun = time.perf_counter()
        decoded = codec.decode(received)
        if codec.refines:
            self.publish("partial", _image(decoded, message, begun, BEFORE))
            with self.contain(None):
                decoded = codec.refine(decoded)
        self.publish("images", _image(decoded, message, begun))
        self.fail_in_part(message.header.message_id, decoded.notices)
        base = codec.base
        if base is not None and received.beside(base.kind) and self.connected("base"):
            with suppress(HscError):  # nothing usable of it: no such image
                self.publish("base", _decode(codec, received.only(base.kind), message, base.alone))

    def _collect(self, received: pdu.ReceivedPacket) -> None:
        height, width, _ = received.header.shape
        if height * width > self._max_pixels:
            raise HscError(
                f"a packet of an image of {width} x {height} pixels: "
                f"this receiver takes at most {self._max_pixels} pixels"
            )
        super()._collect(received)
        self._newest = received
        self._offer()

    def _expire(self, tick: pdu.Tick) -> None:
        super()._expire(tick)
        self._offer()

    def _offer(self) -> None:
        newest = self._newest
        if self._partial <= 0 or newest is None or newest.sample_index < self._next_partial:
            return
        if self.nmsgs(_PACKETS):  # with more packets at hand there is a better image to come
            return
        self._newest = None
        parts = self._assembler.parts(newest.header)
        if parts and self._progressive.offer(parts):
            self._next_partial = newest.sample_index + self._partial

    # The next three run in the thread of the ProgressiveDecoder.

    def _decode_partial(self, packets: list[ReceivedPacket]) -> pdu.Image:
        message = join(packets)
        received = modem.demodulate(message)
        codec = self.codec(received.codec)
        base = codec.base
        if base is not None and self._based != message.header:
            # nothing usable of it yet: what there is of everything is shown, and the base when it comes
            with suppress(HscError):
                image = _decode(codec, received.only(base.kind), message, base.alone)
                self._based = message.header
                return image
        return _decode(codec, received, message)

    def _publish_partial(self, image: pdu.Image) -> None:
        self.counters["partial_images"] += 1
        self.publish("partial", image)

    def _partial_failed(self, error: Exception) -> None:
        self.counters["partial_failures"] += 1
        self.logger.debug(f"no partial image: {type(error).__name__}: {error}")


def _decode(
    codec: Codec, received: ReceivedMessage, message: AssembledMessage, part: str | None = None
) -> pdu.Image:
    """The image of a message, not refined."""
    begun = time.perf_counter()
    return _image(codec.decode(received), message, begun, part)


def _image(decoded: Decoded, message: AssembledMessage, begun: float, part: str | None = None) -> pdu.Image:
    """What has been made of a message since `begun` [s, time.perf_counter]."""
    return pdu.Image.of(
        message.header.message_id,
        decoded,
        snr_db=message.snr_db,
        packets=message.header.count,
        packets_received=len(message.packets),
        seconds=time.perf_counter() - begun,
        part=part,
    )
