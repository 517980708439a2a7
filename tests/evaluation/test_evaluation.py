"""Curves: the file format, the statistics, and the measuring loop on a few digits."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc import channel, modem
from gnuradio.hsc.app import samples
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves
from gnuradio.hsc.evaluation.curves import Axis, Curves, Series
from gnuradio.hsc.evaluation.figure import Given
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link
from gnuradio.hsc.systems.hsc import cr, figure5, measurement


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return np.stack([load(path).pixels for path in samples.digits()])


def example(**changes) -> Series:
    columns = {
        "x": Axis("cbr", "u", [1.0, 2.0]),
        "y": Axis("mse", "u", [0.5, 0.25]),
        "confidence": [0.1, 0.1],
        "also": {"rank": [0.0, 1.0]},
    }
    return Series(**{"name": "a", "source": "measured", **columns, **changes})


def test_a_result_file_comes_back_as_it_was(tmp_path):
    before = Curves("hsc-fig2", "text", "command", [example()], {"crossing": 0.5, "none": None})
    curves.save(before, tmp_path)
    assert asdict(curves.load("hsc-fig2", tmp_path)) == asdict(before)


@pytest.mark.parametrize(
    "wrong", [{"source": "guess"}, {"confidence": [0.1]}, {"also": {"rank": [1.0, 2.0, 3.0]}}]
)
def test_series_are_checked(wrong):
    with pytest.raises(ValueError, match="series 'a'"):
        example(**wrong)


def test_unusable_files_are_one_line(tmp_path):
    with pytest.raises(HscError, match="evaluate hsc-fig2 first"):
        curves.load("hsc-fig2", tmp_path)
    for text in ("{", "[]", '{"series": [{"x": {}}]}', '{"name": "x", "series": []}'):
        (tmp_path / "hsc-fig2.json").write_text(text)
        with pytest.raises(HscError, match="not a result"):
            curves.load("hsc-fig2", tmp_path)


def test_confidence_interval_covers_the_mean():
    rng = np.random.default_rng(3)
    mean, half = curves.mean_and_confidence(rng.exponential(2.0, (1000, 200)))
    inside = np.abs(np.array(mean) - 2.0) < half
    assert 0.92 < inside.mean() < 0.98


def test_crossing_by_hand():
    # 1 - x against a level of 0.5 that begins at 1: below from 0.5 on
    assert curves.crossing([0, 1], [1, 0], [0, 1], [0.5, 0.5]) == pytest.approx(0.5, abs=2e-3)
    assert curves.crossing([0, 1], [1, 0], [0, 0.1], [1.0, 0.3]) == pytest.approx(0.7, abs=2e-3)
    assert curves.crossing([0, 1], [1, 0.6], [0, 1], [0.5, 0.5]) is None
    assert curves.crossing([0, 1], [0.4, 0.3], [0, 1], [0.5, 0.5]) == 0


def test_error_falls_with_the_rank_to_quantisation(digits):
    points = [
        p for k in (0, 4, 28) for p in measurement.measure(digits, {"symbols": 8, "rank": k, "cr": "paper"})
    ]
    assert np.all(points[1].mse < points[0].mse)
    assert np.all(points[2].mse < 1e-5)
    assert np.all(points[1].cbr > points[0].cbr)
    assert np.all(points[0].cbr_with_overhead > points[0].cbr)


def test_error_is_the_closed_form_up_to_quantisation(digits):
    """MSE over an error-free channel against eq. (19), computed here from the generated image."""
    codec = registry.create("hsc", symbols=8, rank=4, cr="paper", tuning="none")
    alone = registry.create("hsc", symbols=8, rank=0, tuning="none")
    for digit in digits[:4]:
        generated = alone.decode(measurement.error_free(alone.encode(digit, Link()))).image
        eigenvalues, _ = cr.eigen_rows(cr.error_matrix(digit / 255, generated / 255))
        expected = eigenvalues[4:].sum() / digit.size
        received = codec.decode(measurement.error_free(codec.encode(digit, Link()))).image
        # clipping to [0, 1], which eq. (19) leaves out, can only help; quantisation adds a few percent
        assert 0.7 * expected < np.mean((received / 255 - digit / 255) ** 2) < 1.08 * expected


def test_compression_ratio_of_eq_21(digits):
    # raw: 784 pixels of 8 bits at 2 bits a use; SR alone: M = 8 channel uses
    (point,) = measurement.measure(digits[:2], {"symbols": 8, "rank": 0})
    np.testing.assert_allclose(point.ratio, 8 / (784 * 8 / 2))
    np.testing.assert_allclose(point.cbr, 8 / 784)


def test_fading_is_the_same_for_all_tunings_and_falls_with_the_snr(digits):
    found = [
        measurement.measure(digits, {"symbols": 8, "rank": 4, "cr": "paper"}, (0.0, 10.0, 30.0), plain)
        for plain in (False, True)
    ]
    for points in found:
        assert points[0].mse.mean() > points[1].mse.mean() > points[2].mse.mean()
    assert [p.lost for p in found[0]] == [p.lost for p in found[1]]
    assert found[0][0].mse.mean() < found[1][0].mse.mean()  # knowing the noise helps


def test_fading_loses_the_cr_as_the_outage_probability_says(digits):
    """16QAM-1/2 needs about 8 dB: over Rayleigh fading of mean 10 dB it fails with 1 - exp(-10^(-2/10)),
    about 0.47.
    """
    codec = registry.create("hsc", symbols=8, rank=1, cr="paper", tuning="none")
    modulated = modem.modulate(codec.encode(digits[3], Link(mcs=measurement.MCS)), 0)
    normal = channel.numpy_normal(np.random.default_rng(1))
    complete = [measurement.fading(modulated, 10.0, normal).digital[0].complete for _ in range(400)]
    assert 1 - np.mean(complete) == pytest.approx(0.45, abs=0.1)


def test_the_typical_digit_has_the_median_error(digits):
    alone = registry.create("hsc", symbols=8, rank=0, tuning="none")
    errors = [
        np.square(
            alone.decode(measurement.error_free(alone.encode(digit, Link()))).image / 255 - digit / 255
        ).mean()
        for digit in digits[:5]
    ]
    assert errors[figure5.typical(digits[:5])] == sorted(errors)[2]
    assert errors[figure5.typical(digits[:4])] == sorted(errors[:4])[1]


def test_a_digit_through_fading(digits):
    """Draws are the same for every rank; a lost CR leaves G, one that arrives brings the image nearer."""
    few, many = (figure5.fade(digits[0], "plain", k, range(30)) for k in (2, 12))
    np.testing.assert_array_equal(few.generated, many.generated)
    assert few.lost.any() and not few.lost.all()
    np.testing.assert_array_equal(few.recomposed[few.lost], few.generated[few.lost])
    before, after = (
        np.square(x[~many.lost] / 255 - digits[0] / 255).mean() for x in (many.generated, many.recomposed)
    )
    assert after < before / 2
    assert many.uses[0] > few.uses[0]
    (point,) = measurement.measure([digits[0]], {"symbols": 8, "rank": 2, "cr": "paper"})
    assert few.uses == (point.cbr[0], point.cbr_with_overhead[0], point.ratio[0])
    ncr = figure5.fade(digits[0], "ncr", 12, range(30))
    assert not np.array_equal(ncr.generated, figure5.fade(digits[0], "few-shot", 12, range(30)).generated)


def test_figure_5_shows_one_draw_in_which_every_cr_arrives(digits):
    given = Given({f"digit {i}": digit for i, digit in enumerate(digits[:5])}, 5, "command")
    found = figure5.fig5(given, ranks=(0, 4), draws=12)
    assert [(s.name, s.x.values) for s in found.series] == [
        ("plain", [0, 4]),
        ("few-shot", [0, 4]),
        ("ncr", [4]),  # adapters belong to a CR
    ]
    chosen, draw = found.findings["digit"], found.findings["draw shown"]
    assert chosen == f"digit {figure5.typical(digits[:5])}"
    for kind in ("plain", "few-shot", "ncr"):
        assert not figure5.fade(given.images[chosen], kind, 4, [draw]).lost.any()
    plain = found.series[0]
    assert plain.y.values[0] == plain.also["generated_mse"][0] == plain.also["generated_mse"][1]
    assert plain.y.values[1] < plain.y.values[0] and plain.also["cr_lost"][0] == 0 < plain.also["cr_lost"][1]
    picture = figure5.fig5_pictures(given, found)
    assert picture.height > 3 * 2 * 28 * 5 and picture.width > 2 * 28 * 5


def test_evaluate_writes_result_and_figure(tmp_path, digits, monkeypatch):
    import matplotlib
    from gnuradio.hsc.app import evaluate

    monkeypatch.setattr(evaluate.datasets, "mnist", lambda split, path: digits[..., 0])
    result = CliRunner().invoke(
        main, ["evaluate", "hsc-fig3", "--quick", "--images", "3", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    raw = json.loads((tmp_path / "hsc-fig3.json").read_text())
    assert raw["command"] == "./gr-hsc evaluate hsc-fig3 --images 3 --quick"
    assert {s["source"] for s in raw["series"]} == {"measured"}
    assert (tmp_path / "hsc-fig3.png").stat().st_size > 10_000
    assert matplotlib.get_backend().lower() == "agg"


def test_evaluate_without_data_is_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("HSC_DATA", raising=False)
    result = CliRunner().invoke(main, ["evaluate", "hsc-fig2", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "HSC_DATA" in result.stderr


def test_jpeg2000_reference_of_the_bench_keeps_its_budget():
    from gnuradio.hsc.bench import hsc as bench_hsc

    image = bench_hsc.texture(1, (64, 96, 3))
    assert image.dtype == np.uint8
    for budget in (800, 3000):
        assert len(bench_hsc._compress(image, budget)) <= budget


def test_bench_hsc_rows(monkeypatch):
    from gnuradio.hsc.app.bench import run
    from gnuradio.hsc.bench import hsc as bench_hsc

    for name, value in (("SHAPE", (64, 96, 3)), ("IMAGES", 1), ("REPEATS", 1)):
        monkeypatch.setattr(bench_hsc, name, value)
    rows = run("hsc")
    assert len(rows) == 5
    for row in rows:
        assert row.ratio == pytest.approx(row.ours / row.reference)
    assert 15 < rows[-1].ours < 50
