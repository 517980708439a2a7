"""The radios behind Radio Sink and Radio Source: GNU Radio's own blocks, each with the same few controls."""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from gnuradio import blocks, channels, gr, zeromq

from ...errors import HscError
from ...radio.addresses import BIND_REMEDY, ZMQ_QUEUE, ZMQ_SAMPLES, RadioSettings, bindable, simulation, tuned
from ...radio.reader import Capture, describe
from ...radio.recording import RecordingWriter
from .listener import Pipe, ZmqFeed, listener, pipe_sink
from .sample_files import sample_file_sink, sample_file_source

# The two sides of a radio.
SINK = "sink"
SOURCE = "source"
# Most that a radio's rate may be off, of itself: the receiver follows 60 ppm, which crystals need.
_RATE_ERROR = 10e-6
# Most that a radio may miss a frequency [Hz]: the steps of a synthesiser are far below.
_TUNING_ERROR = 10e3
# What is in use in this process, by address and side.
_OPEN: WeakValueDictionary[tuple[str, str], Device] = WeakValueDictionary()
# What UHD and SoapySDR say of a radio that is not there.
_ABSENT = ("no devices found", "no match")


class Device:
    """A chain of blocks that ends, or begins, at a radio; `block` is the one that moves the samples.

    Controls do nothing where the radio has no such thing.
    """

    live = False  # it may vanish, and its driver may lose samples
    tells: gr.basic_block | None = None  # the block that has a port `status`, if any
    captures: tuple[Capture, ...] = ()  # of a recording

    def __init__(self, settings: RadioSettings, side: str) -> None:
        self.settings, self.side = settings, side
        self.chain: list[gr.basic_block] = []
        self.sample_rate = settings.sample_rate

    @property
    def block(self) -> gr.basic_block:
        """The radio itself: the last block of a sink's chain, the first of a source's."""
        return self.chain[-1 if self.side == SINK else 0]

    def moved(self) -> int:
        """Samples that the radio has taken or given so far."""
        return self.block.nitems_read(0) if self.side == SINK else self.block.nitems_written(0)

    def set_frequency(self, frequency: float, ppm: float) -> None:
        """Carrier [Hz], crystal's error [ppm]."""

    def set_gain(self, gain: float | None) -> None:
        """Overall gain [dB]; None for the preset's."""

    def set_bandwidth(self, bandwidth: float) -> None:
        """Of the analog filter [Hz]."""

    def set_antenna(self, antenna: str) -> None:
        """By the driver's name."""


class _Driven(Device):
    """A radio with a driver. Whatever the driver throws becomes an HscError of one line."""

    live = True

    def __init__(self, settings: RadioSettings, side: str) -> None:
        super().__init__(settings, side)
        address, preset = settings.parsed, settings.preset
        other = SOURCE if side == SINK else SINK
        if preset.half_duplex and (address.target, other) in _OPEN:
            raise HscError(
                f"{preset.name} is half duplex: it cannot be Radio Sink and Radio Source at once, "
                "use one radio for each"
            )
        self._call(lambda: self.chain.append(self.open(address.target)))
        # gr-soapy writes a line for each call of a driver that fails, thousands a second; the monitor tells
        # once when samples stay away.
        self.block.set_log_level("off")
        # ms that the scheduler sleeps after a timeout or an error; 250 unless told
        self.block.set_blkd_input_timer_value(1)
        self._call(lambda: self._set_rate(settings.sample_rate))
        self.set_frequency(settings.frequency, settings.ppm)
        self.set_gain(settings.gain)
        if settings.bandwidth:
            self.set_bandwidth(settings.bandwidth)
        if settings.antenna:
            self.set_antenna(settings.antenna)
        _OPEN[address.target, side] = self

    @abstractmethod
    def open(self, target: str) -> gr.basic_block:
        """The block."""

    @abstractmethod
    def set_rate(self, sample_rate: float) -> float:
        """Returns what the radio made of it [samples/s]."""

    @abstractmethod
    def tune(self, frequency: float, ppm: float) -> float:
        """Returns by how much the radio missed it [Hz]."""

    @abstractmethod
    def gain_range(self) -> tuple[float, float]:
        """[dB]."""

    @abstractmethod
    def write_gain(self, gain: float) -> None:
        """[dB]."""

    def set_frequency(self, frequency: float, ppm: float) -> None:
        """Raises HscError for a frequency that the radio does not reach."""

        def tune() -> None:
            if abs(missed := self.tune(frequency, ppm)) > _TUNING_ERROR:
                raise HscError(
                    f"radio {self.settings.address}: does not tune to {frequency:g} Hz, "
                    f"it is {missed:+g} Hz off"
                )

        self._call(tune)

    def set_gain(self, gain: float | None) -> None:
        """Raises HscError for a gain that the driver would ignore."""
        low, high = self.gain_range()
        if gain is None:
            preset = self.settings.preset
            gain = min(max((preset.tx_gain if self.side == SINK else preset.rx_gain)[2], low), high)
        if not low <= gain <= high:
            raise HscError(
                f"radio {self.settings.address}: gain {gain:g} dB is out of range, give {low:g} to {high:g}"
            )
        self._call(lambda: self.write_gain(float(gain)))

    def _set_rate(self, wanted: float) -> None:
        self.sample_rate = self.set_rate(wanted)
        if abs(self.sample_rate - wanted) > _RATE_ERROR * wanted:
            raise HscError(
                f"radio {self.settings.address}: has no rate of {wanted:g} samples/s, "
                f"the nearest is {self.sample_rate:g}"
            )

    def _call(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except HscError:
            raise
        except Exception as error:  # the drivers' own exceptions, of any type
            text = " ".join(str(error).split())
            if any(words in text.lower() for words in _ABSENT):
                text = "no such radio is connected"
            raise HscError(
                f"radio {self.settings.address}: {text} (./gr-hsc doctor lists the radios found)"
            ) from error


class _Soapy(_Driven):
    """Through gr-soapy; channel 0, samples as complex floats: the driver converts."""

    def open(self, target: str) -> gr.basic_block:
        from gnuradio import soapy

        make = soapy.sink if self.side == SINK else soapy.source
        return make(target, "fc32", 1, "", "", [""], [""])

    def set_rate(self, sample_rate: float) -> float:
        self.block.set_sample_rate(0, sample_rate)
        return self.block.get_sample_rate(0)

    def gain_range(self) -> tuple[float, float]:
        span = self.block.get_gain_range(0)
        return span.minimum(), span.maximum()

    def write_gain(self, gain: float) -> None:
        if self.block.has_gain_mode(0):
            self.block.set_gain_mode(0, False)
        self.block.set_gain(0, gain)

    def tune(self, frequency: float, ppm: float) -> float:
        if self.block.has_frequency_correction(0):
            self.block.set_frequency_correction(0, float(ppm))
        else:
            frequency = tuned(frequency, ppm)
        self.block.set_frequency(0, float(frequency))
        return self.block.get_frequency(0) - frequency

    def set_bandwidth(self, bandwidth: float) -> None:
        self._call(lambda: self.block.set_bandwidth(0, float(bandwidth)))

    def set_antenna(self, antenna: str) -> None:
        self._call(lambda: self.block.set_antenna(0, antenna))


class _Uhd(_Driven):
    """Through gr-uhd."""

    def open(self, target: str) -> gr.basic_block:
        from gnuradio import uhd

        stream = uhd.stream_args(cpu_format="fc32", channels=[0])
        return uhd.usrp_sink(target, stream, "") if self.side == SINK else uhd.usrp_source(target, stream)

    def set_rate(self, sample_rate: float) -> float:
        self.block.set_samp_rate(sample_rate)
        return self.block.get_samp_rate()

    def gain_range(self) -> tuple[float, float]:
        span = self.block.get_gain_range(0)
        return span.start(), span.stop()

    def write_gain(self, gain: float) -> None:
        self.block.set_gain(gain, 0)

    def tune(self, frequency: float, ppm: float) -> float:
        self.block.set_center_freq(tuned(frequency, ppm), 0)
        return self.block.get_center_freq(0) - tuned(frequency, ppm)

    def set_bandwidth(self, bandwidth: float) -> None:
        self._call(lambda: self.block.set_bandwidth(float(bandwidth), 0))

    def set_antenna(self, antenna: str) -> None:
        self._call(lambda: self.block.set_antenna(antenna, 0))


class _Zmq(Device):
    """Another process. The sink is paced by a throttle, and binds; the source connects."""

    def __init__(self, settings: RadioSettings, side: str) -> None:
        super().__init__(settings, side)
        if side == SOURCE:
            self.chain = [listener(_subscription(settings), settings.sample_rate)]
            return
        publisher = _publisher(settings)
        # Messages of one size, so that the queue, which counts messages, is bounded in samples.
        publisher.set_output_multiple(ZMQ_SAMPLES)
        publisher.set_max_noutput_items(ZMQ_SAMPLES)
        self.chain = [blocks.throttle(gr.sizeof_gr_complex, settings.sample_rate), publisher]


def _subscription(settings: RadioSettings) -> ZmqFeed:
    """The socket of a source, which is tried once: the other end need not be there, but the address must be
    possible.
    """
    feed = ZmqFeed(settings.parsed.target)
    feed.open()
    feed.close()
    return feed


def _publisher(settings: RadioSettings) -> gr.basic_block:
    """The socket of a sink."""
    endpoint = bindable(settings.parsed.target, f"radio {settings.address}")
    if "[" in endpoint:
        raise HscError(f"radio {settings.address}: GNU Radio's ZeroMQ binds no IPv6; {BIND_REMEDY}")
    for again in (True, False):
        try:
            return zeromq.pub_sink(gr.sizeof_gr_complex, 1, endpoint, hwm=ZMQ_QUEUE)
        except RuntimeError as error:
            if not again:
                taken = "give a free port, is another transmitter running?"
                remedy = taken if "in use" in str(error) else BIND_REMEDY
                raise HscError(f"radio {settings.address}: {error}; {remedy}") from error
            gc.collect()  # a flowgraph that nobody uses any more holds its socket until it is collected
    raise AssertionError


@lru_cache(maxsize=1)
def _pipe() -> Pipe:
    return Pipe()


class _Simulated(Device):
    """Sink and source of one process, the channel is at the source: noise of variance 10^(-snr/10), CFO [Hz],
    clock offset [ppm].
    """

    def __init__(self, settings: RadioSettings, side: str) -> None:
        super().__init__(settings, side)
        if side == SINK:
            self.chain = [blocks.throttle(gr.sizeof_gr_complex, settings.sample_rate), pipe_sink(_pipe())]
            return
        numbers = simulation(settings.parsed)
        offset = numbers["cfo"] / settings.sample_rate
        noise = 10 ** (-numbers["snr"] / 20)
        channel = channels.channel_model(
            noise, offset, 1 + numbers["ppm"] * 1e-6, [1.0], numbers["seed"], True
        )
        self.chain = [listener(_pipe(), settings.sample_rate), channel]


class _File(Device):
    """A SigMF recording. A source ends with it, and reads it again in the next run; a sink makes it."""

    def __init__(self, settings: RadioSettings, side: str) -> None:
        super().__init__(settings, side)
        address = settings.parsed
        meta, speed = Path(address.target), float(address.options["speed"])
        if side == SINK:
            writer = RecordingWriter(meta, "cf32_le", settings.sample_rate, settings.frequency, "transmitter")
            self.tells = sample_file_sink(writer)
            self.chain = [blocks.throttle(gr.sizeof_gr_complex, settings.sample_rate), self.tells]
            return
        recorded = describe(meta)
        self.sample_rate, self.captures = recorded.sample_rate or settings.sample_rate, recorded.captures
        self.tells = sample_file_source(recorded)
        self.chain = [self.tells]
        if speed:
            self.chain.append(blocks.throttle(gr.sizeof_gr_complex, self.sample_rate * speed))


_KINDS = {"soapy": _Soapy, "uhd": _Uhd, "zmq": _Zmq, "sim": _Simulated, "file": _File}


def make_device(settings: RadioSettings, side: str) -> Device:
    """The radio of these settings. `uhd` goes through SoapyUHD where gr-uhd is not installed. Raises HscError
    when it cannot be opened.
    """
    kind = _KINDS[settings.parsed.scheme]
    if kind is _Uhd:
        try:
            from gnuradio import uhd  # noqa: F401
        except ImportError:
            address = f"soapy:driver=uhd,{settings.parsed.target}".rstrip(",")
            return _Soapy(replace(settings, address=address), side)
    return kind(settings, side)
