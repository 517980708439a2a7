"""Plans of the LRISC evaluation on stand-in codecs: what is measured, saved, drawn and found."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Decoded
from gnuradio.hsc.codecs.system import CodecEntry, System
from gnuradio.hsc.evaluation import curves, drawing, fingerprint, plan, quality, sweep, transmission
from gnuradio.hsc.evaluation.figure import Given
from gnuradio.hsc.evaluation.plan import Samples
from gnuradio.hsc.evaluation.transmission import image_id
from gnuradio.hsc.systems.lrisc import cases, figures, findings
from support import pixel_codec

PHOTOS = [pixel_codec.picture(360, 368, seed=seed) for seed in range(2)]
IMAGES = {image_id(f"wave{i}", photo): photo for i, photo in enumerate(PHOTOS)}
NAMES = ("lrisc", "deepjscc", "deepjscc_q", "hda_deepsc", "hda_hevc", "separate")
FIGURES = {figure.name: figure for figure in figures.FIGURES}


class StandIn(pixel_codec.PixelCodec):
    """Takes any option. Its analog values are the middle of the image; a refiner takes half of the error
    away, a region of interest all of it inside.
    """

    def __init__(self, **options):
        self.options = types.SimpleNamespace(**{"digital": False, "refiner": False, "roi": "", **options})

    @property
    def refines(self):
        return self.options.refiner

    def encode(self, image, link):
        message = super().encode(image, link)
        return replace(message, codec=self.name, parameters=self.options.roi.encode()[:8])

    def decode(self, received):
        h, w, c = received.shape
        values = received.analog.values[: h * w * c].reshape(received.shape)
        if self.options.refiner:
            values = (values + np.clip(np.rint(values * 8) / 8, -0.5, 0.5)) / 2
        if any(received.parameters):
            inside = values[160:352, 160:352]
            inside[:] = np.rint(inside * 16) / 16
        return Decoded(np.uint8(np.clip((values + 0.5) * 255, 0, 255)))


@pytest.fixture
def stand_ins(monkeypatch):
    """No codec but stand-ins; qualities that need no weights."""
    module = types.ModuleType("stand_ins")
    vars(module).update({name: type(name, (StandIn,), {"name": name}) for name in NAMES})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entries = tuple(CodecEntry(name, 200 + i, f"stand_ins:{name}") for i, name in enumerate(NAMES))
    monkeypatch.setattr(registry._known(), "systems", {"stand-ins": System("stand-ins", "Test", entries)})
    for i, name in enumerate(("lpips_alex", "lpips_vgg", "dists", "same_class", "feature_cosine")):
        stand_in = quality.Quality(
            quality.FURTHER[name].label,
            lambda received, image, i=i: float(np.abs(received.astype(float) - image).mean() / 255) + i,
        )
        monkeypatch.setitem(quality.FURTHER, name, stand_in)
    caches = transmission._codec, fingerprint.of_codec, fingerprint._read
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def plan_of(name, images=tuple(IMAGES), quick=False, **changes):
    lines = []
    made = FIGURES[name].plan(list(images), lines.append, **{**FIGURES[name].arguments(quick), **changes})
    assert not lines
    return made


def found_of(made):
    outcome = sweep.run(made.points, IMAGES, workers=0)
    assert not outcome.errors
    return plan.curves_of(made, outcome, "command", lambda text: pytest.fail(text))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_measured_saved_and_drawn(name, stand_ins, tmp_path):
    changes = {"deeply_judged": 1} if name == "lrisc-rate" else {}
    found = found_of(plan_of(name, quick=True, **changes))
    assert found.series and all(np.isfinite(s.y.values).all() for s in found.series)
    assert all({"lpips_alex", "side_share", "decode_seconds"} <= s.also.keys() for s in found.series)
    curves.save(found, tmp_path)
    assert curves.load(name, tmp_path).findings["images"] == 2
    drawn = FIGURES[name].draw(found)
    assert drawing.save(drawn, tmp_path / f"{name}.png").stat().st_size > 10_000
    panels = {axis.get_ylabel() for axis in drawn.axes if axis.axison and axis.get_lines()}
    assert {quality.LABELS["lpips_alex"], "PSNR [dB]"} < panels
    if name == "lrisc-roi":
        assert quality.LABELS["psnr_inside_db"] in panels
    if name == "lrisc-steps":
        assert {quality.LABELS["decode_seconds"], quality.LABELS["dists"]} < panels


def test_the_full_plans_are_as_the_issue_says(stand_ins):
    images = [f"photo{i}" for i in range(24)]
    full = {name: plan_of(name, images) for name in FIGURES}
    for name, made in full.items():
        assert "lpips_alex" in made.points[0].reception.judged, name
    rate, snr, fading = (full[f"lrisc-{name}"] for name in ("rate", "snr", "fading"))
    assert rate.curves[0].x == (1 / 48, 1 / 32, 1 / 24, 1 / 16, 1 / 12, 1 / 8)
    assert {p.reception.snr_db for p in rate.points} == {0, 5, 10, 15, 20}
    assert {round(1 / p.sending.cbr) for p in snr.points} == {12, 24}
    assert snr.curves[0].x == (-2, 0, 5, 10, 15, 20, 25)
    assert {p.reception.channel for p in fading.points} == {"awgn", "rayleigh", "rician"}
    assert {p.reception.loss for p in fading.points} == {0, 0.05, 0.2}
    assert full["lrisc-steps"].curves[0].x == (1, 2, 4)
    refined = {dict(p.reception.options).get("realism") for p in full["lrisc-steps"].points}
    assert refined == {0.0, 0.5, 1.0}
    shown = {case.label for case in cases.SYSTEMS}
    assert {c.label for c in full["lrisc-pictures"].curves} == shown
    assert {c.label.removesuffix(", mean of the SNRs") for c in rate.curves if "mean" in c.label} == shown
    assert {p.sending.codec for p in rate.points} == set(NAMES)
    inside = {(p.reception.inside, dict(p.sending.options).get("roi")) for p in full["lrisc-roi"].points}
    assert inside == {(cases.REGION, None), (cases.REGION, "160,160,192,192")}


def test_photographs_take_turns_over_the_snrs_the_same_for_every_system(stand_ins):
    images = [f"photo{i}" for i in range(24)]
    points = plan_of("lrisc-rate", images, deeply_judged=0).points
    for codec in ("lrisc", "separate"):
        snrs = {}
        for p in points:
            if p.sending.codec == codec:
                snrs.setdefault(p.sending.image, set()).add(p.reception.snr_db)
        assert [snrs[image] for image in images] == [{5.0 * (i % 5)} for i in range(24)]
    few = plan_of("lrisc-rate", images[:3], deeply_judged=0)
    assert {p.reception.snr_db for p in few.points if p.sending.image == images[2]} == {0, 5, 10, 15, 20}


def test_what_takes_long_is_measured_at_few_points(stand_ins):
    """Full plans on 24 photographs: points judged by VGG16, and refined ones."""
    images = [f"photo{i}" for i in range(24)]
    for name in FIGURES:
        count = FIGURES[name].images.count
        points = set(plan_of(name, images[:count]).points)
        deep = [p for p in points if {"dists", "lpips_vgg"} & set(p.reception.judged)]
        refined = [p for p in points if dict(p.reception.options).get("refiner")]
        assert len(deep) <= 216 and len(refined) <= 1008 and len(points) <= 2400, name


def test_figures_share_points(stand_ins):
    rate, snr = (
        {*plan_of(f"lrisc-{name}", [f"photo{i}" for i in range(10)]).points} for name in ("rate", "snr")
    )
    assert len(rate & snr) == 6 * 2 * 10  # six systems, both CBRs, each photograph at its SNR


def test_what_is_not_there_is_left_out_with_a_line(stand_ins, monkeypatch):
    systems = registry._known().systems
    without = replace(systems["stand-ins"], codecs=systems["stand-ins"].codecs[1:])
    monkeypatch.setattr(registry._known(), "systems", {"stand-ins": without})
    monkeypatch.setitem(quality.FURTHER, "same_class", quality.Quality("same class", lambda *_: None))
    lines = []
    made = figures.rate(list(IMAGES), lines.append, **FIGURES["lrisc-rate"].quick)
    assert len(lines) == 4 and sum("lrisc" in line for line in lines) == 3
    assert "same_class" not in made.points[0].reception.judged
    found = found_of(made)
    assert not [key for key in found.findings if key.startswith("lrisc")]


def test_pictures_show_every_system_with_its_figures(stand_ins):
    made = plan_of("lrisc-pictures")
    found = found_of(made)
    told = []
    grid = figures.grids(Given(IMAGES, 2, "command", told.append), found)
    rows_of_a_photograph = 2 * 2  # SNRs; eleven systems and the original, six tiles in a row
    assert grid.height > 2 * rows_of_a_photograph * 224 and grid.width > 6 * 224
    assert len(told) == 2


def test_a_refined_point_is_kept_under_the_refiner_too(stand_ins, monkeypatch):
    points = [
        next(p for p in plan_of("lrisc-snr").points if dict(p.reception.options).get("refiner") is wanted)
        for wanted in (True, False)
    ]
    before = [sweep.key(point) for point in points]
    monkeypatch.setattr(fingerprint, "of_refiner", lambda: "other weights")
    after = [sweep.key(point) for point in points]
    assert before[0] != after[0] and before[1] == after[1]


def samples(x, **columns):
    return Samples(np.array(x), {name: np.array(values)[..., None] for name, values in columns.items()})


def test_findings_by_hand():
    x = [1 / 24, 1 / 12]
    nan = np.nan
    read = {
        "lrisc, m": samples(
            x, lpips_alex=[[0.1, 0.3], [0.1, nan]], psnr_db=[[30.0, 31], [32, nan]], same_class=[[1, 0], [1,
            nan]], lpips_vgg=[[nan, nan]] * 2, dists=[[nan, nan]] * 2, side_share=[[0.1, 0.1], [0.05, nan]],
        ),
        "deepjscc, m": samples(
            x, lpips_alex=[[0.3, 0.5], [0.2, 9.0]], psnr_db=[[31.0, 31], [31, 0]], same_class=[[1, 1], [0,
            1]], lpips_vgg=[[nan, nan]] * 2, dists=[[nan, nan]] * 2,
        ),
    }  # fmt: skip
    found = findings.against(read, "lrisc", ["deepjscc", "absent"], x, cases.text_of, ", m")
    assert found == {
        "lrisc against deepjscc, m at CBR 1/24: LPIPS (Alex) [%]": pytest.approx(-50),
        "lrisc against deepjscc, m at CBR 1/12: LPIPS (Alex) [%]": pytest.approx(-50),
        "lrisc against deepjscc, m at CBR 1/24: PSNR [dB]": pytest.approx(-0.5),
        "lrisc against deepjscc, m at CBR 1/12: PSNR [dB]": pytest.approx(1),
    }
    assert list(findings.beside_the_paper(read, x, ", m").values()) == [pytest.approx(-50), -43.3]
    over = findings.over_places(read, "lrisc", ["deepjscc"], x, ", m")
    assert list(over.values()) == [pytest.approx(-50), pytest.approx(0)]
    worst = findings.least_agreement(read, "lrisc", "deepjscc", (", m",), cases.text_of)
    assert list(worst.values()) == [[-0.5, "CBR 1/24, m"]]
    side = findings.side_information(read, "lrisc, m", cases.text_of)
    assert list(side.values()) == [pytest.approx(10), pytest.approx(5)]


def test_findings_of_the_other_figures_by_hand():
    curve = samples(
        [0, 5, 10], psnr_db=[[20, 21], [22, 22], [21.5, 22]], lpips_alex=[[0.4, 0.4], [0.3, 0.3], [0.2, 0.1]]
    )
    back = findings.steps_back({"c": curve})
    assert back["c: largest step back, PSNR [dB]"] == [pytest.approx(0.25), pytest.approx(0.49)]
    assert back["c: largest step back, LPIPS (Alex)"][0] == pytest.approx(-0.1)
    faded = samples([0, 5], failed=[[1, 0], [0, 0]], colour_shift=[[0.4, 0.01], [0.002, 0.001]])
    assert findings.failures({"c": faded}) == {
        "c: images that did not arrive [%]": 25,
        "c: largest shift of the mean colour [%]": pytest.approx(1),
    }
    read = {
        "r": samples([0.5], psnr_inside_db=[[33, 35]], psnr_db=[[29, 30]]),
        "c": samples([0.5], psnr_inside_db=[[30, 31]], psnr_db=[[30, 31]]),
    }
    gains = findings.inside(read, "r", "c", str)
    assert list(gains.values()) == [[3.5, 3.0], -1.0]
    with pytest.raises(ValueError, match="different images"):
        findings.pairs({"r": read["r"], "c": faded}, "r", "c", 0.5, "psnr_db")


def test_missing_curves_have_no_findings():
    assert findings.against({}, "lrisc", ["deepjscc"], [0.5], str) == {}
    assert findings.over_places({}, "lrisc", ["deepjscc"], [0, 5], "") == {}
    assert findings.beside_the_paper({}, [0.5], "") == findings.side_information({}, "lrisc", str) == {}
    assert findings.least_agreement({}, "a", "b", ("",), str) == findings.inside({}, "a", "b", str) == {}
