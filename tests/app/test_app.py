"""Command line: image files, bad input in one line, pictures and tables."""

import io
import os

import click
import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import group, outputs, parameters
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.evaluation import pictures
from gnuradio.hsc.images import files as images
from PIL import Image


def run(*args: object):
    return CliRunner().invoke(main, [str(a) for a in args])


def ramp(height: int = 40, width: int = 60, channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    full = np.stack([x * 4, y * 6, 255 - x * 4], -1).astype(np.uint8)
    return full[..., :channels]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    images.picture(ramp()).save(path)
    return path


def assert_one_line(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


# ---- bad input, each in one line


@pytest.mark.parametrize("command", ["send", "simulate"])
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--codec", "nosuch"], "hsc"),
        (["--channel", "tunnel"], "awgn"),
        (["--mcs", "256QAM-1/2"], "16QAM-1/2"),
        (["--numerology", "ofdm3"], "ofdm64"),
        (["--snr", "loud"], "not a number"),
        (["--snr", "nan"], "not a number"),
        (["--snr", "1e9"], "-30 to 60"),
        (["--loss", "1.5"], "0 to 1"),
        (["--cbr", "0"], "more than 0"),
        (["--cbr", "1/0"], "not a number"),
        (["--rank", "-1"], "give 0 (SR alone) to 4096"),
        (["--rank", "3", "--psnr", "30"], "give one"),
        (["--packet-symbols", "0"], "range"),
        (["--cr", "magic"], "paper"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_bad_options_are_one_line(command, arguments, word, photo, tmp_path):
    assert_one_line(run(command, photo, "--out", tmp_path / "out", *arguments), word)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "Usage"),
        (["nosuch"], "nosuch"),
        (["simulate"], "IMAGES"),
        (["bench", "disk"], "ldpc"),
        (["evaluate", "hsc-fig99"], "hsc-fig2"),
    ],
)
def test_bad_commands_exit_with_2(arguments, word):
    result = run(*arguments)
    assert result.exit_code == 2
    assert word in result.output
    assert "Traceback" not in result.output


def test_simulate_refuses_what_only_ofdm_has(photo, tmp_path):
    assert_one_line(run("simulate", photo, "--out", tmp_path / "o", "--cfo", "1"), "send")
    assert_one_line(run("simulate", photo, "--out", tmp_path / "o", "--channel", "multipath"), "send")


def test_bad_files_are_one_line(tmp_path):
    out = ("--out", tmp_path / "out")
    assert_one_line(run("simulate", tmp_path / "none.png", *out), "no such file", "none.png")
    (tmp_path / "text.png").write_text("not an image")
    assert_one_line(run("simulate", tmp_path / "text.png", *out), "text.png", "PNG or JPEG")
    (tmp_path / "folder").mkdir()
    assert_one_line(run("simulate", tmp_path / "folder", *out), "no image in folder")
    images.picture(ramp(4, 40)).save(tmp_path / "flat.png")
    assert_one_line(run("simulate", tmp_path / "flat.png", *out), "40 x 4")
    Image.new("L", (16385, 8)).save(tmp_path / "long.png")
    assert_one_line(run("simulate", tmp_path / "long.png", *out), "16385")
    good = io.BytesIO()
    images.picture(ramp(200, 200)).save(good, "PNG")
    (tmp_path / "half.png").write_bytes(good.getvalue()[:300])
    assert_one_line(run("simulate", tmp_path / "half.png", *out), "half.png")


def test_unwritable_output_is_one_line(photo, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_line(run("simulate", photo, "--out", tmp_path / "file"), "--out")
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert_one_line(run("simulate", photo, "--out", tmp_path / "out"), "--out")


def test_an_input_is_never_overwritten(photo):
    before = photo.read_bytes()
    assert_one_line(run("simulate", photo, "--out", photo.parent), "overwritten")
    assert photo.read_bytes() == before


@pytest.mark.parametrize("command", ["send", "simulate", "demo", "bench", "evaluate"])
def test_help_names_the_errors(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "one line" in result.stdout


def test_version():
    assert run("version").stdout.strip().count(".") == 2


# ---- outputs


def test_outputs_of_equal_stems_differ(tmp_path):
    sources = [tmp_path / n for n in ("a/x.png", "b/x.jpg", "b/x_compare.png", "b/X.gif", "b/x-2.png")]
    pairs = list(outputs.output_paths(sources, tmp_path / "out"))
    every = [str(p).casefold() for o in pairs for p in (o.received, o.compare)]
    assert len(set(every)) == len(every)
    assert pairs[0].received.name == "x.png"


# ---- pictures


def test_small_images_are_enlarged_without_smoothing():
    tile = pictures.Tile(np.array([[[0], [255]]], np.uint8).repeat(28, 0).repeat(14, 1), "digit")
    assert set(np.unique(np.asarray(pictures.compare([tile]).crop((12, 24, 12 + 224, 24 + 224))))) == {0, 255}


def test_a_missing_picture_is_shown_as_missing():
    shown = pictures.compare([pictures.Tile(ramp(), "original"), pictures.Tile(None, "received")])
    blank = pictures.compare([pictures.Tile(ramp(), "original"), pictures.Tile(ramp(), "received")])
    assert shown.size == blank.size
    assert shown.tobytes() != blank.tobytes()


# ---- numbers


@pytest.mark.parametrize(
    ("text", "value"), [("1/24", 1 / 24), ("-1.5", -1.5), ("1e-3", 1e-3), ("0.5/4", 0.125), ("7", 7.0)]
)
def test_numbers(text, value):
    assert parameters.Number().convert(text, None, None) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("433.92M", 433.92e6), ("2.4G", 2.4e9), ("10k", 1e4), ("48000", 48000.0), ("1/3M", 1e6 / 3)],
)
def test_frequencies_are_exact(text, value):
    assert parameters.Hertz().convert(text, None, None) == value


@pytest.mark.parametrize(
    "text",
    ["1e20000000", "1e400", "1e999999999999999999999", "1/0", "1/2/3", "inf", "nan", "", "k", "1/"],
)
@pytest.mark.parametrize("kind", [parameters.Number, parameters.Hertz])
def test_what_is_no_number_is_refused_at_once(kind, text):
    with pytest.raises(click.BadParameter, match="is not a number"):
        kind().convert(text, None, None)


def test_errors_cannot_write_to_the_terminal_but_text(capsys):
    with pytest.raises(SystemExit):
        group._leave("the recording says \x1b]0;title\x07 \u202e", 2)
    assert capsys.readouterr().err == "gr-hsc: the recording says \\x1b]0;title\\x07 \\u202e\n"
