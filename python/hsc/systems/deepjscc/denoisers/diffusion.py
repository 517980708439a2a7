"""DiffSDNet (HDA-DeepSC, section IV) and DDPM sampling (Ho et al., NeurIPS 2020): one noise predictor, taken
back to the values in deterministic or in random steps.
"""

from __future__ import annotations

import torch

from ....nn.diffusion import Schedule, reverse
from ..network import VALUES, DeepJscc
from ..spectrum import dct2
from .denoiser import Denoiser, NoisyValues
from .predictor import NoisePredictor

# Eq. (32) and T, both from the paper.
SCHEDULE = Schedule.linear(50, 0.5)
# Share of training images at their start step t̃; the others are further down. Chosen by trial.
AT_START = 0.4
# Numbers of steps that DiffSDNet is tuned for, of those in table I of the paper.
SAMPLED_STEPS = (10, 20, 40)
# Predictions of a run that gradients go through: two hold the memory of a step to that of two.
GRADIENTS = 2
# Least spectrum over the noise of a frequency that is handed on: below it the gain would only raise errors.
_LEAST_SPECTRUM = 1e-4
_TINY = 1e-12


class Diffusion(Denoiser):
    """The reverse process from the step whose noise is that of the received values.

    Estimates know the spectrum: they are handed on as the values of which they are the linear MMSE estimates
    at the noise that was.

    Attributes:
        schedule: of the forward process.
        random: steps draw from the posterior instead of going to its mean.
    """

    schedule = SCHEDULE
    random = False

    def __init__(self) -> None:
        super().__init__(NoisePredictor(self.schedule))

    def forward(
        self, values: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """As `Denoiser.forward`: algorithm 3."""
        return reverse(
            self.schedule,
            values / (1 + variance).sqrt()[:, None, None, None],  # eq. (31)
            self.schedule.start(variance),
            lambda v, t: self.network(v, t, spectrum),
            steps,
            self.random,
        )

    def hand_on(
        self, estimates: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Denoiser.hand_on`; the noise variance stays what it was."""
        noise = variance[:, None, None, None]
        return as_received(estimates, spectrum, noise), noise


class Ddpm(Diffusion):
    """Random steps, with the predictor as eq. (29) leaves it."""

    random = True

    def loss(self, drawn: NoisyValues, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
        """Eq. (29) as the image feels it; and the mean per value.

        t is t̃ of a random SNR, or uniform below it.
        """
        t = self.schedule.start(drawn.variance)
        t = torch.where(torch.rand_like(t) < AT_START, t, t * torch.rand_like(t))
        found = self.network(self.schedule.diffuse(drawn.values, t, drawn.noise), t, drawn.spectrum)
        error = (found - drawn.noise) * drawn.sent
        kept = self.schedule.kept(t)
        return felt(error, drawn.spectrum, (1 - kept) / kept, codec) * VALUES, error.square().mean()


class DiffSdNet(Diffusion):
    """Deterministic steps, with a predictor that was trained through them for the image."""

    def loss(self, drawn: NoisyValues, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
        """Minus the mean PSNR [10 dB] of images that went through the deterministic steps and the codec's
        decoder; and their MSE.

        A random number of steps; gradients go through the predictions of a few of them only.
        """
        steps = SAMPLED_STEPS[int(torch.randint(len(SAMPLED_STEPS), ()))]
        learning = iter((torch.randperm(steps) < GRADIENTS).tolist())

        def noise(v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with torch.set_grad_enabled(next(learning)):
                return self.network(v, t, drawn.spectrum)

        variance = drawn.variance[:, None, None, None]
        start = self.schedule.start(drawn.variance)
        estimates = reverse(self.schedule, drawn.noisy / (1 + variance).sqrt(), start, noise, steps)
        values = as_received(estimates, drawn.spectrum, variance) * drawn.scale
        left = torch.where(drawn.sent, variance * drawn.scale.square(), torch.inf).expand_as(values)
        decoded = codec.decode(values, left, drawn.told, drawn.count)
        squared = (decoded - drawn.images).square().mean((1, 2, 3))
        return torch.log10(squared + 1e-6).mean(), squared.mean()


def as_received(estimates: torch.Tensor, spectrum: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Values (B, K, h, w), as a receiver takes them, of which `estimates` are the linear MMSE ones at a noise
    variance (B, K, 1, 1).
    """
    known = spectrum > _LEAST_SPECTRUM * noise
    gain = torch.where(known, (spectrum + noise) / spectrum.clamp_min(_TINY), 0)
    return dct2(dct2(estimates) * gain, inverse=True)


def felt(
    error: torch.Tensor, spectrum: torch.Tensor, variance: torch.Tensor, codec: DeepJscc
) -> torch.Tensor:
    """Mean square of the error of values (B, 64, h, w), weighted at every frequency by what it does to the
    image.

    The receiver divides by the gain g: the weight is 1/g² = λ / spectrum, less where the noise is above the
    signal. The best estimate is the same for any weights; a small network spends itself where they are large.
    """
    power = codec.spectrum.power(*error.shape[-2:])
    weight = power / (spectrum + variance[:, None, None, None])
    return (dct2(error).square() * weight / weight.mean((1, 2, 3), keepdim=True)).mean()
