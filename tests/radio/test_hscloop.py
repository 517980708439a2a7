"""The loop radio, driver=hscloop: what it does to samples, in real time, and what gr-soapy makes of its
faults.
"""

import mmap
import signal
import struct
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import TESTS

pytest.importorskip("gnuradio.soapy")
from gnuradio import analog, blocks, gr, hsc, soapy
from gnuradio.hsc import metrics
from PIL import Image
from support.pixel_codec import NAME, picture, register
from support.waiting import wait_for

RATE = 500e3
TONE = 123e3
LEVEL = 0.5
FREQUENCY = 433e6


@pytest.fixture
def air(hscloop_plugins):
    """A name of the air that nobody else uses."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    Path(f"/dev/shm/hscloop-1-{name}").unlink(missing_ok=True)


def end(kind, air, arguments="", item="fc32", rate=RATE, gain=30.0):
    """One end of the loop as gr-soapy sees it. Ends of one process are told apart by their serial."""
    device = f"driver=hscloop,name={air},serial={kind.__name__},loss=60" + (
        f",{arguments}" if arguments else ""
    )
    block = kind(device, item, 1, "", "", [""], [""])
    block.set_sample_rate(0, rate)
    block.set_frequency(0, FREQUENCY)
    block.set_gain(0, gain)
    return block


class Tone(gr.top_block):
    """Transmits a tone; `quiet` zeros instead."""

    def __init__(self, air, arguments="", item="fc32", tone=TONE, level=LEVEL, gain=30.0):
        super().__init__()
        self.sink = end(soapy.sink, air, arguments, item, gain=gain)
        source = analog.sig_source_c(RATE, analog.GR_COS_WAVE, tone, level)
        if item == "sc16":
            self.connect(source, blocks.complex_to_interleaved_short(True, 32767.0), self.sink)
        else:
            self.connect(source, self.sink)


class Ears(gr.top_block):
    """Receives, and keeps every sample."""

    def __init__(self, air, arguments="", item="fc32", rate=RATE, gain=30.0):
        super().__init__()
        self.source = end(soapy.source, air, arguments, item, rate, gain)
        self.kept = blocks.vector_sink_c()
        if item == "sc16":
            self.connect(self.source, blocks.interleaved_short_to_complex(True, False, 32767.0), self.kept)
        else:
            self.connect(self.source, self.kept)

    def next(self, count):
        """The next `count` samples, complex128."""
        self.kept.reset()
        wait_for(lambda: len(self.kept.data()) >= count)
        return np.array(self.kept.data()[:count])

    def told(self, setting):
        return self.source.read_setting(setting)


@contextmanager
def running(*graphs):
    for graph in graphs:
        graph.start()
    try:
        yield graphs[-1]
    finally:
        began = time.monotonic()
        for graph in graphs:
            graph.stop()
        for graph in graphs:
            graph.wait()
        assert time.monotonic() - began < 10, "a flowgraph did not stop"


def wait_for_tone(ears):
    wait_for(lambda: np.mean(np.abs(ears.next(4096)[2048:])) > LEVEL / 4)


def spectrum(samples, rate=RATE):
    """Frequency of the strongest line [Hz], its amplitude, mean power of everything else in the band."""
    window = np.blackman(len(samples))
    # scaled so that the sum of all lines is the mean power of the samples
    lines = np.abs(np.fft.fft(samples * window)) ** 2 / (len(samples) * np.sum(window**2))
    top = int(lines.argmax())
    around = np.arange(top - 4, top + 5) % len(lines)
    a, b, c = np.log(lines[(top + np.arange(-1, 2)) % len(lines)])
    place = top + 0.5 * (a - c) / (a - 2 * b + c)
    return (
        (place / len(samples) + 0.5) % 1 * rate - rate / 2,
        np.sqrt(lines[around].sum()),
        lines.sum() - lines[around].sum(),
    )


def test_clock_and_carrier_are_off_as_asked(air):
    with running(Tone(air, "ppm=-10"), Ears(air, "ppm=20,cfo=1500")) as ears:
        wait_for_tone(ears)
        frequency, level, _ = spectrum(ears.next(1 << 16))
    assert frequency == pytest.approx((TONE * (1 - 10e-6) - FREQUENCY * 30e-6 - 1500) / (1 + 20e-6), abs=0.2)
    assert level == pytest.approx(LEVEL, rel=0.02)


def test_correction_takes_the_crystals_error_away(air):
    with running(Tone(air), Ears(air, "ppm=20")) as ears:
        ears.source.set_frequency_correction(0, 20.0)
        wait_for_tone(ears)
        assert spectrum(ears.next(1 << 15))[0] == pytest.approx(TONE, abs=0.2)


# The converter's 12 bits leave 67.5 dB; at 0.8 of the band the images of the sinc of 24 taps come up, 58 dB
# with them.
@pytest.mark.parametrize(("tone", "least_db"), [(31e3, 66), (0.4 * RATE, 56.5)])
def test_resampling_leaves_a_tone_clean(air, tone, least_db):
    with running(Tone(air, tone=tone), Ears(air, "ppm=80,cfo=34640")) as ears:
        wait_for_tone(ears)
        _, level, rest = spectrum(ears.next(1 << 16))
    assert 20 * np.log10(level) - 10 * np.log10(rest) > least_db


def test_another_sample_rate(air):
    with running(Tone(air, tone=50e3), Ears(air, rate=200e3)) as ears:
        wait_for_tone(ears)
        frequency, level, rest = spectrum(ears.next(1 << 14), 200e3)
    assert frequency == pytest.approx(50e3, abs=0.5)
    assert level == pytest.approx(LEVEL, rel=0.02)
    assert 20 * np.log10(level) - 10 * np.log10(rest) > 50


def test_snr_is_as_asked(air):
    with running(Tone(air, level=0.2), Ears(air, "snr=12")) as ears:
        wait_for(lambda: spectrum(ears.next(4096))[1] > 0.1)
        _, level, noise = spectrum(ears.next(1 << 16))
    assert 20 * np.log10(level) - 10 * np.log10(noise) == pytest.approx(12, abs=0.3)


def test_echoes_are_as_asked(air):
    with running(Tone(air), Ears(air, "echoes=3:-6/5:-9")) as ears:
        wait_for(lambda: np.mean(np.abs(ears.next(4096))) > 0.01)
        level = spectrum(ears.next(1 << 15))[1]
    gains = 10 ** (-6 / 20), 10 ** (-9 / 20)
    turns = np.exp(-2j * np.pi * TONE / RATE * np.array([3, 5]))
    expected = abs(1 + 1j * gains[0] * turns[0] - gains[1] * turns[1]) / np.sqrt(
        1 + gains[0] ** 2 + gains[1] ** 2
    )
    assert level == pytest.approx(LEVEL * expected, rel=0.02)


def test_gains_add_up_and_full_scale_clips(air):
    with running(Tone(air, gain=20.0, level=0.1), Ears(air, gain=46.0)) as ears:
        wait_for(lambda: np.mean(np.abs(ears.next(4096))) > 0.1)
        assert spectrum(ears.next(1 << 14))[1] == pytest.approx(0.1 * 10 ** (6 / 20), rel=0.02)
        assert ears.told("clipped") == 0
    with running(Tone(air, gain=40.0, level=LEVEL), Ears(air, gain=60.0)) as ears:
        wait_for(lambda: ears.told("clipped") > 1000)
        samples = ears.next(4096)
        assert np.max(np.abs([samples.real, samples.imag])) <= 1.0


def test_integer_samples(air):
    with running(Tone(air, item="sc16"), Ears(air, item="sc16")) as ears:
        wait_for_tone(ears)
        frequency, level, rest = spectrum(ears.next(1 << 15))
    assert frequency == pytest.approx(TONE, abs=0.2)
    assert level == pytest.approx(LEVEL, rel=0.02)
    assert 20 * np.log10(level) - 10 * np.log10(rest) > 50


def test_real_time_without_the_other_end(air):
    tone = Tone(air)
    with running(tone):
        before, began = tone.sink.nitems_read(0), time.monotonic()
        wait_for(lambda: tone.sink.nitems_read(0) - before > RATE)
        assert time.monotonic() - began > 0.7  # its buffer takes a quarter of a second more than real time
    Path(f"/dev/shm/hscloop-1-{air}").unlink()
    with running(Ears(air)) as ears:
        began = time.monotonic()
        samples = ears.next(int(RATE))
        assert time.monotonic() - began > 0.4
    assert not samples.any()
    with running(Ears(air, "snr=10")) as ears:
        assert ears.next(4096).any()


@pytest.mark.parametrize("fault", ["overflow", "timeout", "error"])
def test_a_fault_of_the_receiver_is_told_and_survived(air, fault):
    with running(Tone(air), Ears(air)) as ears:
        for count in (1, 2):
            wait_for_tone(ears)
            ears.source.write_setting("fault", fault)
            wait_for(lambda count=count: ears.told(fault) >= count)
        wait_for_tone(ears)
    if fault == "overflow":
        assert ears.told("lost") >= 2 * 0.009 * RATE


@pytest.mark.parametrize("fault", ["underflow", "timeout", "error"])
def test_a_fault_of_the_transmitter_is_told_and_survived(air, fault):
    tone = Tone(air)
    with running(tone, Ears(air)) as ears:
        wait_for_tone(ears)
        tone.sink.write_setting("fault", fault)
        wait_for(lambda: tone.sink.read_setting(fault) >= 1)
        wait_for_tone(ears)


def test_faults_strike_as_often_as_asked(air):
    with running(Ears(air, "overflow_every=0.1,error_every=0.4")) as ears:
        wait_for(lambda: ears.told("overflow") >= 4 and ears.told("error") >= 2)
        assert ears.told("underflow") == 0


def test_a_receiver_that_cannot_keep_up_overflows(air):
    graph = Ears(air)
    with running(Tone(air), graph):
        began = time.monotonic()
        graph.lock()  # gr-soapy reads nothing meanwhile
        while time.monotonic() - began < 0.9:
            time.sleep(0.1)
        graph.unlock()
        wait_for_tone(graph)


def test_short_reads_lose_nothing(air):
    with running(Tone(air), Ears(air, "short_reads=97")) as ears:
        wait_for_tone(ears)
        _, level, rest = spectrum(ears.next(1 << 15))
    assert 20 * np.log10(level) - 10 * np.log10(rest) > 50  # a sample lost or doubled would spread the tone


def test_a_device_that_disappears(air):
    with running(Tone(air), Ears(air)) as ears:
        wait_for_tone(ears)
        ears.source.write_setting("fault", "vanish")
        wait_for(lambda: ears.told("vanish") == 1)
        with pytest.raises(RuntimeError, match="gone"):
            ears.source.set_gain(0, 10.0)
        count = len(ears.kept.data())
        time.sleep(0.3)
        assert len(ears.kept.data()) <= count + 8192
        ears.source.write_setting("fault", "none")
        wait_for_tone(ears)


@pytest.mark.parametrize(
    "arguments", ["speed=3", "ppm=fast", "ppm=1e9", "fault=fire", "snr=", "echoes=3", "echoes=5:-3/2:-6"]
)
def test_wrong_arguments_are_refused(air, arguments):
    with pytest.raises(RuntimeError, match="hscloop"):
        end(soapy.source, air, arguments)


# ---- two processes

TRANSMIT = f"""
import sys
sys.path[:0] = {[str(TESTS), str(TESTS / "radio")]!r}
import conftest, test_hscloop
graph = getattr(test_hscloop, sys.argv[1])(*sys.argv[2:])
graph.start()
print("on", flush=True)
sys.stdin.read()
"""


@contextmanager
def transmitting_process(kind, *arguments):
    """Runs a flowgraph of this module in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRANSMIT, kind, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"on\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_transmitter_falls_silent_and_its_successor_is_heard(air):
    with running(Ears(air)) as ears:
        for _ in range(2):
            with transmitting_process("Tone", air) as process:
                wait_for_tone(ears)
                process.send_signal(signal.SIGKILL)
                process.wait()
                wait_for(lambda: not ears.next(4096).any())


def test_shared_memory_left_in_any_state_is_taken_over(air):
    path = Path(f"/dev/shm/hscloop-1-{air}")
    with running(Ears(air)):
        pass
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:64] = struct.pack(
            "<8Q", 7, *[0x7FF8_0000_0000_1234] * 7
        )  # killed in the middle of setting its clock
    with running(Ears(air)) as ears:
        assert not ears.next(4096).any()
        tone = Tone(air)
        with running(tone):
            wait_for_tone(ears)


# ---- images, through Radio Sink and Radio Source

IMAGES = 8
IMAGE_RATE = 200e3
PATIENT = "buffer=2.5"  # s, so that a busy machine keeps up


class Sender(gr.top_block):
    """Transmits the images of a folder, over and over, with message ids that count up from 0."""

    def __init__(self, air, folder, arguments=""):
        super().__init__()
        register(pytest.MonkeyPatch())
        self.images = hsc.image_source(folder, repeat=True, in_flight=2, first_id=0)
        self.transmitter = hsc.image_transmitter(NAME)
        self.radio = hsc.radio_sink(address(air, "tx", arguments), FREQUENCY, IMAGE_RATE)
        self.connect(self.transmitter, self.radio)
        self.msg_connect(self.images, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.images, "next")


class Receiver(gr.top_block):
    """Keeps the images that arrive."""

    def __init__(self, air, arguments=""):
        super().__init__()
        self.radio = hsc.radio_source(address(air, "rx", arguments), FREQUENCY, IMAGE_RATE)
        self.receiver, self.sink = hsc.image_receiver(), hsc.image_sink(keep=1 << 16)
        self.connect(self.radio, self.receiver)
        self.msg_connect(self.receiver, "images", self.sink, "images")

    @property
    def images(self):
        return dict(self.sink.images)


def address(air, serial, arguments):
    return f"soapy:driver=hscloop,name={air},serial={serial},{arguments}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    register(monkeypatch)
    for number in range(IMAGES):
        Image.fromarray(picture(40, 48, seed=number)).save(tmp_path / f"image{number}.png")
    return str(tmp_path)


def quality(number, received):
    return metrics.psnr_db(received, picture(40, 48, seed=number % IMAGES))


def test_images_between_two_processes(air, folder):
    receiver = Receiver(air, f"snr=25,ppm=20,cfo=2000,{PATIENT}")
    with transmitting_process("Sender", air, folder, PATIENT), running(receiver):
        wait_for(lambda: len(receiver.images) >= IMAGES)
    images = receiver.images
    first = min(images)
    assert sorted(images) == list(
        range(first, first + len(images))
    )  # from the first one heard on, none is missing
    assert all(quality(number, image) > 20 for number, image in images.items())
    assert receiver.radio.counters["samples"] > 0
    assert receiver.radio.counters["overruns"] == 0
    assert receiver.radio.counters["clipped"] == 0


def test_reception_goes_on_when_the_transmitter_comes_back(air, folder):
    with running(Receiver(air)) as receiver:
        for _ in range(2):
            receiver.sink.images.clear()
            with transmitting_process("Sender", air, folder):
                wait_for(lambda: len(receiver.images) >= 2)


@pytest.mark.parametrize(("fault", "counter"), [("overflow", "overruns"), ("timeout", "timeouts")])
def test_radio_source_counts_a_fault_and_survives_it(air, folder, fault, counter):
    with running(Sender(air, folder), Receiver(air)) as receiver:
        for count in (1, 2):
            receiver.sink.images.clear()
            wait_for(lambda: len(receiver.images) >= 2)
            receiver.radio.device.block.write_setting("fault", fault)
            wait_for(lambda count=count: receiver.radio.counters[counter] >= count)
        receiver.sink.images.clear()
        wait_for(lambda: len(receiver.images) >= 2)
        assert receiver.radio.failure is None


def test_an_error_now_and_then_loses_nothing(air, folder):
    """gr-soapy calls again after an error; one that costs no sample is told by nobody."""
    receiver = Receiver(air, f"error_every=0.2,{PATIENT}")
    with running(Sender(air, folder, f"error_every=0.3,{PATIENT}"), receiver):
        wait_for(lambda: len(receiver.images) >= IMAGES)
        assert receiver.radio.device.block.read_setting("error") > 0
        assert receiver.radio.failure is None
    first = min(receiver.images)
    assert sorted(receiver.images) == list(range(first, first + len(receiver.images)))


def test_radio_sink_counts_underruns_and_survives_them(air, folder):
    sender = Sender(air, folder)
    with running(sender, Receiver(air)) as receiver:
        wait_for(lambda: receiver.images)
        sender.radio.device.block.write_setting("fault", "underflow")
        wait_for(lambda: sender.radio.counters["underruns"] >= 1)
        receiver.sink.images.clear()
        wait_for(lambda: len(receiver.images) >= 2)


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_a_radio_that_disappears_ends_with_one_clear_line(air, folder, side):
    sender, receiver = Sender(air, folder), Receiver(air)
    radio = {"sender": sender, "receiver": receiver}[side].radio
    with running(sender, receiver):
        wait_for(lambda: receiver.images)
        radio.device.block.write_setting("fault", "vanish")
        wait_for(lambda: radio.failure)
        assert "hscloop" in radio.failure
        assert "\n" not in radio.failure
        wait_for(lambda: radio.counters["timeouts"] >= 1)


def test_short_reads_lose_no_image(air, folder):
    with running(Sender(air, folder, PATIENT), Receiver(air, f"short_reads=1000,{PATIENT}")) as receiver:
        wait_for(lambda: len(receiver.images) >= IMAGES)
    first = min(receiver.images)
    assert sorted(receiver.images) == list(range(first, first + len(receiver.images)))


def test_a_gain_that_overdrives_the_receiver_is_counted(air, folder):
    with running(Sender(air, folder), Receiver(air)) as receiver:
        wait_for(lambda: receiver.images)
        assert receiver.radio.counters["clipped"] == 0
        receiver.radio.set_gain(60.0)
        wait_for(lambda: receiver.radio.counters["clipped"] > 100)
