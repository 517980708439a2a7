"""What `send` and `simulate` share: one link, the outcome of one image, and its entry in
metrics.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from .. import metrics
from ..codecs import registry
from ..codecs.contract import Codec, Decoded
from ..codecs.options import described
from ..errors import HscError
from ..images import region
from ..message import Link, ReceivedMessage
from ..phy.adaptation import repair_share
from ..phy.effective import effective_snr_db
from ..phy.header import Header
from ..phy.ledger import Ledger
from ..phy.numerology import preset
from ..phy.packets import DEFAULT_PACKET_SYMBOLS
from ..refiner.options import BEFORE

FADING = ("rayleigh", "rician")
CHANNELS = ("ideal", "awgn", *FADING, "multipath")
# One fade in ten is deeper over Rayleigh fading [dB]. Chosen by trial: mean PSNR of a sample photograph over
# ten fades, CBR 1/12, with 0 / 5 / 10 / 15 dB: at 10 dB `separate` has 19.7 / 24.1 / 25.5 / 23.8 and
# `hda_hevc` 22.0 / 25.3 / 27.7 / 26.4, at 20 dB 21.0 / 26.9 / 29.4 / 29.3 and 21.2 / 26.9 / 30.8 / 31.7.
FADE_MARGIN_DB = 10.0
# Two echoes of -6 and -10 dB, of unit power with the first path; both lie inside the shortest cyclic prefix.
_PATHS = np.array([1, 0, 0, 0.5j, 0, 0, 0, -0.32 + 0j], np.complex64)
MULTIPATH = _PATHS / np.linalg.norm(_PATHS)


@dataclass(frozen=True)
class Scenario:
    """One link, from the transmitter's codec to the receiver's.

    Attributes:
        codec, codec_options: name in `codecs.registry`, and the fields of the transmitter's options that were
            given.
        receiver_options: the same of the receiver. It is not told the transmitter's: the key alone is shared,
            and both have to be given it.
        mcs: MCS of the digital streams, None leaves it to the codec.
        cbr: budget of payload channel uses / (C·H·W), None for none.
        snr_db: Es/N0 per complex channel use [dB].
        design_snr_db: what the transmitter expects it to be [dB], None: the same; behind echoes what a
            receiver would report, the effective SNR.
        fade_margin_db: how far below that SNR the digital streams shall arrive [dB], where their MCS is not
            named; None: FADE_MARGIN_DB over a channel that fades and whose fades the transmitter does not
            see, else 0.
        channel: one of CHANNELS.
        cfo: carrier frequency offset [subcarriers].
        sfo_ppm: sample-clock offset [parts per million].
        loss: probability that a packet is dropped.
        numerology: preset of `phy.ofdm`.
        packet_symbols: largest number of payload symbols in a packet.
        seed: of channel, losses and message ids.
    """

    codec: str = "hsc"
    codec_options: dict[str, object] = field(default_factory=dict)
    receiver_options: dict[str, object] = field(default_factory=dict)
    mcs: str | None = None
    cbr: float | None = None
    snr_db: float = 10.0
    design_snr_db: float | None = None
    fade_margin_db: float | None = None
    channel: str = "awgn"
    cfo: float = 0.0
    sfo_ppm: float = 0.0
    loss: float = 0.0
    numerology: str = "ofdm64"
    packet_symbols: int = DEFAULT_PACKET_SYMBOLS
    seed: int = 1

    @property
    def link(self) -> Link:
        """What the transmitter is told of the link."""
        return Link(
            snr_db=self._expected_snr_db if self.design_snr_db is None else self.design_snr_db,
            cbr=self.cbr,
            mcs=self.mcs,
            repair_share=repair_share(self.loss),
            fade_margin_db=self._fade_margin_db,
        )

    @property
    def _fade_margin_db(self) -> float:
        if self.fade_margin_db is not None:
            return self.fade_margin_db
        return FADE_MARGIN_DB if self.channel in FADING and self.design_snr_db is None else 0.0

    @property
    def _expected_snr_db(self) -> float:
        if self.channel != "multipath":
            return self.snr_db
        n = preset(self.numerology)
        power = np.abs(np.fft.fft(MULTIPATH, n.n_fft)[n.carriers]) ** 2
        return effective_snr_db(10 ** (-self.snr_db / 10) / power)


@dataclass(frozen=True)
class Draft:
    """A lesser image that a receiver had on the way: what the codec's base alone gives, or what the refiner
    began with.

    Attributes:
        image: uint8 (H, W, C).
        caption: what it is.
    """

    image: np.ndarray
    caption: str

    @classmethod
    def unrefined(cls, image: np.ndarray) -> Draft:
        """What the refiner begins with."""
        return cls(image, BEFORE)


@dataclass(frozen=True)
class Transmitted:
    """One image after the link.

    Attributes:
        sent: uint8 (H, W, C).
        received: the same shape, or None when nothing arrived that a picture can be made of.
        draft: a lesser image on the way to it, or None.
        header: layout of the message that was sent.
        ledger: its channel uses.
        packets_sent, packets_received: numbers of packets.
        snr_measured_db: mean over the packets received, None when there were none.
        seconds: time of each stage.
        error: why there is no picture, or None.
        notices: what the transmitter cannot reach, and what the receiver left out of the picture, and why.
        region: of interest, as of `codecs.contract.Decoded`, or None.
    """

    sent: np.ndarray
    received: np.ndarray | None
    draft: Draft | None
    header: Header
    ledger: Ledger
    packets_sent: int
    packets_received: int
    snr_measured_db: float | None
    seconds: dict[str, float]
    error: str | None = None
    notices: tuple[str, ...] = ()
    region: np.ndarray | None = None

    @property
    def psnr_inside_db(self) -> float | None:
        """PSNR of the region of interest [dB], where there is one."""
        if self.received is None or self.region is None:
            return None
        pixels = region.inside(self.region, self.sent.shape[:2])
        return metrics.psnr_db(self.received[pixels], self.sent[pixels])


Runner = Callable[[np.ndarray, Scenario], Transmitted]


def create_codecs(scenario: Scenario) -> tuple[Codec, Codec]:
    """The transmitter's and the receiver's codec. Raises HscError for unknown names or options."""
    return (
        registry.create(scenario.codec, **scenario.codec_options),
        registry.create(scenario.codec, **scenario.receiver_options),
    )


class Stopwatch:
    """Seconds of named stages: `with watch("encode"): …`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def decode(codec: Codec, received: ReceivedMessage) -> tuple[Decoded | None, Draft | None, str | None]:
    """Received message → what became of it, a lesser image on the way, reason when there is no picture."""
    decoded, error = _try(codec.decode, received)
    if codec.refines and decoded is not None:
        draft = Draft.unrefined(decoded.image)
        refined, error = _try(codec.refine, decoded)
        return refined, draft, error
    if codec.base is None or not received.beside(codec.base.kind):
        return decoded, None, error
    alone, _ = _try(codec.decode, received.only(codec.base.kind))
    return decoded, None if alone is None else Draft(alone.image, codec.base.alone), error


def _try(
    way: Callable[[ReceivedMessage], Decoded], received: ReceivedMessage
) -> tuple[Decoded | None, str | None]:
    try:
        return way(received), None
    except HscError as error:
        return None, str(error)


def record(
    name: str,
    scenario: Scenario,
    outcome: Transmitted,
    notes: tuple[str, ...] = (),
    perceptual: tuple[str, ...] = (),
) -> dict[str, object]:
    """Entry of metrics.json for an image that was sent; `perceptual` names the distances of
    `metrics.PERCEPTUAL` to measure, the others are null.
    """
    shape, picture = outcome.sent.shape, outcome.received
    codec = registry.codec_class(scenario.codec)
    return {
        **_identity(name, scenario),
        "shape": list(shape),
        "parameters": codec.describe(outcome.header.parameters),
        "streams": {
            "analog_symbols": outcome.header.analog_symbols,
            "digital": [{"mcs": name, "bytes": n} for name, n in outcome.header.digital],
        },
        "psnr_db": None if picture is None else metrics.psnr_db(picture, outcome.sent),
        "psnr_inside_db": outcome.psnr_inside_db,
        "ms_ssim": None if picture is None else metrics.ms_ssim(picture, outcome.sent),
        "mse": None if picture is None else metrics.mse(picture, outcome.sent),
        **dict.fromkeys(metrics.PERCEPTUAL),
        **({} if picture is None else metrics.perceptual(picture, outcome.sent, perceptual)),
        "cbr": outcome.ledger.cbr(shape),
        "cbr_with_overhead": outcome.ledger.cbr_with_overhead(shape),
        "channel_uses": outcome.ledger.as_dict(),
        "snr_measured_db": _finite(outcome.snr_measured_db),
        "packets_sent": outcome.packets_sent,
        "packets_received": outcome.packets_received,
        "seconds": outcome.seconds,
        "notes": [*notes, *outcome.notices],
        "error": outcome.error,
    }


_MEASURED = (
    "shape",
    "parameters",
    "streams",
    "psnr_db",
    "psnr_inside_db",
    "ms_ssim",
    "mse",
    *metrics.PERCEPTUAL,
    "cbr",
    "cbr_with_overhead",
    "channel_uses",
    "snr_measured_db",
    "packets_sent",
    "packets_received",
)


def failure(name: str, scenario: Scenario, error: str) -> dict[str, object]:
    """Entry of metrics.json for an image that could not be sent: the same keys, null where there is nothing
    to say.
    """
    empty = dict.fromkeys(_MEASURED)
    return {**_identity(name, scenario), **empty, "seconds": {}, "notes": [], "error": error}


def _identity(name: str, scenario: Scenario) -> dict[str, object]:
    return {
        "image": name,
        "codec": scenario.codec,
        "codec_options": {**shown_options(scenario), **({"cbr": scenario.cbr} if scenario.cbr else {})},
        "mcs": scenario.mcs,
        "channel": scenario.channel,
        "snr_db": scenario.snr_db,
        "design_snr_db": scenario.link.snr_db,
        "fade_margin_db": scenario.link.fade_margin_db,
        "cfo": scenario.cfo,
        "sfo_ppm": scenario.sfo_ppm,
        "loss": scenario.loss,
        "numerology": scenario.numerology,
        "packet_symbols": scenario.packet_symbols,
        "seed": scenario.seed,
    }


def shown_options(scenario: Scenario) -> dict[str, object]:
    """Options of both ends as they may be written down: of a secret, that there is one, and whether the
    receiver has the same.
    """
    shown = {**scenario.receiver_options, **scenario.codec_options}
    for name, known in described(registry.codec_class(scenario.codec).Options).items():
        if known.secret and name in shown:
            sent, received = scenario.codec_options.get(name), scenario.receiver_options.get(name)
            shown[name] = "none" if sent is None else "given"
            shown[f"receiver_{name}"] = (
                "none" if received is None else "the same" if received == sent else "another"
            )
    return shown


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
