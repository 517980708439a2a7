"""`tx`, `rx` and `channel` as real processes over ZeroMQ: what arrives, restarts, signals, recordings."""

import errno
import io
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from gnuradio.hsc import files, metrics, modem
from gnuradio.hsc.app import live
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.app.link import Scenario
from gnuradio.hsc.app.reception import ImageLog
from gnuradio.hsc.app.rx import Session, receive
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation.sample_channel import noise
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link
from gnuradio.hsc.paths import examples_folder
from gnuradio.hsc.phy import ofdm
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.numerology import AUTO, preset
from gnuradio.hsc.phy.packets import ReceivedPacket, split
from gnuradio.hsc.radio import recording
from gnuradio.hsc.radio.addresses import RadioSettings
from gnuradio.hsc.radio.reader import Capture, describe
from rich.console import Console
from support import TESTS
from support.pictures import photo, pixels
from support.processes import ended, free_address, records
from support.waiting import PATIENCE

IMAGES = examples_folder() / "images"


# ---- two processes and a channel


def test_images_cross_a_channel_of_three_processes(start, tmp_path):
    """15 dB, 10 kHz, 20 ppm, two echoes: all digits arrive, whole, with the quality of the codec on that
    channel.
    """
    near, far = free_address(), free_address()
    impairments = ("--snr", 15, "--cfo", "10k", "--sfo", 20, "--taps", "1,0,0,0.5j,0,0,0,-0.32")
    start("channel", "--in", near, "--out", far, *impairments).when("channel:")
    rx = start("rx", "--radio", far, "--out", tmp_path / "got", "--images", 10)
    rx.when("listening")
    digits = [IMAGES / f"digit_{i}.png" for i in range(10)]
    # echoes take some of the 15 dB: the fastest MCS for these would now and then lose a digit's CR
    tx = start("tx", *digits, "--radio", near, "--snr", 15, "--mcs", "16QAM-1/2")
    assert tx.child.wait(PATIENCE) == 0, tx.lines
    assert rx.child.wait(PATIENCE) == 0, rx.lines
    got = records(tmp_path / "got")
    assert [r["packets_received"] for r in got] == [r["packets"] for r in got] == [1] * 10
    first = got[0]["message_id"]
    assert [r["message_id"] for r in got] == [(first + i) % 65536 for i in range(10)]
    for record, path in zip(got, digits, strict=True):
        assert record["codec"] == "hsc" and record["shape"] == [28, 28, 1] and record["error"] is None
        assert record["snr_db"] == pytest.approx(15, abs=1.0)
        assert record["cfo_hz"] == pytest.approx(10_000, abs=30)
        assert metrics.psnr_db(pixels(tmp_path / "got" / record["file"]), pixels(path)) > 15
    assert "sent 10 images in 10 packets" in tx.last


def test_reception_goes_on_through_restarts_of_either_end(start, tmp_path):
    """A receiver that begins in the middle; a transmitter that is killed and comes back with another codec,
    size, key and MCS.
    """
    here, key, picture = (
        ("--radio", free_address(), "--rate", "250k"),
        "ab" * 32,
        photo(tmp_path / "a.png", 1),
    )
    again = ("--loop", "--interval", 0.1)
    tx = start("tx", IMAGES / "digit_3.png", *again, *here)
    rx = start("rx", *here, "--out", tmp_path / "got", "--key", key)
    rx.when("hsc, 28 x 28", count=2)
    for arguments, seen in (
        (("--codec", "separate", "--mcs", "16QAM-1/2"), "separate, 64 x 64"),
        (("--codec", "hda_deepsc", "--key", key, "--cbr", "1/3"), "hda_deepsc, 64 x 64"),
    ):
        tx.child.kill()
        tx.child.wait()
        tx = start("tx", picture, *again, *here, *arguments)
        rx.when(seen, count=2)
    assert ended(rx, signal.SIGTERM) < 2.0
    assert rx.child.returncode == 0
    by_codec = {r["codec"]: r for r in records(tmp_path / "got") if r["packets"] == r["packets_received"]}
    for codec, least in (("separate", 20), ("hda_deepsc", 28)):
        assert by_codec[codec]["notices"] is None
        assert metrics.psnr_db(pixels(tmp_path / "got" / by_codec[codec]["file"]), pixels(picture)) > least
    count = len(records(tmp_path / "got"))
    assert (
        start("rx", *here, "--out", tmp_path / "got", "--key", key, "--images", 1).child.wait(PATIENCE) == 0
    )
    assert len({r["file"] for r in records(tmp_path / "got")}) == count + 1, "a later run adds to the folder"
    assert ended(tx) < 2.0
    assert tx.child.returncode == 0


def test_a_recording_decodes_to_the_same_files_every_time(start, tmp_path):
    here = ("--radio", free_address(), "--rate", "250k")
    rx = start("rx", *here, "--out", tmp_path / "live", "--record", tmp_path / "capture", "--freq", "433.92M")
    rx.when("listening")
    files = [photo(tmp_path / f"{i}.png", i, 40) for i in range(4)]
    assert (
        start("tx", *files, *here, "--codec", "separate", "--packet-symbols", 600).child.wait(PATIENCE) == 0
    )
    rx.when("separate", count=4)
    assert ended(rx) < 2.0
    made = json.loads((tmp_path / "capture.sigmf-meta").read_text())
    assert made["captures"][0]["core:frequency"] == 433.92e6
    assert len(made["annotations"]) == sum(r["packets"] for r in records(tmp_path / "live"))
    for name in ("one", "two"):
        assert (
            gr_hsc(
                "rx", "--radio", f"file:{tmp_path / 'capture.sigmf-meta'}", "--out", tmp_path / name
            ).exit_code
            == 0
        )
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert len(names) == 5
    for name in names:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        if name.endswith(".png"):
            assert content == (tmp_path / "live" / name).read_bytes()


def test_a_radio_that_disappears_is_one_line_and_the_end(start, tmp_path, hscloop_plugins):
    """The loop radio in the place of two radios, gone after some seconds: exit status 1, no hang."""
    air = f"soapy:driver=hscloop,name=txrx-{os.getpid()},loss=60"
    options = ("--freq", "433M", "--rate", "500k", "--gain", 30)
    try:
        rx = start("rx", "--radio", f"{air},serial=rx,vanish_every=4", *options, "--out", tmp_path / "got")
        rx.when("listening")
        tx = start(
            "tx", IMAGES / "digit_3.png", "--loop", "--radio", f"{air},serial=tx,vanish_every=4", *options
        )
        for process, what in ((rx, "gives no samples"), (tx, "takes no samples")):
            assert process.child.wait(PATIENCE) == 1, process.lines
            process.when(what)
            assert len(process.times(what)) == 1
    finally:
        Path(f"/dev/shm/hscloop-1-txrx-{os.getpid()}").unlink(missing_ok=True)


# ---- reference recordings

RECORDINGS = TESTS / "recordings"


@pytest.mark.parametrize(
    ("name", "numerology", "codec", "packets", "snr_db", "cfo_hz", "at"),
    [
        ("hsc-digit", "ofdm64", "hsc", 1, 15.0, 10_000, 4700),
        ("separate-photo", "ofdm256", "separate", 3, 11.4, -23_400, 4700),
    ],
)
def test_a_reference_recording_decodes_as_when_it_was_made(
    name, numerology, codec, packets, snr_db, cfo_hz, at, tmp_path
):
    """Both with echoes, CFO and clock offset (recordings/make_recordings.py). To identical files, the
    numerology told or found.
    """
    radio = RadioSettings(f"file:{RECORDINGS / name}.sigmf-meta")
    for out, told in (("one", numerology), ("two", AUTO)):
        assert receive(Scenario(numerology=told), radio, Session(tmp_path / out, images=1)) == 0
    (record,) = records(tmp_path / "one")
    assert (tmp_path / "one" / "received.jsonl").read_bytes() == (
        tmp_path / "two" / "received.jsonl"
    ).read_bytes()
    assert (record["codec"], record["packets"], record["packets_received"]) == (codec, packets, packets)
    assert record["time"].startswith("2026-11-21T12:00:00.00") and record["message_id"] == 1234
    assert abs(record["sample_index"] - at) <= 1
    assert record["snr_db"] == pytest.approx(snr_db, abs=0.5)
    assert record["cfo_hz"] == pytest.approx(cfo_hz, abs=10)
    got = pixels(tmp_path / "one" / record["file"])
    assert np.array_equal(got, pixels(tmp_path / "two" / record["file"]))
    assert metrics.psnr_db(got, pixels(RECORDINGS / f"{name}.png")) > 45
    annotations = json.loads((RECORDINGS / f"{name}.sigmf-meta").read_text())["annotations"]
    assert [a["hsc:packet"] for a in annotations] == list(range(packets))


def test_a_recording_without_a_packet_says_what_was_looked_for(tmp_path, capsys):
    radio = RadioSettings(f"file:{RECORDINGS / 'separate-photo'}.sigmf-meta")
    assert receive(Scenario(numerology="ofdm64"), radio, Session(tmp_path / "out")) == 1
    said = "".join(capsys.readouterr().out.split("\n"))
    assert (
        f"no packet found in {RECORDINGS / 'separate-photo'}.sigmf-meta: looked for ofdm64 at 1 MS/s" in said
    )


# ---- what a receiver makes of a stream, without radio and without waiting


def replayed(
    stream: np.ndarray,
    folder: Path,
    scenario: Scenario | None = None,
    captures=(),
    frequency: float = 0.0,
    status: int = 0,
    **session,
) -> list[dict]:
    """Decode samples, complex64 (n,) at 1 MS/s and amplitude 1, by `rx`: the lines of received.jsonl."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    writer = recording.RecordingWriter(
        folder / "stream", "cf32_le", 1e6, 433.92e6, "made", preset("ofdm64"), start
    )
    writer.begin(captures)
    writer.write(stream)
    writer.close()
    radio = RadioSettings(f"file:{writer.meta}", frequency)
    assert receive(scenario or Scenario(), radio, Session(folder / "got", **session)) == status
    return records(folder / "got")


def sent(
    image: np.ndarray, message_id: int, packet_symbols: int, codec: str = "hsc", **options
) -> list[np.ndarray]:
    """Bursts of one message, with some silence before each."""
    message = registry.create(codec, **(options or {"rank": 8})).encode(
        image, Link(snr_db=15, cbr=None if codec == "hsc" else 1 / 3)
    )
    packets = split(modem.modulate(message, message_id, packet_symbols))
    return [
        np.concatenate([np.zeros(500, np.complex64), ofdm.modulate(p, preset("ofdm64"))]) for p in packets
    ]


def test_an_interfering_burst_costs_what_it_hits_and_no_more(tmp_path):
    """20 dB over the signal, across one packet of the first message: that one leaves at the deadline, the
    next arrives whole.
    """
    rng = np.random.default_rng(3)
    image = pixels(photo(tmp_path / "a.png", 5))
    first, second = sent(image, 65535, 500), sent(image, 0, 500)
    assert len(first) >= 3
    first[1] = first[1] + 10 * noise(len(first[1]), 1.0, rng)
    silence = np.zeros(300_000, np.complex64)
    stream = np.concatenate([*first, silence, *second, silence])
    stream = stream + noise(len(stream), 10**-1.5, rng)
    one, two = replayed(stream, tmp_path, deadline=0.2)
    assert (one["message_id"], one["packets_received"]) == (65535, len(first) - 1)
    assert one["file"] and one["error"] is None
    assert (two["message_id"], two["packets_received"]) == (0, len(second))
    whole = metrics.psnr_db(pixels(tmp_path / "got" / two["file"]), image)
    assert metrics.psnr_db(pixels(tmp_path / "got" / one["file"]), image) < whole > 20


def test_another_key_is_told_and_costs_the_digital_part_only(tmp_path):
    image, right, wrong = pixels(photo(tmp_path / "a.png", 5)), bytes(32), bytes(range(32))
    stream = np.concatenate([*sent(image, 5, 4096, "hda_deepsc", key=right), np.zeros(100_000)])
    for key, opens in ((right, True), (wrong, False)):
        folder = tmp_path / str(opens)
        (record,) = replayed(stream, folder, Scenario(receiver_options={"key": key}))
        assert record["file"] and record["error"] is None
        assert (record["notices"] is None) == opens
        quality = metrics.psnr_db(pixels(folder / "got" / record["file"]), image)
        assert quality > 28 if opens else quality < 25
    assert "not open" in record["notices"]


@pytest.mark.parametrize("level", [1e-4, 1.0, 300.0])
def test_sixteen_bit_recordings_decode_to_the_same(level, tmp_path):
    """Whatever the level, and with samples far beyond the signal's peaks; they are recorded again with time
    and carrier.
    """
    image = pixels(photo(tmp_path / "a.png", 5))
    stream = np.concatenate([*sent(image, 5, 4096), np.zeros(100_000)])
    stream = stream + noise(len(stream), 1e-3, np.random.default_rng(1))
    stream[100] = 9.0
    (fine,) = replayed(level * stream, tmp_path, record=tmp_path / "short", record_format="ci16_le")
    found = describe(tmp_path / "short.sigmf-meta")
    assert (found.count, found.start, found.frequency) == (
        len(stream),
        datetime(2026, 1, 1, tzinfo=UTC),
        433.92e6,
    )
    assert found.numerology == "ofdm64"
    assert (
        receive(
            Scenario(), RadioSettings(f"file:{tmp_path / 'short.sigmf-meta'}"), Session(tmp_path / "again")
        )
        == 0
    )
    (coarse,) = records(tmp_path / "again")
    assert coarse["snr_db"] == pytest.approx(fine["snr_db"], abs=0.1)
    same = ("time", "sample_index", "packets", "packets_received")
    assert [coarse[key] for key in same] == [fine[key] for key in same]
    pair = pixels(tmp_path / "got" / fine["file"]), pixels(tmp_path / "again" / coarse["file"])
    assert np.abs(pair[0].astype(int) - pair[1]).max() <= 1


def test_a_frequency_that_is_given_is_recorded_in_the_place_of_the_told_one(tmp_path):
    stream = np.ones(5000, np.complex64)
    assert (
        replayed(stream, tmp_path, frequency=868e6, status=1, record=tmp_path / "again") == []
    )  # 1: no packet in it
    assert [c.frequency for c in describe(tmp_path / "again.sigmf-meta").captures] == [868e6]


def test_messages_have_the_time_of_the_capture_that_they_are_in(tmp_path):
    image = pixels(IMAGES / "digit_3.png")
    parts = [
        np.concatenate([*sent(image, number, 4096), np.zeros(300_000, np.complex64)]) for number in (1, 2)
    ]
    captures = [
        Capture(0, 433e6, datetime(2026, 1, 1, tzinfo=UTC)),
        Capture(len(parts[0]), 433e6, datetime(2027, 1, 1, tzinfo=UTC)),
    ]
    first, second = replayed(np.concatenate(parts), tmp_path, captures=captures)
    assert first["time"].startswith("2026-01-01T00:00:00.00") and second["time"].startswith(
        "2027-01-01T00:00:00.00"
    )


def test_a_recording_without_a_time_gives_images_without_one(tmp_path):
    (record,) = replayed(sent(pixels(IMAGES / "digit_3.png"), 1, 4096)[0], tmp_path, captures=[Capture()])
    assert record["time"] is None and record["file"]


def test_a_recording_without_a_rate_is_read_at_the_one_that_is_given(tmp_path):
    replayed(np.concatenate([*sent(pixels(IMAGES / "digit_3.png"), 1, 4096), np.zeros(9000)]), tmp_path)
    meta = tmp_path / "stream.sigmf-meta"
    meta.write_text(meta.read_text().replace('"core:sample_rate": 1000000.0, ', ""))
    result = gr_hsc("rx", "--radio", f"file:{meta}", "--out", tmp_path / "asked")
    assert result.exit_code == 2
    assert result.stderr == f"gr-hsc: {meta}: does not tell its sample rate: give it with --rate\n"
    assert gr_hsc("rx", "--radio", f"file:{meta}", "--out", tmp_path / "given", "--rate", "1M").exit_code == 0
    assert len(records(tmp_path / "given")) == 1


def test_tx_never_overwrites_a_recording(tmp_path):
    meta, data = tmp_path / "it.sigmf-meta", tmp_path / "it.sigmf-data"
    for images in ((IMAGES / "digit_3.png",), ("nosuch.png",)):
        for path in (meta, data):
            path.write_text("precious")
        result = gr_hsc("tx", *images, "--radio", f"file:{meta}")
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
        assert meta.read_text() == data.read_text() == "precious"
    for path in (meta, data):
        path.unlink()
    assert gr_hsc("tx", "nosuch.png", "--radio", f"file:{meta}").exit_code == 2
    assert list(tmp_path.iterdir()) == []
    assert gr_hsc("tx", IMAGES / "digit_3.png", "--radio", f"file:{meta}").exit_code == 0
    assert gr_hsc("rx", "--radio", f"file:{meta}", "--out", tmp_path / "got").exit_code == 0
    assert len(records(tmp_path / "got")) == 1


def test_images_larger_than_allowed_are_refused(tmp_path, capsys):
    image = pixels(photo(tmp_path / "a.png", 5))
    assert (
        replayed(np.concatenate([*sent(image, 5, 4096), np.zeros(100_000)]), tmp_path, max_pixels=64 * 64 - 1)
        == []
    )
    assert "64 x 64 pixels" in capsys.readouterr().out


def test_an_image_that_cannot_be_written_is_told_and_the_status_says_so(tmp_path, capsys, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    image = pixels(photo(tmp_path / "a.png", 5))
    stream = np.concatenate([*sent(image, 5, 4096), np.zeros(100_000)])
    monkeypatch.setattr(files, "write", full)
    assert replayed(stream, tmp_path, status=1) == []
    assert "No space left on device" in capsys.readouterr().out


# ---- errors


def gr_hsc(*arguments: object) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_what_cannot_be_sent_is_one_line_and_the_rest_is_sent(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    result = gr_hsc("tx", bad, IMAGES / "digit_0.png", "--radio", free_address())
    assert result.exit_code == 2
    reason = f"gr-hsc: {bad}: not an image that pillow can read, convert it to PNG or JPEG"
    lines = result.output.splitlines()
    assert [line for line in lines if "pillow" in line] == [reason]
    assert lines[-1] == "sent 1 image in 1 packet"


def test_images_of_which_none_can_be_sent_end_even_a_loop():
    result = gr_hsc(
        "tx",
        IMAGES / "digit_0.png",
        "--codec",
        "hda_dct",
        "--cbr",
        "1/100",
        "--loop",
        "--radio",
        free_address(),
    )
    assert result.exit_code == 2
    assert "raise the CBR" in result.output
    assert "sent 0 images" in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tx", IMAGES / "digit_0.png", "--radio", "carrier:pigeon"), "soapy:driver="),
        (("tx", "nosuch.png", "--radio", "sim"), "no such file: nosuch.png"),
        (("tx", IMAGES / "digit_0.png", "--radio", "sim", "--option", "colour=red"), "colour"),
        (("tx", IMAGES / "digit_0.png"), "--radio"),
        (("rx", "--radio", "file:nosuch.sigmf-meta"), "nosuch.sigmf-meta"),
        (("rx", "--radio", "sim", "--rate", "fast"), "hertz"),
        (("rx", "--radio", "sim", "--denoiser", "magic"), "magic"),
        (("rx", "--radio", "sim", "--rx-option", "colour=red"), "no codec's receiver has an option colour"),
        (("rx", "--radio", "sim", "--rx-option", "rank=3"), "no codec's receiver has an option rank"),
        (("rx", "--radio", "sim", "--rx-option", "denoiser=magic"), "choose one of dncnn"),
        (("rx", "--radio", "sim", "--rx-option", "informed=maybe"), "give True or False"),
        (("rx", "--radio", "sim", "--key", "abc"), "neither 64 hexadecimal digits"),
        (
            ("rx", "--radio", "sim", "--key", "none", "--rx-option", "key=none"),
            "the receiver's option key is given twice",
        ),
        (("tx", IMAGES / "digit_0.png", "--radio", "sim", "--rank", "-1"), "give 0"),
        (("tx", "nosuch.png", "--radio", "sim", "--da-ratio", "1/5"), "--da-ratio is for hda_dct"),
        (("tx", IMAGES / "digit_0.png", "--radio", "sim", "--rank", "3", "--psnr", "30"), "give one of"),
        (("tx", IMAGES / "digit_0.png", "--radio", "sim", "--rx-option", "informed=False"), "--rx-option"),
        (("rx", "--radio", "uhd:type=b200"), "give its carrier with --freq"),
        (("rx", "--radio", "soapy:driver=hackrf", "--freq", "433M"), "give 2M to 20M"),
        (("channel", "--in", "zmq:tcp://127.0.0.1:5", "--out", "sim"), "no end of a channel"),
        (("channel", "--in", "sim", "--out", "sim", "--interferer", "5"), "not of the form dB@Hz"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = gr_hsc(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# ---- the end of a flowgraph is bounded in time


class StubbornFlowgraph:
    """Stops only when it is told to let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wait(self) -> None:
        self.let_go.wait()


def test_a_flowgraph_that_does_not_stop_is_left_behind(capsys):
    """A window that is closed asks for the end, as a signal does."""
    flowgraph, never = StubbornFlowgraph(), threading.Event()
    shown = []
    begun = time.monotonic()
    live.run(flowgraph, lambda: shown.append(1), drain=lambda: never, pause=lambda _: time.sleep(0.05))
    assert live.DRAIN + live.STOP <= time.monotonic() - begun < 10
    assert shown
    assert "still busy" in capsys.readouterr().err
    flowgraph.let_go.set()


def test_what_has_arrived_is_decoded_behind_a_limit():
    """As long as that takes, within reason."""
    flowgraph, done = StubbornFlowgraph(), threading.Event()
    flowgraph.stop = flowgraph.let_go.set
    threading.Timer(live.DRAIN + 0.5, done.set).start()
    live.run(flowgraph, lambda: None, seconds=0.1, drain=lambda: done)
    assert done.is_set()


def test_a_codec_that_does_not_end_is_told_of(monkeypatch, capsys):
    monkeypatch.setattr(live, "PATIENCE", 0.3)
    flowgraph, never = StubbornFlowgraph(), threading.Event()
    flowgraph.stop = flowgraph.let_go.set
    live.run(flowgraph, lambda: None, seconds=0.1, drain=lambda: never)
    assert "what it had still to decode is lost" in capsys.readouterr().err


def test_a_flowgraph_that_ends_by_itself_is_not_stopped_meanwhile():
    flowgraph, ended, stopped = StubbornFlowgraph(), threading.Event(), []
    flowgraph.stop = lambda: stopped.append(1)
    ended.set()
    threading.Timer(live.BY_ITSELF / 4, flowgraph.let_go.set).start()
    live.run(flowgraph, lambda: None, ended)
    assert not stopped


def test_a_flowgraph_that_has_nothing_more_to_do_is_stopped():
    flowgraph, ended = StubbornFlowgraph(), threading.Event()
    flowgraph.stop = flowgraph.let_go.set
    ended.set()
    live.run(flowgraph, lambda: None, ended)
    assert flowgraph.let_go.is_set()


def test_a_signal_ends_a_run_and_handlers_are_put_back():
    flowgraph = StubbornFlowgraph()
    flowgraph.stop = flowgraph.let_go.set
    before = signal.getsignal(signal.SIGINT)
    live.run(
        flowgraph, lambda: os.kill(os.getpid(), signal.SIGINT) if not flowgraph.let_go.is_set() else None
    )
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_terminal_the_status_is_a_line_now_and_then_and_a_complaint_is_told_once():
    out = io.StringIO()
    with live.Display(Console(file=out, width=200), every=0.0) as display:
        for text in ("one", "one", "two"):
            display.status(text)
        for number in range(200):
            display.complain("no such codec", f"message {number}: ")
    assert out.getvalue().splitlines() == ["one", "two", "gr-hsc: message 0: no such codec"]
    out = io.StringIO()
    with live.Display(Console(file=out), every=1000.0) as display:
        display.status("never")
    assert out.getvalue() == ""


# ---- what is written down


def arrived(message_id: int, index: int, count: int, at: int, width: int = 28) -> ReceivedPacket:
    header = Header(1, message_id, index, count, (28, width, 1), analog_symbols=10 * count)
    symbols = np.zeros(header.payload_symbols, np.complex64)
    return ReceivedPacket(header, symbols, np.ones(len(symbols), np.float32), 12.0, 0.5, 10.0, at, "ofdm64")


def test_the_log_tells_images_failures_and_what_was_lost(tmp_path):
    reception = ImageLog(tmp_path, 1e6)
    for index in (0, 1, 1, 3):
        reception.packet(arrived(7, index, 4, 1000 * index))
    reception.image(7, np.zeros((28, 28, 1), np.uint8), 12.0, 4, 3, "a chunk does not open")
    reception.packet(arrived(8, 0, 2, 9000))
    reception.failed(8, "nothing usable")
    reception.failed(9, "no packet of it is known")
    image, failed, unknown = records(tmp_path)
    assert image["file"] == "image_00001.png" and (image["packets"], image["packets_received"]) == (4, 3)
    assert image["notices"] == "a chunk does not open"
    assert image["cfo_hz"] == pytest.approx(0.5 * 1e6 / 64, abs=0.1)
    assert (failed["file"], failed["error"], failed["packets_received"]) == (None, "nothing usable", 1)
    assert unknown["codec"] is None and unknown["message_id"] == 9
    figures = reception.figures
    assert (figures.images, figures.incomplete, figures.failed, figures.lost, figures.packets) == (
        1,
        1,
        2,
        2,
        5,
    )


def test_a_message_id_that_comes_again_with_another_layout_is_another_message(tmp_path):
    reception = ImageLog(tmp_path, 1e6)
    reception.packet(arrived(7, 0, 2, 0))
    reception.packet(arrived(7, 0, 3, 70_000, width=30))
    reception.failed(7, "incomplete")
    assert records(tmp_path)[0]["shape"] == [28, 30, 1]
    assert records(tmp_path)[0]["sample_index"] == 70_000


def test_receivers_with_one_folder_leave_each_others_images(tmp_path):
    logs = ImageLog(tmp_path, 1e6), ImageLog(tmp_path, 1e6)
    for value in range(4):
        logs[value % 2].image(value, np.full((8, 8, 1), value, np.uint8), 12.0, 1, 1, None)
    found = [int(load(tmp_path / record["file"]).pixels[0, 0, 0]) for record in records(tmp_path)]
    assert found == [0, 1, 2, 3]
    for record in records(tmp_path):
        (tmp_path / record["file"]).unlink()
    logs[1].image(9, np.zeros((8, 8, 1), np.uint8), 12.0, 1, 1, None)
    assert records(tmp_path)[-1]["file"] == "image_00005.png"


def test_the_account_of_messages_is_bounded(tmp_path):
    reception = ImageLog(tmp_path, 1e6)
    for message_id in range(5000):
        reception.packet(arrived(message_id, 0, 2, 0))
    assert len(reception._messages) <= 64


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HscError, match="--out"):
        ImageLog(tmp_path / "file", 1e6)
