"""PDU schema: the one place where metadata keys are defined. Written down in docs/pdu.md.

Each kind is a dataclass: its fields are the metadata keys, typed and bounded on both sides, and at most one
field is the vector; how they are written and read is in `pdu_base.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ..codecs.contract import MOST_ERROR, Decoded, error_shape
from ..message import MAX_DIGITAL_STREAMS, MAX_PARAMETER_BYTES, ReceivedAnalog, ReceivedDigital
from ..phy import adaptation, digital, packets, reports
from ..phy.header import Header
from ..phy.reports import Report
from .pdu_base import Pdu, key, optional, payload
from .pdu_keys import (
    header_key,
    integer,
    mcs_key,
    numerology_key,
    octets,
    real,
    require,
    shape_key,
    text_key,
    vector,
)

# Largest integer of a metadata value; GNU Radio's PMT has 64 bits.
_MAX_INTEGER = (1 << 62) - 1
_ID = integer(0, 0xFFFF)
_STREAM = integer(0, MAX_DIGITAL_STREAMS)
_COUNT = integer(0, 0xFFFF)
_TALLY = integer(0, _MAX_INTEGER)
# A burst may seem to begin just before the stream.
_POSITION = integer(-_MAX_INTEGER, _MAX_INTEGER)
_BYTES_OF_STREAM = integer(0, (1 << 24) - 1)


def _agree(received: np.ndarray | None, count: int, name: str) -> None:
    agrees = received is None or len(received) == count
    require(agrees, f"{name}: must have one item for each item of the vector")


@dataclass(frozen=True)
class Image(Pdu):
    """An image at a port. What a receiver knows of the link comes along: measured SNR, packets of the
    message, packets received.
    """

    kind: ClassVar[str] = "image"
    message_id: int = key(_ID)
    shape: tuple[int, int, int] = key(shape_key())
    data: np.ndarray = payload("u8")
    name: str | None = optional(text_key(255))
    snr_db: float | None = optional(real())
    packets: int | None = optional(_COUNT)
    packets_received: int | None = optional(_COUNT)
    seconds: float | None = optional(real())
    notices: str | None = optional(text_key(400, bounded=True))
    part: str | None = optional(text_key(40))
    error: np.ndarray | None = optional(vector("f32"))
    region: np.ndarray | None = optional(vector("u8"))

    def __post_init__(self) -> None:
        require(self.data.size == math.prod(self.shape), "vector: must have height x width x channels items")

    @classmethod
    def of(cls, message_id: int, decoded: Decoded, **known: Any) -> Image:
        """From `codecs.contract.Decoded`; `known` are other keys."""
        image, error = decoded.image, decoded.error
        notices = "; ".join(decoded.notices) or None
        told = {"notices": notices, "error": None if error is None else error.ravel()}
        if decoded.region is not None:
            told["region"] = decoded.region.ravel().astype(np.uint8)
        return cls(message_id, image.shape, image.ravel(), **told, **known)

    @property
    def pixels(self) -> np.ndarray:
        """uint8 (H, W, C)."""
        return self.data.reshape(self.shape)

    @property
    def error_bands(self) -> np.ndarray | None:
        """Variance of the error as of `codecs.contract.Decoded`, float32 (16, ⌈H/8⌉, ⌈W/8⌉), or None. Raises
        HscError for an `error` that cannot be that: the image is one in spite of it.
        """
        if self.error is None:
            return None
        shape = error_shape(self.shape)
        require(self.error.size == math.prod(shape), f"error: must have {math.prod(shape)} items")
        # A NaN fails too.
        inside = bool((self.error >= 0).all() and (self.error <= MOST_ERROR).all())
        require(inside, f"error: must be variances from 0 to {MOST_ERROR}")
        return self.error.reshape(shape)

    @property
    def region_blocks(self) -> np.ndarray | None:
        """Region of interest as of `codecs.contract.Decoded`, bool (⌈H/8⌉, ⌈W/8⌉), or None. Raises HscError
        for a `region` that cannot be that: the image is one in spite of it.
        """
        if self.region is None:
            return None
        shape = error_shape(self.shape)[1:]
        require(self.region.size == math.prod(shape), f"region: must have {math.prod(shape)} items")
        return self.region.reshape(shape).astype(bool)


@dataclass(frozen=True)
class Region(Pdu):
    """A region of interest for an encoder, as rectangles: of the image with that id, or without id of all
    that follow.
    """

    kind: ClassVar[str] = "region"
    rectangles: np.ndarray = payload("s32")
    image_id: int | None = optional(_ID)

    def __post_init__(self) -> None:
        require(self.rectangles.size % 4 == 0, "vector: must have x, y, width, height of each rectangle")


@dataclass(frozen=True)
class Generated(Pdu):
    """The image G that the semantic decoder makes of the SR, or that the transmitter predicts; empty when
    nothing of the SR arrived.
    """

    kind: ClassVar[str] = "generated"
    message_id: int = key(_ID)
    shape: tuple[int, int, int] = key(shape_key())
    data: np.ndarray = payload("f32")
    sr_values: int = key(_BYTES_OF_STREAM, default=0)
    parameters: bytes = key(octets(MAX_PARAMETER_BYTES), default=b"")

    def __post_init__(self) -> None:
        fits = self.data.size in (0, math.prod(self.shape))
        require(fits, "vector: must have height x width x channels items, or none")

    @property
    def pixels(self) -> np.ndarray | None:
        """float32 (H, W, C) in [0, 1], or None."""
        return self.data.reshape(self.shape) if self.data.size else None


@dataclass(frozen=True)
class Analog(Pdu):
    """Real values of an analog stream. Received: with the variance of each value's error, inf where it was
    lost.
    """

    kind: ClassVar[str] = "analog"
    message_id: int = key(_ID)
    codec: str = key(text_key(32))
    shape: tuple[int, int, int] = key(shape_key())
    values: np.ndarray = payload("f32")
    parameters: bytes = key(octets(MAX_PARAMETER_BYTES), default=b"")
    noise_variance: np.ndarray | None = optional(vector("f32"))
    snr_db: float | None = optional(real())

    def __post_init__(self) -> None:
        _agree(self.noise_variance, len(self.values), "noise_variance")

    @property
    def received(self) -> ReceivedAnalog:
        """As `message.ReceivedAnalog`; values without a variance count as received without error."""
        variance = self.noise_variance
        if variance is None:
            variance = np.zeros(len(self.values), np.float32)
        return ReceivedAnalog(self.values, variance, np.isfinite(variance))


@dataclass(frozen=True)
class Digital(Pdu):
    """Bytes of digital stream number `stream` of `streams`; `streams` 0: the message has none. Received: with
    what was lost.
    """

    kind: ClassVar[str] = "digital"
    message_id: int = key(_ID)
    codec: str = key(text_key(32))
    shape: tuple[int, int, int] = key(shape_key())
    data: np.ndarray = payload("u8")
    stream: int = key(_STREAM, default=1)
    streams: int = key(_STREAM, default=1)
    mcs: str | None = optional(mcs_key())
    parameters: bytes = key(octets(MAX_PARAMETER_BYTES), default=b"")
    received_bytes: np.ndarray | None = optional(vector("u8"))
    lost_blocks: np.ndarray | None = optional(vector("s32"))
    snr_db: float | None = optional(real())
    packets: int | None = optional(_COUNT)
    packets_received: int | None = optional(_COUNT)

    def __post_init__(self) -> None:
        _agree(self.received_bytes, len(self.data), "received_bytes")

    @property
    def received(self) -> ReceivedDigital:
        """As `message.ReceivedDigital`; without a mask every byte counts as received."""
        came = self.received_bytes
        mask = np.ones(len(self.data), bool) if came is None else came.astype(bool)
        lost = () if self.lost_blocks is None else tuple(self.lost_blocks.tolist())
        block_bytes = digital.payload_bytes_per_block(self.mcs) if self.mcs else 0
        return ReceivedDigital(self.data.tobytes(), mask, lost, block_bytes)


@dataclass(frozen=True)
class Features(Pdu):
    """The semantic features z of HDA-DeepSC, the latent z of LRISC; or of DS²C² the compact image c, or the
    binary symbols of the residual as received. Received: with the variance of each one's error.
    """

    kind: ClassVar[str] = "features"
    message_id: int = key(_ID)
    codec: str = key(text_key(32))
    shape: tuple[int, int, int] = key(shape_key())
    values: np.ndarray = payload("f32")
    parameters: bytes = key(octets(MAX_PARAMETER_BYTES), default=b"")
    variance: np.ndarray | None = optional(vector("f32"))
    snr_db: float | None = optional(real())
    packets: int | None = optional(_COUNT)
    packets_received: int | None = optional(_COUNT)

    def __post_init__(self) -> None:
        _agree(self.variance, len(self.values), "variance")


@dataclass(frozen=True)
class Symbols(Pdu):
    """A modulated stream at the transmitter: stream 0 is analog and has a scale, 1 … `streams` are digital
    and have an MCS.
    """

    kind: ClassVar[str] = "symbols"
    message_id: int = key(_ID)
    codec: str = key(text_key(32))
    shape: tuple[int, int, int] = key(shape_key())
    symbols: np.ndarray = payload("c32")
    stream: int = key(_STREAM, default=0)
    streams: int = key(_STREAM, default=1)
    parameters: bytes = key(octets(MAX_PARAMETER_BYTES), default=b"")
    scale: int = key(integer(0, 0xFFFF), default=0)
    mcs: str | None = optional(mcs_key())
    n_bytes: int = key(_BYTES_OF_STREAM, default=0)

    def __post_init__(self) -> None:
        if self.stream and self.streams:
            require(self.mcs is not None, "mcs: is missing")
            count = digital.symbol_count(self.n_bytes, self.mcs)
            fits = len(self.symbols) == count
            require(fits, f"vector: {self.n_bytes} bytes at {self.mcs} are {count} symbols")


@dataclass(frozen=True)
class ReceivedSymbols(Pdu):
    """The symbols of one stream of a message as far as they arrived; noise variance inf where they did not.

    Stream 1 without symbols stands for a message that has no digital stream.
    """

    kind: ClassVar[str] = "received_symbols"
    header: Header = key(header_key())
    symbols: np.ndarray = payload("c32")
    noise_variance: np.ndarray = key(vector("f32"))
    stream: int = key(_STREAM, default=0)
    snr_db: float = key(real(), default=0.0)
    packets_received: int = key(_COUNT, default=0)

    def __post_init__(self) -> None:
        _agree(self.noise_variance, len(self.symbols), "noise_variance")
        streams = self.header.digital
        require(self.stream <= max(1, len(streams)), "stream: the header has no such stream")
        count = 0 if self.stream else self.header.analog_symbols
        if self.stream and streams:
            name, n_bytes = streams[self.stream - 1]
            count = digital.symbol_count(n_bytes, name)
        require(len(self.symbols) == count, f"vector: the header asks for {count} symbols")

    @property
    def message_id(self) -> int:
        """From the header."""
        return self.header.message_id


@dataclass(frozen=True)
class Packet(Pdu):
    """A packet at the transmitter. `again` 1: a receiver has asked for it.

    The first of a message may say how long the codec took, and what the user should know of the message.
    """

    kind: ClassVar[str] = "packet"
    header: Header = key(header_key())
    symbols: np.ndarray = payload("c32")
    seconds: float | None = optional(real())
    again: int = key(integer(0, 1), default=0)
    notices: str | None = optional(text_key(400, bounded=True))

    def __post_init__(self) -> None:
        require(
            len(self.symbols) == self.header.payload_symbols,
            f"vector: the header asks for {self.header.payload_symbols} symbols",
        )

    @property
    def message_id(self) -> int:
        """From the header."""
        return self.header.message_id

    @property
    def packet(self) -> packets.Packet:
        """As `phy.packets.Packet`."""
        return packets.Packet(self.header, self.symbols)


@dataclass(frozen=True)
class ReceivedPacket(Pdu):
    """A packet after equalisation. It has no `message_id` of its own: that it is lost does not mean that its
    message is.
    """

    kind: ClassVar[str] = "received_packet"
    header: Header = key(header_key())
    symbols: np.ndarray = payload("c32")
    noise_variance: np.ndarray = key(vector("f32"))
    snr_db: float = key(real(), default=0.0)
    cfo: float = key(real(), default=0.0)
    sfo_ppm: float = key(real(), default=0.0)
    sample_index: int = key(_POSITION, default=0)
    numerology: str = key(numerology_key(), default="")

    def __post_init__(self) -> None:
        require(
            len(self.symbols) == self.header.payload_symbols,
            f"vector: the header asks for {self.header.payload_symbols} symbols",
        )
        _agree(self.noise_variance, len(self.symbols), "noise_variance")

    @classmethod
    def of(cls, received: packets.ReceivedPacket) -> ReceivedPacket:
        """From `phy.packets.ReceivedPacket`."""
        return cls(**{f.name: getattr(received, f.name) for f in fields(packets.ReceivedPacket)})

    @property
    def packet(self) -> packets.ReceivedPacket:
        """As `phy.packets.ReceivedPacket`."""
        return packets.ReceivedPacket(**{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True)
class Tick(Pdu):
    """The receiver's sample clock: it has searched the stream up to `sample_index`; of the last burst the end
    may be missing.

    0 is the beginning: of the first run of a flowgraph, and again of each later one.
    """

    kind: ClassVar[str] = "tick"
    sample_index: int = key(_POSITION)


@dataclass(frozen=True)
class Sent(Pdu):
    """The last sample of a message has left the transmitter. The header describes the whole message, and so
    its channel uses.
    """

    kind: ClassVar[str] = "sent"
    header: Header = key(header_key())
    packets: int = key(_COUNT)
    seconds: float | None = optional(real())
    notices: str | None = optional(text_key(400, bounded=True))

    @property
    def message_id(self) -> int:
        """From the header."""
        return self.header.message_id


@dataclass(frozen=True)
class Snr(Pdu):
    """What a receiver measured of one message, on its way back to the transmitter, which may send the next
    one accordingly.

    `blocks` are the LDPC blocks of the packets that came, `lost_blocks` how many of these failed.
    """

    kind: ClassVar[str] = "snr"
    message_id: int = key(_ID)
    snr_db: float = key(real())
    packets: int | None = optional(_COUNT)
    packets_received: int | None = optional(_COUNT)
    blocks: int | None = optional(_TALLY)
    lost_blocks: int | None = optional(_TALLY)

    @classmethod
    def of(cls, report: Report) -> Snr:
        """From `phy.reports.Report`; blocks that nobody counted are left out."""
        blocks = (report.blocks, report.lost_blocks) if report.blocks else (None, None)
        return cls(report.message_id, report.snr_db, report.packets, report.received, *blocks)

    @property
    def record(self) -> Report:
        """As `phy.reports.Report`."""
        counts = (self.packets, self.packets_received, self.blocks, self.lost_blocks)
        return Report(self.message_id, self.snr_db, *(count or 0 for count in counts))


@dataclass(frozen=True)
class Nak(Pdu):
    """Packets of a message that a receiver asks for again. The header has index 0."""

    kind: ClassVar[str] = "nak"
    header: Header = key(header_key())
    indices: np.ndarray = payload("s32")

    def __post_init__(self) -> None:
        inside = not self.indices.size or (self.indices.min() >= 0 and self.indices.max() < self.header.count)
        require(self.header.index == 0 and inside, "vector: the message has no such packet")

    @classmethod
    def of(cls, nak: reports.Nak) -> Nak:
        """From `phy.reports.Nak`."""
        return cls(nak.layout, np.array(nak.indices, np.int32))

    @property
    def record(self) -> reports.Nak:
        """As `phy.reports.Nak`."""
        return reports.Nak(self.header, tuple(self.indices.tolist()))

    @property
    def message_id(self) -> int:
        """From the header."""
        return self.header.message_id


@dataclass(frozen=True)
class LinkSetting(Pdu):
    """What the next images are made for. `digital` 0: not even the most robust MCS gets through."""

    kind: ClassVar[str] = "link"
    snr_db: float = key(real())
    most_threshold_db: float = key(real())
    cbr: float | None = optional(real())
    psnr_db: float | None = optional(real())
    repair_share: float | None = optional(real())
    digital: int = key(integer(0, 1), default=1)

    @classmethod
    def of(cls, setting: adaptation.LinkSetting) -> LinkSetting:
        """From `phy.adaptation.LinkSetting`."""
        return cls(**{**vars(setting), "digital": int(setting.digital)})

    @property
    def record(self) -> adaptation.LinkSetting:
        """As `phy.adaptation.LinkSetting`."""
        return adaptation.LinkSetting(**{**vars(self), "digital": bool(self.digital)})


@dataclass(frozen=True)
class Quality(Pdu):
    """Quality of one received image against the image that was sent."""

    kind: ClassVar[str] = "quality"
    message_id: int = key(_ID)
    psnr_db: float = key(real())
    mse: float = key(real())
    ms_ssim: float | None = optional(real())
    name: str | None = optional(text_key(255))
    lpips_alex: float | None = optional(real())
    lpips_vgg: float | None = optional(real())
    dists: float | None = optional(real())


@dataclass(frozen=True)
class RadioStatus(Pdu):
    """What a radio has counted since the start, and its level since the last such PDU; see docs/pdu.md."""

    kind: ClassVar[str] = "radio"
    side: str = key(text_key(16))
    address: str = key(text_key(255))
    sample_rate: float = key(real())
    seconds: float = key(real())
    samples: int = key(_TALLY, default=0)
    clipped: int = key(_TALLY, default=0)
    overruns: int = key(_TALLY, default=0)
    underruns: int = key(_TALLY, default=0)
    timeouts: int = key(_TALLY, default=0)
    lost: int = key(_TALLY, default=0)
    peak_dbfs: float | None = optional(real())
    rms_dbfs: float | None = optional(real())
    failure: str | None = optional(text_key(400, bounded=True))

    @property
    def troubles(self) -> dict[str, int]:
        """What went wrong, and how often."""
        counts = {
            "clipped": self.clipped,
            "overruns": self.overruns,
            "underruns": self.underruns,
            "timeouts": self.timeouts,
            "lost": self.lost,
        }
        return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True)
class Failed(Pdu):
    """A message that a block could not serve, passed on in place of it so that nothing waits for it; without
    id on `status` only.
    """

    kind: ClassVar[str] = "failed"
    block: str = key(text_key(64))
    reason: str = key(text_key(400, bounded=True))
    message_id: int | None = optional(_ID)


@dataclass(frozen=True)
class End(Pdu):
    """Nothing follows. Each block passes it on after its last output, and ends.

    `began`: when the run began in which it was sent [s, time.monotonic]; a block that has been stopped since
    ignores it. An End without it always counts.
    """

    kind: ClassVar[str] = "end"
    began: float | None = optional(real())
