"""Non-parametric, fully factorised density of the quantised latents: HDA-DeepSC, eq. (17); form: Ballé et
al., ICLR 2018, app. 6.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Inputs and outputs of the layers of a channel's function, as in Ballé et al.
_FILTERS = (1, 3, 3, 3, 1)
# Least probability of a latent, so that its bits stay finite. As in Ballé et al.
SMALLEST_LIKELIHOOD = 1e-9


class FactorizedDensity(nn.Module):
    """One monotonic function per channel: the cumulative distribution c(x) of a latent before quantisation.

    Args:
        channels: latent channels.
        scale: (channels,) or one number: rough standard deviation of each channel; where the densities start.
    """

    def __init__(self, channels: int, scale: torch.Tensor | float = 1.0) -> None:
        super().__init__()
        self.register_buffer(
            "scale", torch.as_tensor(scale, dtype=torch.float32).expand(channels).clone()[:, None, None]
        )
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in zip(_FILTERS, _FILTERS[1:], strict=False):
            # softplus(start) is 1 / outputs; for the first it is 1.7, the slope of a logistic of deviation 1.
            start = torch.expm1(torch.tensor((1.7 if inputs == 1 else 1.0) / outputs)).log()
            self.matrices.append(nn.Parameter(start.expand(channels, outputs, inputs).clone()))
            self.biases.append(
                nn.Parameter(torch.empty(channels, outputs, 1).uniform_(-0.5, 0.5) * (outputs > 1))
            )
            if outputs > 1:
                self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))

    def logits(self, values: torch.Tensor) -> torch.Tensor:
        """Values (channels, 1, n) → logit of c, same shape."""
        out = values / self.scale
        for layer, matrix in enumerate(self.matrices):
            out = functional.softplus(matrix) @ out + self.biases[layer]
            if layer < len(self.factors):
                out = out + torch.tanh(self.factors[layer]) * torch.tanh(out)
        return out

    def interval(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Probability of low < x < high; both (channels, 1, n)."""
        low, high = self.logits(low), self.logits(high)
        sign = -torch.sign(low + high).detach()  # The difference is exact in the tail that this picks.
        return (torch.sigmoid(sign * high) - torch.sigmoid(sign * low)).abs()

    def forward(self, latents: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Bits of noisy latents, eq. (24): (B, C, h, w) with steps (B, 1, 1, 1) → (B,) bits.

        The density convolved with the uniform of one step, at the latent: c(x + Δ/2) − c(x − Δ/2).
        """
        half = (step / 2).expand_as(latents)
        low, high = ((latents + sign * half).transpose(0, 1).flatten(1)[:, None].float() for sign in (-1, 1))
        bits = -self.interval(low, high).clamp_min(SMALLEST_LIKELIHOOD).log2()
        return bits.reshape(latents.shape[1], latents.shape[0], -1).sum((0, 2))

    @torch.no_grad()
    def probabilities(self, step: float, largest: int, dead_zone: float) -> torch.Tensor:
        """Probabilities of the indices −largest … largest and of everything beyond, float64 (channels,
        2·largest + 2).

        Index n ≠ 0 stands for (|n| − ½ + dead_zone)·step < |x| < (|n| + ½ + dead_zone)·step.
        """
        edges = (torch.arange(largest + 1, dtype=torch.float64) + 0.5 + dead_zone) * step
        edges = torch.cat([-edges.flip(0), edges]).float()[None, None].expand(len(self.scale), 1, -1)
        inside = self.interval(edges[..., :-1], edges[..., 1:])[:, 0].double()
        return torch.cat([inside, (1 - inside.sum(1, keepdim=True)).clamp_min(0)], 1)
