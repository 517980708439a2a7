"""The integer networks of `lic`: exact, whatever the order of the sums, the threads, the batch."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.systems.ds2c2 import lic_integer
from gnuradio.hsc.systems.ds2c2.lic_coding import PARTS, Prior
from gnuradio.hsc.systems.ds2c2.lic_integer import LIMIT, IntegerConvolution, packed, unpack


def layer(inputs: int, outputs: int, kernel: int, rectified: bool, seed: int, spread: float = 1.0):
    """With weights all over their range."""
    torch.manual_seed(seed)
    made = IntegerConvolution(inputs, outputs, kernel, rectified).double().requires_grad_(False)
    made.weight.uniform_(-8 * spread, 8 * spread)
    made.bias.uniform_(-32, 32)
    return made


def activations(shape: tuple[int, ...], seed: int, largest: int = LIMIT) -> torch.Tensor:
    """Integers, some of them at the limit."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-largest, largest + 1, shape)
    values[rng.random(shape) < 0.1] = largest
    return torch.from_numpy(values).double()


def reference(made: IntegerConvolution, values: torch.Tensor) -> np.ndarray:
    """The same in int64, term by term as the definition has it."""
    weight, bias = (each.numpy().astype(np.int64) for each in made.integers())
    margin = made.kernel // 2
    padded = np.pad(values.numpy().astype(np.int64), ((0, 0), (0, 0), (margin,) * 2, (margin,) * 2))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (made.kernel, made.kernel), (2, 3))
    sums = np.einsum("bihwyx,oiyx->bohw", seen, weight) + bias[:, None, None]
    halves_upwards = (sums + 2048) >> 12
    return np.clip(halves_upwards, 0 if made.rectified else -LIMIT, LIMIT)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("spread", [1.0, 0.001])
def test_sums_are_those_of_whole_numbers(kernel, rectified, spread):
    made = layer(700, 24, kernel, rectified, 1, spread)
    values = activations((2, 700, 5, 7), 2)
    with torch.inference_mode():
        np.testing.assert_array_equal(made(values).numpy(), reference(made, values))


def test_halves_are_rounded_upwards():
    made = IntegerConvolution(1, 1, rectified=False).double().requires_grad_(False)
    made.weight.fill_(0.5)
    values = torch.tensor([-3.0, -1.0, 1.0, 3.0, 2.0])[None, None, None].double()
    assert made(values).flatten().tolist() == [-1, 0, 1, 2, 1]


def test_the_order_of_a_sum_does_not_matter():
    """What blocking, threads and fused operations change; float32 does not pass this."""
    made, values = layer(700, 64, 3, False, 3, 0.02), activations((1, 700, 6, 6), 4)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(5))
    turned = layer(700, 64, 3, False, 3)
    turned.weight.copy_(made.weight[:, order])
    turned.bias.copy_(made.bias)
    assert torch.equal(made(values), turned(values[:, order]))
    assert not torch.equal(made.float()(values.float()), turned.float()(values[:, order].float()))


@pytest.fixture(scope="module")
def prior():
    torch.manual_seed(1)
    made = Prior().double().requires_grad_(False)
    made.joint[-1].bias.normal_(0, 1)
    return made


def predicted(prior: Prior, batch: slice = slice(None)) -> torch.Tensor:
    z = activations((3, 32, 2, 4), 6, 5)[batch]
    features = prior.features(z)
    mask = PARTS[0].mask(4, 8)
    known = activations((3, 320, 4, 8), 7, 1000)[batch] * mask
    with torch.inference_mode():
        return torch.stack(prior.predict(features, known, torch.tensor([3, 20, 47])[batch]))


def test_means_and_scales_are_the_same_with_any_threads_and_batch(prior):
    threads = torch.get_num_threads()
    together = predicted(prior)
    assert torch.equal(together, together.round()) and together.abs().max() <= 2 * LIMIT
    assert together.std() > 10, "something to predict"
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            assert torch.equal(predicted(prior), together)
    finally:
        torch.set_num_threads(threads)
    for index in range(3):
        assert torch.equal(predicted(prior, slice(index, index + 1))[:, 0], together[:, index])


def test_means_and_scales_do_not_depend_on_the_size_of_the_sums_blocks(prior):
    """One position alone is the middle of a larger map."""
    z, known = activations((1, 32, 4, 4), 8, 5), activations((1, 320, 8, 8), 9, 1000)
    level = torch.tensor([30])
    wide = torch.stack(prior.predict(prior.features(z), known, level))
    cut = torch.stack(prior.predict(prior.features(z)[..., 2:5, 2:5], known[..., 2:5, 2:5], level))
    assert torch.equal(wide[..., 3, 3], cut[..., 1, 1])


def test_training_sees_what_the_coder_computes(prior):
    """In float32, but for sums that are near a half; and its gradients pass."""
    other = Prior()
    other.load_state_dict({key: value.float() for key, value in prior.state_dict().items()})
    z = activations((1, 32, 2, 2), 10, 3)
    known = activations((1, 320, 4, 4), 11, 300)
    exact = torch.stack(prior.predict(prior.features(z), known, torch.tensor([30])))
    leaf = known.float().requires_grad_()
    near = torch.stack(other.predict(other.features(z.float()), leaf, torch.tensor([30])))
    assert (near.detach() - exact).abs().max() <= 3
    near.square().mean().backward()
    assert leaf.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in other.parameters())


def test_what_is_shipped_are_the_integers_themselves(prior):
    network = Prior()
    network.load_state_dict(prior.state_dict())
    state = packed(network)
    assert state["joint.1.weight"].dtype == torch.int16 and state["joint.1.bias"].dtype == torch.int32
    again = Prior()
    unpack(again, state)
    for one, other in zip(network.modules(), again.modules(), strict=True):
        if isinstance(one, IntegerConvolution):
            assert all(map(torch.equal, one.integers(), other.integers()))
    assert all(torch.equal(packed(again)[key], value) for key, value in state.items())


def test_extreme_weights_saturate():
    made = layer(2, 1, 1, False, 1)
    made.weight.fill_(1e9)
    made.bias.fill_(-1e9)
    weight, bias = made.integers()
    assert weight.unique().tolist() == [lic_integer.LARGEST_WEIGHT]
    assert bias.tolist() == [-lic_integer.LARGEST_BIAS]
    assert made(activations((1, 2, 1, 1), 1, 0) + LIMIT).item() == LIMIT


def test_sums_of_too_many_terms_are_refused():
    with pytest.raises(ValueError, match="9000 terms"):
        IntegerConvolution(1000, 1, 3)
