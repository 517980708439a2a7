"""Rate matching of the 5G NR LDPC code: the circular buffer, its redundancy versions, and the bit interleaver
(3GPP TS 38.212, clause 5.4.2).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...errors import HscError
from .graphs import PUNCTURED
from .segmentation import Segments

# Table 5.4.2.1-2: numerators of the starting positions k0, for redundancy versions 0 to 3, over 66 or 50.
_STARTS = {1: (0, 17, 33, 56), 2: (0, 13, 25, 43)}
# Columns of the circular buffer: all but the punctured ones.
_BUFFER_COLUMNS = {1: 66, 2: 50}
REDUNDANCY_VERSIONS = (0, 1, 2, 3)


@lru_cache(maxsize=64)
def selected(plan: Segments, sent: int, bits_per_symbol: int, redundancy_version: int = 0) -> np.ndarray:
    """Which bits of a code word are sent, in their order on the air: intp (sent,), places in the whole word
    with its punctured columns. The buffer is not limited (N_cb = N).

    Args:
        plan: of the transport block.
        sent: E, bits that are sent of each code block; they fill whole symbols.
        bits_per_symbol: Q_m of the modulation, rows of the interleaver.
        redundancy_version: 0 to 3.

    Raises:
        HscError: bits that fill no whole symbols, or a redundancy version that there is not.
    """
    if sent < 1 or sent % bits_per_symbol:
        raise HscError(f"{sent} bits do not fill symbols of {bits_per_symbol} bits")
    if redundancy_version not in REDUNDANCY_VERSIONS:
        raise HscError(f"redundancy versions are 0 to 3, not {redundancy_version}")
    z, columns = plan.lifting, _BUFFER_COLUMNS[plan.graph]
    first = _STARTS[plan.graph][redundancy_version] * z
    buffer = np.roll(np.arange(PUNCTURED * z, (PUNCTURED + columns) * z), -first)
    buffer = buffer[(buffer < plan.used) | (buffer >= plan.k)]  # filler bits are not sent
    order = np.resize(buffer, sent)
    # 5.4.2.2: written row by row into Q_m rows, read column by column
    order = order.reshape(bits_per_symbol, -1).T.ravel()
    order.flags.writeable = False
    return order
