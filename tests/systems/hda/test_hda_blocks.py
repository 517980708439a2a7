"""HDA-DeepSC from its parts: the same image as from the whole codec; keys, tampering, lost
parts, the way back.
"""

import numpy as np
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics, modem
from gnuradio.hsc.app import samples
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import files as image_files
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.mcs import best_for, by_name, robust
from gnuradio.hsc.phy.packets import split
from gnuradio.hsc.symbol_link import cross
from gnuradio.hsc.systems.hda import blocks
from PIL import Image
from support.flowgraphs import Eraser, between, run, silence
from support.pictures import pixels
from support.watched import Watched

KEY = "00112233445566778899aabbccddeeff" * 2
OTHER = KEY[::-1]
SNR_DB = 12.0


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Three pieces of sample photographs, the last one grey, one of a size that no block divides."""
    folder = tmp_path_factory.mktemp("crops")
    for i, (path, size) in enumerate(
        zip(samples.photographs() * 3, [(96, 128), (75, 101), (64, 96)], strict=False)
    ):
        pixels = image_files.load(path).pixels[60 : 60 + size[0], 80 : 80 + size[1]]
        Image.fromarray(pixels if i < 2 else pixels[..., 1]).save(folder / f"crop{i}.png")
    return folder


class Parts(gr.top_block):
    """Figure 2 of the paper over a block that turns packets into received ones; `touch` stands between
    Digital Demodulator and Fusion.
    """

    def __init__(self, files, channel=None, key=KEY, receiver_key=KEY, touch=None):
        super().__init__("parts")
        self.source, self.encoder = (
            hsc.image_source(files, first_id=1),
            hsc.semantic_encoder(codec="hda_deepsc"),
        )
        self.allocation = hsc.hda_allocation(key=key, snr_db=SNR_DB)
        self.modulators, self.mux = (
            (hsc.analog_modulator(), hsc.digital_modulator()),
            hsc.message_mux(packet_symbols=700),
        )
        self.channel, self.demux = channel or hsc.symbol_channel("ideal"), hsc.message_demux()
        self.demodulators = hsc.analog_demodulator(), hsc.digital_demodulator()
        self.touch = touch or hsc.symbol_channel("ideal")
        self.fusion, self.decoder = hsc.hda_fusion(receiver_key), hsc.semantic_decoder("hda_deepsc")
        self.sink = hsc.image_sink()
        for source, out, target, into in (
            (self.source, "images", self.encoder, "images"),
            (self.encoder, "features", self.allocation, "features"),
            (self.allocation, "analog", self.modulators[0], "analog"),
            (self.allocation, "digital", self.modulators[1], "digital"),
            *between(self),
            (self.demodulators[0], "analog", self.fusion, "analog"),
            (self.demodulators[1], "digital", self.touch, "in"),
            (self.touch, "out", self.fusion, "digital"),
            (self.fusion, "features", self.decoder, "features"),
            (self.decoder, "images", self.sink, "images"),
        ):
            self.msg_connect(source, out, target, into)


def by_codec(name, image, receiver=None, **options):
    """The image that the whole codec gives over an ideal channel."""
    message = registry.create(name, da_ratio=0.2, **options).encode(
        image, Link(SNR_DB)
    )  # the blocks' default
    packets = split(modem.modulate(message, 1, 700))
    received = modem.demodulate(join([cross(p, 0, "ideal", silence) for p in packets]))
    return registry.create(name, **(options if receiver is None else receiver)).decode(received).image


def test_parts_give_the_image_of_the_whole_codec(crops):
    top = Parts(str(crops))
    run(top)
    assert len(top.sink.images) == 3
    for i, image in enumerate(top.sink.images.values()):
        sent = pixels(crops / f"crop{i}.png")
        assert np.array_equal(image, by_codec("hda_deepsc", sent, key=bytes.fromhex(KEY)))
        assert metrics.psnr_db(image, sent) > (
            28 if sent.shape[2] == 3 else 20
        )  # grey has a third of the channel uses


@pytest.mark.parametrize("receiver_key", ["", OTHER])
def test_without_the_key_every_message_is_counted_and_the_flowgraph_goes_on(crops, receiver_key):
    top = Parts(str(crops), receiver_key=receiver_key)
    run(top)
    assert len(top.sink.images) == 3 == top.fusion.counters["errors"] == top.fusion.counters["closed_chunks"]
    assert top.fusion.counters["crashes"] == 0
    for i, image in enumerate(top.sink.images.values()):
        sent = pixels(crops / f"crop{i}.png")
        expected = by_codec("hda_deepsc", sent, {"key": bytes.fromhex(OTHER)}, key=bytes.fromhex(KEY))
        assert np.array_equal(image, expected) and metrics.psnr_db(image, sent) < 20


class Flipper(hsc.blocks.base.MessageBlock):
    """Flips one bit of the digital part of the messages in `ids`, where the LDPC code no longer sees it."""

    def __init__(self, ids, bit):
        super().__init__("Flipper")
        self.open_ports({"in": {pdu.Digital: self._flip}}, ("out",))
        self.ids, self.bit = ids, bit

    def _flip(self, stream):
        data = stream.data.copy()
        data[self.bit // 8] ^= (1 << self.bit % 8) * (stream.message_id in self.ids)
        self.publish("out", pdu.Digital(**{**vars(stream), "data": data}))


@pytest.mark.parametrize("bit", [8 * 10, 8 * 60 + 3])
def test_a_flipped_bit_is_detected_and_shown_as_no_part_of_the_image(crops, bit):
    """One region, one chunk: it does not open, and the image is that of a receiver without the key."""
    top = Parts([str(crops / "crop0.png"), str(crops / "crop1.png")], touch=Flipper({1}, bit))
    run(top)
    assert top.fusion.counters["closed_chunks"] == 1 and list(top.sink.images) == [1, 2]
    first, second = pixels(crops / "crop0.png"), pixels(crops / "crop1.png")
    key = bytes.fromhex(KEY)
    assert np.array_equal(top.sink.images[1], by_codec("hda_deepsc", first, {}, key=key))
    assert np.array_equal(top.sink.images[2], by_codec("hda_deepsc", second, key=key))


def test_without_the_analog_part_there_is_still_an_image(crops):
    top = Parts(str(crops / "crop0.png"), Eraser(True))
    run(top)
    psnr = metrics.psnr_db(top.sink.images[1], pixels(crops / "crop0.png"))
    assert (
        17
        < psnr
        < metrics.psnr_db(by_codec("hda_deepsc", pixels(crops / "crop0.png")), pixels(crops / "crop0.png"))
        - 3
    )


def test_without_the_digital_part_the_message_fails_and_the_next_is_served(crops):
    top = Parts(str(crops), Eraser(False))
    run(top)
    assert not top.sink.images and top.fusion.counters["errors"] == 3 and top.fusion.counters["crashes"] == 0


class OverOfdm(gr.top_block):
    """HDA Transmitter → noise → HDA Receiver, beside it an Image Receiver and an eavesdropper; `snr` goes
    back.
    """

    def __init__(self, files, noise):
        from gnuradio import channels

        super().__init__("ofdm")
        self.source = hsc.image_source(files, in_flight=1, first_id=1)
        self.transmitter = hsc.hda_transmitter(key=KEY, continuous=False, trailing=4096)
        self.channel = channels.channel_model(noise, 0.5 / 64, 1.00001, [1.0], 3)
        self.receiver, self.eavesdropper = hsc.hda_receiver(KEY), hsc.hda_receiver("")
        self.other = hsc.image_receiver({"hda_deepsc": {"key": bytes.fromhex(KEY)}})
        self.stranger = hsc.image_receiver()
        self.sinks = {name: hsc.image_sink() for name in ("receiver", "eavesdropper", "other", "stranger")}
        self.log = Log()
        self.connect(self.transmitter, self.channel)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.log, "out", self.source, "next")
        self.msg_connect(self.transmitter, "sent", self.log, "sent")
        self.msg_connect(self.receiver, "snr", self.log, "snr")
        self.msg_connect(self.receiver, "images", self.log, "images")
        self.msg_connect(self.receiver, "snr", self.transmitter, "snr")
        for name, sink in self.sinks.items():
            self.connect(self.channel, getattr(self, name))
            self.msg_connect(getattr(self, name), "images", sink, "images")


class Log(hsc.blocks.base.MessageBlock):
    """Remembers what was sent and measured, and lets the next image go when the receiver has told of the last
    one.
    """

    def __init__(self):
        super().__init__("Log")
        inputs = {
            "sent": {pdu.Sent: self._sent},
            "snr": {pdu.Snr: self._snr},
            "images": {pdu.Image: self.ignore},
        }
        self.open_ports(inputs, ("out",), ends=("sent", "images"))
        self.mcs, self.snr, self.headers = [], [], {}

    def _sent(self, sent):
        self.mcs.append(sent.header.digital[0][0])
        self.headers[sent.message_id] = sent
        self._release(sent.message_id)

    def _snr(self, snr):
        self.snr.append(snr.snr_db)
        self._release(snr.message_id)

    def _release(self, message_id):
        if message_id in self.headers and len(self.snr) >= len(self.mcs):
            self.publish("out", self.headers[message_id])


def test_hierarchical_blocks_through_ofdm_with_the_way_back(crops):
    """The first image goes out without knowledge of the link, the next ones at the MCS for what the receiver
    measured.
    """
    top = OverOfdm(str(crops), 10 ** (-11 / 20))
    run(top)
    assert top.log.snr == pytest.approx([11, 11, 11], abs=0.7)
    assert top.log.mcs[0] == robust("nr").name
    for name, snr in zip(top.log.mcs[1:], top.log.snr[:2], strict=True):
        assert best_for(snr, 1.3, "nr").threshold_db <= by_name(name).threshold_db <= snr - 0.3
    errors = [
        block.counters["errors"]
        for block in (top.receiver.fusion, top.other.decoder, top.eavesdropper.fusion, top.stranger.decoder)
    ]
    assert errors == [0, 0, 3, 3]
    for message_id in (1, 2, 3):
        sent = pixels(crops / f"crop{message_id - 1}.png")
        received = {name: sink.images[message_id] for name, sink in top.sinks.items()}
        assert np.array_equal(received["receiver"], received["other"])
        assert np.array_equal(received["eavesdropper"], received["stranger"])
        assert metrics.psnr_db(received["receiver"], sent) > (24 if sent.shape[2] == 3 else 18)
        assert metrics.psnr_db(received["eavesdropper"], sent) < 20


def test_parts_of_another_codec_and_features_of_another_size_are_refused():
    head = {"message_id": 1, "codec": "hsc", "shape": (32, 32, 3)}
    fusion, decoder, allocation = (
        Watched(b) for b in (hsc.hda_fusion(), hsc.semantic_decoder("hda_deepsc"), hsc.hda_allocation())
    )
    fusion.give("analog", pdu.Analog(values=np.ones(4, np.float32), **head))
    ((_, failed),) = fusion.give("digital", pdu.Digital(data=np.ones(4, np.uint8), **head))
    assert "message of codec 'hsc'" in failed.reason
    few = pdu.Features(1, "hda_deepsc", (32, 32, 3), np.zeros(1919, np.float32), bytes([0x80, *bytes(7)]))
    for block in (decoder, allocation):
        made = block.give("features", few)
        assert made and all("1919 features are not those" in m.reason for _, m in made)


def test_key_of_a_block(tmp_path):
    (tmp_path / "key").write_text(KEY)
    assert (
        blocks.key_bytes(str(tmp_path / "key"))
        == blocks.key_bytes(KEY)
        == blocks.key_bytes(bytes.fromhex(KEY))
        == bytes.fromhex(KEY)
    )
    assert blocks.key_bytes("") is None is blocks.key_bytes(None)
    block = hsc.hda_fusion(KEY)
    with pytest.raises(HscError):
        block.set_key("secret")
    block.set_key("")
    assert block._key is None
