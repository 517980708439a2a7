"""HDA allocation: z is split in two, and a message's channel uses are shared out between the two parts.

    z ─┬─▶ hyper encoder ─▶ z_D ─▶ rounding ─▶ entropy coder, cipher, repair symbols (digital)
       └─▶ z_A = z − z̃ ─▶ channel encoder, choice, gains, whitening (analog)

A split at one quality has a price in channel uses, and leaves an error that the tables predict: both ends'
tables know the power of every coefficient. `allocate` is the box of the paper's figure 2; what stands before
it serves `hevc_codec` too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from ...coding import activity, analog_part, budget, whitening
from ...coding.analog_part import Selection
from ...coding.entropy import EntropyTables
from ...errors import HscError
from ...message import Link, Message
from . import models
from .digital_part import LEAST_SHARE, Terms
from .models import Model
from .network import QUALITIES, dequantise, quantise
from .options import HdaOptions
from .parameters import MOST_BYTES, HdaParameters

NAME = "hda_deepsc"
# Es/N0 that the analog gains are made for when nothing is known of the link [dB].
_ONE_WAY_SNR_DB = 10.0
# Share of the channel uses that the digital part may take when no DA ratio limits it.
_LARGEST_SHARE = 0.9


@dataclass(frozen=True)
class Budget:
    """Channel uses of a message, and how they may be spent.

    Attributes:
        shape: (H, W, C) of the image.
        uses: complex channel uses of payload that the message may take.
        snr_db: Es/N0 that the analog gains are made for [dB].
        da_ratio: digital over analog channel uses, an upper limit; None to have it chosen.
        terms: how the digital part is sent.
    """

    shape: tuple[int, int, int]
    uses: int
    snr_db: float
    da_ratio: float | None
    terms: Terms

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        uses: int,
        link: Link,
        options: HdaOptions,
        share: float = LEAST_SHARE,
    ) -> Budget:
        """The budget of an image (H, W, C) that may take so many channel uses of a link; `share`: as in
        `Terms.of`. Raises HscError for an impossible link.
        """
        snr_db = _ONE_WAY_SNR_DB if link.snr_db is None else link.snr_db
        return cls(shape, uses, snr_db, options.da_ratio, Terms.of(shape, uses, link, options, share))

    @property
    def most_digital(self) -> int:
        """Channel uses that the DA ratio leaves to the digital part."""
        ratio = self.da_ratio
        return int(self.uses * (ratio / (1 + ratio) if ratio else _LARGEST_SHARE))

    @property
    def fineness(self) -> int:
        """Fineness of the activity that suits the price of a bit: where a search begins. Chosen by trial."""
        bits = self.terms.mcs.bits_per_use
        return 0 if bits >= 3 else 1 if bits >= 1 else 2

    def values_beside(self, digital_uses: int) -> int:
        """Analog values that fit beside the digital part; whitening fills up each region's last group."""
        return 2 * (self.uses - digital_uses) - len(self.terms.regions) * whitening.GROUP


@dataclass(frozen=True)
class Split:
    """z split in two at one quality.

    Attributes:
        quality: of the digital part.
        indices: int64 (rows, h/4, w/4), z_D as integers; no rows where another code stands for it.
        features: float (120, h, w), u = C(z_A).
        whole: bytes that serve the image as a whole.
        fine_colour: of `hda_hevc`: level of the base's fine colour that is added to what z gives.
        left: error that neither z nor the base's fine colour can mend, summed over all pixels.
    """

    quality: int
    indices: torch.Tensor
    features: torch.Tensor
    whole: bytes = b""
    fine_colour: int = 0
    left: float = 0.0


@dataclass(frozen=True)
class Allocation:
    """A split, what is said of the power of its analog part, and the price.

    Attributes:
        split: what is sent.
        fineness: of the activity.
        coded: int64 (rows, h/4, w/4), what is entropy coded: indices and activity.
        tables: that code it, one a row.
        log_power: int64 (120, h, w), what both ends know of the power of u.
        ranked: what decides of it: the same without the padding.
        selection: of the analog values that fit beside the digital part.
        digital_uses: channel uses of the digital part, nearly.
        error: that is to be expected, summed over all coefficients.
    """

    split: Split
    fineness: int
    coded: torch.Tensor
    tables: EntropyTables
    log_power: torch.Tensor
    ranked: torch.Tensor
    selection: Selection
    digital_uses: int
    error: float


def priced(split: Split, fineness: int, model: Model, at: Budget) -> Allocation:
    """What a split costs and gives within a budget, at a fineness of the activity."""
    active = activity.latents(split.features[None], model.network.weight, fineness)
    log_power = activity.log_powers(model.log_power[split.quality, fineness], active, fineness)[0]
    coded = torch.cat([split.indices, active[0]])
    tables = model.entropy[split.quality][fineness]
    uses = at.terms.price(coded, tables, split.whole)
    ranked = analog_part.without_padding(log_power, at.shape)
    selection = analog_part.select(ranked, at.values_beside(uses), at.snr_db)
    error = analog_part.expected_error(split.features, log_power, ranked, selection, at.snr_db)
    return Allocation(split, fineness, coded, tables, log_power, ranked, selection, uses, error)


def cheapest(candidates: Iterable[Allocation]) -> Allocation | None:
    """The candidate with the least expected error of some whose errors fall and then rise: none is asked for
    after the first that is no better. None of none.
    """
    best = None
    for candidate in candidates:
        if best is not None and candidate.error >= best.error:
            break
        best = candidate
    return best


def message(codec: str, profile: int, chosen: Allocation, at: Budget) -> Message:
    """An allocation → the message, within the budget; `profile`: as in `HdaParameters`. Raises
    `budget.TooFew` when the digital part alone is beyond the budget.
    """
    split, ranked, selection, terms = chosen.split, chosen.ranked, chosen.selection, at.terms
    codes = terms.codes(chosen.coded, chosen.tables, split.whole)
    n_bytes = terms.length(codes)
    uses = terms.uses(n_bytes)
    if uses > at.uses:
        raise budget.TooFew(f"{at.uses} channel uses are too few for {codec} at {terms.mcs.name}", uses)
    if n_bytes > MOST_BYTES:
        raise HscError(
            f"the digital part of {codec} has {n_bytes} bytes, and {MOST_BYTES} are the most: "
            "give a smaller CBR or image"
        )
    if analog_part.length(ranked, selection, terms.regions) > 2 * (at.uses - uses):
        # The digital part came out longer than foreseen.
        selection = analog_part.select(ranked, at.values_beside(uses), at.snr_db)
    values, first = analog_part.gather(split.features, chosen.log_power, selection, terms.regions, ranked)
    parameters = HdaParameters(profile, split.quality, chosen.fineness, selection, n_bytes)
    return Message(codec, at.shape, parameters.pack(), values, (terms.sealed(codes, first),))


@torch.inference_mode()
def allocate(z: torch.Tensor, shape: tuple[int, int, int], link: Link, options: HdaOptions) -> Message:
    """HDA allocation and both coders of HDA-DeepSC, eqs. (13) to (15), (3), (4): z (120, h, w) of an image
    (H, W, C) → message. Raises HscError for too small a CBR.
    """
    latents = models.common().network.hyper.encode(z[None])[0]  # z_D, eq. (13)
    return budget.within(
        link, shape, lambda uses: _allocate(z, latents, Budget.of(shape, uses, link, options))
    )


def _allocate(z: torch.Tensor, latents: torch.Tensor, at: Budget) -> Message:
    best = cheapest(_qualities(z, latents, at))
    best = cheapest(_coarser_activity(best, at))
    cbr, analog_uses = at.uses / math.prod(at.shape), max(at.uses - best.digital_uses, 1)
    profile = models.nearest(cbr, best.digital_uses / analog_uses)
    return message(NAME, profile.number, best, at)


def _qualities(z: torch.Tensor, latents: torch.Tensor, at: Budget) -> Iterator[Allocation]:
    """Allocations from the finest quality on whose digital part the DA ratio admits, at least the coarsest
    one; the first alone when a ratio is given, which it comes nearest to.
    """
    model = models.common()
    for quality in range(QUALITIES):
        indices = quantise(latents, quality)
        coarsest = quality == QUALITIES - 1
        if not coarsest and at.terms.price(indices, model.entropy[quality][at.fineness]) > at.most_digital:
            continue  # The latents alone are too dear: what they leave over need not be computed.
        found = priced(_split(z, indices, quality, model), at.fineness, model, at)
        if coarsest or found.digital_uses <= at.most_digital:
            yield found
            if at.da_ratio:
                return


def _coarser_activity(found: Allocation, at: Budget) -> Iterator[Allocation]:
    """An allocation, and then the same split with a coarser and coarser activity."""
    yield found
    for fineness in range(found.fineness + 1, len(activity.STEPS)):
        yield priced(found.split, fineness, models.common(), at)


def _split(z: torch.Tensor, indices: torch.Tensor, quality: int, model: Model) -> Split:
    """Eqs. (15) and (3): z (120, h, w), and z_D (256, h/4, w/4) rounded at a quality → the two parts."""
    base = model.network.hyper.decode(dequantise(indices[None], quality))  # z̃
    features = model.network.channel_encode(z[None] - base)[0]  # u = C(z_A) of z_A = z − z̃, eqs. (15), (3)
    return Split(quality, indices, features)
