"""Budgets: whatever the image, the SNR and the CBR, every codec keeps to its channel uses or names the least
CBR that does.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from gnuradio.hsc import modem
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import budget
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import DigitalStream, Link, Message
from gnuradio.hsc.phy import mcs
from gnuradio.hsc.phy.code_blocks import code_blocks
from gnuradio.hsc.phy.ledger import Ledger
from gnuradio.hsc.phy.numerology import preset
from gnuradio.hsc.systems.hsc import complementary
from hypothesis import example, given, settings
from hypothesis import strategies as st


def image_of(kind, shape, seed=1):
    """A uint8 image (H, W, C) of a kind that is hard on budgets."""
    image = np.zeros(shape, np.uint8)
    if kind == "constant":
        image[:] = 10 * np.arange(1, shape[2] + 1)
    elif kind == "dot":
        image[shape[0] // 2, shape[1] // 2] = 255
    elif kind == "noise":
        image = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    elif kind == "ramp":
        image[:] = (np.add.outer(3 * np.arange(shape[0]), 2 * np.arange(shape[1])) % 256)[..., None]
    return image


def payload(message):
    """Channel uses of the payload as the ledger counts them."""
    return Ledger.of_message(modem.modulate(message, 1).header, preset("ofdm64")).payload


def floor(cbr, image):
    return int(cbr * image.size * (1 + 1e-9))


def kept(codec, image, snr_db, cbr):
    """Whether the message was made; asserts that it is within the budget, or that the CBR named instead
    serves.
    """
    try:
        message = codec.encode(image, Link(snr_db, cbr))
    except HscError as error:
        if codec.name == "hsc" and min(image.shape[:2]) < 8:  # no CBR helps
            assert "pixels is outside what HSC takes" in str(error)
            return False
        least = float(re.search(r"raise the CBR to at least ([0-9.e+]+)$", str(error))[1])
        assert least > cbr
        assert payload(codec.encode(image, Link(snr_db, least))) <= floor(least, image)
        return False
    assert payload(message) <= floor(cbr, image)
    return True


SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3]))


@pytest.mark.parametrize("name", registry.names())
@settings(max_examples=3, deadline=None)
@given(
    st.sampled_from(["constant", "dot", "noise", "ramp"]),
    SHAPES,
    st.sampled_from([None, -5.0, 0.0, 7.0, 20.0, 40.0]),
    st.floats(-2, 2.5),
)
@example("constant", (28, 28, 1), None, np.log10(1 / 6))
@example("noise", (1, 1, 1), 20.0, 1.0)
def test_channel_uses_are_within_the_budget_or_the_error_names_the_least_cbr(
    name, kind, shape, snr_db, log_cbr
):
    kept(registry.create(name), image_of(kind, shape), snr_db, 10.0**log_cbr)


@pytest.mark.parametrize(
    ("name", "options", "kind", "shape", "snr_db", "cbr"),
    [
        ("softcast", {}, "constant", (28, 28, 1), 10.0, 1 / 6),  # took 2.57
        ("hda_dct", {"repair_share": 0.6}, "dot", (96, 128, 1), 20.0, 1 / 6),  # took 0.191
        ("hda_dct", {"base": "dct", "repair_share": 0.6}, "constant", (200, 9, 1), 20.0, 1.0),
        ("separate", {"source": "jpeg2000"}, "noise", (9, 30, 3), 10.0, 0.3),
        ("hsc", {"cr": "paper"}, "dot", (28, 28, 1), 10.0, 0.005),
        ("hsc", {"rank": 5}, "noise", (28, 28, 1), 10.0, 0.5),
        ("hsc", {"rank": 5}, "noise", (28, 28, 1), 10.0, 0.1),  # the SR alone would fit
    ],
)
def test_budgets_that_were_exceeded_or_refused_without_the_least_cbr(name, options, kind, shape, snr_db, cbr):
    assert not kept(registry.create(name, **options), image_of(kind, shape), snr_db, cbr)


@pytest.mark.parametrize("name", registry.names())
def test_without_a_cbr_a_small_image_takes_its_usual_one_or_what_it_needs(name):
    image, codec = image_of("dot", (28, 28, 1)), registry.create(name)
    message = codec.encode(image, Link(10.0))
    usual = complementary.DEFAULT_CBR_DIGIT if name == "hsc" else budget.DEFAULT_CBR
    try:
        same = codec.encode(image, Link(10.0, usual))
    except HscError as error:
        same = codec.encode(image, Link(10.0, float(str(error).split()[-1])))
    assert same.digital == message.digital
    np.testing.assert_array_equal(same.analog, message.analog)


@pytest.mark.parametrize(
    "name", [name for name in registry.names() if name not in ("hsc", "deepjscc", "deepjscc_q")]
)
def test_the_least_cbr_is_the_least_within_three_percent(name):
    image, codec = image_of("ramp", (64, 80, 3)), registry.create(name)
    with pytest.raises(HscError) as error:
        codec.encode(image, Link(10.0, 0.01))
    least = float(str(error.value).split()[-1])
    codec.encode(image, Link(10.0, least))
    with pytest.raises(HscError, match="raise the CBR to at least"):
        codec.encode(image, Link(10.0, 0.97 * least))  # HEVC's coarsest picture is not always its smallest


def _message(n_values, *streams):
    return Message(
        "separate",
        (10, 10, 1),
        analog=np.zeros(n_values, np.float32),
        digital=tuple(DigitalStream(*s) for s in streams),
    )


def test_a_codec_that_does_not_look_at_its_budget_is_measured():
    made = _message(11, (bytes(43), "16QAM-1/2"))  # 6 symbols, and two blocks of 168
    assert budget.spent(made) == payload(made) == 6 + 336
    assert budget.within(Link(cbr=3.42), (10, 10, 1), lambda uses: made) is made
    with pytest.raises(
        HscError, match="takes 342 channel uses and the budget is 341: raise the CBR to at least 3.42$"
    ):
        budget.within(Link(cbr=3.41), (10, 10, 1), lambda uses: made)


def test_the_least_cbr_has_been_tried():
    """A codec whose first answer is too low: what is named is what worked."""

    def make(uses):
        if uses < 57:
            raise budget.TooFew(f"{uses} channel uses are too few", min(uses + 9, 50))
        return _message(2 * uses)

    with pytest.raises(HscError, match="^10 channel uses are too few: raise the CBR to at least 0.57$"):
        budget.within(Link(cbr=0.1), (10, 10, 1), make)
    assert budget.spent(budget.within(Link(), (10, 10, 1), make)) == 57


def test_an_image_that_no_cbr_serves_is_refused():
    def make(uses):
        raise budget.TooFew("never", 10 * uses)

    with pytest.raises(HscError, match="send a larger one"):
        budget.within(Link(), (1, 1, 1), make)


@pytest.mark.parametrize("cbr", [0, -1, float("nan"), float("inf"), 1e9])
def test_impossible_cbr(cbr):
    with pytest.raises(HscError, match="give a number above 0"):
        registry.create("softcast").encode(image_of("dot", (8, 8, 1)), Link(cbr=cbr))


def test_the_margin_of_the_mcs_is_the_codes_own_and_less_for_a_long_stream_of_5g_nr():
    """Within what the codes need: tests/phy/test_digital.py has their losses."""

    def threshold(link, *margin, **uses):
        return mcs.by_name(budget.mcs(link, *margin, **uses)).threshold_db

    for snr_db in (5.0, 10.0, 20.0):
        assert threshold(Link(snr_db), uses=1e6) == mcs.best_for(snr_db, 1.0).threshold_db
        nr = Link(snr_db, mcs="nr")
        long = code_blocks(mcs.best_for(snr_db, 1.0, "nr")).most == 16
        assert threshold(nr) == mcs.best_for(snr_db, 1.3 if long else 1.15, "nr").threshold_db
        assert threshold(nr, uses=1e5) == mcs.best_for(snr_db, 0.3 if long else 0.4, "nr").threshold_db
        assert threshold(nr) <= threshold(nr, uses=6000) <= threshold(nr, uses=1e5)
        assert threshold(nr, 0.0, uses=1e5) == mcs.best_for(snr_db, 0.0, "nr").threshold_db
    assert budget.mcs(Link(10.0, mcs="QPSK-1/2"), uses=1e6) == "QPSK-1/2"
    assert budget.mcs(Link(mcs="nr"), uses=1e6) == mcs.robust("nr").name
    assert budget.mcs(Link(-3.0), uses=1e6) == mcs.chosen(None, -3.0, 1.0).name
