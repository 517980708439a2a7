"""`tx`: images to a radio.

    Image Source - Message Encoder - [Packet Repeater] - OFDM Transmitter - Radio Sink
                         [Link Adaptation] - [Feedback Receiver]

The Image Source sends an image only when fewer than AHEAD are between it and the air: what the OFDM
Transmitter reports as sent releases the next one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import HscError
from ..files import label
from ..images import files as image_files
from ..radio.addresses import RadioSettings
from ..words import counted
from . import live
from .group import EXIT_BAD_INPUT, EXIT_FAILED
from .link import Scenario, create_codecs

with live.gnuradio_needed():
    from gnuradio import gr

    from ..blocks import (
        feedback_receiver,
        image_source,
        link_adaptation,
        message_encoder,
        ofdm_transmitter,
        packet_repeater,
        pdu,
        radio_sink,
    )
    from ..blocks.base import MessageBlock

# Images between the Image Source and the air: one on the air, one that waits, one in the codec.
AHEAD = 3
# Zeros after the last burst, which push it through the radio's buffers [s].
TRAIL = 0.5
# Time for requests of packets that were lost at the end [s].
_LINGER = 2.0
# Packets that wait for the transmitter: AHEAD bounds them already.
_ENDLESS = 1 << 30


@dataclass(frozen=True)
class Schedule:
    """How often and when images are sent.

    Attributes:
        loop: again and again.
        repeat: so many times, each time all of them in order.
        interval: least time between two images [s].
        feedback: address at which a receiver says what it gets; None for none. The link then adapts, and lost
            packets are sent again.
        target_psnr: quality that images shall have over an adaptive link [dB], None for none.
    """

    loop: bool = False
    repeat: int = 1
    interval: float = 0.0
    feedback: str | None = None
    target_psnr: float | None = None


class _monitor(MessageBlock):  # noqa: N801
    """Counts what left the transmitter and what failed, and shows it. `sources`: number of image files."""

    def __init__(self, display: live.Display, sources: int) -> None:
        super().__init__("Transmit Monitor")
        inputs = {
            "images": {pdu.Image: self._image, pdu.Failed: self.ignore},
            "sent": {pdu.Sent: self._sent, pdu.Failed: self.ignore},
            "failures": {},
            "radio": {pdu.RadioStatus: self._radio},
        }
        self.open_ports(inputs, (), ends=("sent",))
        self._display, self._sources = display, sources
        self._failures_in_a_row = 0
        self.images, self.packets = 0, 0
        self.failures = 0
        self.last, self.losses = "", ""
        self.ended = threading.Event()

    def _sent(self, sent: pdu.Sent) -> None:
        self._failures_in_a_row = 0
        if not self.images:
            self._display.line(f"on the air: message {sent.message_id}")
        self.images += 1
        self.packets += sent.packets
        if sent.notices:
            self._display.complain(sent.notices, f"message {sent.message_id}: ")
        height, width, _ = sent.header.shape
        self.last = f"message {sent.message_id} ({width} x {height}, {counted(sent.packets, 'packet')})"

    def _image(self, image: pdu.Image) -> None:
        if image.notices:
            self._display.line(f"gr-hsc: {image.notices}")

    def _radio(self, status: pdu.RadioStatus) -> None:
        self.losses = "".join(f" | {name} {count}" for name, count in status.troubles.items())
        if status.failure:
            self.ended.set()

    def on_failed(self, failed: pdu.Failed) -> None:
        self.failures += 1
        self._failures_in_a_row += 1
        self._display.complain(failed.reason)
        if self._failures_in_a_row >= self._sources:
            self.ended.set()  # not one of them can be sent: no use in going on

    def on_end(self) -> None:
        self.ended.set()

    def show(self) -> None:
        """Draw the live line."""
        failed = f", {self.failures} failed" if self.failures else ""
        last = f" | last: {self.last}" if self.last else ""
        sent = f"{counted(self.images, 'image')}, {counted(self.packets, 'packet')}"
        self._display.status(f"sent {sent}{failed}{last}{self.losses}")


class _flowgraph(gr.top_block):  # noqa: N801
    def __init__(
        self,
        files: list[str],
        scenario: Scenario,
        radio: RadioSettings,
        schedule: Schedule,
        display: live.Display,
    ) -> None:
        gr.top_block.__init__(self, "gr-hsc tx", catch_exceptions=True)
        self.sink = radio_sink(**asdict(radio))
        self.source = image_source(
            files,
            schedule.loop,
            schedule.interval,
            in_flight=AHEAD,
            delay=radio.preset.settling,
            rounds=max(1, schedule.repeat),
        )
        self.encoder = message_encoder(
            scenario.codec,
            scenario.codec_options,
            scenario.link.snr_db,
            scenario.cbr,
            scenario.mcs or "",
            scenario.packet_symbols,
            fade_margin_db=scenario.link.fade_margin_db,
        )
        self.transmitter = ofdm_transmitter(
            scenario.numerology, trailing=int(TRAIL * radio.sample_rate), queue=_ENDLESS
        )
        self.monitor = _monitor(display, len(files))
        self.connect(self.transmitter, self.sink)
        self.msg_connect(self.source, "images", self.encoder, "images")
        self.msg_connect(self.source, "images", self.monitor, "images")
        if schedule.feedback is None:
            self.msg_connect(self.encoder, "packets", self.transmitter, "packets")
        else:
            self._connect_feedback(schedule, scenario)
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.transmitter, "sent", self.monitor, "sent")
        self.msg_connect(self.sink, "radio", self.monitor, "radio")
        for block in (self.source, self.encoder, self.transmitter, self.sink):
            self.msg_connect(block, "status", self.monitor, "failures")

    def _connect_feedback(self, schedule: Schedule, scenario: Scenario) -> None:
        self.feedback = feedback_receiver(schedule.feedback)
        self.adaptation = link_adaptation(schedule.target_psnr, scenario.cbr)
        self.repeater = packet_repeater(linger=_LINGER)
        self.msg_connect(self.feedback, "reports", self.adaptation, "reports")
        self.msg_connect(self.adaptation, "link", self.encoder, "snr")
        self.msg_connect(self.feedback, "naks", self.repeater, "naks")
        self.msg_connect(self.encoder, "packets", self.repeater, "packets")
        self.msg_connect(self.repeater, "packets", self.transmitter, "packets")
        for block in (self.feedback, self.adaptation, self.repeater):
            self.msg_connect(block, "status", self.monitor, "failures")


def transmit(paths: Sequence[Path], scenario: Scenario, radio: RadioSettings, schedule: Schedule) -> int:
    """Send image files until all are sent, or a signal comes. Returns the exit status.

    Raises HscError for files, options or a radio that cannot be had.
    """
    # GNU Radio's logger writes to stdout; what fails comes to the monitor and is told there.
    gr.logging().set_default_level(gr.log_levels.off)
    lines: list[str] = []
    sources = image_files.find(paths, lines.append)
    missing = [path for path in sources if not os.path.lexists(path)]
    files = [str(path) for path in sources if path not in missing]
    lines += [f"no such file: {label(path)}" for path in missing]
    if not files:
        raise HscError(lines[-1])
    create_codecs(scenario)  # refuses options here, not in a block's thread
    with live.Display() as display:
        for line in lines:
            display.line(f"gr-hsc: {line}")
        flowgraph = _flowgraph(files, scenario, radio, schedule, display)
        monitor = flowgraph.monitor
        rate = f"{radio.sample_rate / 1e6:g} MS/s"
        how = f"{rate}, {scenario.numerology}, codec {scenario.codec}"
        display.line(f"sending {counted(len(files), 'image')} over {radio.address}, {how}")
        live.run(flowgraph, monitor.show, monitor.ended)
        failure = flowgraph.sink.failure
        sent = f"{counted(monitor.images, 'image')} in {counted(monitor.packets, 'packet')}"
        display.line(f"sent {sent}{monitor.losses}")
    return EXIT_FAILED if failure else EXIT_BAD_INPUT if monitor.failures or missing else 0
