"""`bench link`: frames, CPU time of threads, its arithmetic on cases that can be checked by hand; a run."""

import json
import threading
import time

import av
import numpy as np
import pytest
from gnuradio.hsc.app import bench
from gnuradio.hsc.bench import frames, link, link_run, threads
from gnuradio.hsc.bench.rows import Row
from gnuradio.hsc.errors import HscError
from PIL import Image

# ---- frames, threads


def test_frames_of_a_folder_and_of_an_animation(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = [Image.new("RGB", (300, 200), colour) for colour in colours]
    pictures[0].save(tmp_path / "clip.webp", save_all=True, append_images=pictures[1:], lossless=True)
    (tmp_path / "folder").mkdir()
    Image.new("L", (100, 400), 77).save(tmp_path / "folder" / "grey.png")
    clip = frames.load_frames(tmp_path / "clip.webp")
    assert [tuple(frame[128, 128]) for frame in clip] == colours
    grey = frames.load_frames(tmp_path / "folder")
    assert [frame.shape for frame in clip + grey] == [(256, 256, 3)] * 4
    assert (grey[0] == 77).all()
    assert len(frames.load_frames(tmp_path / "clip.webp", limit=2)) == 2


def test_frames_of_a_video_file(tmp_path):
    """Written by FFmpeg's MPEG-4 encoder: rising grey levels come back in order, a square from the middle."""
    levels = [40, 90, 140, 190]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = frames.load_frames(tmp_path / "clip.mp4")
    assert [frame.shape for frame in found] == [(256, 256, 3)] * 4
    assert [abs(int(frame[128, 128, 1]) - level) < 6 for frame, level in zip(found, levels, strict=True)] == [
        True
    ] * 4
    assert len(frames.load_frames(tmp_path / "clip.mp4", limit=3)) == 3


@pytest.mark.parametrize("name", ["no.png", "no.mp4"])
def test_a_file_without_frames_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(HscError, match=name):
        frames.load_frames(tmp_path / name)
    with pytest.raises(HscError, match="gone"):
        frames.load_frames(tmp_path / f"gone-{name}")


def test_cpu_time_is_that_of_the_thread_that_spent_it():
    over, native = threading.Event(), []

    def work():
        native.append(threading.get_native_id())
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass
        over.wait(60)

    thread = threading.Thread(target=work)
    before = threads.thread_times()
    thread.start()
    while sum(threads.thread_times().get(tid, ("", 0.0))[1] for tid in native) < 0.45:
        time.sleep(0.05)
    after = threads.thread_times()
    over.set()
    thread.join()
    assert 0.45 <= after[native[0]][1] <= 0.6
    assert threads.stage_shares(before, after, 1.0)[threads.REST] >= 0.45


def test_threads_belong_to_stages_by_their_names():
    before = {1: ("Message Encode3", 1.0), 2: ("OFDM Receiver12", 5.0), 4: ("fir_filter_blk7", 0.0)}
    after = {
        1: ("Message Encode3", 3.0),
        2: ("OFDM Receiver12", 5.5),
        3: ("Radio Source9", 1.0),
        4: ("fir_filter_blk7", 0.25),
    }
    shares = threads.stage_shares(before, after, 2.0)
    assert shares == {
        "encoder": 1.0,
        "transmitter": 0.0,
        "receiver": 0.25,
        "decoder": 0.0,
        "radios": 0.5,
        threads.REST: 0.125,
    }


# ---- a run

CODEC = link.Alone(0.5, (30.0, 40.0))


def example_run():
    """Eight seconds of reports, of which six count: a frame sent every second that takes 0.25 s, 0.5 s the
    last one. They go through their lines of JSON.
    """
    transmit = [
        link.TransmitReport(t, 25 * t, 24 * t, t, 1, (link.Capture(25 * t, t + 0.0),)) for t in range(9)
    ]
    receive = [
        link.ReceiveReport(
            t + 0.1,
            1_000_000 * t,
            t,
            (link.Arrival(25 * (t - 1), t - 1 + (0.5 if t == 7 else 0.25), 36.0, t != 5),),
        )
        for t in range(1, 9)
    ]
    told = [link.TransmitReport.parse(link.line_of(report)) for report in transmit]
    heard = [link.ReceiveReport.parse(link.line_of(report)) for report in receive]
    assert (told, heard) == (transmit, receive)
    return link.summary(1e6, 0.9, 6.9, told, heard, {"encoder": 1.5})


def test_summary_counts_what_lies_in_the_measurement():
    run = example_run()
    assert run.latencies == (0.25,) * 5 + (0.5,)
    assert (run.received, run.sent, run.whole) == (6, 8, 7)
    assert (run.offered, run.dropped) == (125, 120)
    assert run.samples == pytest.approx(6e6)
    assert run.waiting == (2, 3, 4, 5, 6, 7)[: len(run.waiting)]


def test_rows_compare_with_what_was_measured_in_the_same_run():
    rows = {
        row.name.removeprefix("HSC at CBR 1/6, 1 MS/s, "): row
        for row in link.rows(example_run(), CODEC, link.FrameCoding())
    }
    assert rows["frames received"].ours == 1.0
    assert rows["frames received"].ratio == 0.5
    assert rows["latency of the median frame"].ratio == 0.5
    assert rows["messages received whole"].ratio == 7 / 8
    assert rows["samples"].ratio == pytest.approx(1.0)
    assert rows["CPU of encoder"].ours == 1.5
    # frames 25, 50, 75, … are in turn the second and the first of two
    assert rows["PSNR"].reference == pytest.approx(35.0)
    json.dumps([row.as_dict() for row in rows.values()], allow_nan=False)


def test_rows_are_shown_and_told_also_where_the_reference_is_nothing(capsys):
    row = Row("PDUs that wait", "PDUs", 2.0, 0.0, "first third")
    assert row.as_dict() == {
        "name": "PDUs that wait",
        "unit": "PDUs",
        "ours": 2.0,
        "reference": 0.0,
        "reference_name": "first third",
        "ratio": None,
    }
    bench.print_rows([row], as_json=False)
    assert "PDUs that wait" in (shown := capsys.readouterr().out) and " - " in shown
    bench.print_rows([row], as_json=True)
    assert json.loads(capsys.readouterr().out) == [row.as_dict()]


def test_a_run_without_images_says_so():
    told = [link.TransmitReport(t, 0, 0, 0, 0, ()) for t in range(3)]
    heard = [link.ReceiveReport(t, 0, 0, ()) for t in range(3)]
    run = link.summary(1e6, 0, 3, told, heard, {})
    with pytest.raises(HscError, match="no image"):
        link.rows(run, CODEC, link.FrameCoding())


@pytest.mark.gnuradio
def test_frames_in_real_time_from_one_process_to_the_other(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(2):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256)).save(
            tmp_path / f"{number}.png"
        )
    run = link_run.measure(tmp_path, 500e3, 4.0, link.FrameCoding(rank=0))
    assert run.received >= 3
    assert run.whole <= run.sent
    assert run.dropped <= run.offered
    assert min(run.latencies) > 0
    assert run.shares["encoder"] > 0
    assert run.shares["receiver"] > 0
    assert max(run.waiting) < 64  # the camera hands over two frames at most


def test_an_end_that_fails_is_one_line(tmp_path):
    with pytest.raises(HscError, match="receive"):
        link_run.measure(tmp_path / "nowhere", 500e3, 1.0, link.FrameCoding())
