"""The HSC codec: parameters, budgets, every size, loss, any received bytes."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import budget, erasure
from gnuradio.hsc.coding.protection import Protection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.phy import analog, digital, interleaver
from gnuradio.hsc.phy.adaptation import LinkSetting
from gnuradio.hsc.systems.hsc import codec as hsc
from gnuradio.hsc.systems.hsc import complementary, models, semantic
from gnuradio.hsc.systems.hsc.options import LARGEST_RANK, HscOptions
from gnuradio.hsc.systems.hsc.parameters import HscParameters
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import ROOT
from support.messages import modulated

PHOTO = ROOT / "examples" / "images" / "kitten.jpg"
MCS = complementary.DEFAULT_MCS


def picture(shape: tuple[int, int, int], seed: int = 1) -> np.ndarray:
    """A smooth random image with some edges, uint8."""
    rng = np.random.default_rng(seed)
    rough = np.cumsum(np.cumsum(rng.standard_normal(shape), 0), 1)
    rough = 200 * (rough - rough.min()) / np.ptp(rough)
    rough[: shape[0] // 2, shape[1] // 3 : shape[1] // 2] += 50
    return rough.astype(np.uint8)


def digit() -> np.ndarray:
    """A hand-made 28 x 28 digit: a one with a foot."""
    image = np.zeros((28, 28, 1), np.uint8)
    image[5:22, 13:16] = 255
    image[20:22, 10:19] = 200
    return image


def ideal(message: Message, analog_lost: bool = False, digital_from: int | None = None) -> ReceivedMessage:
    """What arrives over an ideal channel, with the SR lost, or the CR lost from a byte on."""
    n = message.analog.size
    values = ReceivedAnalog(message.analog, np.zeros(n, np.float32), np.ones(n, bool))
    if analog_lost:
        lost = np.full(n, np.inf, np.float32)
        values = ReceivedAnalog(np.zeros(n, np.float32), lost, np.zeros(n, bool))
    streams = []
    for stream in message.digital:
        received = np.ones(len(stream.data), bool)
        received[digital_from if digital_from is not None else len(received) :] = False
        data = bytes(np.where(received, np.frombuffer(stream.data, np.uint8), 0).astype(np.uint8))
        streams.append(ReceivedDigital(data, received, () if received.all() else (0,)))
    return ReceivedMessage(
        message.codec, message.shape, message.parameters.ljust(8, b"\0"), values, tuple(streams)
    )


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a / 255.0 - b / 255.0).mean())


def uses(message: Message) -> int:
    return analog.symbol_count(message.analog.size) + sum(
        digital.symbol_count(len(s.data), s.mcs) for s in message.digital
    )


@given(
    st.integers(1, 255),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 31),
    st.integers(0, LARGEST_RANK),
    st.integers(0, (1 << 24) - 1),
)
def test_parameters_round_trip(model, tuning, coding, reversible, step, rank, source_bytes):
    parameters = HscParameters(model, tuning, coding, reversible, step, rank, source_bytes)
    packed = parameters.pack()
    assert len(packed) == (8 if source_bytes else 5)  # as before where there are no repair symbols
    assert HscParameters.unpack(packed.ljust(8, b"\0")) == HscParameters.unpack(packed) == parameters


@pytest.mark.parametrize("cr", ["paper", "residual", "projection"])
def test_full_rank_is_exact_and_mse_falls(cr):
    image = digit()
    errors = []
    for rank in range(0, 29, 4):
        codec = registry.create("hsc", rank=rank, cr=cr)
        message = codec.encode(image, Link())
        assert bool(message.digital) == (rank > 0)
        errors.append(mse(codec.decode(ideal(message)).image, image))
    assert all(later <= earlier for earlier, later in zip(errors[:-1], errors[1:], strict=True)), errors
    assert errors[0] > 1e-3
    assert errors[-1] == 0


@pytest.mark.parametrize(
    "shape",
    [(8, 8, 1), (8, 8, 3), (8, 90, 3), (90, 8, 1), (17, 33, 3), (28, 28, 3), (100, 75, 1), (64, 130, 3)],
)
def test_every_size(shape):
    image = picture(shape)
    for options in ({"rank": 0}, {"rank": 8}, {"rank": 3, "cr": "paper"}, {"psnr_db": 32}):
        codec = hsc.HscCodec(**options)
        received = codec.decode(ideal(codec.encode(image))).image
        assert received.shape == shape and received.dtype == np.uint8
    assert mse(received, image) <= 10**-3.2


def test_a_large_image_passes():
    image = picture((1100, 1000, 3))
    codec = hsc.HscCodec(rank=4)
    received = codec.decode(ideal(codec.encode(image))).image
    assert received.shape == image.shape
    assert mse(received, image) < 0.01


@pytest.mark.parametrize("cr", ["paper", "residual"])
def test_budget_is_kept_and_used(cr):
    image = picture((64, 96, 3))
    errors = []
    for cbr in (0.1, 0.2, 0.5):
        codec = hsc.HscCodec(cbr=cbr, cr=cr)
        message = codec.encode(image)
        block = digital.symbols_per_block(MCS)
        assert uses(message) <= cbr * image.size
        assert uses(message) > 0.7 * cbr * image.size - 3 * block
        errors.append(mse(codec.decode(ideal(message)).image, image))
    assert errors[0] > errors[1] > errors[2]


def test_link_gives_the_budget_and_the_mcs():
    image = picture((64, 96, 3))
    message = hsc.HscCodec().encode(image, Link(cbr=0.25, mcs="QPSK-1/2"))
    assert message.digital[0].mcs == "QPSK-1/2"
    assert 0.15 * image.size < uses(message) <= 0.25 * image.size


def test_budget_below_the_sr_is_refused():
    with pytest.raises(HscError, match="raise the CBR to at least 0.02084"):
        hsc.HscCodec(cbr=0.001).encode(picture((64, 64, 3)))


@pytest.mark.parametrize("cr", ["paper", "residual", "projection"])
def test_target_psnr_is_reached_but_not_by_far(cr):
    image = picture((48, 64, 3))
    codec = hsc.HscCodec(psnr_db=38, cr=cr)
    message = codec.encode(image)
    psnr = -10 * np.log10(mse(codec.decode(ideal(message)).image, image))
    assert 37.9 <= psnr <= 41


def over_awgn(message: Message, snr_db: float, seed: int, cr_lost: bool = False) -> np.ndarray:
    """What a receiver makes of a message at an SNR, its CR whole or lost."""
    n, variance = message.analog.size, np.float32(np.mean(message.analog**2) * 10 ** (-snr_db / 10))
    noise = np.sqrt(variance) * np.random.default_rng(seed).standard_normal(n).astype(np.float32)
    received = ReceivedAnalog(message.analog + noise, np.full(n, variance), np.ones(n, bool))
    streams = tuple(ReceivedDigital(s.data, np.full(len(s.data), not cr_lost)) for s in message.digital)
    return (
        hsc.HscCodec()
        .decode(ReceivedMessage("hsc", message.shape, message.parameters, received, streams))
        .image
    )


def photo() -> np.ndarray:
    return np.asarray(Image.open(PHOTO).convert("RGB"))[180:212, 100:140]


@pytest.mark.parametrize(
    ("image", "snr_db", "target", "cr"),
    [
        ("photo", 20.0, 33, "auto"),
        ("photo", 3.0, 29, "projection"),
        ("digit", 10.0, 25, "paper"),
        ("digit", 0.0, 30, "auto"),
    ],
)
def test_a_target_psnr_counts_the_noise_of_the_link_in(image, snr_db, target, cr):
    image = {"photo": photo, "digit": digit}[image]()
    message = hsc.HscCodec(psnr_db=target, cr=cr).encode(image, Link(snr_db))
    assert message.notices == ()
    psnr = [-10 * np.log10(mse(over_awgn(message, snr_db, seed), image)) for seed in range(20, 28)]
    assert np.mean(np.array(psnr) >= target - 0.3) >= 0.85  # 95 % of them, counted with eight draws


def test_a_target_psnr_takes_an_mcs_that_gets_through():
    mcs = [
        hsc.HscCodec(psnr_db=35).encode(digit(), Link(snr_db)).digital[0].mcs
        for snr_db in (None, 2.0, 5.0, 30.0)
    ]
    assert mcs == ["16QAM-1/2", "BPSK-5/8", "QPSK-5/8", "64QAM-13/16"]


@pytest.mark.parametrize(
    ("options", "link", "mcs"),
    [
        ({}, Link(5.0), "QPSK-5/8"),
        ({}, Link(20.0), "64QAM-13/16"),
        ({"cbr": 0.5}, Link(15.5, mcs="802.11ad"), "64QAM-5/8"),
        ({"mcs": "802.11ad"}, Link(5.0), "QPSK-5/8"),
        ({}, Link(5.0, mcs="nr"), budget.mcs(Link(5.0, mcs="nr"))),
        ({"mcs": "16QAM-3/4"}, Link(5.0), "16QAM-3/4"),
        ({"mcs": "16QAM-3/4"}, Link(5.0, mcs="QPSK-1/2"), "QPSK-1/2"),
        ({}, Link(), MCS),  # nothing is known
        ({}, Link(mcs="802.11ad"), MCS),
        ({"rank": 4}, Link(20.0), MCS),  # as the paper has it
        ({"rank": 4}, Link(20.0, mcs="802.11ad"), MCS),
        ({"rank": 4}, Link(20.0, mcs="64QAM-3/4"), "64QAM-3/4"),
    ],
)
def test_the_mcs_is_the_one_that_is_named_or_that_gets_through(options, link, mcs):
    message = hsc.HscCodec(**options).encode(picture((64, 96, 3)), replace(link, cbr=link.cbr or 0.5))
    assert message.digital[0].mcs == mcs


def test_a_cr_without_a_named_mcs_gets_through():
    """At 5 dB its bits arrive, at 20 dB there are more of them than in 16QAM-1/2."""
    image = picture((64, 96, 3))

    def received(snr_db: float, mcs: str | None) -> float:
        codec = hsc.HscCodec(cbr=0.5)
        return mse(codec.decode(modulated(codec.encode(image, Link(snr_db, mcs=mcs)), snr_db)).image, image)

    assert received(5.0, None) < 0.8 * received(5.0, MCS)
    assert received(20.0, None) < 0.8 * received(20.0, MCS)


@pytest.mark.parametrize(
    ("link", "options", "why"),
    [
        (Link(5.0), {"cr": "residual"}, "at 5 dB SNR"),  # what the channel does to the SR stays in the image
        (Link(5.0, mcs="64QAM-3/4"), {}, "at 5 dB SNR the CR is lost at 64QAM-3/4"),
        (Link(20.0, cbr=0.2), {}, "within a CBR of 0.2 at 20 dB SNR"),
        (Link(cbr=0.2), {}, "within a CBR of 0.2;"),
    ],
)
def test_a_target_psnr_out_of_reach_is_said_with_what_is_to_be_expected(link, options, why):
    image = photo()
    message = hsc.HscCodec(psnr_db=35, **options).encode(image, link)
    (notice,) = message.notices
    assert notice.startswith("the target of 35 dB PSNR cannot be reached") and why in notice
    assert link.cbr is None or uses(message) <= link.cbr * image.size
    expected = float(notice.split("at least ")[1].split()[0])
    psnr = -10 * np.log10(
        mse(over_awgn(message, link.snr_db or 60.0, 20, cr_lost=link.mcs is not None), image)
    )
    assert expected - 0.3 < psnr < min(34.7, expected + 3)


def test_without_a_target_nothing_is_said():
    assert hsc.HscCodec(rank=2).encode(digit(), Link(0.0)).notices == ()


def test_our_coding_is_better_at_equal_channel_uses():
    image = picture((64, 96, 3))
    error = {}
    for cr in ("paper", "residual"):
        codec = hsc.HscCodec(cbr=0.3, cr=cr)
        error[cr] = mse(codec.decode(ideal(codec.encode(image))).image, image)
    assert error["residual"] < 0.8 * error["paper"]


def test_lost_cr_leaves_the_generated_image_and_a_prefix_helps():
    image = picture((64, 96, 3))
    codec = hsc.HscCodec(rank=40, cr="residual")
    message = codec.encode(image)
    _, predicted = semantic.encode(image, HscOptions())
    size = len(message.digital[0].data)
    found = [
        codec.decode(ideal(message, digital_from=at)) for at in (0, size // 4, size // 2, size - 1, None)
    ]
    images = [each.image for each in found]
    rows = [int(each.notices[0].split()[0]) for each in found[:-1]]  # of those that can be used
    assert rows[0] == 0 < rows[1] < rows[2] < rows[3] < 40 and not found[-1].notices
    assert all("of 40 rows of the CR" in each.notices[0] for each in found[:-1])
    np.testing.assert_array_equal(images[0], np.rint(predicted.generated * 255).astype(np.uint8))
    errors = [mse(received, image) for received in images]
    assert errors[0] > errors[1] > errors[2] > errors[3] > errors[4]


@pytest.mark.parametrize("cr", ["paper", "projection"])
def test_lost_sr_leaves_the_cr_over_flat_grey(cr):
    image = picture((64, 96, 3))
    codec = hsc.HscCodec(rank=40, cr=cr)
    found = codec.decode(ideal(codec.encode(image), analog_lost=True))
    assert found.notices == ("the SR is lost: the image is the CR over grey",)
    assert mse(found.image, image) < 0.5 * mse(np.full(image.shape, 128.0), image)


@pytest.mark.parametrize(
    "options", [{"cbr": 0.5}, {"rank": 30}, {"psnr_db": 38}, {"cbr": 0.5, "cr": "paper"}]
)
def test_repair_symbols_bring_back_what_is_lost_of_the_cr(options):
    """Any blocks up to the share may be lost; beyond it the SR is left, and the rows in front."""
    image = picture((96, 128, 3))
    codec = hsc.HscCodec(repair_share=0.3, **options)
    message, plain = codec.encode(image), hsc.HscCodec(**options).encode(image)
    if "cbr" in options:
        assert max(uses(message), uses(plain)) <= 0.5 * image.size
    source_bytes = HscParameters.unpack(message.parameters).source_bytes
    (stream,) = message.digital
    size = digital.payload_bytes_per_block(stream.mcs)
    assert len(stream.data) >= erasure.protected_bytes(source_bytes, Protection(0.3), size) > source_bytes
    whole = codec.decode(ideal(message))
    for seed in range(4):
        lossy = replace(ideal(message), digital=modulated(message, 40.0, 0.15, seed).digital)
        assert not lossy.digital[0].complete
        found = codec.decode(lossy)
        assert np.array_equal(found.image, whole.image) and not found.notices
        without = replace(ideal(plain), digital=modulated(plain, 40.0, 0.15, seed).digital)
        assert mse(codec.decode(without).image, image) > mse(found.image, image)
    lossy = codec.decode(replace(ideal(message), digital=modulated(message, 40.0, 0.6).digital))
    assert "rows of the CR can be used" in lossy.notices[0] and mse(lossy.image, image) < 0.05


def test_repair_symbols_are_for_losses_that_are_known_of():
    """Nothing known of losses: the stream of a version without them. Nor has a digit's CR of three blocks a
    tenth.
    """
    image = picture((96, 128, 3))
    sent = [hsc.HscCodec().encode(image, Link(repair_share=share)) for share in (None, 0.0, 0.2)]
    assert sent[0].digital == sent[1].digital and len(sent[0].parameters) == len(sent[1].parameters) == 5
    assert len(sent[2].parameters) == 8 and sent[2].digital != sent[0].digital
    few = [hsc.HscCodec().encode(digit(), Link(repair_share=share)) for share in (None, 0.1)]
    assert few[0].digital == few[1].digital


def lossy_photo() -> np.ndarray:
    return np.asarray(Image.open(PHOTO).convert("RGB"))[100:228, 60:188]


def test_a_cr_for_losses_mends_what_they_take_from_the_sr(monkeypatch):
    """At a loss of a tenth the CR that expects it is better by a quarter of a dB than one with as many
    repair symbols.
    """
    image, link, error = lossy_photo(), Link(12.0, 1 / 4, repair_share=0.2), []
    for known in (True, False):
        if not known:
            monkeypatch.setattr(complementary, "loss_of", lambda share: 0.0)
        message = hsc.HscCodec().encode(image, link)
        assert uses(message) <= image.size / 4
        received = [hsc.HscCodec().decode(modulated(message, 12.0, 0.1, seed)) for seed in (1, 2, 3)]
        assert not any(each.notices for each in received)
        error.append(np.mean([mse(each.image, image) for each in received]))
    assert error[0] < 10**-0.025 * error[1]


def test_a_target_psnr_counts_the_losses_of_the_link_in():
    image, link = lossy_photo(), Link(12.0, repair_share=0.35)
    message = hsc.HscCodec(psnr_db=28).encode(image, link)
    for seed in range(4):
        found = hsc.HscCodec().decode(modulated(message, 12.0, 0.2, seed)).image
        assert mse(found, image) < 10 ** -((28 - 0.3) / 10)


def test_a_digits_sr_is_lost_as_a_whole_or_not_at_all():
    values, predicted = semantic.encode(digit(), HscOptions())
    draws = [semantic.over_noise(values, predicted, 10.0, False, loss) for loss in (0.0, 0.3)]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("share", [0.03, 0.2, 0.35, 0.9])
def test_a_cr_of_any_length_keeps_to_its_room_with_repair_symbols(share):
    for blocks in range(40):
        uses = 20 + 168 * blocks
        protection = Protection.of(None, Link(repair_share=share), MCS, uses)
        room = complementary._most_bytes(uses, (28, 28, 1), 20, protection)
        for n_bytes in range(1, room + 1, 7):
            made = complementary._protected(
                complementary.Complementary(bytes(n_bytes), HscParameters(2)), protection
            )
            assert digital.block_count(len(made.data), MCS) <= blocks


def test_nothing_received_is_an_error():
    codec = hsc.HscCodec(rank=4)
    with pytest.raises(HscError, match="neither SR nor CR"):
        codec.decode(ideal(codec.encode(digit()), analog_lost=True, digital_from=0))


def test_a_tenth_of_the_sr_lost_still_gives_an_image():
    image = picture((128, 128, 3))
    codec = hsc.HscCodec(rank=0)
    message = codec.encode(image)
    received = ideal(message)
    lost = np.random.default_rng(3).random(message.analog.size) < 0.1
    partly = ReceivedAnalog(
        np.where(lost, 0, message.analog).astype(np.float32),
        np.where(lost, np.inf, 0).astype(np.float32),
        ~lost,
    )
    whole = mse(codec.decode(received).image, image)
    error = mse(codec.decode(ReceivedMessage("hsc", image.shape, message.parameters, partly)).image, image)
    assert whole < error < 0.1


def test_what_a_lost_packet_took_from_the_sr_is_taken_from_its_neighbours(monkeypatch):
    """One packet of five, as the interleaver spreads it: filled from the neighbours the image is better by
    1.5 dB.
    """
    image = np.asarray(Image.open(PHOTO).convert("RGB"))
    message = hsc.HscCodec(rank=0).encode(image)
    n = message.analog.size // 2
    lost = np.zeros(n, bool)
    lost[interleaver.permutation(n)[: n // 5]] = True
    lost = np.repeat(lost, 2)
    partly = ReceivedAnalog(
        np.where(lost, 0, message.analog).astype(np.float32),
        np.where(lost, np.inf, 0).astype(np.float32),
        ~lost,
    )
    received = ReceivedMessage("hsc", image.shape, message.parameters, partly)
    filled = mse(hsc.HscCodec().decode(received).image, image)
    monkeypatch.setattr(semantic, "conditional_mean", lambda values, *_: values)
    assert filled < 10**-0.15 * mse(hsc.HscCodec().decode(received).image, image)


def test_noise_variance_is_used():
    """Shrinkage by the noise variance beats ignoring it, at 0 dB."""
    image = picture((128, 128, 3))
    codec = hsc.HscCodec(rank=0)
    message = codec.encode(image)
    n, variance = message.analog.size, np.float32(np.mean(message.analog**2))
    noisy = message.analog + np.sqrt(variance) * np.random.default_rng(4).standard_normal(n).astype(
        np.float32
    )
    error = []
    for told in (variance, np.float32(0)):
        received = ReceivedAnalog(noisy, np.full(n, told), np.ones(n, bool))
        error.append(
            mse(codec.decode(ReceivedMessage("hsc", image.shape, message.parameters, received)).image, image)
        )
    assert error[0] < error[1]


def test_knowing_the_noise_chooses_a_better_cr():
    """At 5 dB the CR that expects the noise beats the one that does not, at equal channel uses."""
    image = picture((96, 96, 3))
    error = []
    for link in (Link(), Link(snr_db=5.0)):
        codec = hsc.HscCodec(cbr=0.3, tuning="none")
        message = codec.encode(image, link)
        n, variance = message.analog.size, np.float32(np.mean(message.analog**2) * 10**-0.5)
        noisy = message.analog + np.sqrt(variance) * np.random.default_rng(5).standard_normal(n).astype(
            np.float32
        )
        received = ReceivedAnalog(noisy, np.full(n, variance), np.ones(n, bool))
        streams = tuple(ReceivedDigital(s.data, np.ones(len(s.data), bool)) for s in message.digital)
        error.append(
            mse(
                codec.decode(
                    ReceivedMessage("hsc", image.shape, message.parameters, received, streams)
                ).image,
                image,
            )
        )
    assert error[1] < error[0]


@pytest.mark.parametrize(
    "options",
    [
        {"rank": -1}, {"rank": 70_000}, {"rank": 3, "cbr": 0.1}, {"cbr": 0}, {"psnr_db": 99},
        {"semantic": "gan"}, {"cr": "zip"}, {"tuning": "more"}, {"tuning": "ncr"}, {"colour": 1},
        {"jpeg2000_ratio": 0.5}, {"repair_share": 1.0},
    ],
)  # fmt: skip
def test_bad_options_are_refused_in_one_line(options):
    with pytest.raises(HscError) as error:
        hsc.HscCodec(**options)
    assert "\n" not in str(error.value)


def test_bad_images_are_refused():
    codec = hsc.HscCodec(rank=2)
    for image in (
        np.zeros((4, 40, 3), np.uint8),
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 3)),
        np.zeros((20, 20, 2), np.uint8),
    ):
        with pytest.raises(HscError):
            codec.encode(image)
    with pytest.raises(HscError, match="full rank"):
        hsc.HscCodec(rank=29).encode(digit())
    with pytest.raises(HscError, match="symbols"):
        hsc.HscCodec(symbols=5)


@given(
    st.binary(max_size=8),
    st.binary(max_size=500),
    st.sampled_from([(28, 28, 1), (16, 20, 3), (8, 8, 1), (1, 60000, 3), (65535, 65535, 3)]),
)
@settings(max_examples=300, deadline=None)
def test_any_received_bytes_give_an_image_or_an_hsc_error(parameters, data, shape):
    _decode_anything(parameters, data, shape)


@given(
    st.integers(0, 2),
    st.integers(0, 31),
    st.integers(0, 60),
    st.integers(0, 520),
    st.binary(max_size=500),
    st.sampled_from([(28, 28, 1), (16, 20, 3)]),
)
@settings(max_examples=200, deadline=None)
def test_plausible_parameters_and_any_bytes(coding, step, rank, source_bytes, data, shape):
    model = 2 if shape == (28, 28, 1) else 33
    _decode_anything(HscParameters(model, 0, coding, True, step, rank, source_bytes).pack(), data, shape)


def _decode_anything(parameters: bytes, data: bytes, shape: tuple[int, int, int]) -> None:
    n = 2 * len(data) % 70
    values = ReceivedAnalog(
        np.linspace(-1, 1, n).astype(np.float32), np.full(n, 0.1, np.float32), np.ones(n, bool)
    )
    mask = np.arange(len(data)) // 20 % 4 > 0  # every fourth block is lost
    received = ReceivedMessage("hsc", shape, parameters, values, (ReceivedDigital(data, mask, (0,), 20),))
    try:
        image = hsc.HscCodec().decode(received).image
    except HscError:
        return
    assert image.shape == shape and image.dtype == np.uint8


def test_every_shipped_digit_codec_sends_a_digit():
    for name in weights.names():
        if "mnist" not in name or "ncr" in name:
            continue
        semantic, symbols, *tuning = name.removeprefix("hsc-mnist-").split("-", 2)
        codec = hsc.HscCodec(
            semantic=semantic, symbols=int(symbols[1:]), rank=6, tuning=tuning[0] if tuning else "none"
        )
        message = codec.encode(digit())
        assert message.analog.size == 2 * int(symbols[1:])
        assert mse(codec.decode(ideal(message)).image, digit()) < 0.01
    ncr = hsc.HscCodec(rank=8, tuning="ncr")
    assert mse(ncr.decode(ideal(ncr.encode(digit()))).image, digit()) < 0.01


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"symbols": 16, "tuning": "ncr"},
            "choose tuning 'none', or one of hsc-mnist-vae-m8, hsc-mnist-vae-m64",
        ),
        ({"symbols": 4, "tuning": "few-shot"}, "hsc-mnist-vae-m4 has no few-shot weights: choose"),
        ({"semantic": "vqvae", "tuning": "ncr"}, "for the digit VAE only"),
        ({"semantic": "vqvae", "symbols": 64}, "no digit model 'vqvae' with 64 symbols: there are"),
    ],
)
def test_weights_that_are_not_there_are_told_with_those_that_are(options, says):
    with pytest.raises(HscError) as error:
        hsc.HscCodec(rank=8, **options).encode(digit())
    assert says in str(error.value) and "\n" not in str(error.value)


def test_ncr_adapters_are_those_of_the_nearest_rank_that_was_trained():
    near, far, same = (models.load_model(2, "ncr", rank) for rank in (9, 15, 8))
    weight = "encoder.0.weight"
    states = [model.adapters.state_dict()[weight] for model in (near, far, same)]
    assert torch.equal(states[0], states[2]) and not torch.equal(states[0], states[1])


def test_a_network_is_kept_once_for_all_ranks():
    one, other = (models.network(HscParameters(2, 0, rank=rank)) for rank in (3, 9))
    assert one is other


def test_every_name_of_its_weights_is_the_codecs():
    (pattern,) = hsc.HscCodec.weights
    loaded = [name for name in weights.names() if name.startswith(tuple(models.MODELS.values()))]
    assert loaded and all(fnmatch(name, pattern) for name in loaded)
    assert set(loaded) == {name for name in weights.names() if fnmatch(name, pattern)}


def test_parameters_are_described():
    message = hsc.HscCodec(rank=8, tuning="ncr", cr="residual").encode(digit())
    assert hsc.HscCodec.describe(message.parameters + bytes(3)) == {
        "rank": 8,
        "coding": "residual",
        "network": "hsc-mnist-vae-m8",
        "tuning": "ncr",
    }
    with pytest.raises(HscError, match="newer version"):
        hsc.HscCodec.describe(bytes([2, 0xFF, 0, 0, 0]))


def test_a_link_adaptation_sets_the_amount_of_cr():
    codec = hsc.HscCodec(rank=5, cr="residual")
    aimed = codec.adapted(LinkSetting(12.0, 10.5, psnr_db=31.0)).options
    assert (aimed.rank, aimed.psnr_db, aimed.cbr, aimed.cr) == (None, 31.0, None, "residual")
    alone = codec.adapted(LinkSetting(-9.0, -10.5, psnr_db=31.0, digital=False)).options
    assert (alone.rank, alone.psnr_db) == (0, None)
    assert codec.adapted(LinkSetting(12.0, 10.5)) is codec


def test_options_beside_an_sr_keep_to_its_adapters():
    options = HscOptions(psnr_db=30.0, cr="paper")
    assert options.beside("few-shot", 0) == HscOptions(psnr_db=30.0, cr="paper", tuning="few-shot")
    assert options.beside("ncr", 8) == HscOptions(rank=8, cr="paper", tuning="ncr")


def test_a_generated_image_of_another_size_is_refused():
    _, predicted = semantic.encode(picture((16, 16, 3)), HscOptions())
    with pytest.raises(HscError, match="does not belong"):
        complementary.encode(picture((16, 24, 3)), predicted, HscOptions(rank=2))
