"""`gr-hsc train RECIPE`: train a recipe and write its weights with their card."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import weights
from ..images import datasets
from ..training import loop
from ..training.recipe import Recipe, names, recipe, system_of


def train(
    name: str,
    path: str | Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    out: Path = Path("runs"),
    threads: int = 1,
) -> dict[str, float]:
    """Train recipe `name` and write weights and card into `out`.

    Args:
        path: data folder; default $HSC_DATA.
        minutes, steps: shorten the schedule; at most one.
        resume: go on from the checkpoint in `out`, else from the shipped weights of that name.
        out: folder for checkpoint, weights and card; also where a decoded copy of the photographs is kept.
        threads: of torch on the CPU.

    Returns:
        Figures on held-out data, as in the card. Raises HscError for an unknown recipe or missing data.
    """
    torch.set_num_threads(threads)
    chosen = recipe(name, **({"steps": steps} if steps else {}))
    datasets.data_folder(path)
    torch.manual_seed(chosen.seed + loop.accelerator().process_index)
    with _bar(chosen) as report:
        shipped = system_of(name).weights
        run = loop.Run(chosen, out, path, minutes, report, shipped)
        if not resume:
            run.checkpoint.unlink(missing_ok=True)
        start = chosen.start or (name if resume and name in weights.names(shipped) else "")
        return chosen.train(run, run.weights(start) if start else None)


class _bar:
    """A progress bar on a terminal, a line now and then elsewhere."""

    def __init__(self, chosen: Recipe) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[mse]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, disable=not sys.stderr.isatty())
        self.task = self.bar.add_task(chosen.name, total=chosen.steps, mse="")
        self.mean = 0.0

    def __enter__(self):
        self.bar.start()
        return self.report

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def report(self, at: loop.Progress) -> None:
        self.mean = at.mse if at.step == 1 else 0.99 * self.mean + 0.01 * at.mse
        self.bar.update(self.task, completed=at.step, mse=f"MSE {self.mean:.5f}")
        if self.bar.disable and at.step % 1000 == 0:
            click.echo(f"step {at.step} of {at.steps}, MSE {self.mean:.5f}", err=True)


_RECIPES = f"Recipes (docs/training.md): {', '.join(names())}"


@click.command(
    "train",
    epilog=_RECIPES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.argument("name", metavar="RECIPE", type=click.Choice(names()))
@click.option(
    "--data",
    "path",
    type=click.Path(path_type=Path),
    help="Data folder as docs/training.md has it; default: $HSC_DATA.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Shorten the schedule to this time."
)
@click.option("--steps", type=click.IntRange(min=1), help="Shorten the schedule to these steps.")
@click.option(
    "--resume", is_flag=True, help="Go on from the checkpoint in --out, else from the shipped weights."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for checkpoint, weights, card.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads.")
def cli(
    name: str,
    path: Path | None,
    minutes: float | None,
    steps: int | None,
    resume: bool,
    out: Path,
    threads: int,
) -> None:
    """Train RECIPE; weights and card are written to --out. Runs on a GPU when torch finds one.

    \b
    Examples
      gr-hsc train hsc-mnist-vae-m8 --data PATH --minutes 10
      gr-hsc train hda-deepsc-whole --data PATH --threads 2 --resume

    Errors: one line on stderr and exit status 2 for an unknown recipe, or data that is not there.
    """
    if minutes and steps:
        raise click.UsageError("give --minutes or --steps, not both")
    for text, value in train(name, path, minutes, steps, resume, out, threads).items():
        click.echo(f"{text}: {value:.5g}")
