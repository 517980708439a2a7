"""Plans of the HDA evaluation on stand-in codecs: figures measured, saved and drawn; what the transmitter
knows; the papers' numbers.
"""

import json
import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc import channel, metrics, weights
from gnuradio.hsc.app import evaluate, planned
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Decoded
from gnuradio.hsc.coding import stills
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves, drawing, fingerprint, plan, sweep, transmission
from gnuradio.hsc.evaluation.figure import Figure, Given
from gnuradio.hsc.evaluation.plan import At, Case, Plan, Samples
from gnuradio.hsc.evaluation.transmission import Reception, image_id
from gnuradio.hsc.systems.hda import cases, findings, tables
from gnuradio.hsc.systems.hda import figures as hda
from gnuradio.hsc.systems.hda.drawing import PAPERS
from support import pixel_codec

PHOTOS = [pixel_codec.picture(24, 40, seed=seed) for seed in range(3)]
IMAGES = {image_id(f"wave{i}", photo): photo for i, photo in enumerate(PHOTOS)}
NAMES = ("separate", "softcast", "hda_dct", "hda_deepsc", "hda_hevc", "deepjscc", "deepjscc_q")
FIGURES = {figure.name: figure for figure in hda.FIGURES}
SWEEPS = [figure.name for figure in hda.FIGURES if figure.plan is not None]


class StandIn(pixel_codec.PixelCodec):
    """Takes any option; without the transmitter's key a receiver sees noise; a denoiser helps a little."""

    def __init__(self, **options):
        self.options = types.SimpleNamespace(**{"digital": False, "key": None, **options})

    def encode(self, image, link):
        message = super().encode(image, link)
        return replace(message, codec=self.name, parameters=b"key" if self.options.key else b"")

    def decode(self, received):
        h, w, c = received.shape
        image = (
            np.clip((received.analog.values[: h * w * c] + 0.5) * 255, 0, 255)
            .astype(np.uint8)
            .reshape(h, w, c)
        )
        if received.parameters.startswith(b"key") and not self.options.key:
            image = 255 - image
        return Decoded(image)


def stand_in(name):
    return type(name, (StandIn,), {"name": name})


@pytest.fixture
def stand_ins(monkeypatch):
    """Every system keeps its codecs, and a stand-in does their work."""
    module = types.ModuleType("stand_ins")
    vars(module).update({name: stand_in(name) for name in NAMES})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(stills, "capacity_image", lambda image, cbr, snr_db, source: image)
    replaced = {
        system.name: replace(
            system,
            codecs=tuple(
                replace(entry, codec=f"stand_ins:{entry.name}") if entry.name in NAMES else entry
                for entry in system.codecs
            ),
        )
        for system in registry.systems()
    }
    monkeypatch.setattr(registry._known(), "systems", replaced)
    caches = transmission._codec, fingerprint.of_codec, fingerprint._read
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def said():
    lines = []
    return lines, lines.append


def plan_of(figure: Figure, images=tuple(IMAGES), quick=False, say=lambda line: None) -> Plan:
    return figure.plan(list(images), say, **figure.arguments(quick))


@pytest.mark.parametrize("name", SWEEPS)
def test_every_figure_is_measured_saved_and_drawn(name, stand_ins, tmp_path):
    lines, say = said()
    planned_figure = plan_of(FIGURES[name], list(IMAGES)[:2], True, say)
    outcome = sweep.run(planned_figure.points, IMAGES, workers=0)
    found = plan.curves_of(planned_figure, outcome, "command", say)
    assert not outcome.errors and not lines
    assert len(found.series) == len(planned_figure.curves) > 1
    assert all(np.isfinite(s.y.values).all() and s.confidence is not None for s in found.series)
    curves.save(found, tmp_path)
    assert curves.load(name, tmp_path).findings["images"] == 2
    picture = drawing.save(FIGURES[name].draw(found), tmp_path / f"{name}.png")
    assert picture.stat().st_size > 10_000


def test_the_full_plans_are_as_the_issue_says(stand_ins):
    full = {name: plan_of(FIGURES[name]) for name in SWEEPS}
    assert full["hda-fig4"].curves[0].x == tuple(range(0, 21, 5))
    assert full["hda-cliff"].curves[0].x == tuple(range(21))
    assert full["hda-fig6"].curves[0].x == (1 / 24, 1 / 12, 1 / 6)
    assert full["hda-fig8"].curves[0].x == full["hda-table3"].curves[0].x == (0.2, 0.4, 0.875, 1.5, 3.0)
    assert [c.label for c in full["hda-fig8"].curves] == ["0 dB", "5 dB", "10 dB", "15 dB", "20 dB"]
    assert full["hda-table1"].curves[0].x == (10, 20, 30, 40, 50)
    kinds = {p.reception.channel for p in full["hda-fig5"].points}
    assert kinds == {"rician", "rayleigh"}
    assert all(p.sending.cbr == pytest.approx(1 / 6) for p in full["hda-fig4"].points)
    one_way = {p.sending for p in full["hda-cliff"].points if p.sending.codec == "hda_deepsc"}
    assert len(one_way) == len(IMAGES)  # one message serves every SNR


def test_figures_share_points(stand_ins):
    fig4, fig8, table3 = ({*plan_of(FIGURES[f"hda-{n}"]).points} for n in ("fig4", "fig8", "table3"))
    assert len(fig4 & fig8) == 5 * len(IMAGES)  # DA ratio 0.2 at 0, 5, 10, 15 and 20 dB
    assert not fig4 & table3  # those have a key


def test_the_transmitter_believes_what_its_case_says():
    place = At(10, Reception("rayleigh", 10.0), 1 / 6)
    believed = {
        knows: plan.curve(Case("c", "softcast", knows=knows), ["image"], [place], seeds=(3,))
        .points[0][0][0]
        .sending.snr_db
        for knows in plan.KNOWS
    }
    h = transmission.gain("image", Reception("rayleigh", 10.0, 3))
    assert believed == {
        "mean": 10.0,
        "nothing": None,
        "gain": pytest.approx(10 + 20 * np.log10(abs(h)), abs=0.06),
    }


def test_the_receiver_is_not_told_the_transmitters_options():
    (point,) = plan.curve(
        Case("c", "hda_deepsc", {"da_ratio": 3.0, "key": b"k"}), ["image"], [At(0, Reception(), 1 / 6)]
    ).points[0][0]
    assert dict(point.sending.options) == {"da_ratio": 3.0, "key": b"k"}
    assert point.reception.options == ()


def test_codecs_that_are_not_there_are_left_out_with_a_line(monkeypatch):
    there = {system.name: system for system in registry.systems() if system.name != "baselines"}
    monkeypatch.setattr(registry._known(), "systems", there)
    lines, say = said()
    assert [c.label for c in plan.available([Case("a", "softcast"), Case("b", "hsc")], say)] == ["b"]
    assert len(lines) == 1 and "softcast" in lines[0]


def test_confidence_is_over_images_and_failures_are_counted(stand_ins, monkeypatch):
    def decode(self, received):
        if received.snr_db > 15:
            return Decoded(np.full(received.shape, 255, np.uint8))
        raise HscError("too noisy")

    monkeypatch.setattr(StandIn, "decode", decode)
    _, say = said()
    made = plan.curve(
        Case("c", "softcast"),
        list(IMAGES),
        [At(s, Reception(snr_db=s), 1 / 6) for s in (10.0, 20.0)],
        seeds=(0, 1),
    )
    outcome = sweep.run([p for place in made.points for image in place for p in image], IMAGES, workers=0)
    found = plan.curves_of(plan.Plan("x", "", ("snr", "dB"), (made,)), outcome, "", say).series[0]
    expected = [
        [metrics.psnr_db(np.full_like(photo, level), photo) for photo in PHOTOS] for level in (128, 255)
    ]
    np.testing.assert_allclose(found.y.values, np.mean(expected, 1))
    np.testing.assert_allclose(
        found.confidence, 4.303 * np.std(expected, 1, ddof=1) / np.sqrt(3), rtol=1e-3
    )  # Student's t, 2 degrees
    assert found.also["failed"] == [1.0, 0.0]


def test_a_curve_of_which_nothing_was_sent_is_left_out(stand_ins, monkeypatch):
    def encode(self, image, link):
        raise HscError("no weights")

    monkeypatch.setattr(StandIn, "encode", encode)
    lines, say = said()
    made = plan.curve(Case("c", "softcast"), list(IMAGES), [At(0, Reception(), 1 / 6)])
    found = plan.curves_of(
        plan.Plan("x", "", ("snr", "dB"), (made,)),
        sweep.run(list(made.points[0][0]), IMAGES, workers=0),
        "",
        say,
    )
    assert found.series == [] and lines == ["left out: c (not sent: no weights)"]


def psnr_samples(x, psnr_db):
    return Samples(np.array(x), {"psnr_db": psnr_db})


def test_findings_by_hand():
    falling = psnr_samples(
        [0.0, 1.0, 2.0],
        np.array([20.0, 21.0, 26.0])[:, None, None] + np.array([0.0, 1.0])[None, :, None],
    )
    falling.psnr_db[2, 1, 0] += 1
    assert findings.steepest({"c": falling}) == {
        "c: largest step of the mean [dB]": 5.5,
        "c: largest step of one image [dB]": 6.0,
    }
    level = psnr_samples([0.0], np.full((1, 2, 1), 30.0))
    lossy = psnr_samples(
        cases.LOSSES,
        np.array([29.5, 29.0, 26.0])[:, None, None] - np.array([0.0, 1.0])[None, :, None],
    )
    found = findings.losses({"c, symbol level": level, "c, OFDM": lossy}, ["c", "d"])
    assert found["c: OFDM costs, mean and worst [dB]"] == [1.0, 1.5]
    assert found["c: 20 % of packets lost cost, mean and worst [dB]"] == [3.5, 3.5]
    rising = {"DiffSDNet": psnr_samples([10.0, 20.0, 30.0], np.array([1.0, 2.0, 1.75])[:, None, None])}
    assert findings.steps_findings(rising) == {"DiffSDNet: least gain from more steps [dB]": -0.25}


def test_spread_takes_images_from_the_whole_set():
    assert plan.spread(list("abcdefgh"), 3) in (["a", "e", "h"], ["a", "d", "h"])
    assert plan.spread(list("ab"), 5) == ["a", "b"] == plan.spread(list("ab"), None)


def test_papers_numbers_are_those_of_the_tables():
    """Read off the paper's text a second time, by column."""
    one, two, three, four = (curves.load(f"hda-table{n}", PAPERS).series for n in (1, 2, 3, 4))
    assert dict(zip(one[1].x.values, one[1].y.values, strict=True)) == {
        10: 29.1,
        20: 29.5,
        30: 29.9,
        40: 30.1,
    }
    assert one[0].y.values == [29.3, 29.0, 28.9, 28.8, 29.0]
    assert [(s.y.values[0], s.also["ms_ssim_db"][0]) for s in two] == [
        (48.09, 33.01),
        (50.35, 35.23),
        (52.19, 40.01),
    ]
    columns = list(zip(*(s.y.values for s in three), strict=True))
    assert columns == [(37.69, 13.75), (36.62, 13.67), (35.30, 13.61), (34.80, 13.56), (33.51, 13.52)]
    assert [s.y.values[0] for s in four] == [0.067, 0.208, 0.179]
    for file in PAPERS.glob("*.json"):
        found = curves.load(file.stem, PAPERS)
        assert found.command.startswith("none, read from the paper") and found.date is None
        assert all(s.source == "paper" for s in found.series)


def test_evaluate_keeps_points_and_writes_result_figure_and_pictures(stand_ins, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.datasets, "kodak", lambda path: PHOTOS)
    arguments = ["evaluate", "hda-table3", "--images", "2", "--workers", "0", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert [line.rsplit("/", 1)[1] for line in result.stdout.split()] == [
        "hda-table3.json",
        "hda-table3.png",
        "hda-table3-pictures.jpg",
    ]
    raw = json.loads((tmp_path / "hda-table3.json").read_text())
    assert raw["command"] == "./gr-hsc evaluate hda-table3 --images 2" and raw["date"] is None
    assert raw["findings"]["least difference of one image [dB]"] > 10
    again = CliRunner().invoke(main, arguments)
    assert "20 points, 0 to measure" in again.stderr
    fresh = CliRunner().invoke(main, [*arguments, "--fresh"])
    assert "20 points, 20 to measure, 10 encodes" in fresh.stderr


def test_several_figures_are_measured_together(stand_ins, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.datasets, "kodak", lambda path: PHOTOS)
    arguments = [
        "evaluate",
        "hda-fig6",
        "hda-fig7",
        "--quick",
        "--images",
        "2",
        "--workers",
        "0",
        "--out",
        str(tmp_path),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    told = re.findall(r"(\S+): (\d+) points?, (\d+) to measure, (\d+) encodes?", result.stderr)
    (_, points, _, encodes), *figures_told = told
    assert (
        result.stderr.startswith("gr-hsc: 2 figures: ") and int(points) == 2 * int(encodes) > 0
    )  # AWGN and Rician share encodes
    assert figures_told == [(name, str(int(points) // 2), "0", "0") for name in ("hda-fig6", "hda-fig7")]
    assert {Path(line).name for line in result.stdout.splitlines()} == {
        f"hda-fig{n}.{kind}" for n in (6, 7) for kind in ("json", "png")
    }


def test_errors_of_points_are_told(stand_ins, monkeypatch, capsys):
    monkeypatch.setattr(StandIn, "decode", lambda self, received: 1 / 0)
    _, say = said()
    made = plan.Plan(
        "x",
        "",
        ("snr", "dB"),
        (plan.curve(Case("c", "softcast"), list(IMAGES), [At(0, Reception(), 1 / 6)]),),
    )
    found, outcome = planned.measure(made, IMAGES, "command", None, planned.Workers(0))
    assert found.series == [] and len(outcome.errors) == 3
    stderr = capsys.readouterr().err
    assert "3 points failed" in stderr and "3 x softcast: ZeroDivisionError" in stderr


def test_quality_of_a_semantic_codec_alone():
    psnr, ms_ssim = tables.quality(
        lambda image: np.clip(image.astype(int) + 1, 0, 255).astype(np.uint8), PHOTOS
    )
    assert psnr == pytest.approx([20 * np.log10(255)] * 3, abs=0.05)
    assert ms_ssim == [None] * 3


def test_table_2_without_weights_is_one_line(monkeypatch):
    monkeypatch.setattr(weights, "names", lambda: ())
    with pytest.raises(HscError, match="train hda-semantic"):
        tables.table2(Given(IMAGES, 3, "command"))


def test_timing_is_a_ratio_in_one_run(stand_ins, monkeypatch, tmp_path):
    clock = [0.0]

    def takes(seconds, result=None):
        return lambda *_: clock.__setitem__(0, clock[0] + seconds) or result

    monkeypatch.setattr(tables, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(tables, "_hevc", lambda image: (takes(0.06, bytes(10)), takes(0.04)))
    monkeypatch.setattr(StandIn, "decode", takes(0.2))
    found = tables.table4(Given(dict(list(IMAGES.items())[:2]), 2, "command"), repeats=1)
    assert found.series[0].also["ratio"] == [1.0]
    assert found.findings["hda_deepsc: time over HEVC intra"] == pytest.approx(2.0)
    assert found.series[0].also["encode"] == pytest.approx([0.06]) and found.series[
        0
    ].y.values == pytest.approx([0.1])
    picture = drawing.save(FIGURES["hda-table4"].draw(found), tmp_path / "hda-table4.png")
    assert picture.stat().st_size > 5000


def test_capacity_is_told_the_gain(stand_ins, monkeypatch):
    told = []
    monkeypatch.setattr(
        stills,
        "capacity_image",
        lambda image, cbr, snr_db, source: told.append((cbr, snr_db, source)) or image,
    )
    name = next(iter(IMAGES))
    reception = Reception("rician", 10.0, 5)
    sending = transmission.Sending(name, transmission.CAPACITY, (("source", "hevc"),), cbr=1 / 6)
    ((measured, _),) = transmission.measure(sending, [reception], IMAGES[name])
    assert measured.psnr_db == metrics.PSNR_LIMIT_DB
    h = channel.gain("rician", (1,), channel.numpy_normal(transmission.generator(name, reception)))[0]
    assert told == [(1 / 6, pytest.approx(10 + 20 * np.log10(abs(h))), "hevc")]


def test_the_transmitter_is_told_the_losses_and_sends_repair_symbols_for_them(stand_ins):
    lossy, clean = (plan_of(FIGURES[name]).points for name in ("hda-ofdm", "hda-fig4"))
    assert {p.sending.loss for p in lossy} == {p.reception.loss for p in lossy} != {0.0}
    assert all(p.sending.loss == p.reception.loss <= p.sending.link.repair_share for p in lossy)
    assert {p.sending.link.repair_share for p in clean} == {0.03}
