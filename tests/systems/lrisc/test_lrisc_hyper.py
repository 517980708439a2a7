"""The hyper-latent of LRISC: integers both ways, the transform of low channels, variances that are true."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.app import samples
from gnuradio.hsc.coding import activity
from gnuradio.hsc.coding.analog_part import NEVER
from gnuradio.hsc.images.files import load
from gnuradio.hsc.nn import planes
from gnuradio.hsc.nn.transform import pad
from gnuradio.hsc.systems.lrisc import hyper, means
from gnuradio.hsc.systems.lrisc.network import MULTIPLE, LriscNetwork, load_network
from hypothesis import given, settings
from hypothesis import strategies as st

LOW = list(hyper.LOW)
HIGH = [channel for channel in range(120) if channel not in hyper.LOW]
FINENESSES = range(len(hyper.STEPS))


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photographs():
    """z of the sample images, (120, h, w) each, for 10 dB and CBR 1/12."""
    network, _ = load_network()
    with torch.inference_mode():
        images = [pad(planes.to_planes(load(path).pixels), MULTIPLE) for path in samples.photographs()]
        return [network.encode(image, torch.tensor([10.0]), torch.tensor([1 / 12])) for image in images]


# ---- low channels


def test_gathering_is_orthonormal_and_leaves_the_other_channels():
    z = normal(2, 120, 8, 12)
    gathered = hyper.gather_low(z)
    assert torch.equal(gathered[:, HIGH], z[:, HIGH])
    torch.testing.assert_close(hyper.gather_low(gathered, inverse=True), z, rtol=0, atol=2e-6)
    power = [each[:, LOW].square().sum((-1, -2)) for each in (gathered, z)]
    torch.testing.assert_close(*power)


def test_what_is_flat_over_a_cell_is_gathered_at_its_first_token():
    """Means of luma and colour as two waves: sum and difference of two cells over √2."""
    z = torch.zeros(1, 120, 4, 8)
    z[:, LOW, :, :4], z[:, LOW, :, 4:] = 1.0, -3.0
    wanted = torch.zeros(1, 120, 4, 8)
    wanted[:, LOW, 0, 0], wanted[:, LOW, 0, 4] = 4.0, -12.0
    waves = list(hyper.MEAN_CHANNELS)
    wanted[:, waves, 0, 0], wanted[:, waves, 0, 4] = -8 / 2**0.5, 16 / 2**0.5
    torch.testing.assert_close(hyper.gather_low(z), wanted)


def test_spread_variance_is_the_diagonal_of_the_covariance():
    """Errors behind `gather_low` are independent; those of tokens, z = Mᵀ u, have the covariance
    Mᵀ diag(v) M.
    """
    variance = normal(1, 120, 4, 8).abs()
    found = hyper.spread_variance(variance)
    assert torch.equal(found[:, HIGH], variance[:, HIGH])
    units = torch.eye(32).reshape(32, 1, 4, 8).expand(32, 120, 4, 8)
    back = hyper.gather_low(units, inverse=True)  # what each coefficient alone gives
    for channel in LOW:
        matrix = back[:, channel].flatten(1).double()
        covariance = matrix.T @ variance[0, channel].flatten().double().diag() @ matrix
        np.testing.assert_allclose(found[0, channel].flatten().numpy(), covariance.diag().numpy(), rtol=1e-4)


def test_waves_have_the_variances_of_their_table():
    """Octaves of k / N in integers, and log2 N more at frequency 0; however long a side is."""
    table = torch.arange(3 * means.LEVELS**2).reshape(3, means.LEVELS, means.LEVELS)
    found = means.log_variances(table, 4, 64)
    assert found[1, 0, 0] == table[1, 0, 0] + 64 * (2 + 6)
    assert found[1, 1, 0] == table[1, 5, 0] + 64 * 6  # 1 / 4
    assert found[2, 3, 63] == table[2, 6, 6] and found[2, 2, 1] == table[2, 6, 1]
    maps = normal(3, 5, 100)
    torch.testing.assert_close(means.waves(means.waves(maps), inverse=True), maps, rtol=0, atol=1e-5)
    assert means.log_variances(table, 1, 200).shape == (3, 1, 200)


# ---- y


@pytest.mark.parametrize("fineness", FINENESSES)
@pytest.mark.parametrize("octaves", [-6, 0, 3])
def test_rows_tell_the_energy_of_even_images(fineness, octaves):
    """Half an octave a row from row 30 on, as exactly as the step of the quantiser allows."""
    weight = torch.linspace(0.1, 3, 120)
    z = (weight * 2.0**octaves).sqrt()[None, :, None, None].expand(1, 120, 4, 8)
    y = hyper.latents(z, weight, fineness)
    rows = activity.rows(y, hyper.STEPS[fineness])
    # of the mean over 16 tokens, which is 4 × that of one: step / 8 / 4 octaves, half of it up or down
    off = hyper.STEPS[fineness] / 32 / 2
    assert ((rows - activity.OFFSET) / 2 - octaves).abs().max() <= off + 0.25
    assert y.count_nonzero() <= 2 * 2 and (rows == rows[..., :1, :1]).all()


def test_weights_of_tokens_are_those_of_their_cells_low_channels():
    """A token that is alone in its cell lifts all of the cell's DCT, not the place of its own number."""
    log_power = torch.from_numpy(np.random.default_rng(1).integers(-900, 900, (120, 8, 12)))
    log_weight = torch.zeros(8, 12, dtype=torch.int64)
    log_weight[3, 3], log_weight[4:, 8:] = 256, 64
    found = hyper.weighted(log_power, log_weight) - log_power
    assert (found[HIGH] == log_weight).all()
    wanted = log_weight.clone()
    wanted[:4, :4] = 256
    assert (found[LOW] == wanted).all()


@pytest.mark.parametrize("eighths", [0, 3, 8])
def test_texture_is_a_power_of_the_energy_around(eighths):
    """log2 of σ^(−2a), σ² the geometric mean of 3 × 3 tokens, rows being half an octave; rounded down."""
    y = torch.from_numpy(np.random.default_rng(1).integers(-6, 7, (2, activity.LATENTS, 2, 3)))
    rows = activity.rows(y, hyper.STEPS[2])[:, 0].numpy().clip(min=hyper.CALMEST)
    around = np.stack([np.pad(row, 1, mode="edge") for row in rows])
    mean = np.lib.stride_tricks.sliding_window_view(around, (3, 3), (1, 2)).mean((-1, -2))
    wanted = -eighths / 8 * (mean - activity.OFFSET) / 2 * 64
    found = hyper.texture(y, 2, eighths)
    assert found.dtype == torch.int64
    assert ((wanted - found.numpy() >= -1e-9) & (wanted - found.numpy() < 1)).all()


def test_textures_of_a_cell_weigh_as_their_mean_in_its_low_channels():
    rng = np.random.default_rng(1)
    log_power = torch.from_numpy(rng.integers(-900, 900, (120, 8, 12)))
    weights = rng.integers(-300, 300, (8, 12))
    found = (hyper.textured(log_power, torch.from_numpy(weights)) - log_power).numpy()
    assert (found[HIGH] == weights).all()
    cells = np.floor(weights.reshape(2, 4, 3, 4).mean((1, 3))).repeat(4, 0).repeat(4, 1)
    for channel in hyper.LOW:
        assert (found[channel] == cells).all()


def test_what_decides_of_the_waves_needs_neither_y_nor_region():
    _, model = load_network()
    generator = torch.Generator().manual_seed(1)
    told = [torch.randint(-6, 7, (32, 2, 3), generator=generator) for _ in range(2)]
    weights = [torch.zeros(8, 12, dtype=torch.int64), torch.full((8, 12), 256)]
    found = []
    for y, weight in zip(told, weights, strict=True):
        log_power = hyper.log_variances(model, y[None], 2)[0]
        ranks = hyper.ranks(log_power, y, 2, 5, weight, (64, 96, 3))
        found.append([hyper.waves_of(each[None])[0] for each in (log_power, ranks)])
    (power, ranks), others = found
    assert torch.equal(power, others[0]) and torch.equal(ranks, others[1])
    assert torch.equal(power, hyper.wave_log_powers(model, 2, 3))
    assert torch.equal(ranks, hyper.wave_ranks(power, 5, 3))


@pytest.mark.parametrize("shape", [(64, 96, 3), (57, 89, 3), (56, 88, 3), (49, 80, 1), (33, 65, 1)])
def test_neither_padding_nor_the_colour_of_grey_is_sent(shape):
    """Tokens that hold a pixel are; so are the low channels that a cell's tokens share."""
    _, model = load_network()
    y = torch.randint(-6, 7, (32, 2, 3), generator=torch.Generator().manual_seed(1))
    log_power = hyper.log_variances(model, y[None], 2)[0]
    never = hyper.ranks(log_power, y, 2, 5, torch.zeros(8, 12, dtype=torch.int64), shape) == NEVER
    token = torch.ones(8 * 8, 12 * 8)
    token[: shape[0], : shape[1]] = 0
    outside = token.unfold(0, 8, 8).unfold(1, 8, 8).amin((-1, -2)).bool()
    assert torch.equal(never[HIGH], outside.expand(len(never[HIGH]), 8, 12))
    waves = hyper.waves_of(never[None])[0]
    assert not waves[0].any() and (waves[1:] == (shape[2] == 1)).all()
    others = hyper.with_waves(never[None], 0)[0].bool()
    assert not others[list(hyper.LOW)].any()


@pytest.mark.parametrize(
    ("cbr", "eighths"), [(1e-4, 2), (1 / 48, 2), (1 / 24, 4), (1 / 12, 6), (1 / 6, 8), (1, 8)]
)
def test_more_channel_uses_give_calm_places_more(cbr, eighths):
    assert hyper.best_texture(cbr, 20.0) == hyper.best_texture(cbr, 5.0) == eighths


@pytest.mark.parametrize(("snr_db", "eighths"), [(-30.0, 2), (-2.0, 3), (0.0, 4), (2.5, 5), (5.0, 6)])
def test_noise_gives_calm_places_less(snr_db, eighths):
    assert hyper.best_texture(1 / 12, snr_db) == eighths


def test_cells_have_the_mean_row_rounded():
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 44, (2, 2, 8, 12)))
    found = hyper.cell_rows(rows).numpy()
    mean = rows.numpy().reshape(2, 2, 2, 4, 3, 4).mean((3, 5))
    assert np.array_equal(found, np.floor(mean + 0.5))


def test_variances_are_looked_up_in_integers_alone():
    """The same as a plain loop over coefficients, with any number of threads, alone or in a batch, from
    weights in any precision.
    """
    network, model = load_network()
    y = torch.from_numpy(np.random.default_rng(1).integers(-6, 7, (2, activity.LATENTS, 2, 3)))
    threads = torch.get_num_threads()
    half = LriscNetwork()
    half.load_state_dict(network.state_dict())
    for fineness in FINENESSES:
        found = hyper.log_variances(model, y, fineness)
        assert found.dtype == torch.int64
        rows = activity.rows(y, hyper.STEPS[fineness]).numpy()
        table, low = model.log_power[fineness].numpy(), model.low_power[fineness].numpy()
        for image, channel, down, across in np.ndindex(*found.shape):
            group = int(channel >= 64)
            if channel in hyper.MEAN_CHANNELS and down % 4 == across % 4 == 0:
                continue  # a wave: `test_waves`
            if channel in LOW:
                cell = rows[image, group, down // 4 * 4 :, across // 4 * 4 :][:4, :4]
                row = (int(cell.sum()) + 8) // 16
                wanted = low[row, LOW.index(channel), down % 4 * 4 + across % 4]
            else:
                wanted = table[rows[image, group, down, across], channel]
            assert found[image, channel, down, across] == wanted
        try:
            torch.set_num_threads(2)
            for one, whole in zip(y, found, strict=True):
                assert torch.equal(hyper.log_variances(half.half().model(), one[None], fineness)[0], whole)
        finally:
            torch.set_num_threads(threads)


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(FINENESSES)))
@settings(max_examples=20, deadline=None)
def test_whatever_y_comes_has_variances(seed, fineness):
    """Sums of escaped differences are large; their rows stay in the table."""
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.integers(-32768, 32768, (activity.LATENTS, 4, 4)) * rng.integers(0, 2)).cumsum(1)
    found = hyper.log_variances(load_network()[1], y[None], fineness)
    assert found.shape == (1, 120, 16, 16) and found.abs().max() < 1 << 14


def test_what_is_less_than_the_dead_zone_is_nothing():
    """Rows of y that are no means: 0 below 0.7 steps, 1 from there to 1.7; the means are rounded."""
    _, model = load_network()
    for fineness, step in enumerate(hyper.STEPS):
        z = normal(1, 120, 16, 16) * model.weight.sqrt()[:, None, None]
        spectrum = activity.spectrum(activity.energies(z, model.weight), step)
        y = hyper.latents(z, model.weight, fineness)
        others = [row for row in range(activity.LATENTS) if row not in hyper.MEANS]
        assert torch.equal(y[:, list(hyper.MEANS)], spectrum[:, list(hyper.MEANS)].round().long())
        off = spectrum[:, others].abs() - y[:, others].abs()
        assert (off >= -0.3 - 1e-6).all() and (off <= 0.7 + 1e-6).all()
        assert (y[:, others] * spectrum[:, others] >= 0).all()


@pytest.mark.parametrize("fineness", FINENESSES)
def test_variances_are_those_of_photographs(fineness, photographs):
    """σ²(y) against the mean of z² where it is predicted: equal within 20 % in all; within a factor of three
    in every octave from −51 dB on that holds a thousandth of the coefficients (below, z is what JPEG left);
    rising from octave to octave.
    """
    _, model = load_network()
    said, squares = [], []
    for z in photographs:
        y = hyper.latents(z, model.weight, fineness)
        said.append(hyper.log_variances(model, y, fineness).flatten())
        squares.append(hyper.gather_low(z).square().flatten())
    said, squares = torch.cat(said), torch.cat(squares)
    variance = (said / activity.OCTAVE).exp2()
    assert 1 / 1.2 < squares.mean() / variance.mean() < 1.2
    octave = torch.div(said, activity.OCTAVE, rounding_mode="floor")
    means = []
    for value in range(-17, 3):
        here = octave == value
        if here.sum() > len(said) / 1000:
            means.append(float(squares[here].mean()))
            assert 1 / 3 < means[-1] / variance[here].mean() < 3, value
    assert len(means) > 12 and means == sorted(means)


def test_low_tables_are_the_power_of_what_they_are_fitted_to():
    """Gaussian tokens whose activity is known: the mean power by cell and place comes back in 1/64 octave."""
    _, model = load_network()
    power = 2.0 ** torch.tensor([-4.0, -1.0, 2.0]).repeat_interleave(16)
    z = normal(48, 120, 8, 8) * (model.weight[:, None, None] * power[:, None, None, None]).sqrt()
    y = hyper.latents(z, model.weight, 0)
    table = hyper.fit_low(z, y, 0)
    assert table.shape == (activity.ROWS, len(LOW), 16)
    rows = hyper.cell_rows(activity.rows(y, hyper.STEPS[0]))[:, 0]
    for index, octaves in enumerate((-4, -1, 2)):
        row = int(rows[16 * index : 16 * index + 16].flatten().median())
        wanted = octaves + model.weight[LOW[0]].log2()
        assert abs(table[row, 0].float().mean() / activity.OCTAVE - wanted) < 0.3
