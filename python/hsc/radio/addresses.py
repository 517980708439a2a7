"""Radios: addresses, settings, and what each kind of radio can do. Only the standard library; the blocks are
in blocks/radio/.

An address names a radio, its driver's arguments behind the first colon:

    soapy:driver=hackrf[,serial=…]        any radio that SoapySDR has a driver for
    uhd:type=b200[,serial=…]              a USRP, by UHD itself
    zmq:tcp://127.0.0.1:5555              another process; the transmitter binds, receivers connect
    file:capture.sigmf-meta[,speed=4]     a SigMF recording, at `speed` times real time (0: as fast as it is
    read)
    sim[:snr=20,cfo=1000,ppm=5]           a simulated channel between sink and source of one process

ZeroMQ: the transmitter's PUB socket binds, receivers' SUB sockets connect. Whichever end is started again,
the other finds it without help. A message is raw complex64, little-endian. What no receiver takes is dropped
as on the air: each side keeps at most ZMQ_QUEUE messages of ZMQ_SAMPLES samples. The transmitter is paced by
its own sample clock; a receiver that hears nothing gives zeros at its own.
"""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass, field

from ..errors import HscError

# Samples of a ZeroMQ message.
ZMQ_SAMPLES = 4096
# Messages that each side keeps: a second at 1 MS/s.
ZMQ_QUEUE = 256
BIND_REMEDY = "give an address of this machine, such as tcp://127.0.0.1:5555, tcp://*:5555 or ipc:///path"
# What is a multiple of 1000 is written with.
_SUFFIXES = {1e9: "G", 1e6: "M", 1e3: "k", 1.0: ""}
SCHEMES = ("soapy", "uhd", "zmq", "file", "sim")
SIM_DEFAULTS = {"snr": 20.0, "cfo": 0.0, "ppm": 0.0, "seed": 1.0}
# Characters of an address at most.
_MAX_ADDRESS = 1024


@dataclass(frozen=True)
class RadioPreset:
    """What one kind of radio can do, and what suits it.

    Attributes:
        name: as people call it.
        drivers: values of SoapySDR's `driver` key.
        sample_rates: lowest and highest [samples/s].
        rx_gain, tx_gain: lowest, highest and default overall gain [dB]; the driver has the last word on the
            limits.
        frequencies: lowest and highest [Hz].
        bits: of its converters.
        settling: after a start or a change of frequency, until levels hold [s].
        headroom_db: back-off of the transmitter on top of what the peaks of OFDM ask for [dB].
        half_duplex: it cannot send and receive at once.
        package: Debian 12 package of its SoapySDR driver; empty where there is none.
        module: part of the name of the driver's file.
        usb: vendor:product on the bus.
        note: what is special.
    """

    name: str
    drivers: tuple[str, ...]
    sample_rates: tuple[float, float]
    rx_gain: tuple[float, float, float]
    tx_gain: tuple[float, float, float]
    frequencies: tuple[float, float]
    bits: int
    settling: float
    headroom_db: float = 0.0
    half_duplex: bool = False
    package: str = ""
    module: str = ""
    usb: tuple[str, ...] = ()
    note: str = ""


# A radio that is not in the table.
GENERIC = RadioPreset(
    "radio", (), (1e3, 100e6), (-100, 150, 30), (-100, 150, 30), (0, 100e9), 12, 0.2,
    note="unknown to gr-hsc: the driver's own limits hold",
)  # fmt: skip
# Radios by the drivers that they have.
PRESETS = (
    RadioPreset(
        "USRP B2xx", ("uhd", "b200"), (62.5e3, 61.44e6), (0, 76, 40), (0, 89.8, 60), (70e6, 6e9), 12, 0.1,
        package="soapysdr-module-uhd", module="uhd", usb=("2500:0020", "2500:0021", "2500:0022"),
        note="USB 3 for more than 8 MS/s; its FPGA images come with uhd_images_downloader, "
        "Debian package uhd-host",
    ),
    RadioPreset(
        "HackRF One", ("hackrf",), (2e6, 20e6), (0, 116, 40), (0, 61, 30), (1e6, 6e9), 8, 0.1,
        headroom_db=1.0, half_duplex=True,
        package="soapysdr-module-hackrf", module="hackrf", usb=("1d50:6089",),
        note="half duplex; ignores the end of a burst, so zeros are sent in between",
    ),
    RadioPreset(
        "PlutoSDR", ("plutosdr",), (65.2e3, 61.44e6), (0, 73, 40), (0, 89, 70), (70e6, 6e9), 12, 0.2,
        module="pluto", usb=("0456:b673",),
        note="over USB 2 samples are lost above 4 MS/s; as it is sold it tunes from 325 MHz to 3.8 GHz",
    ),
    RadioPreset(
        "LimeSDR", ("lime",), (100e3, 61.44e6), (-12, 61, 40), (-12, 64, 45), (100e3, 3.8e9), 12, 0.5,
        headroom_db=1.0,
        package="soapysdr-module-lms7", module="lms7", usb=("1d50:6108", "0403:601f"),
        note="calibrates itself at every change of frequency: the first half second is lost",
    ),
    RadioPreset(
        "bladeRF", ("bladerf",), (160e3, 61.44e6), (-16, 66, 40), (-24, 66, 40), (47e6, 6e9), 12, 0.1,
        package="soapysdr-module-bladerf", module="bladerf", usb=("2cf0:5246", "2cf0:5250", "1d50:6066"),
        note="bladeRF 1: 300 MHz to 3.8 GHz, at most 40 MS/s",
    ),
)  # fmt: skip
# zmq, file, sim: floating point, so no full scale, no gain, nothing to settle.
FLOATING = RadioPreset("samples", (), (1, 1e12), (0, 0, 0), (0, 0, 0), (0, 100e9), 32, 0.3)


@dataclass(frozen=True)
class Address:
    """A parsed address: the scheme, and what its scheme needs of the rest."""

    scheme: str
    target: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def floating(self) -> bool:
        """Samples go to no converter."""
        return self.scheme in ("zmq", "file", "sim")


@dataclass(frozen=True)
class RadioSettings:
    """What a user says of a radio.

    Attributes:
        address: as above.
        frequency: carrier [Hz].
        sample_rate: [samples/s]; a recording has its own, unless it does not tell.
        gain: overall gain [dB]; None for the preset's.
        antenna: name of the driver's; empty leaves it to the driver.
        bandwidth: of the analog filter [Hz]; 0 leaves it to the driver.
        ppm: by how much the radio's crystal is fast [ppm]; undone by the driver's correction, or else by
            tuning.
        back_off_db: of a transmitter: mean power of its bursts below full scale [dB]; None measures what OFDM
            needs.

    Raises:
        HscError: one of these is impossible; the text says which and what to give.
    """

    address: str
    frequency: float = 0.0
    sample_rate: float = 1e6
    gain: float | None = None
    antenna: str = ""
    bandwidth: float = 0.0
    ppm: float = 0.0
    back_off_db: float | None = None

    def __post_init__(self) -> None:
        address, preset = self.parsed, self.preset
        _within("sample rate", self.sample_rate, preset.sample_rates, "S/s", preset)
        lowest = 0 if address.floating else preset.frequencies[0]
        _within("frequency", self.frequency, (lowest, preset.frequencies[1]), "Hz", preset)
        _within("bandwidth", self.bandwidth, (0, 200e6), "Hz", preset)
        _within("ppm", self.ppm, (-1000, 1000), "ppm", preset)
        _within("back-off", self.back_off_db or 0.0, (0, 60), "dB", preset)
        if self.gain is not None and not address.floating:
            low, high = min(preset.rx_gain[0], preset.tx_gain[0]), max(preset.rx_gain[1], preset.tx_gain[1])
            _within("gain", self.gain, (low, high), "dB", preset)

    @property
    def parsed(self) -> Address:
        """The address, parsed."""
        return parse(self.address)

    @property
    def preset(self) -> RadioPreset:
        """What this kind of radio can do."""
        return preset_of(self.parsed)


def tuned(frequency: float, ppm: float) -> float:
    """What a radio without a correction of its own is told so that its carrier lies at `frequency` [Hz]
    though its crystal is fast.
    """
    return frequency / (1 + ppm * 1e-6)


def parse(address: str) -> Address:
    """Text → Address. Raises HscError, one line that says what to write instead."""
    if not isinstance(address, str) or len(address) > _MAX_ADDRESS or not address.isprintable():
        raise HscError(
            f"a radio's address is at most {_MAX_ADDRESS} printable characters, such as soapy:driver=hackrf"
        )
    scheme, _, rest = address.strip().partition(":")
    if scheme not in SCHEMES:
        raise HscError(
            f"radio '{address}': give soapy:driver=…, uhd:type=…, zmq:tcp://host:port, "
            "file:name.sigmf-meta or sim"
        )
    return {"soapy": _soapy, "uhd": _uhd, "zmq": _zmq, "file": _file, "sim": _sim}[scheme](rest.strip())


def preset_of(address: Address) -> RadioPreset:
    """The table's entry for this radio; GENERIC for one that is not in it."""
    if address.floating:
        return FLOATING
    driver = "uhd" if address.scheme == "uhd" else address.options["driver"]
    if driver == "uhd" and not address.options.get("type", "").startswith("b2"):
        return GENERIC  # any USRP: addr=, serial= and name= do not tell which
    return next((preset for preset in PRESETS if driver in preset.drivers), GENERIC)


def simulation(address: Address) -> dict[str, float]:
    """Numbers of a `sim` address: `snr` [dB], `cfo` [Hz], `ppm`, `seed`."""
    return {name: float(address.options.get(name, default)) for name, default in SIM_DEFAULTS.items()}


def _metric(value: float) -> str:
    """A number as options take it: 2.4G."""
    factor = next((f for f in (1e9, 1e6, 1e3) if abs(value) >= f), 1.0)
    return f"{value / factor:g}{_SUFFIXES[factor]}"


def _within(what: str, value: float, limits: tuple[float, float], unit: str, preset: RadioPreset) -> None:
    number = isinstance(value, int | float) and math.isfinite(value)
    if not number or not limits[0] <= value <= limits[1]:
        text = f"{value:g}" if number else f"{value}"
        raise HscError(
            f"{preset.name}: {what} {text} {unit} is out of range, give {' to '.join(map(_metric, limits))}"
        )


def _pairs(text: str, where: str) -> dict[str, str]:
    pairs = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise HscError(f"radio '{where}:{text}': '{item}' is not of the form name=value")
        pairs[name] = value
    return pairs


def _soapy(rest: str) -> Address:
    options = _pairs(rest, "soapy")
    if not options.get("driver"):
        raise HscError(
            f"radio 'soapy:{rest}': name the driver, such as soapy:driver=hackrf; "
            "./gr-hsc doctor lists the radios found"
        )
    return Address("soapy", rest, options)


def _uhd(rest: str) -> Address:
    return Address("uhd", rest, _pairs(rest, "uhd"))


def bindable(endpoint: str, what: str) -> str:
    """A ZeroMQ endpoint to bind, with a number in the place of a host's name: ZeroMQ binds no names.

    Args:
        endpoint: such as tcp://localhost:5555; any that needs no change is given back.
        what: whose it is, for the error.

    Raises:
        HscError: there is no such host.
    """
    protocol, _, place = endpoint.partition("://")
    host, _, port = place.rpartition(":")
    interfaces = [name for _, name in socket.if_nameindex()]
    if protocol != "tcp" or host in ("", "*", *interfaces) or host.startswith("["):
        return endpoint
    try:
        return f"tcp://{socket.gethostbyname(host)}:{port}"
    except (OSError, UnicodeError):
        raise HscError(f"{what}: there is no host '{host}'; {BIND_REMEDY}") from None


def _zmq(rest: str) -> Address:
    protocol, separator, place = rest.partition("://")
    host, colon, port = place.rpartition(":")
    number = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
    tcp = protocol == "tcp" and colon and host and number
    if not separator or not (tcp or (protocol == "ipc" and place)):
        raise HscError(f"radio 'zmq:{rest}': give zmq:tcp://host:port or zmq:ipc:///path")
    return Address("zmq", rest)


def _file(rest: str) -> Address:
    name, _, options = rest.partition(",speed=")
    if name.endswith((".sigmf", ".sigmf-collection")):
        remedy = "unpack an archive (tar -xf), and give one .sigmf-meta file"
        raise HscError(f"radio 'file:{rest}': may hold several recordings; {remedy}")
    if not name.endswith(".sigmf-meta") or len(name) == len(".sigmf-meta"):
        raise HscError(f"radio 'file:{rest}': give the .sigmf-meta file of a SigMF recording")
    speed = _number(options or "1", "speed", 0, 1000)
    return Address("file", os.path.expanduser(name), {"speed": str(speed)})


def _sim(rest: str) -> Address:
    options = _pairs(rest, "sim")
    if unknown := options.keys() - SIM_DEFAULTS.keys():
        raise HscError(
            f"radio 'sim:{rest}': unknown {', '.join(sorted(unknown))}; there are {', '.join(SIM_DEFAULTS)}"
        )
    limits = {"snr": (-40, 200), "cfo": (-1e8, 1e8), "ppm": (-1000, 1000), "seed": (0, 2**31)}
    numbers = {name: str(_number(value, name, *limits[name])) for name, value in options.items()}
    return Address("sim", rest, numbers)


def _number(text: str, what: str, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise HscError(f"{what}={text} is out of range, give a number from {low:g} to {high:g}")
    return number
