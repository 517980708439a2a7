"""Residual Swin Transformer block (Liu et al., Swin Transformer, ICCV 2021; HDA-DeepSC, section III-A 1).

Feature maps are (B, C, h, w) of any size; inside, they are padded to whole windows and the padding is masked
out of the attention.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

# Score of what may not be attended to: exp of it is 0, and half precision holds it.
MASKED = -1e4


class SwinLayer(nn.Module):
    """One Swin Transformer layer: window attention and a two-layer perceptron, each after a layer norm and
    around a shortcut.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int, ratio: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.window, self.shift = window, shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))
        # Bias of the attention by relative position, (2M − 1)² × heads.
        self.position = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Tokens (B, h, w, C), h and w multiples of the window → the same shape. `mask`: (windows, M², M²)
        added to the scores.
        """
        tokens = tokens + self._attend(self.norm1(tokens), mask)
        return tokens + self.mlp(self.norm2(tokens))

    def _attend(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        batch, height, width, channels = tokens.shape
        size, shift = self.window, self.shift
        if shift:
            tokens = tokens.roll((-shift, -shift), (1, 2))
        grid = tokens.reshape(batch, height // size, size, width // size, size, channels)
        windows = grid.transpose(2, 3).reshape(-1, size * size, channels)
        parts = self.qkv(windows).reshape(len(windows), size * size, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        # (1, heads, M², M²)
        scores = self.position[_relative(size).to(tokens.device)].permute(2, 0, 1).to(query.dtype)[None]
        if mask is not None:
            scores = (scores + mask[:, None].to(query.dtype)).repeat(batch, 1, 1, 1)
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=scores)
        out = self.project(out.transpose(1, 2).reshape(len(windows), size * size, channels))
        out = out.reshape(batch, height // size, width // size, size, size, channels)
        out = out.transpose(2, 3).reshape(tokens.shape)
        return out.roll((shift, shift), (1, 2)) if shift else out


class ResidualSwinBlock(nn.Module):
    """Several Swin layers, every second one with shifted windows, and a 3 × 3 convolution, around a shortcut.

    The convolution starts at zero: the untrained block is the identity.

    Args:
        width: channels C of the feature map.
        layers, heads, window: Swin layers, attention heads, side of a window in tokens (the paper: 6, 6,
            width 120).
    """

    def __init__(
        self, width: int = 120, layers: int = 6, heads: int = 6, window: int = 8, ratio: int = 4
    ) -> None:
        super().__init__()
        self.window = window
        self.layers = nn.ModuleList(
            SwinLayer(width, heads, window, window // 2 if i % 2 else 0, ratio) for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.convolution.weight)
        nn.init.zeros_(self.convolution.bias)

    def residual(self, features: torch.Tensor) -> torch.Tensor:
        """What the block adds: (B, C, h, w) → (B, C, h, w)."""
        if (
            not torch.is_grad_enabled()
            and not self.convolution.weight.any()
            and not self.convolution.bias.any()
        ):
            return torch.zeros_like(features)  # untrained: nothing to compute
        height, width = features.shape[-2:]
        tokens = functional.pad(features, (0, -width % self.window, 0, -height % self.window))
        tokens = tokens.permute(0, 2, 3, 1)
        for layer in self.layers:
            tokens = layer(tokens, _mask(height, width, self.window, layer.shift, tokens.device))
        tokens = self.norm(tokens)[:, :height, :width]
        return self.convolution(tokens.permute(0, 3, 1, 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Feature map (B, C, h, w) → (B, C, h, w)."""
        return features + self.residual(features)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept must serve training too
def _relative(size: int) -> torch.Tensor:
    """Index of the relative position of every two tokens of a window, int64 (M², M²)."""
    place = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
    offset = place[:, :, None] - place[:, None] + size - 1
    return offset[0] * (2 * size - 1) + offset[1]


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _mask(height: int, width: int, size: int, shift: int, device: torch.device) -> torch.Tensor | None:
    """Scores' mask (windows, M², M²): no attention across the border that a shift wraps round, none to
    padding. None: no mask needed.
    """
    padded_height, padded_width = height + -height % size, width + -width % size
    if not shift and (padded_height, padded_width) == (height, width):
        return None
    rows = _areas(height, padded_height, size, shift)
    columns = _areas(width, padded_width, size, shift)
    area = rows[:, None] * 8 + columns[None]
    area = area.reshape(padded_height // size, size, padded_width // size, size)
    area = area.transpose(1, 2).reshape(-1, size * size)
    return torch.where(area[:, :, None] == area[:, None], 0.0, MASKED).to(device)


def _areas(length: int, padded: int, size: int, shift: int) -> torch.Tensor:
    """Number of the area that each row (or column) belongs to after the shift; padding is one of its own."""
    area = torch.zeros(padded, dtype=torch.int64)
    area[length:] = 1
    area = area.roll(-shift)
    if shift:
        area[-shift:] += 2
    return area
