"""A hybrid that the papers lack: an HEVC-intra base, and HDA-DeepSC's analog layer and semantic decoder for
what it leaves over.

    image ─┬─▶ HEVC intra, post-filter ─▶ base ─▶ semantic encoder ─▶ z̃ ─┐
           └─▶ semantic encoder ─▶ z ─────────────────────────────────────┴─▶ z_A = z − z̃ ─▶ analog

    base, analog ─▶ fusion ─▶ ẑ ─▶ inverse transform ─▶ restorer, which sees the base too ─▶ image

The base and the activity of z_A are the digital part. The split of the channel uses follows the SNR: the one
with the least expected error. z leaves out the finest colour; the receiver takes it from the base, as much of
it as does good: range-null-space recomposition, as HSC's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import torch

from ... import weights
from ...codecs.contract import Decoded
from ...coding import activity, budget, hevc, nnpf
from ...coding.analog_part import Selection
from ...coding.regions import grid
from ...coding.stored_tables import unpack_tables
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn.planes import check_shape, to_image, to_planes
from ...nn.transform import beyond, pad
from ...refiner import bands
from . import digital_part, models
from .allocation import Allocation, Budget, Split, cheapest, message, priced
from .base import HdaCodec
from .codec import semantic_encode
from .fusion import Fused, join, notices
from .models import Model
from .network import MULTIPLE
from .parameters import HdaParameters
from .restorer import Restorer, ready, restored

NAME, WEIGHTS = "hda_hevc", "hda-hevc"
# Beginning of the names of the restorer's weights.
RESTORER = "restorer."
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
        (1.8, (0.2, 0.4, 0.7)),
        (3.0, (0.12, 0.22, 0.35)),
        (9.9, (0.05, 0.1, 0.2)),
    ),
}
# Digital share that is tried as well where fine colour that z leaves out is more than so much of the error.
# Chosen by trial.
_LARGE_SHARE, _MUCH = 0.9, 0.3
# `HdaParameters.profile`: levels of the base's fine colour that the receiver adds, from none to all of it;
# and the base alone, as it is.
FINE_COLOUR, ALONE = 5, 6
# A base alone is made where its sketch promises an error of at most so many times the hybrid's, and is sent
# where it has less than so many times that; and ln of its error for each ln of the bytes that the sketch is
# longer: 7 dB. Chosen by trial.
_PROMISING, _BETTER, _ALONE_BY_EXCESS = 1.12, 0.98, 1.7
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
# Variance of what an HEVC base leaves over, in that of z, roughly. Chosen by trial.
_LEFT_OVER = 0.01


@lru_cache(maxsize=1)
def load() -> Model:
    """HDA-DeepSC's networks, and tables fitted to what HEVC leaves over. They are for 12 classes of residual,
    weak to strong, in place of the qualities, and have the activity's rows alone. Raises HscError when
    weights are missing or damaged.
    """
    state = weights.load(WEIGHTS)
    entropy = tuple(tuple(map(unpack_tables, parts)) for parts in state["tables"])
    return Model(models.network({}), state["log_power"].long(), entropy)


@lru_cache(maxsize=1)
def load_restorer() -> Restorer:
    """The receiver's last stage. Raises HscError as `load`."""
    state = weights.load(WEIGHTS)
    return ready(True, {key[len(RESTORER) :]: state[key] for key in state if key.startswith(RESTORER)})


@lru_cache(maxsize=1)
def energies() -> np.ndarray:
    """log2 of the mean power of each class, float (12,); for the encoder only. Raises HscError as `load`."""
    return weights.load(WEIGHTS)["energy"].numpy()


def residual_class(features: torch.Tensor, energy: np.ndarray) -> int:
    """Class of a residual u (120, h, w): the one of the nearest power."""
    return int(np.argmin(np.abs(energy - float(features.square().mean().clamp_min(2.0**-40).log2()))))


class HdaHevcCodec(HdaCodec):
    """The codec; options as in `HdaOptions`. `da_ratio` None chooses the split by the SNR."""

    name = NAME
    weights = (models.COMMON, WEIGHTS, nnpf.WEIGHTS)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot
        be served.
        """
        source = _Source(image, semantic_encode(image, load()), _fine_colour(image))

        def make(uses: int) -> Message:
            of_share = partial(Budget.of, image.shape, uses, link, self.options)
            return _message(source, of_share(min(_shares(of_share()))), of_share(1.0))

        return budget.within(link, image.shape, make)

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when the base did not arrive."""
        check_shape(received.shape)
        known, model = HdaParameters.unpack(received.parameters), load()
        entropy, key = model.entropy[known.quality][known.fineness], self.options.key
        came = digital_part.receive(received, known.source_bytes, key, entropy, activity.LATENTS, whole=True)
        if came.whole is None:
            raise HscError(f"{NAME}: {_why_no_base(came.closed)}")
        picture = nnpf.decode(came.whole, received.shape)
        if known.profile == ALONE:
            return Decoded(picture, notices(came.closed))
        base = semantic_encode(picture, model)  # z̃
        table = model.log_power[known.quality, known.fineness]
        log_power = activity.log_powers(table, came.coded[None], known.fineness)[0]
        alone = Fused(base, _LEFT_OVER * model.network.deviation.square()[:, None, None])
        fused = join(base, log_power, came, received, known.selection, model.network, alone)
        image = to_image(_decode(fused, picture, known.profile), received.shape)
        return Decoded(image, notices(fused.closed), bands.of_image(fused.variance, received.shape))


def _decode(fused: Fused, picture: np.ndarray, level: int) -> torch.Tensor:
    """Eq. (12): ẑ and the base's picture → planes (1, 3, 8h, 8w); `level` of the base's fine colour."""
    base = pad(to_planes(picture), MULTIPLE)
    image = load().network.transform.inverse(fused.z[None]) + level / FINE_COLOUR * beyond(base)
    return restored(load_restorer(), image, fused.variance[None], base)


def _why_no_base(closed: int) -> str:
    if closed:
        return notices(closed)[0]
    return "the digital base did not arrive: send at a more robust MCS, or with a larger repair share"


def _fine_colour(image: np.ndarray) -> torch.Tensor:
    """What z leaves out of an image uint8 (H, W, C): planes (1, 3, 8h, 8w)."""
    return beyond(pad(to_planes(image), MULTIPLE))


@dataclass(frozen=True)
class _Source:
    """An image uint8 (H, W, C), its z (120, h, w), and the fine colour that z leaves out (1, 3, 8h, 8w)."""

    image: np.ndarray
    z: torch.Tensor
    fine_colour: torch.Tensor


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


def _message(source: _Source, at: Budget, all_digital: Budget) -> Message:
    """The message with the least expected error, within a budget for both parts or one for the digital part
    alone. Raises `budget.TooFew` when no base fits.

    What share of the channel uses a base should take is found with sketches of it, then the base is made.
    Where it is better still alone, without an analog part, it gets everything.
    """
    needed: list[int] = []
    shares, sketches, image = _shares(at), {}, source.image

    def sketch(room: int) -> _Base:
        made = sketches[room] = hevc.sketch(image, room)
        return _Base(bytes(room), hevc.decode(made.code, image.shape), made.excess)

    def base(room: int) -> _Base:
        return _Base(*nnpf.fit(image, room, sketches.get(room)))

    found = None
    if len(shares) > 1:
        found = cheapest(_allocations(source, at, shares, needed, sketch))
        if found and found.split.left > _MUCH * found.error:
            shares = *shares, _LARGE_SHARE
            found = cheapest([found, *_allocations(source, at, shares[-1:], needed, sketch)])
        size = len(found.split.whole) if found else None
        shares = [share for share in shares if _room(at, share) == size]
    alone = None if at.da_ratio else _alone(image, all_digital, found.error if found else math.inf, needed)
    if alone and found:
        return alone[0]
    best = cheapest(_allocations(source, at, shares, needed, base))
    if alone and (best is None or alone[1] < best.error):
        return alone[0]
    if best is None:
        raise budget.TooFew(
            f"{at.uses} channel uses are too few for {NAME} at {at.terms.mcs.name}", min(needed)
        )
    return message(NAME, best.split.fine_colour, best, at)


def _alone(image: np.ndarray, at: Budget, error: float, needed: list[int]) -> tuple[Message, float] | None:
    """The message of a base that has all channel uses, and its squared error summed over all pixels; None
    where that is not less than `error`, or where no base fits: `needed` takes the channel uses that one would
    have to have.
    """
    terms, chunks = at.terms, len(at.terms.regions) + 1
    room = terms.room(at.uses, chunks)
    try:
        sketch = hevc.sketch(image, room)
        promised = _error(hevc.decode(sketch.code, image.shape), image)
        if promised * math.exp(_ALONE_BY_EXCESS * sketch.excess) > _PROMISING * error:
            return None
        code, picture = nnpf.fit(image, room, sketch)
    except budget.TooFew as few:
        needed.append(terms.uses(few.needed + terms.beside(chunks)))
        return None
    codes, left = [*[b""] * len(terms.regions), code], _error(picture, image)
    if left >= _BETTER * error:
        return None
    parameters = HdaParameters(ALONE, 0, 0, Selection(0, 0), terms.length(codes)).pack()
    return Message(NAME, at.shape, parameters, None, (terms.sealed(codes, [0] * len(terms.regions)),)), left


def _error(picture: np.ndarray, image: np.ndarray) -> float:
    """Squared error summed over all pixels in [0, 1]."""
    return float(np.square(picture.astype(np.float32) - image).sum()) / 255**2


def _allocations(
    source: _Source,
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
        split, finenesses = _split(source, base), range(at.fineness, len(activity.STEPS))
        tried = [priced(split, fineness, load(), at) for fineness in finenesses]
        needed += [each.digital_uses + 1 for each in tried]
        fitting = [each for each in tried if each.digital_uses < at.uses]
        if fitting:
            best = min(fitting, key=lambda each: each.error)
            yield replace(best, error=best.error * math.exp(_BY_EXCESS * base.excess) + split.left)


@torch.inference_mode()
def _split(source: _Source, base: _Base) -> Split:
    """An image and its base → the two parts."""
    model = load()
    known = semantic_encode(base.picture, model)  # z̃
    analog = source.z - known  # z_A, eq. (15)
    features = model.network.channel_encode(analog[None])[0]  # u = C(z_A), eq. (3)
    no_indices = torch.zeros((0, *grid(*base.picture.shape[:2])), dtype=torch.int64)
    quality = residual_class(features, energies())
    return Split(quality, no_indices, features, base.code, *_added(source.fine_colour, base.picture))


def _added(fine_colour: torch.Tensor, picture: np.ndarray) -> tuple[int, float]:
    """Level of a base's fine colour that comes nearest to an image's (1, 3, 8h, 8w), and the squared error
    that is left, summed over all pixels.
    """
    own = _fine_colour(picture)
    (level,) = _levels(fine_colour, own).tolist()
    return int(level), float((fine_colour - level / FINE_COLOUR * own).square().sum())


def _levels(fine_colour: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Levels (B,) of fine colours of bases that come nearest to those of images, (B, 3, 8h, 8w) both."""
    gain = (fine_colour * own).sum((1, 2, 3)) / own.square().sum((1, 2, 3)).clamp_min(1e-9)
    return gain.clamp(0, 1).mul(FINE_COLOUR).round()


def fine_colour_added(images: torch.Tensor, bases: torch.Tensor) -> torch.Tensor:
    """What a receiver adds of the fine colour of bases, as it is told; both (B, 3, 8h, 8w)."""
    own = beyond(bases)
    return (_levels(beyond(images), own) / FINE_COLOUR)[:, None, None, None] * own


def _shares(at: Budget) -> tuple[float, ...]:
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
    return share * at.terms.mcs.bits_per_use / 8 * _FILLED * (1 - at.terms.repair_share)


def _beside_base(at: Budget) -> int:
    """Bytes of the digital part that are not the base, typically."""
    positions = math.prod(grid(*at.shape[:2]))
    return at.terms.overhead + int(_ACTIVITY_BYTES[at.fineness] * positions)
