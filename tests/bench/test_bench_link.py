"""`bench link` and `bench soak`: their arithmetic on cases that can be checked by hand, and a short run of
each.
"""

import json
import threading
import time

import av
import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import cli
from gnuradio.hsc.bench import link, link_run, processes, soak
from gnuradio.hsc.errors import HscError
from PIL import Image

# ---- frames, threads


def test_frames_of_a_folder_and_of_an_animation(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = [Image.new("RGB", (300, 200), colour) for colour in colours]
    pictures[0].save(tmp_path / "clip.webp", save_all=True, append_images=pictures[1:], lossless=True)
    (tmp_path / "folder").mkdir()
    Image.new("L", (100, 400), 77).save(tmp_path / "folder" / "grey.png")
    clip = link.load_frames(tmp_path / "clip.webp")
    assert [tuple(frame[128, 128]) for frame in clip] == colours
    grey = link.load_frames(tmp_path / "folder")
    assert [frame.shape for frame in clip + grey] == [(256, 256, 3)] * 4
    assert (grey[0] == 77).all()
    assert len(link.load_frames(tmp_path / "clip.webp", limit=2)) == 2


def test_frames_of_a_video_file(tmp_path):
    """Written by FFmpeg's MPEG-4 encoder: grey levels that rise come back in order, a square from the middle."""
    levels = [40, 90, 140, 190]
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames = link.load_frames(tmp_path / "clip.mp4")
    assert [frame.shape for frame in frames] == [(256, 256, 3)] * 4
    assert [
        abs(int(frame[128, 128, 1]) - level) < 6 for frame, level in zip(frames, levels, strict=True)
    ] == [True] * 4
    assert len(link.load_frames(tmp_path / "clip.mp4", limit=3)) == 3


@pytest.mark.parametrize("name", ["no.png", "no.mp4"])
def test_a_file_without_frames_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(HscError, match=name):
        link.load_frames(tmp_path / name)
    with pytest.raises(HscError, match="gone"):
        link.load_frames(tmp_path / f"gone-{name}")


def test_cpu_time_is_that_of_the_thread_that_spent_it():
    over, native = threading.Event(), []

    def work():
        native.append(threading.get_native_id())
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass
        over.wait(60)

    thread = threading.Thread(target=work)
    before = link.thread_times()
    thread.start()
    while sum(link.thread_times().get(tid, ("", 0.0))[1] for tid in native) < 0.45:
        time.sleep(0.05)
    after = link.thread_times()
    over.set()
    thread.join()
    assert 0.45 <= after[native[0]][1] <= 0.6
    assert link.stage_shares(before, after, 1.0)[link.REST] >= 0.45


def test_threads_belong_to_stages_by_their_names():
    before = {1: ("Message Encode3", 1.0), 2: ("OFDM Receiver12", 5.0), 4: ("fir_filter_blk7", 0.0)}
    after = {
        1: ("Message Encode3", 3.0),
        2: ("OFDM Receiver12", 5.5),
        3: ("Radio Source9", 1.0),
        4: ("fir_filter_blk7", 0.25),
    }
    shares = link.stage_shares(before, after, 2.0)
    assert shares == {
        "encoder": 1.0,
        "transmitter": 0.0,
        "receiver": 0.25,
        "decoder": 0.0,
        "radios": 0.5,
        link.REST: 0.125,
    }


# ---- a run

CODEC = link.Alone(0.5, (30.0, 40.0))


def example_run():
    """Eight seconds of reports, of which six count: a frame sent every second that takes 0.25 s, 0.5 s the
    last one.
    """
    transmit = [
        {
            "time": t,
            "offered": 25 * t,
            "dropped": 24 * t,
            "sent": t,
            "waiting": 1,
            "captures": [[25 * t, t + 0.0]],
        }
        for t in range(9)
    ]
    receive = [
        {
            "time": t + 0.1,
            "samples": 1_000_000 * t,
            "waiting": t,
            "images": [[25 * (t - 1), t - 1 + (0.5 if t == 7 else 0.25), 36.0, t != 5]],
        }
        for t in range(1, 9)
    ]
    return link.summary(1e6, 0.9, 6.9, transmit, receive, {"encoder": 1.5})


def test_summary_counts_what_lies_in_the_measurement():
    run = example_run()
    assert run.latencies == (0.25,) * 5 + (0.5,)
    assert (run.received, run.sent, run.whole) == (6, 8, 7)
    assert (run.offered, run.dropped) == (125, 120)
    assert run.samples == pytest.approx(6e6)
    assert run.waiting == (2, 3, 4, 5, 6, 7)[: len(run.waiting)]


def test_rows_compare_with_what_was_measured_in_the_same_run():
    rows = {
        row["name"].removeprefix("HSC at CBR 1/6, 1 MS/s, "): row
        for row in link.rows(example_run(), CODEC, link.Sending())
    }
    assert rows["frames received"]["ours"] == 1.0
    assert rows["frames received"]["ratio"] == 0.5
    assert rows["latency of the median frame"]["ratio"] == 0.5
    assert rows["messages received whole"]["ratio"] == 7 / 8
    assert rows["samples"]["ratio"] == pytest.approx(1.0)
    assert rows["CPU of encoder"]["ours"] == 1.5
    # frames 25, 50, 75, … are in turn the second and the first of two
    assert rows["PSNR"]["reference"] == pytest.approx(35.0)
    json.dumps(list(rows.values()), allow_nan=False)


def test_a_run_without_images_says_so():
    with pytest.raises(HscError, match="no image"):
        reports = [
            {"time": t, "offered": 0, "dropped": 0, "sent": 0, "waiting": 0, "captures": []} for t in range(3)
        ]
        heard = [{"time": t, "samples": 0, "waiting": 0, "images": []} for t in range(3)]
        link.rows(link.summary(1e6, 0, 3, reports, heard, {}), CODEC, link.Sending())


def test_frames_in_real_time_from_one_process_to_the_other(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(2):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256)).save(
            tmp_path / f"{number}.png"
        )
    run = link_run.measure(tmp_path, 500e3, 4.0, link.Sending(rank=0))
    assert run.received >= 3
    assert run.whole <= run.sent
    assert run.dropped <= run.offered
    assert min(run.latencies) > 0
    assert run.shares["encoder"] > 0
    assert run.shares["receiver"] > 0
    assert max(run.waiting) < 64  # the camera hands over two frames at most


def test_an_end_that_fails_is_one_line(tmp_path):
    with pytest.raises(HscError, match="receive"):
        link_run.measure(tmp_path / "nowhere", 500e3, 1.0, link.Sending())


# ---- soak


def entries(*packets, first=65534):
    return [
        {"message_id": (first + i) % 65536, "packets": 4, "packets_received": n}
        for i, n in enumerate(packets)
        if n
    ]


def test_account_closes_when_every_packet_is_received_or_counted_lost():
    books = soak.account(entries(4, 4, 3, 0, 4), 5, 20)
    assert (books.messages_received, books.packets_received, books.packets_lost, books.packets_of_lost) == (
        4,
        15,
        1,
        4,
    )
    assert books.unaccounted == 0
    assert soak.account(entries(4, 4), 2, 9).unaccounted == 1
    assert soak.account(entries(4, 4) + entries(1), 2, 8).unaccounted != 0  # a message told twice
    with pytest.raises(HscError, match="nothing was received"):
        soak.account([], 3, 12)


def test_gaps_in_ids_that_count_up_past_65535():
    assert soak.gaps([65534, 65535, 0, 1]) == 0
    assert soak.gaps([65534, 1, 5]) == 2 + 3


def test_growth_is_measured_from_five_minutes_on():
    times = [100.0 * k for k in range(11)]
    memory = [50, 90, 99, 100, 101, 103, 102, 100, 100, 100, 98]
    assert soak.growth(times, memory) == pytest.approx(0.03)
    assert soak.growth(times[:5], memory[:5]) == pytest.approx(101 / 99 - 1)  # half way
    often = [10.0 * k for k in range(100)]
    assert (
        soak.growth(often, [100 + 30 * (k % 5 == 0) for k in range(100)]) == 0
    )  # now and then in the middle of work
    assert soak.growth(often, [100 + k for k in range(100)]) == pytest.approx(
        (100 + 97.5) / (100 + 32.5) - 1, rel=0.02
    )
    with pytest.raises(HscError, match="minutes"):
        soak.growth([0.0, 1.0], [1, 1])


def test_soak_of_twenty_seconds(tmp_path):
    out = tmp_path / "soak.json"
    result = CliRunner().invoke(
        cli.main,
        ["bench", "soak", "--minutes", "0.33", "--codec", "softcast", "--drop", "0.01", "--out", str(out)],
    )
    found = json.loads(out.read_text())
    assert found["unaccounted"] == 0, found
    assert found["account"]["messages_sent"] == 20
    assert found["account"]["packets_received"] > 0.8 * found["account"]["packets_sent"]
    assert not [
        problem for problem in found["problems"] if "memory" not in problem
    ]  # of so short a time memory says little
    assert result.exit_code == (1 if found["problems"] else 0)
    assert {name: len(series) for name, series in found["memory"].items()} == dict.fromkeys(
        ("tx", "channel", "rx"), len(found["times"])
    )


def test_a_process_that_ends_early_is_one_line():
    with processes.Process("sleeper", "print('no bed', flush=True)") as process:
        with pytest.raises(HscError, match="'sleeper' ended: no bed"):
            process.wait_for(lambda: False, 60.0)
        assert process.rss() == 0


def test_wrong_options_are_one_line():
    result = CliRunner().invoke(cli.main, ["bench", "soak", "--minutes", "0"])
    assert result.exit_code == 2
    assert "minutes" in result.output
