"""`channel`: a channel between two processes. What a transmitter sends over ZeroMQ goes on to receivers with
echoes, fading, offsets and noise.

    Radio Source (zmq) - Channel Emulator - zmq

The source goes on with silence where the transmitter is not there. The transmitter's sample clock paces it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gnuradio import gr

from ..blocks.channel_emulator import channel_emulator
from ..blocks.radio.devices import SINK, make_device
from ..blocks.radio.ends import radio_source
from ..errors import HscError
from ..radio.addresses import RadioSettings
from ..radio.impairments import Impairments
from . import live

# Pace of the sink over the nominal sample rate: that of the transmitter holds.
_HASTE = 1.05


@dataclass(frozen=True)
class Emulation:
    """A channel and its ends. `source`, `target`: `zmq:` addresses, of the transmitter and for receivers.

    Raises:
        HscError: an address is of no use here, or both are the same.
    """

    source: str
    target: str
    impairments: Impairments

    def __post_init__(self) -> None:
        for address in (self.source, self.target):
            if self.radio(address).parsed.scheme != "zmq":
                raise HscError(
                    f"'{address}' is no end of a channel: give zmq:tcp://host:port or zmq:ipc:///path"
                )
        if self.source == self.target:
            raise HscError(f"both ends of the channel are {self.source}: give two")

    def radio(self, address: str, pace: float = 1.0) -> RadioSettings:
        """An end at `pace` times the sample rate."""
        return RadioSettings(address, sample_rate=pace * self.impairments.sample_rate)


class channel_flowgraph(gr.top_block):  # noqa: N801
    """The channel between two processes. Raises HscError for impossible taps or an address that is in use."""

    def __init__(self, emulation: Emulation) -> None:
        gr.top_block.__init__(self, "gr-hsc channel", catch_exceptions=True)
        self.source = radio_source(emulation.source, sample_rate=emulation.impairments.sample_rate)
        self.channel = channel_emulator(emulation.impairments)
        self.sink = make_device(emulation.radio(emulation.target, _HASTE), SINK)
        self.connect(self.source, self.channel, *self.sink.chain)

    def status(self) -> str:
        """The live line."""
        heard = "transmitter heard" if self.source.device.block.hears else "no transmitter"
        lost = self.source.counters["lost"] / self.source.sample_rate
        return f"channel: {heard}, {lost:.1f} s of samples lost"


def emulate(emulation: Emulation) -> int:
    """Run the channel until Ctrl-C; a live line on a terminal. Returns the exit status."""
    gr.logging().set_default_level(gr.log_levels.off)  # it writes to stdout
    does = emulation.impairments
    noise = "no noise" if does.snr_db is None else f"{does.snr_db:g} dB"
    ends = f"{emulation.source} to {emulation.target}"
    with live.Display() as display:
        flowgraph = channel_flowgraph(emulation)
        display.line(f"channel: {ends}, {does.sample_rate / 1e6:g} MS/s, {noise}")
        live.run(flowgraph, lambda: display.status(flowgraph.status()))
        display.line(f"channel: {flowgraph.source.counters['samples'] / 1e6:.1f} million samples")
    return 0
