"""One point against the link's own blocks and theory; sweeps that share encodes, resume, survive failures and
run on Dask.
"""

import importlib.util
import json
import socket
import sys
import textwrap

import numpy as np
import pytest
from gnuradio.hsc import channel, metrics, weights
from gnuradio.hsc.app import planned, samples
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import fingerprint, sweep, transmission
from gnuradio.hsc.evaluation.transmission import Point, Reception, Sending
from gnuradio.hsc.images.files import load
from gnuradio.hsc.phy.packets import assemble
from support import pixel_codec
from support.perceptual import needs_perceptual

IMAGE = pixel_codec.picture()
NAME = transmission.image_id("wave", IMAGE)
SENDING = Sending(NAME, pixel_codec.NAME, mcs="QPSK-1/2")


@pytest.fixture
def pixels(monkeypatch):
    pixel_codec.register(monkeypatch)
    transmission._codec.cache_clear()
    fingerprint.of_codec.cache_clear()
    yield
    transmission._codec.cache_clear()
    fingerprint.of_codec.cache_clear()


def points(*snrs: float, sending: Sending = SENDING, **fields) -> list[Point]:
    return [Point(sending, Reception(snr_db=snr, **fields)) for snr in snrs]


def one(reception: Reception, sending: Sending = SENDING, image: np.ndarray = IMAGE):
    ((measured, picture),) = transmission.measure(sending, [reception], image)
    return measured, picture


def test_analog_error_is_the_noise(pixels):
    """Values of scale s over AWGN come back with s² 10^(-SNR/10) / 2 of noise each."""
    sending = Sending(NAME, pixel_codec.NAME, (("digital", False),))
    measured, picture = one(Reception(snr_db=20), sending)
    expected = 2 * np.mean((IMAGE / 255 - 0.5) ** 2) * 10 ** (-20 / 10) / 2
    assert metrics.mse(picture, IMAGE) == pytest.approx(expected, rel=0.1)
    assert measured.psnr_db == pytest.approx(-10 * np.log10(expected), abs=0.5)
    assert measured.cbr == pytest.approx(0.5)
    assert measured.cbr_with_overhead > 0.5
    assert measured.digital_uses == 0 and measured.failure is None
    assert measured.snr_measured_db == pytest.approx(20)


def test_a_message_sees_one_gain_that_can_be_told_beforehand(pixels):
    for seed in range(4):
        reception = Reception("rayleigh", 30.0, seed)
        measured, _ = one(reception)
        assert measured.snr_measured_db == pytest.approx(
            30 + 20 * np.log10(abs(transmission.gain(NAME, reception))), abs=1e-3
        )


@pytest.mark.parametrize("kind", ["rayleigh", "rician"])
def test_even_fades_are_the_channels_own_distribution(kind):
    """24 images: the mean power is 1 and every tenth lies where it should, whatever the images are called."""
    many = np.abs(channel.gain(kind, (100_000,), channel.numpy_normal(np.random.default_rng(1)))) ** 2
    for first in (1, 100):
        images = [f"image {first + i}" for i in range(24)]
        fades = transmission.even_fades(images, kind)
        assert fades == transmission.even_fades(images, kind) and list(fades) == images
        power = [
            abs(transmission.gain(image, Reception(kind, seed=seed))) ** 2 for image, (seed,) in fades.items()
        ]
        assert np.mean(power) == pytest.approx(1, abs=0.06)
        for share in np.arange(0.1, 1, 0.1):
            assert np.mean(np.array(power) < np.quantile(many, share)) == pytest.approx(share, abs=0.05)


def test_gains_are_rician_with_mean_power_one():
    power = [abs(transmission.gain(f"image {i}", Reception("rician", seed=i % 7))) ** 2 for i in range(4000)]
    assert np.mean(power) == pytest.approx(1, abs=0.05)
    assert np.var(power) == pytest.approx(0.75, abs=0.12)  # K = 1: (1 + 2K) / (1 + K)²


def test_draws_depend_on_image_and_seed_alone(pixels):
    errors = [
        one(Reception(snr_db=snr, seed=seed))[1].astype(int) - IMAGE
        for snr, seed in ((30.0, 0), (24.0, 0), (30.0, 1))
    ]
    kept = np.ones(IMAGE.shape, bool)
    kept[::4, ::4] = False
    correlation = [np.corrcoef(errors[0][kept], e[kept])[0, 1] for e in errors[1:]]
    assert correlation[0] > 0.8  # the same noise, twice as strong
    assert abs(correlation[1]) < 0.1


def test_lost_packets_are_erasures_of_their_share():
    modulated = assemble(1, 0, (8, 8, 1), b"", np.ones(6000, np.complex64), 1 << 15, [], 1000)
    normal = channel.numpy_normal(np.random.default_rng(0))
    lost = [False, True, False, False, True, False]
    assembled = transmission.carry(modulated, "awgn", 10, normal, lost=lost)
    ((symbols, variance),) = assembled.streams
    assert assembled.packets == (0, 2, 3, 5)
    assert np.isinf(variance).mean() == pytest.approx(2 / 6)
    assert np.var(symbols[np.isfinite(variance)] - 1) == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(variance[np.isfinite(variance)], 0.1, rtol=1e-5)
    assert transmission.carry(modulated, "awgn", 10, normal, lost=[True] * 6) is None


def test_the_share_of_packets_that_is_said_is_dropped():
    rng = np.random.default_rng(0)
    found = np.array([transmission.dropped(48, 0.2, rng) for _ in range(400)])
    assert (found.sum(1) == 10).all()
    assert abs(found.mean(0) - 10 / 48).max() < 0.1  # any of them
    assert transmission.dropped(6, 0.05, rng).sum() == 1
    assert transmission.dropped(6, 0.0, rng).sum() == 0 and transmission.dropped(6, 1.0, rng).all()


def test_ofdm_and_symbols_agree(pixels):
    symbols, ofdm = (one(Reception(snr_db=15, through=through))[0] for through in ("symbols", "ofdm"))
    assert ofdm.failure is None
    assert ofdm.psnr_db == pytest.approx(symbols.psnr_db, abs=1.0)
    assert ofdm.snr_measured_db == pytest.approx(15, abs=1)


def test_what_cannot_be_used_is_mid_grey_with_the_reason(pixels, monkeypatch):
    def refuse(self, received):
        raise HscError("nothing usable")

    grey = metrics.psnr_db(np.full_like(IMAGE, 128), IMAGE)
    unlucky = np.ascontiguousarray(IMAGE[:13])
    measured, _ = one(Reception(), Sending("x", pixel_codec.NAME), unlucky)
    assert measured.failure.startswith("not sent: 13 rows") and measured.cbr == 0
    assert one(Reception(loss=1.0))[0].failure == "no packet arrived"
    monkeypatch.setattr(pixel_codec.PixelCodec, "decode", refuse)
    measured, picture = one(Reception())
    assert measured.failure == "not decoded: nothing usable"
    assert measured.psnr_db == pytest.approx(grey) and measured.cbr > 0
    assert (picture == 128).all()


def test_points_of_one_sending_share_one_encode(pixels, monkeypatch):
    encodes = []
    original = pixel_codec.PixelCodec.encode
    monkeypatch.setattr(
        pixel_codec.PixelCodec, "encode", lambda self, *a: encodes.append(a) or original(self, *a)
    )
    outcome = sweep.run(points(0, 10, 20), {NAME: IMAGE}, workers=0)
    assert len(encodes) == 1
    psnr = [outcome.measured[p].psnr_db for p in points(0, 10, 20)]
    assert psnr == sorted(psnr) and psnr[2] > psnr[0] + 10


def test_a_sweep_resumes_and_measures_nothing_twice(pixels, tmp_path, monkeypatch):
    path = tmp_path / "points.jsonl"
    first = sweep.run(points(0, 10), {NAME: IMAGE}, sweep.Store(path), workers=0)
    with path.open("a") as file:
        file.write('{"key": "half a li')  # a run that was killed
    whole = sweep.run(points(0, 10, 20), {NAME: IMAGE}, workers=0)
    monkeypatch.setattr(
        sweep,
        "run_job",
        lambda job, *a: pytest.fail("measured again") if len(job.receptions) > 1 else original(job, *a),
    )
    resumed = sweep.run(points(0, 10, 20), {NAME: IMAGE}, sweep.Store(path), workers=0)
    for point in points(0, 10, 20):
        assert resumed.measured[point].psnr_db == whole.measured[point].psnr_db
    assert first.measured.keys() < resumed.measured.keys()
    again = sweep.Store(path)
    assert len(again.records) == 3
    assert sweep.expected_seconds(again, points(0, 10, 20), 2) == 0
    assert sweep.expected_seconds(again, points(5), 2) > 0
    assert sweep.expected_seconds(again, points(5, sending=Sending(NAME, "hsc")), 2) is None


@needs_perceptual
def test_perceptual_distances_are_measured_and_kept_where_they_are_asked_for(pixels, tmp_path):
    """What was measured without them is not measured again, and does not pass for what has them."""
    plain, wanted = points(10), points(10, judged=("lpips_alex",))
    store = sweep.Store(tmp_path / "points.jsonl")
    outcome = sweep.run([*plain, *wanted], {NAME: IMAGE}, store, workers=0, pictures=wanted)
    without, measured = outcome.measured[plain[0]], outcome.measured[wanted[0]]
    assert without.lpips_alex is None and measured.psnr_db == without.psnr_db
    assert measured.lpips_alex == pytest.approx(metrics.lpips(outcome.pictures[wanted[0]], IMAGE))
    again = sweep.Store(tmp_path / "points.jsonl")
    assert again.get(plain[0]) == without and again.get(wanted[0]) == measured
    first = json.loads((tmp_path / "points.jsonl").read_text().splitlines()[0])
    assert "judged" not in first["point"]["reception"]


original = sweep.run_job


def test_pictures_are_measured_even_when_known(pixels, tmp_path):
    store = sweep.Store(tmp_path / "points.jsonl")
    (point,) = points(10)
    assert sweep.run([point], {NAME: IMAGE}, store, workers=0).pictures == {}
    picture = sweep.run([point], {NAME: IMAGE}, store, workers=0, pictures=[point]).pictures[point]
    assert metrics.psnr_db(picture, IMAGE) == pytest.approx(store.get(point).psnr_db)


def test_an_error_of_one_point_is_recorded_and_the_rest_goes_on(pixels, tmp_path):
    broken = np.ascontiguousarray(IMAGE[:14])
    bad = points(10, sending=Sending("broken", pixel_codec.NAME))
    store = sweep.Store(tmp_path / "points.jsonl")
    outcome = sweep.run([*bad, *points(10)], {NAME: IMAGE, "broken": broken}, store, workers=0)
    assert list(outcome.errors) == bad
    assert outcome.errors[bad[0]].startswith("RuntimeError: a mistake in the codec")
    assert list(outcome.measured) == points(10)
    assert store.get(bad[0]) is None  # so that the next run tries again


def test_new_weights_are_measured_anew(monkeypatch):
    def fingerprint_with(codec: str, **sums: str) -> str:
        there = ("hsc-photo-vae", "pixels-photo", "deepjscc-dncnn", "hda-deepsc")
        monkeypatch.setattr(weights, "names", lambda folder: there)
        sha = lambda name, folder: {"sha256": sums.get(name.replace("-", "_"), "0")}  # noqa: E731
        monkeypatch.setattr(weights, "card", sha)
        fingerprint.of_codec.cache_clear()
        return fingerprint.of_codec(codec)

    before = fingerprint_with("hsc")
    assert (
        before
        == fingerprint_with("hsc", pixels_photo="1", hda_deepsc="1")
        != fingerprint_with("hsc", hsc_photo_vae="1")
    )
    # weights of another name that a codec's programs load: denoisers, what the two hybrids share
    assert fingerprint_with("deepjscc") != fingerprint_with("deepjscc", deepjscc_dncnn="1")
    assert fingerprint_with("hda_hevc") != fingerprint_with("hda_hevc", hda_deepsc="1")
    fingerprint.of_codec.cache_clear()


def programs_of(codec: str) -> dict[str, str]:
    """Those that its fingerprint is made of, names without the package's."""
    place = registry.entry(codec).codec.partition(":")[0]
    found = fingerprint.sources(place, fingerprint._declared(registry.system_of(codec)))
    return {name.removeprefix("gnuradio.hsc."): text for name, text in found.items()}


def test_the_programs_of_a_codec_are_those_it_imports():
    found = programs_of("hsc")
    for name in ("systems.hsc.models", "systems.hsc.vae", "coding.rice", "phy.digital", "codecs.contract"):
        assert name in found, name  # also those that are imported late, or by others
    assert "hybrid semantic-complementary transmission" not in found["systems.hsc.codec"]
    assert set(programs_of("hda_hevc")) > {"systems.hda.hevc_codec", "systems.hda.network", "coding.hevc"}


@pytest.mark.parametrize("codec", registry.names())
def test_declarations_are_no_programs_of_a_codec(codec):
    found = programs_of(codec)
    room = registry.system_of(codec).name
    declarations = {"codecs.registry", "codecs.system", f"systems.{room}"}
    declarations |= {f"systems.{room}.{part}" for part in ("recipes", "figures", "blocks")}
    assert registry.entry(codec).codec.partition(":")[0].removeprefix("gnuradio.hsc.") in found
    assert not declarations & set(found)
    assert {name.split(".")[0] for name in found} <= {"codecs", "coding", "nn", "phy", "systems"}


PLUG_IN = {
    "__init__": """
        from gnuradio.hsc.codecs.system import CodecEntry, System
        SYSTEM = System("thumb", "Thumb", (CodecEntry("thumb", 201, "thumb_plug_in.codec:Thumb"),),
                        recipes="thumb_plug_in.recipes:RECIPES", weights=FOLDER)
    """,
    "codec": """
        from gnuradio.hsc.codecs.contract import Codec
        from gnuradio.hsc.coding import rice
        import thumb_plug_in.late
        from . import net
        class Thumb(Codec):
            name = "thumb"
            weights = ("thumb-*",)
            def encode(self, image, link): from .recipes import RECIPES
            def decode(self, received): import json
    """,
    "net": "WIDTH = 8",
    "late": "WIDTH = 9",
    "recipes": "RECIPES = ()",
    "stranger": "NOT = 'imported'",
}


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A stranger's package with a codec; gives the folder in which it lies."""
    folder = tmp_path / "thumb_plug_in"
    folder.mkdir()
    for name, text in PLUG_IN.items():
        text = textwrap.dedent(text).replace("FOLDER", "__import__('pathlib').Path(__file__).parent")
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry._known(), "systems", dict(registry._known().systems))
    registry.register(importlib.import_module("thumb_plug_in").SYSTEM)
    yield folder
    for name in [name for name in sys.modules if name.startswith("thumb_plug_in")]:
        del sys.modules[name]


def test_a_strangers_programs_and_weights_count_wherever_they_lie(plug_in):
    found = programs_of("thumb")
    own = {name for name in found if name.startswith("thumb_plug_in")}
    assert own == {f"thumb_plug_in.{name}" for name in ("codec", "net", "late")}
    assert {"coding.rice", "codecs.contract"} < set(found)

    def after(file: str, text: str) -> str:
        (plug_in / file).write_text(text)
        fingerprint.of_codec.cache_clear()
        fingerprint._read.cache_clear()
        return fingerprint.of_codec("thumb")

    before = after("stranger.py", "NOT = 'imported either'")
    assert before == after("recipes.py", "RECIPES = (1, 2)")
    assert before == after("net.py", "WIDTH = 8  # of a layer")
    changed = after("net.py", "WIDTH = 16")
    (plug_in / "thumb-8.safetensors").write_bytes(b"")
    assert len({before, changed, after("thumb-8.json", '{"sha256": "1"}')}) == 3
    trained = after("thumb-8.json", '{"sha256": "2"}')
    assert trained != after("thumb-8.json", '{"sha256": "1"}')
    (plug_in / "other-8.safetensors").write_bytes(b"")
    assert after("thumb-8.json", '{"sha256": "2"}') == trained == after("other-8.json", '{"sha256": "3"}')


def test_the_bound_is_made_of_source_coding_alone(monkeypatch):
    monkeypatch.setattr(fingerprint, "of_codec", lambda codec: pytest.fail("the bound is no codec"))
    assert "gnuradio.hsc.coding.hevc" in fingerprint.sources("gnuradio.hsc.coding.stills")
    sweep.key(Point(Sending(NAME, transmission.CAPACITY, cbr=0.5), Reception()))


def test_comments_do_not_change_a_fingerprint_and_code_does(tmp_path, monkeypatch):
    texts = []
    for text in ("x = 1\n", '"""Doc."""\n# comment\nx = (1)\n', "x = 2\n"):
        file = tmp_path / "codec.py"
        file.write_text(text)
        monkeypatch.setattr(
            fingerprint,
            "_spec",
            lambda name, file=file: importlib.util.spec_from_file_location(name, file),
        )
        fingerprint._read.cache_clear()
        texts.append(fingerprint.sources("codec")["codec"])
    fingerprint._read.cache_clear()
    assert texts[0] == texts[1] != texts[2]


def test_keys_of_a_cipher_are_kept_as_text(pixels, tmp_path):
    store = sweep.Store(tmp_path / "points.jsonl")
    measured, _ = one(Reception())
    store.append(Point(Sending(NAME, pixel_codec.NAME, (("key", b"\x01\xff"),)), Reception()), measured)
    line = json.loads(store.path.read_text())
    assert line["point"]["sending"]["options"] == [["key", "01ff"]]


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HscError, match="--out"):
        sweep.Store(tmp_path / "file" / "points.jsonl")


def test_dask_gives_what_one_process_gives():
    digit = load(samples.digits()[0]).pixels
    wanted = [
        Point(Sending("digit", "hsc", (("rank", rank), ("tuning", "none"))), Reception("rayleigh", snr, seed))
        for rank in (0, 8)
        for snr in (5.0, 15.0)
        for seed in (0, 1)
    ]
    here = sweep.run(wanted, {"digit": digit}, workers=0)
    seen = []
    there = sweep.run(
        wanted,
        {"digit": digit},
        workers=2,
        progress=lambda done, total: seen.append((done, total)),
        pictures=wanted[:1],
    )
    assert not there.errors
    assert {p: m.psnr_db for p, m in here.measured.items()} == {
        p: m.psnr_db for p, m in there.measured.items()
    }
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert metrics.psnr_db(there.pictures[wanted[0]], digit) == pytest.approx(
        here.measured[wanted[0]].psnr_db
    )


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense", "missing port"),
        ("pigeon://here:1", "scheme"),
        ("tcp://here:post", "invalid"),
        ("", "missing port"),
    ],
)
def test_what_is_no_address_of_a_scheduler_is_one_line_before_any_work(address, reason, pixels):
    with pytest.raises(HscError, match=f"no Dask scheduler at '{address}' .*{reason}"):
        sweep.run(points(10), {NAME: IMAGE}, scheduler=address)
    with pytest.raises(HscError, match="--scheduler"):
        planned.Workers(scheduler=address).check()


def test_a_program_that_is_no_scheduler_is_one_line(monkeypatch):
    """It takes the connection and never answers."""
    monkeypatch.setattr(sweep, "_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(HscError, match=f"no Dask scheduler at '{address}'"):
            sweep.find_scheduler(address)


def test_a_scheduler_that_is_there_is_used():
    import distributed

    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=None, protocol="tcp://"
    ) as cluster:
        planned.Workers(scheduler=cluster.scheduler_address).check()
