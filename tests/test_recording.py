"""SigMF recordings: metadata while recording, at the end, after a crash, and read back."""

import json
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import sigmf
from gnuradio.hsc import recording
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import packet
from gnuradio.hsc.phy.numerology import preset
from gnuradio.hsc.radio_file import describe

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RATE = 1e6


def received(index: int = 0, count: int = 3, at: int = 1000, snr_db: float = 14.5) -> packet.ReceivedPacket:
    header = packet.Header(1, 4711, index, count, (28, 28, 1), 300, 5, (("QPSK-1/2", 84),))
    symbols = np.zeros(header.payload_symbols, np.complex64)
    return packet.ReceivedPacket(header, symbols, np.ones(len(symbols), np.float32), snr_db, 0.64, 20.0, at)


def writer(folder, **options) -> recording.RecordingWriter:
    values = {"datatype": "cf32_le", "sample_rate": RATE, "frequency": 433.92e6, "hardware": "sim", "numerology": preset("ofdm64")}
    return recording.RecordingWriter(folder / "capture", **{**values, "start": START, **options})


def validate(meta) -> sigmf.SigMFFile:
    """By the library's own validator; its warnings count as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = sigmf.fromfile(str(meta), skip_checksum=True)
        file.validate()
    return file


def test_metadata_are_valid_while_recording_and_complete_at_the_end(tmp_path):
    w = writer(tmp_path)
    w.data.write_bytes(np.zeros(60_000, np.complex64).tobytes())
    assert validate(w.meta).get_annotations() == []
    for index in range(3):
        w.add(received(index, at=1000 + 9000 * index))
    w.close()
    file = validate(w.meta)
    assert file.get_global_field(sigmf.SAMPLE_RATE_KEY) == RATE
    assert file.get_captures() == [{"core:sample_start": 0, "core:frequency": 433.92e6, "core:datetime": "2026-03-01T12:00:00.250000Z"}]
    first, second, third = file.get_annotations()
    numerology = preset("ofdm64")
    assert (first["core:sample_start"], third["core:sample_start"]) == (1000, 19000)
    assert first["core:sample_count"] == numerology.burst_length(received().header.payload_symbols)
    assert second["hsc:packet"] == 1 and second["hsc:packets"] == 3 and second["core:label"] == "packet 2/3"
    assert (second["hsc:codec"], second["hsc:message_id"], second["hsc:shape"]) == ("hsc", 4711, [28, 28, 1])
    assert second["hsc:digital"] == [["QPSK-1/2", 84]]
    assert second["hsc:snr_db"] == 14.5
    assert second["hsc:cfo_hz"] == pytest.approx(0.64 * RATE / 64)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["capture.sigmf-data", "capture.sigmf-meta"]


def test_a_recording_that_was_never_closed_is_valid_and_holds_what_was_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_RENEW_SECONDS", 0.0)
    monkeypatch.setattr(recording, "_RENEW_SHARE", 0)
    w = writer(tmp_path)
    w.data.write_bytes(bytes(8 * 5000 + 3))  # the crash cut a sample
    w.add(received(0))
    w.add(received(1, at=3000))
    assert len(json.loads(w.meta.read_text())["annotations"]) == 2
    assert describe(w.meta).count == 5000


def test_metadata_are_not_written_with_every_packet(tmp_path):
    w = writer(tmp_path)
    before = w.meta.stat().st_mtime_ns
    for index in range(100):
        w.add(received(index, 100, at=index))
    assert w.meta.stat().st_mtime_ns == before
    w.close()
    assert len(json.loads(w.meta.read_text())["annotations"]) == 100


def test_annotations_are_in_order_and_inside_whatever_a_packet_says(tmp_path):
    w = writer(tmp_path)
    w.data.write_bytes(bytes(8 * 5000))
    for at, snr in ((-7, np.inf), (900, np.nan), (880, -np.inf)):
        w.add(received(at=at, snr_db=snr))
    w.close()
    starts = [a["core:sample_start"] for a in validate(w.meta).get_annotations()]
    assert starts == [0, 900, 900]


def test_what_was_written_is_read_back(tmp_path):
    w = writer(tmp_path, datatype="ci16_le")
    w.data.write_bytes(bytes(4 * 77))
    w.close()
    for name in ("capture", "capture.sigmf-meta", "capture.sigmf-data"):
        assert recording.file_names(tmp_path / name) == (w.meta, w.data)
    got = describe(w.meta)
    assert (got.data, got.datatype, got.sample_rate, got.frequency) == (w.data, "ci16_le", RATE, 433.92e6)
    assert (got.start, got.count) == (START, 77)
    assert recording.sample_time(got.start, 250_000, RATE) == "2026-03-01T12:00:00.500000Z"


def test_an_existing_recording_is_not_overwritten(tmp_path):
    writer(tmp_path).close()
    with pytest.raises(HscError, match="exists"):
        writer(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HscError, match="another name"):
        writer(tmp_path / "file")
