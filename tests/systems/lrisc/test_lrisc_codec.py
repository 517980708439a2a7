"""LRISC as a codec: budgets, side information, channels, losses, any size, and anything that may be
received.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc.app import samples
from gnuradio.hsc.coding import activity, budget, erasure
from gnuradio.hsc.coding.analog_part import Selection
from gnuradio.hsc.coding.protection import Protection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation.quality import colour_shift
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.phy import digital
from gnuradio.hsc.phy import mcs as mcs_table
from gnuradio.hsc.systems.lrisc import allocation as lrisc
from gnuradio.hsc.systems.lrisc import colour, hyper, roi
from gnuradio.hsc.systems.lrisc import side as coding
from gnuradio.hsc.systems.lrisc.allocation import Terms
from gnuradio.hsc.systems.lrisc.codec import LriscCodec
from gnuradio.hsc.systems.lrisc.network import load_network
from gnuradio.hsc.systems.lrisc.options import LriscOptions
from gnuradio.hsc.systems.lrisc.parameters import MOST_BYTES, LriscParameters, sendable
from gnuradio.hsc.systems.lrisc.reception import estimate
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import modulated
from support.pixel_codec import picture
from torch.nn import functional

PLAIN = LriscCodec(refiner=False)
SNRS_DB = (0.0, 5.0, 10.0, 15.0, 20.0)


@pytest.fixture(scope="module")
def photographs():
    return {path.stem: load(path).pixels for path in samples.photographs()}


@pytest.fixture(scope="module")
def photo(photographs):
    return np.ascontiguousarray(photographs["kitten"][40:200, 60:284])


def uses_of(image, cbr):
    return budget.channel_uses(Link(cbr=cbr), image.shape)


def side_uses(message):
    (stream,) = message.digital
    return digital.symbol_count(len(stream.data), stream.mcs)


def quality(image, message, snr_db, lost=0.0):
    return psnr_db(image, PLAIN.decode(modulated(message, snr_db, lost)).image)


# ---- budget


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3])),
    st.floats(0.01, 2.0),
    st.none() | st.floats(-5, 30),
    st.none() | st.sampled_from(sorted(mcs_table.TABLE)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_every_message_keeps_to_its_budget_or_tells_the_one_it_needs(shape, cbr, snr_db, mcs, seed):
    """And what arrives without noise is the image."""
    image = picture(*shape, seed=seed)
    try:
        message = PLAIN.encode(image, Link(snr_db, cbr, mcs))
    except HscError as error:
        cbr = float(str(error).split("raise the CBR to at least ")[1])
        message = PLAIN.encode(image, Link(snr_db, cbr, mcs))
    uses = uses_of(image, cbr)
    assert 0 < budget.spent(message) <= uses
    found = PLAIN.decode(modulated(message, 60.0))
    assert found.image.shape == shape and not found.notices
    assert found.error.shape == (16, -(-shape[0] // 8), -(-shape[1] // 8))
    assert np.isfinite(found.error).all() and (found.error >= 0).all()


@pytest.mark.parametrize("cbr", [1 / 48, 1 / 12, 1 / 6])
def test_little_of_the_budget_is_left_over(photographs, cbr):
    message = PLAIN.encode(photographs["lake"], Link(10.0, cbr))
    assert budget.spent(message) > 0.97 * uses_of(photographs["lake"], cbr)


@pytest.mark.parametrize("snr_db", SNRS_DB)
def test_side_information_keeps_to_its_share(photographs, snr_db):
    """8 % of the uses at CBR 1/24 from 10 dB on, repair symbols included. At 5 dB and below one LDPC block is
    3.5 % of an image of 480 × 320: there y is the coarsest that there is, and takes 18 % at most.
    """
    for image in photographs.values():
        message = PLAIN.encode(image, Link(snr_db, 1 / 24))
        share = side_uses(message) / uses_of(image, 1 / 24)
        coarsest = LriscParameters.unpack(message.parameters).fineness == len(hyper.STEPS) - 1
        assert share <= 0.08 or (snr_db <= 5 and coarsest and share < 0.18)


def test_a_larger_share_buys_a_finer_y(photo):
    shares = [LriscCodec(side_share=share).encode(photo, Link(15.0, 1 / 6)) for share in (0.01, 0.5)]
    coarse, fine = (LriscParameters.unpack(message.parameters) for message in shares)
    assert coarse.fineness > fine.fineness and coarse.side_bytes < fine.side_bytes


def test_parameters_tell_what_was_sent(photo):
    link = Link(10.0, 1 / 12)
    message = PLAIN.encode(photo, link)
    told = PLAIN.describe(message.parameters)
    (stream,) = message.digital
    size = digital.payload_bytes_per_block(stream.mcs)
    protection = Protection.of(None, link, stream.mcs, uses_of(photo, 1 / 12))
    assert erasure.protected_bytes(told["side_bytes"], protection, size) == len(stream.data)
    assert 0.01 < told["beta"] < 1 and told["fineness"] in range(len(hyper.STEPS))
    more = PLAIN.describe(PLAIN.encode(photo, Link(10.0, 1 / 6)).parameters)
    assert more["beta"] > told["beta"], "β rises with the CBR"


@given(
    st.integers(40, 80),
    st.integers(40, 80),
    st.floats(0.05, 0.5),
    st.sampled_from([0.0, 10.0, 20.0]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_no_message_is_longer_than_a_budget_that_holds_one(photo, height, width, cbr, snr_db, literally):
    """Whatever the last groups of the whitening take."""
    image = np.ascontiguousarray(photo[:height, :width])
    codec = LriscCodec(lengths="literal" if literally else "expected")
    try:
        assert budget.spent(codec.encode(image, Link(snr_db, cbr))) <= uses_of(image, cbr)
    except HscError as error:
        assert "do not hold the least of LRISC" in str(error)


# ---- quality


def test_quality_rises_with_the_snr(photo):
    """For messages made for each SNR, and for one that was made for another: no cliff either."""
    own = [quality(photo, PLAIN.encode(photo, Link(snr_db, 1 / 6)), snr_db) for snr_db in SNRS_DB]
    assert own[0] > 20 and (np.diff(own) > 0.5).all()
    message = PLAIN.encode(photo, Link(5.0, 1 / 6))
    others = [quality(photo, message, snr_db) for snr_db in (5.0, 8.0, 12.0, 20.0)]
    assert (np.diff(others) > 0.2).all() and np.diff(others).max() < 6


def test_quality_rises_with_the_cbr(photographs):
    image = photographs["parakeet"]
    curve = [quality(image, PLAIN.encode(image, Link(10.0, cbr)), 10.0) for cbr in (1 / 48, 1 / 24, 1 / 6)]
    assert curve[0] > 20 and (np.diff(curve) > 1).all()


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 3), (1, 1, 1), (1, 40, 3), (70, 1, 1), (16, 16, 3), (17, 33, 3), (33, 17, 1), (160, 224, 1)],
)
def test_any_size_and_grey(shape, photo):
    image = np.ascontiguousarray(photo[: shape[0], : shape[1], : shape[2]])
    for link in (Link(15.0, 2.0), Link(15.0)):
        try:
            message = PLAIN.encode(image, link)
        except HscError as error:
            assert "raise the CBR to at least" in str(error) and image.size < 600
            continue
        found = PLAIN.decode(modulated(message, 15.0))
        assert found.image.shape == shape and psnr_db(image, found.image) > 22
        assert shape[2] == 3 or not found.error[10:].any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_stay_constant(level):
    image = np.full((64, 96, 3), level, np.uint8)
    found = PLAIN.decode(modulated(PLAIN.encode(image, Link(10.0, 1 / 3)), 10.0)).image.astype(float)
    assert np.abs(found - level).mean() < 6 and found.std((0, 1)).max() < 8


# ---- losses


@pytest.mark.parametrize(("lost", "most_db"), [(0.05, 1.0), (0.2, 4.0)])
def test_lost_packets_cost_little(photographs, lost, most_db):
    image = photographs["kitten"]
    message = LriscCodec(repair_share=0.6).encode(image, Link(10.0, 1 / 6))
    whole = quality(image, message, 10.0)
    assert 0 < whole - quality(image, message, 10.0, lost) < most_db


def test_repair_symbols_bring_side_information_back(photo):
    message = PLAIN.encode(photo, Link(10.0, 1 / 6, "802.11ad"))
    arrived = modulated(message, 10.0)
    (stream,) = arrived.digital
    mask = stream.received.copy()
    mask[: stream.block_bytes] = False
    damaged = replace(
        stream, data=bytes(stream.block_bytes) + stream.data[stream.block_bytes :], received=mask
    )
    found = PLAIN.decode(replace(arrived, digital=(replace(damaged, lost_blocks=(0,)),)))
    assert not found.notices and np.array_equal(found.image, PLAIN.decode(arrived).image)


def test_the_side_information_is_as_robust_as_is_of_use():
    """With a margin below the SNR, but not below the SNR from which on packet headers arrive."""
    thresholds = {
        snr: mcs_table.by_name(lrisc.side_mcs(Link(snr_db=snr), 4000)).threshold_db
        for snr in np.arange(-6, 25.5, 0.5)
    }
    for snr, threshold in thresholds.items():
        most = min(snr, max(snr - lrisc.MARGIN_DB, -2.5))
        assert most - 0.9 < threshold <= most
    assert lrisc.side_mcs(Link(), 4000) == mcs_table.robust("nr").name
    assert lrisc.side_mcs(Link(10.0, mcs="QPSK-1/2"), 4000) == "QPSK-1/2"
    assert lrisc.side_mcs(Link(10.0, mcs="802.11ad"), 4000) == "QPSK-3/4"


def test_short_side_information_arrives_where_headers_do(photo):
    """It lies in one code block, which needs more SNR than its MCS, and has no repair symbols."""
    message = PLAIN.encode(photo[:96, :96], Link(-2.0, 1 / 6))
    seeds = range(20)
    lost = sum(bool(PLAIN.decode(modulated(message, -2.0, seed=seed)).notices) for seed in seeds)
    assert lost <= 1


@pytest.mark.parametrize("lengths", ["expected", "literal"])
@pytest.mark.parametrize("refiner", [False, True])
def test_without_anything_the_image_is_its_mean_colour_and_says_so(photo, refiner, lengths):
    """Which the header tells. And no refiner makes something of nothing."""
    message = LriscCodec(refiner=False, lengths=lengths).encode(photo, Link(10.0, 1 / 6))
    arrived = modulated(message, 10.0).only("analog")
    found = LriscCodec(refiner=refiner).receive(replace(arrived, analog=None))
    assert found.image.shape == photo.shape and not found.image.std((0, 1)).any() and found.error is None
    assert colour_shift(found.image, photo) <= 1 / 128 + 1 / 255
    (notice,) = found.notices
    assert notice.startswith("the side information is lost") and "\n" not in notice


def test_the_mean_colour_bears_the_loss_of_a_fifth(photographs):
    """Whichever is lost: of the sixteen values that tell it, three or more may be."""
    image = photographs["kitten"]
    message = LriscCodec(repair_share=0.6).encode(image, Link(10.0, 1 / 12))
    for seed in range(8):
        found = PLAIN.decode(modulated(message, 10.0, 0.2, seed))
        assert not found.notices and colour_shift(found.image, image) < 0.01


def _signs():
    """An image that is white but for dots, and one of black lines: pixels beyond both ends of the range."""
    dots, lines = np.full((128, 160, 3), 255, np.uint8), np.full((96, 130, 3), 255, np.uint8)
    dots[::7, ::3], lines[::5] = 0, 0
    return [dots, lines]


@pytest.mark.parametrize("part", ["all", "thumbnail", "refined"])
@pytest.mark.parametrize(
    ("snr_db", "fade_db"), [(-2.0, 20.0), (0.0, 0.0), (0.0, 10.0), (5.0, 5.0), (5.0, 15.0), (10.0, 20.0)]
)
def test_a_fade_of_any_depth_leaves_the_mean_colour(photographs, part, snr_db, fade_db):
    """Up to 22 % off where the header does not tell it."""
    codec = LriscCodec() if part == "refined" else PLAIN
    for image in (*(each[::2, ::2] for each in photographs.values()), *_signs()):
        message = PLAIN.encode(np.ascontiguousarray(image), Link(snr_db, 1 / 12))
        for seed in range(2):
            arrived = modulated(message, snr_db - fade_db, seed=seed)
            arrived = arrived.only("analog") if part == "thumbnail" else arrived
            assert colour_shift(codec.receive(arrived).image, image) < 0.0115


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.4])
def test_however_few_values_come_the_mean_colour_is_right(photographs, share):
    for seed, image in enumerate(photographs.values()):
        arrived = modulated(PLAIN.encode(image, Link(10.0, 1 / 24)), 10.0)
        there = np.random.default_rng(seed).random(len(arrived.analog.values)) < share
        noise = np.where(there, arrived.analog.noise_variance, np.inf).astype(np.float32)
        values = np.where(there, arrived.analog.values, 0).astype(np.float32)
        few = replace(arrived, analog=ReceivedAnalog(values, noise, there))
        assert colour_shift(PLAIN.decode(few).image, image) < 0.011


@pytest.mark.parametrize("side", [320, 33])
def test_a_receiver_knows_what_values_tell_of_the_mean_colour(photographs, side):
    """Its standard deviation, through noise, and of six values of ten; of what is seen of the last cells. The
    mean of what is sent is known from a receiver without noise.
    """
    errors = []
    for image in photographs.values():
        image = np.ascontiguousarray(image[:side, :side])
        message = PLAIN.encode(image, Link(5.0, 1 / 6 if side > 100 else 1 / 2))
        true = _told_mean(modulated(message, 60.0), image.shape)[0]
        for snr_db, lost in ((5.0, 0.0), (-5.0, 0.0), (5.0, 0.4)):
            for seed in range(5):
                arrived = modulated(message, snr_db, lost, seed)
                arrived = replace(arrived, digital=modulated(message, 60.0).digital)
                found, deviation = _told_mean(arrived, image.shape)
                errors.append(((found - true) / deviation).numpy())
    assert 0.7 < np.sqrt(np.mean(np.square(errors))) < 1.3


def _told_mean(received, shape):
    """Mean colour by the values alone, and its deviation."""
    known = estimate(received)
    network, _ = load_network()
    image = network.transform.inverse(known.z[None])[0, :, : shape[0], : shape[1]]
    return image.mean((1, 2)), known.mean.deviation


@pytest.mark.parametrize(("snr_db", "lost"), [(0.0, 0.0), (10.0, 0.0), (10.0, 0.2)])
@pytest.mark.parametrize("cbr", [1 / 24, 1 / 6])
def test_without_side_information_the_image_has_mean_colours(photographs, snr_db, lost, cbr):
    """Of every 32 × 32 pixels, nearly, as they are smooth between; with a fifth of the packets lost too."""
    image = photographs["kitten"]
    message = LriscCodec().encode(image, Link(snr_db, cbr))
    found = PLAIN.decode(modulated(message, snr_db, lost).only("analog"))
    means = [
        each[:320, :480].astype(float).reshape(10, 32, 15, 32, 3).mean((1, 3))
        for each in (found.image, image)
    ]
    assert np.abs(means[0] - means[1]).mean() < (7 if snr_db < 5 or lost else 4)
    assert colour_shift(found.image, image) < 0.01
    (notice,) = found.notices
    assert notice.startswith("the side information is lost") and "mean colour" in notice


def test_the_waves_lie_all_over_a_message():
    for count, total in ((0, 16), (3, 16), (16, 16), (100, 1616)):
        found = lrisc.places(count, total)
        assert found.sum() == count and len(found) == total
        if count:
            assert np.ptp(np.diff(np.flatnonzero(found), prepend=-total / count)) <= 2


def test_without_values_the_image_is_a_coarse_one(photo):
    message = PLAIN.encode(photo, Link(10.0, 1 / 6))
    found = PLAIN.decode(modulated(message, 10.0).only("digital"))
    assert found.image.shape == photo.shape and not found.notices
    assert found.error.sum() > 10 * PLAIN.decode(modulated(message, 10.0)).error.sum()


# ---- region of interest


@pytest.mark.parametrize("weight", [4.0, 8.0])
def test_a_region_of_interest_is_three_db_better_at_equal_cbr(photographs, weight):
    for name in ("colosseum", "parakeet"):
        image = photographs[name]
        inside = slice(104, 208), slice(160, 280)
        seen = []
        for region in (None, "160,104,120,104"):
            codec = LriscCodec(refiner=False, roi=region, roi_weight=weight)
            message = codec.encode(image, Link(10.0, 1 / 24))
            assert budget.spent(message) <= uses_of(image, 1 / 24)
            found = PLAIN.decode(modulated(message, 10.0)).image
            seen.append((psnr_db(image[inside], found[inside]), psnr_db(image, found)))
        (before, whole), (after, rest) = seen
        assert after > before + 3 and rest < whole


def test_texture_gives_calm_places_more(photo):
    """Of the high channels of z, the quarter of the tokens with the least energy arrives with less error, all
    together with more.
    """
    high = [channel for channel in range(64) if channel not in hyper.LOW]
    errors = []
    for texture in (0.0, 1.0):
        terms = Terms.of(photo.shape, uses_of(photo, 1 / 8), Link(15.0), LriscOptions(texture=texture))
        z = lrisc.latent(photo, terms)
        known = _known(z, lrisc.allocate(z, roi.Region.none(z.shape[1:]), terms), terms)
        errors.append((known.z - z)[high].square().sum(0))
    energy = z[high].square().sum(0)
    quiet = energy < energy.quantile(0.25)
    plain, calm = errors
    assert calm[quiet].mean() < 0.7 * plain[quiet].mean() and calm.mean() > plain.mean()


def test_the_receiver_is_told_the_region(photo):
    message = LriscCodec(roi="20,30,50,60;100,100,9,9").encode(photo, Link(10.0, 1 / 6))
    region = estimate(modulated(message, 10.0)).region
    wanted = roi.read("20,30,50,60;100,100,9,9", photo.shape, region.tokens.shape, 4.0)
    assert np.array_equal(region.tokens, wanted.tokens) and region.weight == 16


def test_y_is_the_finest_that_its_share_holds(photo):
    """With a share that holds one fineness exactly, it is that one, or a finer one of as many LDPC blocks."""
    terms = Terms.of(photo.shape, uses_of(photo, 1 / 6), Link(10.0), LriscOptions())
    z = lrisc.latent(photo, terms)
    region = roi.read("32,64,96,64", photo.shape, z.shape[1:], 8.0)
    uses = [terms.side_uses(len(lrisc._Told.of(z, region, each).side)) for each in range(len(hyper.STEPS))]
    assert uses == sorted(uses, reverse=True) and uses[0] >= 2 * uses[-1]
    for spent in uses:
        options = LriscOptions(side_share=(spent + 1) / terms.uses)
        chosen = lrisc.allocate(z, region, replace(terms, options=options))
        assert chosen.fineness == uses.index(spent) and terms.side_uses(len(chosen.side)) == spent
    least = lrisc.allocate(z, region, replace(terms, options=LriscOptions(side_share=0.01)))
    assert least.fineness == len(hyper.STEPS) - 1


# ---- the variance that a receiver knows


def _known(z, chosen, terms, lost=0.0, seed=1):
    return estimate(modulated(lrisc.message(z, chosen, terms), terms.snr_db, lost, seed))


@pytest.mark.parametrize("region", [None, "20,30,90,60"])
@pytest.mark.parametrize(("snr_db", "lost"), [(0.0, 0.0), (12.0, 0.0), (12.0, 0.15)])
def test_a_receiver_knows_the_variance_of_its_error(photo, snr_db, lost, region):
    """Latents drawn from p(z | y) for the y of a photograph: the mean squared error of ẑ is v within 10 %, in
    all, and of sent and unsent channels by themselves.
    """
    terms = Terms.of(photo.shape, uses_of(photo, 1 / 6), Link(snr_db), LriscOptions(repair_share=0.8))
    z = lrisc.latent(photo, terms)
    chosen = lrisc.allocate(z, roi.read(region, photo.shape, z.shape[1:], 4.0), terms)
    deviation = (chosen.log_power / activity.OCTAVE / 2).exp2()
    squared, variance = torch.zeros_like(z), torch.zeros_like(z)
    generator = torch.Generator().manual_seed(1)
    for seed in range(8):
        low = deviation * torch.randn(z.shape, generator=generator)
        drawn = hyper.gather_low(low[None], inverse=True)[0]
        known = _known(drawn, chosen, terms, lost, seed)
        squared += (known.z - drawn).square()
        variance += known.variance
    assert float(squared.sum() / variance.sum()) == pytest.approx(1, rel=0.1)
    for channels in (list(hyper.LOW), slice(3, 20), slice(20, 64), slice(64, 92)):
        assert float(squared[channels].sum() / variance[channels].sum()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("lost", [0.0, 0.2])
def test_the_variance_holds_for_photographs(photographs, lost):
    """Within 1.5 dB of the error of ẑ, whose prior is fitted to others."""
    image = photographs["lake"]
    terms = Terms.of(image.shape, uses_of(image, 1 / 12), Link(10.0), LriscOptions(repair_share=0.8))
    z = lrisc.latent(image, terms)
    known = _known(z, lrisc.allocate(z, roi.Region.none(z.shape[1:]), terms), terms, lost)
    assert abs(10 * np.log10((known.z - z).square().mean() / known.variance.mean())) < 1.5


# ---- anything received

SHAPE = (40, 70, 3)


def any_analog(seed, count, noise=0.1):
    rng = np.random.default_rng(seed)
    there = rng.random(count) < 0.8
    values = np.where(there, rng.standard_normal(count), 0).astype(np.float32)
    return ReceivedAnalog(values, np.where(there, noise, np.inf).astype(np.float32), there)


def gives_an_image_or_an_error(received):
    try:
        found = PLAIN.decode(received)
    except HscError as error:
        assert "\n" not in str(error)
        return
    assert found.image.shape == received.shape
    assert found.error is None or np.isfinite(found.error).all()


POSSIBLE = st.builds(
    LriscParameters,
    st.integers(0, len(hyper.STEPS) - 1),
    st.builds(Selection, st.integers(-4096, 4095), st.integers(-4096, 4095)),
    st.integers(0, 410),
    st.booleans(),
    st.integers(0, 8),
    st.integers(0, (1 << colour.BITS) - 1),
).map(LriscParameters.pack)


@given(
    st.one_of(POSSIBLE, st.binary(max_size=12)),
    st.binary(max_size=400),
    st.integers(0, 3000),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_anything_received_gives_an_image_or_an_error(parameters, data, count, seed):
    stream = ReceivedDigital(data, np.random.default_rng(seed).random(len(data)) < 0.99, (), 40)
    analog = any_analog(seed, 2 * count) if count else None
    gives_an_image_or_an_error(ReceivedMessage("lrisc", SHAPE, parameters, analog, (stream,)))


@pytest.fixture(scope="module")
def side():
    """Side information of an image of SHAPE with a region, by fineness."""
    _, model = load_network()
    region = roi.read("8,8,20,20", SHAPE, (8, 12), 8.0)
    rng, found = np.random.default_rng(1), []
    for fineness in range(len(hyper.STEPS)):
        y = torch.from_numpy(rng.integers(-3, 4, (activity.LATENTS, 2, 3)))
        found.append(region.pack() + coding.encode(y, model.entropy[fineness]))
    return found


@given(
    st.integers(0, len(hyper.STEPS) - 1),
    st.integers(-4096, 4095),
    st.integers(-4096, 4095),
    st.integers(0, 30_000),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_threshold_and_water_level_give_an_image_or_an_error(
    side, fineness, threshold, water, count, weight, seed
):
    """Behind side information that can be read: gains and priors beyond what floats hold as well."""
    data = bytearray(side[fineness])
    data[1] = weight
    parameters = LriscParameters(fineness, Selection(threshold, water), len(data)).pack()
    stream = ReceivedDigital(bytes(data), np.ones(len(data), bool), (), 40)
    analog = any_analog(seed, 2 * count) if count else None
    gives_an_image_or_an_error(ReceivedMessage("lrisc", SHAPE, parameters, analog, (stream,)))


@pytest.mark.parametrize("literal", [0, 128])
def test_messages_without_a_mean_colour_are_refused_and_their_receivers_refuse_ours(literal):
    """Those that told no mean colour: their first byte was at most 69, but for the bit `literal`."""
    packed = LriscParameters(3, Selection(-40, 32), 1234, bool(literal), texture=5).pack()
    for first in range(70):
        with pytest.raises(HscError, match="older version"):
            LriscParameters.unpack(bytes([literal + first]) + packed[1:])
    for fineness in range(len(hyper.STEPS)):
        for texture in range(9):
            first = LriscParameters(fineness, Selection(0, 0), 1, bool(literal), texture).pack()[0]
            assert first & 127 >= 70 and first & 128 == literal


@pytest.mark.parametrize(
    "impossible",
    [
        {"selection": Selection(4096, 0)},
        {"selection": Selection(0, -4100)},
        {"side_bytes": MOST_BYTES + 1},
        {"colour": 1 << colour.BITS},
    ],
)
def test_what_does_not_fit_into_the_header_is_not_packed(impossible):
    with pytest.raises(ValueError, match="fit into"):
        replace(LriscParameters(0, Selection(0, 0), 1), **impossible).pack()


@given(
    st.integers(0, len(hyper.STEPS) - 1),
    st.integers(-4096, 4094),
    st.integers(-4096, 4080),
    st.integers(0, MOST_BYTES),
    st.booleans(),
    st.integers(0, 8),
    st.integers(0, (1 << colour.BITS) - 1),
)
def test_parameters_survive_the_header(fineness, threshold, water, n_bytes, literal, texture, mean):
    selection = sendable(Selection(threshold, water))
    assert abs(selection.water - water) <= 8 and 0 <= selection.threshold - threshold < 2
    parameters = LriscParameters(fineness, selection, n_bytes, literal, texture, mean)
    assert LriscParameters.unpack(parameters.pack()) == parameters


@pytest.mark.parametrize("level", [0, 128])
def test_of_constant_images_too_every_level_can_be_told(level):
    """They have the least log-powers, and at a high SNR and CBR everything is sent."""
    for cbr in (1 / 12, 1 / 2):
        message = PLAIN.encode(np.full((64, 96, 3), level, np.uint8), Link(40.0, cbr))
        selection = LriscParameters.unpack(message.parameters).selection
        assert -2600 <= selection.threshold <= 1700 and -3900 <= selection.water <= 1700


@pytest.mark.parametrize("off", [0.0, 0.003, 0.03, -0.2, 0.5])
def test_the_header_mends_a_mean_colour_that_came_wrong(off):
    """Wherever in its place the true mean lies: to the middle where values tell nothing, to what they tell
    where that is well known, and to the end of the place where they tell it beyond.
    """
    rng, shape = np.random.default_rng(2), (40, 48, 3)
    for _ in range(50):
        means = torch.from_numpy(rng.uniform(0.4, 0.6, 3)).float()
        grain = torch.from_numpy(rng.normal(0, 0.02, (1, 3, 40, 48))).float()
        image = grain - grain.mean((2, 3), keepdim=True) + means[:, None, None]
        padded = functional.pad(image, (0, 16, 0, 24), value=0.5)
        shift = off * torch.tensor([1, -1, 0.5])
        received = padded + shift[:, None, None]
        code, place = colour.coded(padded, shape), (means * 64).floor() / 64

        def mended(deviation, received=received, code=code):
            known = colour.MeanColour(code, torch.full((3,), deviation))
            return colour.corrected(received, known, shape)[0, :, :40, :48].mean((1, 2))

        nearest = torch.minimum(torch.maximum(means + shift, place), place + 1 / 64)
        beyond = (means + shift - nearest).abs()
        close = {"rtol": 0, "atol": 2e-4}
        torch.testing.assert_close(mended(torch.inf), place + 1 / 128, **close)
        sure = mended(0.0)
        assert ((sure >= place) & (sure <= place + 1 / 64)).all()
        assert ((sure - nearest).abs() <= 0.0012 + beyond).all(), "as far off as it came beyond its place"


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_mean_colour_of_a_constant_image_stays_in_the_range(level):
    """Black's and white's too, whose places lie at the ends."""
    image = torch.full((1, 3, 32, 32), level)
    for off in (0.0, 0.02, -0.02):
        known = colour.MeanColour(colour.coded(image, (32, 32, 3)), torch.zeros(3))
        mended = colour.corrected(image + off, known, (32, 32, 3)).clamp(0, 1)
        assert float((mended - image).abs().max()) <= 1 / 64
        assert off or float((mended - image).abs().max()) < 0.0015


def test_the_mean_is_mended_of_images_that_are_black_and_white_in_part():
    """What is beyond black and white does not count, before the shift and behind it."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        image = torch.from_numpy(rng.uniform(-0.5, 1.5, (1, 3, 40, 48))).float()
        known = colour.MeanColour(colour.coded(image, (40, 48, 3)), torch.full((3,), torch.inf))
        mended = colour.corrected(image + 0.1, known, (40, 48, 3)).clamp(0, 1)
        off = (mended.mean((2, 3)) - image.clamp(0, 1).mean((2, 3))).abs().max()
        assert float(off) <= 1 / 128 + 0.001


@pytest.mark.parametrize(
    "changes",
    [
        {"digital": ()},
        {"digital": (ReceivedDigital(b"", np.zeros(0, bool)),)},
        {"shape": (0, 10, 3)},
        {"shape": (10, 10, 2)},
        {"shape": (16384, 16384, 3)},
        {"parameters": b""},
        {"parameters": bytes([99]) + bytes(7)},
        {"parameters": bytes(8)},
        {"parameters": LriscParameters(0, Selection(0, 0), 0).pack()},
    ],
)
def test_what_no_version_sends_is_one_clear_error(photo, changes):
    arrived = modulated(PLAIN.encode(photo, Link(10.0, 1 / 6)), 10.0)
    with pytest.raises(HscError) as error:
        PLAIN.decode(replace(arrived, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"colour": 1},
        {"roi_weight": 0.5},
        {"roi_weight": 9.0},
        {"roi_weight": float("nan")},
        {"side_share": 0.0},
        {"texture": 1.1},
        {"side_share": float("nan")},
        {"repair_share": 1.0},
        {"realism": 2.0},
    ],
)
def test_unknown_options_and_impossible_values_are_refused(options):
    with pytest.raises(HscError):
        LriscCodec(**options)
