"""SigMF recordings: metadata while recording, at the end, after a crash, over several runs, and read back;
the scale of integers.
"""

import errno
import json
import warnings
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sigmf
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.numerology import preset
from gnuradio.hsc.phy.packets import ReceivedPacket
from gnuradio.hsc.radio import recording
from gnuradio.hsc.radio.reader import Capture, SampleReader, describe
from hypothesis import given, settings
from hypothesis import strategies as st

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RATE = 1e6


def received(index: int = 0, count: int = 3, at: int = 1000, snr_db: float = 14.5) -> ReceivedPacket:
    header = Header(1, 4711, index, count, (28, 28, 1), 300, 5, (("QPSK-1/2", 84),))
    symbols = np.zeros(header.payload_symbols, np.complex64)
    return ReceivedPacket(header, symbols, np.ones(len(symbols), np.float32), snr_db, 0.64, 20.0, at)


def writer(folder, **options) -> recording.RecordingWriter:
    values = {
        "datatype": "cf32_le",
        "sample_rate": RATE,
        "frequency": 433.92e6,
        "hardware": "sim",
        "numerology": preset("ofdm64"),
    }
    return recording.RecordingWriter(folder / "capture", **{**values, "start": START, **options})


def stored(meta) -> np.ndarray:
    """The samples, as a receiver gets them."""
    recorded = describe(meta)
    samples, reader = np.zeros(recorded.count, np.complex64), SampleReader(recorded)
    assert reader.read_into(samples) == recorded.count and reader.read_into(samples) == 0
    reader.close()
    return samples


def noise(count: int, level: float = 1.0, seed: int = 1) -> np.ndarray:
    parts = np.random.default_rng(seed).standard_normal(2 * count, np.float32) * np.float32(level)
    return parts.view(np.complex64)


def validate(meta) -> sigmf.SigMFFile:
    """By the library's own validator; its warnings count as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = sigmf.fromfile(str(meta), skip_checksum=True)
        file.validate()
    return file


def test_metadata_are_valid_while_recording_and_complete_at_the_end(tmp_path):
    w = writer(tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing is made before the first sample"
    w.write(np.zeros(60_000, np.complex64))
    assert validate(w.meta).get_annotations() == []
    for index in range(3):
        w.add(received(index, at=1000 + 9000 * index))
    w.close()
    file = validate(w.meta)
    assert file.get_global_field(sigmf.SAMPLE_RATE_KEY) == RATE
    assert file.get_captures() == [
        {"core:sample_start": 0, "core:frequency": 433.92e6, "core:datetime": "2026-03-01T12:00:00.250000Z"}
    ]
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
    w.write(np.zeros(5000, np.complex64))
    w.add(received(0))
    w.add(received(1, at=3000))
    with w.data.open("ab") as data:
        data.write(bytes(3))  # the crash cut a sample
    assert len(json.loads(w.meta.read_text())["annotations"]) == 2
    assert describe(w.meta).count == 5000


def test_metadata_are_not_written_with_every_packet(tmp_path):
    w = writer(tmp_path)
    w.write(np.zeros(10, np.complex64))
    before = w.meta.stat().st_mtime_ns
    for index in range(100):
        w.add(received(index, 100, at=index))
    assert w.meta.stat().st_mtime_ns == before
    w.close()
    assert len(json.loads(w.meta.read_text())["annotations"]) == 100


def test_annotations_are_in_order_and_inside_whatever_a_packet_says(tmp_path):
    w = writer(tmp_path)
    w.write(np.zeros(5000, np.complex64))
    for at, snr in ((-7, np.inf), (900, np.nan), (880, -np.inf)):
        w.add(received(at=at, snr_db=snr))
    w.close()
    starts = [a["core:sample_start"] for a in validate(w.meta).get_annotations()]
    assert starts == [0, 900, 900]


def test_what_was_written_is_read_back(tmp_path):
    w = writer(tmp_path, datatype="ci16_le")
    w.write(np.zeros(77, np.complex64))
    w.close()
    for name in ("capture", "capture.sigmf-meta", "capture.sigmf-data"):
        assert recording.file_names(tmp_path / name) == (w.meta, w.data)
    got = describe(w.meta)
    assert (got.data, got.datatype, got.sample_rate, got.frequency) == (w.data, "ci16_le", RATE, 433.92e6)
    assert (got.start, got.count, got.numerology) == (START, 77, "ofdm64")


def test_an_existing_recording_is_not_overwritten(tmp_path):
    first, second = writer(tmp_path), writer(tmp_path)
    first.write(noise(100))
    first.close()
    with pytest.raises(HscError, match="exists"):
        writer(tmp_path)
    with pytest.raises(HscError, match="exists"):  # it came to be meanwhile
        second.write(np.zeros(7, np.complex64))
    assert np.array_equal(stored(first.meta), noise(100))
    assert second.ended


def test_a_recording_is_replaced_when_there_is_something_to_replace_it(tmp_path):
    w = writer(tmp_path)
    w.write(noise(100))
    w.close()
    w = writer(tmp_path, overwrite=True)
    assert describe(w.meta).count == 100
    w.write(noise(7))
    w.close()
    w.write(noise(9))
    w.add(received())
    assert describe(w.meta).count == 7, "what comes after the end is left out"


def test_every_run_is_a_capture_with_packets_of_its_own(tmp_path):
    w = writer(tmp_path, start=None)
    runs = [noise(count, seed=count) for count in (5000, 300, 9000)]
    before = datetime.now(UTC)
    for number, samples in enumerate(runs):
        assert w.begin() == number
        w.write(samples[:200])
        w.write(samples[200:])
        w.flush()
        assert describe(w.meta).count == sum(map(len, runs[: number + 1]))
    w.add(received(0, at=4000), 0)  # late: the next runs have begun
    w.add(received(1, at=100), 1)
    w.add(received(2, at=0), 2)
    w.close()
    file = validate(w.meta)
    assert [a["core:sample_start"] for a in file.get_annotations()] == [4000, 5100, 5300]
    captures = describe(w.meta).captures
    assert [c.sample_start for c in captures] == [0, 5000, 5300]
    times = [c.start for c in captures]
    assert times == sorted(times) and all(abs(t - before) < timedelta(seconds=60) for t in times)
    assert np.array_equal(stored(w.meta), np.concatenate(runs))


@pytest.mark.parametrize("pieces", [[4000], [1, 999, 3000], [1200] * 3])
def test_captures_of_what_is_recorded_again_are_kept(tmp_path, pieces):
    captures = (
        Capture(0, 433e6, START),
        Capture(1000, None, START + timedelta(days=1)),
        Capture(1500, 868e6),
    )
    w = writer(tmp_path, datatype="ci16_le")
    w.begin(captures)
    for piece in np.split(noise(sum(pieces), 0.1), np.cumsum(pieces)[:-1]):
        w.write(piece)
    w.close()
    validate(w.meta)
    got = describe(w.meta).captures
    assert [(c.sample_start, c.frequency) for c in got] == [(c.sample_start, c.frequency) for c in captures]
    assert [c.start for c in got[:2]] == [c.start for c in captures[:2]]


# ---- the scale of integers


@pytest.mark.parametrize("level", [1e-6, 0.01, 0.25, 1.0, 3.0, 1e4])
def test_integers_follow_the_level_of_the_samples(tmp_path, level):
    """Of any level, and with silence and weak noise before and after: nothing is clipped, errors are 40 dB
    below what is recorded.
    """
    w = writer(tmp_path, datatype="ci16_le")
    parts = [
        np.zeros(5000, np.complex64),
        noise(5000, 0.3 * level),
        noise(50_000, level, 2),
        noise(2_200_000, 0.001 * level, 3),
    ]
    for piece in np.array_split(np.concatenate(parts), 200):
        w.write(piece)
    w.close()
    validate(w.meta)
    assert w.clipped == 0
    got = np.split(stored(w.meta), np.cumsum([len(part) for part in parts])[:-1])
    assert not got[0].any()
    for part, as_stored in zip(parts[1:3], got[1:3], strict=True):
        assert np.linalg.norm(part - as_stored) < 0.01 * np.linalg.norm(part)
    late = slice(-100_000, None)  # by then the scale has followed
    assert np.linalg.norm(parts[3][late] - got[3][late]) < 0.01 * np.linalg.norm(parts[3][late])
    assert len(describe(w.meta).captures) <= 4


def test_integers_that_are_recorded_again_stay_what_they_are(tmp_path):
    codes = np.random.default_rng(1).integers(-32768, 32768, 2 * 30_000).astype(np.int16)
    codes[:2] = -32768, 32767
    w = writer(tmp_path, datatype="ci16_le")
    for piece in np.array_split((codes / np.float32(32768)).astype(np.float32).view(np.complex64), 7):
        w.write(piece)
    w.close()
    assert np.array_equal(np.fromfile(w.data, "<i2"), codes)
    assert [c["hsc:full_scale"] for c in json.loads(w.meta.read_text())["captures"]] == [1.0]


def test_a_given_full_scale_stays_and_what_is_beyond_is_counted(tmp_path):
    w = writer(tmp_path, datatype="ci16_le", full_scale=1.0)
    w.write(np.array([1e-9, 0.5, 1.0, 1.5 + 0.1j, -3j], np.complex64))
    w.write(np.array([0.25], np.complex64))
    w.close()
    assert w.clipped == 2
    assert np.allclose(stored(w.meta), [0, 0.5, 1, 1 + 0.1j, -1j, 0.25], atol=1 / 32768)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.floats(width=32), min_size=1, max_size=8), min_size=1, max_size=6),
    st.sampled_from([None, 1.0]),
)
def test_any_samples_are_stored_or_counted(tmp_path_factory, pieces, full_scale):
    """Whatever is not finite or beyond what can be a signal counts as clipped; everything else comes back but
    for rounding.
    """
    folder = tmp_path_factory.mktemp("any")
    w = writer(folder, datatype="ci16_le", full_scale=full_scale)
    for piece in pieces:
        w.write(np.array(piece, np.float32).astype(np.complex64))
    w.close()
    sent = np.concatenate([np.array(piece, np.float32) for piece in pieces])
    scales = np.concatenate([np.full(s.count, s.full_scale) for s in describe(w.meta).segments])
    got = stored(w.meta)
    with np.errstate(invalid="ignore"):
        kept = np.abs(got - sent) <= scales / 32768
    assert np.count_nonzero(~kept) <= w.clipped
    assert np.all(np.isfinite(got))
    assert w.clipped == np.count_nonzero(~(np.abs(sent) <= scales))


class FullDisk:
    """A file on a disk that takes some bytes more."""

    def __init__(self, file, room: int) -> None:
        self._file, self._room, self.close = file, room, file.close

    def write(self, data) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(data[: self._room])
        self._room -= written
        return written


def test_what_a_full_disk_took_is_what_is_told(tmp_path):
    """It may cut a sample."""
    w = writer(tmp_path)
    w.write(noise(100))
    w._file = FullDisk(w._file, 8 * 50 + 3)
    with pytest.raises(HscError, match="No space left on device"):
        w.write(noise(100))
    w.add(received(at=149))
    w.add(received(at=150))
    w.close()
    assert w.samples == describe(w.meta).count == 150
    assert len(json.loads(w.meta.read_text())["annotations"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["capture.sigmf-data", "capture.sigmf-meta"]


def test_a_disk_that_is_nearly_full_ends_the_recording_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_LEAST_DISK", 1 << 62)
    w = writer(tmp_path)
    with pytest.raises(HscError, match="nearly full"):
        for _ in range(40):
            w.write(np.zeros(1 << 16, np.complex64))
    recorded = w.samples
    w.write(np.zeros(9, np.complex64))
    w.add(received(at=recorded))
    w.close()
    assert w.samples == describe(w.meta).count == recorded
    assert validate(w.meta).get_annotations() == []


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HscError, match="choose another name"):
        writer(tmp_path / "file")
