"""Link Adaptation: what the next image is made for, by what a receiver reports."""

from __future__ import annotations

import threading
import time

from ..phy.adaptation import LinkAdaptation, Policy
from . import pdu
from .base import Companion, MessageBlock

# Looks at the clock within a time-out.
_LOOKS = 4


class link_adaptation(MessageBlock):
    """Chooses the largest threshold of an MCS, CR rank, DA split and repair share from a receiver's reports.

    Message ports: in `reports` (`Snr`); out `link` (`LinkSetting`), for the port `snr` of a Message Encoder:
    the robust setting at the start, another whenever a report changes it, and the robust one again when
    reports stop.

    Args:
        psnr_db: quality that images shall have [dB], for codecs with such an option; None for none.
        cbr: payload channel uses / (C·H·W) that an image may take; None leaves it to the codec.
        margin_db, hysteresis_db, timeout, robust_snr_db: see `phy.adaptation.Policy`.

    Raises:
        HscError: a value out of range.
    """

    def __init__(
        self,
        psnr_db: float | None = None,
        cbr: float | None = None,
        margin_db: float = 1.5,
        hysteresis_db: float = 1.0,
        timeout: float = 5.0,
        robust_snr_db: float = 3.0,
    ) -> None:
        super().__init__("Link Adaptation")
        self.open_ports({"reports": {pdu.Snr: self._report, pdu.Failed: self.ignore}}, ("link",))
        self._policy = Policy(
            psnr_db, cbr, margin_db, hysteresis_db, timeout=timeout, robust_snr_db=robust_snr_db
        )
        self._lock, self._watch = threading.Lock(), Companion("link_adaptation", self._look)
        self._begin()

    def _begin(self) -> None:
        self._adaptation, self._last = LinkAdaptation(self._policy), None

    def start(self) -> bool:
        self._begin()
        self._tell()
        self._watch.start()
        return super().start()

    def stop(self) -> bool:
        self._watch.stop()
        return super().stop()

    def _report(self, snr: pdu.Snr) -> None:
        with self._lock:
            self._adaptation.report(snr.record, time.monotonic())
        self._tell()

    def _look(self, asked: threading.Event) -> None:
        while not asked.wait(self._policy.timeout / _LOOKS):
            self._tell()

    def _tell(self) -> None:
        """Publish the setting when it has changed."""
        with self._lock:
            setting = self._adaptation.setting(time.monotonic())
            changed, self._last = setting != self._last, setting
        if changed:
            self.counters["settings"] += 1
            self.publish("link", pdu.LinkSetting.of(setting))
