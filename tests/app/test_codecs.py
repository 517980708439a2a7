"""`codecs`: what it lists, what it says of an option, how faults of plug-ins are told."""

import json

import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import codecs
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.systems.deepjscc import denoisers
from support import pixel_codec


def run(*arguments):
    return CliRunner().invoke(main, ["codecs", *arguments])


def test_all_codecs_in_the_order_of_their_numbers():
    told = json.loads(run("--json").stdout)
    assert [entry["codec"] for entry in told] == list(registry.names())
    assert [entry["number"] for entry in told] == sorted(entry["number"] for entry in told)
    assert all(entry["title"] and entry["page"].startswith("docs/systems/") for entry in told)
    assert all(all(entry["weights"].values()) for entry in told), "all that ours need is there"
    shown = run().stdout
    assert all(name in shown for name in registry.names())


def test_one_codec_with_its_options():
    told = json.loads(run("deepjscc", "--json").stdout)
    options = {option["name"]: option for option in told["options"]}
    denoiser = options["denoiser"]
    assert denoiser["choices"] == [*denoisers.KINDS, None] and denoiser["default"] is None
    assert denoiser["end"] == "receiver" and denoiser["flags"] == ["--denoiser"]
    assert options["informed"]["flags"] == [] and options["informed"]["default"] is True
    assert "deepjscc-dncnn" in told["recipes"]


def test_units_in_brackets_are_no_markup():
    assert "the link's SNR [dB]" in run("separate").stdout


def test_weights_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(pixel_codec.PixelCodec, "weights", ("pixels-*",))
    pixel_codec.register(monkeypatch)
    assert "missing: pixels-*" in run(pixel_codec.NAME).stdout


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_an_unknown_codec_is_a_line(arguments):
    done = run("nothing", *arguments)
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "unknown codec 'nothing': choose one of hsc," in done.stderr


def test_faults_are_told_once_those_that_come_up_on_the_way_too(monkeypatch):
    monkeypatch.setattr(registry._known(), "faults", ["plug-in 'a' is left out: because"])
    listing = codecs.listing
    monkeypatch.setattr(codecs, "listing", lambda: (registry.report("plug-in 'b' too"), listing())[1])
    done = run("--json")
    assert done.exit_code == 0 and json.loads(done.stdout)
    assert done.stderr.splitlines() == ["gr-hsc: plug-in 'a' is left out: because", "gr-hsc: plug-in 'b' too"]
