"""The samples of SigMF recordings as streams: `sample_file_source` reads, `sample_file_sink` writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gnuradio import gr

from ...radio.reader import Capture, RecordedSamples, SampleReader
from ...radio.recording import RecordingWriter
from ..base import Ports, new_samples

# Samples that a call of `work` may move: a call costs 0.15 ms, whatever it moves.
_PIECE = 1 << 16
# What `work` returns at the end of the stream (gnuradio/block.h).
_WORK_DONE = -1


class sample_file_source(Ports, gr.sync_block):  # noqa: N801
    """Stream out: a recording's samples, in every run from the first one on.

    Message port: `status` (`Failed` when it cannot be read on; the stream ends then).

    Args:
        recorded: which.

    Raises:
        HscError: the data file cannot be opened.
    """

    def __init__(self, recorded: RecordedSamples) -> None:
        gr.sync_block.__init__(self, name="Recording", in_sig=None, out_sig=[np.complex64])
        self.open_ports({}, ())
        self.set_max_noutput_items(_PIECE)  # whatever the flowgraph is started with
        self._reader = SampleReader(recorded)

    def start(self) -> bool:
        self._reader.rewind()
        return super().start()

    def work(self, _: list[np.ndarray], output_items: list[np.ndarray]) -> int:
        with self.contain(None):
            return self._reader.read_into(output_items[0]) or _WORK_DONE
        return _WORK_DONE


class sample_file_sink(Ports, gr.basic_block):  # noqa: N801
    """Stream in: samples for a recording; every run begins a capture.

    Message port: `status` (`Failed` when samples are not recorded, or not as they were; the flowgraph goes
    on).

    Args:
        writer: of the recording.

    Attributes:
        captures: of a recording that the samples come from, with times and carriers; empty for live ones.
        counters: besides those of all blocks `samples` (recorded), `clipped` and `lost` (not recorded).
    """

    def __init__(self, writer: RecordingWriter) -> None:
        gr.basic_block.__init__(self, name="Recorder", in_sig=[np.complex64], out_sig=None)
        self.open_ports({}, ())
        self.set_history(_PIECE)  # the one way a sink can ask for a larger buffer, as the OFDM Receiver does
        self.writer = writer
        self.captures: Sequence[Capture] = ()

    def start(self) -> bool:
        self.writer.begin(self.captures)
        return super().start()

    def stop(self) -> bool:
        with self.contain(None):
            self.writer.flush()
        return super().stop()

    def forecast(self, _: int, ninputs: int) -> list[int]:
        return [_PIECE] * ninputs

    def general_work(self, input_items: list[np.ndarray], _: list[np.ndarray]) -> int:
        samples, writer = new_samples(self, input_items[0]), self.writer
        recorded, clipped = writer.samples, writer.clipped
        with self.contain(None):
            writer.write(samples)
        self.counters["samples"], self.counters["clipped"] = writer.samples, writer.clipped
        self.counters["lost"] += len(samples) - (writer.samples - recorded)
        if writer.clipped and not clipped:
            reason = "samples beyond the full scale of its integers are clipped, and counted"
            self.fail(None, f"{writer.data}: {reason}")
        self.consume(0, len(input_items[0]) - _PIECE + 1)
        return 0
