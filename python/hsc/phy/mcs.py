"""Modulation and coding schemes: four modulations by the four 802.11ad LDPC rates, and those of 5G NR LDPC,
which has any rate, in steps of at most half a decibel, with the modulations of 5G and one of our own.
"""

from __future__ import annotations

import difflib
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
# Numbers of the MCS of 5G NR: the first, and the first of a version before, whose code blocks had up to 4000
# bits.
_NR_FIRST, _FIRST_OLD = 121, 16
# The same of 5G NR, with exact LLRs, 50 iterations and whole code blocks, rounded to 0.05 dB: rate and
# threshold, mostly 0.3 dB or less from one to the next.
_NR_THRESHOLDS_DB = {
    "QPSK": """
        0.08 -7.6, 0.09 -7.1, 0.10 -6.7, 0.11 -6.25, 0.12 -5.9, 0.13 -5.6, 0.14 -5.25, 0.15 -4.85,
        0.16 -4.75, 0.17 -4.55, 0.18 -4.25, 0.20 -3.85, 0.22 -3.45, 0.235 -3.05, 0.25 -2.75, 0.265 -2.55,
        0.28 -2.25, 0.295 -2.0, 0.31 -1.7, 0.325 -1.55, 0.34 -1.3, 0.355 -1.1, 0.37 -0.85, 0.385 -0.65,
        0.40 -0.4, 0.42 -0.15, 0.44 0.15, 0.46 0.4, 0.48 0.7, 0.50 0.95, 0.52 1.15, 0.54 1.45,
        0.56 1.75, 0.58 2.0, 0.60 2.2, 0.62 2.45, 0.64 2.7, 0.66 2.9, 0.69 3.35, 0.71 3.55
    """,
    "16QAM": """
        0.36 3.85, 0.375 4.15, 0.39 4.4, 0.405 4.55, 0.42 4.9, 0.435 5.05, 0.45 5.25, 0.465 5.55,
        0.48 5.9, 0.495 6.05, 0.51 6.25, 0.525 6.5, 0.54 6.7, 0.555 6.95, 0.57 7.15, 0.585 7.35,
        0.60 7.55, 0.615 7.85, 0.63 8.15, 0.645 8.3, 0.66 8.55, 0.675 8.8, 0.69 9.1, 0.705 9.3,
        0.72 9.5, 0.725 9.6, 0.735 9.7, 0.75 10.0, 0.765 10.2, 0.78 10.45, 0.795 10.75, 0.81 11.0
    """,
    "64QAM": """
        0.545 11.2, 0.56 11.45, 0.575 11.75, 0.59 12.05, 0.605 12.3, 0.62 12.55, 0.635 12.9, 0.65 13.2,
        0.665 13.4, 0.70 14.15, 0.735 14.75, 0.77 15.55, 0.81 16.3, 0.85 17.05, 0.885 17.85
    """,
    "256QAM": """
        0.67 18.1, 0.71 19.15, 0.75 20.1, 0.79 21.05, 0.83 21.95, 0.87 23.1, 0.89 23.4, 0.905 23.8,
        0.91 24.25, 0.93 24.7, 0.94 25.2
    """,
    "256NUC": """
        0.50 13.35, 0.51 13.65, 0.52 13.8, 0.53 14.1, 0.54 14.3, 0.55 14.5, 0.56 14.7, 0.57 14.95,
        0.58 15.2, 0.59 15.45, 0.60 15.7, 0.61 15.95, 0.62 16.1, 0.63 16.4, 0.64 16.75, 0.65 16.85,
        0.66 17.2, 0.67 17.35, 0.68 17.7, 0.69 17.95, 0.70 18.25, 0.71 18.7, 0.72 18.85, 0.73 19.0,
        0.74 19.2, 0.745 19.45, 0.75 19.65, 0.76 19.85, 0.775 20.1, 0.785 20.4, 0.80 20.85, 0.82 21.35,
        0.835 21.65, 0.85 22.15, 0.865 22.5, 0.88 22.8
    """,
}


@dataclass(frozen=True)
class Mcs:
    """One modulation and coding scheme.

    Attributes:
        name: such as "16QAM-13/16" or "nr:16QAM-0.60"; NUC is a non-uniform constellation.
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
        index = len(table) + (_NR_FIRST - _FIRST_OLD) * (code == "nr")
        table[name] = Mcs(name, index, code, bits, rate, threshold_db, levels)

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
_BY_INDEX = {mcs.index: mcs for mcs in TABLE.values()}
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
        near = [known for known in TABLE if name and known.startswith(str(name))]
        near = near or difflib.get_close_matches(str(name), TABLE)
        hint = f" (nearest: {', '.join(near[:3])})" if near else ""
        raise HscError(f"unknown MCS '{name}'{hint}: choose one of {', '.join(CODES)}, {_choices()}")
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
    found = _BY_INDEX.get(index)
    if found is None and _FIRST_OLD <= index < _NR_FIRST:
        raise HscError(
            f"MCS number {index} is 5G NR of a version before, with other code blocks: bring transmitter and "
            "receiver to the same version"
        )
    if found is None:
        raise HscError(f"unknown MCS number {index}: the last is {max(_BY_INDEX)}")
    return found


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
