"""`compare`: every codec on one image, pictures and figures; what cannot be used is left out or one line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import compare, planned, samples
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves, detail, drawing, plan
from gnuradio.hsc.images.files import load
from PIL import Image
from support.perceptual import needs_perceptual


@pytest.fixture
def crop(tmp_path):
    path = tmp_path / "holiday.png"
    Image.fromarray(load(samples.photographs()[0]).pixels[100:164, 200:296]).save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_one_image(crop, tmp_path, monkeypatch):
    monkeypatch.delenv("HSC_DATA", raising=False)
    out = tmp_path / "out"
    result = run(crop, "--codecs", "hsc", "--snr", "0:20:5", "--cbr", "1/2", "--workers", 0, "--out", out)
    assert result.exit_code == 0, result.output
    names = ["holiday_compare.json", "holiday_compare_curve.png", "holiday_compare_grid.png"]
    assert [line.rsplit("/", 1)[1] for line in result.stdout.split()] == names
    raw = json.loads((out / names[0]).read_text())
    expected = (
        "./gr-hsc compare holiday.png --snr 0,5,10,15,20 --cbr 0.5 --channel awgn --seed 1 --codecs hsc"
    )
    assert raw["command"] == expected
    (series,) = raw["series"]
    assert series["name"] == "hsc" and series["x"]["values"] == [0, 5, 10, 15, 20]
    assert series["y"]["values"][-1] > series["y"]["values"][0] + 3
    assert max(series["also"]["cbr"]) <= 0.5 and series["confidence"] is None
    grid = Image.open(out / names[2])
    assert grid.width > 4 * 96 and grid.height > 2 * 256  # the original, and a row of four


def test_what_is_not_sent_is_said_and_marked(crop, tmp_path):
    flags = ("--codecs", "lic", "--cbr", "1/24", "--workers", 0, "--metrics", "none", "--out", tmp_path)
    result = run(crop, "--snr", "0,20", *flags)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "not sent" in line]
    assert line.startswith("gr-hsc: lic at 0 dB: not sent: ") and "raise the CBR to" in line
    raw = json.loads((tmp_path / "holiday_compare.json").read_text())
    (series,) = raw["series"]
    assert series["also"]["failed"] == [1, 0] and series["also"]["cbr"][0] == 0
    found = curves.load("holiday_compare", tmp_path)
    axes = drawing.qualities(found, title="above").axes
    crosses = [line.get_xydata().tolist() for line in axes[0].lines if line.get_marker() == "x"]
    assert [[0.0, series["y"]["values"][0]]] in crosses


@needs_perceptual
def test_perceptual_distances_have_columns_and_pictures_name_them(crop, tmp_path):
    result = run(
        *(crop, "--codecs", "softcast", "--snr", "0,20", "--cbr", "1/2", "--workers", 0),
        *("--metrics", "lpips_alex,dists", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    raw = json.loads((tmp_path / "out" / "holiday_compare.json").read_text())
    assert raw["command"].endswith(" --codecs softcast --metrics lpips_alex,dists")
    (series,) = raw["series"]
    for name in ("lpips_alex", "dists"):
        at_0_db, at_20_db = series["also"][name]
        assert 0 < at_20_db < at_0_db < 1
    assert "lpips_vgg" not in series["also"]


def test_the_table_of_a_distance_names_it(capsys, monkeypatch):
    axis = curves.Axis("snr", "dB", [0.0, 10.0])
    also = {"lpips_alex": [0.5, 0.25], "cbr": [0.1, 0.1]}
    series = curves.Series("one", "measured", axis, curves.Axis("psnr", "dB", [20.0, 30.0]), None, also)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    planned.show(curves.Curves("x", "", "", [series], {}, None))
    psnr, distance = capsys.readouterr().out.split("LPIPS (Alex)")
    assert "PSNR [dB] against" in psnr and "30.00" in psnr
    assert "0.250" in distance and "DISTS" not in distance


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


# ---- the detail


def blurred(image: np.ndarray, top: int, left: int, side: int, by: int) -> np.ndarray:
    """The image with noise in one square."""
    noise = np.random.default_rng(by).integers(-by, by + 1, (side, side, image.shape[2]))
    out = image.astype(int)
    out[top : top + side, left : left + side] += noise
    return out.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_detail_is_where_systems_differ(channels):
    """Not where all are equally bad, and not where one SNR differs from another."""
    image = np.full((300, 400, channels), 128, np.uint8)
    bad = blurred(image, 0, 0, 60, 90)
    groups = [
        [bad, blurred(bad, 200, 310, 60, 30)],
        [image, image],
        [],
        [blurred(image, 20, 300, 60, 90)] * 2,
    ]
    window = detail.place(image, groups, (64, 80))
    assert (window[0].stop - window[0].start, window[1].stop - window[1].start) == (64, 80)
    assert (
        window[0].start <= 200 and window[0].stop >= 260 and window[1].start <= 310 and window[1].stop >= 370
    )


def test_the_detail_of_a_single_system_is_where_it_is_worst():
    image = np.full((300, 400, 3), 128, np.uint8)
    window = detail.place(image, [[blurred(image, 210, 20, 60, 50)]], (64, 80))
    assert window[0].start <= 210 and window[0].stop >= 270 and window[1].start <= 20 and window[1].stop >= 80


def test_an_image_smaller_than_a_detail_is_shown_whole():
    image = np.zeros((28, 28, 1), np.uint8)
    window = detail.place(image, [[image, image]])
    assert detail.beside(image, window) is image
    wide = np.zeros((40, 900, 3), np.uint8)
    assert wide[detail.place(wide, [[wide, wide + np.arange(900, dtype=np.uint8)[:, None] // 4]])].shape == (
        40,
        detail.SIZE[1],
        3,
    )


def test_the_detail_is_shown_at_full_size_and_marked():
    image = np.random.default_rng(1).integers(0, 200, (300, 600, 3), np.uint8)
    window = detail.window_at(50, 300, (100, 200))
    shown = detail.beside(image, window)
    assert shown.shape == (100, detail.WHOLE + 6 + 200, 3)
    np.testing.assert_array_equal(shown[:, -200:], image[window])
    red = (shown[:, : detail.WHOLE] == (230, 30, 30)).all(2).nonzero()
    scale = detail.WHOLE / 600
    assert [min(red[0]), max(red[0]), min(red[1]), max(red[1])] == pytest.approx(
        [50 * scale, 150 * scale, 300 * scale, 500 * scale], abs=2
    )


def test_local_errors_are_those_of_the_windows():
    first, second = np.random.default_rng(2).integers(0, 256, (2, 20, 31, 3), np.uint8)
    errors = detail.local_mse(first, second, (7, 8))
    assert errors.shape == (14, 24)
    for top, left in ((0, 0), (13, 23), (5, 11)):
        window = detail.window_at(top, left, (7, 8))
        assert errors[top, left] == pytest.approx(
            np.square(first[window].astype(float) - second[window]).mean(), rel=1e-4
        )


def test_a_photograph_gets_a_grid_with_details(tmp_path):
    path = samples.photographs()[0]
    told = ("--codecs", "softcast", "--snr", "5,20", "--workers", 0, "--out", tmp_path)
    assert run(path, *told).exit_code == 0
    grid, original = np.asarray(Image.open(tmp_path / f"{path.stem}_compare_grid.png")), load(path).pixels
    (height, width), left = detail.SIZE, 12 + detail.WHOLE + 6
    shown = grid[56 : 56 + height, left : left + width]  # below the heading
    corners = np.argwhere((original[: 1 - height, : 1 - width] == shown[0, 0]).all(2))
    assert sum(np.array_equal(original[t : t + height, c : c + width], shown) for t, c in corners) == 1


def test_separate_designs_are_compared_with_every_source_coder():
    cases = plan.available(compare.Comparison((0.0,), 1 / 6, ("separate", "hsc")).cases, print)
    assert [case.label for case in cases] == [
        "separate HEVC",
        "separate HEVC, NNPF",
        "separate JPEG2000",
        "hsc",
    ]
