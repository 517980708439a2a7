"""`rx`: images from a radio, or from a recording.

    Radio Source - OFDM Receiver - Message Decoder - files
                 - [Recorder]            - [Image Viewer]

A recording is decoded as fast as it can be, and always to the same files: the OFDM Receiver waits while the
decoder is behind. Viewed, it is played in real time.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HscError
from ..message import MOST_PIXELS
from ..phy.numerology import presets
from ..radio.addresses import RadioSettings
from ..radio.reader import Capture
from ..words import counted
from . import live
from .codec_options import by_codec
from .group import EXIT_FAILED
from .link import Scenario
from .reception import ImageLog

if TYPE_CHECKING:
    from . import viewer_window

with live.gnuradio_needed():
    import pmt
    from gnuradio import gr

    from ..blocks import feedback_sender, message_decoder, ofdm_receiver, pdu, radio_source, repeat_requester
    from ..blocks.base import MessageBlock
    from ..blocks.radio.recorder import recorder

_PACKETS, _IN = pmt.intern("packets"), pmt.intern("in")
# PDUs that wait when a recording is held up. Chosen by trial.
_BEHIND = 64
# PDUs that wait to be written down at most. Chosen by trial.
_QUEUE = 4096
# Lost packets are asked for again after this part of the deadline, so that two repeats fit in it.
_ASK = 4
# Least time between two images of an incomplete message [s of the sample clock].
_PARTIAL = 0.05


@dataclass(frozen=True)
class Session:
    """What a reception is to do.

    Attributes:
        out: folder for images and received.jsonl.
        deadline: a message leaves incomplete when none of its packets came for so long [s of the sample
            clock].
        record: name of a SigMF recording to be made, None for none.
        record_format: one of the Recorder's formats.
        max_pixels: of an image; larger ones are refused.
        images, packets, seconds: ends after so many, or so long; None for no limit.
        view: show what arrives in a window; closing it ends the reception.
        feedback: address at which the transmitter is told what arrives; None for none.
    """

    out: Path
    deadline: float = 1.0
    record: Path | None = None
    record_format: str = "cf32_le"
    max_pixels: int = MOST_PIXELS
    images: int | None = None
    packets: int | None = None
    seconds: float | None = None
    view: bool = False
    feedback: str | None = None


class _collector(MessageBlock):  # noqa: N801
    """Writes down what arrives. All of it comes by port `in`, so that a message's packets are known before
    its image.
    """

    def __init__(self, reception: ImageLog, session: Session, display: live.Display, decoder: str) -> None:
        super().__init__("Reception")
        arrivals = {
            pdu.ReceivedPacket: self._packet,
            pdu.Tick: self._tick,
            pdu.Image: self._image,
            pdu.Failed: self._failed,
            pdu.End: self._end_of_one,
        }
        inputs = {"in": arrivals, "failures": {}, "radio": {pdu.RadioStatus: self._radio}}
        self.open_ports(inputs, (), ends=(), queue=_QUEUE)
        self._reception, self._display = reception, display
        self._session, self._decoder = session, decoder
        self.radio: pdu.RadioStatus | None = None
        self.drained, self.ended = threading.Event(), threading.Event()

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self._know_start(received.sample_index)
        self._reception.packet(received.packet)
        if self._session.packets is not None and self._reception.figures.packets >= self._session.packets:
            self.ended.set()

    def _tick(self, tick: pdu.Tick) -> None:
        if tick.sample_index:  # with 0 the receiver is there, and no sample yet
            self._know_start(tick.sample_index)

    def _know_start(self, sample_index: int) -> None:
        """The first sample came so many samples ago."""
        if not self._reception.captures:
            start = datetime.now(UTC) - timedelta(seconds=sample_index / self._reception.sample_rate)
            self._reception.captures = (Capture(start=start),)

    @property
    def has_all_images(self) -> bool:
        """As many as the session asks for."""
        return self._session.images is not None and self._reception.figures.images >= self._session.images

    def _image(self, image: pdu.Image) -> None:
        if self.has_all_images:
            return
        packets, received = image.packets or 0, image.packets_received or 0
        self._display.line(
            self._reception.image(
                image.message_id, image.pixels, image.snr_db, packets, received, image.notices
            )
        )
        if self.has_all_images:
            self.ended.set()

    def _failed(self, failed: pdu.Failed) -> None:
        self._reception.failed(failed.message_id, failed.reason)
        self._display.complain(failed.reason, f"message {failed.message_id}: ")

    def _end_of_one(self, _: pdu.End) -> None:
        """Of the receiver, or of the decoder, which hands out all that it has before."""
        if self.drained.is_set():
            self.ended.set()
        self.drained.set()

    def _radio(self, status: pdu.RadioStatus) -> None:
        self.radio = status

    def on_failed(self, failed: pdu.Failed) -> None:
        if failed.message_id is None or failed.block != self._decoder:  # else it comes by port `in` too
            self._display.complain(failed.reason)


class _flowgraph(gr.top_block):  # noqa: N801
    def __init__(
        self,
        scenario: Scenario,
        radio: RadioSettings,
        session: Session,
        display: live.Display,
        viewer: MessageBlock | None = None,
    ) -> None:
        gr.top_block.__init__(self, "gr-hsc rx", catch_exceptions=True)
        scheme = radio.parsed.scheme
        self.source = radio_source(
            **{name: value for name, value in asdict(radio).items() if name != "back_off_db"}
        )
        rate = self.source.sample_rate
        self.reception = ImageLog(session.out, rate, self.source.device.captures)
        self.receiver = ofdm_receiver(scenario.numerology)
        self.receiver.hold_while = self._behind if scheme == "file" else None
        self.viewer, partial = viewer, 0 if viewer is None else int(_PARTIAL * rate)
        options, hold = by_codec(scenario.receiver_options), int(session.deadline * rate)
        self.decoder = message_decoder(options, hold, partial, session.max_pixels)
        self.collector = _collector(self.reception, session, display, self.decoder.name())
        self.connect(self.source, self.receiver)
        self._connect_recorder(session, radio, scenario.numerology)
        # The collector comes before the decoder: packets are to be known before the image they make.
        self.msg_connect(self.receiver, "packets", self.collector, "in")
        self.msg_connect(self.receiver, "packets", self.decoder, "packets")
        self.msg_connect(self.decoder, "images", self.collector, "in")
        self.msg_connect(self.source, "radio", self.collector, "radio")
        for block in (self.source, self.receiver, self.decoder, self.collector):
            self.msg_connect(block, "status", self.collector, "failures")
        if viewer is not None:
            self._connect_viewer()
        if session.feedback is not None:
            self.feedback = feedback_sender(session.feedback)
            self.requester = repeat_requester(int(session.deadline * rate / _ASK), _ASK - 2)
            self.msg_connect(self.receiver, "packets", self.requester, "packets")
            self.msg_connect(self.requester, "naks", self.feedback, "records")
            self.msg_connect(self.decoder, "snr", self.feedback, "records")
            for block in (self.requester, self.feedback):
                self.msg_connect(block, "status", self.collector, "failures")

    def _connect_viewer(self) -> None:
        self.msg_connect(self.receiver, "packets", self.viewer, "packets")
        self.msg_connect(self.source, "radio", self.viewer, "status")
        for port in ("images", "partial", "status"):
            self.msg_connect(self.decoder, port, self.viewer, port)

    def _behind(self) -> bool:
        waiting = [
            self.decoder.nmsgs(_PACKETS),
            self.collector.nmsgs(_IN),
            self.viewer.nmsgs(_PACKETS) if self.viewer else 0,
        ]
        return max(waiting) > _BEHIND

    def _connect_recorder(self, session: Session, radio: RadioSettings, numerology: str) -> None:
        self.recorder = None
        if session.record is None:
            return
        self.recorder = recorder(
            str(session.record),
            self.source.sample_rate,
            radio.frequency,
            session.record_format,
            numerology,
            radio.address,
            full_scale=None if radio.parsed.floating else 1.0,
        )
        captures = self.source.device.captures
        self.recorder.follow([replace(c, frequency=radio.frequency or c.frequency) for c in captures])
        self.connect(self.source, self.recorder)
        self.msg_connect(self.receiver, "packets", self.recorder, "packets")
        self.msg_connect(self.recorder, "status", self.collector, "failures")

    def drain(self) -> threading.Event:
        """Ask the decoder for what it has of messages that are not complete; the event tells that it has been
        written.
        """
        if self.collector.has_all_images:
            self.collector.drained.set()
        self.decoder._post(_PACKETS, pdu.End().to_pdu())
        return self.collector.drained

    def status(self) -> str:
        """The live line."""
        figures, seen = self.reception.figures, self.receiver.counters
        signal = "no packet yet"
        if figures.numerology is not None:
            signal = f"{figures.numerology}, SNR {figures.snr_db:.1f} dB, CFO {figures.cfo_hz:+.0f} Hz"
        lost = (
            f"{counted(figures.packets, 'packet')}, {figures.lost} lost, "
            f"{counted(seen['header_errors'], 'header error')}"
        )
        images = counted(figures.images, "image") + (
            f", {figures.incomplete} incomplete" if figures.incomplete else ""
        )
        failed = f", {figures.failed} failed" if figures.failed else ""
        late = self.decoder.counters["dropped"] + self.collector.counters["dropped"]
        lost += f", {late} dropped: this computer is too slow" if late else ""
        last = f" | last: {figures.last}" if figures.last else ""
        return f"{signal} | {lost} | {images}{failed}{last}{self._radio()}"

    def _radio(self) -> str:
        radio = self.collector.radio
        if radio is None:
            return ""
        level = "" if radio.rms_dbfs is None else f" | level {radio.rms_dbfs:.0f} dB"
        return level + "".join(f", {name} {count}" for name, count in radio.troubles.items())


def receive(scenario: Scenario, radio: RadioSettings, session: Session) -> int:
    """Receive until a limit of the session is reached, the recording ends, or a signal comes. Returns the
    exit status.

    Raises HscError for options, a radio, a recording or a folder that cannot be had.
    """
    # GNU Radio's logger writes to stdout; what fails comes to the collector and is told there.
    gr.logging().set_default_level(gr.log_levels.off)
    window = _window() if session.view else None
    with live.Display() as display:
        viewer = None if window is None else window.viewer
        flowgraph = _flowgraph(scenario, radio if session.view else unpaced(radio), session, display, viewer)

        def show() -> None:
            display.status(flowgraph.status())

        rate = f"{flowgraph.source.sample_rate / 1e6:g} MS/s"
        sought = _enumerated([n.name for n in presets(scenario.numerology)])
        display.line(f"listening to {radio.address}, {rate}, {sought}; images go to {session.out}")
        try:
            live.run(
                flowgraph,
                show,
                flowgraph.collector.ended,
                session.seconds,
                flowgraph.drain,
                window.wait if window else None,
            )
        finally:
            flowgraph.reception.close()
            if flowgraph.recorder is not None:
                flowgraph.recorder.close()
        if flowgraph.recorder is not None:
            display.line(recorded(flowgraph.recorder))
        display.line(flowgraph.status())
        nothing = radio.parsed.scheme == "file" and not flowgraph.reception.figures.packets
        if nothing:
            display.complain(f"no packet found in {radio.parsed.target}: looked for {sought} at {rate}")
    if window is not None:
        window.close()
    figures = flowgraph.reception.figures
    too_few = figures.images < (session.images or 0) or figures.packets < (session.packets or 0)
    unwritten = flowgraph.collector.counters["errors"]  # images that arrived, and are not in the folder
    return EXIT_FAILED if too_few or nothing or unwritten or flowgraph.source.failure else 0


def _enumerated(names: list[str]) -> str:
    """One, or one or another."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def recorded(block: recorder) -> str:
    """What a recorder has made, and what it has not."""
    counts = {name: block.counters[name] for name in ("clipped", "lost")}
    troubles = "".join(f", {count} {name}" for name, count in counts.items() if count)
    return f"recorded {block.writer.samples} samples in {block.writer.data}{troubles}"


def _window() -> viewer_window.Window:
    """Raises HscError where there is no display, or no Qt."""
    try:
        from . import viewer_window
    except ModuleNotFoundError as missing:
        raise HscError(
            f"no window can be opened, {missing.name} is not installed: leave out --view"
        ) from None
    return viewer_window.Window("gr-hsc rx")


def unpaced(radio: RadioSettings) -> RadioSettings:
    """A recording whose speed is not given is read as fast as it is decoded."""
    if radio.parsed.scheme != "file" or ",speed=" in radio.address:
        return radio
    return replace(radio, address=f"{radio.address},speed=0")
