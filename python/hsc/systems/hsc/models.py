"""The semantic codecs of HSC: which network serves an image, and SR values in, generated image out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from ... import weights
from ...errors import HscError
from ...nn.planes import MOST_PIXELS
from .adapters import AdaptedVae
from .channel_io import shrink
from .conv_vae import ConvVae, latent_shape
from .gauss_markov import conditional_mean
from .vae import Vae
from .vqvae import VqVae

DIGIT_SHAPE = (28, 28, 1)
SMALLEST_SIDE = 8

# Numbers are part of the air interface: never reuse one.
MODELS: dict[int, str] = {
    **{1 + i: f"hsc-mnist-vae-m{m}" for i, m in enumerate((4, 8, 16, 32, 64, 128))},
    **{17 + i: f"hsc-mnist-vqvae-m{m}" for i, m in enumerate((4, 8, 16, 32, 64, 128))},
    33: "hsc-photo-vae",
}


def model_number(shape: tuple[int, int, int], semantic: str, symbols: int) -> int:
    """Header number of the network for an image: a digit model for 28 × 28 × 1, else the photograph VAE.
    Raises HscError.
    """
    wanted = f"hsc-mnist-{semantic}-m{symbols}" if shape == DIGIT_SHAPE else "hsc-photo-vae"
    for number, name in MODELS.items():
        if name == wanted and name in weights.names():
            return number
    known = [name for name in weights.names() if name in MODELS.values() and "mnist" in name]
    raise HscError(f"no digit model '{semantic}' with {symbols} symbols: there are {', '.join(known)}")


@lru_cache(maxsize=32)
def load_model(number: int, tuning: str = "none", rank: int = 0) -> nn.Module:
    """Network of a header number, ready to run. `rank` chooses the NCR adapters. Raises HscError for what is
    not there.
    """
    if number not in MODELS:
        raise HscError(
            f"semantic model number {number} is unknown: the packet comes from a newer version, update this receiver"
        )
    name = MODELS[number]
    model = ConvVae() if name == "hsc-photo-vae" else _digit_model(name)
    if tuning == "none":
        model.load_state_dict(weights.load(name))
        return model.eval()
    model.load_state_dict(weights.load(f"{name}-few-shot"))
    if tuning == "ncr":
        if not isinstance(model, Vae):
            raise HscError("NCR adapters exist for the digit VAE only: choose tuning 'few-shot' or 'none'")
        model = AdaptedVae(model)
        model.adapters.load_state_dict(weights.load(f"{name}-ncr-k{adapter_rank(name, rank)}"))
    return model.eval()


def has_few_shot(number: int) -> bool:
    """Whether few-shot weights of a model are there."""
    return f"{MODELS[number]}-few-shot" in weights.names()


def adapter_rank(name: str, rank: int) -> int:
    """Rank of the NCR adapters that serve CR rank `rank`: the nearest that was trained. Raises HscError when
    there are none.
    """
    prefix = f"{name}-ncr-k"
    ranks = [int(file.removeprefix(prefix)) for file in weights.names() if file.startswith(prefix)]
    if not ranks:
        raise HscError(
            f"no NCR adapters for '{name}': choose symbols 16, or train them with './gr-hsc train hsc-mnist-ncr'"
        )
    return min(ranks, key=lambda known: (abs(known - rank), known))


def value_count(number: int, shape: tuple[int, int, int]) -> int:
    """Real values in the SR of an image of `shape` (H, W, C). Raises HscError for a shape that the model
    cannot have.
    """
    name = MODELS.get(number)
    if name is None or shape[2] not in (1, 3) or (name != "hsc-photo-vae" and shape != DIGIT_SHAPE):
        raise HscError(f"semantic model number {number} does not serve images of shape {shape}")
    if min(shape[:2]) < SMALLEST_SIDE or shape[0] * shape[1] > MOST_PIXELS:
        raise HscError(
            f"an image of {shape[0]} x {shape[1]} pixels is outside what HSC takes: sides from {SMALLEST_SIDE}, at most 16 Mpx"
        )
    if name == "hsc-photo-vae":
        return int(np.prod(latent_shape(*shape[:2], 32)))
    return 2 * int(name.rsplit("-m", 1)[1])


@torch.inference_mode()
def encode_values(model: nn.Module, image: np.ndarray, sample: bool = False) -> np.ndarray:
    """uint8 (H, W, C) -> SR values, float32 (n,)."""
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    if isinstance(model, ConvVae):
        planes = planes.expand(-1, 3, -1, -1)
    return model.encode(planes, sample).flatten().numpy()


@torch.inference_mode()
def decode_values(
    model: nn.Module, values: np.ndarray, noise_variance: np.ndarray | float, shape: tuple[int, int, int]
) -> np.ndarray:
    """SR values (n,) and their noise variances -> generated image, float32 (H, W, C) in [0, 1].

    Values are shrunk by their prior variance and noise variance (linear MMSE). Lost ones (variance inf)
    become their mean given their neighbours in a photograph, and the prior mean, 0, in a digit, whose values
    have no places.
    """
    variance = torch.from_numpy(np.broadcast_to(np.float32(noise_variance), values.shape).copy())
    latent = torch.from_numpy(values)
    if not isinstance(model, ConvVae):
        images = model.decode(shrink(latent, variance)[None])
        return images[0].permute(1, 2, 0).numpy()
    size = latent_shape(*shape[:2], model.channels)
    shrunk = shrink(latent.reshape(size), variance.reshape(size), model.prior_variance[:, None, None])
    whole = conditional_mean(shrunk, variance.reshape(size).isfinite(), model.neighbour_correlation)
    image = model.decode(whole[None], *shape[:2])[0].clamp(0, 1)
    return (image if shape[2] == 3 else image.mean(0, keepdim=True)).permute(1, 2, 0).numpy()


def _digit_model(name: str) -> nn.Module:
    symbols = int(name.rsplit("-m", 1)[1])
    return VqVae(symbols) if "vqvae" in name else Vae(symbols)
