"""From a trained model to shipped weights: rounding, the card, the figures of what was rounded."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from .. import weights
from .loop import Run

_DATA = {
    "mnist": "MNIST, {} training digits",
    "photos": "photographs of photos/train, random crops",
    "street": "street scenes of street/camvid/train, random crops",
}


def export(
    run: Run,
    state: dict[str, torch.Tensor],
    steps: int,
    figures: dict[str, float],
    detail: str = "",
    exact: tuple[str, ...] = (),
) -> Path:
    """Write weights and card into the run's folder. `detail` is added to the data's description; `exact`: see
    `weights.save`.
    """
    recipe = run.recipe
    some = f", {recipe.samples} of them" if recipe.samples and recipe.data != "mnist" else ""
    about = {
        "recipe": {
            key: value for key, value in dataclasses.asdict(recipe).items() if value not in (None, "", 0)
        },
        "data": _DATA[recipe.data].format(recipe.samples or 60_000) + some + detail,
        "seed": recipe.seed,
        "steps": steps,
        "hours": round(run.hours, 2),
        "date": datetime.date.today().isoformat(),
        "figures": figures,
    }
    return weights.save(recipe.name, state, about, folder=run.out, exact=exact)


def ship(run: Run, model: nn.Module, steps: int, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Export a model, put what was exported into it, and measure that; the figures go into the card and are
    returned.
    """
    export(run, model.state_dict(), steps, {})
    model.load_state_dict(weights.load(run.recipe.name, run.out))
    figures = measure()
    export(run, model.state_dict(), steps, figures)
    return figures
