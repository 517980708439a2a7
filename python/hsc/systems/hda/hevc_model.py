"""What both ends of `hda_hevc` share: weights and tables, and the fine colour that z leaves out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from ... import weights
from ...coding.stored_tables import unpack_tables
from ...nn.planes import to_planes
from ...nn.transform import beyond, pad
from . import models
from .models import Model
from .network import MULTIPLE
from .restorer import Restorer, ready

NAME, WEIGHTS = "hda_hevc", "hda-hevc"
# Beginning of the names of the restorer's weights.
RESTORER = "restorer."
# `HdaParameters.profile`: levels of the base's fine colour that the receiver adds, from none to all of it;
# and the base alone, as it is.
FINE_COLOUR, ALONE = 5, 6


@lru_cache(maxsize=1)
def load() -> Model:
    """HDA-DeepSC's networks, and tables fitted to what HEVC leaves over. They are for 12 classes of residual,
    weak to strong, in place of the qualities, and have the activity's rows alone. Raises HscError when
    weights are missing or damaged.
    """
    state = weights.load(WEIGHTS)
    entropy = tuple(tuple(map(unpack_tables, parts)) for parts in state["tables"])
    return Model(models.network({}), state["log_power"].long(), entropy)


@lru_cache(maxsize=1)
def load_restorer() -> Restorer:
    """The receiver's last stage. Raises HscError as `load`."""
    state = weights.load(WEIGHTS)
    return ready(True, {key[len(RESTORER) :]: state[key] for key in state if key.startswith(RESTORER)})


@lru_cache(maxsize=1)
def energies() -> np.ndarray:
    """log2 of the mean power of each class, float (12,); for the encoder only. Raises HscError as `load`."""
    return weights.load(WEIGHTS)["energy"].numpy()


def residual_class(features: torch.Tensor, energy: np.ndarray) -> int:
    """Class of a residual u (120, h, w): the one of the nearest power."""
    return int(np.argmin(np.abs(energy - float(features.square().mean().clamp_min(2.0**-40).log2()))))


def fine_colour(image: np.ndarray) -> torch.Tensor:
    """What z leaves out of an image uint8 (H, W, C): planes (1, 3, 8h, 8w)."""
    return beyond(pad(to_planes(image), MULTIPLE))


def levels(wanted: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Levels (B,) of fine colours of bases that come nearest to those of images, (B, 3, 8h, 8w) both."""
    gain = (wanted * own).sum((1, 2, 3)) / own.square().sum((1, 2, 3)).clamp_min(1e-9)
    return gain.clamp(0, 1).mul(FINE_COLOUR).round()


def fine_colour_added(images: torch.Tensor, bases: torch.Tensor) -> torch.Tensor:
    """What a receiver adds of the fine colour of bases, as it is told; both (B, 3, 8h, 8w)."""
    own = beyond(bases)
    return (levels(beyond(images), own) / FINE_COLOUR)[:, None, None, None] * own
