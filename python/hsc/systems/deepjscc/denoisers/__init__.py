"""The denoisers that a receiver of DeepJSCC may choose: one table.

A new one is a module here with a class of `denoiser.Denoiser`, and a line in KINDS: the option, the command
line and the block Denoiser then offer it, and `recipes.py` may train it. A system from outside this package
adds its line to KINDS when it is imported. Options are read from KINDS on every start of the command line, so
nothing here imports torch before a denoiser is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import HscError
from ....paths import WEIGHTS

if TYPE_CHECKING:
    from .denoiser import Denoiser


@dataclass(frozen=True)
class Kind:
    """One denoiser.

    Attributes:
        make: the denoiser before any training.
        weights: their name.
        folder: where they are.
    """

    make: Callable[[], Denoiser]
    weights: str
    folder: Path = WEIGHTS


def _dncnn() -> Denoiser:
    from .dncnn import DnCnn

    return DnCnn()


def _diffsdnet() -> Denoiser:
    from .diffusion import DiffSdNet

    return DiffSdNet()


def _ddpm() -> Denoiser:
    from .diffusion import Ddpm

    return Ddpm()


KINDS: dict[str, Kind] = {
    "dncnn": Kind(_dncnn, "deepjscc-dncnn"),
    "diffsdnet": Kind(_diffsdnet, "deepjscc-diffsdnet"),
    "ddpm": Kind(_ddpm, "deepjscc-ddpm"),
}


def make(kind: str) -> Denoiser:
    """The denoiser before any training. Raises HscError for an unknown one."""
    if kind not in KINDS:
        raise HscError(f"no denoiser '{kind}': choose one of {', '.join(KINDS)}")
    return KINDS[kind].make()


@lru_cache(maxsize=4)
def load(kind: str) -> Denoiser:
    """The denoiser with its weights, ready to run. Raises HscError when unknown, or weights are missing."""
    from .... import weights

    model = make(kind)
    model.load_state_dict(weights.load(KINDS[kind].weights, KINDS[kind].folder))
    return model.eval()
