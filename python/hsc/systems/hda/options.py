"""Options of the HDA codecs."""

from __future__ import annotations

from dataclasses import dataclass

from ...codecs.options import Ends, option, repair_option
from ...coding.protection import check_share
from ...errors import HscError
from ...phy import cipher
from ...refiner.options import RefinerOptions


def read_key(text: str) -> bytes | None:
    """A key from the command line: 64 hexadecimal digits, a file that holds them, or "none". Raises HscError
    for anything else.
    """
    return None if text == "none" else cipher.parse_key(text)


def key_bytes(key: str | bytes | None) -> bytes | None:
    """A key from a flowgraph: 32 bytes, or text as `read_key` takes it; None and "" stand for none. Raises
    HscError for text that is no key.
    """
    return cipher.parse_key(key) if isinstance(key, str) and key else key or None


@dataclass(frozen=True)
class HdaOptions(RefinerOptions):
    """Options of the HDA codecs. The receiver has use for the key and for those of the refiner."""

    da_ratio: float | None = option(
        None,
        "digital over analog channel uses, 0.05 to 10 (the paper: 0.2 to 3), an upper limit: the digital "
        "part's true length, after entropy coding and LDPC, comes close to it from below; if left out, the "
        "ratio with the least expected error",
    )
    key: bytes | None = option(
        None,
        "AES-256 key of the digital part, 64 hexadecimal digits or a file that holds them, at both ends; "
        "none: no key",
        Ends.BOTH,
        read_key,
        secret=True,
    )
    repair_share: float | None = repair_option("the digital part")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.da_ratio is not None and not 0.05 <= self.da_ratio <= 10:
            raise HscError(f"the DA ratio is {self.da_ratio}: give 0.05 to 10, or none to have it chosen")
        if self.key is not None and len(self.key) != 32:
            raise HscError(f"the AES key has {len(self.key)} bytes: give 32 (64 hexadecimal digits)")
        check_share(self.repair_share)
