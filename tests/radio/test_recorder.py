"""The Recorder block: what it writes is valid SigMF, names every packet, and plays back to the same image."""

from pathlib import Path

import numpy as np
import pmt
import pytest
import sigmf
from gnuradio import blocks, channels, gr, hsc
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.radio.reader import describe
from support import ROOT
from support.pictures import pixels
from support.recordings import received

DIGIT = ROOT / "examples" / "images" / "digit_0.png"


class Recorded(gr.top_block):
    """One digit over a noisy channel, received and recorded."""

    def __init__(self, name: str, folder: Path, datatype: str) -> None:
        super().__init__("recorded")
        self.source = hsc.image_source(str(DIGIT), first_id=7)
        self.transmitter = hsc.image_transmitter("hsc", {"rank": 28}, packet_symbols=300, continuous=False)
        self.channel = channels.channel_model(0.1, 0.02, 1.00001, [1, 0, 0.3j], 1)
        self.receiver, self.sink = hsc.image_receiver(), hsc.image_sink(str(folder))
        self.recorder = hsc.recorder(name, 1e6, 433.92e6, datatype, source="a test", overwrite=True)
        self.connect(self.transmitter, self.channel, self.receiver)
        self.connect(self.channel, self.recorder)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.receiver, "packets", self.recorder, "packets")
        self.msg_connect(self.receiver, "images", self.sink, "images")


class Replayed(gr.top_block):
    """A recording, received."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__("replayed")
        self.source = hsc.radio_source(f"file:{name}.sigmf-meta,speed=0")
        self.receiver, self.sink = hsc.image_receiver(), hsc.image_sink(str(folder))
        self.connect(self.source, self.receiver)
        self.msg_connect(self.receiver, "images", self.sink, "images")


@pytest.mark.parametrize("datatype", ["cf32_le", "ci16_le"])
@pytest.mark.timeout(60)
def test_what_is_recorded_plays_back_to_the_same_image(tmp_path, datatype):
    name = str(tmp_path / "capture")
    for _ in range(2):  # the second time it overwrites
        Recorded(name, tmp_path / "live", datatype).run()
    made = sigmf.fromfile(f"{name}.sigmf-meta")
    made.validate()
    packets = [a for a in made.get_annotations() if "hsc:packet" in a]
    assert [a["hsc:packet"] for a in packets] == list(range(packets[0]["hsc:packets"])) and packets[0][
        "hsc:message_id"
    ] == 7
    assert made.get_global_info()["core:sample_rate"] == 1e6 and all(
        15 < a["hsc:snr_db"] < 25 for a in packets
    )
    Replayed(name, tmp_path / "replayed").run()
    (live,), (replayed,) = (sorted((tmp_path / folder).glob("*.png")) for folder in ("live", "replayed"))
    if datatype == "cf32_le":
        assert live.read_bytes() == replayed.read_bytes()
    # rounding may decide whether an echo stands out of the noise
    assert np.abs(pixels(live).astype(int) - pixels(replayed)).max() <= 2


class Findings(MessageBlock):
    """What a receiver has found."""

    def __init__(self) -> None:
        super().__init__("Findings")
        self.open_ports({"in": {pdu.ReceivedPacket: self._tell, pdu.Tick: self._tell}}, ("packets",))

    def _tell(self, found: pdu.Pdu) -> None:
        self.publish("packets", found)


class Runs(gr.top_block):
    """Samples to a recorder, beside what a receiver would have found in them."""

    def __init__(self, name: str, samples: np.ndarray, datatype: str) -> None:
        super().__init__("runs")
        self.source, self.recorder = (
            blocks.vector_source_c(samples.tolist()),
            hsc.recorder(name, datatype=datatype, numerology="ofdm64"),
        )
        self.findings, self.told = Findings(), []
        fail = self.recorder.sink.fail
        self.recorder.sink.fail = lambda message_id, reason: (
            self.told.append(reason),
            fail(message_id, reason),
        )
        self.connect(self.source, self.recorder)
        self.msg_connect(self.findings, "packets", self.recorder, "packets")

    def again(self, *pdus: pdu.Pdu) -> None:
        for each in pdus:
            self.findings._post(pmt.intern("in"), each.to_pdu())
        self.source.rewind()
        self.run()

    def said(self, text: str) -> int:
        """How often a text was told."""
        return sum(text in reason for reason in self.told)


@pytest.mark.parametrize("datatype", ["cf32_le", "ci16_le"])
@pytest.mark.timeout(60)
def test_every_run_is_recorded_with_the_packets_that_it_has(tmp_path, datatype):
    """Those that the receiver found in one run and told in the next one too."""
    samples = 0.2 * np.exp(0.01j * np.arange(100_003)).astype(np.complex64)
    runs = Runs(str(tmp_path / "capture"), samples, datatype)
    assert list(tmp_path.iterdir()) == []

    def packet(at: int) -> pdu.ReceivedPacket:
        return pdu.ReceivedPacket.of(received(at=at))

    runs.again(pdu.Tick(0), packet(1000), pdu.Tick(65536), pdu.End())
    runs.again(packet(70_000), pdu.Tick(0), packet(2000), pdu.Tick(65536), pdu.End())
    runs.again(packet(80_000), pdu.Tick(0), pdu.Tick(65536), packet(70_000), pdu.End())
    made = sigmf.fromfile(str(tmp_path / "capture.sigmf-meta"))
    made.validate()
    n = len(samples)
    assert [a["core:sample_start"] for a in made.get_annotations()] == [
        1000,
        70_000,
        n + 2000,
        n + 80_000,
        2 * n + 70_000,
    ]
    assert [c.sample_start for c in describe(tmp_path / "capture.sigmf-meta").captures] == [0, n, 2 * n]
    assert runs.recorder.counters["samples"] == 3 * n and runs.recorder.counters["lost"] == 0
    kept = hsc.radio_source(f"file:{tmp_path / 'capture.sigmf-meta'},speed=0"), blocks.vector_sink_c()
    top = gr.top_block()
    top.connect(*kept)
    top.run()
    assert np.allclose(kept[1].data(), np.tile(samples, 3), atol=0 if datatype == "cf32_le" else 1e-4)


def test_what_cannot_be_written_is_counted_and_told_once(tmp_path):
    """The flowgraph goes on."""
    samples = np.ones(200_000, np.complex64)
    runs = Runs(str(tmp_path / "capture"), samples, "cf32_le")
    (tmp_path / "capture.sigmf-data").write_text("precious")
    runs.again(pdu.End())
    assert runs.recorder.counters["errors"] == 1 and runs.said("exists: give another name") == 1
    assert runs.recorder.counters["lost"] == len(samples) and runs.recorder.counters["samples"] == 0
    assert (tmp_path / "capture.sigmf-data").read_text() == "precious"


def test_samples_that_integers_do_not_hold_are_counted_and_told(tmp_path):
    samples = np.array([0.5, np.nan, 0.5, np.inf, 0.25], np.complex64)
    runs = Runs(str(tmp_path / "capture"), samples, "ci16_le")
    runs.again(pdu.End())
    assert runs.recorder.counters["errors"] == 1 and runs.said("are clipped, and counted") == 1
    assert runs.recorder.counters["clipped"] == 2
    runs.recorder.close()


def test_impossible_recordings_are_refused_in_one_line(tmp_path):
    (tmp_path / "there.sigmf-meta").write_text("{}")
    for name, options, text in (
        ("x", {"datatype": "cu8"}, "unknown format"),
        ("there", {}, "exists"),
        ("x", {"sample_rate": 0}, "sample rate of 0 is impossible"),
        ("x", {"full_scale": -1.0}, "full scale of -1.0 is impossible"),
    ):
        with pytest.raises(HscError, match=text) as refused:
            hsc.recorder(str(tmp_path / name), **options)
        assert "\n" not in str(refused.value)
