"""Figures of DS²C²: what is measured, found and drawn."""

import numpy as np
import pytest
from gnuradio.hsc.app import samples as sample_files
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves, sweep, transmission
from gnuradio.hsc.evaluation.figure import Given
from gnuradio.hsc.evaluation.plan import Samples, curves_of
from gnuradio.hsc.evaluation.transmission import image_id
from gnuradio.hsc.images.files import load
from gnuradio.hsc.systems.ds2c2 import cases, few, figures, findings, latents_shown, table1

PHOTO = load(next(path for path in sample_files.photographs() if path.stem == "lake")).pixels
IMAGES = {image_id("wave", PHOTO): PHOTO}
FIGURES = {figure.name: figure for figure in figures.FIGURES}
GIVEN = Given(IMAGES, 1, "command")


def test_table_one_has_every_row_with_its_bits_and_the_papers_beside_it():
    told = []
    found = table1.table1(Given(IMAGES, 1, "command", told.append), (0.0, 0.3))
    series = {each.name: each for each in found.series}
    ours, binary = series["dispersed (B), told"], series["binary (A), told"]
    assert 0.24 < ours.also["base_bpp"][0] + ours.also["residual_bpp"][0] <= 0.26
    assert binary.also["residual_bpp"][0] == pytest.approx(0.25, rel=0.02)
    for each in (ours, binary):
        assert each.y.values[0] > each.y.values[1] > 15
    # Lost bits that are not known to be lost cost more.
    assert series["binary (A), not told"].y.values[1] < binary.y.values[1]
    # The learned codec is gone, as the paper's: what is decoded from zeros is not the image.
    assert series["lic (B), zeros"].y.values[1] < series["lic (B), zeros"].y.values[0] - 5
    assert found.findings["dispersed (B), told: loss at 30% erased [%]"] > 0
    drawing = FIGURES["ds2c2-table1"].draw(found)
    assert "PSNR" in drawing.axes[0].get_ylabel()
    left_out = [line for line in told if line.startswith("left out")]
    assert len(series) + len(left_out) == len(table1.rows())
    paper = {each.name: each.y.values for each in curves.load("ds2c2-table1", figures.PAPERS).series}
    assert paper["DS²C², trained at 8 %"] == [27.32]


def test_blocks_erased_are_those_of_the_seed():
    sent = table1.chunks(PHOTO, all_bits=False)
    same = [sent.receive(0.3, np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], sent.receive(0.3, np.random.default_rng(6)))


def test_all_bits_are_within_what_is_allowed():
    """Where the base layer counts, it is the finest that leaves room."""
    most = table1.BITS_PER_PIXEL * PHOTO.shape[0] * PHOTO.shape[1]
    for sent in (
        table1.chunks(PHOTO, all_bits=True),
        table1.binary(PHOTO, "ds2c2-residual-0.13", 0, True, all_bits=True),
    ):
        coarsest = 8 * len(table1.base.encode(PHOTO, 0).data)
        assert sent.base + sent.residual <= most * 1.02 or sent.base == coarsest
    fineness, coded = table1.base_layer(PHOTO, 0.9)
    finer = table1.base.encode(PHOTO, fineness + 1)
    assert 8 * len(finer.data) > 0.9 * most and fineness < 4


def test_latents_look_alike_before_and_after_the_channel():
    found = latents_shown.fig4(GIVEN)
    before, after = (np.array(series.y.values) for series in found.series)
    assert (after <= before).all(), "the channel turns ones to zeros, never back"
    assert 0 < found.findings["symbols that changed [%]"] < 50
    assert found.findings["correlation of both latents"] > 0.5
    drawn = latents_shown.pictures_of(GIVEN, found)
    assert drawn.width > 300 and latents_shown.drawn(found).axes


def test_an_update_is_measured_against_none(monkeypatch):
    """With weights that are shipped, in the place of an update's."""
    names = {0: "ds2c2-residual-0.54", 16: "ds2c2-residual-0.54", 54: "no such weights"}
    monkeypatch.setattr(few, "weights_by_images", lambda: names)
    found = few.few(GIVEN)
    assert found.series[0].x.values == [0, 16] and found.findings["gain by 16 images [dB]"] == 0
    assert found.series[0].y.values[0] > found.series[1].y.values[0]
    monkeypatch.setattr(few, "weights_by_images", lambda: {0: "no such weights"})
    with pytest.raises(HscError, match="train them first"):
        few.few(GIVEN)


def test_the_plan_of_losses_gives_every_system_the_same_budget_and_losses():
    plan = figures.loss(list(IMAGES), lambda text: None, (0.0, 0.2))
    labels = {each.label for each in plan.curves}
    for case in cases.SYSTEMS:
        assert {f"{case.label}, independent losses", f"{case.label}, bursty losses"} <= labels
    assert {point.sending.cbr for point in plan.points} == {cases.CBR}
    assert {point.reception.burst for point in plan.points} == {1.0, cases.BURST}
    assert {point.reception.through for point in plan.points} == {"symbols", "ofdm"}


def test_pictures_and_findings_of_measured_points():
    plan = figures.seen(list(IMAGES), lambda text: None, (0.0, 0.16))
    outcome = sweep.run(plan.points, IMAGES, workers=0)
    assert not outcome.errors
    found = curves_of(plan, outcome, "command", lambda text: None)
    assert {series.name for series in found.series} >= {"ds2c2", "ds2c2, binary"}
    ours = next(series for series in found.series if series.name == "ds2c2")
    assert ours.y.values[0] >= ours.y.values[1] > 18
    grid = FIGURES["ds2c2-fig5"].pictures(GIVEN, found)
    assert grid.width > 224 * 3


def samples(x, *psnr):
    values = np.array(psnr, float).T[:, None, :]
    return Samples(np.array(x), {"psnr_db": values, "failed": np.zeros_like(values)})


def test_what_the_text_reads_off_curves():
    x = [0.0, 0.1, 0.2]
    found = {"a": samples(x, [30, 29, 28], [32, 31, 29]), "b": samples(x, [33, 33, 20])}
    steep = findings.steepest(found, ["a", "c"])
    assert steep["a: largest fall for 5 % of the packets [dB]"] == pytest.approx(0.75)
    assert findings.losses_at(found, ["a"], 0.2)["a: loss at 20% of the packets [%]"] == pytest.approx(
        100 * 2.5 / 31
    )
    crossed = findings.crossings(found, "a", ["b", "c"])
    assert 0.1 < crossed["a: above b from a loss of"] < 0.2 and len(crossed) == 1


def test_bursts_keep_the_share_and_are_longer():
    rng = np.random.default_rng(1)
    lost = np.concatenate([transmission.dropped(40, 0.2, rng, 4.0) for _ in range(2000)])
    alone = np.concatenate([transmission.dropped(40, 0.2, rng) for _ in range(2000)])
    assert lost.mean() == pytest.approx(0.2, abs=0.02) and alone.mean() == 0.2
    runs = [np.diff(np.flatnonzero(np.diff(np.r_[0, each, 0])))[::2].mean() for each in (lost, alone)]
    assert runs[0] > 3 > 1.5 > runs[1]


def test_weights_that_are_missing_leave_rows_out(monkeypatch):
    def missing(image):
        raise HscError("no weights 'x'")

    monkeypatch.setattr(table1, "rows", lambda: [table1.Row("x", missing)])
    assert not table1.table1(GIVEN).series
