"""Radio Sink and Radio Source: addresses, levels, clocks, and every radio that needs no radio. Drivers:
test_hscloop.py.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pmt
import pytest
import sigmf
from gnuradio import blocks, gr, hsc
from gnuradio.hsc.blocks import pdu, pdu_base
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.blocks.radio import devices, driver_messages, listener, monitor
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import ofdm
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.packets import Packet
from gnuradio.hsc.radio.addresses import PRESETS, ZMQ_QUEUE, ZMQ_SAMPLES, Address, RadioSettings, parse, tuned
from gnuradio.hsc.radio.meters import (
    LevelMeter,
    SampleClock,
    amplitude,
    crest_db,
    ofdm_crest_db,
    sink_amplitude,
)
from gnuradio.hsc.radio.reader import FORMATS, SampleReader, describe, time_of
from hypothesis import given, settings
from hypothesis import strategies as st
from support.processes import free_address
from support.waiting import PATIENCE, wait_for

RATE = 500e3


# ---- addresses and settings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("soapy:driver=hackrf", Address("soapy", "driver=hackrf", {"driver": "hackrf"})),
        (
            "soapy: driver = lime , serial=1",
            Address("soapy", "driver = lime , serial=1", {"driver": "lime", "serial": "1"}),
        ),
        ("uhd:type=b200", Address("uhd", "type=b200", {"type": "b200"})),
        ("uhd:", Address("uhd", "", {})),
        ("zmq:tcp://127.0.0.1:5555", Address("zmq", "tcp://127.0.0.1:5555")),
        ("zmq:tcp://[::1]:5555", Address("zmq", "tcp://[::1]:5555")),
        ("zmq:ipc:///tmp/air", Address("zmq", "ipc:///tmp/air")),
        ("file:a,b.sigmf-meta", Address("file", "a,b.sigmf-meta", {"speed": "1.0"})),
        ("file:/x.sigmf-meta,speed=0", Address("file", "/x.sigmf-meta", {"speed": "0.0"})),
        ("sim", Address("sim", "", {})),
        ("sim:snr=5,cfo=-1e3", Address("sim", "snr=5,cfo=-1e3", {"snr": "5.0", "cfo": "-1000.0"})),
    ],
)
def test_addresses(text, address):
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give soapy:driver"),
        ("hackrf", "give soapy:driver"),
        ("soapy:", "name the driver"),
        ("soapy:serial=1", "name the driver"),
        ("soapy:driver=", "name the driver"),
        ("soapy:hackrf", "name=value"),
        ("zmq:127.0.0.1:5555", "zmq:tcp://host:port"),
        ("zmq:tcp://host", "zmq:tcp://host:port"),
        ("zmq:tcp://host:70000", "zmq:tcp://host:port"),
        ("zmq:tcp://:5555", "zmq:tcp://host:port"),
        ("zmq:udp://host:5555", "zmq:tcp://host:port"),
        ("file:capture.wav", ".sigmf-meta"),
        ("file:capture.sigmf", "unpack"),
        ("file:all.sigmf-collection", "one .sigmf-meta file"),
        ("file:x.sigmf-meta,speed=fast", "speed=fast"),
        ("sim:noise=3", "unknown noise"),
        ("sim:snr=nan", "snr=nan"),
        ("sim:snr=1e9", "out of range"),
        ("s\nim", "printable"),
        ("x" * 5000, "1024"),
    ],
)
def test_what_is_no_address_is_refused_in_a_line(text, says):
    with pytest.raises(HscError) as refused:
        parse(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.tuples(
            st.sampled_from(["soapy", "uhd", "zmq", "file", "sim"]), st.text(" =,:/.\x00aé1", max_size=30)
        ).map(":".join),
    )
)
def test_any_text_is_parsed_or_refused(text):
    try:
        assert parse(text).scheme in text
    except HscError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate": 0.0},
        {"sample_rate": float("nan")},
        {"address": "soapy:driver=hackrf", "sample_rate": 1e6, "frequency": 433e6},
        {"address": "soapy:driver=hackrf", "sample_rate": 2e6, "frequency": 433e6, "gain": 200},
        {"address": "uhd:type=b200", "frequency": 1e6},
        {"frequency": -1.0},
        {"ppm": 1e6},
        {"bandwidth": -1.0},
        {"back_off_db": -3.0},
        {"sample_rate": "fast"},
    ],
)
def test_impossible_settings_are_refused_in_a_line(change):
    with pytest.raises(HscError, match="out of range, give") as refused:
        RadioSettings(**{"address": "sim", **change})
    assert "\n" not in str(refused.value)


def test_the_table_agrees_with_itself():
    drivers = [driver for preset in PRESETS for driver in preset.drivers]
    assert len(drivers) == len(set(drivers))
    assert {preset.name for preset in PRESETS} == {
        "USRP B2xx",
        "HackRF One",
        "PlutoSDR",
        "LimeSDR",
        "bladeRF",
    }
    for preset in PRESETS:
        for low, high, default in (preset.rx_gain, preset.tx_gain):
            assert low <= default <= high
        rate = max(1e6, preset.sample_rates[0])
        kind = ",type=b200" if "uhd" in preset.drivers else ""
        made = RadioSettings(f"soapy:driver={preset.drivers[0]}{kind}", 1e9, rate, gain=preset.rx_gain[2])
        assert made.preset is preset
    assert RadioSettings("soapy:driver=thing", 1e9).preset.name == "radio"
    assert RadioSettings("uhd:type=x300", 1e9, 50e6).preset.name == "radio"
    assert RadioSettings("uhd:type=b200,serial=1", 1e9).preset.name == "USRP B2xx"


@pytest.mark.parametrize(
    "address", ["uhd:", "uhd:addr=192.168.10.2", "uhd:serial=1", "uhd:name=x", "soapy:driver=uhd,serial=1"]
)
def test_a_usrp_of_unknown_type_is_held_to_the_limits_of_none(address):
    assert RadioSettings(address, 14.07e6, 200e3, gain=31.5).preset.name == "radio"


def test_ppm_is_undone_by_tuning():
    assert tuned(1e9, 10.0) * (1 + 10e-6) == pytest.approx(1e9, abs=1e-3)


# ---- drivers, without one


class Driver:
    """What a device asks of gr-soapy's blocks, and what it told them."""

    def __init__(self, correction=False):
        self.told, self._correction = {}, correction

    def has_frequency_correction(self, _):
        return self._correction

    def get_sample_rate(self, _):
        return min(self.told["set_sample_rate"], 10e6)

    def get_frequency(self, _):
        return max(self.told["set_frequency"], 400e6)

    def has_gain_mode(self, _):
        return False

    def get_gain_range(self, _):
        return type("Range", (), {"minimum": lambda _: 0.0, "maximum": lambda _: 35.0})()

    def __getattr__(self, name):
        return lambda *values: self.told.__setitem__(name, values[-1])


@pytest.fixture
def driver(monkeypatch):
    made = Driver()
    monkeypatch.setattr(devices._Soapy, "open", lambda *_: made)
    return made


def test_settings_reach_the_driver(driver):
    device = devices.make_device(
        RadioSettings("soapy:driver=lime", 433e6, 2e6, None, "LNAW", 1.5e6, 20.0), devices.SOURCE
    )
    assert driver.told["set_sample_rate"] == 2e6
    assert driver.told["set_gain"] == 35  # the preset's 40, as far as this one goes
    assert driver.told["set_antenna"] == "LNAW"
    assert driver.told["set_bandwidth"] == 1.5e6
    assert driver.told["set_frequency"] == pytest.approx(433e6 / (1 + 20e-6))
    driver._correction = True
    device.set_frequency(868e6, 5.0)
    assert driver.told["set_frequency"] == 868e6
    assert driver.told["set_frequency_correction"] == 5.0
    with pytest.raises(HscError, match="does not tune to 3e\\+08 Hz, it is \\+1e\\+08 Hz off"):
        device.set_frequency(300e6, 0.0)
    with pytest.raises(HscError, match="gain 36 dB is out of range, give 0 to 35"):
        device.set_gain(36)


def test_a_rate_that_the_radio_does_not_have_is_refused(driver):
    with pytest.raises(HscError, match=r"no rate of 2e\+07 samples/s, the nearest is 1e\+07"):
        devices.make_device(RadioSettings("soapy:driver=lime", 433e6, 20e6), devices.SINK)


def test_half_duplex_is_one_side_only(driver):
    hackrf = RadioSettings("soapy:driver=hackrf", 433e6, 2e6)
    source = devices.make_device(hackrf, devices.SOURCE)
    with pytest.raises(HscError, match="HackRF One is half duplex"):
        devices.make_device(hackrf, devices.SINK)
    other = RadioSettings("soapy:driver=hackrf,serial=2", 433e6, 2e6)
    assert devices.make_device(other, devices.SINK)
    del source
    assert devices.make_device(hackrf, devices.SINK)


@pytest.mark.parametrize(
    ("thrown", "told"),
    [
        ("LookupError:\n  no device", "LookupError: no device"),
        (
            "LookupError: KeyError: No devices found for ----->\nDevice Address:\n",
            "no such radio is connected",
        ),
        ("SoapySDR::Device::make() no match", "no such radio is connected"),
    ],
)
def test_a_driver_that_throws_is_one_line(monkeypatch, thrown, told):
    def throw(*_):
        raise RuntimeError(thrown)

    monkeypatch.setattr(devices._Soapy, "open", throw)
    with pytest.raises(HscError, match=rf"soapy:driver=lime: {told} \(./gr-hsc doctor") as refused:
        devices.make_device(RadioSettings("soapy:driver=lime", 433e6, 2e6), devices.SINK)
    assert "\n" not in str(refused.value)


# ---- levels


def burst(symbols, numerology):
    header = Header(codec=1, message_id=0, index=0, count=1, shape=(28, 28, 1), analog_symbols=len(symbols))
    return ofdm.modulate(Packet(header, symbols.astype(np.complex64)), ofdm.preset(numerology))


def kinds_of_symbols(count, rng):
    normal = (rng.standard_normal((count, 2)) @ [1, 1j]) / np.sqrt(2)
    heavy = (rng.laplace(size=(count, 2)) @ [1, 1j]) / 2
    square = (rng.choice([-3, -1, 1, 3], (count, 2)) @ [1, 1j]) / np.sqrt(10)
    return {"gaussian": normal, "laplace": heavy, "16QAM": square}


@pytest.mark.parametrize("numerology", list(ofdm.PRESETS))
def test_the_measured_back_off_lets_hardly_any_sample_clip(numerology):
    scale = sink_amplitude(RadioSettings("soapy:driver=plutosdr", 433e6))
    for name, symbols in kinds_of_symbols(100_000, np.random.default_rng(7)).items():
        samples = scale * burst(symbols, numerology)
        peaks = np.maximum(np.abs(samples.real), np.abs(samples.imag))
        assert np.mean(peaks >= 1) < 1e-4, name
        assert np.mean(peaks >= 0.6) > 1e-5, name  # and no level is given away
    # a Gaussian part exceeds 1 with probability erfc(1/sigma): both together 1e-5 at 10.2 dB
    assert ofdm_crest_db() == pytest.approx(10.2, abs=0.6)


def test_back_off_is_the_mean_power_of_a_burst():
    payload = burst(kinds_of_symbols(100_000, np.random.default_rng(1))["gaussian"], "ofdm256")
    power = np.mean(np.abs(amplitude(12.0) * payload[payload != 0]) ** 2)
    assert 10 * np.log10(power) == pytest.approx(-12, abs=0.1)
    assert sink_amplitude(RadioSettings("sim")) == 1
    assert sink_amplitude(RadioSettings("sim", back_off_db=12.0)) == amplitude(12.0)
    hackrf = sink_amplitude(RadioSettings("soapy:driver=hackrf", 433e6, 2e6))
    assert 20 * np.log10(
        sink_amplitude(RadioSettings("soapy:driver=plutosdr", 433e6)) / hackrf
    ) == pytest.approx(1.0)


def test_crest_of_known_samples():
    assert crest_db(np.array([0, 1, -1, 1j], np.complex64), 0.0) == pytest.approx(0)
    assert crest_db(np.exp(0.25j * np.pi * np.ones(10)).astype(np.complex64), 0.0) == pytest.approx(
        -3.01, abs=0.01
    )
    with pytest.raises(HscError):
        crest_db(np.zeros(4, np.complex64), 0.0)


def test_level_meter():
    meter = LevelMeter(1.0)
    assert meter.read() == (None, None)
    meter.push(np.array([0.5, -0.5, 0, 0.5j], np.complex64))
    meter.push(np.zeros(0, np.complex64))
    assert meter.read() == pytest.approx((-6.02, -6.02), abs=0.01)  # zeros do not count
    meter.push(np.array([1.0, 0.1 - 1.2j, 0.9 + 0.9j], np.complex64))
    assert (meter.samples, meter.clipped) == (7, 2)
    meter.read()
    meter.push(np.array([np.nan, np.inf, 0.5, 1e30], np.complex64))
    assert (meter.samples, meter.clipped) == (11, 5)
    assert meter.read() == pytest.approx((-6.02, -6.02), abs=0.01)
    endless = LevelMeter(np.inf)
    endless.push(np.array([5.0, 1e30], np.complex64))
    assert endless.clipped == 0


def clocked(counts, rate=1e6, step=0.05):
    """Samples lost by the clock, told `counts` [s] at every step."""
    clock = SampleClock(rate)
    for i, seconds in enumerate(counts):
        clock.update(100 + i * step, round(rate * seconds))
    return clock.lost / rate


def test_sample_clock_counts_what_is_missing():
    rng = np.random.default_rng(1)
    t = np.arange(0, 20, 0.05)
    late = rng.uniform(0, 0.3, len(t)) * (
        rng.random(len(t)) < 0.9
    )  # buffers hold some back, now and then nothing
    assert clocked(t - late) == 0
    assert clocked((t - late) * (1 + 80e-6)) == 0
    assert clocked((t - late) * (1 - 80e-6)) == 0
    assert clocked(t - 0.1 * (t > 5) - late) == pytest.approx(0.1, abs=0.02)
    assert clocked(t - 0.1 * (t > 5) - 0.25 * (t > 12) - late) == pytest.approx(0.35, abs=0.04)
    assert clocked(np.maximum(t - 3, 0) - late * (t > 3)) == 0  # it counts from the first sample
    assert clocked(t - 3 * (t > 5) * (t < 12)) == 0  # late, but all of it comes
    assert clocked(0.99 * t) == pytest.approx(
        0.01 * 20, rel=0.3
    )  # a sample rate that is not the one asked for


# ---- what drivers write


def test_marks_of_drivers_are_counted_and_everything_else_goes_on():
    messages = driver_messages.DriverMessages()
    assert messages.take(b"sOsOsU") == b""
    assert messages.take(b"OOOU") == b""
    assert messages.take(b"[INFO] USO\n") == b"[INFO] USO\n"
    assert messages.take(b"[WARNING] late\nsOsO") == b"[WARNING] late\n"
    assert messages.take(b"sO[INFO] so what\n") == b"[INFO] so what\n"
    assert messages.counts == Counter(overruns=8, underruns=2)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_passed_on_but_for_marks(chunk):
    rest = driver_messages.DriverMessages().take(chunk)
    assert rest == chunk or len(rest) < len(chunk)


def test_the_error_stream_is_given_back(capfd):
    messages = driver_messages.DriverMessages()
    for _ in range(3):
        messages.hold()
        messages.hold()
        os.write(2, b"sO")
        wait_for(lambda: messages.counts["overruns"])
        os.write(2, b"a line\n")
        messages.release()
        messages.release()
        messages.counts.clear()
        os.write(2, b"sO")
    assert capfd.readouterr().err == "a line\nsO" * 3
    assert not messages.counts


# ---- flowgraphs


class Ramp(gr.top_block):
    """Transmits 1, 2 … 100 000, over and over."""

    def __init__(self, address, rate=RATE):
        super().__init__()
        self.radio = hsc.radio_sink(address, sample_rate=rate)
        self.connect(
            blocks.vector_source_c(np.arange(1, 100_001).astype(np.complex64).tolist(), True), self.radio
        )


class Statuses(MessageBlock):
    def __init__(self):
        super().__init__("Statuses")
        self.radio, self.ended = [], False
        self.open_ports({"in": {pdu.RadioStatus: self.radio.append}}, ())

    def on_end(self):
        self.ended = True


class Ears(gr.top_block):
    """Keeps every sample."""

    def __init__(self, address, rate=RATE):
        super().__init__()
        self.radio, self.kept, self.statuses = (
            hsc.radio_source(address, sample_rate=rate),
            blocks.vector_sink_c(),
            Statuses(),
        )
        self.connect(self.radio, self.kept)
        self.msg_connect((self.radio, "radio"), (self.statuses, "in"))

    def samples(self):
        return np.array(self.kept.data(), np.complex64)

    def hears(self):
        self.kept.reset()
        wait_for(lambda: np.any(self.samples()))


def run(graph):
    graph.start()
    return graph


def end(graph):
    graph.stop()
    graph.wait()


@pytest.mark.parametrize("kind", ["zmq", "sim"])
def test_samples_arrive_in_order_and_in_real_time(kind):
    address = free_address() if kind == "zmq" else "sim:snr=200"
    ears, ramp = run(Ears(address)), run(Ramp(address))
    try:
        ears.hears()
        began = time.monotonic()
        ears.kept.reset()
        wait_for(lambda: len(ears.kept.data()) > RATE)
        seconds = time.monotonic() - began
        samples = ears.samples()
        wait_for(lambda: len(ears.statuses.radio) > 1)
    finally:
        end(ramp)
        end(ears)
    assert seconds > 0.5  # not faster than real time, but for what was buffered
    ramp_of = np.round(samples.real[np.flatnonzero(samples)]).astype(int)
    assert np.all(np.isin(np.diff(ramp_of), (1, 1 - 100_000)))
    last = ears.statuses.radio[-1]
    assert (last.side, last.address, last.sample_rate, last.clipped, last.failure) == (
        "source",
        address,
        RATE,
        0,
        None,
    )
    assert RATE / 2 < last.samples <= ears.radio.counters["samples"]
    assert last.overruns == last.underruns == last.timeouts == 0


def test_either_end_may_come_back():
    address = free_address()
    ears = run(Ears(address))
    for _ in range(3):
        ramp = run(Ramp(address))
        ears.hears()
        end(ramp)
        del ramp  # its socket goes with it
    ramp = run(Ramp(address))
    for _ in range(3):
        end(ears)
        ears = run(Ears(address))
        ears.hears()
    end(ramp)
    end(ears)


def test_a_killed_transmitter_comes_back():
    address = free_address()
    code = "from gnuradio import blocks, gr, zeromq\ntop = gr.top_block()\n"
    code += f"radio = zeromq.pub_sink(gr.sizeof_gr_complex, 1, {address.removeprefix('zmq:')!r})\n"
    code += "clock = blocks.throttle(gr.sizeof_gr_complex, 1e5)\n"
    code += "top.connect(blocks.vector_source_c([1], True), clock, radio)\ntop.run()"
    ears = run(Ears(address))
    try:
        for _ in range(2):
            process = subprocess.Popen([sys.executable, "-c", code])
            try:
                ears.hears()
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
    finally:
        end(ears)


def test_silence_keeps_the_sample_clock():
    ears = run(Ears(free_address()))
    try:
        wait_for(lambda: len(ears.kept.data()) > 0)
        began, count = time.monotonic(), len(ears.kept.data())
        time.sleep(1)
        seconds, count = time.monotonic() - began, len(ears.kept.data()) - count
        wait_for(lambda: ears.statuses.radio)
    finally:
        end(ears)
    assert count == pytest.approx(seconds * RATE, rel=0.3)
    assert not np.any(ears.samples())
    assert ears.statuses.radio[-1].peak_dbfs is None
    assert ears.radio.counters["lost"] == 0


def test_a_receiver_that_does_not_take_its_samples_holds_nobody_up():
    zmq = pytest.importorskip("zmq")
    address, rate = free_address(), 4e6
    with zmq.Context() as context, context.socket(zmq.SUB) as sleeper:
        sleeper.setsockopt(zmq.SUBSCRIBE, b"")
        sleeper.setsockopt(zmq.RCVHWM, ZMQ_QUEUE)
        sleeper.setsockopt(zmq.LINGER, 0)
        sleeper.connect(address.removeprefix("zmq:"))
        ramp = run(Ramp(address, rate))
        try:
            assert sleeper.poll(1000 * PATIENCE)
            wait_for(lambda: ramp.radio.device.moved() > 6 * ZMQ_QUEUE * ZMQ_SAMPLES)
        finally:
            end(ramp)
        waiting = 0
        while sleeper.poll(200):
            assert len(sleeper.recv()) == 8 * ZMQ_SAMPLES
            waiting += 1
    assert waiting < 5 * ZMQ_QUEUE  # both queues, and what is in the sockets


def test_odd_messages_are_left_out():
    zmq = pytest.importorskip("zmq")
    address = free_address()
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        sender.bind(address.removeprefix("zmq:"))
        ears = run(Ears(address))
        try:
            wait_for(lambda: len(ears.kept.data()) > 0)

            def heard():
                for message in (b"", b"1234567", np.ones(100, np.complex64).tobytes(), b"x" * 9):
                    sender.send(message)
                return np.any(ears.samples())

            wait_for(heard)
        finally:
            end(ears)
            sender.close(0)
    assert set(ears.samples().tolist()) == {0, 1}


def test_a_pipe_that_nobody_empties_is_bounded():
    pipe = listener.Pipe()
    pipe.put(np.ones(10, np.complex64))
    assert pipe.get(0) is None  # nobody listened
    pipe.open()
    for i in range(3 * ZMQ_QUEUE):
        pipe.put(np.full(ZMQ_SAMPLES, i, np.complex64))
    pieces = []
    while (piece := pipe.get(0)) is not None:
        pieces.append(piece[0])
    assert len(pieces) == ZMQ_QUEUE
    assert pieces[-1] == 3 * ZMQ_QUEUE - 1
    pipe.close()


def test_what_goes_wrong_is_one_line_each_second(monkeypatch):
    lines, counted = [], dict.fromkeys(("samples", "clipped", "overruns", "underruns", "timeouts", "lost"), 0)
    radio = hsc.radio_source("sim")
    monkeypatch.setattr(
        radio.monitor, "logger", type("Logger", (), {"warn": lambda _, line: lines.append(line)})()
    )
    radio.monitor._told = {}
    for change in (
        {"samples": 1000},
        {"overruns": 3, "lost": 4096},
        {"samples": 9000},
        {"overruns": 4, "lost": 0},
    ):
        counted.update(change)
        radio.monitor._warn(dict(counted))
    assert lines == ["3 overruns, 4096 samples missing (sim)", "1 overruns (sim)"]


def test_an_address_in_use_is_one_line():
    address = free_address()
    ramp = Ramp(address)
    with pytest.raises(HscError, match="is another transmitter running") as refused:
        Ramp(address)
    assert "\n" not in str(refused.value)
    assert ramp.radio.settings.address == address
    with pytest.raises(HscError, match="give the transmitter's machine"):
        hsc.radio_source("zmq:tcp://*:5555")


def test_packets_through_the_simulated_channel():
    class Link(gr.top_block):
        def __init__(self):
            super().__init__()
            self.transmitter = hsc.ofdm_transmitter()
            self.sink, self.source = (
                hsc.radio_sink("sim:snr=15,cfo=2000,ppm=10"),
                hsc.radio_source("sim:snr=15,cfo=2000,ppm=10"),
            )
            self.receiver, self.kept = hsc.ofdm_receiver(), blocks.message_debug()
            self.connect(self.transmitter, self.sink)
            self.connect(self.source, self.receiver)
            self.msg_connect(self.receiver, "packets", self.kept, "store")

        def packets(self):
            kept = [pdu_base.parse(self.kept.get_message(i)) for i in range(self.kept.num_messages())]
            return [p for p in kept if isinstance(p, pdu.ReceivedPacket)]

    link = run(Link())
    rng = np.random.default_rng(1)
    try:
        for number in range(4):
            symbols = np.asarray(kinds_of_symbols(2000, rng)["gaussian"], np.complex64)
            header = Header(
                codec=1, message_id=number, index=0, count=1, shape=(28, 28, 1), analog_symbols=2000
            )
            link.transmitter._post(pmt.intern("packets"), pdu.Packet(header, symbols).to_pdu())
        wait_for(lambda: len(link.packets()) >= 4)
    finally:
        end(link)
    packets = link.packets()
    assert [p.header.message_id for p in packets] == [0, 1, 2, 3]
    assert np.mean([p.snr_db for p in packets]) == pytest.approx(15, abs=0.7)
    assert np.mean([p.cfo for p in packets]) * 1e6 / 64 == pytest.approx(2000, abs=60)


@pytest.mark.parametrize("place", ["localhost", "*", "lo"])
def test_a_transmitter_binds_what_people_call_this_machine(place):
    port = free_address().rpartition(":")[2]
    if place == "lo" and place not in [name for _, name in socket.if_nameindex()]:
        pytest.skip("the loopback interface has another name here")
    ramp, ears = run(Ramp(f"zmq:tcp://{place}:{port}")), run(Ears(f"zmq:tcp://localhost:{port}"))
    try:
        ears.hears()
    finally:
        end(ramp)
        end(ears)


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("tcp://192.0.2.1:5555", "Cannot assign requested address; give an address of this machine"),
        ("tcp://no..host:5555", "there is no host 'no..host'; give an address of this machine"),
        ("ipc:///no/such/folder/air", "give an address of this machine"),
    ],
)
def test_what_cannot_be_bound_is_refused_with_the_right_remedy(endpoint, says):
    for make in (lambda: hsc.radio_sink(f"zmq:{endpoint}"), lambda: hsc.feedback_sender(endpoint)):
        with pytest.raises(HscError, match=says) as refused:
            make()
        assert "\n" not in str(refused.value)


def test_a_receiver_hears_an_ipv6_sender():
    zmq = pytest.importorskip("zmq")
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        sender.setsockopt(zmq.IPV6, True)
        try:
            port = sender.bind_to_random_port("tcp://[::1]")
        except zmq.ZMQError:
            pytest.skip("this machine has no IPv6")
        ears = run(Ears(f"zmq:tcp://[::1]:{port}"))
        try:

            def heard():
                sender.send(np.ones(100, np.complex64).tobytes())
                return np.any(ears.samples())

            wait_for(heard)
        finally:
            end(ears)
            sender.close(0)


def test_ipv6_is_told_from_a_wrong_address():
    with pytest.raises(HscError, match="binds no IPv6"):
        hsc.radio_sink("zmq:tcp://[::1]:5555")


@pytest.mark.parametrize("place", ["localhost", "127.0.0.1"])
def test_the_return_path_is_bound_by_name_too(place):
    port = free_address().rpartition(":")[2]
    sender, receiver = (
        hsc.feedback_sender(f"tcp://{place}:{port}"),
        hsc.feedback_receiver(f"tcp://localhost:{port}"),
    )
    sender.start()
    receiver.start()
    try:

        def heard():
            sender._send(bytes(3))
            return receiver.counters["refused"]

        wait_for(heard)
    finally:
        receiver.stop()
        sender.stop()


# ---- recordings


def recording(folder, datatype="cf32_le", data=b"", captures=None, **about):
    meta = folder / "it.sigmf-meta"
    meta.with_name(about.get("core:dataset", "it.sigmf-data")).write_bytes(data)
    about = {"core:datatype": datatype, "core:sample_rate": 1e5, "core:version": "1.0.0", **about}
    captures = [{"core:sample_start": 0, "core:frequency": 433e6}] if captures is None else captures
    meta.write_text(
        json.dumps(
            {
                "global": {k: v for k, v in about.items() if v is not None},
                "captures": captures,
                "annotations": [],
            }
        )
    )
    return meta


def heard(meta):
    """Its samples through a Radio Source."""
    ears = Ears(f"file:{meta},speed=0")
    ears.run()
    return ears.samples()


@pytest.mark.parametrize("datatype", list(FORMATS))
def test_recordings_of_every_type(tmp_path, datatype):
    """As the reference library reads them."""
    codes = FORMATS[datatype].dtype
    numbers = np.random.default_rng(1).standard_normal(600) * 0.2
    parts = (
        numbers if codes.kind == "f" else np.rint(numbers * FORMATS[datatype].unit + FORMATS[datatype].zero)
    )
    data = parts.astype(codes).tobytes()
    meta = recording(tmp_path, datatype, data + b"\x01")  # a byte too many
    samples = heard(meta)
    assert np.allclose(samples.view(np.float32), numbers, atol=1 / 128)
    meta.with_suffix(".sigmf-data").write_bytes(data)
    assert np.allclose(samples, sigmf.fromfile(str(meta), skip_checksum=True).read_samples(), atol=1e-7)
    found = describe(meta)
    assert (found.sample_rate, found.frequency, found.count) == (1e5, 433e6, 300)


def test_every_run_of_a_flowgraph_reads_a_recording_from_its_first_sample(tmp_path):
    ears = Ears(f"file:{recording(tmp_path, data=np.arange(5000, dtype=np.complex64).tobytes())},speed=0")
    for _ in range(3):
        ears.kept.reset()
        ears.run()
        assert np.array_equal(ears.samples(), np.arange(5000))
    assert ears.statuses.radio[-1].samples == 5000
    assert ears.statuses.ended


BODY = np.arange(1, 11, dtype=np.complex64)


@pytest.mark.parametrize(
    ("captures", "about", "layout"),
    [
        ([], {}, [BODY]),
        ([{"core:sample_start": 0}], {"core:offset": 500}, [BODY]),
        (
            [{"core:sample_start": 500}, {"core:sample_start": 504, "core:header_bytes": 4}],
            {"core:offset": 500},
            [BODY[:4], 4, BODY[4:]],
        ),
        ([{"core:sample_start": 0, "core:header_bytes": 16}], {}, [16, BODY]),
        ([{"core:sample_start": 0, "core:header_bytes": 3}], {}, [3, BODY]),
        ([{"core:sample_start": 3, "core:header_bytes": 5}], {}, [BODY[:3], 5, BODY[3:]]),
        (
            [
                {"core:sample_start": 0, "core:header_bytes": 4},
                {"core:sample_start": 5, "core:header_bytes": 7},
                {"core:sample_start": 8},
            ],
            {"core:dataset": "it.bin", "core:trailing_bytes": 24},
            [4, BODY[:5], 7, BODY[5:], 24],
        ),
        (
            [{"core:sample_start": 0}, {"core:sample_start": 99, "core:header_bytes": 8}],
            {},
            [BODY],
        ),  # cut short
    ],
)
def test_samples_are_found_between_headers(tmp_path, captures, about, layout):
    """`layout`: samples, and numbers of bytes between them."""
    data = b"".join(bytes([255]) * piece if isinstance(piece, int) else piece.tobytes() for piece in layout)
    meta = recording(tmp_path, data=data, captures=captures, **about)
    assert np.array_equal(heard(meta), BODY)
    assert describe(meta).count == len(BODY)


def test_what_the_reference_library_writes_is_read(tmp_path):
    samples = np.exp(0.1j * np.arange(500)).astype(np.complex64)
    samples.tofile(tmp_path / "it.bin")
    about = {"core:datatype": "cf32_le", "core:sample_rate": 2e6, "core:metadata_only": True}
    made = sigmf.SigMFFile(data_file=str(tmp_path / "it.bin"), global_info=about)
    made.add_capture(0, {"core:frequency": 1e9, "core:datetime": "2026-01-01T00:00:00Z"})
    made.add_annotation(100, 50)
    made.tofile(str(tmp_path / "it.sigmf-meta"))
    written = json.loads((tmp_path / "it.sigmf-meta").read_text())
    assert (
        written["global"]["core:dataset"] == "it.bin"
    )  # which is there: `metadata_only` has no meaning then
    found = describe(tmp_path / "it.sigmf-meta")
    assert (found.sample_rate, found.frequency, found.start.year, found.numerology) == (2e6, 1e9, 2026, None)
    assert np.array_equal(heard(tmp_path / "it.sigmf-meta"), samples)


def test_captures_have_times_and_carriers_of_their_own(tmp_path):
    captures = [
        {"core:sample_start": 0, "core:frequency": 433e6, "core:datetime": "2026-03-01T12:00:00Z"},
        {"core:sample_start": 100, "core:global_index": 100_100},
        {
            "core:sample_start": 200,
            "core:frequency": 868e6,
            "core:datetime": "2027-03-01T12:00:00.123456789Z",
        },
    ]
    found = describe(recording(tmp_path, data=bytes(8 * 300), captures=captures))
    assert [c.frequency for c in found.captures] == [433e6, None, 868e6]
    times = [time_of(found.captures, index, found.sample_rate).isoformat() for index in (50, 150, 250)]
    assert times == [
        "2026-03-01T12:00:00.000500+00:00",
        "2026-03-01T12:00:01.001500+00:00",
        "2027-03-01T12:00:00.123956+00:00",
    ]


def test_a_recording_that_does_not_tell_its_rate_has_the_one_that_is_given(tmp_path):
    meta = recording(tmp_path, data=bytes(80), **{"core:sample_rate": None})
    assert describe(meta).sample_rate is None
    assert hsc.radio_source(f"file:{meta}", sample_rate=250e3).sample_rate == 250e3


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path):
    meta = recording(tmp_path, data=bytes(8000))
    ears = Ears(f"file:{meta},speed=0")
    failures = blocks.message_debug()
    ears.msg_connect((ears.radio, "status"), (failures, "store"))
    meta.with_suffix(".sigmf-data").write_bytes(bytes(80))
    ears.run()
    assert "shorter" in pdu_base.parse(failures.get_message(0)).reason


def test_a_sink_writes_a_recording_that_a_source_reads(tmp_path):
    """Once, and again in a second run; never over another."""
    meta = tmp_path / "out.sigmf-meta"
    top = gr.top_block()
    sent = np.arange(1, 5002).astype(np.complex64)
    source, sink = blocks.vector_source_c(sent.tolist()), hsc.radio_sink(f"file:{meta}", 433e6, 1e6)
    top.connect(source, sink)
    assert list(tmp_path.iterdir()) == [], "made when there is something to write"
    for runs in (1, 2):
        source.rewind()
        top.run()
        sigmf.fromfile(str(meta)).validate()
        assert np.array_equal(heard(meta), np.tile(sent, runs))
    found = describe(meta)
    assert (found.sample_rate, found.frequency, [c.sample_start for c in found.captures]) == (
        1e6,
        433e6,
        [0, 5001],
    )
    with pytest.raises(HscError, match="exists: give another name"):
        hsc.radio_sink(f"file:{meta}", 433e6, 1e6)
    assert describe(meta).count == 2 * len(sent)


def test_a_recording_is_paced(tmp_path):
    meta = recording(tmp_path, data=np.ones(100_000, np.complex64).tobytes())
    for speed, least in ((2, 0.3), (0, 0.0)):
        ears, began = Ears(f"file:{meta},speed={speed}"), time.monotonic()
        ears.run()
        assert time.monotonic() - began > least
        assert len(ears.kept.data()) == 100_000


def test_a_recording_that_is_read_slowly_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "SampleClock", functools.partial(SampleClock, window=0.1, slack=0.001))
    meta = recording(tmp_path, data=bytes(8 * 50_000))
    ears = Ears(f"file:{meta},speed=0.5")
    ears.run()
    last = ears.statuses.radio[-1]
    assert (last.samples, last.lost) == (50_000, 0)


@pytest.mark.parametrize(
    ("about", "captures", "says"),
    [
        ({"core:datatype": "rf32_le"}, [], "samples of type 'rf32_le'"),
        ({"core:datatype": "cf32"}, [], "samples of type 'cf32'"),
        ({"core:sample_rate": -1}, [], "impossible"),
        ({"core:num_channels": 2}, [], "2 channels; gr-hsc reads"),
        (
            {"core:extensions": [{"name": "zip", "version": "1", "optional": False}]},
            [],
            "the SigMF extension 'zip'",
        ),
        ({"core:dataset": "../it.bin"}, [], "no name of a file in the same folder"),
        ({"core:dataset": ".."}, [], "is no file"),
        ({"core:metadata_only": True}, [], "metadata only"),
        ({}, [{"core:sample_start": 5}, {"core:sample_start": 4}], "not in the order"),
        ({}, [{"core:header_bytes": -8}], "core:header_bytes is -8"),
        ({}, [{"core:header_bytes": 10**30}], "holds no samples"),
        ({}, [{"hsc:full_scale": 0}], "full scale 0"),
        ({"core:dataset": "none"}, [], "No such file"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, about, captures, says):
    meta = tmp_path / "bad.sigmf-meta"
    meta.write_text(
        json.dumps(
            {"global": {"core:datatype": "cf32_le", "core:sample_rate": 1, **about}, "captures": captures}
        )
    )
    if says != "metadata only":
        meta.with_suffix(".sigmf-data").write_bytes(bytes(64))
    with pytest.raises(HscError, match=says) as refused:
        hsc.radio_source(f"file:{meta}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", '{"global": {}}', "[" * 100_000])
def test_what_is_no_recording_is_refused_in_a_line(tmp_path, text):
    meta = tmp_path / "bad.sigmf-meta"
    meta.write_text(text)
    with pytest.raises(HscError, match="no SigMF") as refused:
        hsc.radio_source(f"file:{meta}")
    assert "\n" not in str(refused.value)
    with pytest.raises(HscError, match="No such file"):
        hsc.radio_source(f"file:{tmp_path}/none.sigmf-meta")


NUMBERS = st.one_of(st.integers(-1, 12), st.integers(), st.floats(), st.sampled_from([None, "1", 2.0]))
KEYS = {
    **dict.fromkeys(("core:sample_rate", "core:num_channels", "core:trailing_bytes", "core:offset"), NUMBERS),
    "core:dataset": st.one_of(
        st.sampled_from(["fuzz.sigmf-data", ".", "", "a/b", "\0"]), st.text(max_size=3), NUMBERS
    ),
    "core:metadata_only": st.booleans(),
    "core:extensions": st.lists(
        st.fixed_dictionaries({"name": st.text(max_size=3), "optional": st.booleans()}), max_size=1
    ),
}
CAPTURE_KEYS = {
    **dict.fromkeys(
        ("core:sample_start", "core:frequency", "core:header_bytes", "core:global_index", "hsc:full_scale"),
        NUMBERS,
    ),
    "core:datetime": st.one_of(st.datetimes().map(str), st.text(max_size=5), NUMBERS),
}  # fmt: skip
values = st.recursive(
    st.one_of(
        st.none(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["cf32_le", "ci16_le"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
LEAST = st.just({"core:datatype": "ci8"})


@settings(max_examples=150, deadline=None)
@given(
    about=st.one_of(
        values, LEAST, st.fixed_dictionaries({"core:datatype": st.sampled_from(list(FORMATS))}, optional=KEYS)
    ),
    captures=st.one_of(values, st.lists(st.fixed_dictionaries({}, optional=CAPTURE_KEYS), max_size=3)),
)
def test_any_metadata_is_read_or_refused(tmp_path_factory, about, captures):
    meta = Path(tmp_path_factory.getbasetemp()) / "fuzz.sigmf-meta"
    meta.with_suffix(".sigmf-data").write_bytes(bytes(64))
    meta.write_text(json.dumps({"global": about, "captures": captures}))
    try:
        found = describe(meta)
    except HscError as error:
        assert "\n" not in str(error)
        return
    assert 0 < found.count <= 32
    assert found.sample_rate is None or found.sample_rate > 0
    samples, reader = np.zeros(40, np.complex64), SampleReader(found)
    assert reader.read_into(samples) == found.count and reader.read_into(samples) == 0
    reader.close()
    time_of(found.captures, found.count, 1.0)
