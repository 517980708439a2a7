"""Contexts of the base layer: the order of decoding, what a value may depend on, the fit."""

import numpy as np
import pytest
from gnuradio.hsc.coding.stored_tables import LARGEST_INDEX
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.ds2c2 import base_contexts, base_fit
from gnuradio.hsc.systems.ds2c2.base_contexts import LARGEST, ONE, PASSES, ROWS, Contexts, passes, walk
from hypothesis import given
from hypothesis import strategies as st

MEANS = (0, 3)


def laplacian(count, height, width, seed=1):
    """Channels whose scales follow a common one, which varies from cell to cell; a smooth first channel."""
    rng = np.random.default_rng(seed)
    common = np.exp(rng.standard_normal((count, 1, height // 2, width // 2)))
    common = common.repeat(2, 2).repeat(2, 3)
    c = rng.laplace(size=(count, 5, height, width)) * common * np.array([1, 2, 1, 1, 0.5])[:, None, None]
    c[:, 0] += 20 * np.sin(np.arange(height) / 5)[:, None] + np.arange(width)
    c[:, 2] += 0.8 * c[:, 1]
    return np.round(c).astype(np.int64)


@pytest.fixture(scope="module")
def contexts():
    return base_fit.fit_contexts(laplacian(20, 16, 16), MEANS)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_passes_reach_every_cell_once_and_know_those_around(height, width, interlaced):
    done = np.zeros((height, width), int)
    for at in passes(height, width, interlaced):
        if at.around is not None:
            rows, columns = at.around
            outside = (rows == at.rows) & (columns == at.columns)
            assert ((done[rows, columns] == 1) | outside).all()
            assert ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).all()
        done[at.rows, at.columns] += 1
    assert (done == 1).all()


def test_cells_around_are_the_nearest_known_ones():
    """Inside an interlaced map, corners of a square and then its edges, at half the distance each time."""
    for at in passes(33, 33, interlaced=True)[1:]:
        rows, columns = at.around
        distance = 4 >> (at.number - 1) // 2
        inside = (rows.max((0, 1)) < 33) & (abs(rows - at.rows).max((0, 1)) == distance)
        assert inside.any()
        assert (np.hypot(rows - at.rows, columns - at.columns)[..., inside] <= distance * 2**0.5 + 1e-9).all()


def test_walk_gives_what_was_visited_and_symbols_are_undone(contexts):
    c = laplacian(2, 10, 14, seed=2)

    def visit(context):
        values = c[:, context.channel, context.at.rows, context.at.columns]
        assert np.array_equal(context.values(context.symbols(values)), values)
        assert (
            (context.row >= 0).all() and (context.row < ROWS).all() and np.isin(context.sign, (-1, 1)).all()
        )
        return values

    assert np.array_equal(walk(contexts, MEANS, (2, 10, 14), visit), c)


def test_contexts_depend_on_what_is_decoded_before_alone(contexts):
    """Whatever a value is, rows of the passes up to its own stay; some later ones change."""

    def rows_of(c):
        seen = []

        def visit(context):
            seen.append((context.channel, context.at, context.row[0], context.shift[0], context.sign[0]))
            return c[:, context.channel, context.at.rows, context.at.columns]

        walk(contexts, MEANS, (1, *c.shape[2:]), visit)
        return seen

    c = laplacian(1, 12, 12, seed=3)
    before = rows_of(c)
    for channel, row, column in ((0, 5, 6), (1, 4, 4), (2, 3, 4), (4, 7, 7)):
        other = c.copy()
        other[0, channel, row, column] += 30
        changed = False
        reached = False
        for (own, at, *one), (_, _, *two) in zip(before, rows_of(other), strict=True):
            same = all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
            if not reached:
                assert same
            changed |= not same
            reached |= own == channel and bool(((at.rows == row) & (at.columns == column)).any())
        assert reached and (changed or channel == 4)


def test_sums_are_exact_at_the_largest_values():
    """float64 products of integers, against Python's own."""
    rng, channels = np.random.default_rng(1), 96
    weights = rng.integers(-32767, 32768, (channels, channels, 9)).astype(np.int16)
    contexts = Contexts(
        weights,
        weights,
        np.ones(channels, np.int32),
        np.zeros((channels, PASSES, 2), np.int16),
        np.zeros((channels, PASSES, 5), np.int16),
    )
    sums = base_contexts.Sums(contexts, (1, 2, 2))
    values = rng.integers(-LARGEST, LARGEST + 1, (channels, 1, 2, 2))
    for channel in range(channels - 1):
        sums.add(channel, values[channel])
    known = [base_contexts.neighbourhoods(each)[:, 0, 0, 0].astype(object) for each in values[:-1]]
    exact = sum(int((weights[-1, j].astype(object) * known[j]).sum()) for j in range(channels - 1))
    assert int(sums.mean[-1, 0]) == exact and abs(exact) < 2**53


def test_values_that_no_image_has_are_an_error(contexts):
    with pytest.raises(HscError, match="damaged"):
        walk(contexts, MEANS, (1, 4, 4), lambda context: np.full(context.row.shape, LARGEST + 1))


def test_large_values_never_overflow(contexts):
    """Largest values of either sign everywhere: means and scales are held in bounds."""
    for value in (LARGEST, -LARGEST):

        def visit(context, value=value):
            assert np.abs(context.shift).max() <= 4 * LARGEST
            return np.full(context.row.shape, value)

        walk(contexts, MEANS, (1, 9, 9), visit)


def test_the_fit_finds_what_channels_tell_of_each_other(contexts):
    """Channel 2 is 0.8 of channel 1 and noise; nothing tells a mean of channel 1 but neighbours."""
    middle = 4
    assert contexts.mean[2, 1, middle] / ONE == pytest.approx(0.8, abs=0.05)
    assert np.abs(contexts.mean[2, 1, [0, 1, 2, 3, 5, 6, 7, 8]]).max() < 0.1 * ONE
    assert contexts.scale[4, 1:4, middle].sum() > 0.05 * ONE, "scales follow a common one"
    assert not contexts.mean[np.triu_indices(5)].any() and not contexts.scale[np.triu_indices(5)].any()


def test_rows_tell_scales(contexts):
    """Of fresh samples: symbols spread more in rows of larger scales."""
    counts = base_fit.count(contexts, MEANS, laplacian(20, 16, 16, seed=4))
    assert counts.sum() == 20 * 5 * 256
    values = np.arange(-LARGEST_INDEX, LARGEST_INDEX + 1)
    by_scale = counts[:, :-1].reshape(-1, base_contexts.CLASSES, len(values)).sum(1)
    seen = by_scale.sum(1) > 300
    seen[0] = False  # what the least squares take for less than nothing
    spread = (by_scale * np.abs(values)).sum(1)[seen] / by_scale.sum(1)[seen]
    assert len(spread) > 6 and (np.diff(spread) > 0).mean() > 0.8 and spread[-1] > 4 * spread[0]


def test_tables_are_likely_where_samples_are():
    counts = np.zeros((ROWS, 2 * LARGEST_INDEX + 2), np.int64)
    counts[25, LARGEST_INDEX : LARGEST_INDEX + 2] = 7000, 3000
    stored = base_fit.tables(counts) + 1
    assert (stored.sum(1) == 1 << 16).all() and stored.min() >= 1
    assert stored[25, LARGEST_INDEX] / (1 << 16) == pytest.approx(0.7, abs=0.01)
    assert stored[25, LARGEST_INDEX + 1] / (1 << 16) == pytest.approx(0.3, abs=0.01)
