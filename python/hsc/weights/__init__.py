"""Trained weights: safetensors files, each with a JSON card beside it. Never pickle.

Matrices and kernels are stored as int8 with one float16 scale per row (first index), or as float16, as the
card says; what is loaded is float32. Integer tensors are tables that both ends must agree on: they are stored
and loaded as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import HscError
from ..paths import WEIGHTS

FOLDER = WEIGHTS
_SCALE = ".scale"


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of all weights that are there."""
    return tuple(sorted(file.stem for file in folder.glob("*.safetensors")))


def card(name: str, folder: Path = FOLDER) -> dict:
    """The card of some weights: recipe, data, seed, steps, figures, storage, sha256. Raises HscError when
    missing or unreadable.
    """
    try:
        return json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise HscError(
            f"no weights '{name}' in {folder}: choose one of {', '.join(names(folder)) or 'none'}, "
            f"or train them with './gr-hsc train {name}'"
        ) from error


def load(name: str, folder: Path = FOLDER) -> dict[str, torch.Tensor]:
    """State dictionary of `name`, float32. Raises HscError when the file is missing, damaged or not the one
    its card names.
    """
    wanted = card(name, folder).get("sha256")
    try:
        raw = (folder / f"{name}.safetensors").read_bytes()
    except OSError as error:
        raise HscError(f"weights '{name}' are missing beside their card: install again") from error
    if hashlib.sha256(raw).hexdigest() != wanted:
        raise HscError(f"weights '{name}' are damaged (sha256 differs from the card): install again")
    stored = load_tensors(raw)
    return {
        key: _restored(tensor, stored.get(key + _SCALE))
        for key, tensor in stored.items()
        if not key.endswith(_SCALE)
    }


def _restored(tensor: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    if scale is not None:
        return tensor.float() * scale.float()
    return tensor.float() if tensor.is_floating_point() else tensor


def save(
    name: str,
    state: dict[str, torch.Tensor],
    about: dict,
    storage: str = "int8",
    folder: Path = FOLDER,
    exact: tuple[str, ...] = (),
) -> Path:
    """Write weights and card. `storage` is "int8" (matrices and kernels; the rest is float16) or "float16".

    Tensors whose name begins with one of `exact` are float16 in any case.
    """
    stored: dict[str, torch.Tensor] = {}
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            stored[key] = tensor.contiguous()
        elif storage == "int8" and tensor.ndim >= 2 and tensor.numel() > 4096 and not key.startswith(exact):
            rest = tuple(range(1, tensor.ndim))
            scale = (tensor.abs().amax(rest, keepdim=True) / 127).clamp_min(1e-8).half()
            stored[key] = (tensor / scale.float()).round().clamp(-127, 127).to(torch.int8).contiguous()
            stored[key + _SCALE] = scale
        else:
            stored[key] = tensor.half().contiguous()
    raw = save_tensors(stored)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.safetensors", raw)
    digest = hashlib.sha256(raw).hexdigest()
    text = json.dumps(
        {**about, "name": name, "storage": storage, "bytes": len(raw), "sha256": digest}, indent=2
    )
    _write(folder / f"{name}.json", (text + "\n").encode())
    return folder / f"{name}.safetensors"


def _write(path: Path, raw: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(raw)
    os.replace(part, path)
