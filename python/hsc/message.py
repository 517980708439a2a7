"""What a codec hands to the air interface, and what the air interface hands back.

A *message* is what a codec makes of one image: streams, and the few bytes that its receiver needs to know
(they travel in every packet header). An *analog* stream is real values, sent two to a complex symbol; a
*digital* stream is bytes, sent through LDPC and QAM at one MCS. Everything in a `ReceivedMessage` came
through the channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

# Largest image that codecs of photographs take, and receivers unless something else is asked for [pixels].
MOST_PIXELS = 1 << 24
# Most digital streams of a message.
MAX_DIGITAL_STREAMS = 2
# Most bytes that a codec's receiver is told in every packet header.
MAX_PARAMETER_BYTES = 8


@dataclass(frozen=True)
class Link:
    """What the transmitter knows of the link when it encodes.

    Attributes:
        snr_db: expected Es/N0 per complex channel use [dB]; None when there is no return path.
        cbr: budget of complex channel uses / (C·H·W), payload only, which no message exceeds; None leaves it
            to the codec.
        mcs: MCS of the digital streams, a name from `phy.mcs.TABLE` such as ``"16QAM-1/2"``, or a code of
            `phy.mcs.CODES`, whose MCS the SNR chooses; None leaves it to the codec.
        repair_share: of `phy.adaptation.repair_share`: repair symbols over all symbols that the losses call
            for, in what loses an image with a packet; None when nothing is known of them. A stream of few
            packets gets more (`coding.protection`). A codec's own option goes before it.
        most_threshold_db: largest threshold of an MCS [dB] that reports of the receiver allow; holds where no
            MCS is named, beside the codec's own margin. None where there are none.
        fade_margin_db: how far below `snr_db` fades take the channel that the transmitter does not see [dB];
            an MCS that is not named bears them.
    """

    snr_db: float | None = None
    cbr: float | None = None
    mcs: str | None = None
    repair_share: float | None = None
    most_threshold_db: float | None = None
    fade_margin_db: float = 0.0

    def with_code(self, code: str) -> Link:
        """With a codec's own LDPC code where neither an MCS nor a code is named."""
        return replace(self, mcs=self.mcs or code)


@dataclass(frozen=True)
class DigitalStream:
    """Bytes and the MCS that protects them."""

    data: bytes
    mcs: str


@dataclass(frozen=True)
class Message:
    """What a codec makes of one image.

    Attributes:
        codec: registered name of the codec, e.g. ``"hsc"``.
        shape: (H, W, C) of the image.
        parameters: at most 8 bytes that the codec's own receiver needs; sent in every packet header.
        analog: float32 array (n,) of real values, any scale, or None.
        digital: at most two digital streams, most important first.
        notices: what the transmitter's user should know, one line each; not sent.
    """

    codec: str
    shape: tuple[int, int, int]
    parameters: bytes = b""
    analog: np.ndarray | None = None
    digital: tuple[DigitalStream, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """The part of a codec's messages that gives a whole, coarse image by itself: what is shown first while a
    message arrives.

    Attributes:
        kind: "analog" or "digital", the streams that it is, or "first digital", the first of these alone.
        name: what the codec's paper calls it, such as "SR".
    """

    kind: str
    name: str

    @property
    def alone(self) -> str:
        """What its image is called."""
        return f"{self.name} alone"


@dataclass(frozen=True)
class ReceivedAnalog:
    """An analog stream after the channel.

    Attributes:
        values: float32 (n,), unbiased (zero-forcing) estimates of the values sent; 0 where `received` is
            False. n is even: a stream of odd length comes back with one value of padding.
        noise_variance: float32 (n,), variance of the error of each value, same scale as `values`; inf where
            lost.
        received: bool (n,), False where the packet was lost.
    """

    values: np.ndarray
    noise_variance: np.ndarray
    received: np.ndarray


@dataclass(frozen=True)
class ReceivedDigital:
    """A digital stream after LDPC decoding.

    Attributes:
        data: bytes, the stream's full length; zeros where a block was lost.
        received: bool (len(data),), False for the bytes of lost blocks.
        lost_blocks: indices of the LDPC blocks whose check failed or whose packet never came.
        block_bytes: bytes of the stream in one LDPC block, the unit of loss; 0 when it is not known.
    """

    data: bytes
    received: np.ndarray
    lost_blocks: tuple[int, ...] = ()
    block_bytes: int = 0

    @property
    def complete(self) -> bool:
        """True when every byte arrived intact."""
        return not self.lost_blocks


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as far as it arrived. `analog` is None when none was sent; lost parts are marked inside the
    streams.
    """

    codec: str
    shape: tuple[int, int, int]
    parameters: bytes = b""
    analog: ReceivedAnalog | None = None
    digital: tuple[ReceivedDigital, ...] = field(default=())
    snr_db: float | None = None

    def only(self, kind: str) -> ReceivedMessage:
        """The same message as if nothing had come but streams of this kind, as of `Base`."""
        kept = {"analog": 0, "first digital": 1, "digital": MAX_DIGITAL_STREAMS}[kind]
        digital = (*self.digital[:kept], *map(_lost_digital, self.digital[kept:]))
        analog = self.analog
        if kind != "analog" and analog is not None:
            analog = _lost_analog(len(analog.values))
        return replace(self, analog=analog, digital=digital)

    def beside(self, kind: str) -> bool:
        """Whether there is anything but streams of this kind."""
        if kind == "digital":
            return self.analog is not None
        return any(stream.data for stream in self.digital[kind == "first digital" :])


def _lost_analog(n_values: int) -> ReceivedAnalog:
    return ReceivedAnalog(
        np.zeros(n_values, np.float32), np.full(n_values, np.inf, np.float32), np.zeros(n_values, bool)
    )


def _lost_digital(stream: ReceivedDigital) -> ReceivedDigital:
    size = len(stream.data)
    return ReceivedDigital(bytes(size), np.zeros(size, bool), (0,) if size else (), stream.block_bytes)
