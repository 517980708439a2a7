"""What is trained: one `Recipe` per set of weights. Sizes, seeds and learning rates are here; the loop is in `loop.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from ..errors import HscError
from ..systems.deepjscc.denoisers import Denoiser
from ..systems.deepjscc.network import DeepJscc
from ..systems.hsc.adapters import AdaptedVae
from ..systems.hsc.conv_vae import ConvVae
from ..systems.hsc.vae import Vae
from ..systems.hsc.vqvae import VqVae

SYMBOLS = (4, 8, 16, 32, 64, 128)  # M of the SR, swept in the paper's figures 2 and 3
TUNED_SYMBOLS = (8, 64)  # M of the few-shot models and their NCR adapters
NCR_RANKS = (2, 4, 8, 12, 16, 20, 24)


@dataclass(frozen=True)
class Fading:
    """Channel during training: kind as in `channel.py`, mean SNR uniform in [low, high] dB."""

    kind: str
    snr_low_db: float
    snr_high_db: float


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: name of the weights that come out.
        model: "vae", "vqvae", "photo-vae", "ncr", "deepjscc", "deepjscc-q", "dncnn", "ddpm" or "diffsdnet".
        symbols: M for the digit models; latent channels of the photograph model; real values a token for DeepJSCC.
        data: "mnist" or "photos".
        steps, batch, learning_rate: Adam, cosine schedule after a short warm-up.
        regulariser: weight of the model's own loss (KL or codebook) against the squared error summed over the image.
        start: weights to start from; none for random (or KLT) initialisation.
        samples: number of training images used; 0 for all. Few-shot recipes use few.
        fading: channel between encoder and decoder; None for the ideal one.
        rank: CR rank k of an NCR adapter pair.
        crop: side of the training crops of photographs.
        accumulate: batches whose gradients are added up to one step.
    """

    name: str
    model: str
    symbols: int
    data: str = "mnist"
    steps: int = 6000
    batch: int = 256
    learning_rate: float = 1e-3
    regulariser: float = 0.005
    start: str = ""
    samples: int = 0
    fading: Fading | None = None
    rank: int = 0
    crop: int = 128
    accumulate: int = 1
    seed: int = 1


# Few-shot fine-tuning, eq. (22): Rayleigh, mean SNR 0-5 dB, few samples, squared error only. NCR, eq. (23): the SNRs of the tests.
_FEW_SHOT = {
    "samples": 16384, "steps": 6000, "learning_rate": 3e-4, "regulariser": 0.0, "fading": Fading("rayleigh", 0.0, 5.0)
}  # fmt: skip
_NCR = {"samples": 16384, "steps": 2000, "learning_rate": 1e-3, "fading": Fading("rayleigh", 0.0, 20.0)}
# A block of Rayleigh fading with a known gain is AWGN at another SNR; the photograph model sees the SNRs of ordinary links.
_PHOTO_FEW_SHOT = {"steps": 3000, "learning_rate": 3e-4, "regulariser": 0.0, "fading": Fading("awgn", 0.0, 15.0)}


def build(recipe: Recipe) -> nn.Module:
    """The untrained network of a recipe."""
    if recipe.model == "vae":
        return Vae(recipe.symbols)
    if recipe.model == "vqvae":
        return VqVae(recipe.symbols)
    if recipe.model == "ncr":
        return AdaptedVae(Vae(recipe.symbols))
    if recipe.model in ("deepjscc", "deepjscc-q"):
        return DeepJscc()
    if recipe.model in ("dncnn", "ddpm", "diffsdnet"):
        return Denoiser(recipe.model)
    return ConvVae(recipe.symbols)


def _recipes() -> dict[str, Recipe]:
    digit = Recipe("", "vae", 0, steps=30_000, batch=128)
    ideal = [replace(digit, name=f"hsc-mnist-vae-m{m}", symbols=m) for m in SYMBOLS]
    quantised = [replace(digit, name=f"hsc-mnist-vqvae-m{m}", model="vqvae", symbols=m, regulariser=1.0) for m in SYMBOLS]
    few_shot = [
        replace(start, name=f"{start.name}-few-shot", start=start.name, **_FEW_SHOT) for start in ideal if start.symbols in TUNED_SYMBOLS
    ]
    adapters = [
        replace(start, name=f"{start.start}-ncr-k{k}", model="ncr", start=start.name, rank=k, **_NCR)
        for start in few_shot
        for k in NCR_RANKS
    ]
    photo = Recipe("hsc-photo-vae", "photo-vae", 32, "photos", steps=20_000, batch=16, learning_rate=7e-4, regulariser=1e-3)
    photo_few_shot = replace(photo, name="hsc-photo-vae-few-shot", start=photo.name, **_PHOTO_FEW_SHOT)
    deepjscc = Recipe("deepjscc", "deepjscc", 64, "photos", 30_000, batch=4, learning_rate=8e-4, crop=192, fading=Fading("awgn", 0.0, 20.0))
    quantised_jscc = replace(deepjscc, name="deepjscc-q", model="deepjscc-q", start="deepjscc", learning_rate=3e-4)
    denoisers = [replace(deepjscc, name=f"deepjscc-{kind}", model=kind) for kind in ("dncnn", "ddpm")]
    diffsdnet = replace(
        deepjscc, name="deepjscc-diffsdnet", model="diffsdnet", start="deepjscc-ddpm", learning_rate=3e-4, fading=Fading("awgn", 0.0, 12.0)
    )
    hybrid = Recipe(
        "hda-deepsc", "hda", 0, "photos", steps=200_000, batch=4, learning_rate=4e-4, regulariser=0.1, crop=192
    )  # the regulariser is λ_F of eq. (18)
    whole = replace(hybrid, name="hda-deepsc-whole", model="hda-whole", start=hybrid.name, steps=40_000, accumulate=8, learning_rate=2e-4)
    profiles = [
        replace(hybrid, name=f"hda-deepsc-{name}", model="hda-profile", start=hybrid.name, steps=20_000)
        for name in ("da0.2", "da0.4", "da0.875", "da1.5", "da3", "cbr1-12", "cbr1-24")
    ]
    semantic = [
        replace(hybrid, name=f"hda-semantic-{name}", model="hda-semantic", steps=20_000, regulariser=weight)
        for name, weight in (("mse", 0.0), ("fourier", 0.1), ("module", 0.0))
    ]
    hevc_tables = replace(hybrid, name="hda-hevc", model="hda-hevc", start=hybrid.name, steps=20_000)
    hybrids = (hybrid, whole, *profiles, *semantic, hevc_tables)
    return {
        recipe.name: recipe
        for recipe in (
            *ideal,
            *quantised,
            *few_shot,
            *adapters,
            photo,
            photo_few_shot,
            deepjscc,
            quantised_jscc,
            *denoisers,
            diffsdnet,
            *hybrids,
        )
    }


RECIPES = _recipes()


def recipe(name: str, **changes: object) -> Recipe:
    """A recipe by name, with fields replaced by `changes`. Raises HscError for an unknown name."""
    if name not in RECIPES:
        raise HscError(f"unknown recipe '{name}': choose one of {', '.join(RECIPES)}")
    return replace(RECIPES[name], **changes)
