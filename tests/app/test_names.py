"""Files with any name that Linux allows, and batches in which something fails: the images are written, JSON
stays JSON.
"""

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc import files
from gnuradio.hsc.app import report, samples
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.images import files as image_files
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from support.waiting import wait_for
from support.watched import make

ODD = [os.fsdecode(name) for name in (
    b"caf\xe9", b"~no-such-user", b"[bold]x[red]", b"[", b"a%s%d", b"new\nline", b"-dash", b"$x^{\\foo}$",
    b"x" * 250, b"x" * 251, b"\xff" * 240,
)]  # fmt: skip
# Where their weights are not installed, a line on stderr says so.
NO_DISTANCES = ("--metrics", "none")
NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..")
)


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def digit(path: Path) -> Path:
    path.write_bytes(samples.digits()[3].read_bytes())
    return path


def on_transparency(path: Path) -> Path:
    """A black disc, 28 x 28, on transparency whose hidden colour is black."""
    y, x = np.mgrid[:28, :28]
    alpha = ((y - 14) ** 2 + (x - 14) ** 2 < 60) * 255
    Image.fromarray(np.dstack([np.zeros((28, 28)), alpha]).astype(np.uint8)).save(path)
    return path


# ---- names


@settings(max_examples=200, deadline=None)
@given(name=NAMES)
def test_names_survive(name, tmp_path_factory):
    """As text, in JSON, and as the name of a file that is written."""
    text = os.fsdecode(name)
    shown = files.printable(text)
    assert shown.isprintable() and shown.encode()
    assert files.label(text).isprintable() and len(files.label(text)) <= 123
    assert json.loads(files.text(json.dumps([text], ensure_ascii=False))) == [text]
    stem = files.stem(text)
    assert name.startswith(os.fsencode(stem)) and (
        stem == text or len(name) > files.MAX_STEM >= len(os.fsencode(stem))
    )
    path = tmp_path_factory.mktemp("names") / f"{stem}_compare_curve.png"
    files.write(path, b"content")
    assert path.read_bytes() == b"content" and os.listdir(path.parent) == [path.name]


def test_names_are_cut_between_characters():
    assert files.stem("é" * 150) == "é" * 100
    assert files.stem("../a\0b") == ".._a_b"


@pytest.fixture
def odd_files(tmp_path) -> list[Path]:
    return [digit(tmp_path / f"{name}.png") for name in ODD]


def test_simulate_takes_any_name(odd_files, tmp_path):
    out = tmp_path / os.fsdecode(b"out[\xe9]")
    missing = tmp_path / ("y" * 300)
    result = run(
        "simulate", *odd_files[:5], missing, *odd_files[5:], "--rank", 0, *NO_DISTANCES, "--out", out
    )
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert "name too long" in result.stderr and len(result.stderr.splitlines()) == 1
    entries = json.loads((out / "metrics.json").read_bytes())
    assert [e["image"] for e in entries if e["error"] is None] == [path.name for path in odd_files]
    for entry in entries:
        if entry["error"] is None:
            assert Image.open(out / entry["received"]).size == (28, 28) and (out / entry["compare"]).is_file()
    assert len({e["received"] for e in entries}) == len(entries)
    assert len(list(out.iterdir())) == 1 + 2 * len(odd_files)
    for shown in ("caf\\xe9.png", "[bold]x[red].png", "new\\nline.png"):
        assert shown in result.stdout
    console = Console(width=80, file=io.StringIO())
    console.print(report.table(entries, ""))
    assert f"{entries[0]['psnr_db']:.2f}" in console.file.getvalue(), (
        "names are cut where a terminal is narrow, not the figures"
    )
    as_json = CliRunner().invoke(
        main, [str(a) for a in ("simulate", odd_files[0], "--rank", 0, "--json", "--out", out)]
    )
    assert json.loads(as_json.stdout_bytes)[0]["image"] == odd_files[0].name


def test_names_pass_through_blocks(odd_files, tmp_path):
    """Image Source takes a name for what it is before it takes it for a pattern; Image Sink writes whatever
    name comes.
    """
    source, sink = (
        make("image_source", files=[str(path) for path in odd_files]),
        make("image_sink", folder=str(tmp_path / "sink")),
    )
    source.block.start()
    try:
        wait_for(lambda: len(source.out) > len(odd_files))
    finally:
        source.block.stop()
    for _, message in source.out[:-1]:
        sink.give("images", message)
    assert source.block.counters["errors"] == sink.block.counters["errors"] == 0
    # The name in a PDU is cut to 255 characters, that of a file to MAX_STEM bytes: what is equal then is
    # written to one file.
    assert {"caf\\xe9.png", "~no-such-user.png", "[.png", "new\\nline.png"} <= {
        path.name for path in (tmp_path / "sink").iterdir()
    }
    assert sink.block.counters["written"] == len(odd_files)


def test_a_home_that_nobody_has_is_no_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digit(Path("~no-such-user.png"))
    assert make("image_source", files="~no-such-user.png").block._paths == [Path("~no-such-user.png")]
    sink = make("image_sink", folder="~no-such-user/received")
    sink.give("images", pdu.Image(1, (8, 8, 1), np.zeros(64, np.uint8), "a"))
    assert Path("~no-such-user/received/a.png").is_file()


# ---- what is changed is said


def test_notes_are_printed(tmp_path):
    path, out = on_transparency(tmp_path / "logo.png"), (*NO_DISTANCES, "--out", tmp_path / "out")
    result = run("simulate", path, "--rank", 28, "--snr", 30, *out)
    assert result.stderr.splitlines() == [f"gr-hsc: {path}: transparent: put on white"]
    received = image_files.load(tmp_path / "out" / "logo.png").pixels
    assert received[0, 0] > 200 and received[14, 14] < 50
    result = run("compare", path, "--codecs", "softcast", "--snr", 20, "--workers", 0, *out)
    assert result.stderr.splitlines()[0] == f"gr-hsc: {path}: transparent: put on white"


def test_image_source_notes_once(tmp_path):
    source = make("image_source", files=str(on_transparency(tmp_path / "logo.png")), repeat=True)
    source.block.start()
    try:
        wait_for(lambda: len(source.out) >= 3)
    finally:
        source.block.stop()
    assert [m.notices for _, m in source.out[:3]] == ["logo.png: transparent: put on white", None, None]


def test_tx_says_what_it_changes_and_leaves_out(tmp_path):
    """One bad file does not stop the others; a pipe is read once and sent as often as is wanted."""
    reader, writer = os.pipe()
    thread = threading.Thread(
        target=lambda: os.write(writer, samples.digits()[1].read_bytes()) and os.close(writer)
    )
    thread.start()
    (tmp_path / "bad.png").write_text("no image")
    sources = (
        on_transparency(tmp_path / "logo.png"),
        f"/dev/fd/{reader}",
        tmp_path / "bad.png",
        tmp_path / "none.png",
        digit(tmp_path / "~x[1].png"),
    )
    result = run(
        "tx", *sources, "--repeat", 2, "--rank", 0, "--radio", f"file:{tmp_path / 'capture.sigmf-meta'}"
    )
    thread.join()
    os.close(reader)
    assert result.exit_code == 2 and "Traceback" not in result.output
    lines = result.stdout.splitlines()
    assert f"gr-hsc: no such file: {files.label(tmp_path / 'none.png')}" in lines
    assert lines.count("gr-hsc: logo.png: transparent: put on white") == 1
    assert sum("not an image" in line for line in lines) == 1
    assert lines[-1] == "sent 6 images in 6 packets"


# ---- batches


def test_one_picture_that_cannot_be_written_does_not_stop_the_others(tmp_path):
    out = tmp_path / "out"
    (out / "a.png").mkdir(parents=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(
        *("simulate", empty, *(digit(tmp_path / f"{name}.png") for name in "abc"), "--rank", 0),
        *(*NO_DISTANCES, "--out", out),
    )
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and "no image in folder" in lines[0] and "a.png" in lines[1]
    assert [e["received"] for e in json.loads((out / "metrics.json").read_text())] == [
        None,
        None,
        "b.png",
        "c.png",
    ]


def test_an_older_file_survives_a_failure(tmp_path, monkeypatch):
    """And what was measured is printed all the same."""
    path = tmp_path / "metrics.json"
    path.write_text("older")
    with pytest.raises(TypeError):
        files.write(path, "not bytes")
    assert path.read_text() == "older" and os.listdir(tmp_path) == ["metrics.json"]

    def full(path: Path, content: bytes) -> None:
        if path.name == "metrics.json":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.files, "write", full)
    result = run("simulate", samples.digits()[0], "--rank", 0, "--json", "--out", tmp_path)
    assert result.exit_code == 2 and "No space left" in result.stderr
    assert json.loads(result.stdout)[0]["error"] is None and path.read_text() == "older"
