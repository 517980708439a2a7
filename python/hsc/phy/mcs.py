"""Modulation and coding schemes: four modulations by the four 802.11ad LDPC rates."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..errors import HscError

_MODULATIONS = {"BPSK": 1, "QPSK": 2, "16QAM": 4, "64QAM": 6}

# Es/N0 [dB] from which fewer than one block in a hundred is lost on AWGN (30 iterations, max-log LLRs), rates
# in rising order. Measured by `./gr-hsc evaluate ldpc`, kept in evaluation/results/ldpc.json, rounded up to
# 0.1 dB.
_THRESHOLDS_DB = {
    "BPSK": (-0.8, 0.6, 2.0, 3.0),
    "QPSK": (2.2, 3.6, 5.0, 6.0),
    "16QAM": (7.5, 9.4, 11.1, 12.4),
    "64QAM": (12.2, 14.3, 16.5, 18.0),
}
_RATES = ("1/2", "5/8", "3/4", "13/16")


@dataclass(frozen=True)
class Mcs:
    """One modulation and coding scheme.

    Attributes:
        name: such as "16QAM-13/16".
        index: its number on the air, 0 … 15.
        bits_per_symbol: coded bits per complex channel use.
        rate: LDPC rate, "1/2", "5/8", "3/4" or "13/16".
        threshold_db: Es/N0 [dB] from which fewer than one block in a hundred is lost on AWGN.
    """

    name: str
    index: int
    bits_per_symbol: int
    rate: str
    threshold_db: float

    @property
    def bits_per_use(self) -> float:
        """Information bits per complex channel use."""
        return float(self.bits_per_symbol * Fraction(self.rate))


def _build() -> dict[str, Mcs]:
    table = {}
    for modulation, bits in _MODULATIONS.items():
        for rate, threshold_db in zip(_RATES, _THRESHOLDS_DB[modulation], strict=True):
            name = f"{modulation}-{rate}"
            table[name] = Mcs(name, len(table), bits, rate, threshold_db)
    return table


TABLE: dict[str, Mcs] = _build()


def by_name(name: str) -> Mcs:
    """The MCS of that name. HscError lists the choices."""
    if name not in TABLE:
        raise HscError(f"unknown MCS '{name}': choose one of {', '.join(TABLE)}")
    return TABLE[name]


def by_index(index: int) -> Mcs:
    """The MCS of a number in a packet header. HscError outside 0 … 15."""
    if not 0 <= index < len(TABLE):
        raise HscError(f"unknown MCS number {index}: it is 0 to {len(TABLE) - 1}")
    return list(TABLE.values())[index]


def best_for(snr_db: float, margin_db: float = 1.0) -> Mcs:
    """The MCS that carries most bits per channel use of those whose threshold is at least `margin_db` below
    `snr_db` [dB].

    The most robust one when none is.
    """
    usable = [mcs for mcs in TABLE.values() if mcs.threshold_db + margin_db <= snr_db]
    if not usable:
        return min(TABLE.values(), key=lambda mcs: mcs.threshold_db)
    return max(usable, key=lambda mcs: (mcs.bits_per_use, -mcs.threshold_db))
