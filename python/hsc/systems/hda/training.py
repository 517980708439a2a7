"""Training of HDA-DeepSC: the families of recipes, and algorithm 1's stages as one resumable run."""

from __future__ import annotations

import copy
import itertools
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...images import datasets
from ...nn.precision import mixed, mixed_precision
from ...training.export import export, ship
from ...training.loop import Loss, Method, Progress, Run, accelerator, batches, fit, planes
from ...training.recipe import Recipe
from . import models
from .fit import initialise, refit, refit_power, set_deviation, shipped_state
from .models import DECODER, PROFILES, Profile
from .network import HdaNetwork
from .objective import Conditions, Stage, decoded, draw, restorer_loss, stage_loss, usual
from .restorer import Restorer

Stages = tuple[tuple[Stage, float], ...]

# Share of the schedule at which each stage of algorithm 1 ends. The decoder's stage costs half of the others'
# time and gives most.
ALGORITHM_1: Stages = (
    (Stage.SEMANTIC, 0.02),
    (Stage.TRANSCEIVER, 0.04),
    (Stage.DECODER, 0.45),
    (Stage.WHOLE, 1.0),
)
# Beginnings of the names of the semantic codec's weights.
SEMANTIC = ("transform.", "encoder.", "decoder.", "reliability.", "deviation", "weight")
# Crops that tables are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 200, 256
# Crops that the power tables are fitted to for a report.
REPORT_CROPS = 40
# Batches of the stage "whole" after which the power tables are fitted anew to what the encoder has become,
# because the gains follow from them. Chosen by trial.
REFIT_BATCHES = 4000
# Learning rates relative to the recipe's. Chosen by trial.
RATES = {"encoder": 1.0, "decoder": 1.0, "reliability": 1.0, "density": 5.0}
# That of all else: the transforms are right at the start and stretch over four decades of power.
LINEAR_RATE = 0.05
METHOD = Method(
    clip=5.0, betas=(0.9, 0.99), average=0.999, pace=lambda name: RATES.get(name.split(".")[0], LINEAR_RATE)
)
RESTORER_METHOD = Method(clip=1.0, betas=(0.9, 0.99), average=0.998)
# Seconds between two reports on Kodak images, and their SNRs [dB].
KODAK_SECONDS = 1800.0
KODAK_SNRS_DB = (0.0, 10.0, 20.0)
# Beginnings of the names of what is stored as float16 and not as int8, because it carries z itself.
EXACT = ("transform", "channel", "reliability", "deviation", "weight")


@dataclass(frozen=True, kw_only=True)
class HdaTraining(Recipe):
    """A run of algorithm 1, or of a part of it.

    Attributes:
        fourier: λ_F of eq. (18), for pixel values of 0 to 255.
    """

    fourier: float = 0.1

    @abstractmethod
    def stage(self, fraction: float) -> Stage:
        """The stage at a share of the schedule."""

    @abstractmethod
    def begin(self, network: HdaNetwork, start: dict[str, torch.Tensor], run: Run) -> None:
        """Make an untrained network ready for the first step, from weights, none or more."""

    @abstractmethod
    def shipped(self, network: HdaNetwork, run: Run) -> dict[str, torch.Tensor]:
        """What is saved of a trained network."""

    def rate(self, fraction: float) -> float:
        """Learning rate at a share of the schedule, relative to the recipe's."""
        return 1.0

    def draw(self, rng: np.random.Generator) -> Conditions:
        """Conditions of a batch."""
        return draw(rng, self.batch)

    def usual(self, snr_db: float) -> Conditions:
        """Typical conditions at an SNR [dB]."""
        return usual(PROFILES[0], snr_db)

    def figures(self, network: HdaNetwork, run: Run) -> dict[str, float]:
        """What the card says."""
        psnr_db = kodak_psnr(network, run.path, Stage.DECODER, self.usual(10.0))
        return {"kodak, every 4th, AWGN 10 dB, without packets: PSNR [dB]": psnr_db}

    def crops(self, run: Run, seed: int) -> torch.Tensor:
        """Random crops to fit tables to, (N, 3, 256, 256)."""
        return _crops(run, seed, self.samples or FIT_CROPS)

    def build(self) -> HdaNetwork:
        """The untrained network."""
        return HdaNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; weights as shipped, or the linear start."""
        network = self.build()
        self.begin(network, _weights(start or {}), run)
        network.mixed_precision = mixed_precision(accelerator().device)
        method = replace(METHOD, stage_rate=self.rate)
        network, steps = fit(network, self._loss(run), replace(run, report=_with_kodak(self, run)), method)
        network.mixed_precision = False
        state = self.shipped(network, run)
        figures = self.figures(network, run)  # of the weights before they are rounded for storage
        export(run, state, steps, figures, exact=EXACT)
        return figures

    def _loss(self, run: Run) -> Loss:
        source, rng, counter = batches(run), np.random.default_rng(), itertools.count(1)

        def loss(network: HdaNetwork, fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
            stage, count = self.stage(fraction), next(counter)
            if stage == Stage.WHOLE and count % REFIT_BATCHES == 0:
                refit_power(network, self.crops(run, count))
            value, log_mse = stage_loss(network, next(source), self.draw(rng), stage, self.fourier / 255)
            return value, 10**log_mse

        return loss


@dataclass(frozen=True, kw_only=True)
class WholeCodec(HdaTraining):
    """Everything, tables included.

    Attributes:
        stages: of algorithm 1, each with the share of the schedule at which it ends.
        whole_rate: learning rate of the stage "whole" relative to the recipe's. In batches of four the whole
            network at the full rate lost 0.1 dB at 10 dB and 1.5 dB at 20 dB against the decoder trained
            alone (measured).
    """

    stages: Stages = ALGORITHM_1
    whole_rate: float = 1.0

    def stage(self, fraction: float) -> Stage:
        return next(stage for stage, end in self.stages if fraction < end)

    def rate(self, fraction: float) -> float:
        return self.whole_rate if self.stage(fraction) == Stage.WHOLE else 1.0

    def begin(self, network: HdaNetwork, start: dict[str, torch.Tensor], run: Run) -> None:
        """The linear start; or weights, whose tables are fitted anew."""
        if run.checkpoint.is_file():
            return  # It holds everything.
        crops = self.crops(run, self.seed)
        initialise(network, crops)
        if start:
            network.load_state_dict(start, strict=False)
            refit(network, crops)

    def shipped(self, network: HdaNetwork, run: Run) -> dict[str, torch.Tensor]:
        """The network with tables fitted anew; without an encoder that was never trained."""
        state = shipped_state(network, self.crops(run, self.seed + 1))
        trained = bool(network.encoder.convolution.weight.any())
        return {key: value for key, value in state.items() if trained or not key.startswith("encoder.")}


@dataclass(frozen=True, kw_only=True)
class ProfileDecoder(HdaTraining):
    """The decoder of a profile, behind the common transmitter.

    Attributes:
        profile: whose CBR and DA ratio it is trained for.
    """

    profile: Profile

    def stage(self, fraction: float) -> Stage:
        return Stage.DECODER

    def draw(self, rng: np.random.Generator) -> Conditions:
        return draw(rng, self.batch, self.profile)

    def usual(self, snr_db: float) -> Conditions:
        return usual(self.profile, snr_db)

    def begin(self, network: HdaNetwork, start: dict[str, torch.Tensor], run: Run) -> None:
        network.load_state_dict(start, strict=False)
        learn_decoder(network)

    def shipped(self, network: HdaNetwork, run: Run) -> dict[str, torch.Tensor]:
        return _parts(network, DECODER)


@dataclass(frozen=True, kw_only=True)
class RestorerTraining(Recipe):
    """The restorer, behind the decoders of all profiles as they are."""

    def build(self) -> Restorer:
        """The untrained network."""
        return Restorer(based=False)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`."""
        restorer, rng, device = self.build(), np.random.default_rng(), accelerator().device
        if start is not None:
            restorer.load_state_dict(start)
        networks = [models.load(profile).network.to(device) for profile in PROFILES]
        source = batches(run)

        def loss(restorer: Restorer, _: float) -> tuple[torch.Tensor, torch.Tensor]:
            profile = PROFILES[int(rng.integers(len(PROFILES)))]
            at = draw(rng, self.batch, profile)
            with mixed(device):
                return restorer_loss(restorer, networks[profile.number], next(source), at)

        restorer, steps = fit(restorer.to(memory_format=torch.channels_last), loss, run, RESTORER_METHOD)
        return ship(run, restorer, steps, lambda: restorer_figures(restorer, run.path))


@torch.no_grad()
def restorer_figures(restorer: Restorer, path: str | Path | None) -> dict[str, float]:
    """Mean PSNR over Kodak images before and behind the restorer [dB], AWGN, no packets."""
    found, network = {}, models.load(PROFILES[0]).network.cpu()
    for snr_db in KODAK_SNRS_DB:
        torch.manual_seed(1)
        rows = []
        for photo in datasets.kodak(path)[::4]:
            image, at = planes(photo[None]), usual(PROFILES[0], snr_db)
            before, error = decoded(network, image, at)
            both = before, restorer(before, error)
            rows.append([-10 * (x.clamp(0, 1) - image).square().mean().log10().item() for x in both])
        for name, value in zip(("decoded", "restored"), np.mean(rows, 0).tolist(), strict=True):
            found[f"kodak, AWGN {snr_db:g} dB: PSNR {name} [dB]"] = value
    return found


@dataclass(frozen=True, kw_only=True)
class SemanticCodec(HdaTraining):
    """Both semantic coders, without a channel: table II.

    Attributes:
        spectral: with the Fourier-based module.
    """

    spectral: bool = False

    def build(self) -> HdaNetwork:
        return HdaNetwork(self.spectral)

    def stage(self, fraction: float) -> Stage:
        return Stage.SEMANTIC

    def begin(self, network: HdaNetwork, start: dict[str, torch.Tensor], run: Run) -> None:
        if not run.checkpoint.is_file():
            set_deviation(network, self.crops(run, self.seed))

    def shipped(self, network: HdaNetwork, run: Run) -> dict[str, torch.Tensor]:
        return _parts(network, SEMANTIC)

    def figures(self, network: HdaNetwork, run: Run) -> dict[str, float]:
        psnr_db = kodak_psnr(network, run.path, Stage.SEMANTIC, self.usual(10.0))
        return {"kodak, every 4th, without channel: PSNR [dB]": psnr_db}


def learn_decoder(network: HdaNetwork) -> None:
    """Leave gradients to the receiver's own part alone."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(DECODER))


@torch.no_grad()
def kodak_psnr(
    network: HdaNetwork, path: str | Path | None, stage: Stage, at: Conditions, images: int = 6
) -> float:
    """Mean PSNR [dB] over a few Kodak images under some conditions, as in training: no packets."""
    device, photos = next(network.parameters()).device, datasets.kodak(path)
    chosen = photos[:: max(1, len(photos) // images)]
    log_mse = [stage_loss(network, planes(photo[None], device), at, stage, 0.0)[1].item() for photo in chosen]
    return -10 * float(np.mean(log_mse))


def _with_kodak(recipe: HdaTraining, run: Run) -> Callable[[Progress], None]:
    """The run's `report`, with a line on Kodak images now and then."""
    shown = time.monotonic()

    def report(at: Progress) -> None:
        nonlocal shown
        run.report(at)
        if time.monotonic() - shown > KODAK_SECONDS:
            shown, stage, model = time.monotonic(), recipe.stage(at.fraction), at.model
            if stage == Stage.WHOLE:
                model = copy.deepcopy(model)
                refit_power(model, _crops(run, recipe.seed, REPORT_CROPS))
            psnr_db = (kodak_psnr(model, run.path, stage, recipe.usual(snr_db)) for snr_db in KODAK_SNRS_DB)
            text = " / ".join(f"{value:.2f}" for value in psnr_db)
            print(f"step {at.step}, {stage}: Kodak PSNR {text} dB at {KODAK_SNRS_DB} dB", flush=True)

    return report


def _crops(run: Run, seed: int, count: int) -> torch.Tensor:
    return planes(run.photos().crops(np.random.default_rng(seed), count, FIT_SIZE))


def _weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is shipped, without its entropy tables."""
    return {key: value for key, value in state.items() if not key.endswith("tables")}


def _parts(network: HdaNetwork, beginnings: tuple[str, ...]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in network.state_dict().items() if key.startswith(beginnings)}
