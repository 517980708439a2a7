"""Runs a notebook's cells in order, and stores what they printed and drew, small:

    ./gr-hsc python docs/site/run_notebook.py examples/tutorial.ipynb [OUT.ipynb]

Without OUT the notebook itself is renewed. It needs no Jupyter: cells are plain Python, pictures appear where
they call `plt.show()`. A cell that fails ends it with its traceback.
"""
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

_DPI = 72
_COLOURS = 256  # of a stored picture: half the size, and hardly a difference to be seen


def run(notebook: dict) -> dict:
    """The notebook with the outputs of its code cells. Whatever a cell raises is passed on."""
    main = sys.modules["__main__"] = ModuleType("__main__")  # where classes of the cells are looked for
    cells = []
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            outputs = _run("".join(cell["source"]), f"cell {count}", main)
            cell = {**cell, "execution_count": count, "outputs": outputs}
        cells.append(cell)
    return {**notebook, "cells": cells}


def _run(source: str, name: str, main: ModuleType) -> list[dict]:
    """Outputs of one cell, in order."""
    outputs: list[dict] = []
    printed = io.StringIO()

    def flush() -> None:
        if text := printed.getvalue():
            lines = text.splitlines(keepends=True)
            outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
        printed.seek(0)
        printed.truncate()

    def show() -> None:
        flush()
        for number in plt.get_fignums():
            outputs.append(
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": _png(number)}}
            )
        plt.close("all")

    plt.show = show
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), main.__dict__)
    flush()
    return outputs


def _png(number: int) -> str:
    """A figure as base64."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    plt.figure(number).savefig(drawn, dpi=_DPI, bbox_inches="tight")
    image = Image.open(drawn).convert("RGB").quantize(_COLOURS)
    image.save(stored, "PNG", optimize=True)
    return base64.b64encode(stored.getvalue()).decode()


def main(source: Path, target: Path) -> None:
    """Run a notebook file and write it with its outputs."""
    done = run(json.loads(source.read_text(encoding="utf-8")))
    target.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[-1]))
