"""Codecs with a last stage behind `decode`: what the contract says of it, and the refiner's options."""

from dataclasses import dataclass

import numpy as np
import pytest
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import ERROR_BANDS, Codec, Decoded, error_shape
from gnuradio.hsc.codecs.options import Ends, described, option
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.refiner import bands
from gnuradio.hsc.refiner.codec import Refining
from gnuradio.hsc.refiner.options import SEEDS, RefinerOptions
from support.messages import arrived
from support.pixel_codec import PixelCodec, picture

REFINING = ("separate", "deepjscc", "deepjscc_q", "hda_deepsc", "hda_hevc", "lrisc")
# Refined unless they are told not to be.
ALWAYS = ("lrisc",)
FLAGS = list(described(RefinerOptions))


def test_a_codec_refines_nothing_unless_it_says_so():
    codec, decoded = PixelCodec(), Decoded(picture(8, 8), ("a line",), np.ones((16, 1, 1), np.float32))
    assert not codec.refines and codec.refine(decoded) is decoded
    message = arrived(codec.encode(picture(16, 24)))
    received, alone = codec.receive(message), codec.decode(message)
    assert np.array_equal(received.image, alone.image) and received.notices == alone.notices


@pytest.mark.parametrize("name", registry.names())
def test_who_refines_and_that_it_is_off_unless_asked_for_but_behind_lrisc(name):
    kind = registry.codec_class(name)
    assert issubclass(kind, Refining) == (name in REFINING) == issubclass(kind.Options, RefinerOptions)
    assert registry.create(name).refines is (name in ALWAYS)
    for field in FLAGS if name in REFINING else ():
        assert described(kind.Options)[field].ends is Ends.RECEIVER


@pytest.mark.parametrize("name", REFINING)
@pytest.mark.parametrize("channels", [1, 3])
def test_receive_is_decode_then_the_refiner(name, channels, asked):
    image = picture(40, 56, channels)
    # without a DA ratio the base may be sent alone, of whose error nothing is known
    options = {"da_ratio": 1.0} if name == "hda_hevc" else {}
    message = arrived(registry.create(name, **options).encode(image, Link(12.0)))
    alone = registry.create(name, refiner=False).receive(message)
    assert not asked
    codec = registry.create(name, refiner=True, refiner_steps=2, realism=0.5, refiner_seed=7)
    assert codec.refines and np.array_equal(codec.decode(message).image, alone.image) and not asked
    received = codec.receive(message)
    ((seen, error, settings),) = asked
    assert np.array_equal(seen, alone.image) and np.array_equal(received.image, 255 - alone.image)
    assert (settings.refiner_steps, settings.realism, settings.refiner_seed) == (2, 0.5, 7)
    assert received.notices == alone.notices and received.error is None
    assert (error is None) == (name == "separate")


def test_without_realism_nothing_is_refined(asked):
    codec = registry.create("separate", refiner=True, realism=0.0)
    decoded = Decoded(picture(8, 8))
    assert not codec.refines and codec.refine(decoded) is decoded and not asked


def test_a_system_may_refine_by_default(asked):
    @dataclass(frozen=True)
    class Sharp(RefinerOptions):
        sharp: bool = True
        refiner: bool = option(True, "go over the image", Ends.RECEIVER)

    class SharpCodec(Refining):
        name, Options = "sharp", Sharp
        encode = PixelCodec.encode
        decode = PixelCodec.decode

    assert SharpCodec().refines and not SharpCodec(refiner=False).refines
    assert isinstance(SharpCodec(), Codec)
    assert list(described(Sharp)) == [*FLAGS, "sharp"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"refiner_steps": 0}, "the refiner takes 1 to 4 steps, not 0"),
        ({"refiner_steps": 5}, "the refiner takes 1 to 4 steps, not 5"),
        ({"realism": -0.1}, "the realism is -0.1: give 0 (the decoded image) to 1 (all)"),
        ({"realism": float("nan")}, "the realism is nan: give 0 (the decoded image) to 1 (all)"),
        ({"refiner_seed": -1}, f"the refiner's seed is -1: give 0 to {SEEDS - 1}"),
        ({"refiner_seed": SEEDS}, f"the refiner's seed is {SEEDS}: give 0 to {SEEDS - 1}"),
    ],
)
@pytest.mark.parametrize("name", REFINING)
def test_impossible_values_are_refused_in_a_line(name, wrong, says):
    with pytest.raises(HscError) as error:
        registry.create(name, **wrong)
    assert str(error.value) == says


def test_the_contract_and_the_refiner_count_the_same_bands():
    assert bands.BANDS == ERROR_BANDS
    assert error_shape((40, 57, 3)) == (16, 5, 8) and error_shape((1, 1, 1)) == (16, 1, 1)
