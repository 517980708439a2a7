"""The paper's coding length to the letter, as an ablation: k_i = Q(−β log2 p(z_i | y)), of the values
themselves.

With p(z | y) Gaussian, −2 log2 p(z_i | y) = log2 σ_i² + z_i² / (ln 2 σ_i²) + const. Q rounding to 0 or 1, z_i
is sent when |z_i| ≥ t σ_i, t² = ln 2 (T − log2 σ_i²), T standing for β. A receiver does not know z_i: it is
told which are sent, by a mask that is entropy coded with P(|z_i| ≥ t σ_i), as side information behind y. In
return it knows more of both: what is not sent lies below t σ_i, what is sent above.

What both ends have to know exactly is tabulated, in integers, by T − log2 σ_i² in rows of half an octave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ...coding.activity import OCTAVE
from ...coding.analog_part import NEVER, Selection, water_level
from ...coding.entropy import PRECISION, TOTAL, EntropyTables
from ...errors import HscError

# Name of the rule among the options.
NAME = "literal"
# Log-power in a row [1/64 octave].
_ROW = OCTAVE // 2
# P(|x| ≥ t) out of 2^24 of a normal x, t² = row · ln 2 / 2: erfc(t / √2). Beyond the last row, where fewer
# than one in 44 are, nothing is sent: z has longer tails, whose mask takes the budget. Chosen by trial on a
# sample photograph (CBR 1/24, 10 dB): 48 rows give 14.8 dB, 16 rows 22.6, 4 rows 24.5; the expected rule is
# the limit of none, 25.7.
_SENT = (
    *(16777216, 9329125, 6796383, 5165477, 4010290, 3154872, 2504751, 2002124),
    *(1608783, 1298163, 1051137, 853579, 694857, 566850, 463280, 379250),
)
# E[x² | |x| ≥ t] = 1 + 2 t φ(t) / P, as log2 [1/64 octave], φ the normal density.
_SENT_POWER = (0, 50, 71, 87, 100, 112, 121, 130, 138, 145, 152, 158, 164, 169, 175, 179)
# E[x² | |x| < t] = 1 − 2 t φ(t) / (1 − P), likewise; of what lies beyond the last row nothing is known.
_UNSENT_POWER = (0, -204, -144, -111, -89, -72, -60, -50, -42, -36, -30, -26, -22, -19, -16, -14)
_ROWS = len(_SENT)
# Bytes of the length of a mask's code.
_LENGTH = 3
# Bytes that a mask may have beyond the ideal length of its code: the coder's last words, and the length.
_CODER_BYTES = 8 + _LENGTH


@lru_cache(maxsize=1)
def _tables() -> EntropyTables:
    """Values 0 (not sent) and 1 of every row; the escape is never used."""
    sent = np.clip(_SENT, 1, TOTAL - 2)
    return EntropyTables(np.stack([TOTAL - 1 - sent, sent, np.ones_like(sent)], 1), np.zeros_like(sent))


def rows(ranked: torch.Tensor, threshold: int) -> torch.Tensor:
    """Row of every coefficient: weighted log-powers int64, any shape [1/64 octave] → 0 (sent, whatever its
    value), 1 … 15, and 16 (not sent, whatever its value).
    """
    above = torch.div(threshold - ranked + _ROW - 1, _ROW, rounding_mode="floor")
    return above.clamp(0, _ROWS)


def lengths(low: torch.Tensor, log_power: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """k_i of coefficients behind `hyper.gather_low`, as bool; all of one shape."""
    ratio = low.square() / (log_power / OCTAVE).exp2()
    return (row < _ROWS) & (ratio >= row * (math.log(2) * _ROW / OCTAVE))


def longest(
    low: torch.Tensor, log_power: torch.Tensor, ranked: torch.Tensor, room: Callable[[int], int]
) -> int:
    """The least threshold whose values and mask find room.

    Args:
        low: coefficients (120, h, w) behind `hyper.gather_low`.
        log_power: int64, log2 σ² [1/64 octave].
        ranked: the same with the region's weight.
        room: bytes of the mask → values that the rest of the budget holds.
    """
    costs = PRECISION - torch.from_numpy(_tables().probabilities[:, :2]).double().log2()

    def fits(threshold: int) -> bool:
        row = rows(ranked, threshold)
        sent = lengths(low, log_power, row)
        told = (row > 0) & (row < _ROWS)
        counts = torch.bincount(2 * row[told] + sent[told], minlength=2 * _ROWS).reshape(_ROWS, 2)
        return int(sent.sum()) <= room(int((counts * costs).sum() / 8) + _CODER_BYTES)

    below, fitting = int(ranked[ranked > NEVER].min()) - 1, int(ranked.max()) + _ROWS * _ROW
    while fitting - below > 1:
        middle = (below + fitting) // 2
        below, fitting = (below, middle) if fits(middle) else (middle, fitting)
    return fitting


@dataclass(frozen=True)
class Known:
    """What the mask tells both ends of coefficients, of one shape each.

    Attributes:
        log_power: int64, log2 of the second moments [1/64 octave].
        ranked: what decides, as `coding.analog_part` has it: below the threshold is what is not sent; the
            weakest that is sent stands at it, and the others above as they should.
        weighted: the second moments with the region's weight.
        sent: bool.
    """

    log_power: torch.Tensor
    ranked: torch.Tensor
    weighted: torch.Tensor
    sent: torch.Tensor

    def selection(self, threshold: int, snr_db: float) -> Selection:
        """For the header, with a water level for an SNR [dB]."""
        strong = self.weighted[self.sent]
        if not len(strong):
            return Selection(threshold, 0)
        return Selection(threshold, water_level(strong, snr_db) + threshold - int(strong.min()))


def known(log_power: torch.Tensor, ranked: torch.Tensor, sent: torch.Tensor, threshold: int) -> Known:
    """log2 σ² and the weighted ones, int64; which are sent, bool of the same shape → what is known. Exact."""
    moments = torch.tensor([(*_UNSENT_POWER, 0), (*_SENT_POWER, 0)])
    found = log_power + moments[sent.long(), rows(ranked, threshold)]
    weighted = found + ranked - log_power
    least = int(weighted[sent].min()) if sent.any() else 0
    return Known(found, torch.where(sent, weighted - least + threshold, threshold - 1), weighted, sent)


def pack(side: bytes, sent: torch.Tensor, row: torch.Tensor) -> bytes:
    """Side information without and with the mask: the mask's code behind it, and last its length."""
    told = (row > 0) & (row < _ROWS)
    mask = _tables().encode(sent[told].long().numpy(), row[told].numpy())
    return side + mask + len(mask).to_bytes(_LENGTH, "big")


def split(side: bytes) -> tuple[bytes, bytes]:
    """Side information with the mask → without, and the mask's code. Raises HscError for bytes that no
    version sends.
    """
    end = len(side) - _LENGTH
    first = end - int.from_bytes(side[-_LENGTH:], "big")
    if first < 0:
        raise HscError("the mask of the coefficients sent is cut off: the packet comes from another version")
    return side[:first], side[first:end]


def unpack(mask: bytes, row: torch.Tensor) -> torch.Tensor:
    """The code of the mask → which coefficients are sent, bool of the rows' shape. Raises HscError for bytes
    that are no mask.
    """
    told = (row > 0) & (row < _ROWS)
    values = _tables().decode(mask, row[told].numpy())
    if values.size and not 0 <= values.min() <= values.max() <= 1:
        raise HscError("the mask of the coefficients sent is damaged: the packet comes from another version")
    sent = row == 0
    sent[told] = torch.from_numpy(values.astype(bool))
    return sent
