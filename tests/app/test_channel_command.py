"""`channel` between two real ends that die and come back, and what it refuses."""

import time

import pytest
from gnuradio import blocks, gr, hsc
from gnuradio.hsc.app.channel import Emulation, channel_flowgraph
from gnuradio.hsc.bench.over_the_air import addresses
from gnuradio.hsc.bench.processes import commands
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.radio.impairments import Impairments

RATE = 500e3
PATIENCE = 60  # s


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("sim", "zmq:tcp://127.0.0.1:5556", "zmq:tcp"),
        ("zmq:tcp://127.0.0.1:5555", "file:a.sigmf-meta", "zmq:tcp"),
        ("zmq:tcp://127.0.0.1:5555", "zmq:tcp://127.0.0.1:5555", "give two"),
    ],
)
def test_ends_of_no_use_are_refused_in_a_line(source, target, says):
    with pytest.raises(HscError, match=says) as refused:
        Emulation(source, target, Impairments(RATE))
    assert "\n" not in str(refused.value)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Tone(gr.top_block):
    def __init__(self, address):
        super().__init__()
        self.radio = hsc.radio_sink(address, sample_rate=RATE)
        self.connect(blocks.vector_source_c([1.0 + 0j] * 1000, True), self.radio)


class Ears(gr.top_block):
    def __init__(self, address):
        super().__init__()
        self.radio = hsc.radio_source(address, sample_rate=RATE)
        self.power, self.last = blocks.complex_to_mag_squared(), blocks.probe_signal_f()
        self.connect(self.radio, self.power, blocks.moving_average_ff(1000, 1e-3), self.last)
        self.connect(self.power, blocks.null_sink(gr.sizeof_float))

    def hears(self, low, high):
        return low < self.last.level() < high


def run(graph):
    graph.start()
    return graph


def end(graph):
    graph.stop()
    graph.wait()


def test_ends_come_and_go_in_any_order():
    first, second = addresses(2)
    ears = run(Ears(second))
    channel = run(channel_flowgraph(Emulation(first, second, Impairments(RATE, 10.0))))
    wait_for(lambda: ears.hears(0.05, 0.2))  # noise only: no transmitter yet
    for _ in range(2):
        tone = run(Tone(first))
        wait_for(lambda: ears.hears(0.9, 1.3))
        end(tone)
        del tone
        wait_for(lambda: ears.hears(0.05, 0.2))
    tone = run(Tone(first))
    end(ears)
    ears = run(Ears(second))
    wait_for(lambda: ears.hears(0.9, 1.3))
    end(channel)
    del channel
    wait_for(lambda: ears.hears(-1, 0.01))  # silence: the channel has gone
    with commands() as start:
        process = start("channel", "--in", first, "--out", second, "--rate", "500k", "--snr", 10)
        wait_for(lambda: ears.hears(0.9, 1.3))
        assert process.end() == 0
        assert "million samples" in process.last
    end(ears)
    end(tone)
