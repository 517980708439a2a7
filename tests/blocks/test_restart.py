"""Every block gives the same in the second and third run of a flowgraph as in the first, and after lock and
unlock.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial

import numpy as np
import pmt
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import modem
from gnuradio.hsc.blocks import pdu, pdu_base
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy import ofdm
from gnuradio.hsc.phy.packets import ReceivedPacket
from gnuradio.hsc.phy.packets import split as packets_of
from PIL import Image
from support.pixel_codec import NAME, picture, register
from support.watched import Watched, ports

LIMIT = 20.0  # s, for what must come
QUIET = 0.15  # s without anything new
FIRST_ID = 7
VOLATILE = ("seconds", "began")  # of a PDU: how long something took, when it happened


@pytest.fixture(autouse=True)
def _pixel_codec(monkeypatch):
    register(monkeypatch)


class Samples(gr.sync_block):
    """The same samples at the beginning of every run, then zeros."""

    def __init__(self, samples):
        gr.sync_block.__init__(self, name="samples", in_sig=None, out_sig=[np.complex64])
        self._samples = np.concatenate([samples, np.zeros(1 << 17)]).astype(np.complex64)

    def start(self):
        self._position = 0
        return True

    def work(self, _, output_items):
        count = min(len(output_items[0]), len(self._samples) - self._position)
        output_items[0][:count] = self._samples[self._position : self._position + count]
        self._position += count
        return count


class Kept(gr.sync_block):
    """Keeps what is not zero."""

    def __init__(self):
        gr.sync_block.__init__(self, name="kept", in_sig=[np.complex64], out_sig=None)
        self.samples = []

    def work(self, input_items, _):
        self.samples += [input_items[0][input_items[0] != 0].copy()]
        return len(input_items[0])


class Probe(MessageBlock):
    """Sends PDUs to the ports of a block, and keeps what comes back."""

    def __init__(self):
        super().__init__("Probe")
        self.open_ports({"in": {}}, tuple(f"out{i}" for i in range(8)))
        self.got = []

    def _guard(self, port, handlers, message):
        with suppress(HscError):  # an OFDM Receiver's port `symbols` has PDUs for GNU Radio's own blocks
            self.got.append(pdu_base.parse(message))


@dataclass(frozen=True)
class Case:
    """What a block is given in each run, and what is looked at.

    Attributes:
        make: the block, or several that are connected to each other; ports are those of the first, results
            those of the last.
        messages: port and PDU.
        samples: for its stream input.
        seen: what else the block shows after a run.
        skip: fields of PDUs that differ for a good reason.
        outputs: message ports of a hierarchical block, which does not tell them.
        until: kind of PDU that comes last.
        count: least number of PDUs that come.
    """

    make: Callable[[], object]
    messages: tuple = ()
    samples: np.ndarray | None = None
    seen: Callable[[object], object] = lambda _: None
    skip: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    until: type[pdu.Pdu] | None = None
    count: int = 1


class Top(gr.top_block):
    """The block of a case between what feeds it and what watches it."""

    def __init__(self, case):
        super().__init__("restart")
        self.block, self.probe, self.case = case.make(), Probe(), case
        first, last = self.block if isinstance(self.block, tuple) else (self.block, self.block)
        self.source = Samples(case.samples if case.samples is not None else np.zeros(0))
        self.kept = Kept()
        if first.input_signature().min_streams():
            self.connect(self.source, first)
        if last.output_signature().min_streams():
            self.connect(last, self.kept)
        names = sorted(
            {port for port, _ in case.messages} | set(ports(first))
        )  # hierarchical blocks do not tell theirs
        for i, port in enumerate(names):
            self.msg_connect(self.probe, f"out{i}", first, port)
        for port in sorted({*case.outputs, *pmt.to_python(last.message_ports_out())} - {"status"}):
            self.msg_connect(last, port, self.probe, "in")
        self.out = {port: f"out{i}" for i, port in enumerate(names)}
        self.last = last

    def feed(self, begin):
        """Begin a run, give the case's messages, and wait until what is wanted has come and nothing more
        comes.
        """
        self.probe.got.clear()
        self.kept.samples.clear()
        begin()
        for port, message in self.case.messages:
            self.probe.publish(self.out[port], message)
        deadline = time.monotonic() + LIMIT
        while not self._complete() and time.monotonic() < deadline:
            time.sleep(0.005)
        found, changed = self._found(), time.monotonic()
        while time.monotonic() - changed < QUIET:
            time.sleep(0.02)
            if (now := self._found()) != found:
                found, changed = now, time.monotonic()
        return found

    def stale_end(self):
        """An End of the run that is over waits on every port."""
        for port in self.out.values():
            self.probe.publish(port, self.probe.end())

    def _complete(self):
        kind = self.case.until
        return (
            len(self._found()) >= self.case.count
            if kind is None
            else any(isinstance(message, kind) for message in list(self.probe.got))
        )

    def _found(self):
        got = [
            _plain(message, self.case.skip)
            for message in list(self.probe.got)
            if not isinstance(message, pdu.Tick)
        ]
        samples = np.concatenate([np.zeros(0, np.complex64), *self.kept.samples]).tobytes()
        return sorted(got, key=repr) + [x for x in (samples, self.case.seen(self.last)) if x]


def _plain(message, skip):
    values = {f.name: getattr(message, f.name) for f in fields(message) if f.name not in (*VOLATILE, *skip)}
    return message.kind, {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in values.items()}


def image(side=28, channels=1):
    return pdu.Image(FIRST_ID, (side, side, channels), picture(side, side)[..., :channels].ravel(), "picture")


def chain(*names, **first):
    """PDUs that blocks make one after another: of each block, those that the next one has a port for."""
    messages = [("images", image(**first))]
    for block in names:
        watched, made = Watched(block), []
        for port, message in messages:
            if port in ports(block):
                made += watched.give(port, message)
        messages = messages + made
    return messages


@lru_cache(maxsize=1)
def hsc_parts():
    """Port and PDU of everything between HSC's fine blocks at the transmitter."""
    modulators = hsc.analog_modulator(), hsc.digital_modulator()
    return chain(hsc.semantic_encoder(symbols=8), hsc.cr_projection(rank=4), *modulators)


@lru_cache(maxsize=1)
def hda_parts():
    return chain(hsc.semantic_encoder(codec="hda_deepsc"), hsc.hda_allocation(cbr=0.5), side=96, channels=3)


@lru_cache(maxsize=1)
def lrisc_parts():
    return chain(hsc.lrisc_latent_encoder(cbr=0.5), hsc.lrisc_rate_allocation(cbr=0.5), side=96, channels=3)


@lru_cache(maxsize=1)
def ds2c2_parts():
    """Port and PDU of everything between DS²C²'s parts, the residual interleaved."""
    link = {"cbr": 1.0, "snr_db": 10.0}
    encoders = hsc.ds2c2_base_encoder(**link), hsc.ds2c2_residual_encoder("binary", **link)
    made = chain(*encoders, side=96, channels=3)
    pairs = (
        (hsc.ds2c2_bit_interleaver(), "digital", "interleaved"),
        (hsc.ds2c2_bit_deinterleaver(), "interleaved", "residual"),
        (hsc.ds2c2_base_decoder(), "interleaved", "c"),
    )
    for block, taken, given_as in pairs:
        watched, streams = Watched(block), [message for port, message in made if port == taken]
        given = [pair for each in streams for pair in watched.give("digital", each)]
        made += [(given_as, message) for port, message in given if port in ("digital", "residual", "base")]
    return made


def of_ds2c2(**wanted):
    """PDUs of `ds2c2_parts` by the port that they are given to."""
    return tuple((port, m) for port, name in wanted.items() for at, m in ds2c2_parts() if at == name)


def only(parts, *kinds, rename=None):
    return tuple((rename or port, message) for port, message in parts if isinstance(message, kinds))


def split(parts):
    """Symbols go to port `analog` or `digital` of the mux."""
    return tuple(("digital" if m.stream else "analog", m) for _, m in parts if isinstance(m, pdu.Symbols))


def packets(codec=NAME, pixels=None, **options):
    link = Link(cbr=0.5 if codec in ("hda_deepsc", "lrisc", "ds2c2") else None)
    message = registry.create(codec, **options).encode(picture(40, 40) if pixels is None else pixels, link)
    return packets_of(modem.modulate(message, FIRST_ID, 400))


def received(codec=NAME, **more):
    def arrived(p, at):
        variance = np.full(p.symbols.size, 0.01, np.float32)
        return ReceivedPacket(p.header, p.symbols, variance, 20.0, sample_index=at)

    return [arrived(p, 100 * i) for i, p in enumerate(packets(codec, **more))]


def given(codec=NAME, **more):
    return tuple(("packets", pdu.ReceivedPacket.of(p)) for p in received(codec, **more))


def air(codec=NAME, **more):
    """Samples of a message's bursts."""
    rng = np.random.default_rng(1)
    samples = np.concatenate([ofdm.modulate(p, ofdm.preset("ofdm64")) for p in packets(codec, **more)])
    noise = rng.standard_normal((samples.size, 2)).astype(np.float32).view(np.complex64).ravel()
    return samples + 0.01 * noise


def digit():
    return picture(28, 28)[..., :1]


def demodulated(kind):
    """What the demux makes of HSC's packets: `ReceivedSymbols`, or demodulated."""
    demux = Watched(hsc.message_demux())
    messages = [m for port, p in given("hsc", pixels=digit(), rank=4) for m in demux.give(port, p)]
    if kind is pdu.ReceivedSymbols:
        return tuple(m for _, m in messages if isinstance(m, kind))
    made = {"analog": Watched(hsc.analog_demodulator()), "digital": Watched(hsc.digital_demodulator())}
    return tuple(
        m
        for port, p in messages
        if port in made
        for _, m in made[port].give("symbols", p)
        if isinstance(m, kind)
    )


def generated():
    decoder = Watched(hsc.semantic_decoder())
    return tuple(m for part in demodulated(pdu.Analog) for _, m in decoder.give("analog", part))


def jscc():
    return only(chain(hsc.semantic_encoder(codec="deepjscc"), side=32, channels=3), pdu.Analog)


def noisy(analog):
    return replace(analog, noise_variance=np.full(analog.values.size, 0.01, np.float32), snr_db=20.0)


def image_file(tmp):
    Image.fromarray(picture(40, 40)).save(tmp / "one.png")
    return str(tmp / "one.png")


LINK = pdu.Snr(FIRST_ID, 12.0, 4, 4, 10, 0)
CASES = {
    "analog_modulator": lambda _: Case(hsc.analog_modulator, only(hsc_parts(), pdu.Analog, rename="analog")),
    "analog_demodulator": lambda _: Case(
        hsc.analog_demodulator, (("symbols", demodulated(pdu.ReceivedSymbols)[0]),)
    ),
    "digital_modulator": lambda _: Case(
        hsc.digital_modulator, only(hsc_parts(), pdu.Digital, rename="digital")
    ),
    "digital_demodulator": lambda _: Case(
        hsc.digital_demodulator, (("symbols", demodulated(pdu.ReceivedSymbols)[1]),)
    ),
    "hsc_semantic_encoder": lambda _: Case(hsc.hsc_semantic_encoder, (("images", image()),)),
    "hsc_semantic_decoder": lambda _: Case(
        hsc.hsc_semantic_decoder, tuple(("analog", m) for m in demodulated(pdu.Analog))
    ),
    "cr_projection": lambda _: Case(
        partial(hsc.cr_projection, rank=4),
        (("images", image()), *only(hsc_parts(), pdu.Generated, rename="generated")),
    ),
    "cr_recomposition": lambda _: Case(
        hsc.cr_recomposition,
        tuple([("generated", m) for m in generated()] + [("digital", m) for m in demodulated(pdu.Digital)]),
    ),
    "hda_allocation": lambda _: Case(
        partial(hsc.hda_allocation, cbr=0.5), only(hda_parts(), pdu.Features, rename="features")
    ),
    "hda_fusion": lambda _: Case(
        hsc.hda_fusion,
        (*only(hda_parts(), pdu.Analog, rename="analog"), *only(hda_parts(), pdu.Digital, rename="digital")),
    ),
    "hda_semantic_encoder": lambda _: Case(hsc.hda_semantic_encoder, (("images", image(96, 3)),)),
    "hda_semantic_decoder": lambda _: Case(
        hsc.hda_semantic_decoder, only(hda_parts(), pdu.Features, rename="features")
    ),
    "deepjscc_semantic_encoder": lambda _: Case(hsc.deepjscc_semantic_encoder, (("images", image(32, 3)),)),
    "deepjscc_semantic_decoder": lambda _: Case(
        hsc.deepjscc_semantic_decoder, tuple(("analog", noisy(m)) for _, m in jscc())
    ),
    "denoiser": lambda _: Case(
        partial(hsc.denoiser, "dncnn"), tuple(("analog", noisy(m)) for _, m in jscc())
    ),
    "lrisc_latent_encoder": lambda _: Case(hsc.lrisc_latent_encoder, (("images", image(96, 3)),)),
    "lrisc_rate_allocation": lambda _: Case(
        partial(hsc.lrisc_rate_allocation, cbr=0.5),
        (
            ("roi", pdu.Region(np.array([8, 8, 40, 24], np.int32))),
            *only(lrisc_parts(), pdu.Features, rename="features"),
        ),
    ),
    "lrisc_latent_decoder": lambda _: Case(
        hsc.lrisc_latent_decoder,
        (
            *only(lrisc_parts(), pdu.Analog, rename="analog"),
            *only(lrisc_parts(), pdu.Digital, rename="digital"),
        ),
    ),
    "diffusion_refiner": lambda _: Case(
        hsc.diffusion_refiner, (("images", image(96, 3)),), count=2
    ),  # before the refiner, and behind it
    "message_mux": lambda _: Case(hsc.message_mux, split(hsc_parts())),
    "message_demux": lambda _: Case(hsc.message_demux, given()),
    "message_encoder": lambda _: Case(partial(hsc.message_encoder, NAME), (("images", image()),)),
    "message_decoder": lambda _: Case(hsc.message_decoder, given()),
    "symbol_channel": lambda _: Case(
        partial(hsc.symbol_channel, snr_db=3.0),
        tuple(("in", pdu.Packet(p.header, p.symbols)) for p in packets()),
        skip=("sample_index",),
    ),
    "block_erasure_channel": lambda _: Case(
        partial(hsc.block_erasure_channel, share=0.5, block_bytes=8),
        only(hsc_parts(), pdu.Digital, rename="in"),
    ),
    "image_source": lambda tmp: Case(partial(hsc.image_source, image_file(tmp)), skip=("message_id",)),
    "image_sink": lambda _: Case(
        hsc.image_sink,
        (("images", image()),),
        seen=lambda sink: sink.images[FIRST_ID].sum() if sink.images else 0,
    ),
    "image_viewer": lambda _: Case(
        hsc.image_viewer,
        (("partial", image()), ("images", image())),
        seen=lambda viewer: viewer.counters["images"] and viewer.model.snapshot().picture.size,
    ),
    "quality_meter": lambda _: Case(hsc.quality_meter, (("reference", image()), ("received", image()))),
    "link_adaptation": lambda _: Case(hsc.link_adaptation, (("reports", LINK),)),
    "packet_repeater": lambda _: Case(
        hsc.packet_repeater, tuple(("packets", pdu.Packet(p.header, p.symbols)) for p in packets())
    ),
    "repeat_requester": lambda _: Case(
        hsc.repeat_requester, (*given("hsc", pixels=digit(), rank=4)[:1], ("packets", pdu.Tick(1 << 20)))
    ),
    "ofdm_transmitter": lambda _: Case(
        partial(hsc.ofdm_transmitter, continuous=False),
        tuple(("packets", pdu.Packet(p.header, p.symbols)) for p in packets()),
    ),
    "ofdm_receiver": lambda _: Case(hsc.ofdm_receiver, samples=air()),
    "image_transmitter": lambda _: Case(
        partial(hsc.image_transmitter, NAME, continuous=False), (("images", image()),), outputs=("sent",)
    ),
    "image_receiver": lambda _: Case(
        hsc.image_receiver, samples=air(), outputs=("images", "packets", "snr"), until=pdu.Image
    ),
    "hsc_transmitter": lambda _: Case(
        partial(hsc.hsc_transmitter, rank=4, continuous=False),
        (("images", image()),),
        outputs=("sent", "generated"),
    ),
    "hsc_receiver": lambda _: Case(
        hsc.hsc_receiver,
        samples=air("hsc", pixels=digit(), rank=4),
        outputs=("images", "generated", "packets"),
        until=pdu.Image,
    ),
    "hda_transmitter": lambda _: Case(
        partial(hsc.hda_transmitter, cbr=0.5, continuous=False),
        (("images", image(96, 3)),),
        outputs=("sent",),
    ),
    "hda_receiver": lambda _: Case(
        hsc.hda_receiver,
        samples=air("hda_deepsc", pixels=picture(96, 96)),
        outputs=("images", "packets", "snr"),
        until=pdu.Image,
    ),
    "ds2c2_base_encoder": lambda _: Case(
        partial(hsc.ds2c2_base_encoder, cbr=1.0), (("images", image(96, 3)),)
    ),
    "ds2c2_residual_encoder": lambda _: Case(
        partial(hsc.ds2c2_residual_encoder, cbr=1.0, snr_db=10.0), of_ds2c2(images="images", base="base")
    ),
    "ds2c2_bit_interleaver": lambda _: Case(hsc.ds2c2_bit_interleaver, of_ds2c2(digital="digital")),
    "ds2c2_bit_deinterleaver": lambda _: Case(hsc.ds2c2_bit_deinterleaver, of_ds2c2(digital="interleaved")),
    "ds2c2_base_decoder": lambda _: Case(hsc.ds2c2_base_decoder, of_ds2c2(digital="interleaved")),
    "ds2c2_residual_decoder": lambda _: Case(
        hsc.ds2c2_residual_decoder, of_ds2c2(base="c", residual="residual")
    ),
    "ds2c2_transmitter": lambda _: Case(
        partial(hsc.ds2c2_transmitter, cbr=1.0, continuous=False),
        (("images", image(96, 3)),),
        outputs=("sent",),
    ),
    "ds2c2_receiver": lambda _: Case(
        hsc.ds2c2_receiver,
        samples=air("ds2c2", pixels=picture(96, 96)),
        outputs=("images", "packets", "snr"),
        until=pdu.Image,
    ),
    "lrisc_transmitter": lambda _: Case(
        partial(hsc.lrisc_transmitter, cbr=0.5, continuous=False),
        (("images", image(96, 3)),),
        outputs=("sent",),
    ),
    "lrisc_receiver": lambda _: Case(
        partial(hsc.lrisc_receiver, realism=0),  # a test of its own has the refiner
        samples=air("lrisc", pixels=picture(96, 96)),
        outputs=("images", "packets", "snr"),
        until=pdu.Image,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_block_gives_the_same_in_every_run(name, tmp_path, request):
    if name == "image_viewer":
        request.getfixturevalue("qt")
    top = Top(CASES[name](tmp_path))
    runs = []
    for _ in range(2):
        runs.append(top.feed(top.start))
        top.stop()
        top.wait()
        top.stale_end()
    top.feed(top.start)
    top.lock()
    runs.append(top.feed(top.unlock))
    top.stop()
    top.wait()
    assert runs[0] and not any(isinstance(message, pdu.Failed) for message in top.probe.got)
    assert runs[1:] == runs[:1] * 2


def test_every_block_is_restarted():
    others = {"radio_sink", "radio_source", "recorder", "feedback_sender", "feedback_receiver"}
    choosers = {"semantic_encoder", "semantic_decoder"}
    assert {*CASES, *others} == set(hsc.blocks.names()) - choosers


@pytest.fixture
def qt():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PyQt5 import QtWidgets

    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["test"])


class RadioLink(gr.top_block):
    """Image Source, transmitter, radio; radio, receiver, Image Sink."""

    def __init__(self, image_file, sink, source, repeat=True):
        super().__init__("radio link")
        self.source = hsc.image_source(image_file, repeat=repeat, interval=0.05, in_flight=2)
        self.transmitter, self.radio_sink = hsc.image_transmitter(NAME), hsc.radio_sink(sink)
        self.radio_source, self.receiver, self.sink = (
            hsc.radio_source(source),
            hsc.image_receiver(),
            hsc.image_sink(),
        )
        self.connect(self.transmitter, self.radio_sink)
        self.connect(self.radio_source, self.receiver)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.receiver, "images", self.sink, "images")

    def received(self, wanted=3):
        """Images that came in this run, `wanted` when they do within the limit."""
        before, deadline = self.sink.counters["written"], time.monotonic() + LIMIT
        while self.sink.counters["written"] - before < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        return min(wanted, self.sink.counters["written"] - before)


@pytest.mark.parametrize(
    ("sink", "source"), [("sim", "sim:snr=30"), ("zmq:ipc://{}/air", "zmq:ipc://{}/air")]
)
def test_a_radio_link_that_is_stopped_starts_again(sink, source, tmp_path):
    top = RadioLink(image_file(tmp_path), sink.format(tmp_path), source.format(tmp_path))
    for _ in range(3):
        top.start()
        assert top.received() == 3
        top.stop()
        top.wait()
    top.start()
    top.lock()
    top.unlock()
    assert top.received() == 3
    top.stop()
    top.wait()


def test_a_recording_is_read_from_its_beginning_in_every_run(tmp_path):
    """And recorded again: what three runs write is three times what they read, packets where they were."""

    class Replay(gr.top_block):
        def __init__(self):
            super().__init__("replay")
            self.source, self.receiver, self.sink = (
                hsc.radio_source("file:recordings/photo.sigmf-meta,speed=0"),
                hsc.image_receiver(),
                hsc.image_sink(),
            )
            self.recorder = hsc.recorder(str(tmp_path / "again"))
            self.connect(self.source, self.receiver)
            self.connect(self.source, self.recorder)
            self.msg_connect(self.receiver, "images", self.sink, "images")
            self.msg_connect(self.receiver, "packets", self.recorder, "packets")

    top, images = Replay(), []
    for run in range(1, 4):
        top.run()
        assert top.sink.counters["written"] == run
        images.append(next(reversed(top.sink.images.values())))
    assert (images[1] == images[0]).all() and (images[2] == images[0]).all()
    top.recorder.close()
    meta = json.loads((tmp_path / "again.sigmf-meta").read_text())
    starts = np.array([annotation["core:sample_start"] for annotation in meta["annotations"]]).reshape(3, -1)
    length = (tmp_path / "again.sigmf-data").stat().st_size // 8 // 3
    assert [capture["core:sample_start"] for capture in meta["captures"]] == [0, length, 2 * length]
    assert (np.diff(starts, axis=0) == length).all() and starts[0, 0] < length


@pytest.mark.parametrize("n", [1, 100, 5000])
def test_samples_and_messages_move_however_few_a_flowgraph_allows_at_a_time(n, tmp_path):
    top = RadioLink(image_file(tmp_path), "sim", "sim:snr=30")
    top.start(n)
    assert top.received(1) == 1
    top.stop()
    top.wait()


def test_a_flowgraph_that_has_ended_by_itself_runs_again(tmp_path):
    class Loop(gr.top_block):
        def __init__(self):
            super().__init__("loop")
            self.source, self.sink = hsc.image_source(image_file(tmp_path)), hsc.image_sink()
            self.transmitter, self.receiver = hsc.image_transmitter(NAME), hsc.image_receiver()
            self.connect(self.transmitter, self.receiver)
            self.msg_connect(self.source, "images", self.transmitter, "images")
            self.msg_connect(self.receiver, "images", self.sink, "images")

    top = Loop()
    for run in range(1, 4):
        top.run()
        assert top.sink.counters["written"] == run


def test_reports_cross_the_return_path_in_every_run(tmp_path):
    address = f"ipc://{tmp_path}/back"

    class Back(gr.top_block):
        def __init__(self):
            super().__init__("back")
            self.sender, self.receiver, self.probe = (
                hsc.feedback_sender(address),
                hsc.feedback_receiver(address),
                Probe(),
            )
            self.msg_connect(self.probe, "out0", self.sender, "records")
            self.msg_connect(self.receiver, "reports", self.probe, "in")

    top = Back()
    for _ in range(3):
        top.probe.got.clear()
        top.start()
        deadline = time.monotonic() + LIMIT
        while not top.probe.got and time.monotonic() < deadline:
            top.probe.publish("out0", LINK)
            time.sleep(0.02)
        assert top.probe.got[:1] == [LINK]
        top.stop()
        top.wait()
