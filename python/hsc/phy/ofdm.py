"""The transmitter: a packet as one burst of samples. The air interface is written down in
docs/air-interface.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import HscError
from .header import HEADER_SYMBOLS, MAX_PACKET_SYMBOLS, encode_header
from .interleaver import permutation, pn_signs
from .numerology import PRESETS, Numerology, preset
from .packets import Packet
from .preamble import pn_phases, preamble_carriers, symbols_to_samples

__all__ = [
    "PRESETS",
    "Numerology",
    "header_grid",
    "header_mapping",
    "modulate",
    "payload_mapping",
    "pilot_symbols",
    "preset",
]

# Where the scrambling sequence begins for pilots, header and padding: apart from each other and from the
# payload, which begins at 0.
_PILOT_OFFSET = 1000
_HEADER_OFFSET = 2000
_PADDING_OFFSET = 3000


@dataclass(frozen=True)
class Mapping:
    """Where the symbols of a block of rows go: symbol i times `phases[i]` to place `place[i]` of the
    flattened (rows, data) grid.
    """

    place: np.ndarray
    phases: np.ndarray


@lru_cache(maxsize=16)
def header_mapping(numerology: Numerology) -> Mapping:
    """Mapping of the header's coded bits, repeated in a cycle until the last header row is full:
    (header_symbols · data,).
    """
    size = numerology.header_symbols * numerology.data
    return Mapping(permutation(size), pn_signs(size, _HEADER_OFFSET))


@lru_cache(maxsize=64)
def payload_mapping(numerology: Numerology, rows: int) -> Mapping:
    """Mapping of the payload's symbols and padding over `rows` OFDM symbols: (rows · data,)."""
    size = rows * numerology.data
    return Mapping(permutation(size), pn_phases(size))


@lru_cache(maxsize=64)
def pilot_symbols(numerology: Numerology, rows: int) -> np.ndarray:
    """float32 (rows, pilots): the known ±1 on the pilot carriers of the header and payload rows."""
    return pn_signs(rows * numerology.pilots, _PILOT_OFFSET).reshape(rows, numerology.pilots)


@lru_cache(maxsize=16)
def _header_frame(numerology: Numerology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The header rows with pilots only, (header_symbols, used); for each place its flat entry and its coded
    bit.
    """
    mapping = header_mapping(numerology)
    empty = _with_pilots(
        numerology,
        np.zeros(mapping.place.size, np.complex64),
        pilot_symbols(numerology, numerology.header_symbols),
    )
    row, column = np.divmod(mapping.place, numerology.data)
    return (
        empty,
        row * numerology.used + numerology.data_index[column],
        np.arange(mapping.place.size) % HEADER_SYMBOLS,
    )


def header_grid(numerology: Numerology, coded: np.ndarray) -> np.ndarray:
    """624 BPSK symbols → complex64 (header_symbols, used), pilots included."""
    empty, entry, bit = _header_frame(numerology)
    grid = empty.copy()
    grid.ravel()[entry] = coded[bit] * header_mapping(numerology).phases
    return grid


def modulate(packet: Packet, numerology: Numerology) -> np.ndarray:
    """Packet → burst, complex64 (numerology.burst_length(payload_symbols),), ending with one symbol of
    zeros.

    Payload carriers have the power of `packet.symbols`. Raises HscError when there are not as many symbols as
    the header says.
    """
    symbols = np.asarray(packet.symbols, np.complex64)
    if symbols.shape != (packet.header.payload_symbols,) or symbols.size > MAX_PACKET_SYMBOLS:
        raise HscError(
            f"packet holds {symbols.size} symbols, its header says {packet.header.payload_symbols}, "
            f"at most {MAX_PACKET_SYMBOLS}"
        )
    header = header_grid(numerology, encode_header(packet.header))
    rows = numerology.payload_rows(symbols.size)
    mapping = payload_mapping(numerology, rows)
    data = np.empty(mapping.place.size, np.complex64)
    padding = pn_signs(data.size - symbols.size, _PADDING_OFFSET)
    data[mapping.place] = np.concatenate([symbols, padding]) * mapping.phases
    pilots = pilot_symbols(numerology, numerology.header_symbols + rows)[numerology.header_symbols :]
    carriers = np.concatenate([preamble_carriers(numerology), header, _with_pilots(numerology, data, pilots)])
    return np.concatenate(
        [symbols_to_samples(numerology, carriers), np.zeros(numerology.symbol, np.complex64)]
    )


def _with_pilots(numerology: Numerology, data: np.ndarray, pilots: np.ndarray) -> np.ndarray:
    """Data (rows · data,) and pilots (rows, pilots) → complex64 (rows, used)."""
    grid = np.empty((len(pilots), numerology.used), np.complex64)
    grid[:, numerology.data_index] = data.reshape(-1, numerology.data)
    grid[:, numerology.pilot_index] = pilots
    return grid
