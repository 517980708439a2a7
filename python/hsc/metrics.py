"""Image quality: MSE, PSNR and MS-SSIM of uint8 images (H, W, C)."""

from __future__ import annotations

import math

import numpy as np

PSNR_LIMIT_DB = 100.0
_MS_SSIM_SIDE = 161  # five scales of an 11-tap window need more than 160 pixels


def mse(image: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error of pixels in [0, 1]. Raises ValueError when the shapes differ."""
    if image.shape != reference.shape:
        raise ValueError(f"images of different shape: {image.shape} and {reference.shape}")
    return float(np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2)) / 255**2


def psnr_db(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio [dB] over all channels; PSNR_LIMIT_DB when the images are equal."""
    error = mse(image, reference)
    return min(PSNR_LIMIT_DB, -10 * math.log10(error)) if error else PSNR_LIMIT_DB


def ms_ssim(image: np.ndarray, reference: np.ndarray) -> float | None:
    """Multi-scale structural similarity in [0, 1] (Wang 2003, five scales); None for images smaller than 161 pixels on a side."""
    if min(image.shape[:2]) < _MS_SSIM_SIDE:
        return None
    import torch
    from pytorch_msssim import ms_ssim as five_scales

    pair = [torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None].float() for x in (image, reference)]
    return float(five_scales(*pair, data_range=255.0))
