"""How `hda_hevc` shares out the channel uses of an image between base and analog part: the split with the
least expected error, found with quick sketches of the base.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...coding import activity, budget, hevc, hevc_rate, nnpf
from ...coding.analog_part import Selection
from ...coding.regions import grid
from ...message import Message
from ...metrics import mse
from .allocation import Allocation, Budget, Split, cheapest, message, priced
from .codec import semantic_encode
from .hevc_model import ALONE, FINE_COLOUR, NAME, energies, fine_colour, levels, load, residual_class
from .parameters import MOST_BYTES, HdaParameters

# Digital shares of the channel uses that are tried, by the code and the bits per channel use of the MCS: the
# dearer a bit, the more it takes; and 5G NR has as many at a lower SNR, where the analog part does less.
# Chosen by trial.
_SHARES = {
    "802.11ad": (
        (0.7, (0.3, 0.6, 0.9)),
        (1.5, (0.2, 0.4, 0.7)),
        (2.2, (0.12, 0.22, 0.35)),
        (9.9, (0.05, 0.1, 0.2)),
    ),
    "nr": (
        (0.8, (0.65, 0.75, 0.9)),
        (1.8, (0.3, 0.42, 0.55, 0.7)),
        (3.0, (0.12, 0.22, 0.35, 0.5)),
        (9.9, (0.05, 0.1, 0.2)),
    ),
}
# Digital share that is tried as well where fine colour that z leaves out is more than so much of the error.
# Chosen by trial.
_LARGE_SHARE, _MUCH = 0.9, 0.3
# A base alone is made where its sketch promises less error than the hybrid's; it is sent where it has less
# than the first of these times that, else where it has less than the second times that of the hybrid
# itself, of which the restorer takes about 0.2 dB. And ln of its error for each ln of the bytes that the
# sketch is longer: 7 dB. Chosen by trial: in 60 cases of Kodak no base was passed over that would have been
# sent.
_CLEARLY, _BETTER, _ALONE_BY_EXCESS = 0.88, 0.945, 1.7
# Channel uses below which an HEVC picture takes about half of them. Chosen by trial.
_SMALL = 8000
# Bytes of the activity of a latent position by fineness, typically. Chosen by trial.
_ACTIVITY_BYTES = (7.0, 4.0, 2.5, 0.8)
# Share of a digital part's bytes that LDPC blocks carry, typically: the rest are CRCs and the last block's
# filling. Chosen by trial.
_FILLED = 0.95
# ln of the error for each ln of the bytes that a sketch is longer than the base it stands for: 2.5 dB. Chosen
# by trial.
_BY_EXCESS = 0.58


@dataclass(frozen=True)
class Source:
    """An image uint8 (H, W, C), its z (120, h, w), and the fine colour that z leaves out (1, 3, 8h, 8w)."""

    image: np.ndarray
    z: torch.Tensor
    fine_colour: torch.Tensor

    @classmethod
    def of(cls, image: np.ndarray) -> Source:
        """Raises HscError for an image that cannot be served."""
        return cls(image, semantic_encode(image, load()), fine_colour(image))


@dataclass(frozen=True)
class _Base:
    """A base, or a sketch that stands for one.

    Attributes:
        code: as long as the one that is sent.
        picture: uint8 (H, W, C).
        excess: ln of the bytes that a code of the sketch's quality has, typically, over those of the base.
    """

    code: bytes
    picture: np.ndarray
    excess: float = 0.0


def best_message(source: Source, at: Budget, all_digital: Budget) -> Message:
    """The message with the least expected error, within a budget for both parts or one for the digital part
    alone. Raises `budget.TooFew` when no base fits.

    What share of the channel uses a base should take is found with sketches of it, then the base is made.
    Where it is better still alone, without an analog part, it gets everything.
    """
    needed: list[int] = []
    # one for each budget: what it was asked before decides what it finds
    shares, coder = shares_of(at), hevc_rate.Coder(source.image)

    def sketch(room: int) -> _Base:
        made = coder.sketch(room)
        return _Base(bytes(room), hevc.decode(made.code, coder.image.shape), made.excess)

    def base(room: int) -> _Base:
        made = nnpf.fit(coder, room)
        return _Base(made.code, made.picture())

    found = None
    if len(shares) > 1:
        found = cheapest(_allocations(source, at, shares, needed, sketch))
        if found and found.split.left > _MUCH * found.error:
            shares = *shares, _LARGE_SHARE
            found = cheapest([found, *_allocations(source, at, shares[-1:], needed, sketch)])
        size = len(found.split.whole) if found else None
        shares = [share for share in shares if _room(at, share) == size]
    alone = None if at.da_ratio else _alone(coder, all_digital, found.error if found else math.inf, needed)
    if alone and found and alone[1] < _CLEARLY * found.error:
        return alone[0]
    best = cheapest(_allocations(source, at, shares, needed, base))
    if alone and (best is None or alone[1] < _BETTER * best.error):
        return alone[0]
    if best is None:
        raise budget.TooFew(
            f"{at.uses} channel uses are too few for {NAME} at {at.terms.mcs.name}", min(needed)
        )
    return message(NAME, best.split.fine_colour, best, at)


def _alone(
    coder: hevc_rate.Coder, at: Budget, error: float, needed: list[int]
) -> tuple[Message, float] | None:
    """The message of a base that has all channel uses, and its squared error summed over all pixels; None
    where that is not less than `error`, or where no base fits: `needed` takes the channel uses that one would
    have to have.
    """
    image, terms, chunks = coder.image, at.terms, len(at.terms.regions) + 1
    room = min(terms.room(at.uses, chunks), MOST_BYTES - terms.beside(chunks))
    try:
        sketch = coder.sketch(room)
        promised = image.size * mse(hevc.decode(sketch.code, image.shape), image)
        if promised * math.exp(_ALONE_BY_EXCESS * sketch.excess) > error:
            return None
        made = nnpf.fit(coder, room)
    except budget.TooFew as few:
        needed.append(terms.uses(few.needed + terms.beside(chunks)))
        return None
    codes, left = [*[b""] * len(terms.regions), made.code], image.size * made.error
    if left >= error:
        return None
    parameters = HdaParameters(ALONE, 0, 0, Selection(0, 0), terms.length(codes)).pack()
    return Message(NAME, at.shape, parameters, None, (terms.sealed(codes, [0] * len(terms.regions)),)), left


def _allocations(
    source: Source,
    at: Budget,
    shares: Sequence[float],
    needed: list[int],
    make: Callable[[int], _Base],
) -> Iterator[Allocation]:
    """The best allocation for each share of the channel uses that a base may take, from the smallest on,
    where it fits; `needed` takes the channel uses that each would have had to have. `make`: a base of so many
    bytes, or a sketch of it.
    """
    for share in shares:
        try:
            base = make(_room(at, share))
        except budget.TooFew as few:
            needed.append(math.ceil((few.needed + _beside_base(at)) / _bytes_per_use(at, share)))
            continue
        split = _split(source, base)
        if best := cheapest(_finenesses(split, at, needed)):
            yield replace(best, error=best.error * math.exp(_BY_EXCESS * base.excess) + split.left)


def _finenesses(split: Split, at: Budget, needed: list[int]) -> Iterator[Allocation]:
    """A split with a coarser and coarser activity, where it fits, for `cheapest`, which stops at the first
    that is no better; `needed` as above.
    """
    for fineness in range(at.fineness, len(activity.STEPS)):
        tried = priced(split, fineness, load(), at)
        needed.append(tried.digital_uses + 1)
        if tried.digital_uses < at.uses:
            yield tried


@torch.inference_mode()
def _split(source: Source, base: _Base) -> Split:
    """An image and its base → the two parts."""
    model = load()
    known = semantic_encode(base.picture, model)  # z̃
    analog = source.z - known  # z_A, eq. (15)
    features = model.network.channel_encode(analog[None])[0]  # u = C(z_A), eq. (3)
    no_indices = torch.zeros((0, *grid(*base.picture.shape[:2])), dtype=torch.int64)
    quality = residual_class(features, energies())
    return Split(quality, no_indices, features, base.code, *_added(source.fine_colour, base.picture))


def _added(wanted: torch.Tensor, picture: np.ndarray) -> tuple[int, float]:
    """Level of a base's fine colour that comes nearest to an image's (1, 3, 8h, 8w), and the squared error
    that is left, summed over all pixels of the picture.
    """
    height, width = picture.shape[:2]
    wanted, own = (each[..., :height, :width] for each in (wanted, fine_colour(picture)))
    (level,) = levels(wanted, own).tolist()
    return int(level), float((wanted - level / FINE_COLOUR * own).square().sum())


def shares_of(at: Budget) -> tuple[float, ...]:
    """Digital shares of the channel uses to try, the smallest first."""
    ratio = at.da_ratio
    if ratio:
        return (ratio / (1 + ratio),)
    chosen = at.terms.mcs
    usual = next(shares for most, shares in _SHARES[chosen.code] if chosen.bits_per_use <= most)
    return usual if at.uses > _SMALL else (0.5,)


def _room(at: Budget, share: float) -> int:
    """Bytes for the base where the digital part takes that share of the channel uses."""
    return int(at.uses * _bytes_per_use(at, share)) - _beside_base(at)


def _bytes_per_use(at: Budget, share: float) -> float:
    """Bytes of the digital part for each channel use of the message, when it takes `share` of them."""
    return share * at.terms.mcs.bits_per_use / 8 * _FILLED * at.terms.data_share(int(share * at.uses))


def _beside_base(at: Budget) -> int:
    """Bytes of the digital part that are not the base, typically."""
    positions = math.prod(grid(*at.shape[:2]))
    return at.terms.overhead + int(_ACTIVITY_BYTES[at.fineness] * positions)
