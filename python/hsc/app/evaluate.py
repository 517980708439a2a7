"""`evaluate`: figures of the catalogue measured, as result files and drawings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import HscError
from ..evaluation import curves, drawing, plan, sweep
from ..evaluation.figure import Figure, Given, Source
from ..evaluation.plan import Plan
from ..evaluation.transmission import image_id
from ..images import datasets, files
from . import planned, samples
from .catalogue import Entry
from .report import make_folder, progress_bar, save_picture

PHOTO = "kodim23.png"  # two parrots: smooth and rough parts, strong colours
_CHECKOUT_RESULTS, _CHECKOUT_FIGURES = Path("python/hsc/evaluation/results"), Path("docs/images")
_ELSEWHERE = Path("hsc-results")


@dataclass(frozen=True)
class Request:
    """What to evaluate: a figure of the catalogue, how many images (None: the figure's own number), coarsely
    or not, and where data are.

    For sweeps of codecs also where they run, and whether points that an earlier run has kept are measured
    anew.
    """

    entry: Entry
    count: int | None = None
    quick: bool = False
    data: Path | None = None
    workers: planned.Workers = planned.Workers()
    fresh: bool = False

    @property
    def figure(self) -> Figure:
        """What is made."""
        return self.entry.figure

    @property
    def wanted(self) -> int:
        """How many images it takes."""
        return self.figure.images.wanted(self.count, self.quick)

    @property
    def command(self) -> str:
        """What a user types to get the same."""
        count = f" --images {self.count}" if self.count is not None else ""
        return f"./gr-hsc evaluate {self.figure.name}{count}{' --quick' if self.quick else ''}"

    def images(self) -> dict[str, np.ndarray]:
        """Images uint8 (H, W, C) by name. Raises HscError for missing data."""
        return _SOURCES[self.figure.images.source](self)

    def plan(self, images: Mapping[str, np.ndarray]) -> Plan:
        """Of a figure that has one."""
        return self.figure.plan(list(images), planned.say, **self.figure.arguments(self.quick))


def run_all(requests: Sequence[Request], out: Path | None) -> Iterator[Path]:
    """`run` for each request. The sweeps among them are measured together first: figures share encodes, image
    by image.
    """
    for workers in {request.workers for request in requests}:
        workers.check()
    sweeps = [request for request in requests if request.figure.plan is not None]
    if len(sweeps) > 1:
        _sweep_together(sweeps, out or _ELSEWHERE)
    for request in requests:
        yield from run(replace(request, fresh=request.fresh and len(sweeps) < 2), out)


def _sweep_together(requests: Sequence[Request], folder: Path) -> None:
    loaded = [(request, request.images()) for request in requests]
    photos = {name: photo for _, images in loaded for name, photo in images.items()}
    points = [point for request, images in loaded for point in request.plan(images).points]
    in_order = sorted(dict.fromkeys(points), key=lambda point: point.sending.image)
    store = sweep.Store(folder / "points.jsonl", requests[0].fresh)
    planned.measure_points(f"{len(requests)} figures", in_order, photos, store, requests[0].workers)


def run(request: Request, out: Path | None) -> list[Path]:
    """Measure, write the result file and draw the figure: paths written, JSON first.

    Without `out`, a full run of one of our own figures from the top of a checkout renews the results and
    drawings there; any other goes to hsc-results/. Raises HscError for missing data or weights, or a folder
    that cannot be written.
    """
    figure = request.figure
    ours = request.entry.own and _CHECKOUT_RESULTS.parent.is_dir()
    in_checkout = out is None and not request.quick and ours
    results = _CHECKOUT_RESULTS if in_checkout else out or _ELSEWHERE
    drawings = _CHECKOUT_FIGURES if in_checkout else results
    make_folder(results)
    make_folder(drawings)
    given = Given(request.images(), request.wanted, request.command, planned.say)
    found = _measure(request, given) if figure.plan is None else _sweep(request, given, out or _ELSEWHERE)
    paths = [
        curves.save(found, results),
        drawing.save(figure.draw(found), drawings / f"{figure.name}.png"),
    ]
    if figure.pictures is not None:
        paths.append(drawings / f"{figure.name}-pictures.jpg")
        save_picture(figure.pictures(given, found), paths[-1])
    return paths


def _measure(request: Request, given: Given) -> curves.Curves:
    """A figure that measures itself: what it is at is shown on a bar."""
    figure = request.figure
    with progress_bar() as bar:
        task = bar.add_task(figure.name, total=None)
        shown = replace(given, progress=lambda text: bar.update(task, description=f"{figure.name}: {text}"))
        return figure.measure(shown, **figure.arguments(request.quick))


def _sweep(request: Request, given: Given, folder: Path) -> curves.Curves:
    """A figure whose points are independent: measured in parallel, kept in FOLDER/points.jsonl."""
    store = sweep.Store(folder / "points.jsonl", request.fresh)
    found, _ = planned.measure(
        request.plan(given.images), given.images, given.command, store, request.workers
    )
    if not found.series:
        raise HscError(f"nothing of {request.figure.name} could be measured: see the lines above")
    planned.show(found)
    return found


# ---- where images come from


def _digits(request: Request) -> dict[str, np.ndarray]:
    digits = datasets.mnist("test", request.data)[: request.wanted, ..., None]
    return {f"MNIST test digit {index}": digit.copy() for index, digit in enumerate(digits)}


def _kodak(request: Request) -> dict[str, np.ndarray]:
    return _spread("kodim", datasets.kodak(request.data), request)


def _street(request: Request) -> dict[str, np.ndarray]:
    return _spread("street", [image for image, _ in datasets.street("test", request.data)], request)


def _spread(name: str, images: Sequence[np.ndarray], request: Request) -> dict[str, np.ndarray]:
    """By identity, evenly spread over all."""
    found = {image_id(f"{name}{i:02d}", image): image for i, image in enumerate(images, 1)}
    return {key: found[key] for key in plan.spread(list(found), request.wanted)}


def _photograph(request: Request) -> dict[str, np.ndarray]:
    """The Kodak photograph where the data folder has it, else a shipped sample."""
    try:
        path = datasets.data_folder(request.data) / "kodak" / PHOTO
    except HscError:
        if request.data is not None:
            raise
        path = None
    if path is None or not path.is_file():
        path = samples.photographs()[0]
    return {path.name: files.load(path).pixels}


def _samples(request: Request) -> dict[str, np.ndarray]:
    return {path.stem: files.load(path).pixels for path in (*samples.digits(), *samples.photographs())}


_SOURCES: dict[Source, Callable[[Request], dict[str, np.ndarray]]] = {
    Source.NONE: lambda request: {},
    Source.DIGITS: _digits,
    Source.KODAK: _kodak,
    Source.STREET: _street,
    Source.PHOTOGRAPH: _photograph,
    Source.SAMPLES: _samples,
}
