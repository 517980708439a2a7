"""LRISC's transmitter: the latent z, its hyper-latent y, rate allocation, and the message.

Coding length. The paper's k_i = Q(−β log p(z_i | y)) depends on z_i, which a receiver does not know. Here it
is its expectation up to a constant, k_i = Q(β log2(σ_i(y) / σ₀)), Q rounding to 0 or 1: both ends compute it
from y in integers, and no index is sent. β meets the CBR, and what is not sent has a known variance σ_i². The
literal rule is an option (`literal.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...coding import analog_part, budget, erasure, whitening
from ...coding import regions as coding_regions
from ...coding.analog_part import Selection
from ...coding.protection import Protection
from ...errors import HscError
from ...message import DigitalStream, Link, Message
from ...nn import planes
from ...nn.transform import pad
from ...phy import digital
from ...phy import mcs as mcs_table
from . import colour, hyper, literal, roi, side
from .network import MULTIPLE, USUAL_SNR_DB, load_network
from .options import LriscOptions
from .parameters import MOST_BYTES, LriscParameters, sendable

NAME = "lrisc"
# LDPC code of the side information where the link names neither code nor MCS.
_CODE = "nr"
# How far below the link's SNR the threshold of its MCS lies at least [dB], where headers arrive there:
# nothing is decoded without it.
MARGIN_DB = 4.5
# Channel uses of analog values at least: one group of the whitening for each cell of 32 × 32 pixels, and two
# more, which the waves and all others may leave half empty. Without values an image is one colour.
LEAST_USES_OF_CELL, LEAST_USES = whitening.GROUP // 2, whitening.GROUP
# How many times their number of values the waves take: they are all strong, and none may be lost.
SPARE = 2


@dataclass(frozen=True)
class Terms:
    """How much may be sent of an image, and how.

    Attributes:
        shape: (H, W, C).
        uses: complex channel uses of payload.
        snr_db: Es/N0 that the gains are made for [dB].
        mcs: of the side information.
        protection: what the repair symbols of the side information are for.
        options: the codec's.
    """

    shape: tuple[int, int, int]
    uses: int
    snr_db: float
    mcs: str
    protection: Protection
    options: LriscOptions

    @classmethod
    def of(cls, shape: tuple[int, int, int], uses: int, link: Link, options: LriscOptions) -> Terms:
        """Those of a link. Raises HscError for an impossible one."""
        snr_db = USUAL_SNR_DB if link.snr_db is None else link.snr_db
        mcs = side_mcs(link, options.side_share * uses)
        protection = Protection.of(options.repair_share, link, mcs, uses)
        return cls(shape, uses, snr_db, mcs, protection, options)

    @property
    def cbr(self) -> float:
        """Channel uses over pixel values, three a pixel: what the networks are told."""
        return self.uses / (3 * self.shape[0] * self.shape[1])

    @property
    def texture(self) -> int:
        """Of `hyper.texture`, in eighths."""
        return round(self.options.texture * hyper.best_texture(self.cbr, self.snr_db))

    @property
    def block_bytes(self) -> int:
        """Bytes of an LDPC block, which a repair symbol has too."""
        return digital.payload_bytes_per_block(self.mcs)

    def side_uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes of side information with repair symbols and LDPC."""
        return budget.protected_uses(n_bytes, self.protection)


def side_mcs(link: Link, uses: float) -> str:
    """MCS of side information that takes about so many channel uses. Raises HscError for an unknown one."""
    link = link.with_code(_CODE)
    if link.snr_db is None:
        return budget.robust_mcs(link)
    margin_db = min(MARGIN_DB, max(link.snr_db - budget.HEADERS_DB, 0.0))
    found = mcs_table.by_name(budget.mcs(link, margin_db))
    if digital.code_block_count(uses, found) == 1:  # which has no repair symbols
        margin_db = max(margin_db, digital.margin_db(uses, found))
    return budget.mcs(link, margin_db)


@dataclass(frozen=True)
class Allocation:
    """Rate allocation of one image: y at a fineness, and the coding lengths that the rest of the budget
    allows.

    Attributes:
        fineness: of y.
        side: region of interest and y, coded; with literal lengths their mask behind.
        log_power: int64 (120, h, w), log2 of the second moment of z_i, σ²(y) where no mask tells more
            [1/64 octave].
        ranked: the same with the weights of region and texture: what decides.
        selection: coding lengths and gains.
        texture: of `hyper.texture`, in eighths.
        literal: whether the coding lengths are.
    """

    fineness: int
    side: bytes
    log_power: torch.Tensor
    ranked: torch.Tensor
    selection: Selection
    texture: int = 0
    literal: bool = False


@torch.inference_mode()
def latent(image: np.ndarray, terms: Terms) -> torch.Tensor:
    """z = g_e(x): uint8 (H, W, C) → (120, h, w), h and w multiples of 4."""
    network, _ = load_network()
    pixels = pad(planes.to_planes(image), MULTIPLE)
    return network.encode(pixels, torch.tensor([terms.snr_db]), torch.tensor([terms.cbr]))[0]


@torch.inference_mode()
def allocate(z: torch.Tensor, region: roi.Region, terms: Terms) -> Allocation:
    """Adaptive coding length: y at the finest whose side information keeps to its share, else the coarsest.
    Raises `budget.TooFew` when the budget does not hold y and a few values.
    """
    _, model = load_network()
    told = (_Told.of(z, region, fineness) for fineness in range(len(hyper.STEPS)))
    most, last = terms.options.side_share * terms.uses, len(hyper.STEPS) - 1
    told = next(
        each
        for each in told
        if each.fineness == last or (len(each.side) <= MOST_BYTES and terms.side_uses(len(each.side)) <= most)
    )
    side_uses = terms.side_uses(len(told.side))
    log_power = hyper.log_variances(model, told.y, told.fineness)[0]
    cells = told.y[0, 0].numel()
    needed = side_uses + LEAST_USES_OF_CELL * cells + LEAST_USES
    if needed > terms.uses:
        raise budget.TooFew(f"{terms.uses} channel uses do not hold the least of LRISC", needed)
    ranked = hyper.ranks(log_power, told.y[0], told.fineness, terms.texture, region.log_weight(), terms.shape)
    if terms.options.lengths == literal.NAME:
        return _literally(hyper.gather_low(z[None])[0], told, log_power, ranked, terms)
    values = most_values(terms.uses - side_uses, ranked)
    selection = sendable(analog_part.select(ranked, values, terms.snr_db))
    return Allocation(told.fineness, told.side, log_power, ranked, selection, terms.texture)


@dataclass(frozen=True)
class _Told:
    """y int64 (1, 32, h/4, w/4) at a fineness, and the side information: region and y, coded."""

    fineness: int
    y: torch.Tensor
    side: bytes

    @classmethod
    def of(cls, z: torch.Tensor, region: roi.Region, fineness: int) -> _Told:
        _, model = load_network()
        y = hyper.latents(z[None], model.weight, fineness)
        return cls(fineness, y, region.pack() + side.encode(y[0], model.entropy[fineness]))


def _literally(
    low: torch.Tensor, told: _Told, log_power: torch.Tensor, ranked: torch.Tensor, terms: Terms
) -> Allocation:
    """An allocation with the literal lengths of coefficients behind `hyper.gather_low`, and their mask."""

    def room(mask_bytes: int) -> int:
        if len(told.side) + mask_bytes > MOST_BYTES:
            return -1
        return most_values(terms.uses - terms.side_uses(len(told.side) + mask_bytes), ranked)

    threshold = sendable(Selection(literal.longest(low, log_power, ranked, room), 0)).threshold
    row = literal.rows(ranked, threshold)
    sent = literal.lengths(low, log_power, row)
    known = literal.known(log_power, ranked, sent, threshold)
    packed, selection = literal.pack(told.side, sent, row), known.selection(threshold, terms.snr_db)
    selection = sendable(selection)
    return Allocation(
        told.fineness, packed, known.log_power, known.ranked, selection, terms.texture, literal=True
    )


def most_values(uses: int, ranked: torch.Tensor) -> int:
    """Coefficients that fit into so many channel uses, by what decides of them, (120, h, w), whatever the
    last groups of the whitening take: of the waves, which take twice their number, and of all other values.
    """
    spare = (SPARE - 1) * int((hyper.waves_of(ranked[None]) > analog_part.NEVER).sum())
    return max(2 * uses - spare - 2 * (whitening.GROUP - 1), 0)


def whole(log_power: torch.Tensor) -> list[coding_regions.Region]:
    """The image as one region: the analog part lies in one piece."""
    down, across = (length // coding_regions.TOKENS for length in log_power.shape[-2:])
    return [coding_regions.Region(0, slice(0, down), slice(0, across))]


@torch.inference_mode()
def message(z: torch.Tensor, chosen: Allocation, terms: Terms) -> Message:
    """f_e: z and its allocation → the message."""
    if len(chosen.side) > MOST_BYTES:
        raise HscError(f"the side information has {len(chosen.side)} bytes: send a smaller image")
    low = hyper.gather_low(z[None])[0]
    maps = low, chosen.log_power, chosen.ranked
    waves = analog_part.mix(*(hyper.waves_of(each[None])[0] for each in maps), chosen.selection, SPARE)
    others, _ = analog_part.gather(
        low, chosen.log_power, chosen.selection, whole(chosen.log_power), without_waves(chosen.ranked)
    )
    network, _ = load_network()
    mean = colour.coded(network.transform.inverse(z[None]), terms.shape)
    parameters = LriscParameters(
        chosen.fineness, chosen.selection, len(chosen.side), chosen.literal, chosen.texture, mean
    )
    protected = erasure.protect(chosen.side, terms.protection, terms.block_bytes)
    streams = (DigitalStream(protected, terms.mcs),)
    values = np.empty(len(waves) + len(others), np.float32)
    of_waves = places(len(waves), len(values))
    values[of_waves], values[~of_waves] = waves.numpy(), others
    return Message(NAME, terms.shape, parameters.pack(), values, streams)


def places(count: int, total: int) -> np.ndarray:
    """Where so many values of the waves lie among all of a message, bool (total,): all over it, so that no
    packet holds many of them.
    """
    found = np.zeros(total, bool)
    found[np.arange(count) * total // max(count, 1)] = True
    return found


def without_waves(ranked: torch.Tensor) -> torch.Tensor:
    """What decides of all values but the waves, which are mixed by themselves."""
    return hyper.with_waves(ranked[None], analog_part.NEVER)[0]
