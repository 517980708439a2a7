"""Training of LRISC's codec: mean PSNR over random SNR, fading, losses and bandwidths; and the tables of
p(z | y), which follow from statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...channel import gain, torch_normal
from ...coding import activity
from ...coding.analog_part import AnalogLayer, analog_layer, llse, select
from ...images import datasets
from ...nn.precision import mixed
from ...nn.transform import BLOCK
from ...training.export import export
from ...training.loop import Method, Run, accelerator, batches, fit, planes
from . import hyper, means, side
from .network import MULTIPLE, USUAL_SNR_DB, LriscNetwork

# Crops that tables are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 240, 256
# Whole photographs that the waves of the means are fitted to.
FIT_WHOLE = 80
# Steps after which the tables are fitted anew to what the encoder has become. Chosen by trial.
REFIT_STEPS = 1000
# Share of the channel uses that y takes, roughly, from 1/48 to 1/6; what is over is analog.
_SIDE_SHARES = ((1 / 48, 1 / 24, 1 / 12, 1 / 6), (0.08, 0.06, 0.045, 0.03))
# Fineness of y in training.
_FINENESSES = (1, 2, 3, 4)
# Pace of the linear path, which is good from the start.
_LINEAR_PACE = 0.1
# Beginnings of the names of what is stored as float16 and not as int8, because it carries z itself.
EXACT = ("transform", "reliability", "deviation", "weight")
METHOD = Method(
    clip=5.0,
    betas=(0.9, 0.99),
    average=0.999,
    pace=lambda name: _LINEAR_PACE if name.startswith("transform.") else 1.0,
)


@dataclass(frozen=True)
class Hazards:
    """Shares of images whose link fades (Rician), loses values, or has a gain of its own for every value, as
    OFDM carriers have; which have a region of interest; and whose errors all count alike.
    """

    faded: float = 0.3
    lossy: float = 0.2
    selective: float = 0.3
    regions: float = 0.1
    alike: float = 0.2


CALM = Hazards(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Links:
    """One link for each image of a batch: mean SNR [dB] and CBR, (B,) each; the fineness of y."""

    snr_db: torch.Tensor
    cbr: torch.Tensor
    fineness: int

    @classmethod
    def of(cls, snr_db: float, cbr: float, fineness: int = 3) -> Links:
        """One link for one image."""
        return cls(torch.tensor([snr_db]), torch.tensor([cbr]), fineness)


def draw_links(batch: int, snrs_db: tuple[float, float], device: torch.device) -> Links:
    """SNR uniform [dB], CBR log-uniform from 1/48 to 1/6."""
    low, high = snrs_db
    snr_db = low + (high - low) * torch.rand(batch, device=device)
    cbr = 2 ** (-3 * torch.rand(batch, device=device)) / 6
    return Links(snr_db, cbr, _FINENESSES[int(torch.randint(len(_FINENESSES), ()))])


@dataclass(frozen=True)
class Arrived:
    """What a receiver has of z: ẑ and the variance of its error, (B, 120, h, w) each."""

    z: torch.Tensor
    variance: torch.Tensor


def cross(network: LriscNetwork, z: torch.Tensor, links: Links, hazards: Hazards) -> Arrived:
    """z (B, 120, h, w) → what arrives of it: y, coding lengths, gains, channel, least squares."""
    model = network.model()
    with torch.no_grad():
        y = hyper.latents(z, model.weight, links.fineness)
        log_power = hyper.log_variances(model, y, links.fineness)
        layer = _layers(log_power, y, links, hazards)
    sent = layer.gain * hyper.gather_low(z)
    noise = _noise(sent, layer, links, hazards)
    received = sent + torch.where(torch.isfinite(noise), noise, 0).sqrt() * torch.randn_like(sent)
    estimate, variance = llse(received, noise, layer)
    return Arrived(hyper.gather_low(estimate, inverse=True), hyper.spread_variance(variance))


def _layers(log_power: torch.Tensor, y: torch.Tensor, links: Links, hazards: Hazards) -> AnalogLayer:
    """Coding lengths and gains, image by image."""
    layers, snrs_db, cbrs = [], links.snr_db.tolist(), links.cbr.tolist()
    for image, own, snr_db, cbr in zip(log_power, y, snrs_db, cbrs, strict=True):
        eighths = 0 if torch.rand(()) < hazards.alike else hyper.best_texture(cbr, snr_db)
        shape = (BLOCK * image.shape[1], BLOCK * image.shape[2], 3)
        ranked = hyper.ranks(image, own, links.fineness, eighths, _region(image, hazards), shape)
        values = analog_values(image[0].numel(), cbr)
        layers.append(analog_layer(image, select(ranked, values, snr_db), ranked))
    power, sent, gain = zip(*((each.power, each.sent, each.gain) for each in layers), strict=True)
    return AnalogLayer(*map(torch.stack, (power, sent, gain)))


def analog_values(tokens: int, cbr: float) -> int:
    """Analog values of an image of so many tokens at a CBR, beside y."""
    side = np.interp(np.log(cbr), np.log(_SIDE_SHARES[0]), _SIDE_SHARES[1])
    return int(2 * 192 * tokens * cbr * (1 - side))


def _region(log_power: torch.Tensor, hazards: Hazards) -> torch.Tensor:
    """Weight of a random region of interest, int64 (h, w) [1/64 octave of power], mostly none."""
    height, width = log_power.shape[-2:]
    weight = torch.zeros((height, width), dtype=torch.int64, device=log_power.device)
    if torch.rand(()) < hazards.regions:
        top, left = (int(torch.randint(side, ())) for side in (height, width))
        weight[top : top + height // 2, left : left + width // 2] = 4 * activity.OCTAVE
    return weight


def _noise(sent: torch.Tensor, layer: AnalogLayer, links: Links, hazards: Hazards) -> torch.Tensor:
    """Noise variance of every value, inf where it is lost."""
    shape, device = sent.shape, sent.device

    def share(part: float) -> torch.Tensor:
        return (torch.rand(shape[0], 1, 1, 1, device=device) < part).float()

    with torch.no_grad():
        power = sent.square().sum((1, 2, 3)) / layer.sent.sum((1, 2, 3)).clamp_min(1)
        variance = (power * 10 ** (-links.snr_db / 10))[:, None, None, None]
        fade = gain("rician", (shape[0], 1, 1, 1), torch_normal(device)).abs().square().clamp_min(0.05)
        variance = variance / torch.where(share(hazards.faded) > 0, fade, 1)
        variance = variance * torch.exp(0.7 * torch.randn(shape, device=device) * share(hazards.selective))
        losses = 0.3 * torch.rand(shape[0], 1, 1, 1, device=device) * share(hazards.lossy)
        return variance.masked_fill(torch.rand(shape, device=device) < losses, torch.inf)


def send(
    network: LriscNetwork, images: torch.Tensor, links: Links, hazards: Hazards
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W), sides multiples of 32 → x̃ as they arrive, and the variance of ẑ,
    (B, 120, h, w).
    """
    with torch.autocast(images.device.type, enabled=False):  # as on the air
        z = network.encode(images, links.snr_db, links.cbr)
        arrived = cross(network, z, links, hazards)
    return network.decode(arrived.z, arrived.variance), arrived.variance


def loss(
    network: LriscNetwork, images: torch.Tensor, snrs_db: tuple[float, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean PSNR [10 dB] of a batch, images (B, 3, S, S), and the MSE per pixel."""
    received, _ = send(network, images, draw_links(len(images), snrs_db, images.device), Hazards())
    squared = (received - images).square().mean((1, 2, 3))
    return torch.log10(squared + 1e-6).mean(), squared.mean()


@torch.no_grad()
def fit_means(network: LriscNetwork, run: Run) -> None:
    """Fit the table of the waves of the means to whole training photographs."""
    rng, maps = np.random.default_rng(run.recipe.seed), []
    for image in run.photos().whole(rng, FIT_WHOLE):
        height, width = (side // MULTIPLE * MULTIPLE for side in image.shape[:2])
        links = Links.of(USUAL_SNR_DB, 1 / 12)
        z = network.encode(planes(image[None, :height, :width]), links.snr_db, links.cbr)
        maps.append(hyper.cell_means(z)[0])
    network.mean_power.copy_(means.fit(maps))


@torch.no_grad()
def fit_tables(network: LriscNetwork, images: torch.Tensor) -> None:
    """Fit mean powers, p(z | y) and the entropy tables of y to images (N, 3, S, S), S a multiple of 32."""
    torch.manual_seed(len(images))
    parts = []
    for part in images.split(8):
        links = draw_links(len(part), (-2.0, 20.0), part.device)
        parts.append(network.encode(part, links.snr_db, links.cbr))
    z = torch.cat(parts)
    network.weight.copy_(z.square().mean((0, 2, 3)).clamp_min(1e-8))
    for fineness, step in enumerate(hyper.STEPS):
        y = hyper.latents(z, network.weight, fineness)
        network.log_power[fineness] = activity.fit_table(z, y, step)
        network.low_power[fineness] = hyper.fit_low(z, y, fineness)
        network.tables[fineness] = side.fit(y)


@torch.no_grad()
def photo_figures(network: LriscNetwork, photos: list[np.ndarray]) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), AWGN, without packets."""
    figures = {}
    for name, cbr in (("1/24", 1 / 24), ("1/12", 1 / 12)):
        for snr_db in (0.0, 10.0, 20.0):
            torch.manual_seed(1)
            psnr = [_psnr_db(network, planes(photo[None]), Links.of(snr_db, cbr)) for photo in photos]
            figures[f"kodak, AWGN {snr_db:g} dB, CBR {name}: PSNR [dB]"] = float(np.mean(psnr))
    return figures


def _psnr_db(network: LriscNetwork, image: torch.Tensor, links: Links) -> float:
    height, width = (side // MULTIPLE * MULTIPLE for side in image.shape[-2:])
    image = image[..., :height, :width]
    received, _ = send(network, image, links, CALM)
    return -10 * torch.log10((received.clamp(0, 1) - image).square().mean()).item()


def begin(network: LriscNetwork, start: dict[str, torch.Tensor], run: Run) -> None:
    """Make an untrained network ready: weights, or the linear start; and its tables."""
    crops = planes(run.photos().crops(np.random.default_rng(run.recipe.seed), FIT_CROPS, FIT_SIZE))
    if start:
        own = network.state_dict()
        fitting = {k: v for k, v in start.items() if k in own and v.shape == own[k].shape}
        network.load_state_dict(fitting, strict=False)
    else:
        with torch.no_grad():
            network.deviation.copy_(network.transform(crops).square().mean((0, 2, 3)).sqrt())
    fit_tables(network, crops)
    fit_means(network, run)


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, fit the tables, export and measure. Returns the figures on the card."""
    network, recipe = run.recipe.build(), run.recipe
    begin(network, start or {}, run)
    source, device, steps_done = batches(run), accelerator().device, 0

    def of_batch(model: LriscNetwork, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal steps_done
        steps_done += 1
        if steps_done % REFIT_STEPS == 0:
            some = run.photos().crops(np.random.default_rng(steps_done), FIT_CROPS // 4, FIT_SIZE)
            fit_tables(model, planes(some, device))
        with mixed(device):
            return loss(model, next(source), (recipe.fading.snr_low_db, recipe.fading.snr_high_db))

    network, steps = fit(network.to(memory_format=torch.channels_last), of_batch, run, METHOD)
    fit_tables(network, planes(run.photos().crops(np.random.default_rng(1), FIT_CROPS, FIT_SIZE)))
    fit_means(network, run)
    figures = photo_figures(network, datasets.kodak(run.path))
    export(run, network.state_dict(), steps, figures, exact=EXACT)
    return figures
