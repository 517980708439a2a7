"""Perceptual distances as differentiable torch modules: LPIPS version 0.1 (Zhang et al. 2018) and DISTS
(Ding et al. 2020).

Both compare two images by what a network trained to classify photographs makes of them; 0 for equal images,
larger is worse. Images are float (B, 3, H, W) in [0, 1] of any size. The networks are frozen: an original
that needs no gradient costs no graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from .errors import HscError
from .perceptual_weights import INSTALL, need, read_checkpoint

# Mean and standard deviation of ImageNet's colours, red, green, blue in [0, 1], as torchvision has them.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# LPIPS's own of the same, for pixels in [-1, 1]: `ScalingLayer` of the authors' code.
_LPIPS_SHIFT = (-0.030, -0.088, -0.188)
_LPIPS_SCALE = (0.458, 0.448, 0.450)
# Keeps LPIPS's division by a feature's length finite: `normalize_tensor` of the authors' code.
_LPIPS_EPSILON = 1e-10
# c1 and c2, which keep DISTS's two ratios finite: of the authors' code.
_DISTS_C = 1e-6
# Keeps the root in DISTS's pooling differentiable: `L2pooling` of the authors' code.
_POOL_EPSILON = 1e-12


@dataclass(frozen=True)
class _Convolution:
    """Inputs, outputs, kernel side, stride, padding of a convolution that a ReLU follows."""

    inputs: int
    outputs: int
    side: int = 3
    stride: int = 1
    padding: int = 1


# Convolutions between two poolings or taps: one tuple is one slice, whose last ReLU is tapped.
_ALEX = (
    (_Convolution(3, 64, 11, 4, 2),),
    (_Convolution(64, 192, 5, 1, 2),),
    (_Convolution(192, 384),),
    (_Convolution(384, 256),),
    (_Convolution(256, 256),),
)
_VGG = (
    (_Convolution(3, 64), _Convolution(64, 64)),
    (_Convolution(64, 128), _Convolution(128, 128)),
    (_Convolution(128, 256), _Convolution(256, 256), _Convolution(256, 256)),
    (_Convolution(256, 512), _Convolution(512, 512), _Convolution(512, 512)),
    (_Convolution(512, 512), _Convolution(512, 512), _Convolution(512, 512)),
)


@dataclass(frozen=True)
class _Backbone:
    """A network up to its last convolution.

    Attributes:
        key: its name in the checkpoint.
        slices: its convolutions; each slice ends in a tap.
        pool: side of the max-pooling [pixels]; its stride is 2.
        pooled: slices that the pooling stands before.
        side: shortest side that the poolings leave something of [pixels].
    """

    key: str
    slices: tuple[tuple[_Convolution, ...], ...]
    pool: int
    pooled: tuple[int, ...]
    side: int


_BACKBONES = {
    "alex": _Backbone("AlexNet_0", _ALEX, 3, (1, 2), 31),
    "vgg": _Backbone("VGG16_0", _VGG, 2, (1, 2, 3, 4), 16),
}


class Lpips(nn.Module):
    """LPIPS, version 0.1: eq. (1) of Zhang et al. 2018 with the authors' linear heads, which hold w squared.

    An image with a side under 31 ("vgg": 16) pixels, too small for the backbone, goes on with its edge.
    """

    def __init__(self, backbone: str = "alex", taps: int = 5):
        """
        Args:
            backbone: "alex" or "vgg".
            taps: how many of the five taps are computed, from the first; the distance is the sum over those,
                so less than 5 is a cheaper distance of finer detail, not LPIPS.

        Raises HscError when the weights are not installed or are damaged, ValueError for other arguments.
        """
        super().__init__()
        if backbone not in _BACKBONES:
            raise ValueError(f"backbone '{backbone}': choose one of {', '.join(_BACKBONES)}")
        if not 1 <= taps <= 5:
            raise ValueError(f"{taps} taps: 1 to 5 are there")
        plan = _BACKBONES[backbone]
        path = need(backbone)
        stored = read_checkpoint(path)
        pools = {index: nn.MaxPool2d(plan.pool, 2) for index in plan.pooled}
        self.slices = _slices(plan, pools, stored, path)[:taps]
        self.heads = nn.ParameterList(_heads(plan, stored, path)[:taps])
        self.side = plan.side
        self.register_buffer("shift", _column(_LPIPS_SHIFT), persistent=False)
        self.register_buffer("scale", _column(_LPIPS_SCALE), persistent=False)
        self.requires_grad_(False)

    def forward(self, received: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        """Distances (B,) of images (B, 3, H, W) in [0, 1]."""
        return self.between(self.features(received), self.features(original))

    def between(self, received: Iterable[torch.Tensor], original: Iterable[torch.Tensor]) -> torch.Tensor:
        """Distances (B,) from the `features` of both, for an original that is compared with many."""
        return sum(
            ((x - y) ** 2).mean((2, 3)) @ head
            for head, x, y in zip(self.heads, received, original, strict=True)
        )

    def features(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Features of each tap, every pixel's of length 1, of images (B, 3, H, W) in [0, 1]."""
        x = (2 * x - 1 - self.shift) / self.scale
        missing = [max(0, self.side - length) for length in x.shape[2:]]
        if any(missing):
            x = functional.pad(x, (0, missing[1], 0, missing[0]), mode="replicate")
        for part in self.slices:
            x = part(x)
            yield functional.normalize(x, dim=1, eps=_LPIPS_EPSILON)


class Dists(nn.Module):
    """DISTS (Ding et al. 2020): structure and texture of VGG16's features and of the image itself.

    The authors shrink images to a shorter side of 256 before; here none is.
    """

    def __init__(self):
        """Raises HscError when the weights are not installed or are damaged."""
        super().__init__()
        path = need("vgg")
        plan = _BACKBONES["vgg"]
        pools = {index: _L2Pooling(plan.slices[index][0].inputs) for index in plan.pooled}
        self.slices = _slices(plan, pools, read_checkpoint(path), path)
        channels = [3, *(part[-1].outputs for part in plan.slices)]
        alpha, beta = _dists_weights(need("dists"), sum(channels))
        total = alpha.sum() + beta.sum()
        self.alpha = nn.ParameterList((alpha / total).split(channels))
        self.beta = nn.ParameterList((beta / total).split(channels))
        self.register_buffer("mean", _column(_MEAN), persistent=False)
        self.register_buffer("deviation", _column(_DEVIATION), persistent=False)
        self.requires_grad_(False)

    def forward(self, received: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        """Distances (B,) of images (B, 3, H, W) in [0, 1]."""
        return self.between(self.features(received), self.features(original))

    def between(self, received: Iterable[torch.Tensor], original: Iterable[torch.Tensor]) -> torch.Tensor:
        """Distances (B,) from the `features` of both, for an original that is compared with many."""
        similarity = 0.0
        stages = zip(received, original, strict=True)
        for alpha, beta, (x, y) in zip(self.alpha, self.beta, stages, strict=True):
            mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
            off_x, off_y = x - mean_x[..., None, None], y - mean_y[..., None, None]
            covariance = (off_x * off_y).mean((2, 3))
            variances = (off_x**2).mean((2, 3)) + (off_y**2).mean((2, 3))
            # The paper's l (means are what a texture is told by) and s (the same with correlations).
            texture = (2 * mean_x * mean_y + _DISTS_C) / (mean_x**2 + mean_y**2 + _DISTS_C)
            structure = (2 * covariance + _DISTS_C) / (variances + _DISTS_C)
            similarity = similarity + texture @ alpha + structure @ beta
        return 1 - similarity

    def features(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Features of each stage of images (B, 3, H, W) in [0, 1]."""
        yield x  # the image itself is the first: a distance of 0 then means equal images
        x = (x - self.mean) / self.deviation
        for part in self.slices:
            x = part(x)
            yield x


class _L2Pooling(nn.Module):
    """The pooling of DISTS: the root of the blurred square, every second pixel; aliases less than max."""

    def __init__(self, channels: int):
        super().__init__()
        window = torch.hann_window(5, periodic=False)[1:-1]
        blur = torch.outer(window, window)
        self.channels = channels
        self.register_buffer(
            "blur", (blur / blur.sum()).expand(channels, 1, 3, 3).contiguous(), persistent=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        power = functional.conv2d(x**2, self.blur, stride=2, padding=1, groups=self.channels)
        return (power + _POOL_EPSILON).sqrt()


def _slices(plan: _Backbone, pools: dict[int, nn.Module], stored: dict, path: Path) -> nn.ModuleList:
    """The backbone in slices, with its weights: a pooling where one stands, then convolutions with ReLUs."""
    slices = nn.ModuleList()
    layer = 0
    for index, part in enumerate(plan.slices):
        modules = [pools[index]] if index in pools else []
        for spec in part:
            convolution = nn.Conv2d(spec.inputs, spec.outputs, spec.side, spec.stride, spec.padding)
            _fill(convolution.weight, stored, (plan.key, f"Conv_{layer}", "kernel"), path)
            _fill(convolution.bias, stored, (plan.key, f"Conv_{layer}", "bias"), path)
            modules += [convolution, nn.ReLU(inplace=True)]
            layer += 1
        slices.append(nn.Sequential(*modules))
    return slices


def _heads(plan: _Backbone, stored: dict, path: Path) -> list[torch.Tensor]:
    """Weights of the five taps' channels, each (C,)."""
    heads = []
    for index, part in enumerate(plan.slices):
        head = torch.empty(1, part[-1].outputs, 1, 1)
        _fill(head, stored, (f"NetLinLayer_{index}", "Conv_0", "kernel"), path)
        heads.append(head.flatten())
    return heads


@torch.no_grad()
def _fill(tensor: torch.Tensor, stored: dict, keys: tuple[str, ...], path: Path) -> None:
    """Copy an array of a checkpoint; kernels lie there as (height, width, inputs, outputs)."""
    try:
        for key in keys:
            stored = stored[key]
        array = torch.from_numpy(stored)
        kernel = array.permute(3, 2, 0, 1) if array.ndim == 4 else array
        if kernel.shape != tensor.shape:
            raise ValueError(f"{'/'.join(keys)} has the shape {tuple(array.shape)}")
    except (KeyError, TypeError, ValueError) as error:
        raise HscError(f"'{path}' has other weights ({error}): remove it and run '{INSTALL}'") from error
    tensor.copy_(kernel)


def _dists_weights(path: Path, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """alpha and beta of DISTS, each (channels,), from torch's format."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        alpha, beta = (stored[key].detach().float().reshape(channels) for key in ("alpha", "beta"))
    except Exception as error:  # a damaged file may raise nearly all of them
        raise HscError(f"'{path}' has other weights ({error}): remove it and run '{INSTALL}'") from error
    return alpha, beta


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)
