"""DS²C² as a codec: budgets, layers, losses, any size, and anything that may be received."""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc.app import samples
from gnuradio.hsc.coding import budget
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.phy import digital
from gnuradio.hsc.phy import mcs as mcs_table
from gnuradio.hsc.systems.ds2c2 import base, dispersed
from gnuradio.hsc.systems.ds2c2.codec import Ds2c2Codec
from gnuradio.hsc.systems.ds2c2.parameters import RATES, Ds2c2Parameters
from gnuradio.hsc.systems.ds2c2.receiving import BASE_BROKEN, BASE_LOST, image_of, received_base
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import modulated
from support.pixel_codec import picture

CODINGS = ("dispersed", "binary")
SEMANTIC = ("derived", "sent")
OURS = Ds2c2Codec()
# Enough for the coarsest base layer and a residual at 0.26 bits per pixel, at 10 dB.
CBR = 1 / 6


@pytest.fixture(scope="module")
def photo():
    (path,) = (path for path in samples.photographs() if path.stem == "kitten")
    return np.ascontiguousarray(load(path).pixels[40:200, 60:284])


def uses_of(image, cbr):
    return budget.channel_uses(Link(cbr=cbr), image.shape)


def quality(image, message, lost=0.0, seed=1, **options):
    return psnr_db(image, Ds2c2Codec(**options).decode(modulated(message, 30.0, lost, seed)).image)


# ---- budget


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3])),
    st.sampled_from(CODINGS),
    st.floats(0.01, 2.0),
    st.none() | st.floats(-5, 30),
    st.none() | st.sampled_from(sorted(mcs_table.TABLE)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=15, deadline=None)
def test_every_message_keeps_to_its_budget_or_tells_the_one_it_needs(shape, coding, cbr, snr_db, mcs, seed):
    image, codec = picture(*shape, seed=seed), Ds2c2Codec(coding=coding)
    try:
        message = codec.encode(image, Link(snr_db, cbr, mcs))
    except HscError as error:
        cbr = float(str(error).split("raise the CBR to at least ")[1])
        message = codec.encode(image, Link(snr_db, cbr, mcs))
    assert 0 < budget.spent(message) <= uses_of(image, cbr) and len(message.digital) == 2
    found = codec.decode(modulated(message, 60.0))
    assert found.image.shape == shape and not found.notices


@pytest.mark.parametrize(("height", "width"), [(113, 160), (112, 175), (100, 97)])
def test_chunks_have_nothing_of_cells_without_a_pixel(photo, monkeypatch, height, width):
    coded, real = [], dispersed.encode
    monkeypatch.setattr(dispersed, "encode", lambda z, *rest: coded.append(z) or real(z, *rest))
    OURS.encode(photo[:height, :width], Link(10.0, 1 / 3))
    down, across = -(-height // 16), -(-width // 16)
    z = coded[-1]
    assert z.shape[1:] == (-(-height // 32) * 2, -(-width // 32) * 2)
    assert not z[:, down:].any() and not z[:, :, across:].any()
    assert (np.abs(z[:, :down, :across]).max(0) > 0).all()


@pytest.mark.parametrize("cbr", [1 / 12, 1 / 6])
def test_little_of_the_budget_is_left_over(photo, cbr):
    assert budget.spent(OURS.encode(photo, Link(10.0, cbr))) > 0.95 * uses_of(photo, cbr)


@pytest.mark.parametrize("coding", CODINGS)
def test_parameters_tell_what_was_sent(photo, coding):
    message = Ds2c2Codec(coding=coding, fineness=1, steps=1).encode(photo, Link(15.0, CBR))
    told = Ds2c2Codec.describe(message.parameters)
    assert told["coding"] == coding and told["fineness"] == 1
    assert told["base_bytes"] == len(base.encode(photo, 1).data) < len(message.digital[0].data)
    if coding == "binary":
        assert told["steps"] == 1 and told["rate"] in RATES[1:]
    else:
        assert 30 < told["step"] < 60
    stronger, weaker = (mcs_table.by_name(stream.mcs).threshold_db for stream in message.digital)
    assert stronger < weaker, "the base layer is the safer one"


def test_a_rate_is_kept_where_the_budget_holds_it(photo):
    codec = Ds2c2Codec(coding="binary", rate="0.13", fineness=0)
    sent = codec.encode(photo, Link(15.0, CBR))
    assert Ds2c2Codec.describe(sent.parameters)["rate"] == "0.13"
    tight = Ds2c2Codec(coding="binary", rate="1.0", fineness=0).encode(photo, Link(5.0, 1 / 8))
    assert not tight.digital[1].data and quality(photo, tight) > 18


# ---- quality and losses


@pytest.mark.parametrize("coding", CODINGS)
def test_the_residual_adds_to_the_base_layer(photo, coding):
    message = Ds2c2Codec(coding=coding, fineness=1).encode(photo, Link(15.0, CBR))
    known = Ds2c2Parameters.unpack(message.parameters)
    alone = psnr_db(photo, image_of(base.encode(photo, 1).c, None, known, photo.shape))
    assert quality(photo, message) > alone + 1.5 > 22


@pytest.mark.parametrize("coding", CODINGS)
def test_losses_cost_a_little_more_each_and_never_the_image(photo, coding):
    """With more repair symbols than losses, in the mean of four patterns, at half a bit per pixel."""
    codec = Ds2c2Codec(coding=coding, fineness=2, repair_share=0.6)
    message = codec.encode(photo, Link(15.0, 1 / 8))
    shares = (0.0, 0.05, 0.16, 0.3)
    curve = [np.mean([quality(photo, message, lost, seed) for seed in range(4)]) for lost in shares]
    slope = -np.diff(curve) / np.diff(shares) * 0.05
    assert (slope > 0).all() and slope.max() < 1.0


def test_a_receiver_that_is_not_told_of_losses_does_worse(photo):
    codec = Ds2c2Codec(coding="binary", fineness=1, repair_share=0.6)
    message = codec.encode(photo, Link(15.0, 1 / 4))
    told, untold = (
        np.mean([quality(photo, message, 0.16, seed, told=known) for seed in range(3)])
        for known in (True, False)
    )
    assert told > untold + 0.1


def without(message, *lost):
    """Arrived, without some streams."""
    arrived = modulated(message, 30.0)
    streams = [
        replace(s, data=bytes(len(s.data)), received=np.zeros(len(s.data), bool)) if i in lost else s
        for i, s in enumerate(arrived.digital)
    ]
    return replace(arrived, digital=tuple(streams))


@pytest.mark.parametrize("coding", CODINGS)
def test_without_the_residual_the_image_is_the_base_layers(photo, coding):
    message = Ds2c2Codec(coding=coding, fineness=2).encode(photo, Link(15.0, CBR))
    found = OURS.decode(without(message, 1))
    known, c = Ds2c2Parameters.unpack(message.parameters), base.encode(photo, 2).c
    assert not found.notices
    wanted = image_of(c, None, known, photo.shape)
    # A network that is told that all is lost stays near.
    assert psnr_db(wanted, found.image) > 30 and psnr_db(photo, found.image) > 23


@pytest.mark.parametrize("coding", CODINGS)
def test_without_the_base_layer_the_image_is_grey_and_says_so(photo, coding):
    message = Ds2c2Codec(coding=coding).encode(photo, Link(15.0, CBR))
    found = OURS.decode(without(message, 0))
    assert (found.image == 128).all() and found.notices == (BASE_LOST,)


def test_of_an_incomplete_base_layer_what_there_is_is_shown(photo):
    """The longer its end that came, the better; all of it is the base layer."""
    message = Ds2c2Codec(fineness=3, repair_share=0.0).encode(photo, Link(15.0, 1 / 4))
    arrived = modulated(message, 30.0)
    first, second = arrived.digital
    seen = []
    for share in (0.3, 0.6, 0.9):
        received = np.arange(len(first.data)) >= (1 - share) * len(first.data)
        data = np.frombuffer(first.data, np.uint8) * received
        damaged = replace(first, data=data.tobytes(), received=received)
        found = OURS.decode(replace(arrived, digital=(damaged, second)))
        assert found.notices == (BASE_BROKEN,)
        seen.append(psnr_db(photo, found.image))
    assert seen[0] > 15 and (np.diff(seen) > 0.5).all() and seen[-1] < quality(photo, message)


def test_repair_symbols_bring_the_base_layer_back(photo):
    message = OURS.encode(photo, Link(10.0, CBR))
    whole = OURS.decode(modulated(message, 30.0))
    arrived = modulated(message, 30.0)
    first, second = arrived.digital
    received = np.arange(len(first.data)) >= first.block_bytes
    data = (np.frombuffer(first.data, np.uint8) * received).tobytes()
    found = OURS.decode(replace(arrived, digital=(replace(first, data=data, received=received), second)))
    assert not found.notices and np.array_equal(found.image, whole.image)


def test_a_semantic_map_that_is_sent_is_the_receivers(photo):
    """SegNet of the image itself, not of c′, for a few bytes more; at both ends, residual and all."""
    plain, sent = (Ds2c2Codec(fineness=1, semantic=how).encode(photo, Link(15.0, CBR)) for how in SEMANTIC)
    known = Ds2c2Parameters.unpack(sent.parameters)
    assert Ds2c2Parameters.unpack(plain.parameters).map_bytes == 0 < known.map_bytes < known.base_bytes
    arrived = modulated(sent, 30.0)
    found = received_base(arrived.digital[0], known, photo.shape)
    assert found.whole and np.array_equal(found.labels, base.load_base().labels(photo))
    assert np.array_equal(found.c, base.encode(photo, 1).c)
    assert psnr_db(photo, OURS.decode(arrived).image) > quality(photo, plain) - 1.5
    with pytest.raises(HscError, match="semantic map"):
        received_base(arrived.digital[0], replace(known, map_bytes=known.map_bytes + 4), photo.shape)


# ---- any image


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 40, 3), (70, 1, 1), (16, 16, 3), (17, 33, 3), (33, 17, 1), (160, 224, 1)]
)
def test_any_size_and_grey(shape, coding, photo):
    image, codec = np.ascontiguousarray(photo[: shape[0], : shape[1], : shape[2]]), Ds2c2Codec(coding=coding)
    for link in (Link(15.0, 2.0), Link(15.0)):
        try:
            message = codec.encode(image, link)
        except HscError as error:
            assert "raise the CBR to at least" in str(error) and image.size < 800
            continue
        found = codec.decode(modulated(message, 30.0))
        assert found.image.shape == shape and not found.notices and psnr_db(image, found.image) > 20


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_stay_constant(level, coding):
    image, codec = np.full((64, 96, 3), level, np.uint8), Ds2c2Codec(coding=coding)
    found = codec.decode(modulated(codec.encode(image, Link(10.0, 1 / 3)), 30.0)).image.astype(float)
    assert np.abs(found - level).mean() < 4 and found.std((0, 1)).max() < 6


# ---- anything received

SHAPE = (40, 70, 3)


def gives_an_image_or_an_error(received):
    try:
        found = OURS.decode(received)
    except HscError as error:
        assert "\n" not in str(error)
        return
    assert found.image.shape == received.shape


@given(st.binary(max_size=12), st.binary(max_size=400), st.binary(max_size=400), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_anything_received_gives_an_image_or_an_error(parameters, first, second, seed):
    rng = np.random.default_rng(seed)
    streams = [ReceivedDigital(data, rng.random(len(data)) < 0.99, (), 40) for data in (first, second)]
    gives_an_image_or_an_error(ReceivedMessage("ds2c2", SHAPE, parameters, None, tuple(streams)))


@given(
    st.sampled_from(CODINGS),
    st.integers(0, 3),
    st.integers(0, 7),
    st.integers(0, 95),
    st.binary(max_size=600),
    st.integers(0, 200),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_any_residual_behind_a_base_layer_gives_an_image_or_an_error(
    coding, fineness, steps, level, data, block_bytes, seed
):
    rng = np.random.default_rng(seed)
    coded = base.encode(picture(*SHAPE, seed=seed % 5), fineness).data
    level = level % len(RATES) if coding == "binary" else level
    parameters = Ds2c2Parameters(coding, fineness, steps, level, len(coded)).pack()
    own = ReceivedDigital(data, rng.random(len(data)) < 0.9, (), block_bytes)
    first = ReceivedDigital(coded, np.ones(len(coded), bool), (), 40)
    gives_an_image_or_an_error(ReceivedMessage("ds2c2", SHAPE, parameters, None, (first, own)))


@pytest.mark.parametrize(
    "changes",
    [
        {"digital": ()},
        {"digital": (ReceivedDigital(b"", np.zeros(0, bool)),)},
        {"shape": (0, 10, 3)},
        {"shape": (10, 10, 2)},
        {"shape": (16384, 16384, 3)},
        {"parameters": b""},
        {"parameters": bytes([0, 99]) + bytes(6)},
        {"parameters": bytes([0x80, 4]) + bytes(6)},
    ],
)
def test_what_no_version_sends_is_one_clear_error(photo, changes):
    arrived = modulated(OURS.encode(photo, Link(10.0, CBR)), 30.0)
    with pytest.raises(HscError) as error:
        OURS.decode(replace(arrived, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"colour": 1},
        {"coding": "ternary"},
        {"fineness": 5},
        {"fineness": -1},
        {"rate": "0.3"},
        {"steps": 8},
        {"repair_share": 1.0},
    ],
)
def test_unknown_options_and_impossible_values_are_refused(options):
    with pytest.raises(HscError):
        Ds2c2Codec(**options)


def test_streams_are_those_of_the_ledger(photo):
    """Every channel use is counted: both layers in whole LDPC blocks."""
    message = OURS.encode(photo, Link(10.0, CBR))
    uses = sum(digital.symbol_count(len(stream.data), stream.mcs) for stream in message.digital)
    assert uses == budget.spent(message)
