"""The training loop: one for all recipes, on a CPU or a GPU, resumable at any moment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import data
from ..channel import torch_normal, transmit
from ..nn.conv_vae import ConvVae
from .recipes import Fading, Recipe, build

WARM_UP = 100
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands, handed to the caller's `report` after every step."""

    step: int
    steps: int
    loss: float
    mse: float


def value_channel(fading: Fading, batch: int, device: torch.device) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Real values (B, n) of unit power through `fading`, two values a symbol; one channel gain and one mean SNR per row."""
    span = fading.snr_high_db - fading.snr_low_db
    snr_db = fading.snr_low_db + span * torch.rand(batch, 1, device=device)

    def channel(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        symbols = torch.view_as_complex(values.float().unflatten(1, (-1, 2)).contiguous()) * 0.5**0.5
        received, variance = transmit(symbols, snr_db, fading.kind, torch_normal(device))
        return torch.view_as_real(received).flatten(1) * 2**0.5, variance

    return channel


def batches(recipe: Recipe, path: str | Path | None, cache: str | Path | None, device: torch.device) -> Iterator[torch.Tensor]:
    """Endless batches (B, C, H, W) float32 in [0, 1]."""
    rng = np.random.default_rng(recipe.seed + int(time.time()) % 1000)
    if recipe.data == "mnist":
        digits = torch.from_numpy(data.mnist("train", path)[: recipe.samples or None].copy()).to(device)
        while True:
            index = torch.from_numpy(rng.integers(len(digits), size=recipe.batch)).to(device)
            yield digits[index][:, None].float() / 255
    source = data.photos(path, cache)
    while True:
        crops = torch.from_numpy(source.crops(rng, recipe.batch, recipe.crop)).to(device)
        yield crops.permute(0, 3, 1, 2).float() / 255


def loss(model: nn.Module, images: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative variational lower bound per image for a Gaussian likelihood, up to constants; and the MSE per pixel."""
    channel = value_channel(recipe.fading, len(images), images.device) if recipe.fading else None
    generated, regulariser = model(images, channel)
    squared = (generated.float() - images).square().flatten(1).sum(1)
    return (squared + recipe.regulariser * regulariser).mean(), squared.mean() / images[0].numel()


def train(
    recipe: Recipe,
    folder: Path,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    minutes: float | None = None,
    start: dict[str, torch.Tensor] | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    model: nn.Module | None = None,
    loss_function: Callable = loss,
) -> tuple[nn.Module, int]:
    """Train a recipe. A checkpoint in `folder` is taken up again; `minutes` shortens the schedule to the time there is.

    Returns:
        The model (in evaluation mode, on the CPU) and the steps that it has seen.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    model = (model or build(recipe)).to(device)
    source = batches(recipe, path, cache, device)
    if start is not None:
        model.load_state_dict(start)
    elif isinstance(model, ConvVae):
        crops = torch.cat([next(source) for _ in range(32)]).permute(0, 2, 3, 1)
        model.cpu().initialise_klt((crops.cpu().numpy() * 255).astype(np.uint8))
        model.to(device)
    model.to(memory_format=torch.channels_last)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(_groups(model, trained), lr=recipe.learning_rate)
    checkpoint = folder / f"{recipe.name}.checkpoint.pt"
    done, spent = _resume(checkpoint, model, optimizer)
    begun = saved = time.monotonic()
    model.train()
    for step in range(done, recipe.steps):
        elapsed = time.monotonic() - begun + spent
        fraction = max(step / recipe.steps, elapsed / (60 * minutes) if minutes else 0.0)
        if fraction >= 1:
            break
        rate = recipe.learning_rate * min(1.0, (step + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * fraction))
        for group in optimizer.param_groups:
            group["lr"] = group.get("pace", 1.0) * rate
        with torch.autocast(device.type, torch.bfloat16):
            objective, mse = loss_function(model, next(source), recipe)
        optimizer.zero_grad(set_to_none=True)
        objective.backward()
        nn.utils.clip_grad_norm_(trained, 50.0)
        optimizer.step()
        done = step + 1
        report(Progress(done, recipe.steps, float(objective.detach()), float(mse.detach())))
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            _save(checkpoint, model, optimizer, done, saved - begun + spent)
    _save(checkpoint, model, optimizer, done, time.monotonic() - begun + spent)
    return model.eval().cpu(), done


def _groups(model: nn.Module, trained: list[nn.Parameter]) -> list[dict]:
    """Parameter groups: the submodules that a model names in `slow` start where they are good already, and are trained at a tenth."""
    slow = {id(parameter) for name in getattr(model, "slow", ()) for parameter in model.get_submodule(name).parameters()}
    fast = [parameter for parameter in trained if id(parameter) not in slow]
    rest = [parameter for parameter in trained if id(parameter) in slow]
    return [{"params": part, "pace": pace} for part, pace in ((fast, 1.0), (rest, 0.1)) if part]


def _save(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    """Write beside and rename, so that a checkpoint is never half written."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    part = checkpoint.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}, part)
    os.replace(part, checkpoint)


def _resume(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    if not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]
