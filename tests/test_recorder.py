"""The Recorder block: what it writes is valid SigMF, names every packet, and plays back to the same image."""

from pathlib import Path

import numpy as np
import pytest
import sigmf
from gnuradio import blocks, channels, gr, hsc
from gnuradio.hsc.errors import HscError

DIGIT = Path(__file__).resolve().parents[1] / "examples" / "images" / "digit_0.png"


class Recorded(gr.top_block):
    """One digit over a noisy channel, received and recorded."""

    def __init__(self, name: str, folder: Path, datatype: str) -> None:
        super().__init__("recorded")
        self.source = hsc.image_source(str(DIGIT), first_id=7)
        self.transmitter = hsc.image_transmitter("hsc", {"rank": 28}, packet_symbols=300, continuous=False)
        self.channel = channels.channel_model(0.1, 0.02, 1.00001, [1, 0, 0.3j], 1)
        self.quiet = blocks.multiply_const_cc(0.1)  # 16-bit samples have a full scale
        self.receiver, self.sink = hsc.image_receiver(), hsc.image_sink(str(folder))
        self.recorder = hsc.recorder(name, 1e6, 433.92e6, datatype, source="a test", overwrite=True)
        self.connect(self.transmitter, self.channel, self.quiet, self.receiver)
        self.connect(self.quiet, self.recorder)
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
    assert [a["hsc:packet"] for a in packets] == list(range(packets[0]["hsc:packets"])) and packets[0]["hsc:message_id"] == 7
    assert made.get_global_info()["core:sample_rate"] == 1e6 and all(15 < a["hsc:snr_db"] < 25 for a in packets)
    Replayed(name, tmp_path / "replayed").run()
    (live,), (replayed,) = (sorted((tmp_path / folder).glob("*.png")) for folder in ("live", "replayed"))
    if datatype == "cf32_le":
        assert live.read_bytes() == replayed.read_bytes()
    assert np.abs(pixels(live).astype(int) - pixels(replayed)).max() <= 1


def pixels(path: Path) -> np.ndarray:
    from gnuradio.hsc.image_files import load

    return load(path).pixels


def test_impossible_recordings_are_refused_in_one_line(tmp_path):
    (tmp_path / "there.sigmf-meta").write_text("{}")
    for arguments, text in (((tmp_path / "x", 1e6, 0, "cu8"), "unknown format"), ((tmp_path / "there",), "exists")):
        with pytest.raises(HscError, match=text):
            hsc.recorder(str(arguments[0]), *arguments[1:])
