"""The commands. Each is a thin wrapper; what is slow to import is imported when a command needs it."""

from __future__ import annotations

from pathlib import Path

import click

from .. import __version__
from ..codecs import registry
from ..message import MOST_PIXELS
from ..radio.addresses import RadioSettings
from . import live
from .bench_cli import bench
from .evaluation_cli import compare, evaluate
from .group import EXIT_FAILED, OneLineErrors
from .link import Scenario
from .options import link_options, receiver_options, transmitter_options
from .parameters import Hertz, Interferer, Number, Taps

_ERRORS = """\b
Errors: one line on stderr and exit status 2 for
  a file that is missing, damaged or not an image; a folder without images (docs/image-files.md)
  an image with a side under 8 or over 16384 pixels, or of more than 89 megapixels
  an unknown codec, channel, MCS or numerology; a value out of range
  an option that the codec does not have, or that is given twice
  --rank, --psnr and --cbr together; a budget that the codec cannot meet
  a message too long for the packet format; missing weights
  an output folder that cannot be written; an output that would overwrite an input
{more}The other images of the call are still sent. Exit status 1: of an image nothing arrived.
"""
_EXAMPLES = """\b
Examples
  gr-hsc {command} photo.jpg --rank 24 --snr 12
  gr-hsc {command} digits/ --semantic vqvae --symbols 16 --channel rayleigh --out received
  gr-hsc {command} photo.jpg --cbr 1/6 --loss 0.1 --json | python3 -m json.tool
  gr-hsc {command} photo.jpg --codec hda_deepsc --key key.txt --snr 4
  gr-hsc {command} photo.jpg --codec separate --option source=jpeg2000 --mcs 16QAM-1/2 --snr 7
"""


@click.group(
    cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.pass_context
def main(context: click.Context) -> None:
    """Semantic image transmission on the air: codecs of published systems over one OFDM link in GNU Radio."""
    told = _tell_faults(())
    context.call_on_close(lambda: _tell_faults(told))  # of those that came up on the way


def _tell_faults(told: tuple[str, ...]) -> tuple[str, ...]:
    """A line on stderr for each plug-in that is broken, but for those of `told`; all that there are."""
    faults = registry.faults()
    for fault in faults[len(told) :]:
        click.echo(f"gr-hsc: {fault}", err=True)
    return faults


for command in (bench, evaluate, compare):
    main.add_command(command)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@main.command(
    epilog=_EXAMPLES.format(command="simulate")
    + "\n"
    + _ERRORS.format(more="  --cfo, --sfo or --channel multipath: they need OFDM, use send\n")
)
@link_options
def simulate(scenario: Scenario, images: tuple[Path, ...], out: Path, **how: object) -> int:
    """Send IMAGES over the symbol channel: same codec, packets and channel uses as `send`, without OFDM and
    without GNU Radio.

    IMAGES are files or folders, in any format that pillow or pillow-heif reads. For each, OUT/<stem>.png is
    what was received and OUT/<stem>_compare.png shows it beside the original; OUT/metrics.json is a list with
    one entry for each image. Each packet sees one channel gain, known to the receiver; --loss drops packets.
    """
    from .report import transmit_all
    from .simulate import transmit

    return transmit_all(images, scenario, transmit, out, **how)


@main.command(
    epilog=_EXAMPLES.format(command="send")
    + "\n"
    + _ERRORS.format(more="  GNU Radio not installed: use simulate\n")
)
@link_options
def send(scenario: Scenario, images: tuple[Path, ...], out: Path, **how: object) -> int:
    """Send IMAGES through the GNU Radio flowgraph: OFDM bursts, GNU Radio's channel blocks, synchronisation
    and all.

    IMAGES are files or folders, in any format that pillow or pillow-heif reads. For each, OUT/<stem>.png is
    what was received and OUT/<stem>_compare.png shows it beside the original; OUT/metrics.json is a list with
    one entry for each image. Fading is slow against a burst; --loss takes whole packets out between the OFDM
    receiver and the assembly of messages.
    """
    from .report import transmit_all
    from .send import transmit

    return transmit_all(images, scenario, transmit, out, **how)


@main.command()
@transmitter_options
@click.option("--loop", is_flag=True, help="Send them again and again.")
@click.option(
    "--repeat",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="Send all of them so many times.",
)
@click.option("--interval", type=Number(0, 86400), default=0.0, help="Least time between two images [s].")
@click.option(
    "--feedback",
    metavar="ADDRESS",
    help="Adapt to what `rx --feedback` reports, and repeat lost packets; such as tcp://192.168.1.7:5560.",
)
@click.option(
    "--target-psnr",
    type=Number(0, 60, above=True),
    help="With --feedback: quality of images [dB], for codecs that can aim at one.",
)
def tx(scenario: Scenario, radio: RadioSettings, images: tuple[Path, ...], **schedule: object) -> int:
    """Send IMAGES, files or folders, over a radio: once, or until Ctrl-C with --loop.

    Between images, and while one is encoded, zeros are sent. The gain that a radio needs, and what is legal
    where: docs/over-the-air.md.

    \b
    Examples
      gr-hsc tx photo.jpg --radio soapy:driver=hackrf --freq 433.92M --rate 2M --gain 20
      gr-hsc tx photos/ --radio uhd:type=b200 --freq 2.45G --codec hda_deepsc --key key.txt --loop
      gr-hsc tx digits/ --radio zmq:tcp://127.0.0.1:5555 --rank 4 --repeat 10 --interval 0.5
      gr-hsc tx photos/ --radio soapy:driver=plutosdr --freq 433.92M --loop --codec hda_deepsc --feedback tcp://192.168.1.7:5560

    Errors: one line on stderr and exit status 2 when no file is there, for an option out of range, or a radio
    that is not there. An image that is missing, cannot be read or sent is one line, the others are sent, exit
    status 2. Exit status 1: the radio has vanished.
    """
    with live.signals(live.interrupted):
        from .tx import Schedule, transmit

        return transmit(images, scenario, radio, Schedule(**schedule))


@main.command()
@receiver_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("hsc-received"),
    show_default=True,
    help="Folder for images and received.jsonl.",
)
@click.option(
    "--deadline",
    type=Number(0.01, 3600),
    default=1.0,
    show_default=True,
    help="An image is written with what came of it when none of its packets came for so long [s].",
)
@click.option(
    "--feedback",
    metavar="ADDRESS",
    help="Tell `tx --feedback` what arrives, at this ZMQ address, such as tcp://*:5560.",
)
@click.option(
    "--view", is_flag=True, help="Show images as they build up, constellations, SNR and packets in a window."
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="NAME",
    help="Record the samples: NAME.sigmf-data and NAME.sigmf-meta.",
)
@click.option(
    "--record-format",
    type=click.Choice(["cf32_le", "ci16_le"]),
    default="cf32_le",
    show_default=True,
    help="Of the samples.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(64, 1 << 28),
    default=MOST_PIXELS,
    show_default=True,
    help="Larger images are refused, to save memory.",
)
@click.option("--images", type=click.IntRange(1), help="End after so many images.")
@click.option("--packets", type=click.IntRange(1), help="End after so many packets.")
@click.option("--seconds", type=Number(0, 10**7, above=True), help="End after so long.")
def rx(scenario: Scenario, radio: RadioSettings, **session: object) -> int:
    """Receive images from a radio until Ctrl-C, or decode a recording.

    The transmitter's codec, options and MCS come with every packet, its numerology is found; --key has to be
    the transmitter's. Each image is written as soon as it is whole, OUT/image_00001.png and so on;
    OUT/received.jsonl gets a line for each. A recording is decoded as fast as it can be, and always to the
    same files.

    \b
    Examples
      gr-hsc rx --radio soapy:driver=hackrf --freq 433.92M --rate 2M --gain 40 --out received
      gr-hsc rx --radio zmq:tcp://127.0.0.1:5556 --record capture --view
      gr-hsc rx --radio file:capture.sigmf-meta --out decoded

    Errors: one line on stderr and exit status 2 for an option out of range, a radio or recording that is not
    there, or a folder that cannot be written. What fails while receiving is one line, reception goes on. Exit
    status 1: the radio has vanished, a recording holds no packet, or fewer --images or --packets came than
    asked for.
    """
    with live.signals(live.interrupted):
        from .rx import Session, receive

        return receive(scenario, radio, Session(**session))


@main.command()
@click.option(
    "--in",
    "source",
    metavar="ADDRESS",
    required=True,
    help="The transmitter's address, such as zmq:tcp://127.0.0.1:5555.",
)
@click.option(
    "--out",
    "target",
    metavar="ADDRESS",
    required=True,
    help="Address for receivers, such as zmq:tcp://127.0.0.1:5556.",
)
@click.option(
    "--rate",
    "sample_rate",
    type=Hertz(1e3, 100e6),
    default=1e6,
    show_default="1M",
    help="Samples per second.",
)
@click.option(
    "--snr",
    "snr_db",
    type=Number(-30, 100),
    default=20.0,
    show_default=True,
    help="Es/N0 per complex channel use [dB].",
)
@click.option("--cfo", type=Hertz(-50e6, 50e6), default=0.0, help="Carrier frequency offset [Hz].")
@click.option(
    "--drift",
    type=Number(-1e5, 1e5),
    default=0.0,
    help="Drift of the carrier [Hz/s], up and down within 2 kHz of --cfo.",
)
@click.option(
    "--sfo",
    "sfo_ppm",
    type=Number(-1000, 1000),
    default=0.0,
    help="By how much the receiver's sample clock is fast [ppm].",
)
@click.option(
    "--taps", type=Taps(), default=(), help="Echoes: one complex number a sample, such as 1,0,0,0.5j."
)
@click.option(
    "--delay-spread",
    type=Number(0, 1),
    default=0.0,
    help="RMS delay spread of echoes with an exponential profile [s].",
)
@click.option("--doppler", type=Hertz(0, 1e6), default=0.0, help="Highest Doppler frequency of fading [Hz].")
@click.option(
    "--k-factor",
    type=Number(0, 1000),
    help="Rician fading: power of the steady part over the rest; Rayleigh if left out.",
)
@click.option(
    "--drop", type=Number(0, 1), default=0.0, help="Share of time lost to drop-outs and interfering bursts."
)
@click.option(
    "--interferer", type=Interferer(), help="A steady tone: dB over the signal @ Hz, such as -3@120k."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Of all that is random."
)
def channel(source: str, target: str, **impairments: object) -> int:
    """Join `tx` and `rx` on one machine: what tx sends to --in comes out at --out with noise, offsets,
    echoes, fading and losses.

    Both ends may come, go and come back in any order. Powers hold for a transmitter without --back-off.

    \b
    Examples (three terminals)
      gr-hsc channel --in zmq:tcp://127.0.0.1:5555 --out zmq:tcp://127.0.0.1:5556 --snr 15 --cfo 10k --sfo 20
      gr-hsc tx photo.jpg --loop --radio zmq:tcp://127.0.0.1:5555
      gr-hsc rx --radio zmq:tcp://127.0.0.1:5556

    Errors: one line on stderr and exit status 2 for an option out of range, or an --out that another process
    uses.
    """
    with live.signals(live.interrupted):
        with live.gnuradio_needed():
            from ..radio.impairments import Impairments
            from .channel import Emulation, emulate

        return emulate(Emulation(source, target, Impairments(**impairments)))


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("hsc-demo"),
    show_default=True,
    help="Folder for the pictures.",
)
def demo(out: Path) -> int:
    """Send sample photographs and digits over a simulated OFDM link as HSC, and show what arrives.

    Takes under a minute. Errors: one line on stderr and exit status 2 when GNU Radio or the weights are
    missing or OUT cannot be written.
    """
    from .demo import run

    return run(out)


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Train or fine-tune the networks of a codec: `train --help` lists the recipes."""
    from .train import cli

    cli.main(list(arguments), prog_name="gr-hsc train", standalone_mode=False)


def _program(name: str, program: str, text: str) -> None:
    """A command that is a program of GNU Radio."""

    @main.command(name, help=text, add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        from .programs import become

        become(program, arguments)


_program(
    "companion",
    "gnuradio-companion",
    "Start GNU Radio Companion with the HSC blocks. ARGUMENTS are its own, such as flowgraphs to open.",
)
_program(
    "grcc",
    "grcc",
    "Compile or run a flowgraph, a .grc file, with the HSC blocks. ARGUMENTS are those of GNU Radio's grcc.",
)


@main.command("codecs")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; nothing else goes to stdout.")
def codecs_command(name: str | None, as_json: bool) -> None:
    """List all codecs, or the options, recipes and figures of codec NAME.

    Codecs of installed plug-ins (docs/adding-a-system.md) are among them. Options are given as --option
    NAME=VALUE to the transmitter and --rx-option NAME=VALUE to the receiver, some by a flag of their own.

    \b
    Examples
      gr-hsc codecs
      gr-hsc codecs hda_deepsc
      gr-hsc codecs --json

    Errors: one line on stderr and exit status 2 for an unknown codec, or one that cannot be loaded.
    """
    from . import codecs

    codecs.show(name, as_json)


@main.command()
def doctor() -> int:
    """Check versions, weights, paths and radios: each line ok, or what to do. Exit status 1 when something is
    wrong.
    """
    from .doctor import checks, report

    return 0 if report(checks()) else EXIT_FAILED
