"""The options that `send` and `simulate` have in common, each defined once, and the group that turns errors into one line."""

from __future__ import annotations

import ast
import functools
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from ..codecs import registry
from ..errors import HscError
from ..phy import cipher, mcs
from ..phy.numerology import PRESETS
from ..phy.packet import DEFAULT_PACKET_SYMBOLS, MAX_PACKET_SYMBOLS
from .link import CHANNELS, LinkSettings

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


class OneLineErrors(click.Group):
    """A command group that reports what the user can mend as one line on stderr, with exit status 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
        except HscError as error:
            _leave(str(error), EXIT_BAD_INPUT)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help())
            sys.exit(EXIT_BAD_INPUT)
        except click.UsageError as error:
            where = f"{error.ctx.command_path} --help" if error.ctx else "--help"
            _leave(f"{error.format_message()} (see {where})", EXIT_BAD_INPUT)
        except click.ClickException as error:
            _leave(error.format_message(), EXIT_BAD_INPUT)
        except (click.Abort, KeyboardInterrupt):
            _leave("interrupted", 130)
        sys.exit(status if isinstance(status, int) else 0)


def _leave(message: str, status: int) -> None:
    click.echo(f"gr-hsc: {' '.join(message.split())}", err=True)
    sys.exit(status)


class Number(click.ParamType):
    """A finite real number in [low, high]; a fraction such as 1/24 is understood."""

    name = "number"

    def __init__(self, low: float = -math.inf, high: float = math.inf, above: bool = False) -> None:
        self.low, self.high, self.above = low, high, above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(Fraction(str(value)))
        except (ValueError, ZeroDivisionError, OverflowError):
            self.fail(f"'{value}' is not a number", param, ctx)
        if not self.low <= number <= self.high or (self.above and number == self.low):
            self.fail(f"{value} is out of range: give {'more than ' if self.above else ''}{self.low:g} to {self.high:g}", param, ctx)
        return number


class Key(click.ParamType):
    """An AES-256 key: 64 hexadecimal digits or a file that holds them; "none" where `or_none`."""

    name = "hex|file"

    def __init__(self, or_none: bool = False) -> None:
        self.or_none = or_none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return NO_KEY if self.or_none and value == "none" else cipher.parse_key(value)
        except HscError as error:
            self.fail(str(error), param, ctx)


class Setting(click.ParamType):
    """NAME=VALUE; a value that reads as a Python literal is one, any other is text."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, object]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.isidentifier():
            self.fail(f"'{value}' is not of the form NAME=VALUE", param, ctx)
        try:
            return name, ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return name, text


NO_KEY = b""
_LINK_OPTIONS = (
    click.option("--codec", type=click.Choice(registry.names()), default="hsc", show_default=True, help="Codec."),
    click.option("--rank", type=click.IntRange(0), help="HSC: rank k of the complementary representation; 0 sends the SR alone."),
    click.option("--psnr", type=Number(0, 60, above=True), help="HSC: smallest rank that reaches this PSNR [dB]."),
    click.option("--cbr", type=Number(0, 1000, above=True), help="Budget: payload channel uses / (C·H·W), for example 1/6."),
    click.option("--cr", type=click.Choice(["auto", "paper", "residual", "projection"]), help="HSC: how the CR is coded."),
    click.option("--semantic", type=click.Choice(["vae", "vqvae"]), help="HSC: semantic codec of digits."),
    click.option("--symbols", type=click.IntRange(1), help="HSC: complex symbols M of the semantic representation of digits."),
    click.option("--tuning", type=click.Choice(["auto", "none", "few-shot", "ncr"]), help="HSC: weights tuned for a noisy channel or not."),
    click.option("--da-ratio", type=Number(0, 100, above=True), help="HDA: channel uses of the digital over those of the analog part."),
    click.option(
        "--key", type=Key(), help="HDA: AES-256 key of transmitter and receiver, 64 hexadecimal digits or a file that holds them.",
    ),
    click.option("--rx-key", type=Key(or_none=True), help="HDA: another key for the receiver, or none: what an eavesdropper sees."),
    click.option("--denoiser", metavar="NAME", help="HDA, DeepJSCC: the receiver's denoiser: dncnn, ddpm or diffsdnet."),
    click.option("--denoiser-steps", type=click.IntRange(1), help="Steps of the denoiser."),
    click.option(
        "--option", "options", type=Setting(), multiple=True,
        help="Any other option of the transmitter's codec, such as source=jpeg2000; may be given several times.",
    ),
    click.option(
        "--mcs", type=click.Choice(list(mcs.TABLE)), metavar="NAME",
        help="MCS of the digital streams, such as 16QAM-1/2; the codec chooses if left out.",
    ),
    click.option(
        "--snr", type=Number(-30, 60), default=10.0, show_default=True,
        help="Es/N0 per complex channel use [dB]; the transmitter expects it too, unless --design-snr says otherwise.",
    ),
    click.option("--design-snr", type=Number(-30, 60), help="Es/N0 that the transmitter expects [dB], as on a one-way link."),  # fmt: skip
    click.option(
        "--channel", type=click.Choice(CHANNELS), default="awgn", show_default=True,
        help="rician: line of sight as strong as the scatter; multipath: two fixed echoes of -6 and -10 dB, OFDM only.",
    ),
    click.option("--cfo", type=Number(-8, 8), default=0.0, help="Carrier frequency offset [subcarriers], OFDM only."),
    click.option("--sfo", type=Number(-100, 100), default=0.0, help="Sample-clock offset [ppm], OFDM only."),
    click.option("--loss", type=Number(0, 1), default=0.0, help="Probability that a whole packet is dropped."),
    click.option("--numerology", type=click.Choice(list(PRESETS)), default="ofdm64", show_default=True, help="OFDM symbol format."),
    click.option(
        "--packet-symbols", type=click.IntRange(1, MAX_PACKET_SYMBOLS // 2), default=DEFAULT_PACKET_SYMBOLS, show_default=True,
        help="Most payload symbols in a packet.",
    ),
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of channel, losses and message ids."),
)  # fmt: skip

_FILE_OPTIONS = (
    click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option(
        "--out", type=click.Path(path_type=Path), default=Path("hsc-out"), show_default=True, help="Folder for pictures and metrics.json."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print metrics.json's list instead of the table; nothing else goes to stdout."),
)


def link_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options of a link, and images, --out, --json; it is called with (settings, images, out, as_json)."""

    @functools.wraps(command)
    def wrapper(images: tuple[Path, ...], out: Path, as_json: bool, **values: Any) -> Any:
        return command(settings=settings_of(**values), images=images, out=out, as_json=as_json)

    for option in reversed((*_FILE_OPTIONS, *_LINK_OPTIONS)):
        wrapper = option(wrapper)
    return wrapper


def settings_of(**values: Any) -> LinkSettings:
    """Values of the options -> settings. Raises click.UsageError for options that contradict each other."""
    if sum(values[name] is not None for name in ("rank", "psnr", "cbr")) > 1:
        raise click.UsageError("--rank, --psnr and --cbr exclude each other: give one of them")
    transmitter = {"rank": values["rank"], "psnr_db": values["psnr"], **{name: values[name] for name in _TRANSMITTER}}
    receiver = {"key": values["key"], **{name: values[name] for name in _RECEIVER}}
    if values["rx_key"] is not None:
        receiver["key"] = values["rx_key"] or None
    return LinkSettings(
        codec=values["codec"],
        codec_options={**_given(transmitter), **dict(values["options"])},
        receiver_options=_given(receiver),
        mcs=values["mcs"],
        cbr=values["cbr"],
        snr_db=values["snr"],
        design_snr_db=values["design_snr"],
        channel=values["channel"],
        cfo=values["cfo"],
        sfo_ppm=values["sfo"],
        loss=values["loss"],
        numerology=values["numerology"],
        packet_symbols=values["packet_symbols"],
        seed=values["seed"],
    )


_TRANSMITTER = ("cr", "semantic", "symbols", "tuning", "da_ratio", "key")
_RECEIVER = ("denoiser", "denoiser_steps")


def _given(options: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}
