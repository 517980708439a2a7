"""The neural post-filter behind HEVC: what a code tells it, that it helps, tiles, any bytes; its training."""

import numpy as np
import pytest
import torch
from gnuradio.hsc import metrics, weights
from gnuradio.hsc.app import samples, train
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import hevc, hevc_rate, nnpf
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link
from gnuradio.hsc.nn.precision import mixed_precision
from gnuradio.hsc.nn.tiles import tiles
from gnuradio.hsc.systems.baselines import nnpf_training
from gnuradio.hsc.training.loop import planes
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fields import data_folder, smooth_photos
from support.messages import modulated
from support.recipes import shrink
from support.stills import altered


@pytest.fixture(scope="module")
def photo():
    return load(samples.folder() / "lake.jpg").pixels[:256, :384]


def test_a_code_tells_its_quality_when_asked_and_full_size(photo):
    for quality in (0, 60, hevc.HIGHEST):
        plain, told = hevc.encode(photo, quality), hevc.encode(photo, quality, told=True)
        assert hevc.quality_told(plain) is None and hevc.quality_told(told) == quality
        assert len(plain) == len(told)
        assert np.array_equal(hevc.decode(plain, photo.shape), hevc.decode(told, photo.shape))
        assert np.array_equal(nnpf.decode(plain, photo.shape), hevc.decode(plain, photo.shape))
    assert hevc.quality_told(hevc.encode(photo, -20, told=True)) is None
    assert hevc.quality_told(b"") is None


@pytest.mark.parametrize(("quality", "least_db"), [(20, 0.15), (40, 0.15), (60, 0.1)])
def test_the_filter_takes_error_away(photo, quality, least_db):
    for image in (photo, np.rint(photo.mean(2, keepdims=True)).astype(np.uint8)):
        code = hevc.encode(image, quality, told=True)
        before, after = (metrics.psnr_db(of(code, image.shape), image) for of in (hevc.decode, nnpf.decode))
        assert after > before + least_db * (1 if image.shape[2] == 3 else 0.4)


@pytest.mark.parametrize(("n_bytes", "helps"), [(3000, True), (10_000, True), (40_000, False)])
def test_the_transmitter_leaves_the_filter_out_where_it_does_harm(photo, n_bytes, helps):
    """The photograph was a JPEG file, whose last bits the filter takes for HEVC's errors."""
    made = nnpf.fit(hevc_rate.Coder(photo), n_bytes)
    assert len(made.code) <= n_bytes and np.array_equal(hevc.decode(made.code, photo.shape), made.plain)
    assert np.array_equal(nnpf.decode(made.code, photo.shape), made.picture())
    told = hevc_rate.Coder(photo).fit(n_bytes, told=True)
    quality = [metrics.psnr_db(each, photo) for each in (nnpf.decode(told, photo.shape), made.plain)]
    assert (quality[0] > quality[1]) == helps and made.code == (told if helps else hevc.untold(told))
    assert made.error == pytest.approx(metrics.mse(made.picture(), photo))


@pytest.mark.parametrize("n_bytes", [10_000, 40_000, 160_000])
def test_of_a_large_picture_some_blocks_tell_what_the_filter_does(n_bytes):
    image = np.concatenate([load(photo).pixels for photo in samples.photographs()[:2]])
    made = nnpf.fit(hevc_rate.Coder(image), n_bytes)
    before, behind = (metrics.psnr_db(each, image) for each in (made.plain, made.picture()))
    assert behind >= before and -10 * np.log10(made.error) == pytest.approx(behind, abs=0.12)


def test_where_nothing_was_trained_nothing_is_done(photo):
    code = hevc.encode(photo, nnpf.FINEST + 1, told=True)
    assert np.array_equal(nnpf.decode(code, photo.shape), hevc.decode(code, photo.shape))
    picture = hevc.decode(hevc.encode(photo, 40), photo.shape)
    assert np.array_equal(nnpf.filtered(nnpf.PostFilter(), picture, 40), picture), "untrained it adds nothing"


@pytest.mark.parametrize("shape", [(1, 1, 3), (63, 97, 3), (90, 130, 1)])
def test_any_size_is_filtered(photo, shape):
    image = photo[: shape[0], : shape[1], : shape[2]]
    assert nnpf.decode(hevc.encode(image, 40, told=True), shape).shape == shape


def test_tiles_give_what_the_whole_gives(photo, monkeypatch):
    picture = hevc.decode(hevc.encode(photo, 20), photo.shape)
    whole = nnpf.filtered(nnpf.load_network(), picture, 20).astype(int)
    monkeypatch.setattr(nnpf, "TILE", 64)
    apart = nnpf.filtered(nnpf.load_network(), picture, 20).astype(int)
    # bfloat16 and kernels that differ with the size leave a level here and there
    differ = np.abs(whole - apart)
    assert differ.max() <= 1 and differ.mean() < (0.02 if mixed_precision(torch.device("cpu")) else 1e-4)


def test_tiles_cover_an_image_once():
    seen = np.zeros((100, 72), int)
    for tile in tiles(100, 72, 32, 8):
        around = np.zeros_like(seen)
        around[tile.around] = 1
        assert around[tile.place].all() and seen[tile.around][tile.within].shape == seen[tile.place].shape
        seen[tile.place] += 1
    assert (seen == 1).all()


_CODED = hevc.encode(np.full((96, 128, 3), 90, np.uint8), 40, told=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 100))
def test_damage_that_the_crc_does_not_see_gives_an_error_or_an_image(place, value, cut):
    try:
        decoded = nnpf.decode(altered(_CODED, place, value, cut), (96, 128, 3))
    except HscError:
        return
    assert decoded.shape == (96, 128, 3) and decoded.dtype == np.uint8


def test_separate_coding_gains_by_it_over_the_air(photo):
    link, found = Link(5.0, 1 / 12), {}
    for source in ("hevc", "hevc_nnpf"):
        codec = registry.create("separate", source=source)
        received = modulated(codec.encode(photo, link), 5.0)
        found[source] = metrics.psnr_db(codec.decode(received).image, photo)
    assert found["hevc_nnpf"] > found["hevc"] + 0.15


def test_missing_weights_are_one_line(photo, monkeypatch, tmp_path):
    code = hevc.encode(photo, 40, told=True)
    nnpf.load_network.cache_clear()
    monkeypatch.setattr(weights, "load", lambda name: weights.card(name, tmp_path))
    with pytest.raises(HscError, match="hevc-nnpf.*train") as caught:
        nnpf.decode(code, photo.shape)
    assert "\n" not in str(caught.value)


def test_the_pool_pairs_pictures_with_what_hevc_makes_of_them(monkeypatch):
    monkeypatch.setattr(nnpf_training, "FIRST", 3)
    monkeypatch.setattr(nnpf_training, "MOST", 4)
    monkeypatch.setattr(nnpf_training, "_GREY", 0.5)
    rng = np.random.default_rng(0)

    class Photos:
        def crops(self, _, count, size):
            slope = np.linspace(0, 200, size)[None, :, None, None] + rng.normal(0, 5, (count, size, size, 3))
            return np.rint(slope.clip(0, 255)).astype(np.uint8)

    pool = nnpf_training.Pool(Photos())
    for _ in range(12):
        pool._next.result()
        originals, decoded, qualities = pool.batch(5, 64, torch.device("cpu"))
        assert originals.shape == decoded.shape == (5, 3, 64, 64) and qualities.shape == (5,)
        assert 0 < float((originals - decoded).square().mean()) < 4e-3
        assert qualities.min() >= 0 and qualities.max() <= nnpf.FINEST
    assert len(pool._pairs) == 4


def test_a_few_steps_lower_the_error(photo):
    torch.manual_seed(0)
    network = nnpf.PostFilter()
    decoded = hevc.decode(hevc.encode(photo, 10), photo.shape)
    pair = [planes(each[None, :96, :96]) for each in (photo, decoded)]
    optimizer, found = torch.optim.Adam(network.parameters(), 1e-3), []
    for _ in range(8):
        optimizer.zero_grad()
        value, mse = nnpf_training.loss(network, *pair, torch.tensor([10.0]))
        value.backward()
        optimizer.step()
        found.append(float(mse))
    assert found[-1] < 0.98 * found[0]


def test_the_recipe_trains_exports_and_goes_on(tmp_path, monkeypatch):
    folder = data_folder(tmp_path, smooth_photos(2, 288, 288), smooth_photos(1, 96, 96)[0])
    monkeypatch.setattr(nnpf_training, "FIRST", 3)
    shrink(monkeypatch, nnpf.WEIGHTS, steps=2, batch=2, crop=32)
    figures = train.train(nnpf.WEIGHTS, folder, out=tmp_path / "runs")
    assert len(figures) == 8 and all(20 < value < 70 for value in figures.values())
    shrink(monkeypatch, nnpf.WEIGHTS, steps=4, batch=2, crop=32)
    train.train(nnpf.WEIGHTS, folder, resume=True, out=tmp_path / "runs")
    assert weights.card(nnpf.WEIGHTS, tmp_path / "runs")["steps"] == 4
    network = nnpf.PostFilter()
    network.load_state_dict(weights.load(nnpf.WEIGHTS, tmp_path / "runs"))
    assert network.leave.weight.any()
