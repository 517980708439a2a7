"""The denoisers that a receiver of DeepJSCC may choose: one table.

A new one is a module here with a class of `denoiser.Denoiser`, and a line in KINDS: the option, the command
line and the block Denoiser then offer it, and `recipes.py` may train it. A system from outside this package
adds its line to KINDS when it is imported. No torch is imported before a denoiser is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ....codecs.system import load as load_place
from ....errors import HscError
from ....paths import WEIGHTS

if TYPE_CHECKING:
    from .denoiser import Denoiser


@dataclass(frozen=True)
class Kind:
    """One denoiser.

    Attributes:
        place: "module:class" of its `Denoiser`, which is made without arguments.
        weights: their name.
        folder: where they are.
    """

    place: str
    weights: str
    folder: Path = WEIGHTS


KINDS: dict[str, Kind] = {
    "dncnn": Kind(f"{__name__}.dncnn:DnCnn", "deepjscc-dncnn"),
    "diffsdnet": Kind(f"{__name__}.diffusion:DiffSdNet", "deepjscc-diffsdnet"),
    "ddpm": Kind(f"{__name__}.diffusion:Ddpm", "deepjscc-ddpm"),
}


def make(kind: str) -> Denoiser:
    """The denoiser before any training. Raises HscError for an unknown one."""
    if kind not in KINDS:
        raise HscError(f"no denoiser '{kind}': choose one of {', '.join(KINDS)}")
    return load_place(KINDS[kind].place)()


@lru_cache(maxsize=4)
def load(kind: str) -> Denoiser:
    """The denoiser with its weights, ready to run. Raises HscError when unknown, or weights are missing."""
    from .... import weights

    model = make(kind)
    model.load_state_dict(weights.load(KINDS[kind].weights, KINDS[kind].folder))
    return model.eval()
