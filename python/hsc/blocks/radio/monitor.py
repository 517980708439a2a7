"""Watches a radio: level and clipping of its samples, losses, and whether it is still there."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pmt
from gnuradio import gr

from ...radio.addresses import RadioSettings
from ...radio.meters import LevelMeter, SampleClock
from .. import pdu
from ..base import Companion, Ports, new_samples
from .driver_messages import DRIVERS

# Between two RadioStatus PDUs [s].
PERIOD = 1.0
# Between two looks at the counts [s].
_POLL = 0.05
# So long without a sample is a timeout, as gr-soapy's [s] …
_STALL = 0.5
# … less this much, as looks are not on the instant [s].
_MARGIN = 0.1
# So long without a sample is the end [s].
_GONE = 3.0
# The same before the first sample [s]: some drivers load firmware.
_GONE_AT_START = 10.0
# Jitter of a driver's clock [s].
_LIVE_SLACK = 0.005
# Jitter of a process that is paced by the wall clock [s].
_PACED_SLACK = 0.05
# Samples that a call of `work` may bring: a call costs 0.15 ms, whatever it brings.
_BUFFER = 1 << 14
# Samples that it brings at least, but for recordings: the last few of a stream are not looked at.
_LEAST = 1 << 12
# What `work` returns at the end of the stream (gnuradio/block.h).
_WORK_DONE = -1
_COUNTED = ("samples", "clipped", "overruns", "underruns", "timeouts", "lost")
_TROUBLES = {
    "clipped": "samples clipped",
    "overruns": "overruns",
    "underruns": "underruns",
    "timeouts": "times half a second without a sample",
    "lost": "samples missing",
}
_SYSTEM = pmt.intern("system")
# What GNU Radio's scheduler sends to a block that shall end.
_DONE = pmt.cons(pmt.intern("done"), pmt.from_long(1))


class radio_monitor(Ports, gr.sync_block):  # noqa: N801
    """Stream in: the radio's samples. Message ports: out `radio` (`RadioStatus` every second and at the end,
    `End`), `status` (`Failed`).

    Args:
        settings: of the radio.
        side: "sink" or "source".
        device: the block that moves the samples.
        moved: how many samples it has moved; None where nothing but the stream itself tells.
        live: a radio that may vanish.

    Attributes:
        counters: `samples`, `clipped`, `overruns`, `underruns`, `timeouts`, `lost`.
        failure: one line when the radio has vanished.
    """

    def __init__(
        self,
        settings: RadioSettings,
        side: str,
        device: gr.basic_block,
        moved: Callable[[], int] | None = None,
        live: bool = False,
    ) -> None:
        gr.sync_block.__init__(self, name=f"Radio {side.capitalize()}", in_sig=[np.complex64], out_sig=None)
        self.open_ports({}, ("radio",))
        self.set_history(_BUFFER)
        # a flowgraph's own limit may be below _LEAST: no sample would move
        self.set_max_noutput_items(_BUFFER)
        if settings.parsed.scheme != "file":
            self.set_output_multiple(_LEAST)
        self._settings, self._side = settings, side
        self._device, self._moved = device, moved
        self._live = live
        self._full_scale = _full_scale(settings, side)
        self.failure: str | None = None
        self._companion = Companion("radio monitor", self._watch)

    def start(self) -> bool:
        self.counters.clear()
        self.counters.update(dict.fromkeys(_COUNTED, 0))
        self._told: dict[str, int] = {}
        self._meter, self._lock = LevelMeter(self._full_scale), threading.Lock()
        self.failure = None
        self._began = time.monotonic()
        if self._live:
            self._before = Counter(DRIVERS.counts)
            DRIVERS.hold()
        self._companion.start()
        return super().start()

    def stop(self) -> bool:
        if self._companion.stop():
            if self._live:
                DRIVERS.release()
            self._count()
            self._report()
            if self.detail().done():  # else the flowgraph is stopped, and may run again
                self.publish("radio", self.end())
        return super().stop()

    def work(self, input_items: list[np.ndarray], _: list[np.ndarray]) -> int:
        with self._lock:
            self._meter.push(new_samples(self, input_items[0]))
        return _WORK_DONE if self.failure else len(input_items[0]) - _BUFFER + 1

    def _watch(self, asked: threading.Event) -> None:
        clock = SampleClock(self._settings.sample_rate, slack=_LIVE_SLACK if self._live else _PACED_SLACK)
        due = self._began + PERIOD
        seen, since = 0, self._began
        stalled = 0
        while not asked.wait(_POLL):
            now = time.monotonic()
            with self.contain(None):
                moved = self._moved() if self._moved else self._meter.samples
                if self._settings.parsed.scheme != "file":  # a recording waits, and loses nothing
                    clock.update(now, moved)
                self.counters["lost"] = clock.lost
                if moved != seen or not self._expected(moved):
                    seen, since = moved, now
                    stalled = 0
                elif self._live and now - since >= (stalled + 1) * _STALL - _MARGIN:
                    stalled += 1
                    self.counters["timeouts"] += 1
                if self._live and now - since > (_GONE if seen else _GONE_AT_START):
                    self._gone(now - since)
                    return
                self._count()
            if now >= due:
                due = now + PERIOD
                self._report()

    def _expected(self, moved: int) -> bool:
        """False when a sink has had nothing to send."""
        return self._side == "source" or self._meter.samples > moved

    def _count(self) -> None:
        self.counters["samples"], self.counters["clipped"] = self._meter.samples, self._meter.clipped
        if self._live:
            kind = "overruns" if self._side == "source" else "underruns"
            self.counters[kind] = DRIVERS.counts[kind] - self._before[kind]

    def _gone(self, seconds: float) -> None:
        what = "gives no samples" if self._side == "source" else "takes no samples"
        remedy = "check its cable and power, then start again"
        self.failure = f"radio {self._settings.address} {what} for {seconds:.0f} s: {remedy}"
        self._count()
        self.fail(None, self.failure)
        self._report()
        if self._side == "sink":
            # those upstream do not learn from the message that nobody takes their samples
            self._device.detail().set_done(True)
        self._device._post(_SYSTEM, _DONE)

    def _report(self) -> None:
        with self._lock:
            peak, rms = self._meter.read()
        numbers = {name: self.counters[name] for name in _COUNTED}
        self._warn(numbers)
        status = pdu.RadioStatus(
            side=self._side,
            address=self._settings.address,
            sample_rate=self._settings.sample_rate,
            seconds=time.monotonic() - self._began,
            peak_dbfs=peak,
            rms_dbfs=rms,
            failure=self.failure,
            **numbers,
        )
        self.publish("radio", status)

    def _warn(self, numbers: dict[str, int]) -> None:
        """One line for what went wrong since the last one."""
        news = {name: numbers[name] - self._told.get(name, 0) for name in _TROUBLES}
        self._told = numbers
        if any(count > 0 for count in news.values()):
            text = ", ".join(f"{count} {_TROUBLES[name]}" for name, count in news.items() if count > 0)
            self.logger.warn(f"{text} ({self._settings.address})")


def _full_scale(settings: RadioSettings, side: str) -> float:
    """What clips a sample: 1 at a transmitter, at a receiver one and a half steps of the converter less."""
    if settings.parsed.floating:
        return math.inf
    return 1.0 if side == "sink" else 1 - 1.5 * 2 ** (1 - settings.preset.bits)
