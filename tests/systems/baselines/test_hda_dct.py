"""Conventional HDA: DCT base, budgets, shares, what is left without a part, any received bytes."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from gnuradio.hsc import metrics
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import dct_base
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.phy import analog, digital
from gnuradio.hsc.phy.crc import crc16
from gnuradio.hsc.systems.baselines import hda_dct
from hypothesis import given, settings
from hypothesis import strategies as st


def photograph(height=160, width=192, channels=3, seed=5):
    """An image with the power spectrum of photographs, 1/f², and colours that go together."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / height
    layers = np.fft.ifft2(np.fft.fft2(rng.standard_normal((channels, height, width))) / frequency**1.4).real
    layers /= layers.std((1, 2), keepdims=True) + 1e-9
    return np.rint((120 + 40 * (layers[:1] + 0.3 * layers)).clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)


LINK = Link(10.0, 1 / 4, "QPSK-3/4")


def arrived(message, snr_db, without=(), seed=1):
    """What comes over AWGN; `without` names streams that are lost: 0 and 1, digital, or "analog"."""
    values = np.asarray(message.analog, np.float32)
    variance = float(np.square(values, dtype=float).sum()) / max(values.size, 1) * 10 ** (-snr_db / 10)
    noisy = values + np.random.default_rng(seed).normal(0, np.sqrt(variance), values.size).astype(np.float32)
    seen = np.full(values.size, "analog" not in without)
    part = ReceivedAnalog(np.where(seen, noisy, 0), np.where(seen, variance, np.inf).astype(np.float32), seen)
    streams = []
    for i, stream in enumerate(message.digital):
        n = len(stream.data)
        streams.append(
            ReceivedDigital(bytes(n), np.zeros(n, bool), (0,))
            if i in without
            else ReceivedDigital(stream.data, np.ones(n, bool))
        )
    return ReceivedMessage(
        message.codec, message.shape, message.parameters.ljust(8, b"\0"), part, tuple(streams)
    )


def quality(message, image, snr_db, **options):
    return metrics.psnr_db(
        registry.create("hda_dct").decode(arrived(message, snr_db, **options)).image, image
    )


def uses(message):
    return analog.symbol_count(message.analog.size), *(
        digital.symbol_count(len(s.data), s.mcs) for s in message.digital
    )


@pytest.mark.parametrize("base", hda_dct.BASES)
@pytest.mark.parametrize("ratio", [0.2, 1.5])
def test_shares_follow_the_ratio_and_fit_the_budget(base, ratio):
    image = photograph()
    residual, first, side = uses(registry.create("hda_dct", base=base, da_ratio=ratio).encode(image, LINK))
    total = image.size / 4
    assert residual + first + side <= total < 1.06 * (residual + first + side)
    assert 0.85 * ratio < first / (total - first) <= ratio * 1.01


@pytest.mark.parametrize("base", hda_dct.BASES)
def test_the_residual_adds_to_the_base_and_grows_with_the_snr(base):
    image = photograph()
    message = registry.create("hda_dct", base=base).encode(image, LINK)
    base_alone = quality(message, image, 10.0, without=(1,))
    with_residual = [quality(message, image, snr_db) for snr_db in (0.0, 10.0, 20.0)]
    assert base_alone + 1 < with_residual[0] < with_residual[1] < with_residual[2]


def test_without_a_part_the_other_is_shown():
    image = photograph()
    message = registry.create("hda_dct").encode(image, LINK)
    codec = registry.create("hda_dct")
    grey = metrics.psnr_db(np.full_like(image, 128), image)
    assert quality(message, image, 10.0, without=(0,)) > grey
    notices = [codec.decode(arrived(message, 10.0, without=lost)).notices for lost in ((), (0,), (1,))]
    assert [len(each) for each in notices] == [0, 1, 1]
    assert "base is lost" in notices[1][0] and "side information is lost" in notices[2][0]
    np.testing.assert_array_equal(
        codec.decode(arrived(message, 10.0, without=(1,))).image,
        codec.decode(arrived(message, 10.0, without=(1, "analog"))).image,
    )
    with pytest.raises(HscError, match="neither base nor residual"):
        codec.decode(arrived(message, 10.0, without=(0, 1)))


def test_lost_blocks_of_the_base_are_repaired():
    image = photograph()
    message = registry.create("hda_dct", repair_share=0.3).encode(image, LINK)
    received = arrived(message, 10.0)
    size = digital.payload_bytes_per_block("QPSK-3/4")
    mask = np.ones(len(message.digital[0].data), bool)
    mask[: 2 * size] = False
    data = bytes(2 * size) + message.digital[0].data[2 * size :]
    damaged = replace(received, digital=(ReceivedDigital(data, mask, (0, 1), size), received.digital[1]))
    codec = registry.create("hda_dct")
    np.testing.assert_array_equal(codec.decode(damaged).image, codec.decode(received).image)


@pytest.mark.parametrize("base", hda_dct.BASES)
@pytest.mark.parametrize("shape", [(1, 1, 3), (28, 28, 1), (65, 130, 3)])
def test_any_size(base, shape):
    image = photograph(*shape)
    message = registry.create("hda_dct", base=base, da_ratio=1.0).encode(
        image, Link(cbr=min(40000 / image.size, 900), mcs="16QAM-3/4")
    )
    decoded = registry.create("hda_dct").decode(arrived(message, 60.0)).image
    assert decoded.shape == shape and np.abs(decoded.astype(int) - image).max() <= 3


def test_the_mcs_is_conservative():
    image = photograph()
    mcs = {
        snr: registry.create("hda_dct", base="dct", da_ratio=2.0).encode(image, Link(snr, 0.5)).digital[0].mcs
        for snr in (None, 5.5, 20.0)
    }
    assert mcs == {None: "BPSK-1/2", 5.5: "QPSK-1/2", 20.0: "64QAM-3/4"}


@pytest.mark.parametrize("n_bytes", [400, 2000, 9000])
def test_dct_base_fits_and_its_code_is_near_the_ideal_length(n_bytes):
    image = photograph()
    data = dct_base.fit(image, n_bytes)
    assert 0.9 * n_bytes < len(data) <= n_bytes
    bands = dct_base._forward(image)
    levels, numbers = dct_base._quantised(bands, data[2])
    assert (
        len(data)
        < dct_base._tables().bits(levels.ravel(), np.repeat(numbers, levels.shape[1])) / 8 + 3 + 96 + 8
    )
    # uniform rounding: no coefficient is off by more than half a step, so neither is their mean square above
    # a quarter
    error = np.square(dct_base._forward(dct_base.decode(data, image.shape)) - bands).mean()
    assert error < dct_base._step(data[2]) ** 2 / 4 + 0.5


def test_dct_base_transform_is_the_definition():
    """One block of one colour against cosines written out."""
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 1), np.uint8)
    k, n = np.mgrid[:8, :8]
    basis = np.cos(np.pi * k * (2 * n + 1) / 16) * np.where(k == 0, np.sqrt(1 / 8), np.sqrt(2 / 8))
    np.testing.assert_allclose(
        dct_base._forward(image)[:, 0], (basis @ (image[..., 0] - 128.0) @ basis.T).ravel(), atol=1e-9
    )


def test_dct_base_tables_are_geometric():
    tables = dct_base._tables()
    for number, row in enumerate(tables.probabilities):
        r = float(Fraction(2**number, 2**number + 512))
        expected = (1 - r) / (1 + r) * r ** np.abs(np.arange(-63, 64))
        np.testing.assert_allclose(row[:-1] / row.sum(), expected, atol=2e-5)


def test_a_budget_too_small_says_so():
    for base in hda_dct.BASES:
        with pytest.raises(HscError, match="raise the CBR"):
            registry.create("hda_dct", base=base).encode(photograph(64, 64), Link(cbr=0.01))


@pytest.mark.parametrize(
    "wrong", [{"base": "jpeg"}, {"da_ratio": 0.0}, {"margin_db": -1.0}, {"repair_share": 2.0}, {"key": 1}]
)
def test_wrong_options(wrong):
    with pytest.raises(HscError):
        registry.create("hda_dct", **wrong)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=200), st.integers(0, 2), st.integers(0, 2**32))
def test_any_received_bytes_give_an_image_or_an_error(base, side, kind, seed):
    rng = np.random.default_rng(seed)
    base = crc16(base).to_bytes(2, "big") + base if seed % 2 else base
    streams = tuple(
        ReceivedDigital(data, rng.random(len(data)) < (1 if seed % 2 else 0.9)) for data in (base, side)
    )
    parameters = bytes([kind]) + len(base).to_bytes(3, "big") + len(side).to_bytes(3, "big")
    values = ReceivedAnalog(
        rng.normal(0, 3, 400).astype(np.float32), np.full(400, 0.1, np.float32), np.ones(400, bool)
    )
    try:
        image = (
            registry.create("hda_dct")
            .decode(ReceivedMessage("hda_dct", (40, 56, 3), parameters, values, streams))
            .image
        )
    except HscError:
        return
    assert image.shape == (40, 56, 3) and image.dtype == np.uint8


def test_parameters_are_described():
    message = registry.create("hda_dct", base="dct").encode(photograph(64, 64), Link(10.0, 0.5))
    known = registry.codec_class("hda_dct").describe(message.parameters + bytes(1))
    assert known["base"] == "dct" and 0 < known["base_bytes"] <= len(message.digital[0].data)
    assert 0 < known["side_bytes"] <= len(message.digital[1].data)
    with pytest.raises(HscError, match="not a message of hda_dct"):
        registry.codec_class("hda_dct").describe(b"\x07")
