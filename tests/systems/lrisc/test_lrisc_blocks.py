"""LRISC from its parts: the same image as from the whole codec; regions of interest by message; lost parts;
restart; the way back.
"""

import numpy as np
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics, modem
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import DEFAULT_QUEUE, MessageBlock
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import error_shape
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.packets import split
from gnuradio.hsc.symbol_link import cross
from gnuradio.hsc.systems.lrisc.allocation import side_mcs
from PIL import Image
from support import pictures
from support.flowgraphs import Eraser, between, run, silence
from support.pictures import pixels
from support.pixel_codec import picture
from support.watched import Watched, make

SNR_DB, CBR = 12.0, 1 / 4
ROI = "16,24,40,32"
RECTANGLE = np.array([16, 24, 40, 32], np.int32)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return pictures.crops(tmp_path_factory.mktemp("crops"))


class Kept(MessageBlock):
    """Keeps every PDU, by port; the images are waited for."""

    def __init__(self):
        super().__init__("Kept")
        kinds = {"images": pdu.Image, "partial": pdu.Image, "snr": pdu.Snr, "sent": pdu.Sent}
        self.got = {port: [] for port in kinds}
        handlers = {port: {kind: self.got[port].append} for port, kind in kinds.items()}
        self.open_ports(handlers, (), ends=("images",))


class Parts(gr.top_block):
    """The paper's structure over a block that turns packets into received ones."""

    def __init__(self, files, channel=None):
        super().__init__("parts")
        link = {"snr_db": SNR_DB, "cbr": CBR}
        self.source = hsc.image_source(files, first_id=1)
        self.encoder = hsc.semantic_encoder("lrisc", **link)
        self.allocation = hsc.lrisc_rate_allocation(ROI, **link)
        self.modulators = hsc.analog_modulator(), hsc.digital_modulator()
        self.mux = hsc.message_mux(packet_symbols=700)
        self.channel, self.demux = channel or hsc.symbol_channel("ideal"), hsc.message_demux()
        self.demodulators = hsc.analog_demodulator(), hsc.digital_demodulator()
        self.decoder, self.refiner = hsc.semantic_decoder("lrisc"), hsc.diffusion_refiner(steps=2)
        self.kept = Kept()
        for source, out, target, into in (
            (self.source, "images", self.encoder, "images"),
            (self.encoder, "features", self.allocation, "features"),
            (self.allocation, "analog", self.modulators[0], "analog"),
            (self.allocation, "digital", self.modulators[1], "digital"),
            *between(self),
            (self.demodulators[0], "analog", self.decoder, "analog"),
            (self.demodulators[1], "digital", self.decoder, "digital"),
            (self.decoder, "images", self.refiner, "images"),
            (self.refiner, "images", self.kept, "images"),
        ):
            self.msg_connect(source, out, target, into)


def by_codec(image, **options):
    """What the whole codec makes of an image over an ideal channel, before the refiner."""
    message = registry.create("lrisc", **options).encode(image, Link(SNR_DB, CBR))
    packets = split(modem.modulate(message, 1, 700))
    received = modem.demodulate(join([cross(p, 0, "ideal", silence) for p in packets]))
    return registry.create("lrisc").decode(received)


def test_parts_give_the_image_of_the_whole_codec_and_tell_the_refiner(crops, asked):
    top = Parts(str(crops))
    run(top)
    assert [image.message_id for image in top.kept.got["images"]] == [1, 2] and len(asked) == 2
    for i, (image, (before, error, told)) in enumerate(zip(top.kept.got["images"], asked, strict=True)):
        sent = pixels(crops / f"crop{i}.png")
        wanted = by_codec(sent, roi=ROI)
        assert np.array_equal(before, wanted.image) and np.array_equal(image.pixels, 255 - wanted.image)
        np.testing.assert_allclose(error, wanted.error, rtol=1e-5)
        assert error.shape == error_shape(sent.shape) and told.refiner_steps == 2
        assert np.array_equal(image.region_blocks, wanted.region) and wanted.region.sum() == 5 * 4
        assert metrics.psnr_db(before, sent) > (24 if sent.shape[2] == 3 else 18)


def test_without_the_values_there_is_an_image_and_without_side_information_a_coarse_one(crops, asked):
    file = str(crops / "crop0.png")
    values_lost, side_lost = Parts(file, Eraser(True)), Parts(file, Eraser(False))
    run(values_lost), run(side_lost)
    assert (
        len(values_lost.kept.got["images"]) == 1 == len(asked) - 1
        and not values_lost.decoder.counters["errors"]
    )
    (coarse,) = side_lost.kept.got["images"]
    assert "side information is lost" in coarse.notices and "mean colour" in coarse.notices
    assert side_lost.decoder.counters["errors"] == 1 and not side_lost.decoder.counters["crashes"]


def test_as_many_masks_as_may_wait_are_there_when_their_images_come():
    """And what fails before leaves none behind."""
    allocation = make("lrisc_rate_allocation")
    mask = np.zeros(64 * 64, np.uint8)
    for message_id in range(DEFAULT_QUEUE):
        allocation.give("roi", pdu.Image(message_id, (64, 64, 1), mask))
    allocation.give("features", pdu.Failed("before", "no image", 3))
    assert list(allocation.block._own) == [i for i in range(DEFAULT_QUEUE) if i != 3]
    for message_id in range(100, 100 + 2 * DEFAULT_QUEUE):
        allocation.give("roi", pdu.Image(message_id, (64, 64, 1), mask))
    assert allocation.block.counters["errors"] == DEFAULT_QUEUE - 1


class OverOfdm(gr.top_block):
    """LRISC Transmitter → channel → LRISC Receiver, beside it an Image Receiver; the SNR goes back."""

    def __init__(self, files, noise):
        from gnuradio import channels

        super().__init__("ofdm")
        self.source = hsc.image_source(files, in_flight=1, first_id=1)
        self.transmitter = hsc.lrisc_transmitter(ROI, cbr=CBR, continuous=False, trailing=4096)
        self.channel = channels.channel_model(noise, 0.5 / 64, 1.00001, [1.0], 3)
        self.receiver = hsc.lrisc_receiver(steps=1, realism=0.5)
        self.other = hsc.image_receiver({"lrisc": {"refiner_steps": 1, "realism": 0.5}})
        self.kept, self.others = Kept(), Kept()
        self.connect(self.transmitter, self.channel)
        self.connect(self.channel, self.receiver)
        self.connect(self.channel, self.other)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.transmitter, "sent", self.kept, "sent")
        self.msg_connect(self.receiver, "snr", self.transmitter, "snr")
        for port in ("images", "partial", "snr"):
            self.msg_connect(self.receiver, port, self.kept, port)
        self.msg_connect(self.other, "images", self.others, "images")


def test_hierarchical_blocks_through_ofdm_with_the_way_back_again_and_again(crops, asked):
    """The same image as from an Image Receiver, before and behind the refiner, in the second run too."""
    top = OverOfdm(str(crops), 10 ** (-11 / 20))
    for n in (2, 4):
        run(top)
        images, before = top.kept.got["images"], top.kept.got["partial"]
        others = top.others.got["images"]
        assert [image.message_id for image in images] == list(range(1, n + 1))
        assert len(others) == len(before) == n
    for image, other, unrefined in zip(images, others, before, strict=True):
        sent = pixels(crops / f"crop{(image.message_id - 1) % 2}.png")
        assert np.array_equal(image.pixels, 255 - unrefined.pixels)
        assert np.array_equal(image.pixels, other.pixels)
        assert np.array_equal(image.region_blocks, other.region_blocks) and image.region_blocks.sum() == 20
        assert unrefined.part == "before the refiner" and image.packets == image.packets_received
        assert metrics.psnr_db(unrefined.pixels, sent) > (21 if sent.shape[2] == 3 else 17)
    told = {(settings.refiner_steps, settings.realism) for *_, settings in asked}
    assert told == {(1, 0.5)}
    measured = [snr.snr_db for snr in top.kept.got["snr"]]
    assert measured == pytest.approx([11] * 4, abs=0.7)
    robust = side_mcs(Link(), 1000)
    adapted = {side_mcs(Link(snr_db=each), 1000) for each in measured}
    used = [sent.header.digital[0][0] for sent in top.kept.got["sent"]]
    assert used[0] == robust not in adapted and used[-1] in adapted
    blocks = (
        top.transmitter.allocation,
        top.receiver.latent_decoder,
        top.receiver.refiner,
        top.other.decoder,
    )
    assert not any(block.counters["errors"] for block in blocks)


def features(image, message_id=3):
    """The PDU that a Latent Encoder makes of an image."""
    ((_, made),) = make("lrisc_latent_encoder", snr_db=SNR_DB, cbr=CBR).give(
        "images", pdu.Image(message_id, image.shape, image.ravel())
    )
    return made


@pytest.fixture
def allocation():
    return make("lrisc_rate_allocation", snr_db=SNR_DB, cbr=CBR)


def parts(allocation, latent):
    """Values and side information of a latent, as bytes."""
    sent = dict(allocation.give("features", latent))
    return sent["analog"].values.tobytes(), sent["digital"].data.tobytes()


def wanted(image, **options):
    """The same from the whole codec."""
    message = registry.create("lrisc", **options).encode(image, Link(SNR_DB, CBR))
    return message.analog.tobytes(), message.digital[0].data


def mask_of(image, message_id, channels=1):
    mask = np.zeros((*image.shape[:2], channels), np.uint8)
    mask[24:56, 16:56] = 255
    return pdu.Image(message_id, mask.shape, mask.ravel())


def test_rectangles_and_masks_come_by_message(allocation, tmp_path):
    image = picture(72, 88)
    plain, inside = wanted(image), wanted(image, roi=ROI)
    latent = features(image)
    assert parts(allocation, latent) == plain != inside
    allocation.give("roi", pdu.Region(RECTANGLE))
    assert parts(allocation, latent) == inside == parts(allocation, latent)  # until another comes
    allocation.give("roi", pdu.Region(np.zeros(0, np.int32)))
    assert parts(allocation, latent) == plain
    Image.fromarray(mask_of(image, 3).pixels[..., 0]).save(tmp_path / "mask.png")
    by_mask = wanted(image, roi=str(tmp_path / "mask.png"))
    for channels in (1, 3):
        allocation.give("roi", mask_of(image, 900, channels))
        assert parts(allocation, latent) == by_mask != plain
    allocation.block.set_roi(ROI)  # in the place of what came
    assert parts(allocation, latent) == inside
    allocation.block.set_roi("")
    assert parts(allocation, latent) == plain


def test_a_region_with_an_id_is_that_images_alone_whichever_comes_between(allocation):
    image = picture(72, 88)
    plain, inside = wanted(image), wanted(image, roi=ROI)
    other = wanted(image, roi="0,0,16,16")
    allocation.give("roi", pdu.Region(RECTANGLE, 5))
    allocation.give("roi", pdu.Region(np.array([0, 0, 16, 16], np.int32), 6))
    found = [parts(allocation, features(image, message_id)) for message_id in (4, 5, 6, 5)]
    assert found == [plain, inside, other, plain]
    for message_id in range(3 * DEFAULT_QUEUE):
        allocation.give("roi", pdu.Region(RECTANGLE, message_id))
    assert len(allocation.block._own) == 2 * DEFAULT_QUEUE


@pytest.mark.parametrize(
    "told",
    [
        pdu.Region(np.array([200, 0, 8, 8], np.int32)),
        pdu.Region(np.array([0, 0, 0, 8], np.int32)),
        pdu.Region(np.array([-8, -(2**31), 8, 8], np.int32)),
        pdu.Region(np.tile(RECTANGLE, 255)),
        pdu.Image(3, (8, 8, 1), np.zeros(64, np.uint8)),
    ],
)
def test_a_region_that_does_not_fit_is_counted_and_the_image_is_sent_without(allocation, told):
    image = picture(72, 88)
    allocation.give("roi", told)
    assert parts(allocation, features(image)) == wanted(image)
    assert allocation.block.counters["errors"] == 1 and not allocation.block.counters["crashes"]


def test_what_is_no_region_stops_nothing(allocation):
    image = picture(72, 88)
    assert not allocation.give("roi", pdu.Tick(5)) and not allocation.give("roi", pdu.Failed("x", "y", 3))
    assert allocation.block.counters["errors"] == 1
    with pytest.raises(HscError, match="x, y, width, height"):
        pdu.Region(np.arange(5, dtype=np.int32))
    assert parts(allocation, features(image)) == wanted(image)


def test_values_change_at_run_time_and_impossible_ones_change_nothing(allocation):
    image, block = picture(72, 88), allocation.block
    block.set_roi(ROI), block.set_roi_weight(2.0), block.set_repair_share(0.6)
    assert parts(allocation, features(image)) == wanted(image, roi=ROI, roi_weight=2.0, repair_share=0.6)
    for refused in (
        lambda: block.set_roi_weight(9),
        lambda: block.set_side_share(0.9),
        lambda: block.set_repair_share(1.0),
        lambda: block.set_mcs("1024QAM-1/2"),
    ):
        with pytest.raises(HscError):
            refused()
    allocation.give("snr", pdu.LinkSetting(SNR_DB, 2.2, CBR, repair_share=0.3))
    block.set_roi(""), block.set_repair_share(None)
    message = registry.create("lrisc").encode(image, Link(SNR_DB, CBR, None, 0.3, 2.2))
    assert parts(allocation, features(image)) == (message.analog.tobytes(), message.digital[0].data)


def test_what_cannot_be_served_is_one_line_and_the_next_image_is(allocation):
    image = picture(72, 88)
    few = pdu.Features(1, "lrisc", (32, 32, 3), np.zeros(1919, np.float32))
    other = pdu.Features(2, "hda_deepsc", (32, 32, 3), np.zeros(1920, np.float32))
    for latent, reason in ((few, "1919 features are not those"), (other, "message of codec 'hda_deepsc'")):
        made = allocation.give("features", latent)
        assert len(made) == 2 and all(reason in failed.reason for _, failed in made)
    tight = make("lrisc_rate_allocation", cbr=1e-3)
    made = tight.give("features", features(image))
    assert len(made) == 2 and all("raise the CBR to at least" in failed.reason for _, failed in made)
    assert parts(allocation, features(image)) == wanted(image)
    assert not allocation.block.counters["crashes"] and not tight.block.counters["crashes"]
    decoder = Watched(hsc.lrisc_latent_decoder())
    head = {"message_id": 1, "shape": (32, 32, 3)}
    for name, reason in (("hsc", "message of codec 'hsc'"), ("lrisc", "update this receiver")):
        decoder.give("analog", pdu.Analog(codec=name, values=np.ones(4, np.float32), **head))
        ((_, failed),) = decoder.give("digital", pdu.Digital(codec=name, data=np.ones(4, np.uint8), **head))
        assert reason in failed.reason
        head["message_id"] += 1
    assert decoder.block.counters["errors"] == 2 and not decoder.block.counters["crashes"]


def test_a_tiny_image_takes_the_least_budget_that_holds_it(asked):
    """16 × 16 pixels at 1/6 are 128 channel uses, fewer than one LDPC block."""
    image = picture(16, 16)
    ((_, latent),) = make("lrisc_latent_encoder").give("images", pdu.Image(1, image.shape, image.ravel()))
    sent = dict(make("lrisc_rate_allocation").give("features", latent))
    decoder = make("lrisc_latent_decoder")
    decoder.give("analog", sent["analog"])
    ((port, shown),) = decoder.give("digital", sent["digital"])
    assert port == "images" and shown.shape == image.shape
    assert not decoder.block.counters["errors"]
