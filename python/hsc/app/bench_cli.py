"""The commands of `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..codecs import registry
from . import live
from .group import EXIT_FAILED
from .parameters import Hertz, Number

_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a list of {name, unit, ours, reference, reference_name, ratio}.",
)


class _Parts(click.Group):
    """Names the parts there are when asked for another one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"no bench '{args[0]}': choose one of {', '.join(self.list_commands(ctx))}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Parts)
def bench() -> None:
    """Measure speed, each part against a named alternative in the same run; or run the link for long.

    \b
    Examples
      gr-hsc bench ofdm --json
      gr-hsc bench link --rate 2M
      gr-hsc bench soak --minutes 60 --out soak.json

    Errors: one line on stderr and exit status 2 for an unknown part, missing weights, or GNU Radio not
    installed.
    """


def _bench_part(name: str, summary: str) -> None:
    errors = "one line on stderr and exit status 2 for missing weights, or GNU Radio not installed"

    @bench.command(name, help=f"{summary}\n\nErrors: {errors}.")
    @_json
    def part(as_json: bool) -> None:
        from .bench import print_rows, run

        print_rows(run(name), as_json)


_bench_part("ldpc", "Our LDPC decoder against gr-fec, same soft bits.")
_bench_part("ofdm", "Our OFDM receiver against digital.ofdm_rx, same samples.")
_bench_part("hsc", "HSC end to end against JPEG 2000 in the same packets.")


@bench.command()
@click.option(
    "--frames",
    type=click.Path(path_type=Path),
    help="Folder of images, animated GIF or WebP, or video; default: the examples.",
)
@click.option(
    "--rate",
    "rates",
    type=Hertz(1e5, 20e6),
    multiple=True,
    default=(1e6, 2e6),
    show_default="1M 2M",
    help="Samples per second.",
)
@click.option(
    "--seconds",
    type=Number(2, 3600),
    default=30.0,
    show_default=True,
    help="Length of the measurement at each rate.",
)
@click.option(
    "--rank",
    type=click.IntRange(0, 10_000),
    help="Rank of the CR, 0 for the SR alone; default: what CBR 1/6 allows.",
)
@_json
def link(
    frames: Path | None, rates: tuple[float, ...], seconds: float, rank: int | None, as_json: bool
) -> None:
    """HSC in real time on this machine, a process for each end: frames, latency, CPU of each stage, queues.

    A camera gives 25 frames of 256 x 256 pixels a second. Of those that wait the link takes the newest, and
    what is left out is counted.

    \b
    Examples
      gr-hsc bench link
      gr-hsc bench link --rank 0 --rate 1M
      gr-hsc bench link --frames clip.mp4 --rate 500k --seconds 60 --json

    Errors: one line on stderr and exit status 2 for a file without frames, or an end of the link that does
    not run.
    """
    from ..bench.link_run import run
    from .bench import print_rows

    live.need_gnuradio()
    print_rows(run(frames, rates, seconds, rank), as_json)


@bench.command()
@click.option(
    "--minutes", type=Number(0.1, 10_000), default=60.0, show_default=True, help="How long images are sent."
)
@click.option(
    "--rate", "sample_rate", type=Hertz(1e5, 20e6), default=1e6, show_default="1M", help="Samples per second."
)
@click.option(
    "--codec",
    type=click.Choice(registry.names()),
    default="hsc",
    show_default=True,
    help="Codec of the images.",
)
@click.option(
    "--image", type=click.Path(path_type=Path), help="What is sent, over and over; default: an example."
)
@click.option(
    "--interval",
    type=Number(0.05, 3600),
    default=1.0,
    show_default=True,
    help="Least time between two images [s].",
)
@click.option(
    "--drop",
    type=Number(0, 0.9),
    default=0.002,
    show_default=True,
    help="Share of time in which the channel loses the signal.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file with memory against time and the account of packets.",
)
def soak(out: Path | None, **what: object) -> int:
    """Run tx, channel and rx in real time for long: memory of the three processes, and an account of every
    packet sent.

    Memory is read every ten seconds and compared with its value after five minutes, or half way. Exit status
    1 when it has grown by more than 5 %, a packet is neither received nor counted as lost, or a process ended
    or hung.

    \b
    Examples
      gr-hsc bench soak --minutes 60 --out soak.json
      gr-hsc bench soak --minutes 1 --codec softcast

    Errors: one line on stderr and exit status 2 for an option out of range, a missing file, or a process that
    does not start.
    """
    from ..bench.soak import Soak
    from ..bench.soak_run import run
    from .bench import report

    live.need_gnuradio()
    return 0 if report(run(Soak(**what)), out) else EXIT_FAILED
