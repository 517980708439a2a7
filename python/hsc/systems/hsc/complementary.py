"""The complementary representation (CR) of HSC at the transmitter, eq. (2): how it is coded, and within what
budget. How much of it a target takes is in `cr_rate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...coding import budget, erasure
from ...coding.protection import Protection
from ...errors import HscError
from ...message import Link
from ...phy import digital
from ...phy import mcs as mcs_table
from ...phy.adaptation import loss_of
from . import cr, cr_progressive, cr_rate, models, recomposition
from .cr_source import Source
from .options import AUTO, CODINGS, LARGEST_RANK, TUNINGS, HscOptions
from .parameters import HscParameters
from .semantic import Prediction

# MCS of the CR where a rank is given or nothing is known of the link: section IV-A of the paper.
DEFAULT_MCS = "16QAM-1/2"
# Its code. Whoever names it names no MCS: comparisons do, for every codec (`evaluation.plan.Case`).
_CODE = mcs_table.by_name(DEFAULT_MCS).code
# Share of repair symbols where nothing is known of losses: none, as the paper has it. An image without its CR
# is still one.
_USUAL_SHARE = 0.0
# CBR of a digit where nothing else is said: three LDPC blocks.
DEFAULT_CBR_DIGIT = 0.67
# CBR of a photograph where nothing else is said: what papers on such codecs measure at.
DEFAULT_CBR_PHOTO = 1 / 6
# Values of an image that is small enough to try all ranks near exactness.
_SMALL_IMAGE = 4096
# MSE from which on one row more can move a pixel across a rounding edge: 60 dB.
_NEARLY_EXACT = 1e-6


@dataclass(frozen=True)
class Complementary:
    """A CR as it is sent.

    Attributes:
        data: the digital stream, with its repair symbols; empty at rank 0.
        parameters: of the message.
    """

    data: bytes
    parameters: HscParameters


def encode(
    image: np.ndarray,
    predicted: Prediction,
    options: HscOptions,
    uses: int | None = None,
    mcs: str = DEFAULT_MCS,
    link: Link = Link(),  # noqa: B008 - frozen
) -> Complementary:
    """uint8 image (H, W, C) and what is known of its SR → CR, eq. (2).

    Args:
        predicted: with draws of G over the link these choose the coding where `cr` is "auto"; with
            "projection" the error matrix is the mean over them, so that A covers the channel's share of the
            error too; and a PSNR is that of an image made with them.
        uses: most channel uses of SR and CR, repair symbols included. None: those of the options' CBR, else
            of `usual_cbr`; with a rank or a PSNR no limit.
        mcs: that the CR is sent with.
        link: what is known of its losses.

    Raises:
        HscError: a G that is not of this image, a rank above the image's height, a CR that is too long for
            repair symbols, or a budget that the SR alone exceeds (`budget.TooFew`).
    """
    height, shape = image.shape[0], tuple(image.shape)
    if predicted.generated.shape != shape:
        raise HscError("the generated image does not belong to this image: check what is connected")
    if options.rank is not None and options.rank > height:
        raise HscError(
            f"rank {options.rank} is above full rank: an image {height} pixels high has ranks 0 to {height}"
        )
    if uses is None and options.rank is None and options.psnr_db is None:
        uses = budget.channel_uses(Link(cbr=options.cbr), shape, usual_cbr(shape))
    protection = Protection.of(options.repair_share, link, mcs, uses or 0, _USUAL_SHARE)
    most = None if uses is None else _most_bytes(uses, shape, predicted.sr_uses, protection)
    if options.rank == 0 or (most == 0 and options.rank is None):
        return Complementary(b"", replace(predicted.parameters, rank=0))
    if height > LARGEST_RANK:
        raise HscError(
            f"the CR of an image {height} pixels high takes too long: scale it to {LARGEST_RANK} or less, "
            "or send rank 0"
        )
    make = _in_the_better_coding if options.cr == AUTO else _coded
    made = make(image, predicted, options, most)
    if uses is None:
        taken = predicted.sr_uses + digital.symbol_count(len(made.data), mcs)
        protection = replace(protection, uses=taken)
    return _protected(made, protection)


def mcs_of(options: HscOptions, link: Link) -> str:
    """MCS of the CR: the link's, else the option's, whose code alone counts where the link adapts; else the
    one of their code that carries most at the link's SNR. The paper's where no other code is named and the
    link does not adapt, and a rank is given or the SNR not known.
    """
    adaptive = link.most_threshold_db is not None
    own = mcs_table.code_of(options.mcs) if adaptive else options.mcs
    named = link.mcs or own or _CODE
    if named == _CODE and not adaptive and (options.rank is not None or link.snr_db is None):
        return DEFAULT_MCS
    return budget.mcs(replace(link, mcs=named))


def loss(options: HscOptions, link: Link) -> float:
    """Share of the packets whose loss the repair symbols are for, 0 to 1."""
    own = options.repair_share
    return loss_of((link.repair_share or _USUAL_SHARE) if own is None else own)


def usual_cbr(shape: tuple[int, int, int]) -> float:
    """CBR of an image (H, W, C) where nothing else is said."""
    return DEFAULT_CBR_DIGIT if tuple(shape) == models.DIGIT_SHAPE else DEFAULT_CBR_PHOTO


def _protected(made: Complementary, protection: Protection) -> Complementary:
    """A CR with its repair symbols, one to an LDPC block."""
    size = digital.payload_bytes_per_block(protection.mcs)
    if not _pays(protection, -(-len(made.data) // size)):
        return made
    data = erasure.protect(made.data, protection, size)
    return Complementary(data, replace(made.parameters, source_bytes=len(made.data)))


def _most_bytes(uses: int, shape: tuple[int, int, int], sr_uses: int, protection: Protection) -> int:
    """Bytes of CR that fit beside an image's SR and the repair symbols: whole LDPC blocks within so many
    channel uses. Raises `budget.TooFew` for too few.
    """
    if uses < sr_uses:
        advice = f"raise the CBR to at least {budget.least_cbr(sr_uses, shape):g}"
        raise budget.TooFew(f"{uses} channel uses do not hold the SR", sr_uses, advice)
    size = digital.payload_bytes_per_block(protection.mcs)
    each = digital.symbols_per_block(protection.mcs)
    blocks = min((uses - sr_uses) // each, digital.LARGEST_STREAM // size)
    if not _pays(protection, blocks):
        return blocks * size
    return min(erasure.source_room(blocks * size, protection, size), erasure.MOST_SOURCE_SYMBOLS * size)


def _pays(protection: Protection, blocks: int) -> bool:
    """Whether so many blocks have repair symbols: where the share is a block at least. A digit has three, and
    a whole one against the loss of a tenth would cost it 6 dB.
    """
    return protection.share * blocks >= 1


def _in_the_better_coding(
    image: np.ndarray, predicted: Prediction, options: HscOptions, most: int | None
) -> Complementary:
    """As residual where the link is not known; else as residual or projection, whichever gives less error, or
    with a target PSNR meets it in fewer bytes.
    """
    unaware = predicted if options.psnr_db is not None else replace(predicted, noisy=())
    residual = _coded(image, unaware, replace(options, cr="residual"), most)
    if not predicted.noisy:
        return residual
    projection = _coded(image, predicted, replace(options, cr="projection"), most)

    def price(made: Complementary) -> tuple[float, int]:
        errors = recomposition.errors(image, made.data, made.parameters, predicted.noisy)
        if options.psnr_db is None:
            return errors.mean(), 0
        return max(cr_progressive.sure(errors), 10 ** (-options.psnr_db / 10)), len(made.data)

    return min(residual, projection, key=price)


def _coded(image: np.ndarray, predicted: Prediction, options: HscOptions, most: int | None) -> Complementary:
    """The CR in one coding, within `most` bytes."""
    noisy, parameters = predicted.noisy, predicted.parameters
    # A draw that A was made for flatters it: with a target every second one makes A, and all count.
    known, counted = (noisy[::2], noisy) if options.psnr_db is not None else (noisy, ())
    of_residual = options.cr == "residual"
    generated = known if known and not of_residual else (predicted.generated,)
    source = Source.of(image / 255.0, generated, of_residual, counted)

    def make(wanted: HscOptions) -> Complementary:
        rows = cr_rate.code(source, wanted, most)
        told = replace(
            parameters,
            coding=CODINGS.index(options.cr),
            reversible=options.jpeg2000_ratio == 1,
            step=rows.step,
            rank=rows.rank,
        )
        return Complementary(rows.data, told)

    made = make(options)
    for_adapters = TUNINGS[parameters.tuning] == "ncr"
    if not options.rank or noisy or for_adapters or image.size > _SMALL_IMAGE:
        return made
    # Near exactness one row more can move one pixel across a rounding edge: send the smallest rank that is as
    # good as any below it.
    first = max(1, cr.smallest_rank(source.tails, _NEARLY_EXACT * image.size))
    candidates = [*(make(replace(options, rank=rank)) for rank in range(first, options.rank)), made]

    def error(candidate: Complementary) -> float:
        known = recomposition.errors(image, candidate.data, candidate.parameters, (predicted.generated,))
        return known.mean()

    return min(candidates, key=error)
