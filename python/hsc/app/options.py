"""The options that commands have in common, each defined once: of a link, of a transmitter and of a receiver
with a radio.

A decorator gives a command its options and calls it with a `Scenario`, a `RadioSettings`, and whatever is the
command's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..codecs import registry
from ..codecs.options import Ends
from ..errors import HscError
from ..phy.header import MAX_PACKET_SYMBOLS
from ..phy.numerology import AUTO, PRESETS
from ..phy.packets import DEFAULT_PACKET_SYMBOLS
from ..radio.addresses import RadioSettings, parse
from ..radio.reader import describe
from . import codec_options
from .link import CHANNELS, FADE_MARGIN_DB, Scenario
from .parameters import MCS, Hertz, Number, perceptual_option

Decorator = Callable[..., Any]

_IMAGES = click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
_FILES = (
    _IMAGES,
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
_CODEC = click.option(
    "--codec", type=click.Choice(registry.names()), default="hsc", show_default=True, help="Codec."
)
_CBR = click.option(
    "--cbr",
    type=Number(0, 100_000, above=True),
    help="Budget: payload channel uses / (C·H·W), for example 1/6.",
)
_MCS = click.option(
    "--mcs",
    type=MCS(),
    metavar="NAME",
    help="MCS of the digital streams, such as 16QAM-1/2 or nr:16QAM-0.60; nr or 802.11ad: the one of that "
    "code that the SNR asks for; the codec chooses if left out.",
)
_EXPECTED_SNR = click.option(
    "--snr",
    "snr_db",
    type=Number(-30, 60),
    default=10.0,
    show_default=True,
    help="Es/N0 per complex channel use that may be counted on [dB].",
)
_FADE_MARGIN = click.option(
    "--fade-margin",
    "fade_margin_db",
    type=Number(0, 60),
    help="How far below the expected SNR fades may take the channel [dB]: bits whose MCS is not named bear "
    f"them. {FADE_MARGIN_DB:g} over rayleigh and rician without --design-snr, else 0, if left out.",
)
_NUMEROLOGY = click.option(
    "--numerology",
    type=click.Choice(list(PRESETS)),
    default="ofdm64",
    show_default=True,
    help="OFDM format, the same at both ends.",
)
_SOUGHT_NUMEROLOGY = click.option(
    "--numerology",
    type=click.Choice([AUTO, *PRESETS]),
    default=AUTO,
    show_default=True,
    help="OFDM format of the transmitter; auto finds it.",
)
_PACKET_SYMBOLS = click.option(
    "--packet-symbols",
    type=click.IntRange(1, MAX_PACKET_SYMBOLS // 2),
    default=DEFAULT_PACKET_SYMBOLS,
    show_default=True,
    help="Most payload symbols in a packet.",
)
_CHANNEL = (
    click.option(
        "--snr",
        "snr_db",
        type=Number(-30, 60),
        default=10.0,
        show_default=True,
        help="Es/N0 per complex channel use [dB]; the transmitter expects it too, unless --design-snr says "
        "otherwise.",
    ),
    click.option(
        "--design-snr",
        "design_snr_db",
        type=Number(-30, 60),
        help="Es/N0 that the transmitter expects [dB], as on a one-way link.",
    ),
    _FADE_MARGIN,
    click.option(
        "--channel",
        type=click.Choice(CHANNELS),
        default="awgn",
        show_default=True,
        help="rician: line of sight as strong as the scatter; multipath: two fixed echoes of -6 and -10 dB, "
        "OFDM only; the transmitter then expects the effective SNR, as a receiver reports it.",
    ),
    click.option(
        "--cfo", type=Number(-8, 8), default=0.0, help="Carrier frequency offset [subcarriers], OFDM only."
    ),
    click.option(
        "--sfo", "sfo_ppm", type=Number(-100, 100), default=0.0, help="Sample-clock offset [ppm], OFDM only."
    ),
    click.option(
        "--loss",
        type=Number(0, 1),
        default=0.0,
        help="Probability that a whole packet is dropped. Codecs are told, and send repair symbols for it.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=1,
        show_default=True,
        help="Seed of channel, losses and message ids.",
    ),
)
_RADIO = (
    click.option(
        "--radio",
        "address",
        metavar="ADDRESS",
        required=True,
        help="soapy:driver=…, uhd:type=…, zmq:tcp://HOST:PORT, file:NAME.sigmf-meta or sim; doctor lists the "
        "radios found.",
    ),
    click.option(
        "--freq",
        "frequency",
        type=Hertz(0, 100e9),
        default=0.0,
        help="Carrier frequency [Hz], such as 433.92M.",
    ),
    click.option(
        "--rate",
        "sample_rate",
        type=Hertz(1e3, 100e6),
        show_default="1M",
        help="Samples per second, such as 2M; a recording has its own.",
    ),
    click.option(
        "--gain", type=Number(-100, 150), help="Overall gain [dB]; the radio's usual one if left out."
    ),
    click.option("--antenna", default="", help="Antenna connector by the driver's name."),
    click.option(
        "--bandwidth",
        type=Hertz(0, 200e6),
        default=0.0,
        help="Of the analog filter [Hz]; left to the driver if left out.",
    ),
    click.option(
        "--ppm",
        type=Number(-1000, 1000),
        default=0.0,
        help="Error of the radio's crystal [ppm], to be corrected.",
    ),
)
_BACK_OFF = click.option(
    "--back-off",
    "back_off_db",
    type=Number(0, 60),
    help="Mean power below full scale [dB]; measured if left out.",
)
_AIR = (_NUMEROLOGY, _PACKET_SYMBOLS)


def link_options(command: Decorator) -> Decorator:
    """Give `command` the options of a link, and images, --out, --json, --metrics; it is called with
    (scenario, images, out, as_json, perceptual).
    """

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        scenario = take_scenario(values)
        return command(scenario=scenario, **values)

    codec = (*codec_options.shorthands(Ends.BOTH), codec_options.OPTION, codec_options.RECEIVER_OPTION)
    return _decorated(wrapper, *_FILES, perceptual_option, _CODEC, _CBR, _MCS, *_CHANNEL, *_AIR, *codec)


def transmitter_options(command: Decorator) -> Decorator:
    """Give `command` images and the options of a transmitter with a radio; it is called with (scenario,
    radio, images, …).
    """
    codec = (*codec_options.shorthands(Ends.TRANSMITTER), codec_options.OPTION)
    link = (_CODEC, _CBR, _MCS, _EXPECTED_SNR, _FADE_MARGIN, *_AIR)
    return _decorated(_with_radio(command), _IMAGES, *_RADIO, _BACK_OFF, *link, *codec)


def receiver_options(command: Decorator) -> Decorator:
    """Give `command` the options of a receiver with a radio; it is called with (scenario, radio, …)."""
    codec = (*codec_options.shorthands(Ends.RECEIVER), codec_options.RECEIVER_OPTION)
    return _decorated(_with_radio(command, _ask_for_rate), *_RADIO, _SOUGHT_NUMEROLOGY, *codec)


def _decorated(command: Decorator, *options: Decorator) -> Decorator:
    for option in reversed(options):
        command = option(command)
    return command


def _with_radio(
    command: Decorator, without_rate: Callable[[RadioSettings], None] = lambda _: None
) -> Decorator:
    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        scenario = take_scenario(values)
        given = _taken(values, RadioSettings)
        if not given["frequency"] and not parse(given["address"]).floating:
            raise HscError(f"radio {given['address']}: give its carrier with --freq, such as --freq 433.92M")
        radio = RadioSettings(**given)
        if "sample_rate" not in given:
            without_rate(radio)
        return command(scenario=scenario, radio=radio, **values)

    return wrapper


def _ask_for_rate(radio: RadioSettings) -> None:
    """Raises HscError for a recording that does not tell its sample rate: --rate was left out."""
    if radio.parsed.scheme == "file" and describe(meta := Path(radio.parsed.target)).sample_rate is None:
        raise HscError(f"{meta}: does not tell its sample rate: give it with --rate")


def take_scenario(values: dict[str, Any]) -> Scenario:
    """The scenario, taken out of the values of a command's options; what there is no option for keeps its
    default.

    Raises click.UsageError for options that contradict each other, HscError for one that the codec does not
    have, or a value that it refuses.
    """
    transmitter, receiver = codec_options.take_options(values, values.get("codec"))
    return Scenario(codec_options=transmitter, receiver_options=receiver, **_taken(values, Scenario))


def _taken(values: dict[str, Any], kind: type) -> dict[str, Any]:
    """Values of the fields of a dataclass, taken out; those that are None were left out."""
    found = {f.name: values.pop(f.name) for f in fields(kind) if f.name in values}
    return {name: value for name, value in found.items() if value is not None}
