"""Every registered codec keeps what `codecs/contract.py` promises."""

import fnmatch
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc import weights
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Codec, Decoded
from gnuradio.hsc.codecs.options import described
from gnuradio.hsc.coding.protection import USUAL_SHARE
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link, Message
from gnuradio.hsc.phy.adaptation import LinkSetting
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import arrived
from support.pixel_codec import picture

THREADS = 4
# Options that no link adaptation touches, none at its default.
CHOSEN = {
    "hsc": {"semantic": "vqvae", "symbols": 16, "cr": "residual", "jpeg2000_ratio": 2.0, "sampling": True},
    "separate": {"source": "jpeg2000", "margin_db": 3.0, "refiner": True, "refiner_steps": 2},
    "softcast": {"transform": "block8"},
    "hda_dct": {"base": "dct", "da_ratio": 0.5, "margin_db": 3.0},
    "hda_deepsc": {"da_ratio": 0.5, "key": bytes(range(32)), "refiner": True, "realism": 0.5},
    "deepjscc": {"denoiser": "dncnn", "denoiser_steps": 2, "informed": False},
    "deepjscc_q": {"points": 256},
    "hda_hevc": {"da_ratio": 0.5, "key": bytes(range(32))},
}
SETTINGS = st.builds(
    LinkSetting,
    snr_db=st.floats(-30, 60),
    most_threshold_db=st.floats(-40, 60),
    cbr=st.none() | st.floats(0.01, 2),
    psnr_db=st.none() | st.floats(10, 50),
    repair_share=st.none() | st.floats(0, 0.9),
    digital=st.sampled_from([0, 1]),
)


@pytest.fixture(scope="module")
def images():
    """Colour and grey, of a digit's size and others."""
    return [picture(40, 56), picture(28, 28, 1, seed=1), picture(32, 48, seed=2), picture(33, 41, 1, seed=3)]


def through(codec: Codec, image: np.ndarray) -> tuple[Message, Decoded]:
    message = codec.encode(image, Link(12.0))
    return message, codec.decode(arrived(message))


@pytest.mark.parametrize("name", registry.names())
def test_threads_may_share_a_codec(name, images):
    """What one of them makes of an image is what comes out when nobody else is at work."""
    codec = registry.create(name)
    alone = [through(codec, image) for image in images]
    with ThreadPoolExecutor(THREADS) as threads:
        shared = list(threads.map(lambda image: through(codec, image), images[::-1] * 2))
    for (message, decoded), (same, again) in zip(alone[::-1] * 2, shared, strict=True):
        assert (same.parameters, same.digital, same.notices) == (
            message.parameters, message.digital, message.notices
        )  # fmt: skip
        np.testing.assert_array_equal(same.analog, message.analog)
        np.testing.assert_array_equal(again.image, decoded.image)
        assert again.notices == decoded.notices


@pytest.mark.parametrize("name", registry.names())
def test_messages_and_images_are_of_the_promised_kind(name, images):
    codec = registry.create(name)
    assert codec.name == name == registry.name_of(registry.number(name))
    for image in images:
        message, decoded = through(codec, image)
        assert (message.codec, message.shape) == (name, image.shape)
        assert decoded.image.dtype == np.uint8 and decoded.image.shape == image.shape
        assert all("\n" not in line for line in (*message.notices, *decoded.notices))
        said = codec.describe(message.parameters)
        assert json.loads(json.dumps(said, allow_nan=False)) == said


@pytest.mark.parametrize("name", registry.names())
@settings(max_examples=100, deadline=None)
@given(parameters=st.binary(max_size=12))
def test_any_parameters_are_described_or_refused(name, parameters):
    try:
        said = registry.codec_class(name).describe(parameters)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert json.loads(json.dumps(said, allow_nan=False)) == said


@pytest.mark.parametrize("name", registry.names())
@settings(max_examples=20, deadline=None)
@given(setting=SETTINGS)
def test_an_adapted_codec_keeps_the_rest_of_its_options(name, setting):
    codec = registry.create(name, **CHOSEN.get(name, {}))
    before = dict(vars(codec.options))
    adapted = codec.adapted(setting)
    assert type(adapted) is type(codec) and vars(codec.options) == before
    assert CHOSEN.get(name, {}).items() <= vars(adapted.options).items()


# ---- options

OPTIONS = [
    (name, option) for name in registry.names() for option in described(registry.codec_class(name).Options)
]
VALUES = st.one_of(st.integers(), st.floats(), st.fractions()).map(str) | st.text(max_size=8)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_options_are_documented_and_their_defaults_pass(name, option):
    known = described(registry.codec_class(name).Options)[option]
    assert known.doc and "\n" not in known.doc and not known.doc.endswith(".")
    known.check(name, known.default)
    assert vars(registry.create(name).options)[option] == known.default


@pytest.mark.parametrize(
    "wrong", [[], {}, (1,), 1j, object(), np.zeros(2)], ids=lambda value: repr(value)[:10]
)
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_values_of_no_use_are_refused_in_a_line(name, option, wrong):
    with pytest.raises(HscError) as error:
        registry.create(name, **{option: wrong})
    assert "\n" not in str(error.value) and option in str(error.value)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
@settings(max_examples=30, deadline=None)
@given(text=VALUES)
def test_any_text_of_the_command_line_is_a_value_or_refused(name, option, text):
    kind = registry.codec_class(name)
    try:
        value = described(kind.Options)[option].parse(text)
        assert vars(kind(**{option: value}).options)[option] == value
    except HscError as error:
        assert "\n" not in str(error)


def test_the_weights_that_a_codec_names_are_there():
    for name in registry.names():
        shipped = weights.names(registry.system_of(name).weights)
        for pattern in registry.codec_class(name).weights:
            assert fnmatch.filter(shipped, pattern), f"{name}: {pattern}"


PROTECTING = [
    name for name in registry.names() if "repair_share" in described(registry.codec_class(name).Options)
]


@pytest.mark.parametrize("name", PROTECTING)
def test_repair_symbols_are_those_of_the_option_or_else_of_the_link(name):
    # With 5G NR a stream that lies in one code block has no repair symbols unless they are asked for.
    image, plain = picture(64, 96), Link(12.0, 2.0, "802.11ad")
    codec, own = registry.create(name), registry.create(name, repair_share=0.8)
    told = replace(plain, repair_share=0.4)
    assert own.encode(image, told).digital == own.encode(image, plain).digital
    assert codec.encode(image, told).digital != codec.encode(image, plain).digital
    # HSC has an image without its CR: where nothing is known of losses it sends no repair symbols.
    usual = registry.create(name, repair_share=0.0 if name == "hsc" else USUAL_SHARE)
    assert codec.encode(image, plain).digital == usual.encode(image, plain).digital
