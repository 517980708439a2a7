"""Running a list of images through a link, and telling what came of it: pictures, metrics.json, a table."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from PIL import Image
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .. import files, metrics
from ..errors import HscError
from ..evaluation import pictures
from ..images import files as image_files
from ..perceptual_weights import INSTALL
from . import outputs
from .group import EXIT_BAD_INPUT, EXIT_FAILED
from .link import Runner, Scenario, Transmitted, failure, record

Record = dict[str, object]
_NO_PICTURES = {"received": None, "compare": None}


def transmit_all(
    paths: Sequence[Path],
    scenario: Scenario,
    runner: Runner,
    out: Path,
    as_json: bool,
    perceptual: tuple[str, ...],
) -> int:
    """Send images one after another; an image that fails does not stop the others. Returns the exit status.

    Writes OUT/<stem>.png, OUT/<stem>_compare.png and OUT/metrics.json, with the distances of
    `metrics.PERCEPTUAL` that `perceptual` names; those without weights are left out, and it is said. Raises
    HscError when nothing can be begun, or metrics.json cannot be written; what was measured is printed all
    the same.
    """
    sources = image_files.find(paths, lambda line: click.echo(f"gr-hsc: {line}", err=True))
    targets = list(outputs.output_paths(sources, out))
    make_folder(out)
    records: list[Record] = []
    status = 0
    try:
        with _kept(records, out / "metrics.json"), progress_bar() as progress:
            task = progress.add_task("sending", total=len(sources))
            for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
                progress.update(task, description=files.printable(source.name))
                of_its_own = replace(scenario, seed=scenario.seed + index)
                entry, code = _transmit_one(source, target, of_its_own, runner, perceptual)
                for line in (*filter(None, [entry["error"]]), *entry["notes"]):
                    prefix = "" if files.label(source) in str(line) else f"{files.label(source)}: "
                    tell(progress, f"{prefix}{line}")
                records.append(entry)
                status = max(status, code)
                progress.advance(task)
    finally:
        shown = any(r["shape"] for r in records)
        if shown:
            tell_left_out(perceptual)
        if as_json:
            click.echo(files.text(_json(records)))
        elif shown:
            title = f"{scenario.codec} over {scenario.channel}, SNR {scenario.snr_db:g} dB"
            print_table(table(records, title))
    if shown and not as_json:
        click.echo(f"pictures and metrics.json are in {files.printable(str(out))}")
    return status


@contextmanager
def _kept(records: list[Record], path: Path) -> Iterator[None]:
    """Write down at the end what `records` have come to hold, also where Ctrl-C or a signal is the end."""

    def write() -> None:
        if records:
            write_text(path, _json(records) + "\n")

    def end(number: int, _: object) -> None:
        # No exception: what is imported or called just now might swallow it.
        write()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    former = {
        n: signal.signal(n, end)
        for n in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(n) == signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        write()


def _json(records: list[Record]) -> str:
    return json.dumps(records, indent=2, allow_nan=False, ensure_ascii=False)


def tell_left_out(perceptual: Iterable[str]) -> None:
    """One line on stderr when distances of `metrics.PERCEPTUAL` lack their weights, with the command that
    installs these.
    """
    if lacking := [metrics.PERCEPTUAL[name] for name in perceptual if not metrics.perceptual_available(name)]:
        click.echo(f"gr-hsc: {', '.join(lacking)} left out: '{INSTALL}' installs the weights", err=True)


def _transmit_one(
    source: Path,
    target: outputs.OutputPaths,
    scenario: Scenario,
    runner: Runner,
    perceptual: tuple[str, ...],
) -> tuple[Record, int]:
    """One image → its entry in metrics.json, and the exit status it asks for."""
    try:
        loaded = image_files.load(source)
        outcome = runner(loaded.pixels, scenario)
    except HscError as error:
        return failure(source.name, scenario, str(error)) | _NO_PICTURES, EXIT_BAD_INPUT
    entry = record(source.name, scenario, outcome, loaded.notes, perceptual) | _NO_PICTURES
    try:
        save_picture(comparison(outcome, entry), target.compare)
        entry["compare"] = target.compare.name
        if outcome.received is None:
            target.received.unlink(missing_ok=True)  # an older run's picture must not pass for this one's
            return entry, EXIT_FAILED
        save_picture(image_files.picture(outcome.received), target.received)
    except (HscError, OSError) as error:
        return {**entry, "error": str(error)}, EXIT_BAD_INPUT
    return {**entry, "received": target.received.name}, 0


def comparison(outcome: Transmitted, entry: Record) -> Image.Image:
    """Original, a lesser image on the way where there is one, received: side by side with figures."""
    h, w, _ = outcome.sent.shape
    tiles = [pictures.Tile(outcome.sent, "original", f"{w} x {h}")]
    if outcome.draft is not None:
        psnr = metrics.psnr_db(outcome.draft.image, outcome.sent)
        tiles.append(pictures.Tile(outcome.draft.image, outcome.draft.caption, pictures.quality(psnr)))
    snr = (
        f"SNR {entry['snr_db']:g} dB, CBR {entry['cbr']:.3f} ({entry['cbr_with_overhead']:.3f} with overhead)"
    )
    most_telling = [f"{name} {value}" for name, value in entry["parameters"].items()][:1]
    received = ", ".join(["received", entry["codec"], *most_telling])
    psnr = [] if outcome.received is None else [pictures.quality(entry["psnr_db"])]
    if (inside := entry["psnr_inside_db"]) is not None:
        psnr.append(f"{pictures.quality(inside)} inside the region")
    below = ", ".join([*psnr, *metrics.in_words(entry), snr])
    tiles.append(pictures.Tile(outcome.received, received, below, region=outcome.region))
    return pictures.compare(tiles)


def table(records: Sequence[Record], title: str) -> Table:
    """The figures that matter, one line for each image."""
    caption = (
        "CBR: channel uses of the payload / (C·H·W); overall: with every overhead; "
        "SNR: as the receiver measured it"
    )
    result = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    result.add_column("image")  # where a terminal is narrow, names are cut and not the figures
    measured = [key for key in metrics.PERCEPTUAL if any(entry[key] is not None for entry in records)]
    distances = [metrics.PERCEPTUAL[key].replace(" ", "\n") for key in measured]
    psnr = ["PSNR\ndB"] + ["inside\ndB"] * any(entry["psnr_inside_db"] is not None for entry in records)
    names = ("size", "CBR", "overall", *psnr, "MS-SSIM", *distances, "SNR\ndB", "packets", "seconds")
    for name in names:
        result.add_column(name, justify="right", no_wrap=True)
    for entry in records:
        result.add_row(*_row(entry, ["psnr_db", "psnr_inside_db"][: len(psnr)], measured))
    return result


def print_table(content: Table) -> None:
    """To stdout; a pipe gets as many columns as the table needs."""
    console = Console()
    width = None if console.is_terminal else Console(width=1000).measure(content).maximum
    Console(width=width).print(content)


def _row(entry: Record, psnr: Sequence[str], distances: Sequence[str]) -> list[str | Text]:
    shape, name = entry["shape"], Text(files.label(str(entry["image"])), no_wrap=True, overflow="ellipsis")
    if not shape:
        return [name, "failed", *[""] * (6 + len(psnr) + len(distances))]
    cells = [
        *(_figure(entry[key], 4) for key in ("cbr", "cbr_with_overhead")),
        *("-" if entry[key] is None else pictures.quality(entry[key]).removesuffix(" dB") for key in psnr),
        *(_figure(entry[key], 4) for key in ("ms_ssim", *distances)),
        _figure(entry["snr_measured_db"], 1),
    ]
    seconds = sum(entry["seconds"].values())
    return [
        name,
        f"{shape[1]} x {shape[0]}",
        *cells,
        f"{entry['packets_received']}/{entry['packets_sent']}",
        f"{seconds:.2f}",
    ]


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def progress_bar() -> Progress:
    """A bar on stderr that is there only when a person looks at it."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def tell(progress: Progress, line: str) -> None:
    """Print a line of the program on stderr, above the bar where there is one."""
    progress.console.print(f"gr-hsc: {line}", markup=False, highlight=False, soft_wrap=True)


def make_folder(folder: Path) -> None:
    """Make the output folder and see that files can be written there. Raises HscError when not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".hsc-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a file, JPEG where it is named .jpg and else PNG, whole or not at all. Raises HscError when that
    is not possible.
    """
    content = image_files.jpeg if path.suffix == ".jpg" else image_files.png
    try:
        files.write(path, content(image))
    except OSError as error:
        raise _unwritable(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises HscError when that is not possible."""
    try:
        files.write(path, files.text(text))
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> HscError:
    return HscError(
        f"cannot write {files.label(path)} ({error.strerror or error}): choose another folder with --out"
    )
