"""Running flowgraphs, and what stands between their transmitters and receivers."""

import threading

import numpy as np
import pytest
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import MessageBlock

from .waiting import PATIENCE


def run(top):
    """Run a flowgraph that must end by itself; on a hang the test fails instead of waiting for ever."""
    thread = threading.Thread(target=top.run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        top.stop()
        pytest.fail("the flowgraph did not end")


def between(top):
    """Connections of a flowgraph of parts, from its modulators to its demodulators."""
    (analog, digital), (from_analog, from_digital) = top.modulators, top.demodulators
    return (
        (analog, "symbols", top.mux, "analog"),
        (digital, "symbols", top.mux, "digital"),
        (top.mux, "packets", top.channel, "in"),
        (top.channel, "out", top.demux, "packets"),
        (top.demux, "analog", from_analog, "symbols"),
        (top.demux, "digital", from_digital, "symbols"),
    )


def silence(shape):
    return np.zeros(shape, np.complex64)


class Eraser(MessageBlock):
    """Turns packets into received ones without noise, and loses the analog or the digital symbols of every
    packet.
    """

    def __init__(self, analog):
        super().__init__("Eraser")
        self.open_ports({"in": {pdu.Packet: self._packet}}, ("out",))
        self.analog = analog

    def _packet(self, p):
        edge = p.header.slices()[0].stop - p.header.slices()[0].start
        variance = np.full(len(p.symbols), 1e-6, np.float32)
        variance[:edge] = np.inf if self.analog else 1e-6
        variance[edge:] = 1e-6 if self.analog else np.inf
        self.publish("out", pdu.ReceivedPacket(p.header, p.symbols, variance))
