"""Whole flowgraphs: they end by themselves, and what comes out is what should."""

import threading

import numpy as np
import pytest
from gnuradio import blocks, channels, gr, hsc
from gnuradio.hsc import modem
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.packets import ReceivedPacket, split
from gnuradio.hsc.symbol_link import cross
from gnuradio.hsc.systems.hsc import semantic
from PIL import Image
from support import ROOT
from support.flowgraphs import Eraser, between, run, silence
from support.pixel_codec import NAME, PixelCodec, picture, register
from support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def _pixel_codec(monkeypatch):
    register(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """Three images in a folder, in the order of their names."""
    for i, size in enumerate([(48, 64), (40, 40), (32, 56)]):
        Image.fromarray(picture(*size, seed=i)).save(tmp_path / f"image{i}.png")
    return tmp_path


class Link_(gr.top_block):
    """Image Source → Image Transmitter → channel → Image Receiver → Quality Meter → Image Sink."""

    def __init__(self, files, channel=None, out="", source=None, **transmitter):
        super().__init__("link")
        self.source = hsc.image_source(files, in_flight=2, **(source or {}))
        self.transmitter = hsc.image_transmitter(NAME, continuous=False, **transmitter)
        self.receiver = hsc.image_receiver()
        self.meter, self.sink = hsc.quality_meter(), hsc.image_sink(str(out))
        self.received = hsc.image_sink("")
        self.channel = channel or blocks.copy(gr.sizeof_gr_complex)
        self.connect(self.transmitter, self.channel, self.receiver)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.source, "images", self.meter, "reference")
        self.msg_connect(self.receiver, "images", self.meter, "received")
        self.msg_connect(self.meter, "images", self.sink, "images")


def test_three_images_cross_a_clean_channel_and_the_flowgraph_ends(folder, tmp_path):
    top = Link_(str(folder), out=tmp_path / "out", source={"first_id": 65534})
    run(top)
    assert [q.name for q in top.meter.results.values()] == ["image0", "image1", "image2"]
    assert list(top.meter.results) == [65534, 65535, 0]
    for i, size in enumerate([(48, 64), (40, 40), (32, 56)]):
        sent, written = picture(*size, seed=i), np.asarray(Image.open(tmp_path / "out" / f"image{i}.png"))
        assert np.abs(written.astype(int) - sent).max() <= 1
    assert all(q.psnr_db > 50 for q in top.meter.results.values())


def test_received_image_is_that_of_the_symbol_path(folder):
    """Without noise the flowgraph gives, byte for byte, what the codec makes of the symbols themselves."""
    top = Link_(str(folder / "image0.png"), source={"first_id": 7})
    run(top)
    message = PixelCodec().encode(picture(48, 64, seed=0), Link())
    modulated = modem.modulate(message, 7)
    arrived = [
        ReceivedPacket(p.header, p.symbols, np.full(len(p.symbols), 1e-6, np.float32))
        for p in split(modulated)
    ]
    expected = PixelCodec().decode(modem.demodulate(join(arrived))).image
    assert np.array_equal(top.sink.images[7], expected)


def test_impaired_channel(folder):
    """CFO of 5.3 subcarriers, 20 ppm, two echoes and noise at 15 dB: every image arrives, at the quality that
    the noise allows.
    """
    channel = channels.channel_model(10 ** (-15 / 20), 5.3 / 64, 1 + 20e-6, [0.95, 0, 0.25j, 0, 0, 0.15], 3)
    top = Link_(str(folder), channel)
    run(top)
    assert len(top.meter.results) == 3
    assert all(q.psnr_db > 18 for q in top.meter.results.values())
    assert top.receiver.receiver.counters["packets"] == top.transmitter.transmitter.counters["packets"]


class Dropper(hsc.blocks.base.MessageBlock):
    """Drops the packets whose position in the run is in `positions`."""

    def __init__(self, positions):
        super().__init__("Dropper")
        self.open_ports(
            {"in": {pdu.ReceivedPacket: self._packet, pdu.Tick: lambda tick: self.publish("out", tick)}},
            ("out",),
        )
        self.positions, self.seen = set(positions), 0

    def _packet(self, received):
        if self.seen not in self.positions:
            self.publish("out", received)
        self.seen += 1


class Lossy(gr.top_block):
    """A link over separate receiver and decoder, with packets dropped in between."""

    def __init__(self, files, positions, hold=500_000, gap=0):
        super().__init__("lossy")
        self.source = hsc.image_source(files, in_flight=1, first_id=1)
        self.transmitter = hsc.image_transmitter(NAME, packet_symbols=512, continuous=False, gap=gap)
        self.receiver, self.dropper, self.decoder = (
            hsc.ofdm_receiver(tick=1 << 14),
            Dropper(positions),
            hsc.message_decoder(hold=hold),
        )
        self.meter, self.sink = hsc.quality_meter(), hsc.image_sink()
        self.connect(self.transmitter, self.receiver)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.receiver, "packets", self.dropper, "in")
        self.msg_connect(self.dropper, "out", self.decoder, "packets")
        self.msg_connect(self.source, "images", self.meter, "reference")
        self.msg_connect(self.decoder, "images", self.meter, "received")
        self.msg_connect(self.meter, "images", self.sink, "images")


def test_lost_packets_leave_a_sprinkling_of_erasures(folder):
    top = Lossy(str(folder / "image0.png"), positions={1, 4})
    run(top)
    count = top.dropper.seen
    sent, received = picture(48, 64, seed=0).astype(int), top.sink.images[1].astype(int)
    wrong = np.mean(np.abs(received - sent) > 2)
    assert count >= 10 and 0.5 * 2 / count < wrong < 1.5 * 2 / count
    assert top.decoder.counters["partial"] == 1


def test_a_partial_message_leaves_when_its_time_is_up_and_others_are_whole(folder):
    """The first message lacks its last packet; ticks let it go while the second is on its way, not only at
    the end.
    """
    first = modem.modulate(PixelCodec().encode(picture(48, 64, seed=0), Link()), 1, 512).header.count
    top = Lossy(
        [str(folder / f"image{i}.png") for i in range(3)], positions={first - 1}, hold=20_000, gap=4000
    )
    order = []
    keep = top.decoder.on_message
    top.decoder.on_message = lambda message: (
        order.append((message.header.message_id, message.complete)),
        keep(message),
    )
    run(top)
    assert order == [(1, False), (2, True), (3, True)] and len(top.meter.results) == 3


def test_an_image_that_cannot_be_sent_does_not_stop_the_others(folder):
    """A codec that refuses, and one that has a mistake: both are reported, the images after them arrive."""
    Image.fromarray(picture(13, 40, seed=5)).save(folder / "image0a.png")
    Image.fromarray(picture(14, 40, seed=6)).save(folder / "image0b.png")
    (folder / "image0c.png").write_bytes(b"no image at all")
    top = Link_(str(folder))
    run(top)
    assert [q.name for q in top.meter.results.values()] == ["image0", "image1", "image2"]
    assert top.transmitter.encoder.counters["errors"] == 2 and top.source.counters["errors"] == 1


def test_nothing_arrives_and_it_is_said(folder):
    top = Link_(str(folder), blocks.multiply_const_cc(0))
    run(top)
    assert not top.meter.results and top.meter.counters["errors"] == 3


def test_runs_twice(folder):
    top = Link_(str(folder / "image1.png"), source={"first_id": 3})
    for _ in range(2):
        top.meter.results.clear()
        run(top)
        assert len(top.meter.results) == 1


def test_stops_while_it_repeats(folder):
    top = Link_(str(folder), source={"repeat": True})
    top.start()
    wait = threading.Event()
    for _ in range(600):
        if len(top.meter.results) > 4:
            break
        wait.wait(0.1)
    stopper = threading.Thread(target=lambda: (top.stop(), top.wait()), daemon=True)
    stopper.start()
    stopper.join(PATIENCE)
    assert not stopper.is_alive() and len(top.meter.results) > 4


class HscLink(gr.top_block):
    """HSC from its parts, over the symbol channel or any other packets-to-packets block."""

    def __init__(self, files, channel, encoder=None, **cr):
        super().__init__("hsc")
        self.source, self.projection = hsc.image_source(files, first_id=1), hsc.cr_projection(**cr)
        self.encoder = encoder or hsc.semantic_encoder()
        self.modulators = hsc.analog_modulator(), hsc.digital_modulator()
        self.mux, self.demux, self.channel = hsc.message_mux(packet_symbols=400), hsc.message_demux(), channel
        self.demodulators = hsc.analog_demodulator(), hsc.digital_demodulator()
        self.decoder, self.recomposition, self.sink = (
            hsc.semantic_decoder(),
            hsc.cr_recomposition(),
            hsc.image_sink(),
        )
        for source, out, target, into in (
            (self.source, "images", self.encoder, "images"),
            (self.source, "images", self.projection, "images"),
            (self.encoder, "generated", self.projection, "generated"),
            (self.encoder, "analog", self.modulators[0], "analog"),
            (self.projection, "digital", self.modulators[1], "digital"),
            *between(self),
            (self.demodulators[0], "analog", self.decoder, "analog"),
            (self.decoder, "generated", self.recomposition, "generated"),
            (self.demodulators[1], "digital", self.recomposition, "digital"),
            (self.recomposition, "images", self.sink, "images"),
        ):
            self.msg_connect(source, out, target, into)


DIGIT = ROOT / "examples" / "images" / "digit_5.png"


@pytest.mark.parametrize(
    ("amount", "semantic"),
    [
        ({"rank": 0}, {}),
        ({"rank": 6}, {}),
        ({"rank": 6, "cr": "residual"}, {}),
        ({"psnr_db": 30.0}, {"symbols": 16}),
        ({"cbr": 1.5}, {}),
        ({"cbr": 1.5, "repair_share": 0.3}, {}),
        ({"rank": 8}, {"tuning": "ncr", "rank": 8}),
    ],
)
def test_fine_blocks_send_and_receive_what_the_codec_does(amount, semantic):
    """HSC from its parts gives, byte for byte, the image of `HscCodec` over the same symbols."""
    top = HscLink(str(DIGIT), hsc.symbol_channel("ideal"), hsc.semantic_encoder(**semantic), **amount)
    run(top)
    codec = registry.create("hsc", **{"cr": "projection", **semantic, **amount})
    image = np.asarray(Image.open(DIGIT))[..., None]
    packets = split(modem.modulate(codec.encode(image, Link()), 1, 400))
    expected = codec.decode(modem.demodulate(join([cross(p, 0, "ideal", silence) for p in packets]))).image
    assert np.array_equal(top.sink.images[1], expected)


def test_sr_alone_and_cr_alone_still_give_an_image():
    codec = registry.create("hsc", rank=8)
    image = np.asarray(Image.open(DIGIT))[..., None]
    generated = semantic.encode(image, codec.options)[1].generated
    images = {}
    for analog_lost in (False, True):
        top = HscLink(str(DIGIT), Eraser(analog_lost), rank=8, cr="projection")
        run(top)
        images[analog_lost] = top.sink.images[1]
    assert np.abs(images[False] / 255 - generated).max() < 0.01
    assert images[True].std() > 20  # the digit over flat grey


def test_hierarchical_hsc_blocks_are_the_fine_ones(tmp_path):
    """hsc_transmitter and hsc_receiver through OFDM; image_receiver understands them too."""
    top = gr.top_block()
    top.source, top.transmitter = (
        hsc.image_source([str(DIGIT)], in_flight=1, first_id=1),
        hsc.hsc_transmitter(rank=10.0, continuous=False),  # as a slider gives it
    )
    top.receiver, top.other = hsc.hsc_receiver(), hsc.image_receiver()
    top.sink, top.other_sink = hsc.image_sink(), hsc.image_sink()
    top.connect(top.transmitter, top.receiver)
    top.connect(top.transmitter, top.other)
    top.msg_connect(top.source, "images", top.transmitter, "images")
    top.msg_connect(top.transmitter, "sent", top.source, "next")
    top.msg_connect(top.receiver, "images", top.sink, "images")
    top.msg_connect(top.other, "images", top.other_sink, "images")
    run(top)
    assert np.array_equal(top.sink.images[1], top.other_sink.images[1])
    sent = np.asarray(Image.open(DIGIT))[..., None]
    assert np.mean((top.sink.images[1] / 255 - sent / 255) ** 2) < 2e-3
