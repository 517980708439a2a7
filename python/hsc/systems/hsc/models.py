"""The semantic networks of HSC: which one serves an image, its number on the air, and its weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from torch import nn

from ... import weights
from ...errors import HscError
from ...message import MOST_PIXELS
from .adapters import AdaptedVae
from .conv_vae import CHANNELS, ConvVae, latent_shape
from .options import SYMBOLS, TUNINGS
from .parameters import HscParameters
from .vae import Vae
from .vqvae import VqVae

DIGIT_SHAPE = (28, 28, 1)
# Shortest side of an image [pixels]: half a block of the photograph's latent.
SMALLEST_SIDE = 8

# Numbers are part of the air interface: never reuse one.
MODELS: dict[int, str] = {
    **{1 + i: f"hsc-mnist-vae-m{m}" for i, m in enumerate(SYMBOLS)},
    **{17 + i: f"hsc-mnist-vqvae-m{m}" for i, m in enumerate(SYMBOLS)},
    33: "hsc-photo-vae",
}
_FEW_SHOT, _NCR = "-few-shot", "-ncr-k"


def model_number(shape: tuple[int, int, int], semantic: str, symbols: int) -> int:
    """Header number of the network for an image: a digit's for 28 × 28 × 1, else the photograph's.

    Raises HscError where there is none.
    """
    wanted = f"hsc-mnist-{semantic}-m{symbols}" if shape == DIGIT_SHAPE else "hsc-photo-vae"
    there = {name: number for number, name in MODELS.items() if name in weights.names()}
    if wanted in there:
        return there[wanted]
    known = ", ".join(name for name in there if "mnist" in name) or "none at all, install again"
    raise HscError(f"no digit model '{semantic}' with {symbols} symbols: there are {known}")


def network(parameters: HscParameters) -> nn.Module:
    """The network of a message's SR, ready to run. Raises HscError for what is not there."""
    tuning = TUNINGS[parameters.tuning]
    return load_model(parameters.model, tuning, parameters.rank if tuning == "ncr" else 0)


@lru_cache(maxsize=32)
def load_model(number: int, tuning: str = "none", rank: int = 0) -> nn.Module:
    """Network of a header number. `rank` chooses the NCR adapters. Raises HscError for what is not there."""
    if number not in MODELS:
        raise HscError(
            f"semantic model number {number} is unknown: the packet comes from a newer version, "
            "update this receiver"
        )
    name = MODELS[number]
    model = _untrained(name)
    if tuning == "none":
        model.load_state_dict(weights.load(name))
        return model.eval()
    if tuning == "ncr" and not isinstance(model, Vae):
        raise HscError("NCR adapters exist for the digit VAE only: choose tuning 'few-shot' or 'none'")
    there = _with(_NCR if tuning == "ncr" else _FEW_SHOT)
    if name not in there:
        raise HscError(f"{name} has no {tuning} weights: choose tuning 'none', or one of {', '.join(there)}")
    model.load_state_dict(weights.load(name + _FEW_SHOT))
    if tuning == "ncr":
        model = AdaptedVae(model)
        model.adapters.load_state_dict(weights.load(f"{name}{_NCR}{_adapter_rank(name, rank)}"))
    return model.eval()


def has_few_shot(number: int) -> bool:
    """Whether few-shot weights of a network are there."""
    return MODELS[number] in _with(_FEW_SHOT)


def value_count(number: int, shape: tuple[int, int, int]) -> int:
    """Real values in the SR of an image of `shape` (H, W, C). Raises HscError for a shape that the network
    does not serve.
    """
    name = MODELS.get(number)
    if name is None or shape[2] not in (1, 3) or (name != "hsc-photo-vae" and shape != DIGIT_SHAPE):
        raise HscError(f"semantic model number {number} does not serve images of shape {shape}")
    if min(shape[:2]) < SMALLEST_SIDE or shape[0] * shape[1] > MOST_PIXELS:
        raise HscError(
            f"an image of {shape[0]} x {shape[1]} pixels is outside what HSC takes: "
            f"sides from {SMALLEST_SIDE}, at most 16 Mpx"
        )
    if name == "hsc-photo-vae":
        return int(np.prod(latent_shape(*shape[:2], CHANNELS)))
    return 2 * _symbols(name)


def _adapter_rank(name: str, rank: int) -> int:
    """Rank of the NCR adapters that serve CR rank `rank`: the nearest that was trained."""
    prefix = name + _NCR
    ranks = [int(file.removeprefix(prefix)) for file in weights.names() if file.startswith(prefix)]
    return min(ranks, key=lambda known: (abs(known - rank), known))


def _with(suffix: str) -> list[str]:
    """Networks of which there are weights whose name goes on like this."""
    files = weights.names()
    return [name for name in MODELS.values() if any(file.startswith(name + suffix) for file in files)]


def _untrained(name: str) -> nn.Module:
    if name == "hsc-photo-vae":
        return ConvVae()
    return VqVae(_symbols(name)) if "vqvae" in name else Vae(_symbols(name))


def _symbols(name: str) -> int:
    """M of a digit's network."""
    return int(name.rsplit("-m", 1)[1])
