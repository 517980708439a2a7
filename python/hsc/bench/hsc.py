"""HSC end to end against JPEG 2000 at the same channel uses, MCS, packets and symbol channel, in the same
run.

The reference codes the whole image with JPEG 2000 (OpenJPEG through pillow) and sends it as one digital
stream: the usual separate design. Images are synthetic textures, so that the bench needs no files.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from .. import channel, metrics, modem
from ..codecs import registry
from ..codecs.contract import Codec
from ..message import Link
from ..phy import digital
from ..phy.assembly import AssembledMessage, join
from ..phy.packets import Modulated, assemble, split
from ..symbol_link import cross
from .rows import Row

# The link: Es/N0 [dB], a budget, and a MCS with some margin at that SNR.
SNR_DB = 12.0
CBR = 1 / 6
MCS = "16QAM-1/2"
# What is sent: so many images, of the size of the example photographs.
SHAPE = (320, 480, 3)
IMAGES = 4
# Runs of each image, of which the fastest counts.
REPEATS = 3
REFERENCE = "JPEG 2000 (OpenJPEG) + the same LDPC, packets and channel"

Stages = dict[str, float]


def run() -> list[Row]:
    """Images a second, stage by stage, and PSNR."""
    images = [texture(seed, SHAPE) for seed in range(IMAGES)]
    codec, link = registry.create("hsc"), Link(SNR_DB, CBR, MCS)
    ours = [_best(lambda image=image: hsc_alone(codec, image, link)) for image in images]
    theirs = [_best(lambda image=image: _jpeg2000(image)) for image in images]
    stages = ("encode", "modem and channel", "decode")
    psnr = (float(np.mean([quality for _, quality in results])) for results in (ours, theirs))
    return [
        Row("HSC, image to image", "images/s", _rate(ours), _rate(theirs), REFERENCE),
        *(Row(f"HSC, {s}", "images/s", _rate(ours, s), _rate(theirs, s), REFERENCE) for s in stages),
        Row(f"HSC, PSNR at CBR 1/6 and {SNR_DB:g} dB", "dB", *psnr, REFERENCE),
    ]


def texture(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (H, W, C): Gaussian noise of amplitude spectrum 1/f^1.5, channels correlated, with an edge."""
    h, w, c = shape
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None, :])
    noise = np.fft.rfft2(rng.standard_normal((c, h, w))) / np.maximum(frequency, 1 / h) ** 1.5
    planes = np.fft.irfft2(noise, (h, w))
    planes = planes.mean(0) + 0.3 * planes
    planes = planes / planes.std() * 32 + 110 + 40 * (planes[0] > 0)
    return np.clip(np.rint(planes), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def hsc_alone(codec: Codec, image: np.ndarray, link: Link) -> tuple[Stages, float]:
    """One uint8 (H, W, C) image through codec, packets and symbol channel, in turn: seconds of each stage,
    PSNR [dB].
    """
    clock = _Clock()
    message = codec.encode(image, link)
    clock.lap("encode")
    received = modem.demodulate(_cross(modem.modulate(message, 0)))
    clock.lap("modem and channel")
    decoded = codec.decode(received).image
    clock.lap("decode")
    return clock.laps, metrics.psnr_db(decoded, image)


def _jpeg2000(image: np.ndarray) -> tuple[Stages, float]:
    clock = _Clock()
    budget = int(CBR * image.size) // digital.symbols_per_block(MCS) * digital.payload_bytes_per_block(MCS)
    data = _compress(image, budget)
    clock.lap("encode")
    streams = [(digital.modulate(data, MCS), MCS, len(data))]
    assembled = _cross(assemble(0, 0, image.shape, b"", np.zeros(0, np.complex64), 0, streams))
    symbols, variance = assembled.streams[1]
    received = digital.demodulate(symbols, variance, len(data), MCS)
    clock.lap("modem and channel")
    decoded = np.asarray(Image.open(io.BytesIO(received.data)))
    clock.lap("decode")
    return clock.laps, metrics.psnr_db(decoded, image)


def _compress(image: np.ndarray, budget: int) -> bytes:
    """The JPEG 2000 file of at most `budget` bytes: rate control aims at the ratio, and is asked again for
    less when it misses.
    """
    ratio = image.size / budget
    while True:
        file = io.BytesIO()
        Image.fromarray(image).save(
            file, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True
        )
        if file.tell() <= budget:
            return file.getvalue()
        ratio *= 1.01


def _cross(modulated: Modulated) -> AssembledMessage:
    normal = channel.numpy_normal(np.random.default_rng(1))
    return join([received for p in split(modulated) if (received := cross(p, SNR_DB, "awgn", normal))])


class _Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: Stages = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _best(transmit: Callable[[], tuple[Stages, float]]) -> tuple[Stages, float]:
    """The fastest of some runs: the others waited for something else."""
    return min((transmit() for _ in range(REPEATS)), key=lambda result: sum(result[0].values()))


def _rate(results: list[tuple[Stages, float]], stage: str = "") -> float:
    return len(results) / sum(laps[stage] if stage else sum(laps.values()) for laps, _ in results)
