"""Options of HSC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ...codecs.options import option, repair_option
from ...coding.protection import check_share
from ...errors import HscError

Semantic = Literal["vae", "vqvae"]
Coding = Literal["paper", "residual", "projection"]
Tuning = Literal["none", "few-shot", "ncr"]
Auto = Literal["auto"]
AUTO: Auto = "auto"
# In the order of their numbers on the air.
CODINGS: tuple[str, ...] = get_args(Coding)
# Likewise.
TUNINGS: tuple[str, ...] = get_args(Tuning)
# M, complex channel uses of the SR of a digit, with recipes: swept in figures 2 and 3 of the paper.
SYMBOLS = (4, 8, 16, 32, 64, 128)
_KNOWN = ", ".join(map(str, SYMBOLS))
# Largest height of an image [pixels] whose CR is made: eigenvectors of more take minutes.
LARGEST_RANK = 4096
# Of the options of which one says how much CR is sent, none.
NO_AMOUNT: dict[str, None] = {"rank": None, "psnr_db": None, "cbr": None}


@dataclass(frozen=True)
class HscOptions:
    """Options of HSC, all of the transmitter's.

    At most one of `rank`, `psnr_db` and `cbr` says how much CR to send; with none, the link's CBR, else 0.67
    for digits and 1/6 for photographs. A rank may come out smaller on a small image that is exact, or as
    good, with fewer rows. The codings of `cr`: "paper", A and A X through JPEG2000; "residual", A and A (X −
    G), progressive, smallest; "projection", A and A X in the progressive coding, larger, but it removes the
    SR's noise from what it covers.
    """

    semantic: Semantic = option(
        "vae", "semantic codec of digits; photographs are always served by the convolutional VAE"
    )
    symbols: int = option(8, f"M, complex channel uses of the SR of a digit: {_KNOWN}")
    rank: int | None = option(None, "rank k of the complementary representation; 0 sends the SR alone")
    psnr_db: float | None = option(
        None,
        "as much CR as this PSNR takes at the link's SNR, over an ideal channel when that is not known [dB]; "
        "reached by 95 % of images, and what cannot be reached is said",
    )
    cbr: float | None = option(None, "complex channel uses of SR and CR over C·H·W")
    cr: Coding | Auto = option(
        AUTO,
        "how the CR is coded; auto: projection or residual, whichever gives the better image at the link's "
        "SNR, residual when that is not known",
    )
    jpeg2000_ratio: float = option(
        1.0, "coding paper with a rank: 1 is reversible, above it the compression ratio wanted"
    )
    tuning: Tuning | Auto = option(
        AUTO,
        "weights tuned for a noisy channel or not; ncr needs a rank; auto: few-shot when the link's SNR is "
        "known and low, else none",
    )
    mcs: str | None = option(
        None,
        "MCS of the CR, or the code that it is of; the link's comes first; if left out the one that carries "
        "most at the link's SNR; 16QAM-1/2 with a rank, or when that is not known",
    )
    repair_share: float | None = repair_option("the CR")
    sampling: bool = option(False, "send a sample of the VAE's posterior instead of its mean")

    def __post_init__(self) -> None:
        check_share(self.repair_share)
        if sum(value is not None for value in (self.rank, self.psnr_db, self.cbr)) > 1:
            raise HscError("HSC takes one of rank, psnr_db and cbr: leave the others out")
        if self.symbols not in SYMBOLS:
            raise HscError(f"the SR of a digit cannot be {self.symbols} symbols: give one of {_KNOWN}")
        if self.rank is not None and not 0 <= self.rank <= LARGEST_RANK:
            raise HscError(f"the CR's rank is {self.rank}: give 0 (SR alone) to {LARGEST_RANK}")
        if self.cbr is not None and not self.cbr > 0:
            raise HscError(f"the CBR is {self.cbr}: give a number above 0, such as 0.1667")
        if self.psnr_db is not None and not 0 < self.psnr_db <= 60:
            raise HscError(f"the target PSNR is {self.psnr_db} dB: give a number above 0, at most 60")
        if self.tuning == "ncr" and self.rank is None:
            raise HscError("tuning 'ncr' has one pair of adapters per rank: give the rank")
        if not 1 <= self.jpeg2000_ratio <= 1000:
            raise HscError(f"the JPEG2000 ratio is {self.jpeg2000_ratio}: give 1 (reversible) to 1000")

    def beside(self, tuning: str, rank: int) -> HscOptions:
        """These options for the CR beside an SR that is there: its tuning counts, and with "ncr" the rank
        that its adapters are made for.
        """
        amount = {**NO_AMOUNT, "rank": rank} if tuning == "ncr" else {}
        return replace(self, tuning=tuning, **amount)
