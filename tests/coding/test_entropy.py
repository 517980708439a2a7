"""Entropy coding: against textbook ANS in Python integers, golden bytes, the entropy itself, and bytes that
are no code.
"""

import hashlib
import threading
import time

import numpy as np
import pytest
from gnuradio.hsc.coding.entropy import TOTAL, EntropyTables
from gnuradio.hsc.errors import HscError
from hypothesis import given, settings
from hypothesis import strategies as st


def laplace_tables(rows=24, symbols=41):
    """Bell-shaped rows of growing width around 0, in integer arithmetic, so that the golden bytes hold on
    every machine.
    """
    distance = np.abs(np.arange(symbols) - symbols // 2)
    weights = np.stack([(1 << 20) * (row + 1) ** 3 // (row + 1 + distance * 4) ** 3 for row in range(rows)])
    weights = np.append(weights, weights.sum(1, keepdims=True) >> 12, axis=1)  # the escape
    table = 1 + weights * (TOTAL - symbols - 1) // weights.sum(1, keepdims=True)
    table[:, symbols // 2] += TOTAL - table.sum(1)
    return EntropyTables(table, np.full(rows, -(symbols // 2)))


TABLES = laplace_tables()


def source(n, seed=0):
    """Values drawn from the tables themselves, escapes included."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, len(TABLES.offset), n)
    cumulative = np.cumsum(TABLES.probabilities, axis=1)
    symbols = (rng.integers(0, TOTAL, n)[:, None] >= cumulative[table]).sum(1)
    values = symbols + TABLES.offset[table]
    return np.where(symbols == TABLES.escape, rng.choice([-3000, 21, 500], n), values).astype(np.int32), table


def textbook(values, table):
    """rANS with a 64-bit state and 32-bit words (Duda 2013, section 3.3), one symbol after another."""
    order = np.argsort(table, kind="stable")
    symbols = [(TABLES.probabilities[table[i]], int(values[i] - TABLES.offset[table[i]])) for i in order]
    symbols = [(p, s if 0 <= s < TABLES.escape else TABLES.escape) for p, s in symbols]
    pushes = [(int(p[s]), int(p[:s].sum())) for p, s in symbols]
    pushes += [
        (1 << 8, int(values[i] + 32768) << 8)
        for i, (_, s) in zip(order, symbols, strict=True)
        if s == TABLES.escape
    ]
    state, words = 0, []
    for frequency, start in reversed(pushes):
        if state >= frequency << 40:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // frequency << 24) + state % frequency + start
    while state:
        words.append(state & 0xFFFFFFFF)
        state >>= 32
    return np.array(words, "<u4").tobytes().rstrip(b"\0")


@pytest.mark.parametrize("n", [0, 1, 2, 7, 3000])
def test_code_is_textbook_ans(n):
    values, table = source(n, seed=n)
    assert TABLES.encode(values, table) == textbook(values, table)


def test_golden_bytes():
    """The code of fixed values with fixed tables, as first written on x86-64: it may never change."""
    table = np.arange(12) * 5 % 24
    values = np.array([0, 1, -1, 2, -20, 19, 20, -32768, 32767, 3, 0, -2])
    assert TABLES.encode(values, table).hex() == GOLDEN
    assert np.array_equal(TABLES.decode(bytes.fromhex(GOLDEN), table), values)
    assert hashlib.sha256(TABLES.probabilities.astype("<i8").tobytes()).hexdigest()[:16] == GOLDEN_TABLES


GOLDEN = "5c4c00882f161751ea4755fb19aec0"
GOLDEN_TABLES = "07bc5f4b7e386f55"


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    symbols=st.integers(1, 70),
    pairs=st.lists(
        st.tuples(st.integers(-32768, 32767) | st.integers(-40, 40), st.integers(0, 5)), max_size=300
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip_of_any_values_and_tables(rows, symbols, pairs, seed):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(symbols + 1, 0.1), rows)
    probabilities = 1 + np.floor(share * (TOTAL - symbols - 1)).astype(np.int64)
    probabilities[:, 0] += TOTAL - probabilities.sum(1)
    tables = EntropyTables(probabilities, rng.integers(-40, 40, rows))
    values, table = (
        np.array([v for v, _ in pairs], np.int32),
        np.array([t % rows for _, t in pairs], np.int64),
    )
    data = tables.encode(values, table)
    assert np.array_equal(tables.decode(data, table), values)
    assert 8 * len(data) <= tables.bits(values, table) + 40


def test_length_is_the_entropy():
    """Within 1 % + 64 bits of the entropy of the source that the tables describe."""
    n = 20000
    values, table = source(n)
    p = TABLES.probabilities[table] / TOTAL
    entropy = float((-p * np.log2(p)).sum() + 16 * p[:, -1].sum())
    length = 8 * len(TABLES.encode(values, table))
    assert abs(length - entropy) < 0.01 * entropy + 64
    assert 0 <= length - TABLES.bits(values, table) < 40


def test_short_chunks_cost_few_bytes_more_than_their_information():
    extra = [
        8 * len(TABLES.encode(*source(n, seed=n))) - TABLES.bits(*source(n, seed=n)) for n in range(1, 60)
    ]
    assert max(extra) < 40 and np.mean(extra) < 24


def test_batches_and_threads_do_not_matter():
    """Coded one chunk after another, or eight threads at a time with the same tables: the same bytes."""
    chunks = [source(500, seed) for seed in range(16)]
    alone = [laplace_tables().encode(*chunk) for chunk in chunks]
    together, failures = [b""] * 16, []

    def work(i):
        for k in (i, i + 8):
            together[k] = TABLES.encode(*chunks[k])
            if not np.array_equal(TABLES.decode(together[k], chunks[k][1]), chunks[k][0]):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone and not failures


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=80), n=st.integers(0, 200), seed=st.integers(0, 99))
def test_any_bytes_give_values_or_one_line(data, n, seed):
    table = source(n, seed)[1]
    try:
        values = TABLES.decode(data, table)
    except HscError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert (
            values.shape == (n,)
            and values.dtype == np.int32
            and values.min(initial=0) >= -32768
            and values.max(initial=0) <= 32767
        )


def test_cut_and_lengthened_codes_are_noticed():
    values, table = source(400)
    data = TABLES.encode(values, table)
    for wrong in (data[:-4], data + b"\1\0\0\0", b"\1\0\0\0" + data):
        try:
            assert not np.array_equal(TABLES.decode(wrong, table), values)
        except HscError:
            continue


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EntropyTables(np.array([[1, 2]]), np.zeros(1)), "sum 2\\^24"),
        (lambda: EntropyTables(np.array([[0, TOTAL]]), np.zeros(1)), "integers above 0"),
        (lambda: EntropyTables(np.array([[TOTAL]]), np.zeros(1)), "shapes"),
        (lambda: TABLES.encode(np.array([40000]), np.array([0])), "coarser"),
        (lambda: TABLES.encode(np.array([1]), np.array([24])), "there are 0 to 23"),
        (lambda: TABLES.decode(b"", np.array([-1])), "there are 0 to 23"),
        (lambda: TABLES.decode(b"", np.zeros((2, 2), int)), "one row number"),
    ],
)
def test_errors(make, says):
    with pytest.raises(HscError, match=says):
        make()


def test_coding_is_fast_beside_a_loop():
    """25 000 values: at least ten times as fast as one Python step a value."""
    values, table = source(25000)
    TABLES.decode(TABLES.encode(values, table), table)
    begun = time.perf_counter()
    TABLES.decode(TABLES.encode(values, table), table)
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    textbook(values[:2500], table[:2500])
    assert ours < time.perf_counter() - begun
