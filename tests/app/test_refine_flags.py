"""The refiner from the command line: its flags, and which commands it serves."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import codec_options, samples
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.app.compare import Comparison
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import fingerprint, sweep
from gnuradio.hsc.evaluation.transmission import Point, Reception, Sending
from gnuradio.hsc.images.files import load
from gnuradio.hsc.refiner import refine
from PIL import Image

# Systems whose codecs the refiner may stand behind.
REFINING = "separate, hda_deepsc, deepjscc, deepjscc_q, hda_hevc, lrisc"
CODECS = ("separate", "deepjscc", "hda_deepsc")
# How a user asks for it.
ASKED = (("--refine", "--realism", "0.5"), ("--rx-option", "refiner=True", "--rx-option", "realism=0.5"))


@pytest.fixture
def crop(tmp_path):
    path = tmp_path / "holiday.png"
    Image.fromarray(load(samples.photographs()[0]).pixels[100:164, 200:296]).save(path)
    return path


@pytest.fixture
def asked(monkeypatch):
    """The refiner turns images into negatives; the realism that it was asked for, each time."""
    calls = []

    def negative(image, error, settings):
        calls.append(settings.realism)
        return 255 - image

    monkeypatch.setattr(refine, "refine", negative)
    return calls


def run(*arguments):
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("command", ["simulate", pytest.param("send", marks=pytest.mark.gnuradio)])
@pytest.mark.parametrize("codec", CODECS)
def test_a_link_gives_the_refined_image(command, codec, crop, tmp_path, asked):
    link = (command, crop, "--codec", codec, "--snr", 15, "--cbr", "1/3", "--out")
    run(*link, tmp_path / "plain")
    plain = load(tmp_path / "plain" / "holiday.png").pixels
    assert not asked
    for i, flags in enumerate(ASKED):
        out = tmp_path / str(i)
        run(*link, out, *flags)
        refined = load(out / "holiday.png").pixels
        # GNU Radio's noise is that of a seed, but its scheduler cuts it otherwise in every run.
        difference = np.abs(255 - refined.astype(int) - plain)
        assert difference.max() == 0 if command == "simulate" else difference.mean() < 8
        (told,) = json.loads((out / "metrics.json").read_text())
        assert told["codec_options"]["refiner"] is True and told["codec_options"]["realism"] == 0.5
    assert asked == [0.5, 0.5]
    run(*link, tmp_path / "off", "--no-refine")
    assert len(asked) == 2


def test_compare_refines_what_can_be_refined(crop, tmp_path, asked):
    flags = ("--codecs", "deepjscc,softcast", "--snr", "10", "--workers", 0, "--out", tmp_path)
    found = []
    for more in ((), ASKED[0]):
        run("compare", crop, *flags, *more)
        raw = json.loads((tmp_path / "holiday_compare.json").read_text())
        found.append({series["name"]: series["y"]["values"][0] for series in raw["series"]})
    plain, refined = found
    assert refined["deepjscc"] < plain["deepjscc"] - 5 and refined["softcast"] == plain["softcast"]
    assert raw["command"].endswith("--rx-option refiner=True --rx-option realism=0.5")
    assert asked == [0.5]


def test_a_command_that_is_written_down_has_no_secret(crop):
    given = {"key": bytes(range(32)), "refiner": True}
    assert Comparison((5.0,), 0.1, receiver=given).command(crop).endswith(" --rx-option refiner=True")


def test_compare_refuses_an_option_that_no_codec_has(crop, tmp_path):
    for given, says in ((("--rx-option", "colour=1"), "colour"), (("--realism", "2"), "the realism is 2")):
        result = CliRunner().invoke(main, ["compare", str(crop), *given, "--out", str(tmp_path)])
        assert result.exit_code == 2 and result.stderr.count("\n") == 1 and says in result.stderr


def test_the_flags_are_declared_once_for_all_systems():
    text = CliRunner().invoke(main, ["simulate", "--help"]).output
    assert text.count("--refine / --no-refine") == text.count("--realism ") == 1
    assert (
        " ".join(text.split()).count("Baselines, DeepJSCC, HDA-DeepSC, LRISC: go over the decoded image") == 1
    )
    for codec in CODECS:
        told = json.loads(run("codecs", codec, "--json").stdout)["options"]
        flags = {option["name"]: option["flags"] for option in told if "refine" in option["name"]}
        assert flags == {"refiner": ["--refine"], "refiner_steps": ["--refiner-steps"], "refiner_seed": []}


def test_flags_of_a_receiver_of_any_codec_go_to_those_that_have_them():
    _, receiver = codec_options.take_options({"shorthand_refine": codec_options.Given(True)}, None)
    assert receiver == {"refiner": True}
    found = codec_options.by_codec(receiver)
    assert set(CODECS) <= set(found) and "hsc" not in found and "softcast" not in found
    with pytest.raises(HscError, match=f"{REFINING}: codec hsc has no option refiner"):
        codec_options.take_options({"shorthand_refine": codec_options.Given(True)}, "hsc")


def test_the_refiner_counts_in_the_cache_where_it_is_used(monkeypatch):
    def keys():
        return [
            sweep.key(Point(Sending("photo", "deepjscc", 0.1), Reception(snr_db=5.0, options=options)))
            for options in ((), (("realism", 0.5), ("refiner", True)), (("realism", 0.0), ("refiner", True)))
        ]

    plain, refined, unused = keys()
    monkeypatch.setattr(fingerprint, "of_refiner", lambda: "another")
    assert keys()[0] == plain and keys()[1] != refined and keys()[2] == unused
