"""Recordings in SigMF: a sink for the samples, an annotation for every packet beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gnuradio import gr

from ...phy.numerology import AUTO, preset
from ...radio import recording
from ...radio.reader import Capture
from .. import pdu
from ..base import MessageBlock
from .sample_files import sample_file_sink

# PDUs that wait while the metadata are written.
_QUEUE = 4096


class _annotator(MessageBlock):  # noqa: N801
    """Packets to the metadata of a recording. Message port: in `packets` (`ReceivedPacket`, `Tick`).

    A block of its own: a block with a stream ends with it, and the last packets come after the last sample.
    """

    def __init__(self, writer: recording.RecordingWriter) -> None:
        super().__init__("Recorder")
        handlers = {pdu.ReceivedPacket: self._packet, pdu.Tick: self._tick}
        self.open_ports({"packets": handlers}, (), queue=_QUEUE)
        self._writer, self._last_tick = writer, -1
        self._run, self._started = 0, 0

    def start(self) -> bool:
        self._started += 1
        return super().start()

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self._writer.add(received.packet, self._run)

    def _tick(self, tick: pdu.Tick) -> None:
        """A receiver's clock begins anew in every run; what it found before may come when the next one has
        begun.
        """
        if tick.sample_index <= self._last_tick:
            self._run = min(self._run + 1, self._started - 1)
        self._last_tick = tick.sample_index

    def stop(self) -> bool:
        with self.contain(None):
            self._writer.flush()
        return super().stop()


class recorder(gr.hier_block2):  # noqa: N801
    """Samples to a SigMF recording, packets to its annotations.

    Stream in: complex samples. Message ports: in `packets` (`ReceivedPacket` and `Tick` of an OFDM Receiver
    on the same samples); `status`. The files are made when the first sample comes. What is there when a
    process is killed is a valid recording. A flowgraph that runs again adds to it: each run is a capture.

    Args:
        name: of the recording; `name.sigmf-data` and `name.sigmf-meta` are written.
        sample_rate: [samples/s].
        frequency: carrier [Hz].
        datatype: one of FORMATS. 16-bit integers are scaled to the level of the samples; a reader undoes it.
        numerology: preset of `phy.ofdm` that the packets come with; "auto" for what they say.
        source: what was recorded: a radio's address.
        overwrite: a recording of that name is replaced when the first sample comes; else it is an error.
        full_scale: amplitude that the largest integer stands for, 1 for a radio; None to follow the samples.

    Attributes:
        counters: `samples` recorded, `clipped`, `lost` (not recorded, the disk being full).

    Raises:
        HscError: an unknown format or numerology, a recording of that name, or a folder that cannot be
            written.
    """

    def __init__(
        self,
        name: str,
        sample_rate: float = 1e6,
        frequency: float = 0.0,
        datatype: str = recording.FORMATS[0],
        numerology: str = AUTO,
        source: str = "",
        overwrite: bool = False,
        full_scale: float | None = None,
    ) -> None:
        gr.hier_block2.__init__(
            self, "Recorder", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0)
        )
        self.writer = recording.RecordingWriter(
            name,
            datatype,
            sample_rate,
            frequency,
            source,
            None if numerology == AUTO else preset(numerology),
            overwrite=overwrite,
            full_scale=full_scale,
        )
        self.sink, self.annotator = sample_file_sink(self.writer), _annotator(self.writer)
        self.close = self.writer.close
        self.connect(self, self.sink)
        self.message_port_register_hier_in("packets")
        self.message_port_register_hier_out("status")
        self.msg_connect((self, "packets"), (self.annotator, "packets"))
        for block in (self.sink, self.annotator):
            self.msg_connect((block, "status"), (self, "status"))

    @property
    def counters(self) -> Counter[str]:
        """Of the samples."""
        return self.sink.counters

    def follow(self, captures: Sequence[Capture]) -> None:
        """The samples come from a recording: times and carriers of its captures are written again. Before a
        start.
        """
        self.sink.captures = captures
