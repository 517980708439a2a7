"""Image quality: MSE, PSNR and MS-SSIM of uint8 images (H, W, C), MS-SSIM also in dB."""

from __future__ import annotations

import math

import numpy as np

# PSNR of equal images [dB].
PSNR_LIMIT_DB = 100.0
# Largest MS-SSIM [dB]: 1 - MS-SSIM comes from float32 sums, and below 1e-7 it is rounding.
MS_SSIM_LIMIT_DB = 70.0
# Shortest side [pixels]: five scales of an 11-tap window need more than 160.
_MS_SSIM_SIDE = 161


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
    """Multi-scale structural similarity in [0, 1] (Wang 2003, five scales); None for images smaller than 161
    pixels on a side.
    """
    if min(image.shape[:2]) < _MS_SSIM_SIDE:
        return None
    import torch
    from pytorch_msssim import ms_ssim as five_scales

    pair = [
        torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None].float() for x in (image, reference)
    ]
    return float(five_scales(*pair, data_range=255.0))


def ms_ssim_db(image: np.ndarray, reference: np.ndarray) -> float | None:
    """-10 log10(1 - MS-SSIM) [dB], at most MS_SSIM_LIMIT_DB; None where `ms_ssim` is None.

    HDA-DeepSC eq. (34) prints it without the "1 -", which would give a perfect image 0 dB; its figures (33 to
    40 dB in table II) are of the formula here.
    """
    value = ms_ssim(image, reference)
    if value is None:
        return None
    return min(MS_SSIM_LIMIT_DB, -10 * math.log10(1 - value)) if value < 1 else MS_SSIM_LIMIT_DB
