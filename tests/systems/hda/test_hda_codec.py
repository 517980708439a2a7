"""HDA-DeepSC and hda_hevc as codecs: budgets, channels, losses, keys, and anything that may be received."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from gnuradio.hsc.app import samples
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import activity, analog_part, budget
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, Message, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.phy import analog, digital, mcs
from gnuradio.hsc.systems.hda import allocation, digital_part, hevc_codec, hevc_model, hevc_split, models
from gnuradio.hsc.systems.hda.codec import semantic_decode
from gnuradio.hsc.systems.hda.fusion import fuse
from gnuradio.hsc.systems.hda.network import LATENTS, HdaNetwork
from gnuradio.hsc.systems.hda.parameters import HdaParameters
from hypothesis import given, settings
from hypothesis import strategies as st
from support.messages import gone_symbols

KEY = bytes(range(32))
CODECS = ("hda_deepsc", "hda_hevc")


@pytest.fixture(scope="module")
def photo(sample_photo):
    return np.ascontiguousarray(sample_photo[:160, :224])


@pytest.fixture(scope="module")
def sample_photo():
    return load(samples.photographs()[0]).pixels[:256, :384]


def cross(message: Message, snr_db: float, lost: float = 0.0, seed: int = 1) -> ReceivedMessage:
    """AWGN; a share of the symbols and of the code blocks is lost."""
    rng = np.random.default_rng(seed)
    noise = 10 ** (-snr_db / 10)

    def noisy(symbols):
        return (
            symbols
            + (rng.standard_normal(len(symbols)) + 1j * rng.standard_normal(len(symbols)))
            * (noise / 2) ** 0.5
        )

    received = None
    if message.analog is not None:
        symbols, scale = analog.modulate(message.analog)
        received = analog.demodulate(noisy(symbols), noise, rng.random(len(symbols)) >= lost, scale)
    streams = []
    for stream in message.digital:
        symbols = digital.modulate(stream.data, stream.mcs)
        gone = gone_symbols(stream, lost, rng)
        variance = np.where(gone, np.inf, noise)
        streams.append(
            digital.demodulate(np.where(gone, 0, noisy(symbols)), variance, len(stream.data), stream.mcs)
        )
    return ReceivedMessage(message.codec, message.shape, message.parameters, received, tuple(streams), snr_db)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    "link",
    [
        Link(10.0, 1 / 6),
        Link(0.0, 1 / 6),
        Link(20.0, 1 / 12),
        Link(None, 1 / 6),
        Link(10.0, 1 / 6, "QPSK-3/4"),
    ],
)
def test_message_keeps_to_the_budget_and_arrives(name, link, photo):
    codec = registry.create(name, repair_share=0.1)
    message = codec.encode(photo, link)
    uses = budget.spent(message)
    assert 0.93 * link.cbr * photo.size <= uses <= link.cbr * photo.size
    found = codec.decode(cross(message, 10.0 if link.snr_db is None else link.snr_db)).image
    least = 24 if link.snr_db == 0 else 28
    assert found.shape == photo.shape and psnr_db(photo, found) > least


@pytest.mark.parametrize("name", CODECS)
def test_a_digital_part_that_comes_out_longer_than_foreseen_takes_from_the_analog_part(
    name, photo, monkeypatch
):
    codec, link, chosen = registry.create(name), Link(10.0, 1 / 6), []
    select, expect = analog_part.select, analog_part.expected_error
    monkeypatch.setattr(analog_part, "select", lambda *of: chosen.append(1) or select(*of))
    monkeypatch.setattr(analog_part, "expected_error", lambda *of: chosen.pop() and expect(*of))
    codec.encode(photo, link)
    assert not chosen  # each choice of values was one that an error was expected of
    monkeypatch.setattr(digital_part, "_CODER_BYTES", -300)
    message = codec.encode(photo, link)
    assert chosen  # and here one more was made of what was left
    assert 0.9 * link.cbr * photo.size <= budget.spent(message) <= link.cbr * photo.size
    assert psnr_db(photo, codec.decode(cross(message, 10.0)).image) > 28


@pytest.mark.parametrize("name", CODECS)
def test_the_code_is_5g_nr_unless_the_link_names_one(photo, name):
    def of(given):
        (stream,) = registry.create(name).encode(photo, Link(10.0, 1 / 6, given)).digital
        return mcs.by_name(stream.mcs)

    assert of(None).code == "nr"
    for named in mcs.CODES:
        assert of(named).code == named and of(named).threshold_db <= 9.5
    assert of("QPSK-1/2").name == "QPSK-1/2"


def test_da_ratio_is_an_upper_limit_of_the_true_lengths(photo):
    for ratio in (0.4, 1.5, 3.0):
        message = registry.create("hda_deepsc", da_ratio=ratio).encode(photo, Link(10.0, 1 / 6))
        digital_uses = budget.spent(dataclasses.replace(message, analog=np.zeros(0)))
        assert digital_uses <= ratio / (1 + ratio) * photo.size / 6 + 1
        assert digital_uses >= 0.4 * ratio / (1 + ratio) * photo.size / 6


def test_quality_rises_with_the_snr_without_a_cliff(photo):
    codec = registry.create("hda_deepsc")
    message = codec.encode(photo, Link(None, 1 / 6))
    curve = [psnr_db(photo, codec.decode(cross(message, snr)).image) for snr in range(0, 16, 3)]
    steps = np.diff(curve)
    assert (steps > 0).all() and steps.max() < 6


@pytest.mark.parametrize("name", CODECS)
def test_lost_packets_cost_little(name, sample_photo):
    codec = registry.create(name, repair_share=0.5)
    message = codec.encode(sample_photo, Link(10.0, 1 / 6))
    whole, some, many = (
        psnr_db(sample_photo, codec.decode(cross(message, 10.0, lost)).image) for lost in (0.0, 0.05, 0.2)
    )
    assert whole - some < 1.5 and whole - many < 5


def test_without_repair_symbols_a_lost_chunk_costs_its_region(sample_photo):
    codec = registry.create("hda_deepsc", repair_share=0.0)
    message = codec.encode(sample_photo, Link(10.0, 1 / 6))
    arrived = cross(message, 10.0)
    whole = codec.decode(arrived)
    stream = arrived.digital[0]
    mask = stream.received.copy()
    mask[: len(mask) // 3] = False
    found = codec.decode(
        dataclasses.replace(arrived, digital=(ReceivedDigital(stream.data, mask, (0,), stream.block_bytes),))
    )
    same = np.abs(found.image.astype(int) - whole.image).max(2) < 24
    assert 0.1 < same.mean() < 0.95
    assert not whole.notices
    assert len(found.notices) == 1 and "of the image did not arrive" in found.notices[0]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("shape", [(33, 70, 3), (64, 96, 1), (300, 40, 3)])
def test_any_size_and_grey(name, shape, sample_photo):
    image = np.ascontiguousarray(np.tile(sample_photo, (2, 2, 1))[: shape[0], : shape[1], : shape[2]])
    codec = registry.create(name, repair_share=0.0)
    found = codec.decode(cross(codec.encode(image, Link(15.0, 0.6)), 15.0)).image
    assert found.shape == image.shape and psnr_db(image, found) > 25


@pytest.mark.parametrize("ratio", [0.2, 3.0])
def test_without_the_key_there_is_no_image(ratio, photo):
    message = registry.create("hda_deepsc", da_ratio=ratio, key=KEY).encode(photo, Link(10.0, 1 / 6))
    arrived = cross(message, 10.0)
    keyed = psnr_db(photo, registry.create("hda_deepsc", key=KEY).decode(arrived).image)
    for key in (None, bytes(32)):
        assert psnr_db(photo, registry.create("hda_deepsc", key=key).decode(arrived).image) < keyed - 15


def test_tampered_bytes_are_never_shown(photo):
    codec = registry.create("hda_deepsc", key=KEY, repair_share=0.0)
    arrived = cross(codec.encode(photo, Link(10.0, 1 / 6)), 10.0)
    model = models.load(models.PROFILES[0])
    parameters = HdaParameters.unpack(arrived.parameters)
    stream = arrived.digital[0]
    changed = bytearray(stream.data)
    changed[len(changed) // 2] ^= 1
    tampered = dataclasses.replace(arrived, digital=(dataclasses.replace(stream, data=bytes(changed)),))
    fused = fuse(tampered, None, model, parameters)
    with_key = fuse(tampered, KEY, model, parameters)
    assert fuse(arrived, KEY, model, parameters).lost == 0
    assert with_key.z.shape == fused.z.shape  # one region here: what is left is an eavesdropper's guess
    assert psnr_db(photo, semantic_decode(with_key, photo.shape, model)) < 20


def test_nothing_of_the_digital_part_is_one_clear_error(photo):
    for name in CODECS:
        codec = registry.create(name)
        arrived = cross(codec.encode(photo, Link(10.0, 1 / 6)), 10.0).only("analog")
        with pytest.raises(HscError, match="did not arrive|nothing of the digital part"):
            codec.decode(arrived)


@pytest.mark.parametrize("name", CODECS)
def test_unknown_options_and_impossible_values_are_refused(name):
    for options in ({"colour": 1}, {"da_ratio": 0.0}, {"key": b"short"}, {"repair_share": 1.0}):
        with pytest.raises(HscError):
            registry.create(name, **options)


def test_too_small_a_budget_and_too_large_an_image_are_refused(photo):
    codec = registry.create("hda_deepsc")
    with pytest.raises(HscError, match="too few"):
        codec.encode(photo, Link(0.0, 0.002))
    with pytest.raises(HscError, match="at most 16 Mpx"):
        codec.decode(ReceivedMessage("hda_deepsc", (16384, 16384, 3), bytes(8)))


@given(
    st.binary(min_size=8, max_size=8),
    st.binary(max_size=600),
    st.integers(0, 2**32 - 1),
    st.sampled_from(CODECS),
)
@settings(max_examples=40, deadline=None)
def test_anything_received_gives_an_image_or_an_error(parameters, data, seed, name):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(rng.integers(0, 3000) * 2).astype(np.float32)
    stream = analog.demodulate(values.view(np.complex64), 0.1, rng.random(len(values) // 2) < 0.9, 1 << 15)
    received = ReceivedMessage(
        name, (40, 70, 3), parameters, stream, (ReceivedDigital(data, rng.random(len(data)) < 0.99, (), 40),)
    )
    try:
        assert registry.create(name).decode(received).image.shape == (40, 70, 3)
    except HscError as error:
        assert "\n" not in str(error)


def test_tables_do_not_depend_on_precision_threads_or_batch():
    """What both ends must agree on comes from integers: the same in half precision, with other threads, alone
    or in a batch.
    """
    network = models.load(models.PROFILES[0]).network
    latents = torch.from_numpy(np.random.default_rng(1).integers(-5, 6, (3, 32, 4, 6)))
    wanted = activity.log_powers(network.log_power[6, 1], latents, 1)
    half = HdaNetwork()
    half.load_state_dict(network.state_dict())
    assert torch.equal(activity.log_powers(half.half().log_power[6, 1], latents, 1), wanted)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert all(
                torch.equal(activity.log_powers(network.log_power[6, 1], one[None], 1)[0], whole)
                for one, whole in zip(latents, wanted, strict=True)
            )
    finally:
        torch.set_num_threads(threads)


def test_golden_code_of_golden_latents():
    """The shipped tables code these latents into these bytes, here and everywhere."""
    model = models.load(models.PROFILES[0])
    count = LATENTS + activity.LATENTS
    values = np.random.default_rng(2).geometric(0.6, (count, 4)).astype(np.int64) - 1
    values *= np.random.default_rng(3).choice([-1, 1], values.shape)
    rows = np.repeat(np.arange(count), 4)
    code = model.entropy[6][1].encode(values.ravel(), rows)
    assert (model.entropy[6][1].decode(code, rows) == values.ravel()).all()
    assert hashlib.sha256(code).hexdigest()[:16] == "a8b60bc39e6e8ec2"


@pytest.fixture(scope="module")
def coloured(sample_photo):
    """A photograph whose colour changes from pixel to pixel, smoothly else: z leaves out most of that."""
    stripes = np.where(np.indices(sample_photo.shape[:2]).sum(0) % 2, 24, -24)[..., None] * np.array(
        [1, 0, -1]
    )
    return (sample_photo.astype(int) // 2 + 64 + stripes).clip(0, 255).astype(np.uint8)


def test_fine_colour_that_z_leaves_out_comes_from_the_base(coloured):
    codec = registry.create("hda_hevc", da_ratio=1.5)
    message = codec.encode(coloured, Link(16.0, 1 / 4))
    parameters = HdaParameters.unpack(message.parameters)
    assert 0 < parameters.profile <= hevc_model.FINE_COLOUR
    without = dataclasses.replace(parameters, profile=0).pack()
    found, coarse = (
        codec.decode(cross(dataclasses.replace(message, parameters=own), 16.0)).image
        for own in (message.parameters, without)
    )
    assert psnr_db(coloured, found) > psnr_db(coloured, coarse) + 3


def test_the_expected_error_is_the_one_that_arrives(sample_photo, monkeypatch):
    """Without the restorer, which comes after the estimate."""
    expected = []
    monkeypatch.setattr(
        hevc_split, "message", lambda *of: expected.append(of[2].error) or allocation.message(*of)
    )
    monkeypatch.setattr(hevc_codec, "restored", lambda _, image, *known: image)
    codec = registry.create("hda_hevc", da_ratio=0.5)
    for snr_db in (2.0, 12.0):
        found = codec.decode(cross(codec.encode(sample_photo, Link(snr_db, 1 / 6)), snr_db)).image
        promised_db = -10 * np.log10(expected.pop() / sample_photo.size)
        assert abs(psnr_db(sample_photo, found) - promised_db) < 0.3


@pytest.mark.parametrize("snr_db", [16.0, 20.0])
def test_a_base_that_is_better_alone_gets_all_channel_uses(snr_db):
    """A smooth photograph, which HEVC codes far better than a block transform."""
    image = load(samples.photographs()[3]).pixels
    codec, link = registry.create("hda_hevc", key=KEY, repair_share=0.1), Link(snr_db, 1 / 6)
    message = codec.encode(image, link)
    assert HdaParameters.unpack(message.parameters).profile == hevc_model.ALONE and message.analog is None
    assert 0.9 * image.size / 6 < budget.spent(message) <= image.size / 6
    other = registry.create("separate", source="hevc_nnpf", repair_share=0.1)
    ours, theirs = (
        psnr_db(image, of.decode(cross(sent, snr_db)).image)
        for of, sent in ((codec, message), (other, other.encode(image, link)))
    )
    assert ours > theirs - 0.3
    with pytest.raises(HscError, match="not open"):
        registry.create("hda_hevc").decode(cross(message, snr_db))
    assert registry.create("hda_hevc", da_ratio=0.2).encode(image, link).analog is not None
