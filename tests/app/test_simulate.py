"""The link from file to file, at symbol level and through OFDM: pictures, metrics.json, losses, several
images.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from gnuradio.hsc import metrics, perceptual_weights
from gnuradio.hsc.app import link, options, samples, simulate
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.app.link import Scenario
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Codec, Decoded
from gnuradio.hsc.codecs.options import Ends, option
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import DigitalStream, Link, Message
from gnuradio.hsc.phy import mcs as mcs_table
from gnuradio.hsc.phy.mcs import best_for
from gnuradio.hsc.systems.deepjscc import denoisers
from gnuradio.hsc.systems.hda.options import read_key
from PIL import Image
from support import pixel_codec
from support.perceptual import needs_perceptual

KEYS = {
    *(
        "image",
        "codec",
        "codec_options",
        "mcs",
        "channel",
        "snr_db",
        "design_snr_db",
        "fade_margin_db",
        "cfo",
        "sfo_ppm",
        "loss",
        "numerology",
    ),
    *("packet_symbols", "seed"),
    *(
        "shape",
        "parameters",
        "streams",
        "psnr_db",
        "psnr_inside_db",
        "ms_ssim",
        "mse",
        *metrics.PERCEPTUAL,
        "cbr",
        "cbr_with_overhead",
        "channel_uses",
        "snr_measured_db",
    ),
    *("packets_sent", "packets_received", "seconds", "notes", "error", "received", "compare"),
}


def run(command: str, *args: object):
    return CliRunner().invoke(main, [command, *map(str, args)])


def entries(result, out: Path) -> list[dict]:
    """The list on stdout, which must be the one in metrics.json."""
    assert "Traceback" not in result.output
    written = json.loads((out / "metrics.json").read_text())
    assert json.loads(result.stdout) == written
    assert all(set(entry) == KEYS for entry in written)
    return written


@pytest.fixture(scope="module")
def crop(tmp_path_factory) -> Path:
    """A piece of a sample photograph, 64 x 48 pixels."""
    path = tmp_path_factory.mktemp("crop") / "crop.png"
    Image.fromarray(load(samples.photographs()[0]).pixels[100:148, 200:264]).save(path)
    return path


@pytest.mark.parametrize("command", ["simulate", pytest.param("send", marks=pytest.mark.gnuradio)])
def test_one_image(command, crop, tmp_path):
    result = run(command, crop, "--rank", 40, "--snr", 15, "--cr", "projection", "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (entry,) = entries(result, tmp_path)
    received = np.asarray(Image.open(tmp_path / entry["received"]))
    original = np.asarray(Image.open(crop))
    assert entry["psnr_db"] == pytest.approx(metrics.psnr_db(received, original))
    assert entry["psnr_db"] > 35
    assert entry["mse"] == pytest.approx(10 ** (-entry["psnr_db"] / 10))
    assert entry["ms_ssim"] is None
    assert entry["shape"] == [48, 64, 3]
    assert entry["parameters"]["rank"] == 40
    assert entry["packets_received"] == entry["packets_sent"]
    assert entry["snr_measured_db"] == pytest.approx(15, abs=0.5)
    assert sum(v for k, v in entry["channel_uses"].items() if k not in ("payload", "total")) == pytest.approx(
        entry["channel_uses"]["total"]
    )
    assert entry["cbr"] == pytest.approx(entry["channel_uses"]["payload"] / original.size)
    assert entry["cbr_with_overhead"] > entry["cbr"]
    assert Image.open(tmp_path / entry["compare"]).width > 2 * 64


@pytest.mark.gnuradio
def test_ofdm_and_symbol_level_agree(crop, tmp_path):
    found = []
    for command in ("simulate", "send"):
        result = run(
            command,
            crop,
            "--rank",
            16,
            "--snr",
            12,
            "--tuning",
            "none",
            "--json",
            "--out",
            tmp_path / command,
        )
        found.append(entries(result, tmp_path / command)[0])
    assert found[0]["channel_uses"] == found[1]["channel_uses"]
    assert found[1]["psnr_db"] == pytest.approx(
        found[0]["psnr_db"], abs=1.0
    )  # two draws of the noise on 768 values


def test_a_failing_image_does_not_lose_the_others(crop, tmp_path):
    (tmp_path / "broken.png").write_bytes(crop.read_bytes()[:100])
    out = tmp_path / "out"
    result = run(
        "simulate",
        crop,
        tmp_path / "broken.png",
        tmp_path / "none.png",
        crop,
        "--rank",
        0,
        "--json",
        "--metrics",
        "none",
        "--out",
        out,
    )
    assert result.exit_code == 2
    found = entries(result, out)
    assert [e["error"] is None for e in found] == [True, False, False, True]
    assert [e["received"] for e in found] == ["crop.png", None, None, "crop-2.png"]
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 2
    assert "broken.png" in lines[0]
    assert "none.png" in lines[1]


@pytest.mark.parametrize("command", ["simulate", pytest.param("send", marks=pytest.mark.gnuradio)])
def test_nothing_arrived_is_said(command, crop, tmp_path):
    (tmp_path / "crop.png").write_bytes(b"of an older run")
    result = run(command, crop, "--rank", 0, "--loss", 1, "--json", "--out", tmp_path)
    assert result.exit_code == 1
    (entry,) = entries(result, tmp_path)
    assert "nothing arrived" in entry["error"]
    assert entry["packets_received"] == 0
    assert (entry["psnr_db"], entry["received"]) == (None, None)
    assert not (tmp_path / "crop.png").exists()
    assert "crop.png: nothing arrived" in result.stderr


def test_lost_packets_leave_a_picture(crop, tmp_path):
    result = run(
        "simulate",
        crop,
        "--rank",
        16,
        "--loss",
        0.4,
        "--packet-symbols",
        200,
        "--seed",
        3,
        "--json",
        "--out",
        tmp_path,
    )
    assert result.exit_code == 0
    (entry,) = entries(result, tmp_path)
    assert 0 < entry["packets_received"] < entry["packets_sent"]
    assert entry["psnr_db"] > 8


@pytest.mark.gnuradio
def test_both_ways_the_codec_is_told_of_losses(crop, tmp_path):
    """`send` goes through blocks, `simulate` does not: they send the same."""
    sent = {}
    for command in ("simulate", "send"):
        for loss in (0, 0.3):
            arguments = ("--codec", "hda_deepsc", "--loss", loss, "--seed", 4, "--metrics", "none", "--json")
            (entry,) = entries(run(command, crop, *arguments, "--out", tmp_path), tmp_path)
            sent[command, loss] = entry["streams"]
    assert sent["send", 0] == sent["simulate", 0] != sent["simulate", 0.3] == sent["send", 0.3]


@pytest.mark.parametrize(
    "arguments", [("--rank", 49), ("--cbr", "1/1000"), ("--codec", "hsc", "--rank", 4097)]
)
def test_impossible_wishes_are_one_line(arguments, crop, tmp_path, capfd):
    for command in ("simulate", "send"):
        result = run(command, crop, *arguments, "--out", tmp_path)
        assert result.exit_code == 2
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert result.stderr.startswith("gr-hsc: ")
        assert result.stdout == ""
    assert capfd.readouterr() == ("", "")  # nor what GNU Radio's own logger writes past Python


def test_missing_weights_are_one_line(tmp_path, monkeypatch):
    from gnuradio.hsc import weights
    from gnuradio.hsc.systems.hsc import models

    monkeypatch.setattr(weights, "names", lambda: ())
    models.load_model.cache_clear()
    result = run("simulate", samples.digits()[0], "--rank", 0, "--out", tmp_path)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_table_has_a_line_for_each_image(tmp_path):
    digits = samples.digits()[:2]
    result = run("simulate", *digits, "--rank", 0, "--out", tmp_path)
    assert result.exit_code == 0
    for path in digits:
        assert path.name in result.stdout
    assert "PSNR" in result.stdout


@needs_perceptual
def test_perceptual_distances_are_measured_written_and_named(crop, tmp_path):
    """LPIPS with AlexNet unless told otherwise; its backbone is in every print."""
    result = run("simulate", crop, "--rank", 0, "--out", tmp_path)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    received, sent = load(tmp_path / entry["received"]).pixels, load(crop).pixels
    assert entry["lpips_alex"] == pytest.approx(metrics.lpips(received, sent))
    assert entry["lpips_vgg"] is entry["dists"] is None
    assert "(Alex)" in result.stdout and f"{entry['lpips_alex']:.4f}" in result.stdout
    result = run("simulate", crop, "--rank", 0, "--metrics", "dists,lpips_vgg", "--out", tmp_path)
    (entry,) = json.loads((tmp_path / "metrics.json").read_text())
    assert entry["lpips_alex"] is None and entry["dists"] == pytest.approx(metrics.dists(received, sent))
    assert "(VGG)" in result.stdout and "DISTS" in result.stdout and "(Alex)" not in result.stdout


@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_distances_without_weights_are_left_out_and_one_line_says_how_to_get_them(
    command, crop, tmp_path, monkeypatch
):
    monkeypatch.setattr(perceptual_weights, "find", lambda name: None)
    codec = ("--codec", "softcast") if command == "simulate" else ("--codecs", "softcast", "--workers", 0)
    result = run(command, crop, *codec, "--snr", 10, "--metrics", "all", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if "left out" in line]
    lacking = "LPIPS (Alex), LPIPS (VGG), DISTS"
    assert told == [f"gr-hsc: {lacking} left out: '{perceptual_weights.INSTALL}' installs the weights"]
    assert "(Alex)" not in result.stdout
    result = run(command, crop, *codec, "--snr", 10, "--metrics", "none", "--out", tmp_path)
    assert result.exit_code == 0 and "left out" not in result.stderr


def test_an_unknown_distance_is_one_line(crop, tmp_path):
    result = run("simulate", crop, "--metrics", "lpips", "--out", tmp_path)
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "'lpips' is not one of lpips_alex, lpips_vgg, dists, all or none" in result.stderr


def test_same_seed_same_result(crop):
    image = load(crop).pixels
    scenario = Scenario(codec_options={"rank": 4}, channel="rayleigh", loss=0.2, packet_symbols=300)
    first, second = simulate.transmit(image, scenario), simulate.transmit(image, scenario)
    np.testing.assert_array_equal(first.received, second.received)
    assert first.packets_received == second.packets_received


def test_grey_stays_grey(tmp_path):
    grey = load(samples.photographs()[0]).pixels[:40, :48, 1]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    result = run(
        "simulate", tmp_path / "grey.png", "--rank", 10, "--snr", 20, "--json", "--out", tmp_path / "out"
    )
    assert result.exit_code == 0
    assert entries(result, tmp_path / "out")[0]["shape"] == [40, 48, 1]
    assert Image.open(tmp_path / "out" / "grey.png").mode == "L"


def test_demo_plan_runs_at_symbol_level(tmp_path, monkeypatch):
    from gnuradio.hsc.app import demo

    monkeypatch.setattr(demo, "PHOTO_RANKS", (0,))
    monkeypatch.setattr(demo, "SNRS_DB", (12.0,))
    monkeypatch.setattr(demo, "PHOTOGRAPHS", 1)
    monkeypatch.setattr(demo, "DIGIT_RANKS", (0, 28))
    monkeypatch.setattr(demo, "CFO", 0.0)  # offsets belong to OFDM
    monkeypatch.setattr(demo, "SFO_PPM", 0.0)
    assert demo.run(tmp_path, simulate.transmit) == 0
    assert (tmp_path / "summary.png").stat().st_size > 10_000
    assert all(entry["error"] is None for entry in json.loads((tmp_path / "metrics.json").read_text()))


def test_without_gnu_radio_send_says_so(crop, tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.endswith("hsc.app.send")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pmt", None)
    result = run("send", crop, "--out", tmp_path)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "GNU Radio is not installed" in result.stderr


KEYLESS = b"\1" * 32


@dataclass(frozen=True)
class LockedOptions:
    key: bytes | None = option(None, "key", Ends.BOTH, read_key, secret=True)
    da_ratio: float = option(0.2, "as of HDA")
    denoiser: str | None = option(None, "as of DeepJSCC", Ends.RECEIVER)


class Locked(Codec):
    """A codec with a key: one byte at the front of the stream tells whether the receiver has the
    transmitter's.
    """

    name = "locked"
    Options = LockedOptions

    def encode(self, image, link=Link()):  # noqa: B008 - frozen
        data = (self.options.key or KEYLESS)[:8]
        return Message(
            self.name, image.shape, digital=(DigitalStream(data, link.mcs or best_for(link.snr_db).name),)
        )

    def decode(self, received):
        opened = received.digital[0].data == (self.options.key or KEYLESS)[:8]
        level = 200 if opened and self.options.denoiser == "dncnn" else 100 if opened else 50
        return Decoded(np.full(received.shape, level, np.uint8), () if opened else ("1 chunks do not open",))


@pytest.fixture
def locked(monkeypatch):
    pixel_codec.register(monkeypatch, Locked, 201)


KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize("command", ["simulate", pytest.param("send", marks=pytest.mark.gnuradio)])
def test_key_and_denoiser_reach_the_end_that_they_are_for(command, crop, tmp_path, locked):
    """The transmitter's options are not told to the receiver; of the key nothing is written down but that
    there is one.
    """
    transmit = (
        simulate.transmit
        if command == "simulate"
        else __import__("gnuradio.hsc.app.send", fromlist=["transmit"]).transmit
    )
    for given, expected, receiver in (
        (["--key", KEY, "--da-ratio", "0.5"], 100, "the same"),
        (["--key", KEY, "--rx-key", "none"], 50, "none"),
        (["--key", KEY, "--rx-key", KEY[::-1]], 50, "another"),
        (["--key", KEY, "--denoiser", "dncnn", "--option", "da_ratio=1/2"], 200, "the same"),
    ):
        scenario = options_of(*given)
        outcome = transmit(load(crop).pixels, scenario)
        assert (outcome.received == expected).all()
        written = link.record("crop", scenario, outcome)
        assert written["codec_options"]["receiver_key"] == receiver and KEY[:8] not in json.dumps(written)
        assert any("1 chunks do not open" in note for note in written["notes"]) == (expected == 50)


@pytest.mark.parametrize("command", ["simulate", pytest.param("send", marks=pytest.mark.gnuradio)])
def test_a_target_out_of_reach_is_told_and_written_down(command, tmp_path):
    """What the channel does to the SR stays in the image with the residual coding: at 5 dB no CR gives a
    digit 40 dB.
    """
    digit = Path(samples.photographs()[0]).parent / "digit_0.png"
    result = run(command, digit, "--psnr", 40, "--cr", "residual", "--snr", 5, "--out", tmp_path, "--json")
    assert result.exit_code == 0
    (note,) = entries(result, tmp_path)[0]["notes"]
    assert (
        note.startswith("the target of 40 dB PSNR cannot be reached at 5 dB SNR; at least ")
        and note in result.stderr
    )


def options_of(*arguments):
    """The scenario that a command is called with."""
    seen = []
    command = click.command()(options.link_options(lambda scenario, **_: seen.append(scenario)))
    codec = next(p for p in command.params if p.name == "codec")
    codec.type = click.Choice(registry.names())
    command.main(["--codec", "locked", "x.png", *arguments], standalone_mode=False)
    return seen[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--key", "abc"), "neither 64 hexadecimal digits nor a readable file"),
        (("--option", "colour"), "not of the form NAME=VALUE"),
        (("--option", "colour=3"), "hsc's transmitter has no option colour"),
        (("--rx-option", "colour=3"), "hsc's receiver has no option colour"),
        (("--rx-option", "rank=3"), "hsc's receiver has no option rank"),
        (
            ("--da-ratio", "0.2"),
            "--da-ratio is for hda_dct, hda_deepsc, hda_hevc: codec hsc has no option da_ratio",
        ),
        (("--denoiser", "dncnn"), "--denoiser is for deepjscc: codec hsc has no option denoiser"),
        (("--key", KEY), "--key is for hda_deepsc, hda_hevc: codec hsc has no option key"),
        (("--rx-key", "none"), "--rx-key is for hda_deepsc, hda_hevc: codec hsc has no option key"),
        (("--codec", "separate", "--rank", "3"), "--rank is for hsc: codec separate has no option rank"),
        (
            ("--codec", "deepjscc", "--option", "informed=False"),
            "deepjscc's transmitter has no option informed: give it with --rx-option",
        ),
        (("--codec", "deepjscc", "--rx-option", "informed=maybe"), "give True or False"),
        (("--codec", "deepjscc", "--denoiser", "median"), "choose one of dncnn"),
        (("--codec", "hda_deepsc", "--da-ratio", "100"), "give 0.05 to 10"),
        (("--mcs", "nr:16QAM-0.6"), "nearest: nr:16QAM-0.60"),
        (("--rank", "3", "--option", "rank=4"), "the transmitter's option rank is given twice"),
        (("--option", "rank=3", "--option", "rank=4"), "the transmitter's option rank is given twice"),
        (("--rank", "3", "--option", "psnr_db=30"), "give one of --rank, --psnr"),
        (("--option", "rank=3", "--cbr", "1/6"), "give one of --rank, --cbr"),
    ],
)
def test_options_that_a_codec_does_not_have_are_one_line(given, says, tmp_path):
    """Before any image is looked at."""
    for command in ("simulate", "send"):
        result = run(command, "no such image.png", *given, "--out", tmp_path / "out")
        assert result.exit_code == 2 and result.stdout == ""
        assert says in result.stderr and len(result.stderr.strip().splitlines()) == 1
        assert KEY not in result.output
        assert not (tmp_path / "out").exists()


def test_help_of_flags_comes_from_the_options_of_codecs():
    """With kinds, choices and defaults; none is for an end that the command has not."""
    shown = {command: " ".join(run(command, "--help").stdout.split()) for command in ("simulate", "tx", "rx")}
    for command in ("simulate", "tx"):
        assert "--rank INTEGER HSC: rank k of the complementary representation" in shown[command]
        assert "--semantic [vae|vqvae] HSC: semantic codec of digits" in shown[command]
        assert "--da-ratio NUMBER HDA-DeepSC: digital over analog" in shown[command]
        assert "[default: 8]" in shown[command]
    assert f"--denoiser [{'|'.join(denoisers.KINDS)}] DeepJSCC: denoiser" in shown["simulate"]
    assert "--rx-key VALUE HDA-DeepSC: key of the receiver, where it is another." in shown["simulate"]
    assert f"--denoiser [{'|'.join(denoisers.KINDS)}] DeepJSCC: denoiser" in shown["rx"]
    for flag, command in (("--rx-key", "tx"), ("--rx-key", "rx"), ("--denoiser", "tx"), ("--rank", "rx")):
        assert f"{flag} " not in shown[command]


def test_design_snr_is_what_the_transmitter_expects(crop, tmp_path, locked):
    """An MCS for 20 dB does not survive 3 dB."""
    image = load(crop).pixels
    for design, mcs, survives in ((None, "QPSK-1/2", True), (20.0, "64QAM-13/16", False)):
        scenario = Scenario("locked", snr_db=4.0, design_snr_db=design)
        outcome = simulate.transmit(image, scenario)
        assert outcome.header.digital[0][0] == mcs and bool((outcome.received == 100).all()) == survives
        assert link.record("x", scenario, outcome)["design_snr_db"] == (design or 4.0)


@pytest.mark.parametrize("codec", ["separate", "hda_hevc", "hda_deepsc", "lrisc"])
def test_over_fading_the_bits_bear_fades(codec):
    """Of ten decibels where nothing else is said; of as many as --fade-margin says; of none that a design SNR
    says all of. A named MCS stays.
    """
    image = load(samples.photographs()[0]).pixels[:96, :96]

    def threshold_db(**changes):
        scenario = Scenario(codec, cbr=1 / 3, snr_db=12.0, channel="rayleigh")
        outcome = simulate.transmit(image, replace(scenario, **changes))
        return mcs_table.by_name(outcome.header.digital[0][0]).threshold_db

    plain = threshold_db(channel="awgn")
    assert plain == threshold_db(design_snr_db=12.0) == threshold_db(fade_margin_db=0.0) > 5
    assert -1 < threshold_db() <= 2 and -1 < threshold_db(channel="rician") <= 2
    assert 3 < threshold_db(channel="awgn", fade_margin_db=7.0) <= 5
    assert -4 < threshold_db(fade_margin_db=40.0) <= -2.5, "not below what headers bear"
    assert mcs_table.by_name("QPSK-3/4").threshold_db == threshold_db(mcs="QPSK-3/4")


def test_most_images_arrive_over_fading():
    """Nine in ten, where AMC on the mean loses more than half of them."""
    image = load(samples.photographs()[0]).pixels[:96, :96]
    arrived = []
    for margin in (None, 0.0):
        seeds = range(30)
        scenario = Scenario("separate", cbr=1 / 3, snr_db=15.0, channel="rayleigh", fade_margin_db=margin)
        outcomes = [simulate.transmit(image, replace(scenario, seed=seed)) for seed in seeds]
        arrived.append(sum(each.received is not None for each in outcomes) / len(seeds))
    assert arrived[0] >= 0.75 and arrived[1] <= 0.6


def test_symbol_level_has_no_multipath(crop):
    with pytest.raises(HscError, match="send"):
        simulate.transmit(load(crop).pixels, Scenario(channel="multipath"))


def test_a_region_of_interest_is_outlined_and_has_a_psnr_of_its_own(tmp_path):
    image = load(samples.photographs()[0]).pixels[100:196, 200:296]
    Image.fromarray(image).save(tmp_path / "crop.png")
    flags = ("--codec", "lrisc", "--no-refine", "--metrics", "none", "--out", tmp_path / "out")
    result = run("simulate", tmp_path / "crop.png", *flags, "--roi", "16,8,40,32")
    (entry,) = json.loads((tmp_path / "out" / "metrics.json").read_text())
    received = load(tmp_path / "out" / "crop.png").pixels
    inside = np.s_[8:40, 16:56]
    assert entry["psnr_inside_db"] == pytest.approx(metrics.psnr_db(received[inside], image[inside]))
    assert "inside" in result.stdout
    compared = np.asarray(Image.open(tmp_path / "out" / entry["compare"])).astype(int)
    rows, columns = np.nonzero(np.abs(compared - (0xFD, 0xD8, 0x35)).max(-1) < 12)
    across, down = (np.ptp(each) / 3 for each in (columns, rows))  # three times enlarged
    assert (across, down) == pytest.approx((40, 32), abs=1)
    run("simulate", tmp_path / "crop.png", *flags)
    (entry,) = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert entry["psnr_inside_db"] is None


@pytest.mark.gnuradio
@pytest.mark.parametrize("snr_db", [4, 10, 17])
def test_behind_echoes_the_transmitter_counts_on_the_effective_snr(tmp_path, snr_db):
    """The default MCS of separate coding gets through."""
    Image.fromarray(load(samples.photographs()[0]).pixels[100:196, 200:296]).save(tmp_path / "crop.png")
    flags = ("--codec", "separate", "--channel", "multipath", "--snr", snr_db, "--metrics", "none")
    run("send", tmp_path / "crop.png", *flags, "--out", tmp_path / "out")
    (entry,) = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert entry["error"] is None and entry["psnr_db"] > 25
    assert entry["design_snr_db"] < snr_db - 0.5
    assert entry["snr_measured_db"] == pytest.approx(snr_db, abs=0.6)
