"""OFDM numerology: which carriers a symbol has, and how long each part of a burst is. Nothing here depends on
data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import HscError
from .header import HEADER_SYMBOLS

# OFDM symbols of the preamble.
PREAMBLE_SYMBOLS = 2


@dataclass(frozen=True)
class Numerology:
    """One OFDM symbol format. The FFT is orthonormal, data and pilot carriers have unit mean power.

    Attributes:
        name: as the user chooses it.
        n_fft: FFT length, the number of subcarriers [samples].
        cp: cyclic prefix [samples].
        used: occupied carriers, half of them on each side of the empty DC carrier.
        pilots: of these, carriers that are known in every header and payload symbol.
        boost_db: power of the preamble over that of the payload [dB]; its crest factor is lower by more than
            that.
    """

    name: str
    n_fft: int
    cp: int
    used: int
    pilots: int
    boost_db: float = 3.0

    def __post_init__(self) -> None:
        even = self.n_fft % 4 == self.cp % 4 == 0 and self.used % 2 == self.used % self.pilots == 0
        if not (even and 0 < self.cp <= self.n_fft // 2 and self.pilots > 0 and self.used < self.n_fft - 1):
            raise HscError(
                f"numerology '{self.name}' is impossible: used carriers must be even, a multiple of the "
                "pilots, and leave an empty edge"
            )

    @property
    def symbol(self) -> int:
        """Length of one OFDM symbol with its cyclic prefix [samples]."""
        return self.n_fft + self.cp

    @property
    def data(self) -> int:
        """Data carriers of a symbol."""
        return self.used - self.pilots

    @cached_property
    def carriers(self) -> np.ndarray:
        """int64 (used,): occupied carriers in ascending frequency, −used/2 … −1, 1 … used/2."""
        half = self.used // 2
        return np.concatenate([np.arange(-half, 0), np.arange(1, half + 1)])

    @cached_property
    def pilot_index(self) -> np.ndarray:
        """int64 (pilots,): positions of the pilots within `carriers`, in the middle of equal groups."""
        group = self.used // self.pilots
        return np.arange(self.pilots) * group + group // 2

    @cached_property
    def data_index(self) -> np.ndarray:
        """int64 (data,): positions of the data carriers within `carriers`."""
        return np.setdiff1d(np.arange(self.used), self.pilot_index)

    @property
    def header_symbols(self) -> int:
        """OFDM symbols that carry the header."""
        return -(-HEADER_SYMBOLS // self.data)

    @property
    def overhead_symbols(self) -> int:
        """OFDM symbols before the payload: preamble and header."""
        return PREAMBLE_SYMBOLS + self.header_symbols

    def payload_rows(self, payload_symbols: int) -> int:
        """OFDM symbols that carry `payload_symbols` complex symbols."""
        return -(-payload_symbols // self.data)

    def burst_length(self, payload_symbols: int) -> int:
        """Length of a burst, its gap of one symbol included [samples]."""
        return (self.overhead_symbols + self.payload_rows(payload_symbols) + 1) * self.symbol


PRESETS = {
    preset.name: preset
    for preset in (
        Numerology("ofdm64", n_fft=64, cp=16, used=52, pilots=4),
        Numerology("ofdm256", n_fft=256, cp=32, used=208, pilots=16),
        Numerology("ofdm1024", n_fft=1024, cp=128, used=832, pilots=64),
    )
}


# Name of the receiver's choice among all presets.
AUTO = "auto"


def presets(name: str) -> tuple[Numerology, ...]:
    """What a receiver looks for: all presets for `AUTO`, else the one of this name. Raises HscError for an
    unknown one.
    """
    return tuple(PRESETS.values()) if name == AUTO else (preset(name),)


def preset(name: str) -> Numerology:
    """A preset by its name. Raises HscError for an unknown one."""
    if name not in PRESETS:
        raise HscError(f"unknown numerology '{name}': choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
