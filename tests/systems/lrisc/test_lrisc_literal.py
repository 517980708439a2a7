"""The literal coding length: tables against integrals, masks, and the codec with it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc.app import samples
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import budget
from gnuradio.hsc.coding.activity import OCTAVE
from gnuradio.hsc.coding.analog_part import Selection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.systems.lrisc import allocation as lrisc
from gnuradio.hsc.systems.lrisc import hyper, literal, roi
from gnuradio.hsc.systems.lrisc.allocation import Terms
from gnuradio.hsc.systems.lrisc.codec import LriscCodec
from gnuradio.hsc.systems.lrisc.options import LriscOptions
from gnuradio.hsc.systems.lrisc.parameters import LriscParameters
from gnuradio.hsc.systems.lrisc.reception import estimate
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import modulated

LITERAL = LriscCodec(refiner=False, lengths="literal")
PLAIN = LriscCodec(refiner=False)
ROWS = 16


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(load(samples.photographs()[1]).pixels[40:200, 60:284])


def drawn(count=200_000, seed=1):
    """Coefficients of p(z | y) over 40 octaves of power: z, log2 σ² [1/64 octave]."""
    rng = np.random.default_rng(seed)
    log_power = torch.from_numpy(rng.integers(-1800, 700, count))
    normal = torch.from_numpy(rng.standard_normal(count)).float()
    return (log_power / OCTAVE / 2).exp2() * normal, log_power


# ---- the rule


@pytest.mark.parametrize("row", [1, 2, 7, 15])
def test_tables_are_the_integrals_of_a_normal_variable(row):
    edge = math.sqrt(row * math.log(2) / 2)
    x = np.linspace(0, 12, 2_000_001)
    density, step = 2 / math.sqrt(2 * math.pi) * np.exp(-x * x / 2), x[1]
    beyond = x >= edge
    share = (density * beyond).sum() * step
    assert literal._SENT[row] == pytest.approx(share * 2**24, rel=1e-4, abs=1)
    above = (density * beyond * x * x).sum() * step / share
    below = (density * ~beyond * x * x).sum() * step / (1 - share)
    assert literal._SENT_POWER[row] == pytest.approx(64 * math.log2(above), abs=0.6)
    assert literal._UNSENT_POWER[row] == pytest.approx(64 * math.log2(below), abs=0.6)


def test_tables_have_a_row_for_each():
    assert len(literal._SENT) == len(literal._SENT_POWER) == len(literal._UNSENT_POWER) == ROWS
    assert list(literal._SENT) == sorted(literal._SENT, reverse=True)


def test_lengths_are_those_of_the_self_information():
    """Sent is what has at least so much −log2 p(z | y), but for the rounding of rows to half an octave."""
    z, log_power = drawn()
    threshold = 100
    row = literal.rows(log_power, threshold)
    sent = literal.lengths(z, log_power, row)
    variance = (log_power.double() / OCTAVE).exp2()
    information = variance.log2() + z.double().square() / variance / math.log(2)
    octaves = threshold / OCTAVE
    inside = row < ROWS
    assert sent[inside & (information >= octaves + 0.5)].all()
    assert not sent[information < octaves - 1e-4].any() and not sent[~inside].any()
    assert sent[row == 0].all() and (row[log_power >= threshold] == 0).all()
    assert (row[log_power < threshold] > 0).all()


def test_masks_tell_the_true_second_moments():
    z, log_power = drawn()
    weight = torch.where(torch.arange(len(z)) % 2 > 0, 128, 0)
    ranked, threshold = log_power + weight, 100
    sent = literal.lengths(z, log_power, literal.rows(ranked, threshold))
    known = literal.known(log_power, ranked, sent, threshold)
    said = (known.log_power / OCTAVE).exp2()
    for which in (sent, ~sent):
        assert float(z[which].square().sum() / said[which].sum()) == pytest.approx(1, rel=0.1)
    assert torch.equal(known.weighted, known.log_power + weight)
    assert torch.equal(known.ranked >= threshold, sent) and known.ranked[sent].min() == threshold
    gaps = known.ranked[sent] - known.weighted[sent]
    assert (gaps == gaps[0]).all()


@given(st.integers(-4000, 4000), st.integers(0, 2**32 - 1), st.binary(max_size=9))
@settings(max_examples=50, deadline=None)
def test_masks_come_back(threshold, seed, side):
    z, log_power = drawn(2000, seed)
    row = literal.rows(log_power, threshold)
    sent = literal.lengths(z, log_power, row)
    packed = literal.pack(side, sent, row)
    found, mask = literal.split(packed)
    assert found == side and torch.equal(literal.unpack(mask, row), sent)


def test_masks_cost_about_their_entropy():
    z, log_power = drawn()
    row = literal.rows(log_power, 100)
    sent = literal.lengths(z, log_power, row)
    share = torch.bincount(row, sent.float(), ROWS + 1) / torch.bincount(row, minlength=ROWS + 1).clamp_min(1)
    share = share[row].clamp(1e-9, 1 - 1e-9).double()
    entropy = -torch.where(sent, share, 1 - share).log2().sum() / 8
    assert len(literal.pack(b"", sent, row)) == pytest.approx(float(entropy), rel=0.02)


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_mask_or_an_error(data, seed):
    row = literal.rows(drawn(300, seed)[1], 0)
    try:
        sent = literal.unpack(literal.split(data)[1], row)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert sent[row == 0].all() and not sent[row == ROWS].any()


def test_a_mask_of_other_values_is_refused():
    """The tables hold an escape, which no transmitter uses."""
    row = torch.ones(40, dtype=torch.int64)
    code = literal._tables().encode(np.full(40, 2), row.numpy())
    with pytest.raises(HscError, match="the mask of the coefficients sent is damaged"):
        literal.unpack(code, row)


# ---- the codec


@pytest.mark.parametrize("link", [Link(0.0, 1 / 6), Link(10.0, 1 / 24), Link(20.0, 1 / 6), Link(None, 1 / 3)])
def test_messages_keep_to_the_budget_and_arrive(link, photo):
    message = LITERAL.encode(photo, link)
    uses = budget.channel_uses(link, photo.shape)
    assert 0.8 * uses < budget.spent(message) <= uses
    snr_db = 10.0 if link.snr_db is None else link.snr_db
    arrived = modulated(message, snr_db)
    # the receiver needs no option to read it
    found = PLAIN.decode(arrived)
    assert np.array_equal(found.image, LITERAL.decode(arrived).image)
    assert psnr_db(photo, found.image) > 18 and np.isfinite(found.error).all()
    assert LriscParameters.unpack(message.parameters).literal
    assert 0 < LITERAL.describe(message.parameters)["beta"] < 1


def test_the_mask_is_counted_and_takes_its_share(photo):
    literally, plainly = (each.encode(photo, Link(10.0, 1 / 6)) for each in (LITERAL, PLAIN))
    told = [LriscParameters.unpack(each.parameters) for each in (literally, plainly)]
    assert told[0].side_bytes > 2 * told[1].side_bytes and literally.analog.size < plainly.analog.size
    assert not told[1].literal and len(literally.digital[0].data) >= told[0].side_bytes


@pytest.mark.parametrize("region", [None, "20,30,90,60"])
@pytest.mark.parametrize("lost", [0.0, 0.15])
def test_a_receiver_knows_the_variance_of_its_error(photo, region, lost):
    """Latents drawn from p(z | y), within 10 %: what is not sent is known to be small."""
    options = LriscOptions(lengths="literal", repair_share=0.8, texture=0.0)
    terms = Terms.of(photo.shape, budget.channel_uses(Link(cbr=1 / 2), photo.shape), Link(12.0), options)
    z = lrisc.latent(photo, terms)
    region = roi.read(region, photo.shape, z.shape[1:], 4.0)
    plain = lrisc.allocate(z, region, Terms.of(photo.shape, terms.uses, Link(12.0), LriscOptions()))
    deviation = (plain.log_power / OCTAVE / 2).exp2()
    squared, variance, generator = 0.0, 0.0, torch.Generator().manual_seed(1)
    for seed in range(4):
        low = deviation * torch.randn(z.shape, generator=generator)
        weighted, waves = hyper.weighted(plain.log_power, region.log_weight()), plain.log_power[None]
        weighted -= weighted % hyper.RANK_STEP
        ranked = hyper.with_waves(weighted[None], hyper.wave_ranks(hyper.waves_of(waves)[0], 0, 3))[0]
        told = lrisc._Told(plain.fineness, torch.zeros(0), plain.side)
        chosen = lrisc._literally(low, told, plain.log_power, ranked, terms)
        drawn_z = hyper.gather_low(low[None], inverse=True)[0]
        known = estimate(modulated(lrisc.message(drawn_z, chosen, terms), 12.0, lost, seed))
        squared += float((known.z - drawn_z).square().sum())
        variance += float(known.variance.sum())
    assert squared / variance == pytest.approx(1, rel=0.1)


@given(st.binary(max_size=300), st.integers(-4096, 4095), st.integers(-4096, 4095), st.integers(0, 310))
@settings(max_examples=40, deadline=None)
def test_anything_received_gives_an_image_or_an_error(data, threshold, water, side_bytes):
    selection = Selection(threshold, water)
    parameters = LriscParameters(len(data) % 6, selection, side_bytes, literal=True).pack()
    stream = ReceivedDigital(data, np.ones(len(data), bool), (), 40)
    try:
        found = PLAIN.decode(ReceivedMessage("lrisc", (40, 70, 3), parameters, None, (stream,)))
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert found.image.shape == (40, 70, 3)


def test_a_mask_that_the_header_cannot_tell_makes_fewer_values(photo, monkeypatch):
    """As of an image of some megapixels, whose mask would be beyond 2^17 bytes."""
    usual = LITERAL.encode(photo, Link(10.0, 1 / 6))
    most = LriscParameters.unpack(usual.parameters).side_bytes * 3 // 4
    monkeypatch.setattr(lrisc, "MOST_BYTES", most)
    message = LITERAL.encode(photo, Link(10.0, 1 / 6))
    assert most // 2 < LriscParameters.unpack(message.parameters).side_bytes <= most
    assert len(message.analog) < len(usual.analog)
    assert psnr_db(photo, LITERAL.decode(modulated(message, 10.0)).image) > 20


@pytest.mark.parametrize("level", [-4096, -3000, 0, 3000, 4092])
def test_any_level_behind_side_information_that_can_be_read(photo, level):
    arrived = modulated(LITERAL.encode(photo, Link(10.0, 1 / 6)), 10.0, 0.1)
    told = LriscParameters.unpack(arrived.parameters)
    parameters = replace(told, selection=replace(told.selection, water=level)).pack()
    found = PLAIN.decode(ReceivedMessage(*vars(arrived).values())).image
    changed = PLAIN.decode(
        ReceivedMessage("lrisc", arrived.shape, parameters, arrived.analog, arrived.digital)
    ).image
    assert changed.shape == found.shape


def test_other_rules_are_refused():
    with pytest.raises(HscError, match="lengths"):
        registry.create("lrisc", lengths="random")
