"""Image quality: MSE, PSNR, MS-SSIM, LPIPS and DISTS of uint8 images (H, W, C), MS-SSIM also in dB.

LPIPS and DISTS need weights that are an optional extra (`perceptual_weights`): they are None without.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from . import perceptual_weights

if TYPE_CHECKING:
    import torch

    from .perceptual import Dists, Lpips

# PSNR of equal images [dB].
PSNR_LIMIT_DB = 100.0
# Largest MS-SSIM [dB]: 1 - MS-SSIM comes from float32 sums, and below 1e-7 it is rounding.
MS_SSIM_LIMIT_DB = 70.0
# Shortest side [pixels]: five scales of an 11-tap window need more than 160.
_MS_SSIM_SIDE = 161
# Perceptual distances, 0 for equal images, and how they are printed: LPIPS never without its backbone.
PERCEPTUAL = {"lpips_alex": "LPIPS (Alex)", "lpips_vgg": "LPIPS (VGG)", "dists": "DISTS"}
# Those that commands measure unless told otherwise: the others take twenty times as long.
USUAL = ("lpips_alex",)
# Shortest side [pixels]: VGG16 halves it four times, and of less nothing is left.
_PERCEPTUAL_SIDE = 16
# Largest image [pixels]. Features take 102, 1470 and 1800 bytes a pixel (measured): this is below 4 GB.
_PERCEPTUAL_PIXELS = {"lpips_alex": 1 << 25, "lpips_vgg": 1 << 21, "dists": 1 << 21}
# Largest original whose features are kept [pixels]: VGG16's are 500 bytes a pixel, this is 260 MB.
_KEPT_PIXELS = 1 << 19


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

    # (1, C, H, W) with the channels last in memory: half of the time
    pair = (torch.from_numpy(np.array(x))[None].permute(0, 3, 1, 2).float() for x in (image, reference))
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


def perceptual_available(name: str) -> bool:
    """Whether the weights of a distance of PERCEPTUAL are there."""
    needed = {"lpips_alex": ("alex",), "lpips_vgg": ("vgg",), "dists": ("vgg", "dists")}[name]
    return all(perceptual_weights.find(each) is not None for each in needed)


def lpips(image: np.ndarray, reference: np.ndarray, backbone: str = "alex") -> float | None:
    """LPIPS, version 0.1 (Zhang 2018), with the backbone "alex" or "vgg". Grey counts as three equal planes.

    None without the weights, for images with a side under 16 pixels, and for those of more than 33 ("vgg": 2)
    megapixels. Raises ValueError when the shapes differ, HscError when the weights are damaged.
    """
    return _distance(f"lpips_{backbone}", image, reference)


def dists(image: np.ndarray, reference: np.ndarray) -> float | None:
    """DISTS (Ding 2020) at the image's own size. Grey, None and errors as in `lpips`, of at most 2
    megapixels.
    """
    return _distance("dists", image, reference)


def perceptual(image: np.ndarray, reference: np.ndarray, names: Iterable[str]) -> dict[str, float | None]:
    """The distances of PERCEPTUAL that are named, by name; None as in `lpips`."""
    return {name: _distance(name, image, reference) for name in names}


def in_words(figures: Mapping[str, object]) -> list[str]:
    """The distances of PERCEPTUAL that were measured, from figures that have each by its name."""
    return [f"{text} {figures[name]:.3f}" for name, text in PERCEPTUAL.items() if figures[name] is not None]


def _distance(name: str, image: np.ndarray, reference: np.ndarray) -> float | None:
    if image.shape != reference.shape:
        raise ValueError(f"images of different shape: {image.shape} and {reference.shape}")
    height, width = image.shape[:2]
    fits = min(height, width) >= _PERCEPTUAL_SIDE and height * width <= _PERCEPTUAL_PIXELS[name]
    if not (fits and perceptual_available(name)):
        return None
    import torch

    network = _network(name)
    with torch.inference_mode():
        distance = network.between(network.features(_planes(image)), _original(network, reference)).item()
    return max(0.0, distance)  # of equal images it may be a rounding error below


def _original(network: Dists | Lpips, reference: np.ndarray) -> Iterable[torch.Tensor]:
    """Features of an original. Those of the last one are kept: a sweep compares it with many images."""
    if reference.shape[0] * reference.shape[1] > _KEPT_PIXELS:
        return network.features(_planes(reference))
    return _kept(network, reference.shape, reference.tobytes())


@functools.lru_cache(maxsize=len(PERCEPTUAL))
def _kept(network: Dists | Lpips, shape: tuple[int, ...], pixels: bytes) -> list[torch.Tensor]:
    return list(network.features(_planes(np.frombuffer(pixels, np.uint8).reshape(shape))))


def _planes(image: np.ndarray) -> torch.Tensor:
    """float32 (1, 3, H, W) in [0, 1]."""
    import torch

    planes = torch.tensor(image.transpose(2, 0, 1))[None].float() / 255
    return planes.expand(-1, 3, -1, -1)


@functools.cache
def _network(name: str) -> Dists | Lpips:
    """Read once: VGG16 has 59 MB."""
    from .perceptual import Dists, Lpips

    return Dists() if name == "dists" else Lpips(name.removeprefix("lpips_"))
