"""What a link's budget and SNR allow: channel uses, the MCS, bytes."""

from __future__ import annotations

from ..errors import HscError
from ..message import Link
from ..phy import digital
from ..phy import mcs as mcs_table

DEFAULT_CBR = 1 / 6
ROBUST_MCS = "BPSK-1/2"


def channel_uses(link: Link, shape: tuple[int, int, int]) -> int:
    """Complex channel uses of payload that the link's CBR, 1/6 where it has none, gives an image (H, W, C). HscError for a CBR of 0."""
    cbr = DEFAULT_CBR if link.cbr is None else link.cbr
    if not 0 < cbr < 1e3:
        raise HscError(f"the CBR is {cbr}: give a number above 0, such as 0.1667")
    return int(cbr * shape[0] * shape[1] * shape[2] * (1 + 1e-9))


def mcs(link: Link, margin_db: float = 1.0) -> str:
    """The link's MCS; else the one that carries most at its SNR less a margin [dB]; else, the SNR being unknown, the most robust."""
    if link.mcs is not None:
        return mcs_table.by_name(link.mcs).name
    return ROBUST_MCS if link.snr_db is None else mcs_table.best_for(link.snr_db, margin_db).name


def bytes_in(uses: int, mcs_name: str) -> int:
    """Bytes that whole LDPC blocks carry in so many channel uses."""
    blocks = max(uses, 0) // digital.symbols_per_block(mcs_name)
    size = digital.payload_bytes_per_block(mcs_name)
    return min(blocks, (digital.LARGEST_STREAM - 1) // size) * size
