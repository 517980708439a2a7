"""The catalogue of figures: what `evaluate` lists and makes, of this package and of plug-ins; its docs."""

import importlib
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import evaluate
from gnuradio.hsc.app.catalogue import catalogue
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.system import System
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import curves, drawing
from gnuradio.hsc.evaluation.figure import Figure, Images, Source
from gnuradio.hsc.evaluation.plan import Plan
from support import ROOT

FIGURES = {name: entry.figure for name, entry in catalogue().entries.items()}
MEASURED = [name for name in FIGURES if (curves.RESULTS / f"{name}.json").is_file()]


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)], terminal_width=200)


# ---- the catalogue itself


@pytest.mark.parametrize("name", MEASURED)
def test_a_figure_is_drawn_from_its_file_alone(name, tmp_path):
    path = drawing.save(FIGURES[name].draw(curves.load(name)), tmp_path / f"{name}.png")
    assert path.stat().st_size > 10_000


def test_every_figure_has_a_result_and_a_picture():
    assert set(MEASURED) == set(FIGURES)
    for name in MEASURED:
        figure = FIGURES[name]
        assert (ROOT / "docs" / "images" / f"{name}.png").is_file()
        pictures = ROOT / "docs" / "images" / f"{name}-pictures.jpg"
        assert pictures.is_file() == (figure.pictures is not None)


def test_help_lists_every_figure_with_what_it_shows():
    text = " ".join(run("--help").output.split())
    for name, figure in FIGURES.items():
        assert f"{name} {figure.summary}; {figure.images}" in text
    for group in ("hsc", "hda", "bench"):
        assert f"all of them: {group}" in text


def test_docs_list_the_figures_of_the_catalogue():
    """A row of the table in docs/results.md for each: what it shows, what it is measured on."""
    text = (ROOT / "docs" / "results.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (.+?) \|$", text, re.M)
    assert rows == [(name, figure.summary, str(figure.images)) for name, figure in FIGURES.items()]


def test_a_word_stands_for_a_figure_a_group_or_all():
    known = catalogue()
    names = {
        word: [e.figure.name for e in known.chosen(word)] for word in ("hsc-fig5", "hda", "bench", "all")
    }
    assert names["hsc-fig5"] == ["hsc-fig5"]
    assert names["bench"] == ["ldpc", "air-interface", "tracking", "over-the-air"]
    assert names["hda"] == [name for name in FIGURES if name.startswith("hda-")] and len(names["hda"]) == 13
    assert names["all"] == list(FIGURES)
    with pytest.raises(
        HscError, match="no figure 'hda-fig99': choose from all, bench, ds2c2, hda, hsc, lrisc, ldpc"
    ):
        known.chosen("hda-fig99")


def test_quick_takes_few_images_and_the_user_as_many_as_asked_for():
    digits = Images(Source.DIGITS, 500)
    assert [digits.wanted(None, False), digits.wanted(None, True), digits.wanted(7, True)] == [500, 20, 7]
    assert Images().wanted(None, False) == 0


def test_a_figure_has_a_plan_or_a_measurement():
    for given in ({}, {"plan": Plan, "measure": Plan}):
        with pytest.raises(ValueError, match="figure 'x': give either plan or measure"):
            Figure(name="x", summary="", draw=drawing.qualities, **given)


@pytest.mark.parametrize("name", FIGURES)
def test_what_makes_a_figure_quick_are_arguments_that_it_takes(name):
    figure = FIGURES[name]
    work = figure.plan or figure.measure
    assert set(figure.quick) <= set(inspect.signature(work).parameters)


# ---- figures that a plug-in brings

PLUG_IN = """
    from functools import partial
    from gnuradio.hsc.evaluation import drawing
    from gnuradio.hsc.evaluation.curves import Axis, Curves, Series
    from gnuradio.hsc.evaluation.figure import Figure, Images, Source
    from gnuradio.hsc.evaluation.plan import At, Case, Plan, curve, fading

    def mean(given, scale=1.0):
        x = Axis("image", "number", list(range(len(given.images))))
        y = Axis("psnr", "dB", [scale * float(image.mean()) for image in given.images.values()])
        return Curves("thumb-mean", "Mean of images.", given.command, [Series("mean", "measured", x, y)])

    def sweep(images, say, snrs_db=(0.0, 10.0, 20.0)):
        places = [At(snr, fading("awgn", snr), 1.0) for snr in snrs_db]
        curves = (curve(Case("SoftCast", "softcast"), images, places),)
        return Plan("thumb-sweep", "SoftCast.", ("snr", "dB"), curves)

    FIGURES = (
        Figure(name="thumb-mean", summary="mean of digits", images=Images(Source.DIGITS, 3), measure=mean,
               draw=drawing.qualities, quick={"scale": 2.0}),
        Figure(name="thumb-sweep", summary="SoftCast on photographs", images=Images(Source.KODAK, 2),
               plan=sweep, draw=drawing.qualities, quick={"snrs_db": (10.0,)}),
    )
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Registers a system whose figures are a module with this text."""
    registered = dict(registry._known().systems)
    monkeypatch.setattr(registry._known(), "systems", registered)
    monkeypatch.setattr(registry._known(), "faults", [])
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site").mkdir()

    def bring(text: str = PLUG_IN) -> None:
        (tmp_path / "site" / "thumb_figures.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        registry.register(System("thumb", "Thumb", figures="thumb_figures:FIGURES"))

    yield bring
    sys.modules.pop("thumb_figures", None)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The top of what looks like a checkout, and small images."""
    top = tmp_path / "checkout"
    (top / "python" / "hsc" / "evaluation").mkdir(parents=True)
    monkeypatch.chdir(top)
    rng = np.random.default_rng(1)
    digits, photos = (
        rng.integers(0, 256, (9, 28, 28), np.uint8),
        rng.integers(0, 256, (3, 32, 48, 3), np.uint8),
    )
    monkeypatch.setattr(evaluate.datasets, "mnist", lambda split, path: digits)
    monkeypatch.setattr(evaluate.datasets, "kodak", lambda path: list(photos))
    return top


def test_a_plug_ins_figures_are_listed_and_made_but_not_kept_as_ours(plug_in, checkout):
    plug_in()
    text = " ".join(run("--help").output.split())
    assert "Figures of Thumb; all of them: thumb" in text
    assert "thumb-mean mean of digits; 3 MNIST test digits" in text
    result = run("thumb", "--workers", 0)
    assert result.exit_code == 0, result.output
    names = [f"hsc-results/thumb-{figure}.{kind}" for figure in ("mean", "sweep") for kind in ("json", "png")]
    assert result.stdout.split() == names and all(Path(name).stat().st_size > 300 for name in names)
    assert not list((checkout / "python").rglob("*.json"))
    made = json.loads(Path(names[0]).read_text())
    assert made["command"] == "./gr-hsc evaluate thumb-mean" and len(made["series"][0]["y"]["values"]) == 3
    assert json.loads(Path(names[2]).read_text())["series"][0]["x"]["values"] == [0, 10, 20]
    quick = run("thumb-mean", "--quick", "--images", 2, "--out", "quick")
    assert quick.exit_code == 0, quick.output
    doubled = json.loads(Path("quick/thumb-mean.json").read_text())["series"][0]["y"]["values"]
    assert doubled == pytest.approx([2 * value for value in made["series"][0]["y"]["values"][:2]], rel=1e-5)


def test_our_own_results_are_renewed_in_a_checkout(checkout, monkeypatch):
    figure = FIGURES["ldpc"]
    made = curves.load("ldpc")
    entry = catalogue().entries["ldpc"]
    fast = Figure(name="ldpc", summary=figure.summary, measure=lambda given: made, draw=figure.draw)
    paths = evaluate.run(evaluate.Request(type(entry)(fast, "bench", own=True)), None)
    assert list(map(str, paths)) == ["python/hsc/evaluation/results/ldpc.json", "docs/images/ldpc.png"]
    paths = evaluate.run(evaluate.Request(type(entry)(fast, "bench", own=True), quick=True), None)
    assert {path.parent.name for path in paths} == {"hsc-results"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("import no_such_module\nFIGURES = ()", "no_such_module"),
        ("FIGURES = 1 / 0", "ZeroDivisionError"),
        ("NOTHING = ()", "thumb_figures:FIGURES"),
        ("FIGURES = ('text',)", "'text' of system 'thumb' is no Figure"),
        (
            PLUG_IN.replace("thumb-mean", "hsc-fig2"),
            "figure 'hsc-fig2' of system 'thumb' is there already, in 'hsc'",
        ),
    ],
)
def test_a_broken_plug_in_leaves_all_else_as_it_was(plug_in, text, word, checkout):
    plug_in(text)
    assert list(catalogue().entries) == list(FIGURES)
    shown = run("--help")
    assert shown.exit_code == 0 and "Left out" in shown.output
    assert word in " ".join(shown.output.split())
    result = run("thumb")
    assert result.exit_code == 2 and result.stdout == ""
    told, error = result.stderr.splitlines()
    assert word in told and "no figure 'thumb'" in error
