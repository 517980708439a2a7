"""Table I of the paper and what belongs beside it: quality at a number of bits per pixel, with a share of the
blocks erased.

Bits are counted in two ways, and every label says in which: (A) the residual's alone, the base layer coming
without errors on top, as the paper most likely counts; (B) all that are sent. The third way, channel uses on
the air, is `ds2c2-loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ... import metrics
from ...channel import erase_blocks
from ...coding import erasure, hevc, hevc_rate
from ...coding.protection import Protection
from ...errors import HscError
from ...evaluation.curves import Axis, Curves, Series, mean_and_confidence
from ...evaluation.figure import Given
from ...message import ReceivedDigital
from ...nn import planes
from ...nn.transform import pad
from . import base, bits, lic, lic_coding, lic_network, residual_network
from .base_network import MULTIPLE
from .latents import latent_shape, weights_of
from .lic_coding import Reader
from .parameters import RATES, Ds2c2Parameters
from .receiving import GREY, image_of
from .sending import chunks as sent_chunks
from .sending import symbols_of

BITS_PER_PIXEL = 0.26
# Shares of the blocks that are erased: the paper's 0 and 16 %, and what lies around.
ERASED = (0.0, 0.08, 0.16, 0.3)
# The paper's blocks, and ours: what an LDPC block of rate 1/2 carries [bytes].
PAPER_BLOCK, LDPC_BLOCK = 1056, 40
# Fineness of the base layers under (A), and the steps of FineNet.
_FINENESS, _STEPS = 3, 2
# Largest share of all bits that the base layer takes under (B). Chosen by trial.
_LARGEST_BASE = 0.9
# Share of repair symbols of HEVC that is made for 16 % of the blocks. Of a Kodak image of 213 blocks, twice
# the deviation of their number more than the mean.
_REPAIR = 0.22

# A receiver: share erased and random numbers → uint8 (H, W, C).
Receive = Callable[[float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Sent:
    """What a system sends of an image.

    Attributes:
        base, residual: bits of the base layer, which is not erased, and of all else.
        receive: what a receiver makes of it.
    """

    base: int
    residual: int
    receive: Receive


@dataclass(frozen=True)
class Row:
    """A row of the table: label, and uint8 (H, W, C) → `Sent`."""

    label: str
    send: Callable[[np.ndarray], Sent]


def base_layer(image: np.ndarray, share: float | None) -> tuple[int, base.BaseCode]:
    """Fineness and code of the finest base layer that takes at most a share of all bits, the coarsest where
    none does; None: of the one whose bits do not count.
    """
    if share is None:
        return _FINENESS, base.encode(image, _FINENESS)
    codec = base.load_base()
    most = share * BITS_PER_PIXEL * image.shape[0] * image.shape[1]
    return codec.finest(codec.compress(image), int(most / 8))


def binary(image: np.ndarray, name: str, level: int, told: bool, all_bits: bool = False) -> Sent:
    """The paper's residual with weights of some name, in the paper's blocks; `all_bits`: the base layer's
    bits count too.
    """
    shape = tuple(image.shape)
    left = 1 - float(RATES[level]) / BITS_PER_PIXEL
    fineness, coded = base_layer(image, left if all_bits else None)
    network, latent = residual_network.load_network(name), latent_shape(level, shape)
    prior = base.synthesise(coded.c, fineness, shape, _STEPS).refined
    symbols = symbols_of(pad(planes.to_planes(image), MULTIPLE), prior, name)
    data = bits.interleave(bits.pack(symbols), latent, PAPER_BLOCK)

    def receive(share: float, rng: np.random.Generator) -> np.ndarray:
        came = bits.deinterleave(*erase_blocks(data, share, PAPER_BLOCK, rng), latent, PAPER_BLOCK, told)
        with torch.inference_mode():
            known = (torch.from_numpy(each)[None].float() for each in came)
            return planes.to_image(network.receive(*known, prior)[1], shape)

    # Blocks are filled up with zeros, which is not counted: a stream of another length has none.
    return Sent(8 * len(coded.data), symbols.size, receive)


def chunks(image: np.ndarray, all_bits: bool) -> Sent:
    """Our residual, in LDPC blocks; `all_bits`: the base layer's bits count too."""
    shape = tuple(image.shape)
    fineness, coded = base_layer(image, _LARGEST_BASE if all_bits else None)
    room = BITS_PER_PIXEL * shape[0] * shape[1] - (8 * len(coded.data) if all_bits else 0)
    prior = base.synthesise(coded.c, fineness, shape, _STEPS).refined
    blocks = max(int(room / 8 / LDPC_BLOCK), 1)
    own = sent_chunks(image, prior, coded.c, fineness, blocks, LDPC_BLOCK)
    known = Ds2c2Parameters("dispersed", fineness, _STEPS, own.step, len(coded.data))

    def receive(share: float, rng: np.random.Generator) -> np.ndarray:
        data, came = erase_blocks(own.data, share, LDPC_BLOCK, rng)
        return image_of(coded.c, ReceivedDigital(data, came, (), LDPC_BLOCK), known, shape)

    return Sent(8 * len(coded.data), 8 * len(own.data), receive)


def learned(image: np.ndarray, training: str, losses: str) -> Sent:
    """The learned image codec without protection, in the paper's blocks."""
    shape, (network, coder) = tuple(image.shape), lic_network.load(lic.WEIGHTS[training])
    codes = lic.Codes(network, coder, image)
    level = codes.finest(lambda size: 8 * size <= BITS_PER_PIXEL * shape[0] * shape[1])
    code = codes[level]

    def receive(share: float, rng: np.random.Generator) -> np.ndarray:
        data, came = erase_blocks(code, share, PAPER_BLOCK, rng)
        intact = len(data) if losses == "zeros" or came.all() else int(np.argmin(came))
        latents = lic_coding.decode(coder, Reader(data, intact), lic.positions(shape), level)
        return lic.reconstruct(network, latents, level, shape)

    return Sent(0, 8 * len(code), receive)


def repaired(image: np.ndarray) -> Sent:
    """HEVC with RaptorQ, in LDPC blocks, all bits counted."""
    shape = tuple(image.shape)
    room, protection = int(BITS_PER_PIXEL * shape[0] * shape[1] / 8), Protection(_REPAIR)
    still = hevc_rate.fit(image, erasure.source_room(room, protection, LDPC_BLOCK))
    data = erasure.protect(still, protection, LDPC_BLOCK)

    def receive(share: float, rng: np.random.Generator) -> np.ndarray:
        came = ReceivedDigital(*erase_blocks(data, share, LDPC_BLOCK, rng), (), LDPC_BLOCK)
        try:
            return hevc.decode(erasure.recover(came, len(still), LDPC_BLOCK)[0], shape)
        except HscError:
            return np.full(shape, GREY, np.uint8)

    return Sent(0, 8 * len(data), receive)


def rows() -> list[Row]:
    """The rows of the table."""
    level, half = RATES.index("0.26"), RATES.index("0.13")
    usual, clean, at_8 = (weights_of(level) + end for end in ("", "-clean", "-8"))
    return [
        Row("binary (A), trained clean, not told", lambda image: binary(image, clean, level, False)),
        Row("binary (A), trained clean, told", lambda image: binary(image, clean, level, True)),
        Row("binary (A), trained at 8 %, not told", lambda image: binary(image, at_8, level, False)),
        Row("binary (A), trained at 8 %, told", lambda image: binary(image, at_8, level, True)),
        Row("binary (A), not told", lambda image: binary(image, usual, level, False)),
        Row("binary (A), told", lambda image: binary(image, usual, level, True)),
        Row("binary (B), told", lambda image: binary(image, weights_of(half), half, True, True)),
        Row("dispersed (A), told", lambda image: chunks(image, all_bits=False)),
        Row("dispersed (B), told", lambda image: chunks(image, all_bits=True)),
        Row("lic (B), zeros", lambda image: learned(image, "clean", "zeros")),
        Row("lic (B), trained at 8 %, zeros", lambda image: learned(image, "erased", "zeros")),
        Row("lic (B), stops", lambda image: learned(image, "clean", "stop")),
        Row("HEVC (B), RaptorQ for 16 %", repaired),
    ]


def table1(
    given: Given, erased: Sequence[float] = ERASED, name: str = "ds2c2-table1", images: str = "Kodak"
) -> Curves:
    """Every row over the shares erased; the same random numbers for an image in every row.

    Args:
        given: the images.
        erased: shares of the blocks.
        name: of the result.
        images: what they are, for its description.
    """
    series, findings = [], {}
    for row in rows():
        given.progress(row.label)
        try:
            found = [_measured(row, image, seed, erased) for seed, image in enumerate(given.images.values())]
        except HscError as error:
            given.progress(f"left out: {row.label} ({error})")
            continue
        quality, spent = (np.array(each) for each in zip(*found, strict=True))
        mean, width = mean_and_confidence(quality.T)
        bits_per_pixel = spent.mean(0)
        also = {
            "base_bpp": [float(bits_per_pixel[0])] * len(erased),
            "residual_bpp": [float(bits_per_pixel[1])] * len(erased),
        }
        x = Axis("erased", "share of blocks erased", list(erased))
        confidence = width if len(found) > 1 else None
        series.append(Series(row.label, "measured", x, Axis("psnr", "dB", mean), confidence, also))
        for share, psnr in zip(erased[1:], mean[1:], strict=True):
            findings[f"{row.label}: loss at {share:.0%} erased [%]"] = float(100 * (1 - psnr / mean[0]))
    text = (
        f"{images}, {BITS_PER_PIXEL:g} bits per pixel: (A) of the residual alone, behind a base layer of "
        f"fineness {_FINENESS} without errors; (B) of all that is sent, with the finest base layer that "
        f"leaves room. Blocks of {PAPER_BLOCK} bytes for binary and lic, of {LDPC_BLOCK} for dispersed and "
        "HEVC."
    )
    return Curves(name, text, given.command, series, {"images": len(given.images), **findings}, None)


def _measured(
    row: Row, image: np.ndarray, seed: int, erased: Sequence[float]
) -> tuple[list[float], tuple[float, float]]:
    """PSNR [dB] for each share, and bits per pixel of base layer and residual."""
    sent, pixels = row.send(image), image.shape[0] * image.shape[1]
    rng = [np.random.default_rng([seed, i]) for i in range(len(erased))]
    found = [
        metrics.psnr_db(sent.receive(share, each), image) for share, each in zip(erased, rng, strict=True)
    ]
    return found, (sent.base / pixels, sent.residual / pixels)
