"""The learned image codec: what is decoded is what was coded, on any machine, from any bytes."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc.coding import budget
from gnuradio.hsc.coding.entropy import TOTAL, EntropyTables
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.systems.ds2c2 import lic, lic_coding, lic_network
from gnuradio.hsc.systems.ds2c2.lic import LicCodec, LicParameters
from gnuradio.hsc.systems.ds2c2.lic_coding import HYPERS, LATENTS, LEVELS, PARTS, ROWS, Coder, Prior, Reader
from gnuradio.hsc.systems.ds2c2.lic_integer import LIMIT, UNIT, IntegerConvolution
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fields import smooth_photos
from support.messages import arrived

KINDS = ("repair", "stop", "zeros")
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def whole(numbers: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(numbers).double()


# ---- the entropy model


def fixed_coder() -> Coder:
    """Made of integers alone, the same for ever."""
    rng = np.random.RandomState(1)
    prior = Prior()
    with torch.no_grad():
        for module in prior.modules():
            if isinstance(module, IntegerConvolution):
                size = max(int(4096 * 2.5 / module.weight[0].numel() ** 0.5), 1)
                module.weight.copy_(
                    torch.from_numpy(rng.randint(-size, size + 1, module.weight.shape)) / 4096
                )
                module.bias.copy_(torch.from_numpy(rng.randint(-9999, 9999, module.bias.shape)) / 262144)
    # Halving every (2 + row) / 8 values on either side; what the sum lacks goes to the middle.
    rows = [np.maximum((1 << 17) >> (np.abs(np.arange(-40, 42)) * 8 // (2 + row)), 1) for row in range(ROWS)]
    for row in rows:
        row[40] += TOTAL - row.sum()
    latents = EntropyTables(np.stack(rows), np.full(ROWS, -40))
    hypers = EntropyTables(np.tile(rows[12], (LEVELS // 8 * HYPERS, 1)), np.full(LEVELS // 8 * HYPERS, -40))
    return Coder(prior.double().requires_grad_(False), latents, hypers)


def fixed_values() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.RandomState(2)
    y = whole(rng.randint(-2000, 2001, (LATENTS, 4, 6))) / 512
    y[0] *= 20
    return y, whole(rng.randint(-9, 10, (HYPERS, 2, 3)))


def test_golden_bytes():
    """Weights, tables and values are integers: these bytes never change, whatever the machine."""
    data, found = lic_coding.encode(fixed_coder(), *fixed_values(), 30)
    assert (len(data), hashlib.sha256(data).hexdigest()[:16]) == GOLDEN
    told = found.y.long().numpy().astype("<i4").tobytes()
    assert hashlib.sha256(told).hexdigest()[:16] == GOLDEN_LATENTS


GOLDEN = (8120, "0970a5d2791fa730")
GOLDEN_LATENTS = "7305a561a79bb4ee"


@pytest.mark.parametrize("level", [0, 17, 47])
def test_what_is_decoded_is_what_was_coded(level):
    coder, (y, z) = fixed_coder(), fixed_values()
    y[3, 1, 2], y[40, 0, 0], z[0, 0, 0] = 1e9, -1e9, 1e9  # beyond what can be coded
    data, sent = lic_coding.encode(coder, y, z, level)
    reader = Reader(data, len(data))
    found = lic_coding.decode(coder, reader, (4, 6), level)
    assert reader.empty and found.known.all()
    for name in ("y", "symbols", "log_scale"):
        assert torch.equal(getattr(found, name), getattr(sent, name)), name
    assert torch.equal(found.y, found.y.round()) and 0.99 * LIMIT < found.y.abs().max() <= LIMIT
    off = (found.y / UNIT - y).abs()
    off[3, 1, 2] = off[40, 0, 0] = 0
    assert off.max() <= 0.5 + lic_coding.DEAD_ZONE + 1 / UNIT


def test_parts_cover_every_latent_once():
    for size in ((2, 2), (4, 6), (6, 2)):
        assert (torch.stack([part.mask(*size) for part in PARTS]).sum(0) == 1).all()
        for part in PARTS:
            lines = torch.zeros((LATENTS, *size), dtype=torch.bool)
            for at in lic_coding._lines(part, *size):
                lines[at] = True
            assert torch.equal(lines, part.mask(*size))


def test_the_later_parts_listen_to_the_earlier_ones():
    coder, (y, z) = fixed_coder(), fixed_values()
    other = y.clone()
    other[0, 0, 0] += 3  # of the first part
    scales = [lic_coding.encode(coder, each, z, 30)[1].log_scale for each in (y, other)]
    for part, changes in zip(PARTS, (False, True, True, True), strict=True):
        mask = part.mask(4, 6)
        assert torch.equal(*(each[mask] for each in scales)) != changes


def test_wherever_a_code_breaks_off_what_is_kept_is_right():
    """And what comes behind does not matter."""
    coder, (y, z) = fixed_coder(), fixed_values()
    data, sent = lic_coding.encode(coder, y, z, 30)
    rng, before = np.random.default_rng(1), -1
    for intact in (*range(0, len(data), len(data) // 24), len(data)):
        tails = (bytes(len(data) - intact), rng.bytes(len(data) - intact))
        found, other = (
            lic_coding.decode(coder, Reader(data[:intact] + tail, intact), (4, 6), 30) for tail in tails
        )
        assert torch.equal(found.y, other.y) and torch.equal(found.known, other.known)
        assert torch.equal(found.y[found.known], sent.y[found.known])
        assert not found.symbols[~found.known].any()
        assert found.known.sum() >= before
        before = found.known.sum()
    assert found.known.all()
    half = lic_coding.decode(coder, Reader(data, len(data) // 2), (4, 6), 30)
    assert 0.1 < half.known.float().mean() < 0.9


def test_entropy_tables_are_rows_of_scale():
    scales = torch.tensor([-9999.0, -5 * 64, -5 * 64 + 7, -5 * 64 + 8, 0, 16, 9999])
    assert lic_coding.table_rows(scales).tolist() == [0, 0, 0, 1, 20, 21, ROWS - 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 3])
def test_decoding_does_not_depend_on_floating_point(lic_state, dtype, threads):
    """The networks that draw the image may round as they like: the latents are the same."""
    photo = smooth_photos(1, 96, 80, seed=3)[0]
    network, coder = lic_network.ready(lic_state)
    data = lic.compress(network, coder, photo, 30)
    before = torch.get_num_threads()
    usual = lic_coding.decode(coder, Reader(data, len(data)), lic.positions(photo.shape), 30)
    image = lic.reconstruct(network, usual, 30, photo.shape)
    try:
        torch.set_num_threads(threads)
        found = lic_coding.decode(coder, Reader(data, len(data)), lic.positions(photo.shape), 30)
        other = lic.reconstruct(network.to(dtype), found, 30, photo.shape)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found.y, usual.y) and torch.equal(found.log_scale, usual.log_scale)
    assert psnr_db(other, image) > (35 if dtype is torch.bfloat16 else 60)


# ---- the codec


@pytest.fixture(scope="module")
def photo():
    return smooth_photos(1, 96, 112, seed=5)[0]


@pytest.mark.parametrize("losses", KINDS)
@pytest.mark.parametrize("cbr", [1 / 10, 1 / 4])
def test_codec_meets_its_budget(lic_ready, photo, losses, cbr):
    codec = LicCodec(losses=losses)
    link = Link(10.0, cbr)
    message = codec.encode(photo, link)
    uses = budget.channel_uses(link, photo.shape)
    assert budget.spent(message) <= uses
    told = LicParameters.unpack(message.parameters)
    finer = lic.compress(*lic_ready, photo, told.level - 1)
    mcs = message.digital[0].mcs
    assert len(finer) > told.code_bytes
    protection = codec.options.protection(link, mcs, uses)
    repaired = lic.erasure.protected_bytes(len(finer), protection, _block(mcs))
    assert lic.digital.symbol_count(repaired, mcs) > uses, "a finer image would have fitted"
    decoded = codec.decode(arrived(message))
    assert decoded.image.shape == photo.shape and not decoded.notices
    assert psnr_db(decoded.image, photo) > 20


def _block(mcs: str) -> int:
    return lic.digital.payload_bytes_per_block(mcs)


def test_more_channel_uses_give_a_better_image(lic_ready, photo):
    codec = LicCodec(losses="stop")
    found = [codec.decode(arrived(codec.encode(photo, Link(10.0, cbr)))).image for cbr in (0.06, 0.15, 0.4)]
    quality = [psnr_db(image, photo) for image in found]
    assert quality[0] + 1 < quality[1] < quality[2] - 1


def test_a_budget_that_is_too_small_is_told(lic_ready, photo):
    with pytest.raises(HscError, match="raise the CBR to at least") as told:
        LicCodec().encode(photo, Link(10.0, 1e-4))
    least = float(str(told.value).rsplit(" ", 1)[1])
    LicCodec().encode(photo, Link(10.0, least))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 1), (33, 31, 3), (64, 64, 1)])
def test_any_size_and_grey(lic_ready, shape):
    image = smooth_photos(1, *shape[:2])[0][..., : shape[2]]
    codec = LicCodec(losses="stop")
    message = codec.encode(image, Link(10.0, None if min(shape[:2]) > 2 else 100.0))
    decoded = codec.decode(arrived(message)).image
    assert decoded.shape == image.shape and decoded.dtype == np.uint8
    assert psnr_db(decoded, image) > 18


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images(lic_ready, level):
    image = np.full((48, 40, 3), level, np.uint8)
    codec = LicCodec(losses="stop")
    decoded = codec.decode(arrived(codec.encode(image, Link(10.0, 1.0)))).image
    assert np.abs(decoded.astype(int) - level).mean() < 6


def lossy(message, keep: np.ndarray) -> ReceivedMessage:
    """With the blocks where `keep` is False lost."""
    stream = message.digital[0]
    size = _block(stream.mcs)
    there = np.repeat(keep, size)[: len(stream.data)]
    data = (np.frombuffer(stream.data, np.uint8) * there).tobytes()
    received = ReceivedDigital(data, there, tuple(np.flatnonzero(~keep).tolist()), size)
    return replace(arrived(message), digital=(received,))


def blocks(message) -> int:
    return lic.digital.block_count(len(message.digital[0].data), message.digital[0].mcs)


def test_repair_symbols_bring_lost_blocks_back(lic_ready, photo):
    codec = LicCodec(repair_share=0.3)
    message = codec.encode(photo, Link(10.0, 1 / 8))
    keep = np.ones(blocks(message), bool)
    keep[: int(0.25 * len(keep))] = False
    clean = codec.decode(arrived(message)).image
    decoded = codec.decode(lossy(message, keep))
    np.testing.assert_array_equal(decoded.image, clean)
    assert not decoded.notices
    keep[: int(0.5 * len(keep))] = False
    broken = codec.decode(lossy(message, keep))
    assert len(broken.notices) == 1 and "predicted" in broken.notices[0]


def test_stop_uses_what_comes_before_the_first_lost_block(lic_ready, photo):
    codec = LicCodec(losses="stop")
    message = codec.encode(photo, Link(10.0, 1 / 8))
    count, quality = blocks(message), []
    for lost in (0, count // 3, 2 * count // 3, count - 1):
        keep = np.arange(count) != lost
        decoded = codec.decode(lossy(message, keep))
        assert "predicted" in decoded.notices[0]
        quality.append(psnr_db(decoded.image, photo))
    whole = psnr_db(codec.decode(arrived(message)).image, photo)
    assert quality == sorted(quality) and quality[-1] <= whole
    assert quality[2] > quality[0] + 1, "what came is used"


def test_zeros_are_decoded_to_something_else(lic_ready, photo):
    codec = LicCodec(losses="zeros")
    message = codec.encode(photo, Link(10.0, 1 / 8))
    keep = np.ones(blocks(message), bool)
    keep[len(keep) // 3] = False
    decoded = codec.decode(lossy(message, keep))
    assert "read as zeros" in decoded.notices[0]
    stopped = LicCodec(losses="stop").decode(
        replace(lossy(message, keep), parameters=_with(message.parameters, "stop"))
    )
    assert psnr_db(decoded.image, photo) < psnr_db(stopped.image, photo) - 1
    assert not codec.decode(arrived(message)).notices


def _with(parameters: bytes, losses: str) -> bytes:
    return replace(LicParameters.unpack(parameters), losses=losses).pack()


@pytest.mark.parametrize("losses", KINDS)
def test_nothing_of_it_arrives(lic_ready, photo, losses):
    codec = LicCodec(losses=losses)
    message = codec.encode(photo, Link(10.0, 1 / 8))
    decoded = codec.decode(lossy(message, np.zeros(blocks(message), bool)))
    assert decoded.image.shape == photo.shape and len(decoded.notices) == 1


@pytest.mark.parametrize("losses", KINDS)
def test_through_modulation_and_noise(lic_ready, photo, losses):
    codec = LicCodec(losses=losses)
    message = codec.encode(photo, Link(10.0, 1 / 8))
    stream, noise = message.digital[0], np.random.default_rng(1).standard_normal
    symbols = lic.digital.modulate(stream.data, stream.mcs)
    variance = 10**-1.2
    symbols = symbols + (noise(len(symbols)) + 1j * noise(len(symbols))) * (variance / 2) ** 0.5
    came = lic.digital.demodulate(symbols, variance, len(stream.data), stream.mcs)
    decoded = codec.decode(replace(arrived(message), digital=(came,)))
    np.testing.assert_array_equal(decoded.image, codec.decode(arrived(message)).image)


@pytest.mark.parametrize("losses", KINDS)
@settings(parent=CALM, max_examples=30)
@given(data=st.data())
def test_any_bytes_give_an_image_or_one_line(lic_ready, losses, data):
    """Of a message of any length, with any bytes and any of them lost."""
    stream = data.draw(st.binary(max_size=400))
    there = np.array(data.draw(st.lists(st.booleans(), min_size=len(stream), max_size=len(stream))), bool)
    there |= data.draw(st.booleans())
    parameters = LicParameters(
        data.draw(st.integers(0, LEVELS - 1)), losses, "clean", data.draw(st.integers(0, len(stream) + 3))
    )
    shape = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3])))
    size = data.draw(st.sampled_from([0, 40, 52]))
    received = ReceivedMessage(
        "lic", shape, parameters.pack(), None, (ReceivedDigital(stream, there, (), size),)
    )
    try:
        decoded = LicCodec().decode(received)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert decoded.image.shape == shape and decoded.image.dtype == np.uint8


@pytest.mark.parametrize("losses", KINDS)
@settings(parent=CALM, max_examples=15)
@given(seed=st.integers(0, 1 << 30), first=st.integers(0, 3))
def test_a_real_code_with_wrong_bytes_gives_an_image(lic_ready, losses, seed, first):
    """Wrong, but said to be lost: every value is bounded, and nothing is looked for beyond the end."""
    rng = np.random.default_rng(seed)
    network, coder = lic_ready
    photo = smooth_photos(1, 64, 64)[0]
    data = bytearray(lic.compress(network, coder, photo, 30))
    there = np.ones(len(data), bool)
    for place in rng.integers(4 * first, len(data), 20):
        data[place], there[place] = rng.integers(256), False
    parameters = LicParameters(30, losses, "clean", len(data)).pack()
    received = ReceivedMessage(
        "lic", photo.shape, parameters, None, (ReceivedDigital(bytes(data), there, (0,), 40),)
    )
    decoded = LicCodec().decode(received)
    assert decoded.image.shape == photo.shape and len(decoded.notices) == 1


def test_a_code_of_other_weights_is_refused(lic_ready, photo):
    message = LicCodec(losses="stop").encode(photo, Link(10.0, 1 / 8))
    told = LicParameters.unpack(message.parameters)
    other = replace(message, parameters=replace(told, level=told.level + 8).pack())
    with pytest.raises(HscError, match="other weights"):
        LicCodec().decode(arrived(other))


# ---- parameters and options


@settings(deadline=None)
@given(data=st.binary(max_size=12))
def test_parameters_are_read_or_refused(data):
    try:
        told = LicParameters.unpack(data)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert told.pack() == data[:6] and LicCodec.describe(data)["level"] == told.level


def test_parameters_come_back():
    for losses in KINDS:
        for training in ("clean", "erased"):
            told = LicParameters(LEVELS - 1, losses, training, lic.MOST_BYTES)
            assert LicParameters.unpack(told.pack() + bytes(2)) == told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"losses": "hope"}, "repair, stop, zeros"),
        ({"repair_share": 0.95}, "repair share"),
        ({"training": "lic-8"}, "clean, erased"),
        ({"margin_db": -1.0}, "margin"),
    ],
)
def test_impossible_options_are_told(options, words):
    with pytest.raises(HscError, match=words):
        LicCodec(**options)


def test_the_variants_load_their_own_weights(lic_state, monkeypatch, photo):
    asked, found = [], lic_network.ready(lic_state)
    monkeypatch.setattr(lic_network, "load", lambda name: asked.append(name) or found)
    for training, name in (("clean", "lic"), ("erased", "lic-8")):
        message = LicCodec(training=training).encode(photo, Link(10.0))
        LicCodec().decode(arrived(message))
        assert asked[-2:] == [name, name]
