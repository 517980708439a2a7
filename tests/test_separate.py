"""HEVC stills, and separate source and channel coding: budgets, losses, damaged bytes, Shannon's bound."""

import numpy as np
import pillow_heif
import pytest
from gnuradio.hsc import metrics
from gnuradio.hsc.codecs import hevc
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy.crc import crc32
from hypothesis import given, settings
from hypothesis import strategies as st


def photograph(height=96, width=128, channels=3, seed=3):
    """Smooth shapes, an edge and a little grain: compresses as photographs do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(2 * np.pi * (rng.uniform(0, 3) * x / width + rng.uniform(0, 3) * y / height)) for _ in range(3)]
    image = np.stack([128 + 60 * wave for wave in waves], -1) + 40 * (x > y)[..., None] + rng.normal(0, 4, (height, width, 1))
    return np.rint(image.clip(0, 255)).astype(np.uint8)[..., :channels]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 1), (65, 97, 3), (96, 130, 1)])
def test_hevc_keeps_any_size_and_reaches_high_quality(shape):
    image = photograph(*shape)
    decoded = hevc.decode(hevc.encode(image, hevc.HIGHEST), shape)
    assert decoded.shape == shape and decoded.dtype == np.uint8
    assert metrics.psnr_db(decoded, image) > 44


@pytest.mark.parametrize("n_bytes", [150, 1000, 6000])
def test_hevc_fit_takes_the_largest_quality_that_fits(n_bytes, monkeypatch):
    tried, encode = {}, hevc.encode
    monkeypatch.setattr(hevc, "encode", lambda image, quality: tried.setdefault(quality, encode(image, quality)))
    image = photograph()
    best = hevc.fit(image, n_bytes)
    quality = next(q for q, data in tried.items() if data == best)
    assert len(best) <= n_bytes < len(encode(image, quality + 1))


def test_hevc_quality_is_monotonous_over_the_halvings_of_the_size():
    image = photograph(256, 256)
    data = [hevc.encode(image, quality) for quality in (-54, -36, -18, 0, 30, 90)]
    quality = [metrics.psnr_db(hevc.decode(d, image.shape), image) for d in data]
    assert sorted(map(len, data)) == list(map(len, data)) and sorted(quality) == quality


def test_hevc_sends_little_beside_the_picture(tmp_path):
    """Against a HEIF file of libheif's with the same settings: the container is not sent, and the picture is the same."""
    image = photograph(256, 384)
    file = hevc._heif(image, 60)
    sent = hevc.encode(image, 60)
    assert len(file) - len(sent) > 300
    path = tmp_path / "x.heic"
    path.write_bytes(file)
    whole = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False))
    np.testing.assert_array_equal(hevc.decode(sent, image.shape), np.rint(whole / 257).astype(np.uint8))


def test_hevc_refuses_another_size_before_decoding(monkeypatch):
    data = hevc.encode(photograph(96, 128), 40)
    monkeypatch.setattr(pillow_heif, "open_heif", lambda *a, **k: pytest.fail("decoded a picture of the wrong size"))
    for shape in ((96, 136, 3), (16384, 16384, 3), (48, 64, 3)):
        with pytest.raises(HscError, match="size"):
            hevc.decode(data, shape)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_hevc_any_bytes_give_an_error_or_an_image(body, right_crc):
    data = crc32(body).to_bytes(4, "big") + body if right_crc else body
    with pytest.raises(HscError):
        hevc.decode(data, (96, 128, 3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 400))
def test_hevc_damage_that_the_crc_does_not_see(place, value, cut):
    body = bytearray(_CODED[4:])
    body[place % len(body)] = value
    body = bytes(body[: len(body) - cut])
    try:
        decoded = hevc.decode(crc32(body).to_bytes(4, "big") + body, (96, 128, 3))
    except HscError:
        return
    assert decoded.shape == (96, 128, 3) and decoded.dtype == np.uint8


_CODED = hevc.encode(photograph(96, 128), 40)
