"""DS²C² from its parts: the same image as from the whole codec; layers, maps, lost parts, restart, the way
back.
"""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import DEFAULT_QUEUE, MessageBlock
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.mcs import best_for
from gnuradio.hsc.systems.ds2c2 import base, semantic_map, sending
from gnuradio.hsc.systems.ds2c2.parameters import Ds2c2Parameters
from gnuradio.hsc.systems.ds2c2.receiving import image_of
from support import pictures
from support.flowgraphs import run
from support.messages import modulated
from support.pictures import pixels
from support.pixel_codec import picture
from support.watched import Watched, make

SNR_DB, CBR = 14.0, 1 / 4
CODINGS = ("dispersed", "binary")


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return pictures.crops(tmp_path_factory.mktemp("crops"))


class Kept(MessageBlock):
    """Keeps every PDU, by port; the images are waited for."""

    def __init__(self):
        super().__init__("Kept")
        kinds = {"images": pdu.Image, "partial": pdu.Image, "semantic": pdu.Image, "snr": pdu.Snr}
        kinds["sent"] = pdu.Sent
        self.got = {port: [] for port in kinds}
        handlers = {port: {kind: self.got[port].append} for port, kind in kinds.items()}
        self.open_ports(handlers, (), ends=("images",))


class Parts(gr.top_block):
    """Figures 1 and 2 over a channel of packets, or one of blocks in place of all that is between."""

    def __init__(self, files, coding, erasure=None, block_bytes=0):
        super().__init__("parts")
        link = {"snr_db": SNR_DB, "cbr": CBR}
        self.source = hsc.image_source(files, first_id=1)
        self.encoders = (
            hsc.ds2c2_base_encoder(repair_share=0.4 if erasure else None, **link),
            hsc.ds2c2_residual_encoder(coding, **link),
        )
        self.interleaver = hsc.ds2c2_bit_interleaver(block_bytes)
        self.deinterleaver = hsc.ds2c2_bit_deinterleaver(block_bytes)
        self.decoders = hsc.ds2c2_base_decoder(), hsc.ds2c2_residual_decoder()
        self.kept = Kept()
        first, last = self.interleaver, self._between(erasure)
        for source, out, target, into in (
            (self.source, "images", self.encoders[0], "images"),
            (self.source, "images", self.encoders[1], "images"),
            (self.encoders[0], "base", self.encoders[1], "base"),
            (self.encoders[1], "digital", first, "digital"),
            (last, "out" if erasure else "digital", self.decoders[0], "digital"),
            (last, "out" if erasure else "digital", self.deinterleaver, "digital"),
            (self.decoders[0], "base", self.decoders[1], "base"),
            (self.decoders[0], "images", self.kept, "partial"),
            (self.decoders[0], "semantic", self.kept, "semantic"),
            (self.deinterleaver, "residual", self.decoders[1], "residual"),
            (self.decoders[1], "images", self.kept, "images"),
        ):
            self.msg_connect(source, out, target, into)

    def _between(self, erasure):
        """From the interleaver to the decoders; the last block."""
        if erasure:
            self.erasure = erasure
            self.msg_connect(self.interleaver, "digital", erasure, "in")
            return erasure
        self.modulator, self.demodulator = hsc.digital_modulator(), hsc.digital_demodulator()
        self.mux = hsc.message_mux("digital", packet_symbols=700)
        self.channel, self.demux = hsc.symbol_channel("ideal"), hsc.message_demux()
        self.msg_connect(self.interleaver, "digital", self.modulator, "digital")
        self.msg_connect(self.modulator, "symbols", self.mux, "digital")
        self.msg_connect(self.mux, "packets", self.channel, "in")
        self.msg_connect(self.channel, "out", self.demux, "packets")
        self.msg_connect(self.demux, "digital", self.demodulator, "symbols")
        return self.demodulator

    def crashes(self):
        blocks = (*self.encoders, self.interleaver, self.deinterleaver, *self.decoders)
        return sum(block.counters["crashes"] for block in blocks)


def sent_by_codec(image, coding):
    return registry.create("ds2c2", coding=coding).encode(image, Link(SNR_DB, CBR))


@pytest.mark.parametrize("coding", CODINGS)
def test_parts_give_the_image_of_the_whole_codec_and_its_layers(crops, coding):
    top = Parts(str(crops), coding)
    run(top)
    kept = top.kept.got
    assert [image.message_id for image in kept["images"]] == [1, 2] and not top.crashes()
    for i, (image, coarse, labels) in enumerate(
        zip(kept["images"], kept["partial"], kept["semantic"], strict=True)
    ):
        sent = pixels(crops / f"crop{i}.png")
        message = sent_by_codec(sent, coding)
        wanted = registry.create("ds2c2").decode(modulated(message, 60.0)).image
        assert np.array_equal(image.pixels, wanted)
        known = Ds2c2Parameters.unpack(message.parameters)
        c = base.encode(sent, known.fineness).c
        assert np.array_equal(coarse.pixels, image_of(c, None, known, sent.shape))
        assert coarse.part == "base layer" and labels.part == "semantic map"
        assert labels.shape == (*sent.shape[:2], 3)
        colours = {tuple(colour) for colour in labels.pixels.reshape(-1, 3)}
        assert colours <= {tuple(colour) for colour in semantic_map.PALETTE}
        assert metrics.psnr_db(image.pixels, sent) > metrics.psnr_db(coarse.pixels, sent) + 0.2


def test_as_many_images_as_may_wait_are_there_when_their_base_layer_comes(crops):
    """And what fails before leaves none behind."""
    sent = pixels(crops / "crop0.png")
    first, second = (make(f"ds2c2_{each}_encoder", snr_db=SNR_DB, cbr=CBR) for each in ("base", "residual"))
    for message_id in range(DEFAULT_QUEUE):
        second.give("images", pdu.Image(message_id, sent.shape, sent.ravel()))
    ((_, layer),) = first.give("images", pdu.Image(0, sent.shape, sent.ravel()))
    assert [type(m) for _, m in second.give("base", layer)] == [pdu.Digital, pdu.Digital]
    second.give("base", pdu.Failed("before", "no image", 1))
    assert list(second.block._images) == list(range(2, DEFAULT_QUEUE))
    for message_id in range(100, 100 + 2 * DEFAULT_QUEUE):
        second.give("images", pdu.Image(message_id, sent.shape, sent.ravel()))
    assert second.block.counters["errors"] == DEFAULT_QUEUE - 2


@pytest.mark.parametrize("coding", CODINGS)
def test_over_the_papers_channel_blocks_are_lost_and_there_is_an_image(crops, coding):
    """Figure 1 without an air interface: 1056-byte blocks are too long for these crops."""
    file, sent = str(crops / "crop0.png"), pixels(crops / "crop0.png")
    seen = []
    for share in (0.0, 0.2):
        erasure = hsc.block_erasure_channel(share, 40, seed=3)
        top = Parts(file, coding, erasure, 0 if coding == "dispersed" else 40)
        run(top)
        (image,) = top.kept.got["images"]
        seen.append(metrics.psnr_db(image.pixels, sent))
        assert not top.crashes() and bool(erasure.counters["erased_bytes"]) == bool(share)
    assert 18 < seen[1] < seen[0]


class OverOfdm(gr.top_block):
    """DS2C2 Transmitter → channel → DS2C2 Receiver, beside it an Image Receiver; the SNR goes back."""

    def __init__(self, files, coding, noise):
        from gnuradio import channels

        super().__init__("ofdm")
        self.source = hsc.image_source(files, in_flight=1, first_id=1)
        self.transmitter = hsc.ds2c2_transmitter(coding, cbr=1 / 2, continuous=False, trailing=4096)
        self.channel = channels.channel_model(noise, 0.5 / 64, 1.00001, [1.0, 0.2j], 3)
        self.receiver, self.other = hsc.ds2c2_receiver(), hsc.image_receiver()
        self.kept, self.others = Kept(), Kept()
        self.connect(self.transmitter, self.channel)
        self.connect(self.channel, self.receiver)
        self.connect(self.channel, self.other)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.transmitter, "sent", self.kept, "sent")
        self.msg_connect(self.receiver, "snr", self.transmitter, "snr")
        for port in ("images", "partial", "semantic", "snr"):
            self.msg_connect(self.receiver, port, self.kept, port)
        self.msg_connect(self.other, "images", self.others, "images")


@pytest.mark.parametrize("coding", CODINGS)
def test_hierarchical_blocks_through_ofdm_with_the_way_back_again_and_again(crops, coding):
    """CFO, a clock offset and two paths; the same image as from an Image Receiver, in the second run too."""
    top = OverOfdm(str(crops), coding, 10 ** (-14 / 20))
    for n in (2, 4):
        run(top)
        images, others = top.kept.got["images"], top.others.got["images"]
        assert [image.message_id for image in images] == list(range(1, n + 1))
        assert len(others) == len(top.kept.got["partial"]) == len(top.kept.got["semantic"]) == n
    for image, other in zip(images, others, strict=True):
        sent = pixels(crops / f"crop{(image.message_id - 1) % 2}.png")
        assert np.array_equal(image.pixels, other.pixels) and image.packets == image.packets_received
        assert metrics.psnr_db(image.pixels, sent) > 20
    robust, adapted = (
        best_for(-10).name,
        {best_for(snr, margin).name for snr in (13, 14) for margin in (1, 3)},
    )
    used = [[name for name, _ in sent.header.digital] for sent in top.kept.got["sent"]]
    assert used[0] == [robust, robust] and set(used[-1]) <= adapted
    blocks = (
        top.transmitter.base_encoder,
        top.transmitter.residual_encoder,
        top.transmitter.interleaver,
        top.receiver.base_decoder,
        top.receiver.deinterleaver,
        top.receiver.residual_decoder,
        top.other.decoder,
    )
    assert not any(block.counters["errors"] for block in blocks)


def test_the_base_layer_alone_is_an_image_too(crops):
    class Link(gr.top_block):
        def __init__(self):
            super().__init__("link")
            self.source = hsc.image_source(str(crops / "crop0.png"), first_id=1)
            self.encoder = hsc.message_encoder("ds2c2", cbr=1.0)
            self.channel, self.decoder = hsc.symbol_channel("ideal"), hsc.message_decoder()
            self.kept = Kept()
            self.msg_connect(self.source, "images", self.encoder, "images")
            self.msg_connect(self.encoder, "packets", self.channel, "in")
            self.msg_connect(self.channel, "out", self.decoder, "packets")
            self.msg_connect(self.decoder, "images", self.kept, "images")
            self.msg_connect(self.decoder, "base", self.kept, "semantic")

    top = Link()
    run(top)
    (whole,), (base,) = top.kept.got["images"], top.kept.got["semantic"]
    original = pixels(crops / "crop0.png")
    assert metrics.psnr_db(whole.pixels, original) > metrics.psnr_db(base.pixels, original) + 2
    assert not top.decoder.counters["errors"]


# ---- blocks by themselves


def base_of(image, message_id=3, **arguments):
    """The PDU that a Base Encoder makes of an image."""
    encoder = make("ds2c2_base_encoder", **{"snr_db": SNR_DB, "cbr": CBR, **arguments})
    ((_, made),) = encoder.give("images", as_pdu(image, message_id))
    return made


def as_pdu(image, message_id=3):
    return pdu.Image(message_id, image.shape, image.ravel())


def encoded(encoder, image, layer):
    """Both streams of a Residual Encoder."""
    encoder.give("images", as_pdu(image, layer.message_id))
    return [stream for _, stream in encoder.give("base", layer)]


@pytest.mark.parametrize("coding", CODINGS)
def test_both_streams_are_those_of_the_codec(coding):
    image = picture(72, 88)
    message = sent_by_codec(image, coding)
    encoder = make("ds2c2_residual_encoder", coding=coding, snr_db=SNR_DB, cbr=CBR)
    interleaver = make("ds2c2_bit_interleaver")
    streams = encoded(encoder, image, base_of(image))
    (first, second) = [sent for each in streams for _, sent in interleaver.give("digital", each)]
    assert [first.data.tobytes(), second.data.tobytes()] == [stream.data for stream in message.digital]
    assert [first.mcs, second.mcs] == [stream.mcs for stream in message.digital]
    assert first.parameters == second.parameters == message.parameters
    assert (first.stream, second.stream, first.streams) == (1, 2, 2)


def test_the_interleaver_may_be_left_out():
    """The ablation: bits of a lost block lie side by side; without losses the image is the same."""
    image = picture(72, 88)
    encoder = make("ds2c2_residual_encoder", coding="binary", snr_db=SNR_DB, cbr=CBR)
    first, second = encoded(encoder, image, base_of(image))
    ((_, c),) = [each for each in make("ds2c2_base_decoder").give("digital", first) if each[0] == "base"]
    seen = []
    for interleaved in (True, False):
        decoder = make("ds2c2_residual_decoder")
        own = second
        if interleaved:
            ((_, own),) = make("ds2c2_bit_interleaver").give("digital", second)
            ((_, own),) = make("ds2c2_bit_deinterleaver").give("digital", own)
            assert isinstance(own, pdu.Features) and set(np.unique(own.values)) == {-1, 1}
        decoder.give("base", c)
        ((_, shown),) = decoder.give("residual", own)
        seen.append(shown.pixels)
    assert np.array_equal(*seen)


def test_lost_bits_are_told_or_read_as_zeros():
    image = picture(72, 88)
    encoder = make("ds2c2_residual_encoder", coding="binary", snr_db=SNR_DB, cbr=CBR)
    _, second = encoded(encoder, image, base_of(image))
    ((_, sent),) = make("ds2c2_bit_interleaver", block_bytes=10).give("digital", second)
    came = (np.arange(sent.data.size) // 10) % 4 != 1
    lossy = replace(sent, data=sent.data * came, received_bytes=came.astype(np.uint8))
    told, untold = (
        make("ds2c2_bit_deinterleaver", block_bytes=10, told=known).give("digital", lossy)[0][1]
        for known in (True, False)
    )
    lost = told.variance == 1
    assert 0.15 < lost.mean() < 0.35 and not told.values[lost].any()
    assert (untold.values[lost] == -1).all() and not untold.variance.any()
    assert np.array_equal(untold.values[~lost], told.values[~lost])


def test_a_semantic_map_that_is_sent_comes_through_the_blocks():
    image = picture(72, 88)
    link = Link(SNR_DB, CBR)
    message = registry.create("ds2c2", semantic="sent").encode(image, link)
    encoder = make("ds2c2_residual_encoder", snr_db=SNR_DB, cbr=CBR)
    first, second = encoded(encoder, image, base_of(image, semantic="sent"))
    assert [first.data.tobytes(), second.data.tobytes()] == [stream.data for stream in message.digital]
    ((_, c),) = [each for each in make("ds2c2_base_decoder").give("digital", first) if each[0] == "base"]
    decoder = make("ds2c2_residual_decoder")
    decoder.give("base", c)
    ((_, shown),) = decoder.give("residual", second)
    wanted = registry.create("ds2c2").decode(modulated(message, 60.0)).image
    assert np.array_equal(shown.pixels, wanted)
    decoder.give("base", replace(c, message_id=9, values=np.r_[c.values[:-1], 12]))
    ((_, failed),) = decoder.give("residual", replace(second, message_id=9))
    assert "its semantic map is not" in failed.reason


def test_values_change_at_run_time_and_impossible_ones_change_nothing():
    image = picture(72, 88)
    encoder = make("ds2c2_base_encoder", snr_db=SNR_DB, cbr=CBR)
    block = encoder.block
    sizes = []
    for fineness in (0, 3):
        block.set_fineness(fineness)
        ((_, made),) = encoder.give("images", as_pdu(image))
        sizes.append(Ds2c2Parameters.unpack(made.parameters).base_bytes)
    assert sizes[1] > 1.5 * sizes[0]
    encoder.give("snr", pdu.LinkSetting(SNR_DB, 2.2, 1.0, repair_share=0.6))
    ((_, made),) = encoder.give("images", as_pdu(image))
    assert made.mcs == "QPSK-1/2" and made.data.size > 2 * sizes[1]
    residual = make("ds2c2_residual_encoder", coding="binary", snr_db=SNR_DB, cbr=CBR).block
    for refused in (
        lambda: block.set_fineness(5),
        lambda: block.set_repair_share(1.0),
        lambda: block.set_mcs("1024QAM-1/2"),
        lambda: residual.set_rate("0.3"),
        lambda: hsc.ds2c2_bit_interleaver(-1),
        lambda: hsc.ds2c2_residual_encoder("ternary"),
    ):
        with pytest.raises(HscError):
            refused()


def test_without_residual_the_image_is_the_base_layers_and_without_that_it_is_grey():
    image = picture(72, 88)
    encoder = make("ds2c2_residual_encoder", snr_db=SNR_DB, cbr=CBR)
    first, second = encoded(encoder, image, base_of(image))
    decoder = make("ds2c2_residual_decoder")
    ((_, c),) = [each for each in make("ds2c2_base_decoder").give("digital", first) if each[0] == "base"]
    decoder.give("base", c)
    ((_, shown),) = decoder.give("residual", pdu.Failed("x", "y", 3))
    known = Ds2c2Parameters.unpack(first.parameters)
    assert np.array_equal(
        shown.pixels, image_of(base.encode(image, known.fineness).c, None, known, image.shape)
    )
    decoder = make("ds2c2_residual_decoder")
    ((_, own),) = make("ds2c2_bit_deinterleaver").give("digital", second)
    decoder.give("residual", own)
    ((_, shown),) = decoder.give("base", pdu.Failed("x", "y", 3))
    assert (shown.pixels == 128).all() and "base layer is lost" in shown.notices


def test_a_base_layer_that_is_lost_or_incomplete_is_counted():
    image = picture(72, 88)
    first = base_of(image, repair_share=0.0, fineness=3)
    decoder = make("ds2c2_base_decoder")
    nothing = replace(first, data=0 * first.data, received_bytes=np.zeros(first.data.size, np.uint8))
    made = decoder.give("digital", nothing)
    assert all(isinstance(each, pdu.Failed) and "base layer is lost" in each.reason for _, each in made)
    came = np.arange(first.data.size) > first.data.size // 4
    part = replace(first, data=first.data * came, received_bytes=came.astype(np.uint8))
    ((_, c),) = [each for each in decoder.give("digital", part) if each[0] == "base"]
    assert np.isinf(c.variance).all() and decoder.block.counters["errors"] == 2
    shown = make("ds2c2_residual_decoder")
    shown.give("base", c)
    ((_, coarse),) = shown.give("residual", replace(first, stream=2, data=first.data[:0]))
    assert "incomplete" in coarse.notices and metrics.psnr_db(coarse.pixels, image) > 12


def test_what_cannot_be_served_is_one_line_and_the_next_image_is():
    image = picture(72, 88)
    encoder = make("ds2c2_residual_encoder", snr_db=SNR_DB, cbr=CBR)
    layer = base_of(image)
    ((_, failed),) = encoder.give("base", layer)  # its image did not come
    assert "its image did not come" in failed.reason
    encoder.give("images", as_pdu(picture(64, 64)))
    ((_, failed),) = encoder.give("base", layer)
    assert "its image did not come" in failed.reason
    encoder.give("images", as_pdu(image))
    ((_, failed),) = encoder.give("base", replace(layer, codec="hsc"))
    assert "message of codec 'hsc'" in failed.reason
    assert len(encoded(encoder, image, layer)) == 2
    tight = make("ds2c2_base_encoder", cbr=1e-3)
    ((_, failed),) = tight.give("images", as_pdu(image))
    assert "raise the CBR to at least" in failed.reason
    for message_id in range(3 * DEFAULT_QUEUE):
        encoder.give("images", as_pdu(picture(8, 8), message_id))
    assert len(encoder.block._images) == 2 * DEFAULT_QUEUE
    blocks = (encoder.block, tight.block)
    assert not any(block.counters["crashes"] for block in blocks)


def test_layers_that_are_none_are_one_line():
    image = picture(72, 88)
    encoder = make("ds2c2_residual_encoder", coding="binary", snr_db=SNR_DB, cbr=CBR)
    first, second = encoded(encoder, image, base_of(image))
    ((_, c),) = [each for each in make("ds2c2_base_decoder").give("digital", first) if each[0] == "base"]
    wrong = pdu.Features(3, "ds2c2", image.shape, np.ones(7, np.float32), first.parameters)
    short = replace(second, data=second.data[:-1])
    for own in (wrong, short):
        decoder = Watched(hsc.ds2c2_residual_decoder())
        decoder.give("base", c)
        ((_, failed),) = decoder.give("residual", own)
        assert isinstance(failed, pdu.Failed) and "\n" not in failed.reason
        assert not decoder.block.counters["crashes"]
    for odd in (c.values[:-1], np.full_like(c.values, np.nan), c.values + 1e6):
        decoder = Watched(hsc.ds2c2_residual_decoder())
        decoder.give("base", replace(c, values=odd))
        ((_, failed),) = decoder.give("residual", second)
        assert "not that of a Base Decoder" in failed.reason and not decoder.block.counters["crashes"]


def test_a_tiny_image_takes_the_least_budget_that_holds_it():
    """16 × 16 pixels at 1/6 are 128 channel uses, fewer than one LDPC block."""
    image = picture(16, 16)
    layer = base_of(image, cbr=None, snr_db=None)
    streams = encoded(make("ds2c2_residual_encoder"), image, layer)
    assert [stream.data.size > 0 for stream in streams] == [True, False]
    decoder = make("ds2c2_residual_decoder")
    ((_, c),) = [each for each in make("ds2c2_base_decoder").give("digital", streams[0]) if each[0] == "base"]
    decoder.give("base", c)
    ((port, shown),) = decoder.give("residual", streams[1])
    assert port == "images" and shown.shape == image.shape
    assert sending.BASE_MARGIN_DB > sending.RESIDUAL_MARGIN_DB
