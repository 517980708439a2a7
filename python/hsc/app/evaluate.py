"""`evaluate`: the papers' curves, as result files and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..bench import air_interface, ldpc_curves, over_the_air, tracking
from ..errors import HscError
from ..evaluation import curves, figures, plan, sweep
from ..evaluation.transmission import Point, image_id
from ..images import datasets, files
from ..systems.hda import figures as hda
from ..systems.hda import tables
from ..systems.hsc import figures as hsc
from . import detail, pictures, planned, samples, simulate
from .link import Scenario
from .report import make_folder, progress_bar, save_picture

NAMES = (
    "hsc-fig2",
    "hsc-fig3",
    "hsc-fig4",
    "hsc-fig6",
    "ldpc",
    "air-interface",
    "tracking",
    "over-the-air",
    *hda.PLANS,
    *tables.NAMES,
)
DEFAULT_IMAGES = {"hsc-fig2": 500, "hsc-fig3": 200, "hsc-fig4": 300, **hda.DEFAULT_IMAGES}
QUICK_IMAGES = 20
QUICK_PHOTOS = 2
PHOTO = "kodim23.png"
_FIG6_OPTIONS = {"cr": "residual", "tuning": "none"}
_WINDOW = (112, 168)
_CHECKOUT_RESULTS, _CHECKOUT_FIGURES = Path("python/hsc/evaluation/results"), Path("docs/images")
_ELSEWHERE = Path("hsc-results")


@dataclass(frozen=True)
class Request:
    """What to evaluate: a name of NAMES, how many images (None: the figure's own number), coarsely or not,
    and where data are.

    For sweeps of codecs also where they run, and whether points that an earlier run has kept are measured
    anew.
    """

    name: str
    count: int | None = None
    quick: bool = False
    datasets: Path | None = None
    workers: planned.Workers = planned.Workers()
    fresh: bool = False

    @property
    def command(self) -> str:
        """What a user types to get the same."""
        count = f" --images {self.count}" if self.count is not None else ""
        return f"./gr-hsc evaluate {self.name}{count}{' --quick' if self.quick else ''}"


def run_all(requests: Sequence[Request], out: Path | None) -> Iterator[Path]:
    """`run` for each request. The sweeps among them are measured together first: figures share encodes, image
    by image.
    """
    for workers in {request.workers for request in requests}:
        workers.check()
    sweeps = [request for request in requests if request.name in hda.PLANS]
    if len(sweeps) > 1:
        _sweep_together(sweeps, out or _ELSEWHERE)
    for request in requests:
        yield from run(replace(request, fresh=request.fresh and len(sweeps) < 2), out)


def _sweep_together(requests: Sequence[Request], folder: Path) -> None:
    photos = {name: photo for request in requests for name, photo in _kodak(request).items()}
    points = [point for request in requests for point in _plan(request, _kodak(request)).points]
    in_order = sorted(dict.fromkeys(points), key=lambda point: point.sending.image)
    store = sweep.Store(folder / "points.jsonl", requests[0].fresh)
    planned.measure_points(f"{len(requests)} figures", in_order, photos, store, requests[0].workers)


def run(request: Request, out: Path | None) -> list[Path]:
    """Measure, write the result file and draw the figure: paths written, JSON first.

    Without `out`, a full run from the top of a checkout renews the results and figures there; any other goes
    to hsc-results/. Raises HscError for missing data or weights, or a folder that cannot be written.
    """
    in_checkout = out is None and not request.quick and _CHECKOUT_RESULTS.parent.is_dir()
    results = _CHECKOUT_RESULTS if in_checkout else out or _ELSEWHERE
    drawings = _CHECKOUT_FIGURES if in_checkout else results
    make_folder(results)
    make_folder(drawings)
    if request.name in hda.PLANS:
        found, picture = _sweep(request, results if out else _ELSEWHERE)
    else:
        with progress_bar() as bar:
            task = bar.add_task(request.name, total=None)
            found, picture = _measure(
                request, lambda text: bar.update(task, description=f"{request.name}: {text}")
            )
    paths = [curves.save(found, results), figures.draw(found, drawings)]
    if picture is not None:
        paths.append(drawings / f"{request.name}-pictures.png")
        save_picture(picture, paths[-1])
    return paths


def _measure(request: Request, progress: hsc.Progress) -> tuple[curves.Curves, Image.Image | None]:
    if request.name == "hsc-fig6":
        return _photograph(request, progress)
    if request.name == "ldpc":
        return ldpc_curves.run(
            request.command, progress, **({"largest_run": 2000} if request.quick else {})
        ), None
    if request.name == "air-interface":
        quick = {"packets": 40, "noise_samples": 1_000_000} if request.quick else {}
        return air_interface.run(request.command, progress, **quick), None
    if request.name == "tracking":
        return tracking.run(
            request.command, progress, **({"packets": 10, "long_packets": 2} if request.quick else {})
        ), None
    if request.name == "over-the-air":
        count = request.count or (QUICK_IMAGES if request.quick else over_the_air.IMAGES)
        quick = {"restarts": 1} if request.quick else {}
        return over_the_air.run(
            request.command, progress, [*samples.digits(), *samples.photographs()], count, **quick
        ), None
    if request.name in tables.NAMES:
        photos = _kodak(request)
        return tables.run(request.name, photos, request.command, progress, request.quick), None
    count = request.count or (QUICK_IMAGES if request.quick else DEFAULT_IMAGES[request.name])
    digits = datasets.mnist("test", request.data)[:count, ..., None].copy()
    if request.name == "hsc-fig2":
        return hsc.fig2(
            digits, request.command, progress, **({"ranks": (0, 4, 12, 28)} if request.quick else {})
        ), None
    if request.name == "hsc-fig3":
        return hsc.fig3(
            digits, request.command, progress, **({"ranks": (0, 4, 12, 28)} if request.quick else {})
        ), None
    return hsc.fig4(
        digits, request.command, progress, **({"ranks": (0, 4), "snrs": (0, 10, 20)} if request.quick else {})
    ), None


def _kodak(request: Request) -> dict[str, np.ndarray]:
    """Kodak photographs by identity, as many as wanted, evenly spread."""
    photos = {
        image_id(f"kodim{i:02d}", photo): photo for i, photo in enumerate(datasets.kodak(request.data), 1)
    }
    count = request.count or (QUICK_PHOTOS if request.quick else DEFAULT_IMAGES.get(request.name))
    return {name: photos[name] for name in plan.spread(list(photos), count)}


def _sweep(request: Request, folder: Path) -> tuple[curves.Curves, Image.Image | None]:
    """A figure or table whose points are independent: measured in parallel, kept in FOLDER/points.jsonl."""
    photos = _kodak(request)
    store = sweep.Store(folder / "points.jsonl", request.fresh)
    found, _ = planned.measure(_plan(request, photos), photos, request.command, store, request.workers)
    if not found.series:
        raise HscError(f"nothing of {request.name} could be measured: see the lines above")
    planned.show(found)
    return found, _eavesdropper(photos) if request.name == "hda-table3" and found.series else None


def _plan(request: Request, photos: Iterable[str]) -> plan.Plan:
    return hda.PLANS[request.name](list(photos), request.quick, planned.say)


def _eavesdropper(photos: dict[str, np.ndarray]) -> Image.Image:
    """The paper's figure 9: one photograph with the key, without it, and by the separate design."""
    name = next((n for n in photos if n.startswith(PHOTO.removesuffix(".png"))), next(iter(photos)))
    points = hda.eavesdropper_points(name, planned.say)
    seen = sweep.run(list(points.values()), photos, workers=0, pictures=list(points.values()))

    def tile(label: str, point: Point) -> pictures.Tile:
        detail = (
            pictures.quality(seen.measured[point].psnr_db) if point in seen.measured else seen.errors[point]
        )
        return pictures.Tile(seen.pictures.get(point), label, detail)

    tiles = [
        pictures.Tile(photos[name], "original", name.rsplit("-", 1)[0]),
        *(tile(*entry) for entry in points.items()),
    ]
    heading = f"hda_deepsc over AWGN at {hda.DESIGN_SNR_DB:g} dB, CBR 1/6: with the key, and as an eavesdropper decodes it"
    return pictures.grid([tiles[:3], tiles[3:]], heading=heading)


def _photograph(request: Request, progress: hsc.Progress) -> tuple[curves.Curves, Image.Image]:
    name, pixels = _photo(request)
    height = pixels.shape[0]
    ranks = [
        0,
        *(
            round(height * share)
            for share in (
                (1 / 32, 1 / 4) if request.quick else (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
            )
        ),
    ]
    found = hsc.fig6(pixels, name, request.command, progress, ranks)
    progress("pictures")
    sent = [
        simulate.transmit(
            pixels, Scenario(codec_options={**_FIG6_OPTIONS, "rank": k}, channel="ideal")
        ).received
        for k in ranks
    ]
    window = _window(pixels, sent[0])
    tiles = [pictures.Tile(pixels[window], "original", f"a detail of {name}")]
    for k, received, psnr, cbr in zip(
        ranks, sent, found.series[1].y.values, found.series[1].x.values, strict=True
    ):
        tiles.append(
            pictures.Tile(
                received[window],
                "SR alone" if k == 0 else f"k = {k}",
                f"{pictures.quality(psnr)}, CBR {cbr:.3f}",
            )
        )
    heading = "HSC, error-free channel, CR coded as residual; figures are of the whole image"
    return found, pictures.grid(
        [tiles[i : i + 3] for i in range(0, len(tiles), 3)], tile_height=2 * _WINDOW[0], heading=heading
    )


def _window(image: np.ndarray, received: np.ndarray) -> tuple[slice, slice]:
    """The piece of _WINDOW pixels where `received` is worst."""
    size = tuple(min(side, part) for side, part in zip(image.shape, _WINDOW, strict=False))
    error = detail.local_mse(image, received, size)
    return detail.window_at(*np.unravel_index(error.argmax(), error.shape), size)


def _photo(request: Request) -> tuple[str, np.ndarray]:
    """The Kodak photograph where the data folder has it, else a shipped sample."""
    try:
        path = datasets.data_folder(request.data) / "kodak" / PHOTO
    except HscError:
        if request.data is not None:
            raise
        path = None
    if path is None or not path.is_file():
        path = samples.photographs()[0]
    return path.name, files.load(path).pixels
