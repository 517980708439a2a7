"""Link adaptation: what a transmitter makes of a receiver's reports.

The largest threshold that an MCS may have comes by outer-loop link adaptation (a margin that grows with lost
blocks and shrinks without), as cellular systems have it; K. I. Pedersen et al., "Frequency domain scheduling
for OFDMA with limited and noisy channel feedback", IEEE VTC Fall 2007.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import HscError
from . import mcs
from .reports import HIGHEST_SNR_DB, LOWEST_SNR_DB, Report

# Shares of repair symbols that a transmitter chooses from. The least is for the LDPC block that an MCS lets
# through broken now and then, where packets are hardly ever lost.
REPAIR_SHARES = (0.03, 0.04, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
# Loss of packets from which on it takes more than that.
_LOSSLESS = 0.005
# Share of the robust setting, which is for losses that are not known.
_ROBUST_SHARE = 0.1
# Threshold of the most robust MCS of any code: where 802.11ad has none, codecs take 5G NR [dB].
_LOWEST_DB = min(each.threshold_db for each in mcs.TABLE.values())
# Most that the margin grows beyond the policy's [dB].
_LARGEST_MARGIN_DB = 6.0
# Step up of the margin at a report with too many lost blocks [dB].
_MARGIN_UP_DB = 1.0
# Step down at each other [dB]: ten good reports make up for a bad one. Chosen by trial.
_MARGIN_DOWN_DB = 0.1
# Share of lost LDPC blocks above which the margin grows: twice what is lost at an MCS's threshold.
_BLOCKS_LOST = 0.02
# What a report leaves of the packet loss known before. Chosen by trial.
_LOSS_MEMORY = 0.8
# Repair over expected loss: messages of few packets lose more or less than the mean. Chosen by trial.
_REPAIR_PER_LOSS = 1.5


@dataclass(frozen=True)
class Policy:
    """What an adaptive transmitter aims at, and how careful it is.

    Attributes:
        psnr_db: quality of an image [dB], for codecs that have such an option; None for none.
        cbr: most payload channel uses / (C·H·W) of an image; None leaves it to the codec.
        margin_db: least distance of an MCS's threshold from the SNR [dB].
        hysteresis_db: how much more the SNR must be before the threshold may rise [dB].
        patience: reports in a row that must allow that.
        timeout: after so many seconds without a report the robust setting holds.
        robust_snr_db: SNR that the robust setting is made for [dB].
        repair: whether the repair share follows the loss; else it stays the codec's.
    """

    psnr_db: float | None = None
    cbr: float | None = None
    margin_db: float = 1.5
    hysteresis_db: float = 1.0
    patience: int = 2
    timeout: float = 5.0
    robust_snr_db: float = 3.0
    repair: bool = True

    def __post_init__(self) -> None:
        if self.psnr_db is not None and not 0 < self.psnr_db <= 60:
            raise HscError(f"the target PSNR is {self.psnr_db} dB: give a number above 0, at most 60")
        if self.cbr is not None and not 0 < self.cbr < 1e3:
            raise HscError(f"the CBR is {self.cbr}: give a number above 0, such as 0.1667")
        careful = 0 <= self.margin_db <= 20 and 0 <= self.hysteresis_db <= 20
        if not (careful and self.patience >= 1 and self.timeout > 0):
            raise HscError(
                "link adaptation: margin and hysteresis are 0 to 20 dB, the patience at least 1, "
                "the timeout above 0"
            )


@dataclass(frozen=True)
class LinkSetting:
    """What the next image is made for.

    Attributes:
        snr_db: SNR that may be counted on; it chooses the split between analog and digital [dB].
        most_threshold_db: largest threshold of an MCS of digital streams [dB]; which MCS has it is the
            codec's affair, with its code and its own margin.
        cbr, psnr_db: targets, or None.
        repair_share: repair symbols / all symbols of digital parts; None leaves it to the codec.
        digital: False where not even the most robust MCS gets through: then a rank of 0 is best.
    """

    snr_db: float
    most_threshold_db: float
    cbr: float | None = None
    psnr_db: float | None = None
    repair_share: float | None = None
    digital: bool = True


class LinkAdaptation:
    """From reports to settings. Time is that of any clock that does not go back [s]; not thread-safe."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._robust = LinkSetting(
            snr_db=policy.robust_snr_db,
            most_threshold_db=policy.robust_snr_db - policy.margin_db,
            cbr=policy.cbr,
            psnr_db=policy.psnr_db,
            repair_share=_ROBUST_SHARE if policy.repair else None,
        )
        self._forget()

    def _forget(self) -> None:
        self._setting, self._since = self._robust, None
        self._margin_db, self._loss = self.policy.margin_db, 0.0
        self._allowed = 0

    def setting(self, now: float) -> LinkSetting:
        """What to send with now."""
        if self._since is not None and now - self._since > self.policy.timeout:
            self._forget()
        return self._setting

    def report(self, report: Report, now: float) -> LinkSetting:
        """Take what a receiver saw; returns the new setting."""
        self.setting(now)
        self._since = now
        snr_db = min(max(report.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB)
        if report.blocks:
            failing = report.lost_blocks > _BLOCKS_LOST * report.blocks
            margin = self._margin_db + (_MARGIN_UP_DB if failing else -_MARGIN_DOWN_DB)
            least = self.policy.margin_db
            self._margin_db = min(max(margin, least), least + _LARGEST_MARGIN_DB)
        if report.packets:
            lost = 1 - min(report.received, report.packets) / report.packets
            self._loss = max(lost, _LOSS_MEMORY * self._loss + (1 - _LOSS_MEMORY) * lost)
        self._setting = replace(
            self._setting,
            snr_db=snr_db,
            most_threshold_db=self._threshold_db(snr_db - self._margin_db),
            digital=snr_db - self._margin_db >= _LOWEST_DB,
            repair_share=repair_share(self._loss) if self.policy.repair else None,
        )
        return self._setting

    def _threshold_db(self, allowed_db: float) -> float:
        """Lower at once, higher only when that has been possible with some SNR to spare for some time."""
        now, spared = self._setting.most_threshold_db, allowed_db - self.policy.hysteresis_db
        if allowed_db <= now:
            self._allowed = 0
            return allowed_db
        self._allowed = self._allowed + 1 if spared > now else 0
        if self._allowed < self.policy.patience:
            return now
        self._allowed = 0
        return spared


def repair_share(loss: float) -> float:
    """The least of REPAIR_SHARES that makes up for such a loss of packets, 0 to 1."""
    if loss < _LOSSLESS:
        return REPAIR_SHARES[0]
    wanted = round(_REPAIR_PER_LOSS * loss, 9)
    return next((share for share in REPAIR_SHARES[1:] if share >= wanted), REPAIR_SHARES[-1])


def loss_of(share: float) -> float:
    """The most that packets are lost where `repair_share` says so, 0 to 1; 0 for the least share."""
    return share / _REPAIR_PER_LOSS if share > REPAIR_SHARES[0] else 0.0
