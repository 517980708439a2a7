"""The base layer of DS²C²: closed forms of the linear start, exact round trips, damaged codes."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.app import samples
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import files
from gnuradio.hsc.nn.transform import MIDDLE
from gnuradio.hsc.systems.ds2c2 import base, base_prior
from gnuradio.hsc.systems.ds2c2.base_network import (
    CELL,
    CHANNELS,
    CLASSES,
    MEANS,
    STEPS,
    BaseNetwork,
    cell_basis,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ds2c2_base import fitted_base, fitted_network, ramped
from support.fields import smooth_photos

FINENESSES = range(len(STEPS))
SHAPES = [(1, 1, 3), (31, 33, 3), (64, 96, 1), (90, 150, 3)]


def picture(shape, seed=3):
    height, width, channels = shape
    return smooth_photos(1, max(height, 2), max(width, 2), seed)[0, :height, :width, :channels]


def planes(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


# ---- the networks


def test_the_kernels_are_orthonormal():
    kernels = cell_basis().reshape(CHANNELS, -1)
    np.testing.assert_allclose(kernels @ kernels.T, np.eye(CHANNELS), atol=1e-12)


def test_untrained_expand_of_compress_is_the_projection():
    """P = Kᵀ K of every cell, which is idempotent; and a constant image is its three means alone."""
    network = BaseNetwork().requires_grad_(False)
    images = planes(smooth_photos(2, 32, 48))
    kernels = torch.from_numpy(cell_basis()).float().reshape(CHANNELS, -1)
    cells = torch.nn.functional.unfold(images - MIDDLE, CELL, stride=CELL)
    wanted = (
        torch.nn.functional.fold(kernels.T @ (kernels @ cells), images.shape[2:], CELL, stride=CELL) + MIDDLE
    )
    found = network.expand(network.compress(images))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(network.expand(network.compress(found)), found, rtol=0, atol=1e-5)
    flat = network.compress(torch.tensor([0.2, 0.9, 0.4])[None, :, None, None].expand(1, 3, 16, 16))[
        0, :, 0, 0
    ]
    others = [k for k in range(CHANNELS) if k not in MEANS]
    assert flat[others].abs().max() < 1e-5
    assert flat[0].item() == pytest.approx((0.2 + 0.9 + 0.4 - 1.5) / 3**0.5 * CELL, abs=1e-4)


def test_untrained_refinement_adds_nothing_and_goes_on_with_the_last_network():
    torch.manual_seed(1)
    network = BaseNetwork().requires_grad_(False)
    expanded = planes(smooth_photos(1, 32, 64))
    s = network.segment(expanded)
    assert s.shape == (1, CLASSES, 4, 8)
    torch.testing.assert_close(s.exp().sum(1), torch.ones(1, 4, 8))
    assert all(torch.equal(each, expanded) for each in network.refine(s, expanded, 3))
    assert network.refine(s, expanded, 0) == []
    for fine in network.fine:
        fine.leave.weight.normal_(0, 0.1)
    found = network.refine(s, expanded, 4)
    assert len(found) == 4
    before = [expanded, *found]
    for step, which in enumerate((0, 1, 1, 1)):
        made = expanded + network.fine[which](s, expanded, before[step])
        assert torch.equal(found[step], made)
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


def test_networks_know_no_size():
    """What an image's middle becomes depends on what is near it alone."""
    network = fitted_network()
    images = planes(smooth_photos(1, 320, 320))
    c = network.compress(images)
    whole, part = network.expand(c), network.expand(network.compress(images[..., :160, :160]))
    torch.testing.assert_close(whole[..., :128, :128], part[..., :128, :128], rtol=0, atol=1e-5)


# ---- the code


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fineness", FINENESSES)
def test_round_trips_are_exact(shape, fineness):
    codec = fitted_base()
    code = codec.encode(picture(shape), fineness)
    found = codec.decode(code.data, fineness, shape)
    assert found.dtype == np.int64 and np.array_equal(found, code.c)
    made = codec.synthesise(found, fineness, shape)
    height, width = (-(-side // 32) * 32 for side in shape[:2])
    assert made.expanded.shape == made.refined.shape == (1, 3, height, width)
    assert made.semantic.shape == (1, CLASSES, height // 8, width // 8)
    assert torch.equal(made.refined, made.expanded), "untrained"


def test_finer_costs_more_and_is_nearer():
    codec, image = fitted_base(), smooth_photos(1, 128, 192, seed=5)[0]
    codes = [codec.encode(image, fineness) for fineness in FINENESSES]
    sizes = [len(code.data) for code in codes]
    errors = []
    for fineness, code in enumerate(codes):
        made = codec.synthesise(code.c, fineness, image.shape).expanded
        errors.append((made - planes(image[None])).square().mean().item())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert sizes[0] < 0.7 * sizes[-1] and errors[-1] < 0.8 * errors[0]


def test_contexts_save_bits():
    """Against one table for each channel, fitted to this very image, which costs nothing to send here."""
    codec, image = fitted_base(), ramped(smooth_photos(1, 192, 192, seed=6))[0]
    code = codec.encode(image, 2)
    bits = 0.0
    for channel in code.c:
        _, counts = np.unique(channel, return_counts=True)
        bits -= (counts * np.log2(counts / channel.size)).sum()
    assert 8 * len(code.data) < 0.95 * bits


def test_choices_are_worth_their_bits():
    """Rounding every value alone has less error but more error and bits in sum."""
    fineness = fitted_base().finenesses[2]
    with torch.inference_mode():
        c = fitted_network().compress(planes(smooth_photos(1, 128, 128, seed=7)))
    chosen, coded = fineness.choose(c)
    wanted = (c / fineness.step).numpy()
    rounded = np.round(wanted).astype(np.int64)
    assert (
        np.abs(chosen).sum() < np.abs(rounded).sum()
        and np.abs(chosen - wanted).max() < 1.5 + np.abs(wanted).max()
    )
    exact = fineness.encode(torch.from_numpy(rounded).float() * fineness.step)
    cost = [
        np.square(found - wanted).sum() + base._BIT * 8 * size
        for found, size in ((chosen, len(fineness.encode(c).data)), (exact.c, len(exact.data)))
    ]
    assert cost[0] < cost[1]


def test_decoding_touches_integers_only():
    """Neither threads nor the network's numbers matter: only the tables do."""
    codec, image = fitted_base(), picture((96, 128, 3))
    code = codec.encode(image, 1)
    network = BaseNetwork()
    network.load_state_dict(fitted_network().state_dict())
    with torch.no_grad():
        for value in network.parameters():
            value.fill_(torch.nan)
    other = base.BaseCodec(network.bfloat16())
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found = other.decode(code.data, 1, image.shape)
            assert np.array_equal(found, code.c)
    finally:
        torch.set_num_threads(threads)


def test_choosing_does_not_depend_on_the_batch():
    fineness = fitted_base().finenesses[1]
    with torch.inference_mode():
        c = fitted_network().compress(planes(smooth_photos(3, 64, 96, seed=8)))
    together, _ = fineness.choose(c)
    alone = [fineness.choose(c[index : index + 1])[0][0] for index in range(3)]
    assert np.array_equal(together, np.stack(alone))


@given(data=st.binary(max_size=300), fineness=st.sampled_from(FINENESSES), shape=st.sampled_from(SHAPES))
@settings(deadline=None, max_examples=20)
def test_any_bytes_are_an_error_or_an_image(data, fineness, shape):
    codec = fitted_base()
    try:
        c = codec.decode(data, fineness, shape)
    except HscError as error:
        assert "\n" not in str(error)
        return
    assert c.shape[0] == CHANNELS and np.abs(c).max() <= base.LARGEST
    assert codec.synthesise(c, fineness, shape).refined.isfinite().all()


@lru_cache(maxsize=1)
def sound_code(shape):
    return fitted_base().encode(picture(shape), 2).data


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(deadline=None, max_examples=20)
def test_damaged_codes_never_crash(place, bit, cut):
    codec, shape = fitted_base(), (64, 64, 3)
    data = bytearray(sound_code(shape))
    at = int(place * len(data))
    damaged = bytes(data[:at]) if cut else bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
    try:
        c = codec.decode(damaged, 2, shape)
    except HscError:
        return
    assert codec.synthesise(c, 2, shape).expanded.isfinite().all()


def test_bad_input_is_one_clear_line():
    codec, image = fitted_base(), picture((40, 40, 3))
    code = codec.encode(image, 0)
    for wrong in (-1, len(STEPS)):
        with pytest.raises(HscError, match="choose one of 0 to 4"):
            codec.encode(image, wrong)
        with pytest.raises(HscError, match="choose one of 0 to 4"):
            codec.decode(code.data, wrong, image.shape)
    for shape in ((0, 4, 3), (4, 4, 2), (1 << 13, 1 << 13, 3)):
        with pytest.raises(HscError, match="cannot be sent"):
            codec.decode(code.data, 0, shape)
    with pytest.raises(HscError, match="c of an image"):
        codec.synthesise(code.c, 0, (200, 40, 3))
    with pytest.raises(HscError, match="uint8"):
        codec.encode(image.astype(float), 0)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_cost_next_to_nothing(level):
    codec = fitted_base()
    image = np.full((256, 256, 3), level, np.uint8)
    for fineness in FINENESSES:
        code = codec.encode(image, fineness)
        assert len(code.data) < 160  # 0.02 bits per pixel
        made = codec.synthesise(code.c, fineness, image.shape).expanded
        assert (made - level / 255).abs().max() < 0.7 * STEPS[fineness] / CELL


def test_functions_use_the_shipped_weights(tmp_path, monkeypatch):
    weights.save(base.WEIGHTS, fitted_network().state_dict(), {}, "float16", tmp_path)
    load = weights.load
    monkeypatch.setattr(weights, "load", lambda name: load(name, tmp_path))
    base.load_base.cache_clear()
    image = picture((40, 70, 1))
    try:
        code = base.encode(image, 1)
        c = base.decode(code.data, 1, image.shape)
        assert np.array_equal(c, code.c)
        assert base.synthesise(c, 1, image.shape).refined.shape == (1, 3, 64, 96)
    finally:
        base.load_base.cache_clear()


def test_trainings_stand_behind_what_receivers_make():
    """c, c′ and x′ of the frozen base are the codec's, of a network whose FineNet does something."""
    state = {name: value.clone() for name, value in fitted_network().state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    for name, value in state.items():
        if name.startswith("fine.") and not value.any():
            value.copy_(0.01 * torch.randn(value.shape, generator=generator))
    network = BaseNetwork()
    network.load_state_dict(state)
    codec, frozen = base.BaseCodec(network), base_prior.load(state)
    image = picture((64, 96, 3))
    code = codec.encode(image, 1)
    made = codec.synthesise(code.c, 1, image.shape)
    found = frozen.code(planes(image[None]), 1)
    assert np.array_equal(found[0], code.c) and frozen.finenesses == len(codec.finenesses)
    torch.testing.assert_close(frozen.synthesise(found, 1), made.refined, rtol=0, atol=1e-5)
    torch.testing.assert_close(frozen.refined(planes(image[None]), 1), made.refined, rtol=0, atol=1e-5)
    assert (made.refined - made.expanded).abs().max() > 1e-3


def test_the_finest_that_fits_is_found_in_few_codes(monkeypatch):
    """As trying all of them finds; with one code where the length is foretold well, which it mostly is."""
    codec, made = base.load_base(), []
    code = type(codec).code
    monkeypatch.setattr(
        type(codec), "code", lambda self, c, fineness: made.append(fineness) or code(self, c, fineness)
    )
    tries = []
    for path in samples.photographs():
        c = codec.compress(files.load(path).pixels[:160, :240])
        lengths = [len(code(codec, c, fineness).data) for fineness in FINENESSES]
        for most in (0, lengths[0], 1.2 * lengths[1], lengths[3] - 1, lengths[3], 2 * lengths[-1]):
            made.clear()
            fineness, found = codec.finest(c, int(most))
            assert fineness == max((f for f in FINENESSES if lengths[f] <= int(most)), default=0)
            assert len(found.data) == lengths[fineness]
            tries.append(len(made))
    assert np.mean(tries) < 2 and max(tries) <= 3
