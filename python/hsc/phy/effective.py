"""The SNR that a code can count on where carriers or packets differ: mutual-information effective SNR mapping
(K. Brueninghaus et al., "Link performance models for system level simulations of broadband radio access
systems", IEEE PIMRC 2005).

The mean SNR promises too much: behind two echoes of −6 and −10 dB a code that needs 8 dB needs a mean of 9.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from . import mcs, qam

# SNRs at which mutual information is known [dB]; beyond those of links it is all or nearly nothing.
_GRID_DB = np.array([-60.0, *np.arange(-30.0, 50.5, 0.5), 200.0])
# How far the threshold of that MCS is below what the Gaussian channel's capacity promises: the smaller of two
# constellations suffers more.
_MARGIN_DB = 1.0
# What a symbol gains beyond the bits of its constellation, in capacities: no two SNRs shall be alike.
_BEYOND = 1e-3


def effective_snr_db(noise_variance: np.ndarray) -> float:
    """SNR of the AWGN channel over which bits say as much as over one with these noise variances,
    float32 (n,), inf where lost [dB]; NaN where none came. −60 to 200.

    They are taken to be of the constellation that the MCS of 5G NR for such an SNR has, less a margin.
    """
    came = noise_variance[np.isfinite(noise_variance)]
    if not came.size:
        return math.nan
    snrs_db = -10 * np.log10(np.maximum(came, 1e-20), dtype=np.float64)
    chosen = mcs.best_for(_equal(snrs_db, _capacity()), _MARGIN_DB, "nr")
    return _equal(snrs_db, _information(chosen.bits_per_symbol, chosen.levels))


def _equal(snrs_db: np.ndarray, carried: np.ndarray) -> float:
    """SNR at which as much is carried as in the mean; `carried` at the grid, rising."""
    return float(np.interp(np.interp(snrs_db, _GRID_DB, carried).mean(), carried, _GRID_DB))


@lru_cache(maxsize=1)
def _capacity() -> np.ndarray:
    """Of the Gaussian channel at the grid [bits]."""
    return np.log2(1 + 10 ** (_GRID_DB / 10))


@lru_cache(maxsize=16)
def _information(bits: int, levels: qam.Levels) -> np.ndarray:
    """Of the bits of a constellation at the grid, and a little beyond [bits]."""
    return qam.bit_information(_GRID_DB, bits, levels) + _BEYOND * _capacity()
