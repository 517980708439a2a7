"""The training loop: one for all recipes, on a CPU, a GPU, or many of them (accelerate, `torchrun`),
resumable at any moment.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import nn

from .. import weights
from ..errors import HscError
from ..images import datasets
from ..nn.precision import mixed
from .recipe import Recipe

WARM_UP = 100
CHECKPOINT_SECONDS = 120.0
# Steps in a row whose gradients are not finite that are passed over.
_MOST_WRONG = 20
# Pace of submodules that are good from the start, relative to the others. Chosen by trial with DeepJSCC.
SLOW = 0.1

# Loss and MSE per pixel, both scalar, of a model at a share of the schedule, on a batch that the function
# draws itself.
Loss = Callable[[nn.Module, float], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Progress:
    """Where a run stands, handed to the caller's `report` after every step.

    Attributes:
        step, steps: steps done, and those of the whole schedule.
        loss, mse: of this step's last batch.
        fraction: share of the schedule that was over when the step began, 0 to 1.
        model: what would be shipped now, on the device.
    """

    step: int
    steps: int
    loss: float
    mse: float
    fraction: float
    model: nn.Module


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        recipe: what is trained.
        out: folder for checkpoint, weights and card; also where a decoded copy of the photographs is kept.
        path: data folder; None: $HSC_DATA.
        minutes: shortens the schedule to the time there is, that of earlier parts of the run included; None:
            no limit.
        report: called after every step, in the first process of a parallel run.
        shipped: folder of the weights that the recipe's system comes with.
    """

    recipe: Recipe
    out: Path
    path: str | Path | None = None
    minutes: float | None = None
    report: Callable[[Progress], None] = lambda _: None
    shipped: Path = weights.FOLDER

    @property
    def checkpoint(self) -> Path:
        """File that the run is taken up from when it is there."""
        return self.out / f"{self.recipe.name}.checkpoint.pt"

    @property
    def hours(self) -> float:
        """How long the run has taken so far, as the checkpoint tells: earlier parts of it included."""
        if not self.checkpoint.is_file():
            return 0.0
        return torch.load(self.checkpoint, map_location="cpu", weights_only=True)["seconds"] / 3600

    def photos(self) -> datasets.Photos:
        """The training photographs, or street scenes; as many as the recipe wants. Raises HscError when
        there are none.
        """
        recipe = self.recipe
        if recipe.data == "street":
            found = datasets.street_photos(self.path)
        else:
            found = datasets.photos(self.path, self.out / "photos")
        return found.some(np.random.default_rng(recipe.seed), recipe.samples) if recipe.samples else found

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Weights to start from: those of an earlier run in `out`, else the shipped ones. Raises HscError
        when there are none.
        """
        return weights.load(name, self.out if (self.out / f"{name}.safetensors").is_file() else self.shipped)


@dataclass(frozen=True)
class Method:
    """How weights follow from gradients: Adam, its rate warmed up and then lowered along a cosine.

    Attributes:
        clip: largest norm of the gradient.
        betas: of Adam.
        average: decay of a moving average of the weights, which then is what is shipped; 0: none.
        pace: learning rate of a parameter, by name, relative to the recipe's.
        stage_rate: learning rate at a share of the schedule, relative to the recipe's.
    """

    clip: float = 50.0
    betas: tuple[float, float] = (0.9, 0.999)
    average: float = 0.0
    pace: Callable[[str], float] = lambda _: 1.0
    stage_rate: Callable[[float], float] = lambda _: 1.0


def accelerator() -> Accelerator:
    """This process's device and its place among those of a parallel run."""
    return Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])


class _Objective(nn.Module):
    """A model with its loss as one module: the processes of a parallel run add up gradients of what its
    `forward` calls.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
        return self.loss(self.model, fraction)


def fit(model: nn.Module, loss: Loss, run: Run, method: Method) -> tuple[nn.Module, int]:
    """Train a model. The run's checkpoint is taken up again, and written every two minutes and at the end.

    Returns:
        The model, or its moving average (in evaluation mode, on the CPU), and the steps that it has seen.
        The first process of a parallel run alone goes on: the others raise SystemExit, without an error.
    """
    here = accelerator()
    average = copy.deepcopy(model).to(here.device) if method.average else model
    optimizer = torch.optim.Adam(_groups(model, method.pace), betas=method.betas)
    objective, optimizer = here.prepare(_Objective(model, loss), optimizer)
    parts = {"model": model, "average": average, "optimizer": optimizer}
    done, spent = _resume(run.checkpoint, parts)
    saved = time.monotonic()
    begun = saved - spent
    wrong = 0
    model.train()
    while (fraction := _fraction(run, done, time.monotonic() - begun)) < 1:
        rate = (
            run.recipe.learning_rate
            * min(1.0, (done + 1) / WARM_UP)
            * (0.51 + 0.49 * math.cos(math.pi * fraction))
        )
        for group in optimizer.param_groups:
            group["lr"] = group["pace"] * method.stage_rate(fraction) * rate
        optimizer.zero_grad()
        for _ in range(run.recipe.accumulate):
            value, mse = objective(fraction)
            here.backward(value / run.recipe.accumulate)
        norm = here.clip_grad_norm_(model.parameters(), method.clip)
        wrong = 0 if torch.isfinite(torch.as_tensor(norm)) else wrong + 1
        if wrong > _MOST_WRONG:
            raise HscError(
                f"the gradients of {wrong} steps in a row are not finite: lower the learning rate, or go on "
                "from an earlier checkpoint"
            )
        if not wrong:  # one batch must not spoil all that was learnt
            optimizer.step()
        done += 1
        if average is not model:
            _follow(average, model, min(method.average, (1 + done) / (10 + done)))
        if here.is_main_process:
            run.report(Progress(done, run.recipe.steps, value.item(), mse.item(), fraction, average))
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                _save(run.checkpoint, parts, done, saved - begun)
    if not here.is_main_process:
        raise SystemExit(0)
    _save(run.checkpoint, parts, done, time.monotonic() - begun)
    return average.eval().cpu(), done


def fit_images(
    model: nn.Module, loss: Callable, run: Run, slow: tuple[str, ...] = (), average: float = 0.0
) -> tuple[nn.Module, int]:
    """`fit` for losses of the form (model, images (B, C, H, W), recipe), on the recipe's images and in
    bfloat16 where that is faster. `slow`: beginnings of the names of parameters that learn at the pace SLOW.
    `average`: as in `Method`.
    """
    source, device = batches(run), accelerator().device

    def of_batch(model: nn.Module, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        with mixed(device):
            return loss(model, next(source), run.recipe)

    method = Method(pace=lambda name: SLOW if name.startswith(slow) else 1.0, average=average)
    return fit(model.to(memory_format=torch.channels_last), of_batch, run, method)


def planes(images: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Images uint8 (B, H, W, C) → float32 (B, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float() / 255


def batches(run: Run) -> Iterator[torch.Tensor]:
    """Endless batches of a recipe's images, (B, C, H, W) float32 in [0, 1], on the device."""
    recipe, device = run.recipe, accelerator().device
    rng = (
        np.random.default_rng()
    )  # not the recipe's seed: a run that goes on must not begin with the same images again
    if recipe.data == "mnist":
        digits = datasets.mnist("train", run.path)[: recipe.samples or None, ..., None]
        while True:
            yield planes(digits[rng.integers(len(digits), size=recipe.batch)], device)
    photos = run.photos()
    while True:
        yield planes(photos.crops(rng, recipe.batch, recipe.crop), device)


def _fraction(run: Run, done: int, seconds: float) -> float:
    """Share of the schedule that is over. Processes end together: the first one's clock counts."""
    own = max(done / run.recipe.steps, seconds / (60 * run.minutes) if run.minutes else 0.0)
    return broadcast_object_list([own])[0]


def _groups(model: nn.Module, pace: Callable[[str], float]) -> list[dict]:
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(pace(name), []).append(parameter)
    return [{"params": parameters, "pace": own} for own, parameters in groups.items()]


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)


def _save(checkpoint: Path, parts: dict, step: int, seconds: float) -> None:
    """Write beside and rename, so that a checkpoint is never half written."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    part = checkpoint.with_suffix(".part")
    torch.save(
        {name: of.state_dict() for name, of in parts.items()} | {"step": step, "seconds": seconds}, part
    )
    os.replace(part, checkpoint)


def _resume(checkpoint: Path, parts: dict) -> tuple[int, float]:
    """Steps done and seconds spent; 0 without a checkpoint."""
    if not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for name, of in parts.items():
        of.load_state_dict(state[name])
    return state["step"], state["seconds"]
