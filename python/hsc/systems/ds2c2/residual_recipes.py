"""What is trained of the residual: one network for each number of bits per pixel, and two for the paper's
table I.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .parameters import CHANNELS, RATES
from .residual_network import ResidualNetwork


@dataclass(frozen=True)
class Erasures:
    """Blocks lost in training.

    Attributes:
        calm: share of the batches that lose nothing.
        least, most: share of an image's blocks that is lost in the others, uniform.
        untold: share of the batches whose receiver is not told what is lost.
    """

    calm: float = 0.4
    least: float = 0.0
    most: float = 0.3
    untold: float = 0.25


@dataclass(frozen=True)
class Terms:
    """The loss of an image.

    Attributes:
        l1, ssim, vgg: weights of the terms of L_d, eq. (4), pixels in [0, 1].
        psnr: weight of minus the PSNR [10 dB], which the paper does not have.
        psnr_alone_from: share of the schedule from which minus the PSNR is the whole loss; 1 for never.
    """

    l1: float = 1.0
    ssim: float = 1.0
    vgg: float = 1.0
    psnr: float = 0.0
    psnr_alone_from: float = 0.3

    def at(self, fraction: float) -> Terms:
        """The terms at a share of the schedule."""
        return self if fraction < self.psnr_alone_from else Terms(0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ResidualTraining(Recipe):
    """BResNet and SumNet behind the base's weights as they are.

    Attributes:
        channels: C, binary symbols of 8 × 8 pixels.
        erasures: what is lost.
        terms: the loss.
        finenesses: of the base that x′ is made with, one drawn for each batch.
        signs_from: share of the schedule from which symbols are signs, as at inference, no longer drawn.
    """

    channels: int
    erasures: Erasures = Erasures()
    terms: Terms = Terms()
    finenesses: tuple[int, ...] = (0, 1, 2)
    signs_from: float = 0.3

    def build(self) -> ResidualNetwork:
        """The untrained network."""
        return ResidualNetwork(self.channels)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`."""
        from . import residual_training

        return residual_training.train(run, start)


def _recipe(
    level: int, erasures: Erasures = Erasures(), end: str = "", **changes: object
) -> ResidualTraining:
    usual = {"data": "photos", "steps": 20_000, "batch": 8, "learning_rate": 6e-4, "crop": 128}
    return ResidualTraining(
        name=f"ds2c2-residual-{RATES[level]}{end}",
        channels=CHANNELS[level],
        erasures=erasures,
        **{**usual, **changes},
    )


def _update(samples: int) -> ResidualTraining:
    """From photographs to street scenes, with so many of these; receivers are told what is lost."""
    return _recipe(
        _STREET,
        Erasures(untold=0.0),
        end=f"-street-{samples}",
        data="street",
        samples=samples,
        start=f"ds2c2-residual-{RATES[_STREET]}",
        steps=300,
        **{**_SHORT, "learning_rate": 2e-4},
    )


# Of table I, and of figure 5.
_TABLE, _STREET = RATES.index("0.26"), RATES.index("0.54")
# Street scenes of an update: few, and as many as there are.
UPDATES = (16, 54)
# Of training that lasts minutes: the short paths are good from the start, and symbols that are drawn, or
# another loss, would first spoil them (0.6 dB at 0.54 bits per pixel after ten minutes).
_SHORT = {"learning_rate": 3e-4, "signs_from": 0.0, "terms": Terms(psnr_alone_from=0.0)}

RECIPES = (
    *(_recipe(level, **({} if level == _TABLE else _SHORT)) for level in range(len(RATES))),
    # Table I: trained without erasures, and at 8 %.
    _recipe(_TABLE, Erasures(calm=1.0), "-clean", **_SHORT),
    _recipe(_TABLE, Erasures(calm=0.0, least=0.08, most=0.08, untold=0.5), "-8", **_SHORT),
    # Figure 5: an update by a low number of training images.
    *(_update(samples) for samples in UPDATES),
)
