"""Training of the refiner, mostly behind LRISC's codec, now and then behind another one: a few steps of
residual-shift diffusion, judged by what a viewer sees.

Loss of x̂₀ at a random step t, mostly the first: MSE + LPIPS (Alex) + LPIPS (VGG, the first taps,
on some images of each batch), crops shifted by some pixels before they are judged, so that no grid is
favoured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ... import channel, modem
from ...codecs import registry
from ...errors import HscError
from ...evaluation.transmission import carry
from ...images import datasets
from ...message import Link
from ...nn.precision import mixed
from ...perceptual import Lpips
from ...refiner import bands, diffusion
from ...refiner.network import RefinerNetwork
from ...refiner.options import MOST_STEPS, USUAL_STEPS
from ...training.export import ship
from ...training.loop import Method, Progress, Run, accelerator, batches, fit, planes
from .network import MULTIPLE, LriscNetwork
from .training import CALM, Hazards, Links, draw_links, send

# Weight of the MSE, pixels in [0, 1]: a larger one drowns the other terms (its gradients are noise: the codec
# has already taken away what can be).
MSE_WEIGHT = 1.5
# Weight of the MSE relative to that of x̃: a dB of PSNR costs the same at every SNR and CBR. Chosen by trial:
# without it an image at 20 dB loses 1 to 2 dB.
RELATIVE_WEIGHT = 0.005
# Least MSE of x̃ that the relative one counts on.
_LEAST_MSE = 1e-4
# Images of a batch that LPIPS (VGG) judges, one in so many, and the taps that are computed: it costs four
# times the network.
VGG_SHARE, VGG_TAPS = 8, 3
# Largest shift before LPIPS [pixels].
_JITTER = 7
# Codecs besides LRISC that a batch may come through, by way of the contract, and the share of such batches.
# What they decode has other errors, and the refiner is to serve them too.
OTHERS, _OTHERS_SHARE = ("deepjscc", "separate", "hda_deepsc"), 0.1
# Share of images at the first step, which is all that most receivers take: further steps change LPIPS by 1 %
# (a half in the first 16 700 steps of a training).
_FIRST_SHARE = 0.85
# Share of images for which nothing is known of the error, as behind codecs that cannot tell.
_UNTOLD = 0.15
METHOD = Method(clip=1.0, betas=(0.9, 0.99), average=0.998)
# CBRs of the images by log-uniform draw, and SNRs [dB].
_SNRS_DB = (-2.0, 22.0)
# Steps between two reports on Kodak images.
_REPORT_STEPS = 1000


@dataclass(frozen=True)
class Judges:
    """The perceptual distances of the loss."""

    alex: Lpips
    vgg: Lpips

    @classmethod
    def load(cls, device: torch.device) -> Judges:
        """Raises HscError when their weights are not installed."""
        return cls(Lpips("alex").to(device), Lpips("vgg", VGG_TAPS).to(device))

    def __call__(self, received: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        """Mean of the distances of a batch (B, 3, S, S)."""
        top, left = (int(each) for each in torch.randint(_JITTER + 1, (2,)))
        received, original = received[..., top:, left:], original[..., top:, left:]
        some = slice(int(torch.randint(min(VGG_SHARE, len(received)), ())), None, VGG_SHARE)
        return self.alex(received, original).mean() + self.vgg(received[some], original[some]).mean()


@torch.no_grad()
def degraded(
    codec: LriscNetwork, images: torch.Tensor, links: Links, hazards: Hazards
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W), sides multiples of 32 → x̃ as decoded, and the bands of its error."""
    received, variance = send(codec, images, links, hazards)
    return received.clamp(0, 1), bands.of_coefficients(variance)


def through(
    name: str, images: torch.Tensor, links: Links, decoded: torch.Tensor, error: torch.Tensor
) -> None:
    """Put what a registered codec makes of images, by way of the contract and the symbol-level channel, AWGN,
    in place of x̃ and its bands, negative where the codec cannot tell. An image that it cannot send in so few
    channel uses stays as it was decoded.
    """
    codec = registry.create(name)
    for index, image in enumerate(pixels(images)):
        snr_db, cbr = float(links.snr_db[index]), float(links.cbr[index])
        try:
            sent = modem.modulate(codec.encode(image, Link(snr_db, cbr)), 0)
            normal = channel.numpy_normal(np.random.default_rng())
            found = codec.decode(modem.demodulate(carry(sent, "awgn", snr_db, normal)))
        except HscError:
            continue
        decoded[index] = planes(found.image[None])[0]
        error[index] = -1.0 if found.error is None else torch.from_numpy(found.error)


def pixels(images: torch.Tensor) -> np.ndarray:
    """Images (B, 3, H, W) in [0, 1] → uint8 (B, H, W, 3)."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def noise_of(error: torch.Tensor) -> torch.Tensor:
    """n for bands (B, 16, h, w)."""
    shape = (len(error), len(bands.BAND), *error.shape[-2:])
    return diffusion.posterior_noise(error, torch.randn(shape, device=error.device))


def loss(
    network: RefinerNetwork, codec: LriscNetwork, judges: Judges, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and MSE of a batch of images (B, 3, S, S)."""
    batch, device = len(images), images.device
    links = draw_links(batch, _SNRS_DB, device)
    decoded, error = degraded(codec, images, links, Hazards())
    if torch.rand(()) < _OTHERS_SHARE:
        with torch.autocast(device.type, enabled=False):  # as on the air
            through(OTHERS[int(torch.randint(len(OTHERS), ()))], images.cpu(), links, decoded, error)
    untold = torch.rand(batch, 1, 1, 1, device=device) < _UNTOLD
    error = torch.where(untold, -1.0, error)
    noise, step = noise_of(error), torch.randint(1, MOST_STEPS + 1, (batch,), device=device)
    step = torch.where(torch.rand(batch, device=device) < _FIRST_SHARE, MOST_STEPS, step)
    begun = before(network, step, decoded, error, noise)
    found = _stepped(network, step, begun, decoded, error, noise)
    squared, of_decoded = (_squared(each, images) for each in (found, decoded))
    mse, relative = squared.mean(), (squared / of_decoded.clamp_min(_LEAST_MSE)).mean()
    return MSE_WEIGHT * mse + RELATIVE_WEIGHT * relative + judges(found, images), mse


@torch.no_grad()
def before(network: RefinerNetwork, step: torch.Tensor, *known: torch.Tensor) -> torch.Tensor:
    """x̂₀ that the network itself leaves before step t (B,) of each image, as at a receiver: by the first
    step, and by each of those between with a probability of a half. `known`: x̃, the bands of its error, n.

    Were it the original, later steps would trust what they are given, and four of them leave more LPIPS and
    error than one.
    """
    found = known[0].clone()
    for earlier in range(MOST_STEPS, 1, -1):
        taken = step < earlier
        if earlier < MOST_STEPS:
            taken &= torch.rand(len(step), device=step.device) < 0.5
        if taken.any():
            at = step.new_full((int(taken.sum()),), earlier)
            found[taken] = _stepped(network, at, *(each[taken] for each in (found, *known))).to(found)
    return found


def _stepped(
    network: RefinerNetwork,
    step: torch.Tensor,
    found: torch.Tensor,
    decoded: torch.Tensor,
    error: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """x̂₀ by step t (B,) of each image, from the x̂₀ before it."""
    at = diffusion.level(step)
    return network(diffusion.shifted(found, decoded, noise, at), decoded, error, at)


def _squared(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """MSE of each image, (B,)."""
    return (images - others).square().mean((1, 2, 3))


@torch.no_grad()
def figures(
    network: RefinerNetwork, codec: LriscNetwork, judge: Lpips, photos: list[np.ndarray], steps: int
) -> dict[str, float]:
    """Mean LPIPS (Alex) and PSNR [dB] before and behind the refiner over photographs, AWGN, no packets."""
    found = {}
    for name, cbr in (("1/24", 1 / 24), ("1/12", 1 / 12)):
        for snr_db in (0.0, 10.0, 20.0):
            torch.manual_seed(1)
            rows = [_quality(network, codec, judge, photo, Links.of(snr_db, cbr), steps) for photo in photos]
            means = np.mean(rows, 0)
            at = f"kodak, AWGN {snr_db:g} dB, CBR {name}"
            found[f"{at}: LPIPS (Alex) decoded"], found[f"{at}: LPIPS (Alex) refined"] = means[:2].tolist()
            found[f"{at}: PSNR decoded [dB]"], found[f"{at}: PSNR refined [dB]"] = means[2:].tolist()
    return found


def _quality(
    network: RefinerNetwork, codec: LriscNetwork, judge: Lpips, photo: np.ndarray, links: Links, steps: int
) -> list[float]:
    height, width = (side // MULTIPLE * MULTIPLE for side in photo.shape[:2])
    image = planes(photo[None, :height, :width])
    decoded, error = degraded(codec, image, links, CALM)
    refined = diffusion.sample(network, decoded, error, noise_of(error), steps).clamp(0, 1)
    distances = [judge(each, image).item() for each in (decoded, refined)]
    return distances + [-10 * torch.log10((x - image).square().mean()).item() for x in (decoded, refined)]


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export and measure. Returns the figures on the card."""
    network, device = run.recipe.build(), accelerator().device
    if start is not None:
        network.load_state_dict(start)
    codec = LriscNetwork()
    codec.load_state_dict(run.weights("lrisc"))
    codec = codec.eval().requires_grad_(False).to(device)
    judges, source = Judges.load(device), batches(run)

    def of_batch(model: RefinerNetwork, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        with mixed(device):
            return loss(model, codec, judges, next(source))

    photos = datasets.kodak(run.path)[::4]
    told = _telling(run.report, lambda model: figures(model, codec, judges.alex, photos, USUAL_STEPS))
    network = network.to(memory_format=torch.channels_last)
    network, steps = fit(network, of_batch, replace(run, report=told), METHOD)
    return ship(run, network, steps, lambda: figures(network, codec, judges.alex, photos, USUAL_STEPS))


def _telling(
    report: Callable[[Progress], None], measure: Callable[[RefinerNetwork], dict[str, float]]
) -> Callable[[Progress], None]:
    """A run's `report`, with a line of figures now and then."""

    def told(at: Progress) -> None:
        report(at)
        if at.step % _REPORT_STEPS == 0:
            model = at.model
            found = measure(model)
            print(f"step {at.step}: " + ", ".join(f"{value:.3f}" for value in found.values()), flush=True)

    return told
