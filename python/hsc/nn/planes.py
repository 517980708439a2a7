"""Between an image and the float planes that networks work on."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import HscError
from ..message import MOST_PIXELS

# A mean is right within this, of pixels in [0, 1]; shifts until it is, at most.
_CLOSE, _MOST_SHIFTS = 1e-4, 50


def to_planes(image: np.ndarray) -> torch.Tensor:
    """uint8 image (H, W, C), C = 1 or 3, → float32 planes (1, 3, H, W) in [0, 1]; grey becomes three equal
    planes. Raises HscError.
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise HscError(f"an image is uint8 (H, W, C), not {image.dtype} {image.shape}: convert it first")
    check_shape(image.shape)
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None] / 255
    return planes.expand(-1, 3, -1, -1)


def to_image(planes: torch.Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """Planes (1, 3, ≥H, ≥W) → uint8 (H, W, C): cut, clipped and rounded; grey is the mean of the planes."""
    height, width, channels = shape
    cut = planes[0, :, :height, :width]
    cut = cut if channels == 3 else cut.mean(0, keepdim=True)
    levels = cut.nan_to_num(0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().numpy()


def means(planes: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Mean of each plane (1, 3, ≥H, ≥W) as `to_image` shows it but for rounding, (3,)."""
    seen = planes[0, :, : shape[0], : shape[1]].nan_to_num(0.5).clamp(0, 1)
    return seen.mean((1, 2), dtype=torch.float64).float()


def with_means(planes: torch.Tensor, wanted: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Planes (1, 3, ≥H, ≥W), each shifted until its mean is what is wanted (3,), from 0 to 1: several times,
    since what is beyond black and white does not count.
    """
    planes = planes.nan_to_num(0.5).clamp(-1, 2)
    for _ in range(_MOST_SHIFTS):
        missing = wanted - means(planes, shape)
        if missing.abs().max() < _CLOSE:
            break
        planes = planes + missing[:, None, None]
    return planes


def check_shape(shape: tuple[int, ...]) -> None:
    """Raises HscError for an image shape (H, W, C) that the codecs of photographs do not take."""
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1 or shape[0] * shape[1] > MOST_PIXELS:
        raise HscError(
            f"an image of shape {tuple(shape)} cannot be sent: H x W x 1 or H x W x 3, at most 16 Mpx"
        )
