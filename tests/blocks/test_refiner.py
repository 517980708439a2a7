"""The refiner in flowgraphs: a block behind any decoder, and an option of a Message Decoder's codecs."""

import threading

import numpy as np
import pmt
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import modem
from gnuradio.hsc.blocks import pdu, pdu_base
from gnuradio.hsc.channel import numpy_normal
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Decoded, error_shape
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.packets import split
from gnuradio.hsc.refiner import refine
from gnuradio.hsc.symbol_link import cross
from hypothesis import given, settings
from hypothesis import strategies as st
from support.flowgraphs import run
from support.pixel_codec import picture
from support.watched import make

SHAPE = (40, 57, 3)
ERROR = np.linspace(0, 1, np.prod(error_shape(SHAPE)), dtype=np.float32)
WAIT = 60


def image(message_id=3, **known):
    pixels = picture(*SHAPE)
    return pdu.Image(message_id, pixels.shape, pixels.ravel(), **known)


# ---- the block


def test_an_image_comes_refined_and_before_that_as_it_was(asked):
    block = make("diffusion_refiner", steps=2, realism=0.5, seed=9)
    given_ = image(snr_db=4.0, packets=8, packets_received=7, seconds=100.0, notices="a line", error=ERROR)
    (first, partial), (second, final) = block.give("images", given_)
    assert (first, second) == ("partial", "images")
    assert np.array_equal(partial.pixels, given_.pixels) and partial.part == "before the refiner"
    assert np.array_equal(final.pixels, 255 - given_.pixels) and final.error is None and final.part is None
    assert (final.message_id, final.snr_db, final.packets, final.packets_received, final.notices) == (
        3, 4.0, 8, 7, "a line"
    )  # fmt: skip
    assert final.seconds > 100.0
    ((seen, error, told),) = asked
    assert np.array_equal(seen, given_.pixels) and np.array_equal(error, ERROR.reshape(error_shape(SHAPE)))
    assert (told.refiner_steps, told.realism, told.refiner_seed) == (2, 0.5, 9)


def test_a_producer_that_knows_nothing_of_the_error_is_served(asked):
    block = make("diffusion_refiner")
    assert len(block.give("images", image())) == 2
    assert asked[0][1] is None and not block.block.counters["errors"]


def test_without_realism_images_pass(asked):
    block, given_ = make("diffusion_refiner", realism=0), image()
    ((port, passed),) = block.give("images", given_)
    assert port == "images" and np.array_equal(passed.pixels, given_.pixels) and not asked


def test_an_image_of_which_nothing_is_known_passes(asked):
    """A single level of grey: a refiner would make something up."""
    block, grey = make("diffusion_refiner"), np.full(12, 128, np.uint8)
    ((port, passed),) = block.give("images", pdu.Image(3, (2, 2, 3), grey, notices="all is lost"))
    assert port == "images" and np.array_equal(passed.data, grey) and not asked


def test_values_change_at_run_time_and_impossible_ones_change_nothing(asked):
    block = make("diffusion_refiner")
    block.block.set_steps(1), block.block.set_realism(0.25), block.block.set_seed(5)
    refused = (
        lambda: block.block.set_steps(5),
        lambda: block.block.set_realism(1.5),
        lambda: block.block.set_realism("all"),
        lambda: block.block.set_seed(-1),
        lambda: hsc.diffusion_refiner(steps=0),
        lambda: hsc.diffusion_refiner(realism=float("nan")),
    )
    for attempt in refused:
        with pytest.raises(HscError) as error:
            attempt()
        assert "\n" not in str(error.value)
    block.give("images", image())
    told = asked[0][2]
    assert (told.refiner_steps, told.realism, told.refiner_seed) == (1, 0.25, 5)


@pytest.mark.parametrize(
    "mistake", [RuntimeError("a mistake"), HscError("no weights 'refiner': install them")]
)
def test_a_refiner_that_fails_costs_the_refinement_alone(monkeypatch, mistake):
    def broken(*_):
        raise mistake

    monkeypatch.setattr(refine, "refine", broken)
    block, given_ = make("diffusion_refiner"), image(error=ERROR)
    *_, (port, final) = block.give("images", given_)
    assert port == "images" and np.array_equal(final.pixels, given_.pixels)
    assert block.block.counters["errors"] == 1
    assert block.block.counters["crashes"] == isinstance(mistake, RuntimeError)


def wrong_errors():
    """Vectors that are no error of an image of SHAPE."""
    size = ERROR.size
    bad = st.sampled_from([np.nan, np.inf, -np.inf, -1e-6, 193.0, 3e38, -3e38])
    spoilt = st.tuples(st.integers(0, size - 1), bad).map(
        lambda at: np.where(np.arange(size) == at[0], at[1], 0.1)
    )
    sizes = st.integers(0, 3 * size).filter(lambda n: n != size).map(np.zeros)
    return st.one_of(spoilt, sizes).map(lambda values: values.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(wrong_errors())
def test_an_error_that_cannot_be_one_is_counted_and_the_image_passes(error):
    block, given_ = make("diffusion_refiner"), image(error=error)
    before = block.block.counters["errors"]
    *_, (port, final) = block.give("images", given_)
    assert port == "images" and np.array_equal(final.pixels, given_.pixels)
    assert block.block.counters["errors"] == before + 1 and not block.block.counters["crashes"]


def test_an_error_of_another_type_is_no_image():
    block = make("diffusion_refiner")
    meta, vector = pmt.car(image().to_pdu()), pmt.cdr(image().to_pdu())
    wrong = pmt.cons(pmt.dict_add(meta, pmt.intern("error"), pmt.init_u8vector(2, [1, 2])), vector)
    assert not block.give("images", wrong) and block.block.counters["errors"] == 1


class Chain(gr.top_block):
    """Images → Diffusion Refiner → Image Sink."""

    def __init__(self, images, **arguments):
        super().__init__("chain")
        self.refiner, self.sink = hsc.diffusion_refiner(**arguments), hsc.image_sink("")
        self.partial = hsc.image_sink("")
        self.msg_connect(self.refiner, "images", self.sink, "images")
        self.msg_connect(self.refiner, "partial", self.partial, "images")
        for each in (*images, pdu.End()):
            self.refiner._post(pmt.intern("images"), each.to_pdu())
        # it listens to nobody: the sink of partial images ends with the flowgraph
        self.partial._post(pmt.intern("images"), pdu.End().to_pdu())


def test_a_flowgraph_refines_every_image_in_order_and_ends(asked):
    top = Chain([image(i) for i in range(5)])
    run(top)
    assert list(top.sink.images) == list(range(5)) and len(asked) == 5
    assert all(np.array_equal(each, 255 - picture(*SHAPE)) for each in top.sink.images.values())


def test_a_block_that_is_behind_may_let_images_pass(asked):
    """Five wait from the beginning: only the last has none behind it but the end."""
    top = Chain([image(i) for i in range(5)], skip=True)
    run(top)
    assert list(top.sink.images) == list(range(5))
    passed = [np.array_equal(each, picture(*SHAPE)) for each in top.sink.images.values()]
    assert passed[:4] == [True] * 4 and top.refiner.counters["skipped"] == sum(passed)


# ---- as an option of the Message Decoder's codecs


def packets(name, lost=(), channels=3, message_id=7):
    """Received packets of one image, without those of some numbers."""
    message = registry.create(name).encode(picture(64, 64, channels), Link(10.0))
    normal = numpy_normal(np.random.default_rng(1))
    sent = split(modem.modulate(message, message_id, 256))
    crossed = [cross(p, 20.0, "awgn", normal, 1.0, i * 2000) for i, p in enumerate(sent)]
    return [p for p in crossed if p.header.index not in lost]


def decoded(name, some, **options):
    """What a Message Decoder makes of packets, and its block."""
    block = make("message_decoder", options={name: options})
    made = [each for p in some for each in block.give("packets", pdu.ReceivedPacket.of(p))]
    block.block.on_end()
    return [each for each in (*made, *block.take()) if each[0] != "snr"], block.block


@pytest.mark.parametrize("name", ["separate", "deepjscc", "hda_deepsc"])
def test_the_image_before_the_refiner_is_the_partial_one(name, asked):
    some = packets(name)
    alone = registry.create(name).decode(modem.demodulate(join(some)))
    made, block = decoded(name, some, refiner=True, realism=0.5)
    (first, partial), (second, final) = made
    assert (first, second) == ("partial", "images") and partial.part == "before the refiner"
    assert np.array_equal(partial.pixels, alone.image)
    assert np.array_equal(final.pixels, 255 - alone.image) and final.part is None and final.error is None
    assert final.seconds >= partial.seconds > 0 and final.packets == final.packets_received == len(some)
    if name != "separate":
        assert np.array_equal(partial.error_bands, alone.error)
    assert len(asked) == 1 and not block.counters["errors"]


def test_a_codec_that_refines_nothing_tells_a_refiner_behind_it(asked):
    """Message Decoder → Diffusion Refiner: the same as with the codec's option."""
    some = packets("deepjscc", lost=(2,))
    ((port, plain),), _ = decoded("deepjscc", some)
    assert port == "images" and not asked
    *_, (_, behind) = make("diffusion_refiner", realism=0.5).give("images", plain)
    inside, _ = decoded("deepjscc", some, refiner=True, realism=0.5)
    assert np.array_equal(behind.pixels, inside[-1][1].pixels)
    (_, one, _), (_, other, _) = asked
    assert np.array_equal(one, other) and one.shape == error_shape((64, 64, 3))


@pytest.mark.parametrize("mistake", [RuntimeError("a mistake"), HscError("no weights 'refiner'")])
def test_the_decoder_hands_out_the_image_of_a_refiner_that_fails(monkeypatch, mistake):
    def broken(*_):
        raise mistake

    monkeypatch.setattr(refine, "refine", broken)
    some = packets("deepjscc")
    made, block = decoded("deepjscc", some, refiner=True)
    assert [port for port, _ in made] == ["partial", "images"]
    assert np.array_equal(
        made[1][1].pixels, registry.create("deepjscc").decode(modem.demodulate(join(some))).image
    )
    assert block.counters["errors"] == 1


def test_images_of_incomplete_messages_are_not_refined(asked):
    block = make("message_decoder", options={"deepjscc": {"refiner": True}}).block
    some = packets("deepjscc")
    partial = block._decode_partial(some[:2])
    assert partial.part is None and partial.packets_received == 2 and not asked


@pytest.mark.parametrize("name", ["deepjscc", "hda_deepsc"])
def test_semantic_decoders_tell_a_refiner_behind_them_too(name):
    """From the fine blocks the same error comes as from the whole codec."""
    some = packets(name)
    demux = make("message_demux")
    came = [each for p in some for each in demux.give("packets", pdu.ReceivedPacket.of(p))]
    streams = {port: part for port, part in came if port != "snr"}
    analog = make("analog_demodulator").give("symbols", streams["analog"])[0][1]
    if name == "hda_deepsc":
        digital = make("digital_demodulator").give("symbols", streams["digital"])[0][1]
        fusion = make("hda_fusion")
        fusion.give("analog", analog)
        ((_, features),) = fusion.give("digital", digital)
        ((_, made),) = make("hda_semantic_decoder").give("features", features)
    else:
        ((_, made),) = make("deepjscc_semantic_decoder").give("analog", analog)
    alone = registry.create(name).decode(modem.demodulate(join(some)))
    assert np.array_equal(made.pixels, alone.image)
    np.testing.assert_allclose(made.error_bands, alone.error, rtol=1e-5)


def test_image_pdus_are_made_of_what_a_codec_gives():
    pixels, error = picture(*SHAPE), ERROR.reshape(error_shape(SHAPE))
    made = pdu_base.parse(pdu.Image.of(4, Decoded(pixels, ("one", "two"), error), snr_db=3.0).to_pdu())
    assert (made.message_id, made.notices, made.snr_db) == (4, "one; two", 3.0)
    assert np.array_equal(made.pixels, pixels) and np.array_equal(made.error_bands, error)
    bare = pdu_base.parse(pdu.Image.of(4, Decoded(pixels)).to_pdu())
    assert bare.error is None and bare.error_bands is None and bare.notices is None


class Slow(gr.top_block):
    """Message Decoder whose refiner takes its time → sinks."""

    def __init__(self):
        super().__init__("slow")
        self.decoder = hsc.message_decoder({"deepjscc": {"refiner": True}}, partial=1)
        self.sink, self.partial = hsc.image_sink(""), hsc.image_sink("")
        self.msg_connect(self.decoder, "images", self.sink, "images")
        self.msg_connect(self.decoder, "partial", self.partial, "images")


def test_the_image_before_the_refiner_is_seen_while_it_works(monkeypatch):
    release = threading.Event()

    def waits(image, error, settings):
        assert release.wait(WAIT)
        return 255 - image

    monkeypatch.setattr(refine, "refine", waits)
    top, some = Slow(), packets("deepjscc")
    top.start()
    for p in some:
        top.decoder._post(pmt.intern("packets"), pdu.ReceivedPacket.of(p).to_pdu())
    alone = registry.create("deepjscc").decode(modem.demodulate(join(some))).image
    for _ in range(100 * WAIT):
        if 7 in top.partial.images and np.array_equal(top.partial.images[7], alone):
            break
        threading.Event().wait(0.01)
    assert np.array_equal(top.partial.images[7], alone) and not top.sink.images
    release.set()
    for _ in range(100 * WAIT):
        if top.sink.images:
            break
        threading.Event().wait(0.01)
    top.stop()
    top.wait()
    assert np.array_equal(top.sink.images[7], 255 - alone)
