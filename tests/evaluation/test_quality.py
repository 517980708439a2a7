"""Qualities that cost time: measured where they are asked for, kept with old records, averaged and drawn."""

import hashlib
import json

import numpy as np
import pytest
from gnuradio.hsc import metrics
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves, drawing, fingerprint, plan, quality, sweep, transmission
from gnuradio.hsc.evaluation.plan import At, Case, Plan
from gnuradio.hsc.evaluation.transmission import Point, Reception, Sending
from support import pixel_codec

IMAGES = {
    transmission.image_id(f"wave{i}", image): image
    for i, image in enumerate(pixel_codec.picture(24, 40, seed=seed) for seed in range(6))
}
NAMES = list(IMAGES)
PIXELS = Case("pixels", pixel_codec.NAME, {"digital": False}, {"digital": False})


def half_mean(received: np.ndarray, image: np.ndarray) -> float:
    """A distance that tests can compute."""
    return float(np.mean(np.abs(received.astype(float) - image))) / 2


@pytest.fixture
def pixels(monkeypatch):
    pixel_codec.register(monkeypatch)
    monkeypatch.setitem(quality.FURTHER, "dists", quality.Quality("DISTS", half_mean))
    for cached in (transmission._codec, fingerprint.of_codec):
        cached.cache_clear()
    yield
    for cached in (transmission._codec, fingerprint.of_codec):
        cached.cache_clear()


def places(*snrs: float, **fields) -> list[At]:
    return [At(snr, Reception(snr_db=snr, **fields), 1.0) for snr in snrs]


def measured(*planned: plan.PlannedCurve, **fields):
    made = Plan("x", "", ("snr", "dB"), planned, **fields)
    outcome = sweep.run(made.points, IMAGES, workers=0)
    assert not outcome.errors
    return plan.curves_of(made, outcome, "", lambda line: None), outcome


def test_records_of_old_points_keep_their_keys(monkeypatch):
    monkeypatch.setattr(fingerprint, "of_codec", lambda codec: "made of")
    point = Point(Sending("a", "softcast", (("x", 1),), 5.0, 0.5), Reception("awgn", 5.0, 2, loss=0.1))
    as_before = {
        "sending": {
            "image": "a",
            "codec": "softcast",
            "options": [["x", 1]],
            "snr_db": 5.0,
            "cbr": 0.5,
            "mcs": None,
        },
        "reception": {
            "channel": "awgn",
            "snr_db": 5.0,
            "seed": 2,
            "options": [],
            "through": "symbols",
            "loss": 0.1,
        },
    }
    text = json.dumps([2, as_before, "made of"], sort_keys=True, ensure_ascii=False)
    assert sweep.key(point) == hashlib.sha256(text.encode()).hexdigest()[:32]
    judged = Point(point.sending, Reception("awgn", 5.0, 2, loss=0.1, judged=("dists",)))
    inside = Point(point.sending, Reception("awgn", 5.0, 2, loss=0.1, inside=(0, 0, 8, 8)))
    assert len({sweep.key(each) for each in (point, judged, inside)}) == 3


def test_only_what_is_asked_for_is_measured_and_kept(pixels, tmp_path, monkeypatch):
    sending = Sending(NAMES[0], pixel_codec.NAME, (("digital", False),))
    asked = Point(sending, Reception(judged=("dists",), inside=(4, 8, 16, 12)))
    store = sweep.Store(tmp_path / "points.jsonl")
    outcome = sweep.run([asked], IMAGES, store, workers=0, pictures=[asked])
    found, picture, image = outcome.measured[asked], outcome.pictures[asked], IMAGES[NAMES[0]]
    assert found.dists == pytest.approx(half_mean(picture, image)) and found.lpips_alex is None
    assert found.psnr_inside_db == pytest.approx(metrics.psnr_db(picture[8:20, 4:20], image[8:20, 4:20]))
    assert sweep.Store(store.path).get(asked) == found
    monkeypatch.setitem(
        quality.FURTHER, "dists", quality.Quality("DISTS", lambda *_: pytest.fail("not wanted"))
    )
    plain = Point(sending, Reception())
    assert sweep.run([plain], IMAGES, workers=0).measured[plain].dists is None


def test_a_record_of_before_is_read(tmp_path):
    old = {"psnr_db": 30.0, "ms_ssim_db": None, "cbr": 0.5, "seconds": 1.0, "failure": None}
    line = {"key": "k", "point": {"sending": {"codec": "softcast"}}, "measured": old}
    (tmp_path / "points.jsonl").write_text(json.dumps(line) + "\n")
    assert sweep.Store(tmp_path / "points.jsonl").records["k"] == transmission.Measured(
        30.0, None, 0.5, seconds=1.0
    )


def test_an_image_that_never_came_is_judged_as_grey(pixels):
    point = Point(Sending(NAMES[0], pixel_codec.NAME), Reception(loss=1.0, judged=("dists",)))
    found = sweep.run([point], IMAGES, workers=0).measured[point]
    image = IMAGES[NAMES[0]]
    assert found.failed == 1 and found.dists == pytest.approx(half_mean(np.full_like(image, 128), image))


def test_a_rectangle_outside_the_image_is_an_error():
    image = IMAGES[NAMES[0]]
    for rectangle in ((0, 0, 41, 8), (-1, 0, 8, 8), (0, 20, 8, 8), (0, 0, 0, 8)):
        with pytest.raises(ValueError, match="not inside"):
            quality.psnr_inside_db(image, image, rectangle)


def test_qualities_are_columns_with_their_confidence(pixels, tmp_path):
    found, outcome = measured(
        plan.curve(PIXELS, NAMES, places(0.0, 10.0, judged=("dists",)), seeds=(0, 1)), also=("side_share",)
    )
    (series,) = found.series
    by_hand = [
        [
            np.mean([outcome.measured[p].dists for p in outcome.measured if p.sending.image == name and
                     p.reception.snr_db == snr])
            for name in NAMES
        ]
        for snr in (0.0, 10.0)
    ]  # fmt: skip
    np.testing.assert_allclose(series.also["dists"], np.mean(by_hand, 1))
    expected = 2.571 * np.std(by_hand, 1, ddof=1) / np.sqrt(6)  # Student's t, 5 degrees
    np.testing.assert_allclose(series.also["dists_confidence"], expected, rtol=1e-3)
    assert series.also["side_share"] == [0.0, 0.0] and "lpips_alex" not in series.also
    curves.save(found, tmp_path)
    assert curves.load("x", tmp_path).series[0].also["dists"] == pytest.approx(series.also["dists"], rel=1e-5)


def test_old_figures_get_no_new_columns(pixels):
    found, _ = measured(plan.curve(PIXELS, NAMES[:2], places(10.0)))
    known = {"cbr", "cbr_with_overhead", "analog_uses", "digital_uses", "failed"}
    assert set(found.series[0].also) == known


def test_images_shared_by_several_curves_are_averaged_together(pixels):
    each = [
        plan.curve(PIXELS, NAMES, [At(1.0, Reception(snr_db=snr), 1.0)], only=NAMES[i::3])
        for i, snr in enumerate((0.0, 10.0, 20.0))
    ]
    mean = plan.averaged("mean", each)
    found, outcome = measured(*each, mean)
    assert len(outcome.measured) == len(NAMES)  # every image once
    psnr = {p.sending.image: m.psnr_db for p, m in outcome.measured.items()}
    assert found.series[-1].y.values == pytest.approx([np.mean(list(psnr.values()))])
    assert found.series[1].y.values == pytest.approx([np.mean([psnr[name] for name in NAMES[1::3]])])


def test_samples_have_every_column_and_gaps(pixels):
    seen = {}
    curve = plan.curve(PIXELS, NAMES, places(0.0, 10.0, judged=("dists",)), only=NAMES[::2])
    measured(curve, findings=lambda samples: seen.update(samples) or {})
    samples = seen["pixels"]
    assert samples.psnr_db.shape == samples.columns["dists"].shape == (2, len(NAMES), 1)
    assert np.isnan(samples.at(10.0)[1::2]).all() and np.isfinite(samples.at(10.0, "dists")[::2]).all()
    assert samples.mean(10.0, "dists") < samples.mean(0.0, "dists")
    assert samples.mean(10.0, "side_share") == 0 and np.isnan(samples.mean(10.0, "lpips_alex"))
    assert np.isnan(samples.mean(5.0))


def test_a_panel_for_each_quality_that_was_measured(pixels, tmp_path):
    case = [plan.curve(PIXELS, NAMES[:2], places(0.0, 10.0, judged=("dists",), inside=(0, 0, 8, 8)))]
    found, _ = measured(*case, also=("decode_seconds", "side_share"))
    shown = ("psnr", "dists", "lpips_alex", "psnr_inside_db", "decode_seconds")
    drawn = drawing.qualities(found, shown=shown)
    labels = [axis.get_ylabel() for axis in drawn.axes if axis.axison]
    assert labels == [quality.LABELS[key] for key in shown if key != "lpips_alex"]
    lines = {axis.get_ylabel(): axis.get_lines()[0].get_ydata() for axis in drawn.axes if axis.axison}
    assert list(lines[quality.LABELS["dists"]]) == found.series[0].also["dists"]
    assert drawing.save(drawn, tmp_path / "x.png").stat().st_size > 10_000


def test_qualities_that_cannot_be_had_are_left_out_with_the_reason(monkeypatch):
    def refuse(received, image):
        raise HscError("no data folder")

    monkeypatch.setitem(quality.FURTHER, "dists", quality.Quality("DISTS", half_mean))
    monkeypatch.setitem(quality.FURTHER, "lpips_vgg", quality.Quality("LPIPS (VGG)", lambda *_: None))
    monkeypatch.setitem(quality.FURTHER, "same_class", quality.Quality("same class", refuse))
    lines = []
    assert quality.measurable(("dists", "lpips_vgg", "same_class"), lines.append) == ("dists",)
    assert lines == [
        "left out: LPIPS (VGG) (its weights are not installed)",
        "left out: same class (no data folder)",
    ]
