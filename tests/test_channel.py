"""Symbol channels against their definitions: mean gains, noise variance, outage of Rayleigh fading."""

import numpy as np
import pytest
import torch
from gnuradio.hsc import channel
from gnuradio.hsc.errors import HscError

NORMALS = {
    "numpy": lambda: channel.numpy_normal(np.random.default_rng(3)),
    "torch": lambda: channel.torch_normal(generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("library", NORMALS)
@pytest.mark.parametrize("kind", channel.KINDS[1:])
def test_noise_variance_and_mean_gain(library, kind):
    normal = NORMALS[library]()
    h = np.asarray(channel.gain(kind, (200_000,), normal))
    assert np.mean(np.abs(h) ** 2) == pytest.approx(1, abs=0.02)
    symbols = normal((400, 500))
    out, variance = channel.transmit(symbols, 7.0, kind, normal)
    assert tuple(out.shape) == (400, 500) and tuple(variance.shape) == (400, 1)
    error = np.abs(np.asarray(out - symbols)) ** 2 / np.asarray(variance)
    assert error.mean() == pytest.approx(1, abs=0.02)  # the variance reported is the variance there is


def test_rayleigh_outage_is_exponential():
    h = channel.gain("rayleigh", (200_000,), channel.numpy_normal(np.random.default_rng(1)))
    for threshold in (0.1, 0.5, 1.0):
        assert np.mean(np.abs(h) ** 2 < threshold) == pytest.approx(1 - np.exp(-threshold), abs=0.01)


def test_rician_line_of_sight_power():
    h = channel.gain("rician", (200_000,), channel.numpy_normal(np.random.default_rng(2)), rician_k=4.0)
    assert abs(h.mean()) ** 2 == pytest.approx(0.8, abs=0.01)


def test_ideal_channel_and_unknown_channel():
    normal = channel.numpy_normal(np.random.default_rng(0))
    symbols = normal((2, 3))
    out, variance = channel.transmit(symbols, 10.0, "ideal", normal)
    np.testing.assert_array_equal(out, symbols)
    assert not variance.any()
    with pytest.raises(HscError, match="choose one of"):
        channel.gain("fog", (1,), normal)


def test_bsc_and_erasure_rates():
    rng = np.random.default_rng(5)
    assert channel.bsc(np.zeros(100_000, np.uint8), 0.03, rng).mean() == pytest.approx(0.03, abs=0.003)
    assert channel.erased(100_000, 0.2, rng).mean() == pytest.approx(0.2, abs=0.01)


def runs_of(lost):
    """Lengths of the runs of losses that begin and end inside."""
    steps = np.diff(np.concatenate([[0], lost.astype(int), [0]]))
    return np.flatnonzero(steps == -1) - np.flatnonzero(steps == 1)


@pytest.mark.parametrize(("share", "burst"), [(0.16, 1.0), (0.16, 4.0), (0.05, 10.0), (0.5, 2.5), (0.9, 1.0)])
def test_gilbert_elliott_losses_have_their_share_and_mean_burst(share, burst):
    """The closed form: bad states of mean length 1 / r, geometric, a share q / (q + r) of all."""
    lost = channel.erased(400_000, share, np.random.default_rng(7), burst)
    mean = max(burst, 1 / (1 - share))
    lengths = runs_of(lost)
    # The standard error of the share grows with the memory of the chain.
    assert lost.mean() == pytest.approx(share, abs=5 * (share * mean / 400_000) ** 0.5)
    assert lengths.mean() == pytest.approx(mean, rel=0.04)
    for length in (1, 2, 4):
        assert (lengths > length).mean() == pytest.approx((1 - 1 / mean) ** length, abs=0.02)
    # What follows a loss is lost with 1 − r, what follows a block that came with q.
    assert lost[1:][lost[:-1]].mean() == pytest.approx(1 - 1 / mean, abs=0.01)
    assert lost[1:][~lost[:-1]].mean() == pytest.approx(share / (1 - share) / mean, abs=0.01)


@pytest.mark.parametrize("burst", [1.0, 6.0])
def test_first_block_is_lost_like_any_other(burst):
    rng = np.random.default_rng(8)
    firsts = [channel.erased(3, 0.3, rng, burst) for _ in range(4000)]
    np.testing.assert_allclose(np.mean(firsts, 0), 0.3, atol=0.03)


def test_erased_blocks_read_zero_and_the_others_are_untouched():
    data = np.random.default_rng(1).integers(1, 256, 10_500, np.uint8)
    for burst in (1.0, 3.0):
        out, received = channel.erase_blocks(data.tobytes(), 0.4, 1056, np.random.default_rng(2), burst)
        came = np.frombuffer(out, np.uint8)
        assert len(out) == len(received) == 10_500 and 0 < received.mean() < 1
        np.testing.assert_array_equal(came, np.where(received, data, 0))
        blocks = [received[first : first + 1056] for first in range(0, 10_500, 1056)]
        assert len(blocks) == 10 and all(block.all() or not block.any() for block in blocks)
    assert channel.erase_blocks(b"", 0.5, 8, np.random.default_rng(1))[0] == b""
    for share, whole in ((0.0, True), (1.0, False)):
        for burst in (1.0, 50.0):
            _, received = channel.erase_blocks(bytes(100), share, 8, np.random.default_rng(1), burst)
            assert (received == whole).all()


@pytest.mark.parametrize(("share", "block_bytes", "burst"), [(1.1, 8, 1), (-0.1, 8, 1), (float("nan"), 8, 1)])
def test_impossible_shares_are_refused(share, block_bytes, burst):
    with pytest.raises(HscError, match="give 0 to 1"):
        channel.erase_blocks(bytes(9), share, block_bytes, np.random.default_rng(1), burst)


@pytest.mark.parametrize(("block_bytes", "burst"), [(0, 1.0), (8, 0.5), (8, float("nan"))])
def test_impossible_blocks_and_bursts_are_refused(block_bytes, burst):
    with pytest.raises(HscError, match="give 1 or more"):
        channel.erase_blocks(bytes(9), 0.1, block_bytes, np.random.default_rng(1), burst)
