"""Training of HDA-DeepSC: algorithm 1's stages as one resumable recipe, on a CPU, a GPU, or many of them (accelerate, `torchrun`)."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import data, weights
from ..codecs import hda_models
from ..nn import hda
from . import hda_fit
from .hda_objective import Objective, draw, usual
from .loop import CHECKPOINT_SECONDS, WARM_UP, Progress
from .recipes import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

MODELS = ("hda", "hda-profile", "hda-semantic")
# Share of the schedule at which each stage ends. The decoder's stage costs half of the others' time and gives most.
SCHEDULES = {
    "hda": (("semantic", 0.02), ("transceiver", 0.04), ("decoder", 0.45), ("whole", 1.0)),
    "hda-profile": (("decoder", 1.0),),
    "hda-semantic": (("semantic", 1.0),),
}
# Learning rate of each stage relative to the recipe's. In batches of four the whole network at the full rate lost 0.1 dB at 10 dB and 1.5
# dB at 20 dB against the decoder trained alone (measured).
STAGE_RATES = {"whole": 0.25}
FIT_CROPS, FIT_SIZE = 200, 256
EMA = 0.999
# Learning rates relative to the recipe's: the transforms are right at the start and stretch over four decades of power.
RATES = {"encoder": 1.0, "decoder": 1.0, "reliability": 1.0, "density": 5.0}
LINEAR_RATE = 0.05
_SEMANTIC_KEYS = ("transform.", "encoder.", "decoder.", "reliability.", "deviation", "weight")
KODAK_SECONDS = 600.0
EXACT = ("transform", "channel", "reliability", "deviation", "weight")  # stored as float16: they carry z itself


def train(chosen: Recipe, out: Path, start: dict[str, torch.Tensor] | None, how: dict) -> dict[str, float]:
    """Train a recipe of `MODELS`, export weights and card into `out`, and return the card's figures.

    Args:
        chosen: the recipe.
        start: weights to start from, as shipped (without tables they are fitted); None: the linear start.
        how: path, cache, minutes, report, as `loop.train` takes them.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    torch.manual_seed(chosen.seed + accelerator.process_index)
    photos = data.photos(how["path"], how["cache"])
    network = _start(start, photos, chosen)
    network, steps = _loop(accelerator, network, photos, chosen, out / f"{chosen.name}.checkpoint.pt", how)
    if not accelerator.is_main_process:
        return {}
    return _export(chosen, network.cpu().eval(), steps, photos, out, how["path"])


def _start(start: dict[str, torch.Tensor] | None, photos: data.Photos, chosen: Recipe) -> hda.HdaNetwork:
    network = hda.HdaNetwork(chosen.name.endswith("-module"))
    if start is not None and chosen.model == "hda-profile":
        network.load_state_dict({key: value for key, value in start.items() if not key.endswith("tables")}, strict=False)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(hda_models.DECODER))
        return network
    crops = _planes(photos.crops(np.random.default_rng(chosen.seed), chosen.samples or FIT_CROPS, FIT_SIZE))
    if chosen.model == "hda-semantic":
        hda_fit.set_deviation(network, crops)
        return network
    hda_fit.initialise(network, crops)
    if start is not None:
        network.load_state_dict({key: value for key, value in start.items() if not key.endswith("tables")}, strict=False)
        hda_fit.refit(network, crops)
    return network


def _loop(
    accelerator: Accelerator, network: hda.HdaNetwork, photos: data.Photos, chosen: Recipe, checkpoint: Path, how: dict
) -> tuple[hda.HdaNetwork, int]:
    network.mixed_precision = True
    average = copy.deepcopy(network).to(accelerator.device)
    optimizer = torch.optim.AdamW(_groups(network, chosen.learning_rate), betas=(0.9, 0.99), weight_decay=0.0)
    objective, optimizer = accelerator.prepare(Objective(network, chosen.regulariser / 255), optimizer)
    done, spent = _resume(checkpoint, accelerator.unwrap_model(objective).network, average, optimizer)
    begun = saved = shown = time.monotonic()
    source, profile = _batches(photos, chosen, accelerator), hda_models.by_name(chosen.name)
    rng = np.random.default_rng(chosen.seed + int(time.time()) + accelerator.process_index)
    while (fraction := _fraction(done, chosen.steps, time.monotonic() - begun + spent, how["minutes"])) < 1:
        stage = next(name for name, end in SCHEDULES[chosen.model] if fraction < end)
        for group in optimizer.param_groups:
            group["lr"] = STAGE_RATES.get(stage, 1.0) * (
                group["scale"] * chosen.learning_rate * min(1.0, (done + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * fraction))
            )
        loss, log_mse = objective(next(source), draw(rng, chosen.batch, profile), stage)
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
        done += 1
        _follow(average, accelerator.unwrap_model(objective).network, done)
        how["report"](Progress(done, chosen.steps, loss.item(), 10 ** log_mse.item()))
        now = time.monotonic()
        if accelerator.is_main_process and now - saved > CHECKPOINT_SECONDS:
            saved = now
            _save(checkpoint, accelerator.unwrap_model(objective).network, average, optimizer, done, now - begun + spent)
        if accelerator.is_main_process and now - shown > KODAK_SECONDS:
            shown = now
            print(f"step {done}, {stage}: Kodak PSNR {kodak_psnr(average, how['path'], profile, stage):.2f} dB", flush=True)
    if accelerator.is_main_process:
        _save(checkpoint, accelerator.unwrap_model(objective).network, average, optimizer, done, time.monotonic() - begun + spent)
    return average, done


def _fraction(done: int, steps: int, seconds: float, minutes: float | None) -> float:
    return max(done / steps, seconds / (60 * minutes) if minutes else 0.0)


def _groups(network: hda.HdaNetwork, rate: float) -> list[dict]:
    scales: dict[float, list] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        scales.setdefault(RATES.get(name.split(".")[0], LINEAR_RATE), []).append(parameter)
    return [{"params": parameters, "scale": scale, "lr": rate * scale} for scale, parameters in scales.items()]


def _batches(photos: data.Photos, chosen: Recipe, accelerator: Accelerator) -> Iterator[torch.Tensor]:
    rng = np.random.default_rng(chosen.seed + int(time.time()) % 1000 + 1000 * accelerator.process_index)
    while True:
        yield _planes(photos.crops(rng, chosen.batch, chosen.crop)).to(accelerator.device)


@torch.no_grad()
def _follow(average: hda.HdaNetwork, network: hda.HdaNetwork, step: int) -> None:
    """Moving average of the weights: what is shipped."""
    rest = 1 - min(EMA, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, rest)


@torch.no_grad()
def kodak_psnr(
    network: hda.HdaNetwork,
    path: str | Path | None,
    profile: hda_models.Profile | None = None,
    stage: str = "decoder",
    snr_db: float = 10.0,
    images: int = 6,
) -> float:
    """Mean PSNR [dB] over a few Kodak images at a profile's CBR and DA ratio, else at 1/6 and 0.2, as in training: no packets."""
    objective, device = Objective(network, 0.0), next(network.parameters()).device
    at = usual(profile or hda_models.PROFILES[0], snr_db)
    photos = data.kodak(path)
    chosen = photos[:: max(1, len(photos) // images)]
    return float(np.mean([-10 * objective(_planes(photo[None]).to(device), at, stage)[1].item() for photo in chosen]))


def _export(
    chosen: Recipe, network: hda.HdaNetwork, steps: int, photos: data.Photos, out: Path, path: str | Path | None
) -> dict[str, float]:
    """Tables fitted anew, weights, card. The figures are of the weights before they are rounded for storage."""
    network.mixed_precision = False
    if chosen.model == "hda-profile":
        state = {key: value for key, value in network.state_dict().items() if key.startswith(hda_models.DECODER)}
    elif chosen.model == "hda-semantic":
        state = {key: value for key, value in network.state_dict().items() if key.startswith(_SEMANTIC_KEYS)}
    else:
        crops = _planes(photos.crops(np.random.default_rng(chosen.seed + 1), chosen.samples or FIT_CROPS, FIT_SIZE))
        state = hda_fit.shipped_state(network, crops)
        if not network.encoder.convolution.weight.any():  # it was never trained
            state = {key: value for key, value in state.items() if not key.startswith("encoder.")}
    figures = _figures(chosen, network, path)
    about = {
        "recipe": {key: value for key, value in dataclasses.asdict(chosen).items() if value not in (None, "", 0)},
        "data": "photographs of photos/train, random crops",
        "seed": chosen.seed,
        "steps": steps,
        "figures": figures,
    }
    weights.save(chosen.name, state, about, folder=out, exact=EXACT)
    return figures


def _figures(chosen: Recipe, network: hda.HdaNetwork, path: str | Path | None) -> dict[str, float]:
    if chosen.model == "hda-semantic":
        return {"kodak, every 4th, without channel: PSNR [dB]": kodak_psnr(network, path, stage="semantic")}
    return {"kodak, every 4th, AWGN 10 dB, without packets: PSNR [dB]": kodak_psnr(network, path, hda_models.by_name(chosen.name))}


def _save(checkpoint: Path, network, average, optimizer, step: int, seconds: float) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    part = checkpoint.with_suffix(".part")
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step, "seconds": seconds}, part)
    os.replace(part, checkpoint)


def _resume(checkpoint: Path, network, average, optimizer) -> tuple[int, float]:
    if not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]


def _planes(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
