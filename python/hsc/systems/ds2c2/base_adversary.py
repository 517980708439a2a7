"""DiscNet: three scales of patch discriminators that see s, c′ and an image (DS²C², figure 1b; the form is
that of Wang et al., CVPR 2018). It is part of training only.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from .base_network import CLASSES, TRAINED_STEPS

# Scales of a discriminator, the paper's, and channels of its first layer.
SCALES, WIDTH = 3, 32


class PatchDiscriminator(nn.Sequential):
    """(B, C, H, W) → a logit for every patch."""

    def __init__(self) -> None:
        widths = (WIDTH, 2 * WIDTH, 4 * WIDTH)
        layers: list[nn.Module] = []
        inputs = CLASSES + 2 * 3
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)]
            inputs = width
        super().__init__(*layers, nn.Conv2d(inputs, 1, 3, padding=1))


class DiscNet(nn.Module):
    """D_j1 … D_j3: the same discriminator's form at full, half and quarter size, weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator() for _ in range(SCALES))

    def forward(self, s: torch.Tensor, expanded: torch.Tensor, image: torch.Tensor) -> list[torch.Tensor]:
        """s (B, 12, H/8, W/8), c′ and an image (B, 3, H, W) → logits of D_i, one map a scale."""
        semantic = functional.interpolate(s.exp(), scale_factor=image.shape[-1] / s.shape[-1])
        seen, found = torch.cat([semantic, expanded, image], 1), []
        for discriminator in self.scales:
            found.append(discriminator(seen))
            seen = functional.avg_pool2d(seen, 2)
        return found


class Adversary(nn.ModuleList):
    """One DiscNet for each step of FineNet."""

    def __init__(self) -> None:
        super().__init__(DiscNet() for _ in range(TRAINED_STEPS))

    def generator_loss(
        self, s: torch.Tensor, expanded: torch.Tensor, refined: list[torch.Tensor]
    ) -> torch.Tensor:
        """Eq. (2) without L_d: −Σ_j Σ_i log D_ji(s, c′, x′_j), mean over patches. The discriminators' weights
        get no gradient.
        """
        total = expanded.new_zeros(())
        for network, image in zip(self, refined, strict=True):
            frozen = {name: value.detach() for name, value in network.named_parameters()}
            for logits in functional_call(network, frozen, (s.detach(), expanded.detach(), image)):
                total = total + functional.softplus(-logits).mean()
        return total

    def loss(
        self, s: torch.Tensor, expanded: torch.Tensor, refined: list[torch.Tensor], images: torch.Tensor
    ) -> torch.Tensor:
        """Eq. (3), for every DiscNet: −Σ_i log D_i(s, c′, x) − Σ_j Σ_i log(1 − D_ji(s, c′, x′_j)). What made
        the images gets no gradient.
        """
        s, expanded = s.detach(), expanded.detach()
        total = expanded.new_zeros(())
        for network, image in zip(self, refined, strict=True):
            for logits in network(s, expanded, images):
                total = total + functional.softplus(-logits).mean()
            for logits in network(s, expanded, image.detach()):
                total = total + functional.softplus(logits).mean()
        return total
