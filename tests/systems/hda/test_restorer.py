"""The last stage of the HDA decoders: tiles, what it is told, what it takes away."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.refiner import bands
from gnuradio.hsc.systems.hda import hevc_codec, restorer
from gnuradio.hsc.systems.hda.restorer import Restorer
from support import ROOT
from support.messages import modulated


@pytest.fixture(scope="module", params=[False, True])
def random(request):
    """A network whose weights are random and none is zero, and what it is given: an image, the variance of
    its coefficients, and a base where it has one.
    """
    torch.manual_seed(1)
    made = Restorer(request.param)
    torch.nn.init.normal_(made.leave.weight, 0, 0.02)
    image = torch.rand(1, 3, 264, 200)
    variance = 0.01 * torch.rand(1, 120, 33, 25)
    base = (image + 0.05 * torch.randn_like(image)).clamp(0, 1) if request.param else None
    return made.eval().requires_grad_(False), image, variance, base


def test_untrained_it_leaves_images_as_they_are():
    image, error = torch.rand(2, 3, 64, 48), torch.rand(2, 16, 8, 6)
    assert torch.equal(Restorer(False)(image, error), image)
    assert torch.equal(Restorer(True)(image, error, 1 - image), image)


def test_tiles_give_what_the_whole_gives(random, monkeypatch):
    monkeypatch.setattr(restorer, "mixed", lambda _: torch.autocast("cpu", enabled=False))
    network, *given = random
    whole = restorer.restored(network, *given)
    assert (whole - given[0]).std() > 1e-3
    monkeypatch.setattr(restorer, "_TILE", 64)
    torch.testing.assert_close(restorer.restored(network, *given), whole, rtol=0, atol=2e-6)


def test_it_hears_of_the_error_and_of_the_base(random):
    network, image, variance, base = random
    found = restorer.restored(network, image, variance, base)
    assert (restorer.restored(network, image, variance / 4, base) - found).abs().mean() > 1e-3
    if base is not None:
        assert (restorer.restored(network, image, variance, image) - found).abs().mean() > 1e-3


def test_errors_of_blocks_are_means_over_all_coefficients():
    variance = torch.rand(1, 120, 3, 4)
    of_blocks = bands.of_pixels(bands.of_coefficients(variance))
    torch.testing.assert_close(of_blocks, variance.sum(1, keepdim=True) / 192)


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_it_takes_error_away_of_hda_deepsc(snr_db):
    photo = load(ROOT / "examples" / "images" / "lake.jpg").pixels[:256, :384]
    message = registry.create("hda_deepsc", da_ratio=0.4).encode(photo, Link(snr_db, 1 / 6))
    received = modulated(message, snr_db)
    with_it, without = (registry.create("hda_deepsc", restorer=on).decode(received) for on in (True, False))
    assert psnr_db(with_it.image, photo) > psnr_db(without.image, photo) + 0.02
    assert np.array_equal(with_it.error, without.error)


@pytest.mark.parametrize("snr_db", [4.0, 10.0])
def test_it_takes_error_away_of_hda_hevc(snr_db, monkeypatch):
    photo = load(ROOT / "examples" / "images" / "colosseum.jpg").pixels
    codec = registry.create("hda_hevc", da_ratio=0.5)
    received = modulated(codec.encode(photo, Link(snr_db, 1 / 6)), snr_db)
    found = codec.decode(received).image
    monkeypatch.setattr(hevc_codec, "restored", lambda _, image, *known: image)
    assert psnr_db(found, photo) > psnr_db(codec.decode(received).image, photo) + 0.1
