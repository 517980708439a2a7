"""Parts of the HDA codecs: whitening, water-filling, activity, densities, tables, regions, the digital
stream.
"""

import hashlib
import itertools
import types

import numpy as np
import pytest
import torch
from gnuradio.hsc.coding import activity, analog_part, regions, stored_tables, whitening
from gnuradio.hsc.coding.analog_part import Selection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import ReceivedAnalog
from gnuradio.hsc.nn import swin
from gnuradio.hsc.nn.swin import ResidualSwinBlock, SwinLayer
from gnuradio.hsc.nn.transform import BlockTransform, basis, pad
from gnuradio.hsc.systems.hda import stream
from gnuradio.hsc.systems.hda.allocation import cheapest
from gnuradio.hsc.systems.hda.factorized import FactorizedDensity
from gnuradio.hsc.systems.hda.parameters import HdaParameters
from gnuradio.hsc.systems.hda.stream import RegionPart
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.stats import logistic


def test_block_transform_is_the_dct_and_loses_only_what_it_leaves_out():
    rng = np.random.default_rng(1)
    block = rng.random((8, 8))
    image = torch.from_numpy(np.broadcast_to(block, (1, 3, 8, 8)).copy()).float()
    found = BlockTransform()(image)[0, :64, 0, 0].detach().numpy()
    wanted = dctn(np.sqrt(3) * (block - 0.5), norm="ortho")
    assert np.allclose(np.sort(np.abs(found)), np.sort(np.abs(wanted.ravel())), atol=1e-5)
    kernels = basis().reshape(120, -1)
    assert np.allclose(kernels @ kernels.T, np.eye(120), atol=1e-12)


def test_padding_keeps_the_image_and_fills_to_multiples():
    image = torch.rand(1, 3, 33, 5)
    padded = pad(image, 32)
    assert padded.shape == (1, 3, 64, 32) and torch.equal(padded[..., :33, :5], image)


def test_untrained_swin_block_is_the_identity_for_any_size():
    features = torch.randn(2, 24, 11, 17)
    assert torch.equal(ResidualSwinBlock(24, 2, 3, 4)(features), features)


def test_swin_attention_stays_in_its_window():
    torch.manual_seed(1)
    layer, tokens = SwinLayer(12, 3, 4, 0), torch.randn(1, 8, 8, 12)
    changed = tokens.clone()
    changed[0, 0, 0, 0] += 3
    difference = (layer(changed, None) - layer(tokens, None)).abs().amax(-1)[0]
    assert difference[:4, :4].min() > 0 and difference[4:].max() == 0 and difference[:, 4:].max() == 0


@pytest.mark.parametrize("shift", [0, 2])
def test_neither_padding_nor_the_far_side_of_a_shift_reaches_a_token(shift):
    torch.manual_seed(1)
    layer, tokens = SwinLayer(12, 3, 4, shift), torch.randn(1, 8, 8, 12)
    mask = swin._mask(6, 8, 4, shift, tokens.device)  # two rows of padding
    changed = tokens.clone()
    changed[:, 6:] = torch.randn(1, 2, 8, 12)
    assert torch.equal(layer(changed, mask)[:, :6], layer(tokens, mask)[:, :6])
    changed = tokens.clone()
    changed[:, :, 7, 0] += 3
    assert torch.equal(layer(changed, mask)[:, :6, 0], layer(tokens, mask)[:, :6, 0])


def test_density_of_the_start_is_a_logistic_and_sums_to_one():
    density = FactorizedDensity(3, torch.tensor([0.5, 1.0, 4.0]))
    for biases in density.biases:
        torch.nn.init.zeros_(biases)
    x = torch.linspace(-2, 2, 9)[None, None].expand(3, 1, -1)
    slope = 1.7
    assert torch.allclose(
        torch.sigmoid(density.logits(x))[1, 0],
        torch.from_numpy(logistic.cdf(slope * x[1, 0].numpy())).float(),
        atol=1e-3,
    )
    inside = density.probabilities(0.5, 40, 0.1)
    assert torch.allclose(inside.sum(1), torch.ones(3, dtype=torch.double), atol=1e-6)


def test_rate_of_a_known_density_is_its_entropy():
    torch.manual_seed(1)
    density = FactorizedDensity(1, 1.0)
    for biases in density.biases:
        torch.nn.init.zeros_(biases)
    samples = torch.from_numpy(logistic.rvs(scale=1 / 1.7, size=(200, 1, 16, 16), random_state=1)).float()
    bits = density(samples, torch.full((200, 1, 1, 1), 0.05)).mean().item() / 256
    wanted = (2 - np.log(1.7)) / np.log(2) - np.log2(
        0.05
    )  # differential entropy of the logistic, less the step
    assert bits == pytest.approx(wanted, abs=0.02)


def test_activity_rows_follow_the_energy_and_are_integers_of_integers():
    energy = 2.0 ** torch.linspace(-6, 4, 2 * 8 * 12).reshape(1, 2, 8, 12)
    for step in set(activity.STEPS):
        latents = activity.quantise(energy, step)
        rows = activity.rows(latents, step)
        wanted = 2 * energy.log2() + activity.OFFSET
        assert rows.dtype == torch.int64 and rows.shape == energy.shape
        assert (rows - wanted).abs().max() < 0.5 + 2 * step  # sixteen roundings of half a step, at worst


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(set(activity.STEPS))))
@settings(max_examples=50, deadline=None)
def test_activity_rows_of_any_received_latents_stay_in_the_table(seed, step):
    latents = torch.from_numpy(np.random.default_rng(seed).integers(-(2**15), 2**15, (1, 32, 2, 3)))
    rows = activity.rows(latents, step)
    assert rows.min() >= 0 and rows.max() < activity.ROWS


def test_water_filling_beats_other_allocations_and_meets_the_constraint():
    log_power = torch.tensor([[[640]], [[320]], [[0]], [[-320]]])
    water = analog_part.water_level(log_power, 10.0)
    layer = analog_part.analog_layer(log_power, Selection(-1000, water))
    p = (layer.gain.square() * layer.power).flatten().double()
    power = layer.power.flatten().double()
    snr = 10.0

    def error(p):
        return float((power / (1 + p / p.mean() * snr)).sum())

    assert error(p) <= min(error(power.sqrt()), error(power), error(torch.ones(4).double())) * 1.001


def test_selection_is_the_strongest_that_fit():
    log_power = torch.randint(-500, 500, (120, 8, 8))
    chosen = analog_part.select(log_power, 3000, 10.0)
    sent = log_power >= chosen.threshold
    assert 2900 <= int(sent.sum()) <= 3000
    assert int(analog_part.select(log_power, -5, 10.0).threshold) > int(log_power.max())


@pytest.mark.parametrize("shape", [(64, 64, 3), (9, 17, 3), (33, 64, 1), (1, 57, 3)])
@pytest.mark.parametrize("values", [500, 1 << 20])
def test_nothing_is_sent_of_tokens_without_a_pixel(shape, values):
    """However much room there is."""
    log_power = torch.randint(-500, 500, (120, 8, 8))
    ranked = analog_part.without_padding(log_power, shape)
    sent = ranked >= analog_part.select(ranked, values, 10.0).threshold
    pixels = torch.zeros(64, 64)
    pixels[: shape[0], : shape[1]] = 1
    inside = pixels.unfold(0, 8, 8).unfold(1, 8, 8).amax((-1, -2)).bool()
    assert not sent[:, ~inside].any()
    assert torch.equal(ranked[:, inside], log_power[:, inside])
    room = min(values, 120 * int(inside.sum()))
    assert 0.9 * room <= int(sent.sum()) <= room


def test_a_message_of_a_version_before_is_refused():
    parameters = HdaParameters(2, 5, 1, Selection(-40, 30), 1234)
    assert HdaParameters.unpack(parameters.pack()) == parameters
    with pytest.raises(HscError, match="older version"):
        HdaParameters.unpack(bytes([parameters.pack()[0] & 0x7F]) + parameters.pack()[1:])


def test_as_many_analog_values_are_made_as_are_foreseen():
    log_power = torch.randint(-500, 500, (120, 40, 72))
    where = regions.regions(320, 576)
    for values in (0, 1, 999, 40_000):
        chosen = analog_part.select(log_power, values, 10.0)
        made, _ = analog_part.gather(torch.ones(log_power.shape), log_power, chosen, where)
        assert len(made) == analog_part.length(log_power, chosen, where)
        assert len(made) <= values + len(where) * whitening.GROUP


@pytest.mark.parametrize(
    ("errors", "found", "asked"),
    [([], None, 0), ([3], 3, 1), ([3, 2, 1], 1, 3), ([3, 2, 2, 1], 2, 3), ([3, 4, 1], 3, 2)],
)
def test_the_search_stops_at_the_first_allocation_that_is_no_better(errors, found, asked):
    seen = []

    def candidates():
        for error in errors:
            seen.append(error)
            yield types.SimpleNamespace(error=error)

    best = cheapest(candidates())
    assert (best and best.error) == found and len(seen) == asked


def whitened(power, noise_variance, lost, seed=1):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(power), generator=generator) * power.sqrt()
    sent = whitening.mix(values)
    noise = torch.full((len(sent),), noise_variance)
    noise[torch.rand(len(sent), generator=generator) < lost] = torch.inf
    received = sent + noise.nan_to_num(posinf=0).sqrt() * torch.randn(len(sent), generator=generator)
    estimate, variance = whitening.unmix(received * torch.isfinite(noise), noise, power)
    return values, estimate, variance


@pytest.mark.parametrize("lost", [0.0, 0.2, 1.0])
def test_unmixing_reaches_the_error_that_it_states(lost):
    power = torch.logspace(2, -2, 16 * 400)
    values, estimate, variance = whitened(power, 0.1, lost)
    assert float((values - estimate).square().mean()) == pytest.approx(float(variance.mean()), rel=0.1)
    if lost == 0:
        assert torch.allclose(variance, power * 0.1 / (power + 0.1), rtol=1e-4)
    if lost == 1:
        assert torch.allclose(variance, power, rtol=1e-4) and not estimate.any()


def test_whitening_loses_less_than_the_share_of_the_power():
    power = torch.logspace(2, -2, 16 * 400)
    values, estimate, _ = whitened(power, 1e-4, 0.2)
    assert float((values - estimate).square().mean()) < 0.5 * 0.2 * float(power.mean())


def test_whitening_with_twice_as_many_values_bears_any_three_lost():
    """Eight values of one group, sixteen sent without noise: all eight come out whichever three are lost, and
    with most losses of four, as the singular values of what arrives say.
    """
    values, power = torch.arange(1.0, 9.0), torch.full((8,), 36.0)
    sent = whitening.mix(values, 2)
    assert len(sent) == 16
    made = torch.stack([whitening.mix(unit, 2) for unit in torch.eye(8)], 1)
    for count, gaps in ((3, 0), (4, 20)):
        singular = 0
        for lost in itertools.combinations(range(16), count):
            noise = torch.full((16,), 1e-6)
            noise[list(lost)] = torch.inf
            estimate, variance = whitening.unmix(sent * torch.isfinite(noise), noise, power, 2)
            rest = made[torch.isfinite(noise)]
            whole = torch.linalg.svdvals(rest)[-1] > 1e-3
            singular += int(~whole)
            assert (variance.max() < 1e-4) == whole
            assert not whole or torch.allclose(estimate, values, atol=1e-4)
        assert singular == gaps


def test_whitening_spreads_power_evenly_over_what_is_sent():
    power = torch.logspace(2, -2, 16 * 400)
    sent = whitening.mix(torch.randn(len(power)) * power.sqrt()).reshape(16, -1).square().mean(1)
    assert float(sent.max() / sent.min()) < 1.3
    assert len(whitening.mix(torch.ones(17))) == 32


def test_regions_cover_every_latent_position_once():
    covered = np.zeros(regions.grid(600, 300), int)
    for region in regions.regions(600, 300):
        covered[region.latents] += 1
    assert (covered == 1).all() and [r.index for r in regions.regions(600, 300)] == list(range(6))


def test_values_return_to_their_places_and_unknown_regions_stay_unknown():
    torch.manual_seed(1)
    log_power = torch.randint(-300, 600, (120, 40, 40))
    features = torch.randn(120, 40, 40) * (log_power / 64).exp2().sqrt()
    selection = analog_part.select(log_power, 40 * 40 * 40, 30.0)
    where = regions.regions(320, 320)
    values, first = analog_part.gather(features, log_power, selection, where)
    received = ReceivedAnalog(values, np.full(len(values), 1e-9, np.float32), np.ones(len(values), bool))
    estimate, variance = analog_part.scatter(
        received, log_power, selection, list(zip(where, first, strict=True))[1:]
    )
    sent = log_power >= selection.threshold
    known = torch.ones(40, 40, dtype=torch.bool)
    known[where[0].tokens] = False
    assert torch.allclose(estimate[sent & known], features[sent & known], atol=1e-2)
    assert not estimate[:, ~known].any() and not estimate[~sent].any()
    assert torch.allclose(variance[~sent], (log_power[~sent] / 64).exp2())


@given(st.binary(max_size=400), st.integers(1, 5), st.sampled_from([None, bytes(32)]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_open_to_parts_or_nothing(data, count, key):
    opened = stream.unseal(data, np.ones(len(data), bool), count, key)
    assert len(opened.parts) + opened.closed <= count


@pytest.mark.parametrize("key", [None, bytes(range(32))])
def test_stream_parts_survive_loss_of_others_and_of_one_directory(key):
    parts = [RegionPart(1000 * i, bytes([i]) * (50 + i)) for i in range(4)]
    data = stream.seal(parts, key)
    assert len(data) == sum(len(part.code) for part in parts) + stream.overhead(4, key)
    received = np.ones(len(data), bool)
    received[:5] = False  # the first directory
    received[len(data) // 2] = False
    opened = stream.unseal(data, received, 4, key)
    assert len(opened.parts) == 3 and opened.closed == 0
    assert all(opened.parts[i] == parts[i] for i in opened.parts)


def test_flipped_bits_of_a_sealed_part_are_detected():
    key = bytes(range(32))
    data = stream.seal([RegionPart(7, b"semantic" * 8)], key)
    for place, bit in itertools.product(range(5, len(data) - 5), range(8)):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        opened = stream.unseal(bytes(changed), np.ones(len(data), bool), 1, key)
        assert not opened.parts and opened.closed == 1
    assert stream.unseal(data, np.ones(len(data), bool), 1, None).closed == 1


def test_packed_tables_keep_their_sum_and_their_shape():
    rng = np.random.default_rng(1)
    probabilities = rng.random((5, 82)) ** 8
    packed = stored_tables.pack_tables(probabilities)
    assert (packed >= 0).all() and ((packed + 1).sum(1) == stored_tables.STORED_TOTAL).all()
    tables = stored_tables.unpack_tables(torch.from_numpy(packed.astype(np.uint16)))
    share = probabilities / probabilities.sum(1, keepdims=True)
    assert np.abs(tables.probabilities / 2**24 - share).max() < 3e-3


def test_selection_follows_from_integers_alone():
    """Golden: the analog layout of a fixed map of integers; both ends of every link must agree on it."""
    table = (torch.arange(44)[:, None] * 32 - torch.arange(120)[None] * 9).long()
    latents = torch.from_numpy(np.random.default_rng(5).integers(-6, 7, (1, 32, 3, 5)))
    log_power = activity.power_table(table, activity.rows(latents, 12))[0]
    sent = (log_power >= 320).numpy()
    order = whitening.order(log_power[torch.from_numpy(sent)]).numpy()
    assert (
        hashlib.sha256(np.packbits(sent).tobytes() + order.astype("<i4").tobytes()).hexdigest()[:16]
        == "0229f8c06173d522"
    )
    assert Selection(320, 0).threshold == 320


def test_training_works_after_inference_in_the_same_process():
    block, features = ResidualSwinBlock(12, 2, 3, 4), torch.randn(1, 12, 7, 9)
    torch.nn.init.dirac_(block.convolution.weight)
    swin._mask.cache_clear()
    swin._relative.cache_clear()
    with torch.inference_mode():
        block(features)
    block(features).sum().backward()
    assert block.layers[0].position.grad.abs().sum() > 0
