"""Modulation and coding schemes: four modulations by the four 802.11ad LDPC rates, and those of 5G NR LDPC,
which has any rate, in steps of at most half a decibel, with the modulations of 5G and one of our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..errors import HscError
from .qam import Levels

_MODULATIONS = {"BPSK": 1, "QPSK": 2, "16QAM": 4, "64QAM": 6, "256QAM": 8, "256NUC": 8}
# Non-uniform constellations: levels of an axis above 0, by the largest threshold [dB] that they are for. They
# maximise the mutual information of bits and symbols over AWGN at 17, 19.5 and 22 dB
# (`tools/constellations.py`), and so get back up to half of what evenly spaced levels cost.
_NUC_LEVELS: dict[float, Levels] = {
    18.2: (1.0, 1.11, 3.08, 3.47, 5.44, 6.52, 8.85, 11.77),
    20.5: (1.0, 2.51, 4.55, 6.36, 8.6, 11.07, 14.14, 18.04),
    24.0: (1.0, 3.01, 5.1, 7.3, 9.69, 12.34, 15.36, 18.96),
}

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
# The same of 5G NR, with exact LLRs: rate and threshold.
_NR_THRESHOLDS_DB = {
    "QPSK": """
        0.08 -7.6, 0.09 -7.0, 0.10 -6.6, 0.11 -6.2, 0.12 -5.8, 0.13 -5.5, 0.14 -5.2, 0.16 -4.7,
        0.18 -4.2, 0.20 -3.8, 0.22 -3.3, 0.235 -3.0, 0.25 -2.6, 0.28 -2.2, 0.295 -1.9, 0.31 -1.6,
        0.34 -1.1, 0.37 -0.8, 0.39 -0.4, 0.41 -0.2, 0.43 0.1, 0.45 0.4, 0.49 0.9, 0.51 1.2,
        0.53 1.4, 0.55 1.7, 0.57 2.0, 0.61 2.4, 0.65 2.9, 0.67 3.2, 0.69 3.5, 0.73 3.9
    """,
    "16QAM": """
        0.38 4.3, 0.395 4.7, 0.41 4.9, 0.425 5.2, 0.44 5.5, 0.47 5.9, 0.485 6.2, 0.50 6.5,
        0.53 6.9, 0.56 7.2, 0.59 7.7, 0.62 8.1, 0.65 8.6, 0.68 9.1, 0.71 9.6, 0.74 10.0,
        0.77 10.5, 0.80 11.0, 0.83 11.5
    """,
    "64QAM": """
        0.56 11.8, 0.585 12.2, 0.61 12.6, 0.625 12.9, 0.635 13.2, 0.66 13.6, 0.685 14.1, 0.71 14.6,
        0.735 15.0, 0.75 15.3, 0.76 15.5, 0.785 16.2, 0.81 16.6, 0.835 17.1, 0.86 17.7, 0.885 18.4
    """,
    "256QAM": """
        0.67 18.4, 0.69 18.9, 0.71 19.4, 0.73 19.8, 0.75 20.2, 0.77 20.7, 0.81 21.6, 0.83 22.2,
        0.85 22.6, 0.86 23.1, 0.87 23.3, 0.89 23.6, 0.90 24.1, 0.91 24.5, 0.93 24.9, 0.94 25.4
    """,
    "256NUC": """
        0.50 13.7, 0.52 14.2, 0.54 14.6, 0.56 15.0, 0.58 15.5, 0.59 15.8, 0.60 16.1, 0.62 16.5,
        0.64 17.0, 0.66 17.4, 0.68 17.9, 0.70 18.6, 0.72 19.1, 0.74 19.6, 0.76 20.0, 0.77 20.3,
        0.785 20.9, 0.80 21.2, 0.82 21.5, 0.84 22.1, 0.86 22.7, 0.88 23.4
    """,
}


@dataclass(frozen=True)
class Mcs:
    """One modulation and coding scheme.

    Attributes:
        name: such as "16QAM-13/16" or "nr:16QAM-0.50"; NUC is a non-uniform constellation.
        index: its number on the air, 0 … 254.
        code: "802.11ad" or "nr".
        bits_per_symbol: coded bits per complex channel use.
        rate: LDPC rate: "1/2", "5/8", "3/4" or "13/16"; with NR a decimal, such as "0.51".
        threshold_db: Es/N0 [dB] from which fewer than one block in a hundred is lost on AWGN.
        levels: of the constellation, as of `qam.modulate`.
    """

    name: str
    index: int
    code: str
    bits_per_symbol: int
    rate: str
    threshold_db: float
    levels: Levels = ()

    @property
    def bits_per_use(self) -> float:
        """Information bits per complex channel use."""
        return float(self.bits_per_symbol * Fraction(self.rate))


def _build() -> dict[str, Mcs]:
    table = {}

    def add(code: str, modulation: str, rate: str, threshold_db: float) -> None:
        name = f"{modulation}-{rate}" if code == "802.11ad" else f"{code}:{modulation}-{rate}"
        bits, levels = _MODULATIONS[modulation], _levels(modulation, threshold_db)
        table[name] = Mcs(name, len(table), code, bits, rate, threshold_db, levels)

    for modulation, thresholds_db in _THRESHOLDS_DB.items():
        for rate, threshold_db in zip(_RATES, thresholds_db, strict=True):
            add("802.11ad", modulation, rate, threshold_db)
    for modulation, text in _NR_THRESHOLDS_DB.items():
        for rate, threshold_db in (pair.split() for pair in text.split(",")):
            add("nr", modulation, rate, float(threshold_db))
    return table


def _levels(modulation: str, threshold_db: float) -> Levels:
    if not modulation.endswith("NUC"):
        return ()
    return next(levels for most_db, levels in _NUC_LEVELS.items() if threshold_db <= most_db)


TABLE: dict[str, Mcs] = _build()
# What an MCS may be given as where the SNR is to choose one: the code alone. The first is the usual one.
CODES = ("802.11ad", "nr")
# Threshold of BPSK-1/2 [dB].
_ROBUST_DB = _THRESHOLDS_DB["BPSK"][0]


def by_name(name: str) -> Mcs:
    """The MCS of that name. HscError lists the choices."""
    if name not in TABLE:
        raise HscError(f"unknown MCS '{name}': choose one of {_choices()}")
    return TABLE[name]


def known(name: str) -> str:
    """`name` where it is an MCS or a code. HscError lists the choices."""
    if name not in TABLE and name not in CODES:
        raise HscError(f"unknown MCS '{name}': choose one of {', '.join(CODES)}, {_choices()}")
    return name


def _choices() -> str:
    names = [[mcs.name for mcs in TABLE.values() if mcs.code == code] for code in CODES]
    return f"{', '.join(names[0])}, {names[1][0]} to {names[1][-1]} (docs/air-interface.md)"


def robust(code: str = "802.11ad") -> Mcs:
    """The MCS of a code for a link of which nothing is known: BPSK-1/2, and what is as robust."""
    choice = [mcs for mcs in TABLE.values() if mcs.code == code and mcs.threshold_db <= _ROBUST_DB]
    return max(choice, key=lambda mcs: mcs.bits_per_use)


def code_of(given: str | None) -> str:
    """The code of an MCS, or one that is given itself; 802.11ad where there is none."""
    return TABLE[given].code if given in TABLE else given or CODES[0]


def chosen(given: str | None, snr_db: float | None, margin_db: float) -> Mcs:
    """The given MCS; of a given code the one that carries most at the SNR less a margin [dB], the robust one
    where that is unknown. With none given the code is 802.11ad. Where the SNR is below all that 802.11ad has
    it is 5G NR. HscError for an unknown name.
    """
    if given is not None and known(given) not in CODES:
        return TABLE[given]
    code = given or CODES[0]
    if snr_db is None:
        return robust(code)
    return best_for(snr_db, margin_db, "nr" if snr_db < _ROBUST_DB else code)


def by_index(index: int) -> Mcs:
    """The MCS of a number in a packet header. HscError for a number that there is not."""
    if not 0 <= index < len(TABLE):
        raise HscError(f"unknown MCS number {index}: it is 0 to {len(TABLE) - 1}")
    return list(TABLE.values())[index]


def best_for(snr_db: float, margin_db: float = 1.0, code: str = "802.11ad") -> Mcs:
    """The MCS of a code that carries most bits per channel use of those whose threshold is at least
    `margin_db` below `snr_db` [dB].

    The most robust one when none is.
    """
    choice = [mcs for mcs in TABLE.values() if mcs.code == code]
    usable = [mcs for mcs in choice if mcs.threshold_db + margin_db <= snr_db]
    if not usable:
        return min(choice, key=lambda mcs: mcs.threshold_db)
    return max(usable, key=lambda mcs: (mcs.bits_per_use, -mcs.threshold_db))
