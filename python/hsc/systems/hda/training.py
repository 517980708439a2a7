"""Training of HDA-DeepSC: algorithm 1's stages as one resumable recipe."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...images import datasets
from ...training.export import export
from ...training.loop import Loss, Method, Progress, Run, accelerator, batches, fit, mixed_precision, planes
from . import fit as hda_fit
from . import models
from . import network as hda
from .objective import draw, stage_loss, usual
from .recipes import SEMANTIC, HdaTraining

FIT_CROPS, FIT_SIZE = 200, 256
# Learning rates relative to the recipe's: the transforms are right at the start and stretch over four decades
# of power.
RATES = {"encoder": 1.0, "decoder": 1.0, "reliability": 1.0, "density": 5.0}
LINEAR_RATE = 0.05
METHOD = Method(
    clip=5.0, betas=(0.9, 0.99), average=0.999, pace=lambda name: RATES.get(name.split(".")[0], LINEAR_RATE)
)
KODAK_SECONDS, KODAK_SNRS = 1800.0, (0.0, 10.0, 20.0)
# Batches after which the power tables are fitted anew to what the encoder has become: the gains follow from
# them.
REFIT_BATCHES = 4000
REPORT_CROPS = 40  # that they are fitted to for a report
EXACT = (
    "transform",
    "channel",
    "reliability",
    "deviation",
    "weight",
)  # stored as float16: they carry z itself


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export weights and card, and return the card's figures.

    `start`: weights as shipped, whose tables are fitted anew; None: the linear start.
    """
    photos = run.photos()
    network = _start(start, photos, run)
    network.mixed_precision = mixed_precision(accelerator().device)
    method = replace(
        METHOD,
        stage_rate=lambda fraction: run.recipe.whole_rate if run.recipe.stage(fraction) == "whole" else 1.0,
    )
    network, steps = fit(network, _loss(run), replace(run, report=_with_kodak(run)), method)
    network.mixed_precision = False
    state = _shipped(run.recipe, network, photos)
    figures = _figures(run.recipe, network, run.path)  # of the weights before they are rounded for storage
    export(run, state, steps, figures, exact=EXACT)
    return figures


def learn_decoder(network: hda.HdaNetwork) -> None:
    """Leave gradients to the receiver's own part alone."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(models.DECODER))


def _start(start: dict[str, torch.Tensor] | None, photos: datasets.Photos, run: Run) -> hda.HdaNetwork:
    chosen = run.recipe
    network = hda.HdaNetwork(chosen.spectral)
    own = {key: value for key, value in (start or {}).items() if not key.endswith("tables")}
    alone = own and chosen.saves == models.DECODER
    if alone:
        network.load_state_dict(own, strict=False)
        learn_decoder(network)
    if alone or run.checkpoint.is_file():  # everything else is in the checkpoint
        return network
    crops = _fit_crops(photos, chosen, chosen.seed)
    if chosen.stages == SEMANTIC:
        hda_fit.set_deviation(network, crops)
        return network
    hda_fit.initialise(network, crops)
    if own:
        network.load_state_dict(own, strict=False)
        hda_fit.refit(network, crops)
    return network


def _fit_crops(photos: datasets.Photos, chosen: HdaTraining, seed: int) -> torch.Tensor:
    return planes(photos.crops(np.random.default_rng(seed), chosen.samples or FIT_CROPS, FIT_SIZE))


def _loss(run: Run) -> Loss:
    chosen, source, rng = run.recipe, batches(run), np.random.default_rng()
    profile = models.by_name(chosen.name)
    count = 0

    def loss(network: hda.HdaNetwork, fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal count
        count += 1
        if count % REFIT_BATCHES == 0 and chosen.stage(fraction) == "whole":
            hda_fit.refit_power(network, _fit_crops(run.photos(), chosen, count))
        at = draw(rng, chosen.batch, profile)
        value, log_mse = stage_loss(network, next(source), at, chosen.stage(fraction), chosen.fourier / 255)
        return value, 10**log_mse

    return loss


def _with_kodak(run: Run) -> Callable[[Progress], None]:
    """The run's `report`, with a line on Kodak images now and then."""
    shown, profile = time.monotonic(), models.by_name(run.recipe.name)

    def report(at: Progress) -> None:
        nonlocal shown
        run.report(at)
        if time.monotonic() - shown > KODAK_SECONDS:
            shown, stage, model = time.monotonic(), run.recipe.stage(at.fraction), at.model
            if stage == "whole":
                model = copy.deepcopy(model)
                hda_fit.refit_power(
                    model,
                    planes(
                        run.photos().crops(np.random.default_rng(run.recipe.seed), REPORT_CROPS, FIT_SIZE)
                    ),
                )
            shown_psnr = " / ".join(
                f"{kodak_psnr(model, run.path, profile, stage, snr_db):.2f}" for snr_db in KODAK_SNRS
            )
            print(f"step {at.step}, {stage}: Kodak PSNR {shown_psnr} dB at {KODAK_SNRS} dB", flush=True)

    return report


@torch.no_grad()
def kodak_psnr(
    network: hda.HdaNetwork,
    path: str | Path | None,
    profile: models.Profile | None = None,
    stage: str = "decoder",
    snr_db: float = 10.0,
    images: int = 6,
) -> float:
    """Mean PSNR [dB] over a few Kodak images at a profile's CBR and DA ratio, else at 1/6 and 0.2, as in
    training: no packets.
    """
    device, at = next(network.parameters()).device, usual(profile or models.PROFILES[0], snr_db)
    photos = datasets.kodak(path)
    chosen = photos[:: max(1, len(photos) // images)]
    return float(
        np.mean(
            [
                -10 * stage_loss(network, planes(photo[None], device), at, stage, 0.0)[1].item()
                for photo in chosen
            ]
        )
    )


def _shipped(
    chosen: HdaTraining, network: hda.HdaNetwork, photos: datasets.Photos
) -> dict[str, torch.Tensor]:
    """What a recipe saves: the network with tables fitted anew, or its part of it."""
    if chosen.saves:
        return {key: value for key, value in network.state_dict().items() if key.startswith(chosen.saves)}
    state = hda_fit.shipped_state(network, _fit_crops(photos, chosen, chosen.seed + 1))
    if network.encoder.convolution.weight.any():
        return state
    return {
        key: value for key, value in state.items() if not key.startswith("encoder.")
    }  # it was never trained


def _figures(chosen: HdaTraining, network: hda.HdaNetwork, path: str | Path | None) -> dict[str, float]:
    if chosen.stages == SEMANTIC:
        return {"kodak, every 4th, without channel: PSNR [dB]": kodak_psnr(network, path, stage="semantic")}
    return {
        "kodak, every 4th, AWGN 10 dB, without packets: PSNR [dB]": kodak_psnr(
            network, path, models.by_name(chosen.name)
        )
    }
