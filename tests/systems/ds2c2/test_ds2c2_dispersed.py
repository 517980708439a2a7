"""The dispersed coding of DS²C²'s detail: chunks that stand alone, integers that machines agree on, variances
that are true, losses that cost what they should.
"""

import numpy as np
import pytest
import torch
from gnuradio.hsc.coding.entropy import TOTAL
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.ds2c2 import detail_fit, dispersed, interleaver
from gnuradio.hsc.systems.ds2c2.dispersed import CHANNELS, ROWS, SCALES, STEPS
from gnuradio.hsc.training.loop import planes
from hypothesis import given, settings
from hypothesis import strategies as st
from support.detail import DctPrior, textures

PRIOR = DctPrior()
BLOCK = 40


def fitted(images):
    """Weights of both finenesses and the model that suit images (N, 3, S, S)."""
    weights, samples = [], []
    for fineness in range(PRIOR.finenesses):
        c = PRIOR.code(images, fineness)
        z = dispersed.analyse(images - PRIOR.synthesise(c, fineness)).numpy()
        found = np.stack([dispersed.features(each, PRIOR.means) for each in c], 1)
        weights.append(
            detail_fit.fit_weights(
                np.abs(z).swapaxes(0, 1).reshape(CHANNELS, -1), found.reshape(len(found), -1)
            )
        )
        samples += [
            (own, dispersed.scales(weights[-1], each, PRIOR.means)) for own, each in zip(z, c, strict=True)
        ]
    return weights, detail_fit.fit_model(samples)


@pytest.fixture(scope="module")
def fit():
    return fitted(planes(textures(12, 128)))


@pytest.fixture(scope="module")
def model(fit):
    return fit[1]


def detail(images, weights, fineness=0):
    """z and scales of the first of images (1, 3, H, W)."""
    c = PRIOR.code(images, fineness)
    z = dispersed.analyse(images - PRIOR.synthesise(c, fineness))[0].numpy()
    return z, dispersed.scales(weights[fineness], c[0], PRIOR.means)


@pytest.fixture(scope="module")
def image(fit):
    return detail(planes(textures(1, 256, seed=7)), fit[0])


def everything(coded):
    return np.ones(len(coded.data), bool)


# ---- the transform


def test_the_transform_is_orthonormal_and_keeps_all_of_luma():
    images = torch.randn(2, 3, 48, 32, generator=torch.Generator().manual_seed(1))
    z = dispersed.analyse(images)
    assert z.shape == (2, CHANNELS, 3, 2)
    assert torch.allclose(dispersed.analyse(dispersed.synthesise(z)), z, atol=1e-5)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(dispersed.synthesise(dispersed.analyse(grey)), grey, atol=1e-5)
    assert torch.allclose(dispersed.analyse(grey).square().sum(), grey.square().sum(), rtol=1e-5)


# ---- probabilities


def test_scales_are_exact_integers_whatever_the_size_of_c(fit):
    rng = np.random.default_rng(1)
    for spread in (1, 30, 4000, 10**12):
        c = rng.integers(-spread, spread + 1, (24, 3, 5))
        found = dispersed.features(c, PRIOR.means)
        slow = np.array(
            [[int(w) for w in row] for row in fit[0][0][:40].tolist()], dtype=object
        ) @ found.reshape(len(found), -1).astype(object)
        wanted = [sum(int(total) >= int(bound) + 1 for bound in dispersed._BOUNDS) for total in slow.ravel()]
        scale = dispersed.scales(fit[0][0], c, PRIOR.means)
        assert scale[:40].ravel().tolist() == wanted
        assert scale.min() >= 0 and scale.max() < SCALES
        # A cell's scales depend on its neighbours alone, not on what else is computed with them.
        alone = dispersed.scales(fit[0][0], c[:, :2, :2], PRIOR.means)
        assert np.array_equal(alone[:, 0, 0], scale[:, 0, 0])


def test_scales_do_not_depend_on_threads(fit, image):
    c = PRIOR.code(planes(textures(1, 256, seed=7)), 0)[0]
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            assert np.array_equal(dispersed.scales(fit[0][0], c, PRIOR.means), image[1])
    finally:
        torch.set_num_threads(before)


def test_scales_are_the_mean_magnitudes_of_an_image_never_seen(image):
    z, scale = image
    predicted = 2 ** (scale / dispersed.PER_OCTAVE) / (255 * dispersed.ONE)
    octave, checked = scale // dispersed.PER_OCTAVE, 0
    for each in np.unique(octave):
        own = octave == each
        if own.sum() > 1000:
            assert np.abs(z[own]).mean() == pytest.approx(predicted[own].mean(), rel=0.3)
            checked += 1
    assert checked >= 4


def test_tables_are_probabilities_wider_with_the_scale(model):
    numbers = model.tables.probabilities
    assert numbers.shape[0] == 2 * ROWS and (numbers >= 1).all() and (numbers.sum(1) == TOTAL).all()
    zero = numbers[:ROWS, dispersed.LARGEST]
    assert zero[1] > 0.98 * TOTAL > 0.5 * TOTAL > zero[dispersed.ROW_OF_ONE + 8]
    assert np.abs(numbers[:, :-1] - numbers[:, -2::-1]).max() <= 1, "either sign is as likely"
    assert (model.prior[1:ROWS] > 0).all() and (model.variance >= 0).all()


# ---- chunks


@pytest.mark.parametrize("blocks, block_bytes", [(1, 1056), (7, 160), (41, BLOCK)])
def test_what_is_decoded_is_what_was_coded(image, model, blocks, block_bytes):
    z, scale = image
    coded = dispersed.encode(z, scale, blocks, block_bytes, model)
    assert len(coded.data) == blocks * block_bytes
    found = dispersed.decode(coded.data, everything(coded), scale, coded.step, block_bytes, model)
    delta = dispersed.step_size(coded.step)
    assert np.abs(found.z - z).max() < 12 * delta and found.z.any()
    # As near as the quantiser without chunks comes, with the same step.
    rows = dispersed.table_rows(scale, coded.step)
    symbols = dispersed.quantise(z, scale, coded.step, model)
    plain, _ = dispersed.estimate(symbols, dispersed.absent(rows), rows, coded.step, model)
    assert ((found.z - z) ** 2).sum() < 1.06 * ((plain - z) ** 2).sum()
    unused = sum(
        block_bytes - len(coded.data[first : first + block_bytes].rstrip(b"\0"))
        for first in range(0, len(coded.data), block_bytes)
    )
    assert unused < 0.04 * len(coded.data)


def test_every_chunk_is_decodable_alone(image, model):
    z, scale = image
    blocks = 23
    coded = dispersed.encode(z, scale, blocks, BLOCK, model)
    whole = dispersed.decode(coded.data, everything(coded), scale, coded.step, BLOCK, model)
    chunk = interleaver.block_of(*z.shape, blocks)
    for each in range(blocks):
        received = np.repeat(np.arange(blocks) == each, BLOCK)
        noise = np.random.default_rng(each).integers(0, 256, len(coded.data), dtype=np.uint8)
        data = np.where(received, np.frombuffer(coded.data, np.uint8), noise).tobytes()
        alone = dispersed.decode(data, received, scale, coded.step, BLOCK, model)
        mine = chunk == each
        assert np.array_equal(alone.z[mine], whole.z[mine]) and not alone.z[~mine].any()
        assert np.array_equal(alone.variance[mine], whole.variance[mine])
        assert alone.variance[~mine].sum() > whole.variance[~mine].sum()


def test_symbols_of_a_chunk_lie_apart(image):
    chunk = interleaver.block_of(*image[0].shape, 41)
    for channel in (0, 100, 300):
        for shift in ((0, 1), (1, 0), (1, 1)):
            beside = np.roll(chunk[channel], shift, (0, 1))[1:, 1:]
            assert (chunk[channel][1:, 1:] == beside).mean() < 0.05


def test_more_blocks_mean_a_finer_step_and_less_error(image, model):
    z, scale = image
    steps, errors = [], []
    for blocks in (10, 30, 90, 270):
        coded = dispersed.encode(z, scale, blocks, BLOCK, model)
        found = dispersed.decode(coded.data, everything(coded), scale, coded.step, BLOCK, model)
        steps.append(coded.step)
        errors.append(((found.z - z) ** 2).sum())
    assert (np.diff(steps) < 0).all() and (np.diff(errors) < 0).all()


def test_losses_cost_what_the_closed_form_says(image, model):
    """MSE = (1 − p) D + p D₀, D₀ without any detail."""
    z, scale = image
    blocks = 60
    coded = dispersed.encode(z, scale, blocks, BLOCK, model)
    error = {}
    for lost in (0, 10, 20, 60):
        total = []
        for seed in range(4):
            gone = np.random.default_rng(seed).permutation(blocks) < lost
            found = dispersed.decode(coded.data, np.repeat(~gone, BLOCK), scale, coded.step, BLOCK, model)
            total.append(((found.z - z) ** 2).sum())
        error[lost] = np.mean(total)
    assert error[60] == pytest.approx((z**2).sum(), rel=1e-6)
    for lost in (10, 20):
        share = lost / blocks
        assert error[lost] == pytest.approx((1 - share) * error[0] + share * error[60], rel=0.08)


# ---- variances


def test_variances_are_true_for_laplace_variables_never_seen():
    rng = np.random.default_rng(1)

    def drawn(count):
        scale = rng.integers(60, 150, (CHANNELS, count, 1))
        own = 2 ** (scale / dispersed.PER_OCTAVE) / (255 * dispersed.ONE)
        return rng.laplace(scale=own), scale

    model = detail_fit.fit_model([drawn(600)])
    for step in (38, 50):
        z, scale = drawn(600)
        rows = dispersed.table_rows(scale, step)
        symbols = dispersed.quantise(z, scale, step, model)
        for lost in (dispersed.absent(rows), np.ones(z.shape, bool), rng.random(z.shape) < 0.2):
            found, variance = dispersed.estimate(symbols, lost, rows, step, model)
            error = (found - z) ** 2
            assert error.sum() == pytest.approx(variance.sum(), rel=0.1)
            for part in (symbols == 0, np.abs(symbols) == 1, np.abs(symbols) > 2):
                assert error[part & ~lost].sum() == pytest.approx(variance[part & ~lost].sum(), rel=0.1)


def test_variances_hold_for_an_image_never_seen(image, model):
    z, scale = image
    coded = dispersed.encode(z, scale, 60, BLOCK, model)
    for share in (0.0, 0.3):
        gone = np.random.default_rng(1).permutation(60) < round(60 * share)
        found = dispersed.decode(coded.data, np.repeat(~gone, BLOCK), scale, coded.step, BLOCK, model)
        assert 0.7 < found.variance.sum() / ((found.z - z) ** 2).sum() < 1.4


# ---- bad input


@given(data=st.binary(min_size=3 * BLOCK, max_size=3 * BLOCK), step=st.integers(0, STEPS - 1))
@settings(deadline=None, max_examples=25)
def test_any_bytes_give_finite_detail_or_none(model, data, step):
    scale = np.random.default_rng(len(data) + step).integers(0, SCALES, (CHANNELS, 2, 2))
    found = dispersed.decode(data, np.ones(len(data), bool), scale, step, BLOCK, model)
    assert found.z.shape == scale.shape and np.isfinite(found.z).all()
    assert np.isfinite(found.variance).all() and (found.variance >= 0).all()


def test_a_damaged_chunk_harms_no_other(image, model):
    z, scale = image
    coded = dispersed.encode(z, scale, 30, BLOCK, model)
    whole = dispersed.decode(coded.data, everything(coded), scale, coded.step, BLOCK, model)
    data = bytearray(coded.data)
    data[5 * BLOCK : 6 * BLOCK] = np.random.default_rng(1).bytes(BLOCK)
    found = dispersed.decode(bytes(data), everything(coded), scale, coded.step, BLOCK, model)
    others = interleaver.block_of(*z.shape, 30) != 5
    assert np.array_equal(found.z[others], whole.z[others])


def test_what_no_transmitter_sends_is_refused(image, model):
    z, scale = image
    for step, block_bytes, length in ((-1, 40, 80), (STEPS, 40, 80), (40, 0, 80), (40, 40, 81)):
        with pytest.raises(HscError, match="transmitter and receiver differ"):
            dispersed.decode(bytes(length), np.ones(length, bool), scale, step, block_bytes, model)
    with pytest.raises(HscError, match="transmitter and receiver differ"):
        dispersed.decode(bytes(80), np.ones(40, bool), scale, 40, 40, model)
    for blocks, block_bytes in ((0, 40), (1, 1)):
        with pytest.raises(HscError, match="the detail of an image"):
            dispersed.encode(z, scale, blocks, block_bytes, model)


def test_no_chunks_at_all_are_all_lost(image, model):
    found = dispersed.decode(b"", np.ones(0, bool), image[1], 50, BLOCK, model)
    assert not found.z.any() and (found.variance > 0).all()


@pytest.mark.parametrize("value", [0.0, 50.0])
def test_extreme_images_are_coded(fit, value):
    """No detail at all; and noise as strong as can be, of which a few symbols must do."""
    c = np.zeros((24, 2, 4), np.int64)
    scale = dispersed.scales(fit[0][0], c, PRIOR.means)
    z = value * np.random.default_rng(1).standard_normal(scale.shape)
    coded = dispersed.encode(z, scale, 12, BLOCK, fit[1])
    found = dispersed.decode(coded.data, everything(coded), scale, coded.step, BLOCK, fit[1])
    assert len(coded.data) == 12 * BLOCK
    assert ((found.z - z) ** 2).sum() <= (z**2).sum()
