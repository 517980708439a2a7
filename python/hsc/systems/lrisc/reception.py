"""LRISC's receiver before the refiner: what arrived → ẑ and its variance → x̃."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ...codecs.contract import Decoded
from ...coding import activity, analog_part, erasure, whitening
from ...coding import regions as coding_regions
from ...coding.analog_part import Selection
from ...errors import HscError
from ...message import ReceivedAnalog, ReceivedMessage
from ...nn import planes
from ...nn.transform import WIDTH
from ...refiner import bands
from . import colour, hyper, literal, roi, side
from .allocation import SPARE, places, whole, without_waves
from .colour import MeanColour
from .network import MULTIPLE, LriscNetwork, load_network
from .parameters import LriscParameters

# An analog stream of a message whose budget held none.
_NO_VALUES = ReceivedAnalog(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, bool))


@dataclass(frozen=True)
class Latent:
    """What a receiver has of z.

    Attributes:
        z: ẑ, float (120, h, w).
        variance: of its error, same shape.
        region: of interest, as the transmitter told.
        mean: what is known of the mean colour.
    """

    z: torch.Tensor
    variance: torch.Tensor
    region: roi.Region
    mean: MeanColour


@torch.inference_mode()
def estimate(received: ReceivedMessage) -> Latent | None:
    """f_d: what arrived → ẑ and v, by least squares; None when the side information is lost. Raises HscError
    for a message that no version of LRISC sends.
    """
    planes.check_shape(received.shape)
    parameters = LriscParameters.unpack(received.parameters)
    if not received.digital:
        raise HscError("not a message of LRISC: transmitter and receiver differ, update both")
    stream = received.digital[0]
    size = stream.block_bytes or erasure.LARGEST_SYMBOL
    told, there = erasure.recover(stream, parameters.side_bytes, size)
    if not there.all():
        return None
    network, model = load_network()
    told, mask = literal.split(told) if parameters.literal else (told, b"")
    region, code = roi.unpack(told, coding_regions.token_grid(*received.shape[:2]))
    y = side.decode(code, coding_regions.grid(*received.shape[:2]), model.entropy[parameters.fineness])
    log_power = hyper.log_variances(model, y[None], parameters.fineness)[0]
    ranked = hyper.ranks(
        log_power, y, parameters.fineness, parameters.texture, region.log_weight(), received.shape
    )
    if parameters.literal:
        sent = literal.unpack(mask, literal.rows(ranked, parameters.selection.threshold))
        known = literal.known(log_power, ranked, sent, parameters.selection.threshold)
        log_power, ranked = known.log_power, known.ranked
    parts = _Parts.of(received.analog or _NO_VALUES, hyper.waves_of(ranked[None]), parameters.selection)
    waves = parts.of_waves(hyper.waves_of(log_power[None])[0], hyper.waves_of(ranked[None])[0])
    placed = [(each, 0) for each in whole(log_power)]
    others = analog_part.scatter(parts.others, log_power, parameters.selection, placed, without_waves(ranked))
    found, variance = (hyper.with_waves(each[None], own) for each, own in zip(others, waves, strict=True))
    z = hyper.gather_low(found, inverse=True)[0]
    mean = MeanColour.of_waves(parameters.colour, waves[1], network, received.shape)
    return Latent(z, hyper.spread_variance(variance)[0], region, mean)


@dataclass(frozen=True)
class _Parts:
    """The values of a message: those of the waves, and all others."""

    waves: ReceivedAnalog
    others: ReceivedAnalog
    selection: Selection

    @classmethod
    def of(cls, analog: ReceivedAnalog, ranked: torch.Tensor, selection: Selection) -> _Parts:
        """Values as they lie in a message, and what decides of the waves."""
        count = whitening.mixed_length(int((ranked >= selection.threshold).sum()), SPARE)
        total = len(analog.values)
        of_waves = places(min(count, total), total)
        fields = analog.values, analog.noise_variance, analog.received
        return cls(*(ReceivedAnalog(*(f[part] for f in fields)) for part in (of_waves, ~of_waves)), selection)

    def of_waves(self, log_power: torch.Tensor, ranked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The waves and the variance of their error; all (3, h/4, w/4)."""
        return analog_part.unmix(self.waves, 0, log_power, ranked, self.selection, SPARE)


@torch.inference_mode()
def thumbnail(received: ReceivedMessage) -> np.ndarray | None:
    """A coarse image uint8 (H, W, C) from the waves alone, which need no side information: the mean colour of
    every cell of 32 × 32 pixels, smooth between them. None where none arrived, or where literal lengths say
    which are sent.
    """
    parameters, (network, model) = LriscParameters.unpack(received.parameters), load_network()
    if parameters.literal or received.analog is None:
        return None
    down, across = coding_regions.grid(*received.shape[:2])
    log_power = hyper.wave_log_powers(model, down, across)
    ranked = hyper.wave_ranks(log_power, parameters.texture, received.shape[2])
    parts = _Parts.of(received.analog, ranked, parameters.selection)
    if not np.isfinite(parts.waves.noise_variance).any():
        return None
    waves, variance = parts.of_waves(log_power, ranked)
    mean = MeanColour.of_waves(parameters.colour, variance, network, received.shape)
    low = torch.zeros(1, WIDTH, activity.SIDE * down, activity.SIDE * across)
    z = hyper.gather_low(hyper.with_waves(low, waves), inverse=True)
    cells = functional.avg_pool2d(network.transform.inverse(z), MULTIPLE)
    smooth = functional.interpolate(cells, scale_factor=MULTIPLE, mode="bicubic", align_corners=False)
    return planes.to_image(colour.corrected(smooth, mean, received.shape), received.shape)


@torch.inference_mode()
def mean_colour(received: ReceivedMessage) -> np.ndarray:
    """What the header alone tells: an image uint8 (H, W, C) of the mean colour."""
    code = LriscParameters.unpack(received.parameters).colour
    return planes.to_image(colour.flat(code, received.shape), received.shape)


@torch.inference_mode()
def decoded(network: LriscNetwork, known: Latent, shape: tuple[int, int, int]) -> Decoded:
    """g_d: ẑ and v → x̃, the bands of its error, and the region of interest where there is one."""
    found = network.decode(known.z[None], known.variance[None])
    image = colour.corrected(found, known.mean, shape)
    error = bands.of_image(known.variance, shape)
    return Decoded(planes.to_image(image, shape), (), error, known.region.blocks(shape))
