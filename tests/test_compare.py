"""`compare`: every codec on one image, pictures and figures; what cannot be used is left out or is one line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import compare, samples
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import plan
from gnuradio.hsc.image_files import load
from PIL import Image


@pytest.fixture
def crop(tmp_path):
    path = tmp_path / "holiday.png"
    Image.fromarray(load(samples.photographs()[0]).pixels[100:164, 200:296]).save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_one_image(crop, tmp_path, monkeypatch):
    monkeypatch.delenv("HSC_DATA", raising=False)
    monkeypatch.setattr(registry, "_MODULES", {"hsc": registry._MODULES["hsc"]})
    out = tmp_path / "out"
    result = run(crop, "--snr", "0:20:5", "--cbr", "1/2", "--workers", 0, "--out", out)
    assert result.exit_code == 0, result.output
    names = ["holiday_compare.json", "holiday_compare_curve.png", "holiday_compare_grid.png"]
    assert [line.rsplit("/", 1)[1] for line in result.stdout.split()] == names
    raw = json.loads((out / names[0]).read_text())
    assert raw["command"] == "./gr-hsc compare holiday.png --snr 0,5,10,15,20 --cbr 0.5 --channel awgn --seed 1"
    (series,) = raw["series"]
    assert series["name"] == "hsc" and series["x"]["values"] == [0, 5, 10, 15, 20]
    assert series["y"]["values"][-1] > series["y"]["values"][0] + 3
    assert max(series["also"]["cbr"]) <= 0.5 and series["confidence"] is None
    grid = Image.open(out / names[2])
    assert grid.width > 4 * 96 and grid.height > 2 * 256  # the original, and a row of four


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--snr", "20:0:1"), "first:last:step"),
        (("--snr", "0:20:0"), "first:last:step"),
        (("--snr", "0:1000:0.001"), "first:last:step"),
        (("--snr", "a"), "first:last:step"),
        (("--snr", "nan"), "-30 to 60"),
        (("--snr", "0,99"), "-30 to 60"),
        (("--codecs", "none-such"), "unknown codec"),
        (("--cbr", "0"), "out of range"),
        (("--codecs", "hsc", "--cbr", "1e-6", "--snr", "5", "--workers", "0"), "no codec could send"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, word, crop, tmp_path):
    result = run(crop, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert word in result.stderr.strip().splitlines()[-1]
    assert result.stdout == ""


def test_a_file_that_is_no_image_is_one_line(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    result = run(tmp_path / "x.png")
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1


def test_ranges():
    assert compare.snr_range("0:20:2") == tuple(range(0, 21, 2))
    assert compare.snr_range("0:0.3:0.1") == pytest.approx((0, 0.1, 0.2, 0.3))
    assert compare.snr_range("-5:5") == tuple(range(-5, 6))
    assert compare.snr_range("10") == (10,)
    assert compare.snr_range("10,0,10") == (10, 0)
    with pytest.raises(HscError):
        compare.snr_range("")


def test_the_grid_shows_first_and_last():
    assert compare.shown_places(11) == [0, 3, 7, 10]
    assert compare.shown_places(1) == [0]
    assert compare.shown_places(2) == [0, 1]
    for n in range(1, 40):
        shown = compare.shown_places(n)
        assert shown[0] == 0 and shown[-1] == n - 1 and len(shown) == min(n, 4) == len(np.unique(shown))


def test_separate_designs_are_compared_in_both_codings(monkeypatch):
    monkeypatch.setitem(registry._MODULES, "separate", (2, "separate:SeparateCodec"))
    cases = plan.available(compare.Comparison((0.0,), 1 / 6, ("separate", "hsc")).cases, print)
    assert [case.label for case in cases] == ["separate HEVC", "separate JPEG2000", "hsc"]
    assert not any("repair_share" in case.options for case in cases)


def test_no_codec_pays_for_lost_packets_where_none_is_lost():
    cases = plan.available(compare.Comparison((0.0,), 1 / 6, ("softcast", "hda_dct", "hda_deepsc", "hda_hevc")).cases, print)
    assert len(cases) == 4
    for case in cases:
        own = registry.create(case.codec).options.repair_share
        assert 0 < registry.create(case.codec, **case.options).options.repair_share < min(own, 0.05)
