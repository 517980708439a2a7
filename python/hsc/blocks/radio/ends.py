"""Radio Sink and Radio Source: one pair of blocks for every radio, and for what stands in for one. Addresses:
hsc/radio/addresses.py.
"""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import replace

from gnuradio import analog, blocks, gr

from ...radio.addresses import RadioSettings
from ...radio.meters import sink_amplitude
from .devices import SINK, SOURCE, make_device
from .monitor import radio_monitor

_PORTS = ("radio", "status")


class _radio(gr.hier_block2):  # noqa: N801
    """What both sides share. Attributes: settings, sample_rate (a recording has its own), counters."""

    def __init__(self, name: str, settings: RadioSettings, side: str, inputs: int) -> None:
        ports = (
            gr.io_signature(inputs, inputs, gr.sizeof_gr_complex),
            gr.io_signature(1 - inputs, 1 - inputs, gr.sizeof_gr_complex),
        )
        gr.hier_block2.__init__(self, name, *ports)
        self.device = make_device(settings, side)
        self.sample_rate = self.device.sample_rate
        self.settings = replace(settings, sample_rate=self.sample_rate)
        live = self.device.live
        self.monitor = radio_monitor(
            self.settings, side, self.device.block, self.device.moved if live else None, live
        )
        for port in _PORTS:
            self.message_port_register_hier_out(port)
            self.msg_connect((self.monitor, port), (self, port))
        if self.device.tells is not None:
            self.msg_connect((self.device.tells, "status"), (self, "status"))
        # By such a connection a hierarchical block of GNU Radio holds itself for ever, and with it the radio.
        weakref.finalize(self, self._impl.disconnect_all).atexit = False

    @property
    def counters(self) -> Counter[str]:
        """`samples`, `clipped`, `overruns`, `underruns`, `timeouts`, `lost`, `errors` since the start
        (docs/pdu.md).
        """
        return self.monitor.counters

    @property
    def failure(self) -> str | None:
        """One line when the radio has vanished."""
        return self.monitor.failure

    def set_frequency(self, frequency: float) -> None:
        """Carrier [Hz]. Raises HscError when the radio does not reach it."""
        self.settings = replace(self.settings, frequency=frequency)
        self.device.set_frequency(frequency, self.settings.ppm)

    def set_ppm(self, ppm: float) -> None:
        """Crystal's error [ppm]."""
        self.settings = replace(self.settings, ppm=ppm)
        self.device.set_frequency(self.settings.frequency, ppm)

    def set_gain(self, gain: float | None) -> None:
        """Overall gain [dB]; None for the preset's. Raises HscError when the radio has no such gain."""
        self.settings = replace(self.settings, gain=gain)
        self.device.set_gain(gain)

    def set_bandwidth(self, bandwidth: float) -> None:
        """Of the analog filter [Hz]; 0 leaves it as it is."""
        self.settings = replace(self.settings, bandwidth=bandwidth)
        if bandwidth:
            self.device.set_bandwidth(bandwidth)

    def set_antenna(self, antenna: str) -> None:
        """By the driver's name; empty leaves it as it is."""
        self.settings = replace(self.settings, antenna=antenna)
        if antenna:
            self.device.set_antenna(antenna)


class radio_sink(_radio):  # noqa: N801
    """Samples to a radio. Stream in: complex samples as the OFDM Transmitter makes them at amplitude 1.

    A radio with converters gets them `back_off_db` below full scale, limited to it; zmq, file and sim get
    them as they are unless a back-off is given. Message ports: out `radio` (`RadioStatus`, every second) and
    `status` (`Failed`, when the radio has vanished).

    Args: those of `RadioSettings`.

    Raises:
        HscError: impossible settings, or no such radio.
    """

    def __init__(
        self,
        address: str = "sim",
        frequency: float = 0.0,
        sample_rate: float = 1e6,
        gain: float | None = None,
        antenna: str = "",
        bandwidth: float = 0.0,
        ppm: float = 0.0,
        back_off_db: float | None = None,
    ) -> None:
        settings = RadioSettings(address, frequency, sample_rate, gain, antenna, bandwidth, ppm, back_off_db)
        super().__init__("Radio Sink", settings, SINK, 1)
        self.scale = blocks.multiply_const_cc(1.0)
        self.set_back_off_db(back_off_db)
        limit = [] if settings.parsed.floating else _limiter()
        self.connect(self, self.scale, *limit, *self.device.chain)
        self.connect(self.scale, self.monitor)

    def set_back_off_db(self, back_off_db: float | None) -> None:
        """Mean power of the bursts below full scale [dB]; None for what their peaks ask for."""
        self.settings = replace(self.settings, back_off_db=back_off_db)
        self.scale.set_k(sink_amplitude(self.settings))


class radio_source(_radio):  # noqa: N801
    """Samples from a radio. Stream out: complex samples, full scale 1.

    Message ports: out `radio` (`RadioStatus`, every second) and `status` (`Failed`, when the radio has
    vanished; its stream ends then).

    Args: those of `RadioSettings`; `back_off_db` has no meaning here.

    Raises:
        HscError: impossible settings, or no such radio.
    """

    def __init__(
        self,
        address: str = "sim",
        frequency: float = 0.0,
        sample_rate: float = 1e6,
        gain: float | None = None,
        antenna: str = "",
        bandwidth: float = 0.0,
        ppm: float = 0.0,
    ) -> None:
        settings = RadioSettings(address, frequency, sample_rate, gain, antenna, bandwidth, ppm)
        super().__init__("Radio Source", settings, SOURCE, 0)
        self.connect(*self.device.chain, self)
        self.connect(self.device.chain[-1], self.monitor)


def _limiter() -> list[gr.basic_block]:
    """Real and imaginary parts to [-1, 1]: some drivers wrap around beyond. A complex sample is a pair of
    floats.
    """
    return [
        blocks.vector_to_stream(gr.sizeof_float, 2),
        analog.rail_ff(-1.0, 1.0),
        blocks.stream_to_vector(gr.sizeof_float, 2),
    ]
