"""The 802.11ad LDPC codes: structure of H, encoder, decoder against an independent sum-product decoder, error
rates, bad input.
"""

import zlib

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import ldpc
from gnuradio.hsc.phy.ldpc_decoder import LayeredDecoder, ThreeLeast, _Scratch, _three_smallest
from gnuradio.hsc.phy.ldpc_tables import BASE_MATRICES, Z

FROZEN = {"1/2": 0xFA109A84, "5/8": 0x6794C170, "3/4": 0x805DBD29, "13/16": 0x74B12963}
RATES = {"1/2": 336, "5/8": 420, "3/4": 504, "13/16": 546}


def noisy_llr(rng, words, ebn0_db, rate):
    variance = 1 / (2 * rate * 10 ** (ebn0_db / 10))
    return ((1 - 2.0 * words + np.sqrt(variance) * rng.standard_normal(words.shape)) * 2 / variance).astype(
        np.float32
    )


def gf2_rank(matrix):
    rows = [int("".join(map(str, row)), 2) for row in matrix]
    rank = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            rank += 1
            low = pivot & -pivot
            rows = [row ^ pivot if row & low else row for row in rows]
    return rank


def sum_product(matrix, llr, iterations=30):
    """Flooding sum-product in float64 on a dense H, log domain: written from the textbook, shares nothing
    with the decoder under test.
    """
    checks, bits = np.nonzero(matrix)
    message = np.zeros(len(checks))
    for _ in range(iterations):
        posterior = llr + np.bincount(bits, message, len(llr))
        word = posterior < 0
        if not (matrix @ word % 2).any():
            break
        extrinsic = posterior[bits] - message
        size = np.maximum(np.abs(extrinsic), 1e-9)
        phi = -np.log(np.tanh(np.minimum(size, 30) / 2))
        total = np.bincount(checks, phi, len(matrix))[checks] - phi
        parity = np.bincount(checks, extrinsic < 0, len(matrix))[checks] - (extrinsic < 0)
        message = (1 - 2 * (parity % 2)) * -np.log(np.tanh(np.clip(total, 1e-12, 30) / 2))
    return word


@pytest.mark.parametrize(("rate", "k"), RATES.items())
def test_parity_check_matrix(rate, k):
    matrix = ldpc.code(rate).parity_check_matrix
    assert matrix.shape == (672 - k, 672)
    assert gf2_rank(matrix) == 672 - k
    base = np.array(BASE_MATRICES[rate])
    for row, column in np.ndindex(base.shape):
        block = matrix[row * Z : (row + 1) * Z, column * Z : (column + 1) * Z]
        expected = (
            np.roll(np.eye(Z, dtype=np.uint8), base[row, column], axis=1)
            if base[row, column] >= 0
            else np.zeros((Z, Z))
        )
        assert np.array_equal(block, expected)
    overlap = matrix.astype(int) @ matrix.T
    assert (overlap - np.diag(np.diag(overlap))).max() == 1  # no two checks share two bits: girth at least 6


@pytest.mark.parametrize(("rate", "k"), RATES.items())
def test_encoder_satisfies_every_check(rate, k):
    code = ldpc.code(rate)
    matrix = code.parity_check_matrix.astype(np.float32)
    rng = np.random.default_rng(1)
    for _ in range(5):  # 4 rates x 5 x 5000 = 100 000 words
        bits = rng.integers(0, 2, (5000, k), dtype=np.uint8)
        words = code.encode(bits)
        assert np.array_equal(words[:, :k], bits)
        assert not (words.astype(np.float32) @ matrix.T % 2).any()


@pytest.mark.parametrize(("rate", "weight"), [("1/2", 5), ("5/8", 4), ("3/4", 4), ("13/16", 3)])
def test_no_light_codewords_from_light_information(rate, weight):
    """Words of one and of two information bits bound the minimum distance; a wrong table entry shows as a
    light word.
    """
    code = ldpc.code(rate)
    single = code.encode(np.eye(code.k, dtype=np.uint8))
    assert single.sum(axis=1).min() > weight
    pair = [(single[first] ^ single[first + 1 :]).sum(axis=1).min() for first in range(code.k - 1)]
    assert min(pair) > weight


@pytest.mark.parametrize("rate", RATES)
def test_noiseless_and_any_scale(rate):
    code = ldpc.code(rate)
    bits = np.random.default_rng(2).integers(0, 2, (600, code.k), dtype=np.uint8)
    signs = 1 - 2.0 * code.encode(bits)
    for scale in (1e-6, 1.0, 1e5, np.inf):
        decoded, ok = code.decode(signs * scale)
        assert ok.all()
        assert np.array_equal(decoded, bits)


@pytest.mark.parametrize(
    ("rate", "ebn0_db", "least", "largest"),
    # field figures of the same codes: min-sum at rate 1/2: 3.6e-2 at 2.0 dB; sum-product at rate 3/4: 3.7e-2
    # at 3.0 dB; others: our own
    [
        ("1/2", 2.0, 0.008, 0.036),
        ("5/8", 2.5, 0.006, 0.03),
        ("3/4", 3.0, 0.015, 0.055),
        ("13/16", 3.5, 0.02, 0.08),
    ],
)
def test_word_error_rate(rate, ebn0_db, least, largest):
    code = ldpc.code(rate)
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2, (4000, code.k), dtype=np.uint8)
    decoded, ok = code.decode(noisy_llr(rng, code.encode(bits), ebn0_db, code.k / code.n))
    wrong = (decoded != bits).any(axis=1)
    assert least < wrong.mean() < largest
    assert (wrong & ok).mean() < 0.02  # undetected, before the CRC
    assert (~wrong & ~ok).mean() < 0.002


@pytest.mark.parametrize(("rate", "ebn0_db"), [("1/2", 1.75), ("3/4", 2.75)])
def test_close_to_sum_product(rate, ebn0_db):
    code = ldpc.code(rate)
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2, (200, code.k), dtype=np.uint8)
    llr = noisy_llr(rng, code.encode(bits), ebn0_db, code.k / code.n)
    reference = np.array([sum_product(code.parity_check_matrix, row)[: code.k] for row in llr])
    decoded, _ = code.decode(llr)
    reference_wrong = (reference != bits).any(axis=1).sum()
    assert 0 < reference_wrong < 100
    assert (decoded != bits).any(axis=1).sum() <= 1.5 * reference_wrong + 5


def test_result_does_not_depend_on_the_batch():
    code = ldpc.code("5/8")
    rng = np.random.default_rng(5)
    llr = noisy_llr(rng, code.encode(rng.integers(0, 2, (1300, code.k), dtype=np.uint8)), 2.0, 0.625)
    bits, ok = code.decode(llr)
    order = rng.permutation(1300)
    for part in np.array_split(order, 7):
        part_bits, part_ok = code.decode(llr[part])
        assert np.array_equal(part_ok, ok[part])
        assert np.array_equal(part_bits[part_ok], bits[part][part_ok])


def test_bad_llrs():
    code = ldpc.code("1/2")
    bits = np.random.default_rng(6).integers(0, 2, (4, 336), dtype=np.uint8)
    llr = 4 * (1 - 2.0 * code.encode(bits))
    llr[0, :60] = np.nan
    llr[1, 100:160] = 0
    llr[2, ::7] *= 1e30
    llr[3, ::5] *= np.inf
    decoded, ok = code.decode(llr)
    assert ok.all()
    assert np.array_equal(decoded, bits)
    lost = np.stack([np.zeros(672), np.full(672, np.nan)])
    assert not code.decode(lost)[1].any()


@pytest.mark.parametrize("rate", RATES)
def test_8_bits_never_overflow(rate):
    """Posterior = channel + all messages, in exact integers, after many iterations on the hardest input."""
    decoder = LayeredDecoder(np.array(BASE_MATRICES[rate]), Z)
    rng = np.random.default_rng(10)
    llr = np.where(rng.random((64, 672)) < 0.1, -1, 1) * rng.choice([0.01, 1, np.inf], (64, 672))
    work = decoder._load(llr)
    channel = work.posterior.astype(int)
    for _ in range(40):
        work.iterate(decoder.layers)
        total = channel.copy()
        for layer in decoder.layers:
            np.add.at(total, layer.rows, work.messages[layer.start : layer.start + len(layer.rows)])
        assert np.array_equal(work.posterior, total)


def test_few_iterations_decode_less():
    code = ldpc.code("1/2")
    rng = np.random.default_rng(7)
    llr = noisy_llr(rng, code.encode(rng.integers(0, 2, (500, 336), dtype=np.uint8)), 2.0, 0.5)
    good = [code.decode(llr, iterations)[1].sum() for iterations in (1, 4, 30)]
    assert good[0] < good[1] < good[2]


def test_noise_is_not_decoded():
    code = ldpc.code("1/2")
    llr = np.random.default_rng(8).standard_normal((2000, 672))
    assert not code.decode(llr)[1].any()


@pytest.mark.gnuradio
def test_against_gr_fec_in_the_same_run():
    """gr-fec's encoder makes codewords of our H; ours decodes them faster and with fewer errors."""
    from gnuradio.hsc.bench import ldpc as bench_ldpc

    rows = bench_ldpc.run(words=800)
    rates = [row for row in rows if row.unit == "codewords/s"]
    assert len(rates) >= 2
    assert all(row.ratio > 5 for row in rates)
    errors = [row for row in rows if row.unit == "bit error rate"]
    assert errors
    assert all(row.ours < 5e-4 for row in errors)


def test_part_of_the_air_interface():
    """Frozen values: a change breaks every receiver in the field."""
    for rate, expected in FROZEN.items():
        code = ldpc.code(rate)
        words = code.encode(np.resize(np.array([1, 0, 0, 1, 1, 0, 1], dtype=np.uint8), (5, code.k)))
        assert zlib.crc32(np.packbits(words).tobytes()) == expected


def test_shortened():
    short = ldpc.shortened("1/2", 288)
    assert (short.n, short.k) == (624, 288)
    rng = np.random.default_rng(9)
    bits = rng.integers(0, 2, (2000, 288), dtype=np.uint8)
    words = short.encode(bits)
    full = np.zeros((2000, 672), dtype=np.uint8)
    full[:, :288], full[:, 336:] = words[:, :288], words[:, 288:]
    assert not (full @ short.mother.parity_check_matrix.T.astype(np.float32) % 2).any()
    decoded, ok = short.decode(
        noisy_llr(rng, words, 3.0, 0.5)
    )  # Es/N0 0 dB, where the packet header must decode
    wrong = (decoded != bits).any(axis=1)
    assert wrong.mean() < 0.002
    assert np.array_equal(ok, ~wrong)
    assert not short.decode(np.zeros((3, 624)))[1].any()


def test_alist(tmp_path):
    matrix = ldpc.code("13/16").parity_check_matrix
    ldpc.write_alist(matrix, tmp_path / "h.alist")
    lines = [
        [int(entry) for entry in line.split()] for line in (tmp_path / "h.alist").read_text().splitlines()
    ]
    assert lines[0] == [672, 126]
    assert lines[1] == [3, 16]
    rebuilt = np.zeros_like(matrix)
    for column, ones in enumerate(lines[4 : 4 + 672]):
        rebuilt[np.array(ones) - 1, column] = 1
    assert np.array_equal(rebuilt, matrix)


def test_wrong_arguments():
    with pytest.raises(HscError, match="1/2, 5/8, 3/4, 13/16"):
        ldpc.code("2/3")
    code = ldpc.code("1/2")
    with pytest.raises(HscError, match="336"):
        code.encode(np.zeros((2, 335), dtype=np.uint8))
    with pytest.raises(HscError, match="672"):
        code.decode(np.zeros(672))
    with pytest.raises(HscError, match="1 to 336"):
        ldpc.shortened("1/2", 337)
    assert code.decode(np.zeros((0, 672)))[0].shape == (0, 336)
    assert code.encode(np.zeros((0, 336), dtype=np.uint8)).shape == (0, 672)


@pytest.mark.parametrize("degree", [3, 4, 7, 10, 19])
def test_checks_from_their_three_least_reliable_bits(degree):
    """Against belief propagation in floating point: what a check tells its bits is that of its three least
    reliable ones, times 7/8, within the rounding of 8 bits.
    """
    rng, rule = np.random.default_rng(degree), ThreeLeast(nat=4, channel_limit=24, message_limit=31)
    values = rng.integers(0, 60, (degree, 5, 64)).astype(np.int8)
    scratch = _Scratch(degree, 5, 64, rule)
    smallest = np.sort(values, axis=0)[:3]
    np.testing.assert_array_equal(_three_smallest(values, scratch), smallest)
    low, least, others = rule.magnitudes(values, scratch)
    np.testing.assert_array_equal(low, smallest[0])
    tanh = np.tanh(np.minimum(smallest, 31) / rule.nat / 2)
    for found, factors in ((least, tanh[1:]), (others, tanh)):
        exact = 2 * np.arctanh(np.prod(factors, axis=0)) * rule.nat
        assert np.abs(found - 7 / 8 * exact).max() < 2.2
        assert (found >= 0).all() and found.max() <= rule.largest_message
