"""The refiner as one function: pixels to pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ..nn import planes
from ..nn.precision import mixed
from ..nn.tiles import tiled
from ..nn.transform import BLOCK, COLOUR, dct_matrix, pad, zigzag
from ..nn.unet import reach
from . import bands, diffusion
from .network import BLOCKS, FINE_CELL, RefinerNetwork, load_network
from .options import RefinerOptions

# Side of a tile, and what the network sees beyond it [pixels]. A tile with that much around it gives what the
# whole image gives.
TILE, REACH = 1024, reach(FINE_CELL, BLOCKS)
# λ of the guard at a realism of 1/2, variance of a coefficient of pixels in [0, 1].
_GUARD = 1e-4


@torch.inference_mode()
def refine(image: np.ndarray, error: np.ndarray | None, settings: RefinerOptions) -> np.ndarray:
    """An image as it was decoded → the refined one.

    Args:
        image: uint8 (H, W, C), C = 1 or 3, of any size.
        error: variance of its error, float32 of `codecs.contract.error_shape`; None when it is not known.
        settings: steps, realism and seed.

    Raises HscError when the weights are missing or damaged.
    """
    return refined(load_network(), image, error, settings)


def refined(
    network: RefinerNetwork, image: np.ndarray, error: np.ndarray | None, settings: RefinerOptions
) -> np.ndarray:
    """`refine` with a network of one's own."""
    decoded = pad(planes.to_planes(image), BLOCK)
    down, across = (side // BLOCK for side in decoded.shape[-2:])
    if error is None:
        known = torch.full((1, bands.BANDS, down, across), -1.0)
    else:
        known = torch.from_numpy(np.ascontiguousarray(error, np.float32))[None]
    generator = torch.Generator().manual_seed(settings.refiner_seed)
    normal = torch.randn((1, len(bands.BAND), down, across), generator=generator)
    noise = diffusion.posterior_noise(known, normal)
    found = diffusion.sample(in_tiles(network), decoded, known, noise, settings.refiner_steps)
    found = guarded(found, decoded, known, settings.realism)
    # a decoder's mean colour is right, and nothing that was made up shall change it
    found = planes.with_means(found, planes.means(decoded, image.shape), image.shape)
    return planes.to_image(found, image.shape)


def in_tiles(network: RefinerNetwork) -> diffusion.Network:
    """The network, applied tile by tile."""

    def apply(
        noisy: torch.Tensor, decoded: torch.Tensor, error: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor:
        with mixed(decoded.device):
            return tiled(lambda *parts: network(*parts, level), TILE, REACH, noisy, decoded, error)

    return apply


def guarded(found: torch.Tensor, decoded: torch.Tensor, error: torch.Tensor, realism: float) -> torch.Tensor:
    """Put received coefficients back where they are known well: X̂ + w (X̃ − X̂), w = λ / (λ + v), of the DCT of
    every block.

    Args:
        found, decoded: x̂₀ and x̃ (1, 3, H, W), sides multiples of 8.
        error: v in bands (1, 16, H/8, W/8).
        realism: 1 leaves x̂₀ as it is (λ = 0), 0 gives x̃ (λ = ∞).
    """
    if realism >= 1:
        return found
    strength = _GUARD * (1 - realism) / max(realism, 1e-6)
    analysis = _analysis().to(found.device)
    variance = torch.where(error < 0, _GUARD, error)[:, _band_of_all()]
    spectrum = functional.conv2d(found - decoded, analysis, stride=BLOCK)
    back = spectrum * (strength / (strength + variance))
    return found - functional.conv_transpose2d(back, analysis, stride=BLOCK)


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _analysis() -> torch.Tensor:
    """All 192 coefficients of a block of three planes, (192, 3, 8, 8), orthonormal: by colour, along the
    zigzag.
    """
    dct, order = dct_matrix(), zigzag()
    waves = np.einsum("ky,kx->kyx", dct[order[:, 0]], dct[order[:, 1]])
    kernels = COLOUR[:, None, :, None, None] * waves[None, :, None]
    return torch.from_numpy(kernels.reshape(-1, 3, BLOCK, BLOCK)).float()


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _band_of_all() -> torch.Tensor:
    """Band of each of the 192: what is beyond the kept ones of colour is in the last band of colour."""
    luma, colour = bands.BAND[: BLOCK**2], bands.BAND[BLOCK**2 :][: (len(bands.BAND) - BLOCK**2) // 2]
    colour = functional.pad(colour, (0, BLOCK**2 - len(colour)), value=bands.BANDS - 1)
    return torch.cat([luma, colour, colour])
