"""A neural-network post-filter (NNPF, as SEI messages of ITU-T H.274 carry them) behind HEVC intra: it takes
away some of what quantisation did. HEVC decoder ─▶ x̂ ─▶ x̂ + f(x̂, quality).

A small U-Net on cells of 2 × 2 pixels and of 4 × 4. It is told the quality of the code (`hevc.encode`), which
the code carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .. import weights
from ..metrics import mse
from ..nn import planes
from ..nn.precision import mixed
from ..nn.tiles import tiled
from ..nn.transform import pad
from ..nn.unet import UNet, detail, reach, surroundings
from . import hevc, hevc_rate
from .sample import some_blocks

WEIGHTS = "hevc-nnpf"
# Finest quality that is filtered: beyond it the network was not trained, and there is nothing to gain.
FINEST = 120
# Sides of the cells whose pixels are the channels of the finer and of the coarser level [pixels].
FINE_CELL, CELL = 2, 4
# Channels of the two levels, and residual blocks: before, at and behind the coarser one. Chosen for what two
# processor cores can train and run.
WIDTHS, BLOCKS = (96, 160), (1, 3, 1)
# Side of a tile, and what the network sees beyond it [pixels].
TILE, REACH = 1024, reach(FINE_CELL, BLOCKS)
# What the filter does for a picture follows from one in so many blocks of this side [pixels], where there are
# so many of them at least: within 0.1 dB (Kodak). Their seams cost 0.02 to 0.05 dB of it.
_ONE_IN, _BLOCK, _FEWEST = 4, 128, 4
# RMS error of pixels in [0, 1] at quality 0, roughly, and how many qualities halve it.
_ERROR, _HALVED = 0.08, 26.0


class PostFilter(UNet):
    """x̂ and its quality → the filtered picture."""

    def __init__(self) -> None:
        super().__init__(3, FINE_CELL, WIDTHS, BLOCKS, told=1)

    def forward(self, decoded: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        """x̂ (B, 3, H, W) in [0, 1], H and W multiples of 4, and the qualities (B,), 0 to 155 → pictures,
        not clamped; untrained x̂ itself.
        """
        pixels, told = detail(decoded, surroundings(decoded)), quality[:, None] / hevc.HIGHEST * 2 - 1
        return decoded + typical_error(quality)[:, None, None, None] * self.residual(pixels, told)


def typical_error(quality: torch.Tensor) -> torch.Tensor:
    """RMS error of HEVC at some qualities, roughly, for pixels in [0, 1]; same shape. It is what 1 at the end
    of the network adds, so that every quality teaches alike.
    """
    return _ERROR * torch.exp2(-quality / _HALVED)


@lru_cache(maxsize=1)
def load_network() -> PostFilter:
    """The network with its shipped weights. Raises HscError when they are missing or damaged."""
    network = PostFilter()
    network.load_state_dict(weights.load(WEIGHTS))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Fitted:
    """A code, and what the filter does for it.

    Attributes:
        code: what `decode` takes.
        plain: the picture uint8 (H, W, C) before the filter.
        error: mean squared error of the picture behind it, pixels in [0, 1], nearly.
    """

    code: bytes
    plain: np.ndarray
    error: float

    def picture(self) -> np.ndarray:
        """What `decode` makes of the code, uint8 (H, W, C)."""
        return _finished(self.plain, self.code)


def fit(coder: hevc_rate.Coder, n_bytes: int) -> Fitted:
    """A code as of `hevc_rate.Coder.fit`.

    The filter is left out where it would take the picture away from the image: of one that was a JPEG file
    once, at a high quality. A sample of the blocks decides, since the filter takes as long as the encoder.
    Raises `budget.TooFew`, and HscError when the weights are missing.
    """
    image, code = coder.image, coder.fit(n_bytes, told=True)
    plain = hevc.decode(code, image.shape)
    error, quality = mse(plain, image), _filtered_at(code)
    if quality is None:
        return Fitted(code, plain, error)
    sample, wanted = (some_blocks(each, _BLOCK, _ONE_IN, _FEWEST) for each in (plain, image))
    if sample is None or wanted is None:
        sample, wanted = plain, image
    before, behind = mse(sample, wanted), mse(filtered(load_network(), sample, quality), wanted)
    if behind < before:
        return Fitted(code, plain, error * behind / before)
    return Fitted(hevc.untold(code), plain, error)


def _filtered_at(data: bytes) -> int | None:
    """The quality that the filter is told; None where it does not go over the picture."""
    quality = hevc.quality_told(data)
    return None if quality is None or quality > FINEST else quality


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Bytes of `hevc.encode` → uint8 (H, W, C) behind the filter; as it was decoded where the code tells no
    quality, or one that leaves nothing to do. Raises HscError as `hevc.decode`, and when the weights are
    missing.
    """
    return _finished(hevc.decode(data, shape), data)


def _finished(plain: np.ndarray, data: bytes) -> np.ndarray:
    quality = _filtered_at(data)
    return plain if quality is None else filtered(load_network(), plain, quality)


@torch.inference_mode()
def filtered(network: PostFilter, image: np.ndarray, quality: int) -> np.ndarray:
    """A decoded picture uint8 (H, W, C) and the quality of its code → the filtered one, with a network of
    one's own.
    """
    decoded = pad(planes.to_planes(image), CELL).contiguous(memory_format=torch.channels_last)
    told = torch.tensor([float(quality)])
    with mixed(decoded.device):
        found = tiled(lambda part: network(part, told), TILE, REACH, decoded)
    return planes.to_image(found, image.shape)
