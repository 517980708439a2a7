"""The options that `send` and `simulate` have in common, each defined once, and the group that turns errors
into one line.
"""

from __future__ import annotations

import cmath
import functools
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from ..codecs import registry
from ..codecs.options import Described, Ends, described
from ..codecs.system import Shorthand, System
from ..errors import HscError
from ..phy import mcs
from ..phy.numerology import AUTO, PRESETS
from ..phy.packet import DEFAULT_PACKET_SYMBOLS, MAX_PACKET_SYMBOLS
from ..radio.addresses import RadioSettings
from ..radio.reader import describe
from .link import CHANNELS, Scenario

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
            self.fail(
                f"{value} is out of range: give {'more than ' if self.above else ''}{self.low:g} to {self.high:g}",
                param,
                ctx,
            )
        return number


class Hertz(Number):
    """A frequency or a rate: a number, maybe with the suffix k, M or G."""

    name = "hertz"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        factor = {"k": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:], 1)
        try:
            return super().convert(str(Fraction(text[:-1] if factor > 1 else text) * factor), param, ctx)
        except (ValueError, ZeroDivisionError):
            self.fail(f"'{value}' is not a number of hertz, such as 433.92M", param, ctx)


class Taps(click.ParamType):
    """Complex numbers separated by commas."""

    name = "taps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[complex, ...]:
        if isinstance(value, tuple):
            return value
        try:
            taps = tuple(complex(part.replace(" ", "")) for part in value.split(","))
        except ValueError:
            self.fail(f"'{value}' is not a list of complex numbers, such as 1,0,0.5j", param, ctx)
        if not all(cmath.isfinite(tap) for tap in taps):
            self.fail(f"'{value}': give finite numbers", param, ctx)
        return taps


class Interferer(click.ParamType):
    """A tone: power over that of the signal [dB] @ frequency [Hz]."""

    name = "dB@Hz"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        level, _, frequency = value.partition("@")
        return Number(-100, 100).convert(level, param, ctx), Hertz(-50e6, 50e6).convert(frequency, param, ctx)


class NameValue(click.ParamType):
    """NAME=VALUE, of an option of a codec."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.isidentifier():
            self.fail(f"'{value}' is not of the form NAME=VALUE", param, ctx)
        return name, text


class OfCodec(click.ParamType):
    """The value of one option of a codec, as text."""

    def __init__(self, option: Described) -> None:
        self.option = option
        kinds = [kind.__name__ for kind in option.kinds if kind is not type(None)]
        self.name = "|".join(str(choice) for choice in option.choices if choice is not None) or "|".join(
            kinds
        )

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            found = self.option.parse(str(value))
            self.option.check("the", found)
        except HscError as error:
            self.fail(str(error), param, ctx)
        return found


def _shorthands(ends: Ends) -> tuple[Callable[..., Any], ...]:
    """Flags that systems declare for options of these ends."""
    wanted = [
        (system, each)
        for system in registry.systems()
        for each in system.shorthands
        if each.described.ends & ends
    ]
    if ends is Ends.RECEIVER:  # alone: what gives the receiver another value than the transmitter has no use
        wanted = [(system, each) for system, each in wanted if not each.only_receiver]
    return tuple(_shorthand(system, each) for system, each in wanted)


def _shorthand(system: System, each: Shorthand) -> Callable[..., Any]:
    told = each.described
    whose = "the receiver's, where it is another: " if each.only_receiver else ""
    kind, text = OfCodec(told), f"{system.title}: {whose}{told.doc}."
    return click.option(each.flag, _variable(each), type=kind, default=None, metavar=kind.name, help=text)


def _variable(each: Shorthand) -> str:
    return f"shorthand_{each.flag.strip('-').replace('-', '_')}"


_CODEC_OPTION = click.option(
    "--codec", type=click.Choice(registry.names()), default="hsc", show_default=True, help="Codec."
)
_CBR_OPTION = click.option(
    "--cbr",
    type=Number(0, 100_000, above=True),
    help="Budget: payload channel uses / (C·H·W), for example 1/6.",
)
_RECEIVER_OPTION = click.option(
    "--rx-option", "rx_options", type=NameValue(), multiple=True,
    help="Any other option of the receiver's codec, such as informed=False; may be given several times.",
)  # fmt: skip
_MESSAGE_OPTIONS = (
    click.option(
        "--option", "options", type=NameValue(), multiple=True,
        help="Any other option of the transmitter's codec, such as source=jpeg2000; `codecs` lists them; may be given several times.",
    ),
    click.option(
        "--mcs", type=click.Choice(list(mcs.TABLE)), metavar="NAME",
        help="MCS of the digital streams, such as 16QAM-1/2; the codec chooses if left out.",
    ),
)  # fmt: skip
_NUMEROLOGY_OPTION = click.option(
    "--numerology", type=click.Choice(list(PRESETS)), default="ofdm64", show_default=True, help="OFDM format, the same at both ends.",
)  # fmt: skip
_RECEIVER_NUMEROLOGY_OPTION = click.option(
    "--numerology", type=click.Choice([AUTO, *PRESETS]), default=AUTO, show_default=True,
    help="OFDM format of the transmitter; auto finds it.",
)  # fmt: skip
_PACKET_OPTION = click.option(
    "--packet-symbols", type=click.IntRange(1, MAX_PACKET_SYMBOLS // 2), default=DEFAULT_PACKET_SYMBOLS, show_default=True,
    help="Most payload symbols in a packet.",
)  # fmt: skip
_LINK_OPTIONS = (
    _CODEC_OPTION,
    _CBR_OPTION,
    *_shorthands(Ends.BOTH),
    *_MESSAGE_OPTIONS,
    _RECEIVER_OPTION,
    click.option(
        "--snr", type=Number(-30, 60), default=10.0, show_default=True,
        help="Es/N0 per complex channel use [dB]; the transmitter expects it too, unless --design-snr says otherwise.",
    ),
    click.option("--design-snr", type=Number(-30, 60), help="Es/N0 that the transmitter expects [dB], as on a one-way link."),
    click.option(
        "--channel", type=click.Choice(CHANNELS), default="awgn", show_default=True,
        help="rician: line of sight as strong as the scatter; multipath: two fixed echoes of -6 and -10 dB, OFDM only.",
    ),
    click.option("--cfo", type=Number(-8, 8), default=0.0, help="Carrier frequency offset [subcarriers], OFDM only."),
    click.option("--sfo", type=Number(-100, 100), default=0.0, help="Sample-clock offset [ppm], OFDM only."),
    click.option("--loss", type=Number(0, 1), default=0.0, help="Probability that a whole packet is dropped."),
    _NUMEROLOGY_OPTION,
    _PACKET_OPTION,
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of channel, losses and message ids."),
)  # fmt: skip
_RADIO_OPTIONS = (
    click.option(
        "--radio", "address", metavar="ADDRESS", required=True,
        help="soapy:driver=…, uhd:type=…, zmq:tcp://HOST:PORT, file:NAME.sigmf-meta or sim; doctor lists the radios found.",
    ),
    click.option("--freq", "frequency", type=Hertz(0, 100e9), default=0.0, help="Carrier frequency [Hz], such as 433.92M."),
    click.option(
        "--rate", "sample_rate", type=Hertz(1e3, 100e6), show_default="1M", help="Samples per second, such as 2M; a recording has its own.",
    ),
    click.option("--gain", type=Number(-100, 150), help="Overall gain [dB]; the radio's usual one if left out."),
    click.option("--antenna", default="", help="Antenna connector by the driver's name."),
    click.option("--bandwidth", type=Hertz(0, 200e6), default=0.0, help="Of the analog filter [Hz]; left to the driver if left out."),
    click.option("--ppm", type=Number(-1000, 1000), default=0.0, help="Error of the radio's crystal [ppm], to be corrected."),
)  # fmt: skip
_DESIGN_OPTION = click.option(
    "--snr", type=Number(-30, 60), default=10.0, show_default=True, help="Es/N0 per complex channel use that may be counted on [dB]."
)  # fmt: skip
_IMAGES_ARGUMENT = click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))

_FILE_OPTIONS = (
    _IMAGES_ARGUMENT,
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("hsc-out"),
        show_default=True,
        help="Folder for pictures and metrics.json.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print metrics.json's list instead of the table; nothing else goes to stdout.",
    ),
)


def link_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options of a link, and images, --out, --json; it is called with (settings, images,
    out, as_json).
    """

    @functools.wraps(command)
    def wrapper(images: tuple[Path, ...], out: Path, as_json: bool, **values: Any) -> Any:
        return command(settings=settings_of(**values), images=images, out=out, as_json=as_json)

    for option in reversed((*_FILE_OPTIONS, *_LINK_OPTIONS)):
        wrapper = option(wrapper)
    return wrapper


def transmitter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` images and the options of a transmitter with a radio; it is called with (settings,
    radio, images, …).
    """
    back_off = click.option(
        "--back-off",
        "back_off_db",
        type=Number(0, 60),
        help="Mean power below full scale [dB]; measured if left out.",
    )
    codec = (
        _CODEC_OPTION,
        _CBR_OPTION,
        *_shorthands(Ends.TRANSMITTER),
        *_MESSAGE_OPTIONS,
        _DESIGN_OPTION,
        _NUMEROLOGY_OPTION,
        _PACKET_OPTION,
    )
    return _with_radio(command, (_IMAGES_ARGUMENT, *_RADIO_OPTIONS, back_off, *codec))


def receiver_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options of a receiver with a radio; it is called with (settings, radio, …)."""
    return _with_radio(
        command,
        (*_RADIO_OPTIONS, *_shorthands(Ends.RECEIVER), _RECEIVER_OPTION, _RECEIVER_NUMEROLOGY_OPTION),
        _ask_for_rate,
    )


def _ask_for_rate(radio: RadioSettings) -> None:
    """Raises HscError for a recording that does not tell its sample rate: --rate was left out."""
    if radio.parsed.scheme == "file" and describe(meta := Path(radio.parsed.target)).sample_rate is None:
        raise HscError(f"{meta}: does not tell its sample rate: give it with --rate")


def _with_radio(
    command: Callable[..., Any],
    options: tuple[Callable[..., Any], ...],
    without_rate: Callable[[RadioSettings], None] = lambda _: None,
) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        given, values = _apart(values, _RADIO_FIELDS)
        of_link, own = _apart(
            values, (*_LINK_FIELDS, *_OF_CODECS, *(name for name in values if name.startswith("shorthand_")))
        )
        radio = RadioSettings(**_given(given))
        if given["sample_rate"] is None:
            without_rate(radio)
        return command(settings=settings_of(**of_link), radio=radio, **own)

    for option in reversed(options):
        wrapper = option(wrapper)
    return wrapper


def _apart(values: dict[str, Any], names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of these names, and the others."""
    return {n: v for n, v in values.items() if n in names}, {
        n: v for n, v in values.items() if n not in names
    }


def settings_of(**given: Any) -> Scenario:
    """Values of the options -> scenario; what a command has no option for keeps its default.

    Raises click.UsageError for options that contradict each other, HscError for a value that the codec
    refuses.
    """
    values = {name: value for name, value in given.items() if value is not None}
    named = {
        each.flag: each
        for system in registry.systems()
        for each in system.shorthands
        if _variable(each) in values
    }
    _refuse_contradictions({*named, *(["--cbr"] if "cbr" in values else [])}, named)
    options: dict[Ends, dict[str, object]] = {Ends.TRANSMITTER: {}, Ends.RECEIVER: {}}
    for each in sorted(named.values(), key=lambda each: each.only_receiver):
        ends = Ends.RECEIVER if each.only_receiver else each.described.ends
        for end in (end for end in options if end in ends):
            options[end][each.field] = values[_variable(each)]
    codec = values.get("codec")
    options[Ends.TRANSMITTER] |= _parsed(values.get("options", ()), codec, Ends.TRANSMITTER)
    options[Ends.RECEIVER] |= _parsed(values.get("rx_options", ()), codec, Ends.RECEIVER)
    if codec is not None:
        for each in options.values():  # a value that the codec refuses is one line, before any image is read
            registry.create(codec, **each)
    return Scenario(
        codec_options=options[Ends.TRANSMITTER],
        receiver_options=options[Ends.RECEIVER],
        **{field: given[option] for option, field in _LINK_FIELDS.items() if option in given},
    )


def _refuse_contradictions(flags: set[str], named: dict[str, Shorthand]) -> None:
    for each in named.values():
        if len(together := [flag for flag in each.excludes if flag in flags]) > 1:
            raise click.UsageError(
                f"{', '.join(each.excludes[:-1])} and {each.excludes[-1]} exclude each other: give one of {', '.join(together)}"
            )


def _parsed(given: Iterable[tuple[str, str]], codec: str | None, end: Ends) -> dict[str, object]:
    """NAME=VALUE of one end -> values as the codec's options read them; of a receiver that takes any codec,
    as the first that has it.
    """
    classes = (
        [registry.codec_class(name) for name in (registry.names() if codec is None else (codec,))]
        if given
        else []
    )
    found: dict[str, object] = {}
    for name, text in given:
        known = [
            option for each in classes if (option := described(each.Options).get(name)) and end in option.ends
        ]
        if not known:
            whose = (
                "no codec's receiver"
                if codec is None
                else f"{codec}'s {'receiver' if end is Ends.RECEIVER else 'transmitter'}"
            )
            raise HscError(f"{whose} has no option {name}: `gr-hsc codecs` lists them")
        found[name] = known[0].parse(text)
    return found


_SAME_NAMES = ("codec", "mcs", "cbr", "channel", "cfo", "loss", "numerology", "packet_symbols", "seed")
_LINK_FIELDS = {name: name for name in _SAME_NAMES} | {
    "snr": "snr_db",
    "design_snr": "design_snr_db",
    "sfo": "sfo_ppm",
}
_OF_CODECS = ("options", "rx_options")
_RADIO_FIELDS = tuple(f.name for f in fields(RadioSettings))


def _given(options: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}
