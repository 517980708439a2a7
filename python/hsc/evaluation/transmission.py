"""One image through one codec and one channel: what every point of a sweep measures.

Codec, modem, channel, modem, codec; quality of the image that came, and every channel use. The papers'
channel has one gain for a whole image, known to the receiver (HDA-DeepSC eqs. (6) and (7)), and headers are
left out of it; `through="ofdm"` sends the same packets, headers included, through the OFDM modem and a
sample-level channel instead.
"""

from __future__ import annotations

import functools
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import channel, metrics, modem
from ..codecs import registry
from ..codecs.contract import Codec
from ..errors import HscError
from ..message import Link
from ..phy.adaptation import repair_share
from ..phy.assembly import AssembledMessage, join
from ..phy.ledger import Ledger
from ..phy.numerology import Numerology, preset
from ..phy.packets import Modulated, ReceivedPacket, split
from ..phy.receiver import BurstReceiver
from . import quality, sample_channel

Options = tuple[tuple[str, object], ...]
CAPACITY = "capacity"  # not on air: source coding at Shannon's limit, the bound of any separate design
NUMEROLOGY = "ofdm64"  # of the OFDM path, and of the overhead that is counted
GREY = 128  # every value of an image that was not decoded
UNSENT = "not sent"  # how the reason begins where a codec did not send an image
_LEAST_VARIANCE = 1e-10  # a receiver's noise variance, where the channel adds none: it is divided by
# Of the OFDM path: largest carrier offset [subcarriers] and clock offset [ppm]. A receiver follows 8 and 40
# (air-interface.json).
_CFO, _CLOCK_PPM = 2.0, 10.0


@dataclass(frozen=True)
class Sending:
    """What a transmitter does: one message is made of it.

    Attributes:
        image: identity of the image, `image_id`.
        codec: name in the registry, or CAPACITY.
        options: of the transmitter's codec, sorted (name, value) pairs, `options_of`.
        snr_db: what the transmitter believes [dB]; None when it knows nothing.
        cbr: budget of payload channel uses / (C·H·W).
        mcs: fixed MCS of the digital streams, None leaves it to the codec.
        loss: share of the packets that the transmitter expects to lose, for which it sends repair symbols.
    """

    image: str
    codec: str
    options: Options = ()
    snr_db: float | None = None
    cbr: float | None = None
    mcs: str | None = None
    loss: float = 0.0

    @property
    def link(self) -> Link:
        """What the codec's encoder is told."""
        return Link(self.snr_db, self.cbr, self.mcs, repair_share(self.loss))


@dataclass(frozen=True)
class Reception:
    """A channel and a receiver, and how what it gives is judged.

    Attributes:
        channel: one of `channel.KINDS`; one gain for the whole message, Rician with K = 1.
        snr_db: mean Es/N0 [dB].
        seed: of fading and noise, together with the image: the same fade and noise for every codec and SNR.
        options: of the receiver's codec; it is not told the transmitter's.
        through: "symbols", or "ofdm" for the sample-level channel with carrier, phase and clock offset.
        loss: share of the packets that is dropped, any of them with equal chance; rounded, but at least one
            when it is not 0.
        burst: mean length of a run of dropped packets; above 1 (Gilbert-Elliott) the share is kept in the
            mean alone.
        judged: qualities that are wanted besides PSNR and MS-SSIM, names of `quality.FURTHER`.
        inside: a rectangle whose PSNR is wanted, None for none.
    """

    channel: str = "awgn"
    snr_db: float = 10.0
    seed: int = 0
    options: Options = ()
    through: str = "symbols"
    loss: float = 0.0
    burst: float = 1.0
    judged: tuple[str, ...] = ()
    inside: quality.Rectangle | None = None


@dataclass(frozen=True)
class Point:
    """One measurement of a sweep."""

    sending: Sending
    reception: Reception


@dataclass(frozen=True)
class Measured:
    """What became of an image.

    Attributes:
        psnr_db, ms_ssim_db: of the received image; MS-SSIM is None below 161 pixels a side. Where nothing
            usable arrived, the image is mid-grey. So are all other qualities of that image.
        cbr, cbr_with_overhead: channel uses / (C·H·W), payload alone and with every overhead of the OFDM air
            interface.
        analog_uses, digital_uses: complex channel uses of the payload.
        digital_bytes: bytes of the digital streams.
        snr_measured_db: by the receiver; None when nothing came.
        encode_seconds, decode_seconds: processor time of the codec alone.
        seconds: processor time of the whole reception: channel, modem, decoder and quality.
        failure: why the image is mid-grey, else None.
        lpips_alex, lpips_vgg, dists: perceptual distances, version 0.1 of LPIPS; these and what follows are
            None where they were not wanted.
        same_class, feature_cosine: semantic consistency with the original (`semantic_consistency`).
        colour_shift: largest difference of the mean of a colour, of pixels in [0, 1].
        psnr_inside_db: of the rectangle `Reception.inside`.
    """

    psnr_db: float
    ms_ssim_db: float | None
    cbr: float = 0.0
    cbr_with_overhead: float = 0.0
    analog_uses: float = 0.0
    digital_uses: float = 0.0
    digital_bytes: int = 0
    snr_measured_db: float | None = None
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    seconds: float = 0.0
    failure: str | None = None
    lpips_alex: float | None = None
    lpips_vgg: float | None = None
    dists: float | None = None
    same_class: float | None = None
    feature_cosine: float | None = None
    colour_shift: float | None = None
    psnr_inside_db: float | None = None

    @property
    def failed(self) -> float:
        """1.0 where the image is mid-grey, else 0.0."""
        return float(self.failure is not None)

    @property
    def unsent(self) -> bool:
        """Whether it is because nothing was sent."""
        return self.failure is not None and self.failure.startswith(UNSENT)

    @property
    def side_share(self) -> float:
        """Share of the payload's channel uses that is digital; 0 where nothing was sent."""
        uses = self.analog_uses + self.digital_uses
        return self.digital_uses / uses if uses else 0.0


# Seeds that a fade is chosen from: 24 images find their quantiles within 0.5 %.
_FADE_TRIALS = 256


def options_of(options: Mapping[str, object]) -> Options:
    """Options as a hashable tuple, sorted by name."""
    return tuple(sorted(options.items()))


def image_id(name: str, image: np.ndarray) -> str:
    """Identity of an image uint8 (H, W, C): its name and a CRC-32 of its pixels."""
    return f"{name}-{zlib.crc32(np.ascontiguousarray(image)) ^ zlib.crc32(repr(image.shape).encode()):08x}"


def generator(image: str, reception: Reception) -> np.random.Generator:
    """Random numbers of fading and noise. They depend on the image and the seed alone, so that curves are
    compared on equal draws.
    """
    return np.random.default_rng([reception.seed, zlib.crc32(image.encode())])


def gain(image: str, reception: Reception) -> complex:
    """The gain h that `carry` will apply: what a transmitter with a return path can be told."""
    return complex(
        channel.gain(reception.channel, (1,), channel.numpy_normal(generator(image, reception)))[0]
    )


def even_fades(images: Sequence[str], kind: str) -> dict[str, tuple[int]]:
    """A seed for each image, so that the powers of their gains lie evenly over the channel's distribution:
    few draws that are left to chance may have half as many deep fades again as the channel, or none.

    The images take the quantiles (i + 1/2) / n in an order drawn at random, each by the nearest of many
    seeds. The same images in the same order always get the same.
    """
    powers = np.array(
        [
            [abs(gain(image, Reception(kind, seed=seed))) ** 2 for seed in range(_FADE_TRIALS)]
            for image in images
        ]
    )
    order = np.random.default_rng(len(images)).permutation(len(images))
    wanted = np.quantile(powers, (order + 0.5) / len(images))
    seeds = np.abs(powers - wanted[:, None]).argmin(1)
    return {image: (int(seed),) for image, seed in zip(images, seeds, strict=True)}


def carry(
    modulated: Modulated,
    kind: str,
    snr_db: float,
    normal: channel.Normal,
    one_gain: bool = True,
    lost: Sequence[bool] | None = None,
) -> AssembledMessage | None:
    """A message over the symbol-level channel; headers are taken as received.

    Args:
        modulated: as sent.
        kind: one of `channel.KINDS`.
        snr_db: mean Es/N0 [dB].
        normal: source of random numbers.
        one_gain: one channel gain for the message (HDA-DeepSC, section V-A); False: one for each stream (HSC
            eqs. (3)-(5)).
        lost: for each packet whether it is dropped; None for no losses.

    Returns:
        Symbols and noise variances, or None when every packet is lost.
    """
    streams = [np.concatenate(modulated.streams)] if one_gain else list(modulated.streams)
    crossed = [channel.transmit(s, snr_db, kind, normal) for s in streams]
    values = [v.astype(np.complex64) for v, _ in crossed]
    variances = [np.full(len(v), max(float(n[0]), _LEAST_VARIANCE), np.float32) for v, n in crossed]
    if one_gain:
        measured_db = float(-10 * np.log10(max(float(crossed[0][1][0]), _LEAST_VARIANCE)))
        ends = np.cumsum([len(s) for s in modulated.streams])[:-1]
        values, variances = np.split(values[0], ends), np.split(variances[0], ends)
    else:
        measured_db = snr_db
    header = modulated.header
    if lost is None or not any(lost):
        return AssembledMessage(
            header, tuple(zip(values, variances, strict=True)), tuple(range(header.count)), measured_db
        )
    arrived = [
        ReceivedPacket(p.header, p.symbols, np.abs(n.symbols).astype(np.float32), measured_db)
        for p, n, gone in zip(
            split(Modulated(header, tuple(values))),
            split(Modulated(header, tuple(variances))),
            lost,
            strict=True,
        )
        if not gone
    ]
    return join(arrived) if arrived else None


def carry_ofdm(
    modulated: Modulated,
    kind: str,
    snr_db: float,
    rng: np.random.Generator,
    numerology: Numerology,
    lost: Sequence[bool] | None = None,
) -> AssembledMessage | None:
    """A message as OFDM bursts over one flat gain with carrier, phase and clock offset, as the OFDM receiver
    finds it; None when no packet came. `lost` drops packets after the receiver."""
    h = complex(channel.gain(kind, (1,), channel.numpy_normal(rng))[0])
    offsets = {
        "cfo": rng.uniform(-_CFO, _CFO),
        "ppm": rng.uniform(-_CLOCK_PPM, _CLOCK_PPM),
        "phase": rng.uniform(0, 2 * np.pi),
    }
    stream = sample_channel.bursts(split(modulated), numerology, after=8 * numerology.symbol)
    samples = sample_channel.channel(
        stream, numerology, rng, 100.0 if kind == "ideal" else snr_db, taps={0: h}, **offsets
    )
    layout = modulated.header.layout
    arrived = [
        p
        for p in BurstReceiver(numerology).push(samples)
        if p.header.layout == layout and not (lost is not None and lost[p.header.index])
    ]
    return join(arrived) if arrived else None


def dropped(count: int, share: float, rng: np.random.Generator, burst: float = 1.0) -> np.ndarray:
    """Bool (count,): which packets are dropped, `Reception.loss` and `Reception.burst`."""
    if burst > 1:
        return channel.erased(count, share, rng, burst)
    lost = np.zeros(count, bool)
    if share:
        lost[rng.choice(count, min(count, max(1, round(share * count))), replace=False)] = True
    return lost


def measure(
    sending: Sending, receptions: Sequence[Reception], image: np.ndarray
) -> Iterator[tuple[Measured, np.ndarray]]:
    """Encode uint8 (H, W, C) once, and receive it under every reception: figures and picture of each, in
    order.

    HscErrors of encoder and decoder count as a mid-grey image, with the reason. Raises HscError when a codec
    cannot be made.
    """
    if sending.codec == CAPACITY:
        yield from _measure_capacity(sending, receptions, image)
        return
    codec, numerology = _codec(sending.codec, sending.options), preset(NUMEROLOGY)
    begun = time.process_time()
    try:
        modulated = modem.modulate(
            message := codec.encode(image, sending.link), zlib.crc32(sending.image.encode()) & 0xFFFF
        )
    except HscError as error:
        for reception in receptions:
            yield _grey(image, reception, f"{UNSENT}: {error}")
        return
    seconds = time.process_time() - begun
    ledger = Ledger.of_message(modulated.header, numerology)
    spent = {
        "cbr": ledger.cbr(image.shape),
        "cbr_with_overhead": ledger.cbr_with_overhead(image.shape),
        "analog_uses": float(ledger.analog),
        "digital_uses": float(ledger.payload - ledger.analog),
        "digital_bytes": sum(len(s.data) for s in message.digital),
        "encode_seconds": seconds,
    }
    for reception in receptions:
        receiver = _codec(sending.codec, reception.options)
        begun = time.process_time()
        measured, picture = _receive(modulated, sending.image, reception, receiver, image, spent)
        yield replace(measured, seconds=time.process_time() - begun), picture


def _receive(
    modulated: Modulated,
    image_name: str,
    reception: Reception,
    codec: Codec,
    image: np.ndarray,
    spent: dict[str, float],
) -> tuple[Measured, np.ndarray]:
    rng = generator(image_name, reception)
    lost = dropped(modulated.header.count, reception.loss, rng.spawn(1)[0], reception.burst)
    if reception.through == "ofdm":
        assembled = carry_ofdm(modulated, reception.channel, reception.snr_db, rng, preset(NUMEROLOGY), lost)
    else:
        assembled = carry(
            modulated, reception.channel, reception.snr_db, channel.numpy_normal(rng), lost=lost
        )
    if assembled is None:
        return _grey(image, reception, "no packet arrived", **spent)
    begun = time.process_time()
    try:
        picture = codec.receive(modem.demodulate(assembled)).image
    except HscError as error:
        return _grey(image, reception, f"not decoded: {error}", **spent, snr_measured_db=assembled.snr_db)
    seconds = time.process_time() - begun
    judged = _judged(picture, image, reception)
    return Measured(**judged, **spent, snr_measured_db=assembled.snr_db, decode_seconds=seconds), picture


def _judged(picture: np.ndarray, image: np.ndarray, reception: Reception) -> dict[str, float | None]:
    """All qualities of a picture that the reception wants, by their names in `Measured`."""
    further = {name: quality.FURTHER[name].measure(picture, image) for name in reception.judged}
    if reception.inside is not None:
        further["psnr_inside_db"] = quality.psnr_inside_db(picture, image, reception.inside)
    always = {"psnr_db": metrics.psnr_db(picture, image), "ms_ssim_db": metrics.ms_ssim_db(picture, image)}
    return always | further


def _measure_capacity(
    sending: Sending, receptions: Sequence[Reception], image: np.ndarray
) -> Iterator[tuple[Measured, np.ndarray]]:
    """Bits at log2(1 + |h|² SNR) for each channel use, with the gain known to the transmitter: no separate
    design can do better.
    """
    from ..coding.stills import capacity_image

    for reception in receptions:
        snr_db = reception.snr_db + 20 * np.log10(max(abs(gain(sending.image, reception)), 1e-6))
        try:
            picture = capacity_image(
                image, sending.cbr, float(snr_db), dict(sending.options).get("source", "hevc")
            )
        except HscError as error:
            yield _grey(image, reception, f"{UNSENT}: {error}")
            continue
        judged = _judged(picture, image, reception)
        yield Measured(**judged, cbr=sending.cbr, cbr_with_overhead=sending.cbr), picture


def _grey(
    image: np.ndarray, reception: Reception, failure: str, **spent: float
) -> tuple[Measured, np.ndarray]:
    picture = np.full_like(image, GREY)
    return Measured(**_judged(picture, image, reception), **spent, failure=failure), picture


@functools.lru_cache(maxsize=6)
def _codec(name: str, options: Options) -> Codec:
    """Codecs keep their networks: a worker makes each once."""
    return registry.create(name, **dict(options))
