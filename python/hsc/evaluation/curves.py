"""One form for every curve, ours and the papers': a JSON file of series, from which the figures are drawn."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .. import files
from ..errors import HscError

RESULTS = Path(__file__).parent / "results"
SOURCES = ("measured", "paper")


@dataclass(frozen=True)
class Axis:
    """Values along one axis of a series."""

    name: str
    unit: str
    values: list[float]


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: what a legend says.
        source: "measured" (by the curve's command) or "paper".
        x, y: of equal length.
        confidence: half width of the 95 % confidence interval of each y, None where there is one sample only.
        also: further columns of the same length, such as `cbr_with_overhead` or `rank`.
    """

    name: str
    source: str
    x: Axis
    y: Axis
    confidence: list[float] | None = None
    also: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = [
            self.x.values,
            self.y.values,
            *self.also.values(),
            *([self.confidence] if self.confidence is not None else []),
        ]
        if self.source not in SOURCES or len({len(c) for c in columns}) != 1:
            raise ValueError(
                f"series '{self.name}': source must be one of {SOURCES}, and all columns of one length"
            )


@dataclass(frozen=True)
class Curves:
    """What one `evaluate` command found.

    Attributes:
        name: also the file's name.
        description: what was sent over what, in a sentence or two.
        command: what was typed to make it.
        series: the curves.
        findings: single figures that the text quotes, by name.
        date: day of the run, ISO 8601; None for what is equal whenever it is run.
    """

    name: str
    description: str
    command: str
    series: list[Series]
    findings: dict[str, object] = field(default_factory=dict)
    date: str | None = field(default_factory=lambda: datetime.date.today().isoformat())


def save(curves: Curves, folder: Path = RESULTS) -> Path:
    """Write `folder`/<name>.json and return its path. Raises HscError when that cannot be written."""
    path = folder / f"{curves.name}.json"
    text = json.dumps(_rounded(asdict(curves)), indent=1, allow_nan=False, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, files.text(text + "\n"))
    except OSError as error:
        raise HscError(
            f"cannot write {files.label(path)} ({error.strerror}): choose another folder with --out"
        ) from None
    return path


def load(name: str, folder: Path = RESULTS) -> Curves:
    """Read `folder`/<name>.json. Raises HscError when it is not there or not a result."""
    path = folder / f"{name}.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        series = [Series(**{**s, "x": Axis(**s["x"]), "y": Axis(**s["y"])}) for s in raw.pop("series")]
        return Curves(series=series, **raw)
    except FileNotFoundError:
        raise HscError(f"no result {path}: run evaluate {name} first") from None
    except (KeyError, TypeError, ValueError) as error:
        raise HscError(f"{path} is not a result file ({error}): run evaluate {name} again") from None


def mean_and_confidence(samples: np.ndarray) -> tuple[list[float], list[float]]:
    """Samples (points, n) → mean and half width of its 95 % confidence interval (Student's t, 0 for n = 1),
    each (points,).
    """
    from scipy.stats import t

    samples = np.atleast_2d(samples)
    n = samples.shape[1]
    width = samples.std(1, ddof=1) * t.ppf(0.975, n - 1) / math.sqrt(n) if n > 1 else np.zeros(len(samples))
    return samples.mean(1).tolist(), width.tolist()


def crossing(
    x: Sequence[float], y: Sequence[float], level_x: Sequence[float], level_y: Sequence[float]
) -> float | None:
    """Smallest x from which the curve (x, y) lies below the curve (level_x, level_y), both linearly
    interpolated; the second curve keeps its last value beyond its end. None when it never does."""
    grid = np.unique(np.concatenate([x, np.linspace(min(x), max(x), 2001)]))
    below = np.interp(grid, x, y) < np.interp(grid, level_x, level_y)
    if not below[-1]:
        return None
    above = np.flatnonzero(~below)
    return float(grid[above[-1] + 1] if len(above) else grid[0])


def _rounded(value: object) -> object:
    """Floats to six significant digits: what the samples carry, and no more noise in the repository."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value
