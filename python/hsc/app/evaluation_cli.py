"""The commands that measure: papers' figures, and every codec on one image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from . import codec_options
from .parameters import Number, perceptual_option


def sweep_options(command: Callable) -> Callable:
    """Where a sweep runs: --workers and --scheduler."""
    command = click.option(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster that has this module installed."
    )(command)
    return click.option(
        "--workers", type=click.IntRange(0, 1024), help="Processes of a sweep; default: one a core."
    )(command)


class _ListsFigures(click.Command):
    """A command whose help ends with the figures that there are, those of plug-ins too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from .catalogue import catalogue

        super().format_options(ctx, formatter)
        catalogue().write(formatter)


@click.command(cls=_ListsFigures)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--quick", is_flag=True, help="Few images and few points: to see that it runs.")
@click.option("--images", "count", type=click.IntRange(1, 10_000), help="Number of test images.")
@sweep_options
@click.option("--fresh", is_flag=True, help="Measure again what an earlier run has kept.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data folder as docs/training.md has it; default: $HSC_DATA.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the result file and the figure.")
def evaluate(
    names: tuple[str, ...], workers: int | None, scheduler: str | None, out: Path | None, **how: object
) -> None:
    """Measure papers' curves or parts of the link: NAME.json and NAME.png, and NAME-pictures.jpg where there
    are pictures to see. NAME is a figure of the list below, a group of figures, or all.

    Without --out, a run without --quick from the top of a checkout renews python/hsc/evaluation/results and
    docs/images; any other, and any of a figure that another package brings, writes to hsc-results/. The
    points of sweeps of codecs are kept in hsc-results/points.jsonl (OUT/points.jsonl): a run that was stopped
    resumes, and figures share points. Several sweeps are measured together, image by image, which saves half
    of the encodes.

    \b
    Examples
      gr-hsc evaluate hsc-fig3 --images 200 --data ~/data
      gr-hsc evaluate hsc-fig6 --quick
      gr-hsc evaluate hda-fig4 hda-fig5 --workers 8
      gr-hsc evaluate hda

    Errors: one line on stderr and exit status 2 for an unknown NAME, missing data or weights, or a folder
    that cannot be written.
    """
    from .catalogue import catalogue
    from .evaluate import Request, run_all
    from .planned import Workers

    known = catalogue()
    wanted = {entry.figure.name: entry for name in names for entry in known.chosen(name)}
    where = Workers(workers, scheduler)
    for path in run_all([Request(entry, workers=where, **how) for entry in wanted.values()], out):
        click.echo(path)


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--snr",
    "snrs",
    default="0:20:2",
    show_default=True,
    help="SNRs [dB]: first:last:step, or a list such as 0,5,10.",
)
@click.option(
    "--cbr",
    type=Number(0, 1000, above=True),
    default="1/6",
    show_default=True,
    help="Budget: payload channel uses / (C·H·W).",
)
@click.option("--codecs", help="Names of codecs, separated by commas; default: all that serve photographs.")
@click.option(
    "--channel",
    type=click.Choice(("awgn", "rayleigh", "rician")),
    default="awgn",
    show_default=True,
    help="Symbol channel.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of channel and noise."
)
@perceptual_option
@sweep_options
@codec_options.receivers
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("hsc-out"),
    show_default=True,
    help="Folder for pictures and figures.",
)
def compare(
    image: Path,
    snrs: str,
    cbr: float,
    codecs: str | None,
    channel: str,
    seed: int,
    perceptual: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    out: Path,
    **receiver: object,
) -> None:
    """Send IMAGE with every codec at every SNR: a picture grid, curves of PSNR, MS-SSIM and perceptual
    distances against SNR, and their figures as JSON.

    The channel is that of `simulate` with one gain for the whole image, and the transmitter knows the mean
    SNR. No packet is lost, so that the codecs send 3 % of repair symbols rather than their own share. An
    option of the receiver goes to every codec that has it.
    OUT/<stem>_compare.json holds the figures, <stem>_compare_curve.png the curves, <stem>_compare_grid.png
    pictures at up to four of the SNRs, each with a detail at full size.

    \b
    Examples
      gr-hsc compare photo.jpg --snr 0:20:2 --cbr 1/6
      gr-hsc compare photo.jpg --codecs softcast,separate --channel rician
      gr-hsc compare photo.jpg --codecs deepjscc,separate --refine --realism 0.5

    Errors: one line on stderr and exit status 2 for a file that is not an image, an unknown codec, a value
    out of range, an image that no codec can send, or a folder that cannot be written. A codec that cannot be
    used is left out, and it is said why.
    """
    from .compare import Comparison, run, snr_range
    from .planned import Workers

    names = tuple(part.strip() for part in codecs.split(",") if part.strip()) if codecs else ()
    _, options = codec_options.take_options(receiver, None)
    comparison = Comparison(snr_range(snrs), cbr, names, channel, seed, perceptual, options)
    for path in run(image, comparison, Workers(workers, scheduler), out):
        click.echo(bytes(path))  # any bytes that a name may have
