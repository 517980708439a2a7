"""Convolutions whose every sum is exact, for networks that steer an entropy coder on two machines (the idea:
Ballé, Johnston and Minnen, "Integer networks for data compression with latent-variable models", ICLR 2019).

Activations are integers, in units of 1/64, and saturate at ±2^17; weights are integers in units of 1/4096 and
below 2^15. A sum has fewer than 2^13 terms, so that it, and each part of it, is an integer below 2^45. In
float64 such sums are exact, whatever their order, number of threads or fused operations; sums by matrix
products of one kernel tap after another use no fast convolution, which would compute with fractions.

Training runs the same code in float32: it sees the same rounding, and gradients pass straight through it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Integers of an activation of 1.
UNIT = 64
# Largest activation [1/64].
LIMIT = 1 << 17
# Integers of a weight of 1.
WEIGHT_UNIT = 1 << 12
# Largest weight: 16 bits hold it.
LARGEST_WEIGHT = (1 << 15) - 1
# Integers of a bias of 1.
BIAS_UNIT = UNIT * WEIGHT_UNIT
# Largest bias: float32 holds it exactly.
LARGEST_BIAS = 1 << 23
# Most terms of a sum.
MOST_TERMS = 1 << 13


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: torch.Tensor) -> torch.Tensor:
        return (values + 0.5).floor()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Nearest integers, halves upwards; the gradient passes straight through."""
    return _Rounded.apply(values)


class IntegerConvolution(nn.Module):
    """Convolution of odd kernel, zeros around, of integers with integers: integers.

    Args:
        inputs, outputs: channels.
        kernel: its side.
        rectified: negative sums become 0.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, rectified: bool = True) -> None:
        super().__init__()
        if inputs * kernel * kernel >= MOST_TERMS:
            raise ValueError(f"sums of {inputs * kernel * kernel} terms: at most {MOST_TERMS - 1} are exact")
        self.kernel, self.rectified = kernel, rectified
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight)

    def integers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [1/4096] and biases [1/(64 · 4096)], integers in the parameters' dtype."""
        weight = rounded(self.weight * WEIGHT_UNIT).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        return weight, rounded(self.bias * BIAS_UNIT).clamp(-LARGEST_BIAS, LARGEST_BIAS)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Integers [1/64] (B, inputs, h, w), within ±LIMIT → (B, outputs, h, w) likewise; exact in
        float64.
        """
        weight, bias = self.integers()
        taps = weight.permute(2, 3, 0, 1).contiguous()
        batch, _, height, width = values.shape
        around = functional.pad(values.transpose(0, 1), [self.kernel // 2] * 4)
        sums = bias[:, None]
        for down in range(self.kernel):
            for right in range(self.kernel):
                seen = around[..., down : down + height, right : right + width].flatten(1)
                sums = sums + taps[down, right] @ seen
        least = 0 if self.rectified else -LIMIT
        integers = rounded(sums / WEIGHT_UNIT).clamp(least, LIMIT)
        return integers.unflatten(1, (batch, height, width)).transpose(0, 1)


def packed(network: nn.Module) -> dict[str, torch.Tensor]:
    """State of a network as it is shipped: weights of integer convolutions int16, their biases int32."""
    state = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, IntegerConvolution):
            weight, bias = module.integers()
            state[f"{name}.weight"] = weight.detach().to(torch.int16)
            state[f"{name}.bias"] = bias.detach().to(torch.int32)
    return state


def unpack(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load what `packed` gave, or a state in float, into a network; the integers come out as they were."""
    state = dict(state)
    for name, module in network.named_modules():
        if isinstance(module, IntegerConvolution):
            for part, unit in (("weight", WEIGHT_UNIT), ("bias", BIAS_UNIT)):
                stored = state[f"{name}.{part}"]
                if not stored.is_floating_point():
                    state[f"{name}.{part}"] = stored.float() / unit
    network.load_state_dict(state)
