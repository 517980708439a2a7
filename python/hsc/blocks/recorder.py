"""Recordings in SigMF: the samples by GNU Radio's own file sink, an annotation for every packet beside them."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta

from gnuradio import blocks, gr

from .. import recording
from ..errors import HscError
from ..phy.numerology import AUTO, preset
from . import pdu
from .base import MessageBlock

FORMATS = ("cf32_le", "ci16_le")
_LEAST_DISK = 32 << 20  # bytes that a recording leaves free


class _annotator(MessageBlock):  # noqa: N801
    """Packets to the metadata of a recording. Message port: in `packets` (`ReceivedPacket`, `Tick`)."""

    def __init__(self, writer: recording.RecordingWriter, sample_rate: float) -> None:
        super().__init__("Recorder")
        self.open_ports({"packets": {pdu.ReceivedPacket: self._packet, pdu.Tick: self._tick}}, ())
        self._writer, self._rate, self._started = writer, sample_rate, False
        self._open, self._lock = True, threading.Lock()  # whoever runs the flowgraph may close it from another thread

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self._know_start(received.sample_index)
        with self._lock:
            if self._open:
                self._writer.add(received.packet)

    def _tick(self, tick: pdu.Tick) -> None:
        self._know_start(tick.sample_index)

    def _know_start(self, sample_index: int) -> None:
        """The first sample came so many samples ago."""
        if not self._started:
            self.set_start(datetime.now(UTC) - timedelta(seconds=sample_index / self._rate))

    def set_start(self, start: datetime) -> None:
        """Time of the first sample."""
        self._started = True
        self._writer.set_start(start)

    def close(self) -> None:
        """Write the metadata for the last time. Raises HscError when the disk does not take them."""
        with self._lock:
            if self._open:
                self._open = False
                self._writer.close()

    def stop(self) -> bool:
        with self.contain(None):
            self.close()
        return super().stop()


class recorder(gr.hier_block2):  # noqa: N801
    """Samples to a SigMF recording, packets to its annotations.

    Stream in: complex samples. Message ports: in `packets` (`ReceivedPacket` and `Tick` of an OFDM Receiver on the same samples); `status`.
    What is there when a process is killed is a valid recording.

    Args:
        name: of the recording; `name.sigmf-data` and `name.sigmf-meta` are written.
        sample_rate: [samples/s].
        frequency: carrier [Hz].
        datatype: one of FORMATS.
        numerology: preset of `phy.ofdm` that the packets come with; "auto" for what they say.
        source: what was recorded: a radio's address.
        overwrite: a recording of that name goes first; else it is an error.

    Raises:
        HscError: an unknown format or numerology, a recording of that name, or a folder that cannot be written.
    """

    def __init__(
        self,
        name: str,
        sample_rate: float = 1e6,
        frequency: float = 0.0,
        datatype: str = FORMATS[0],
        numerology: str = AUTO,
        source: str = "",
        overwrite: bool = False,
    ) -> None:
        gr.hier_block2.__init__(self, "Recorder", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        if datatype not in FORMATS:
            raise HscError(f"unknown format '{datatype}': choose one of {', '.join(FORMATS)}")
        if overwrite:
            for path in recording.file_names(name):
                path.unlink(missing_ok=True)
        known = None if numerology == AUTO else preset(numerology)
        self.writer = recording.RecordingWriter(name, datatype, sample_rate, frequency, source, known, datetime.now(UTC))
        self.annotator = _annotator(self.writer, sample_rate)
        short = datatype == "ci16_le"
        self.file = blocks.file_sink(gr.sizeof_short if short else gr.sizeof_gr_complex, str(self.writer.data), False)
        self.file.set_unbuffered(True)  # a process that is killed loses nothing
        self.convert = [blocks.complex_to_interleaved_short(False, recording.CI16_FULL_SCALE)] if short else []
        self.connect(self, *self.convert, self.file)
        self.close, self.set_start = self.annotator.close, self.annotator.set_start
        self.message_port_register_hier_in("packets")
        self.message_port_register_hier_out("status")
        self.msg_connect((self, "packets"), (self.annotator, "packets"))
        self.msg_connect((self.annotator, "status"), (self, "status"))

    def spare_disk(self) -> str | None:
        """End the recording when the disk is nearly full; says so once."""
        if self.file is None or shutil.disk_usage(self.writer.data.parent).free > _LEAST_DISK:
            return None
        self.file.close()
        self.file = None
        return f"the disk of {self.writer.data} is nearly full: the recording has ended, reception goes on"
