"""y as bytes: differences, tables that follow from what came before, and what they save."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.app import samples
from gnuradio.hsc.coding import activity
from gnuradio.hsc.coding.entropy import TOTAL
from gnuradio.hsc.coding.stored_tables import unpack_tables
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.nn import planes
from gnuradio.hsc.nn.transform import pad
from gnuradio.hsc.systems.lrisc import hyper, side
from gnuradio.hsc.systems.lrisc.network import MULTIPLE, load_network
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

FINENESSES = range(len(hyper.STEPS))
maps = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda size: arrays(np.int64, (activity.LATENTS, *size), elements=st.integers(-32768, 32767))
)
small_maps = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda size: arrays(np.int64, (activity.LATENTS, *size), elements=st.integers(-60, 60))
)


@pytest.fixture(scope="module")
def photographs():
    """y of the sample images by fineness, (32, h, w) each."""
    network, model = load_network()
    with torch.inference_mode():
        images = [pad(planes.to_planes(load(path).pixels), MULTIPLE) for path in samples.photographs()]
        z = [network.encode(image, torch.tensor([10.0]), torch.tensor([1 / 12])) for image in images]
    return [[hyper.latents(each, model.weight, fineness)[0] for each in z] for fineness in FINENESSES]


@given(maps)
@settings(deadline=None)
def test_sums_undo_differences(y):
    y = torch.from_numpy(y)
    assert torch.equal(side.sums(side.differences(y)), y)
    assert torch.equal(side.differences(side.sums(y)), y)


def test_means_alone_are_differences_to_the_left_and_above():
    y = torch.from_numpy(np.random.default_rng(1).integers(-9, 9, (activity.LATENTS, 3, 4)))
    coded = side.differences(y)
    others = [row for row in range(activity.LATENTS) if row not in hyper.MEANS]
    assert torch.equal(coded[others], y[others])
    for row in hyper.MEANS:
        assert coded[row, 0, 0] == y[row, 0, 0]
        assert torch.equal(coded[row, 1:, 0], y[row].diff(dim=0)[:, 0])
        assert torch.equal(coded[row, :, 1:], y[row].diff(dim=1))
        flat = torch.full_like(y, 7)
        assert side.differences(flat)[row].count_nonzero() == 1


def by_hand(cell, row):
    """Number of the table of a row of one cell, by the text of the module."""
    sign = {-1: 0, 0: 1, 1: 2}
    if row == 0:
        return 0
    if row == 16:
        return 1 + sign[np.sign(cell[0])]
    if row < 16:
        return 4 + 3 * (row - 1) + min(sum(abs(cell[k]) for k in range(1, row)), 2)
    full = sum(abs(cell[k]) for k in range(17, row)) + sum(abs(cell[k]) for k in range(1, 16)) // 2
    return 4 + 45 + 9 * (row - 17) + 3 * sign[np.sign(cell[row - 16])] + min(full, 2)


def test_tables_follow_from_the_rows_before_alone():
    rng = np.random.default_rng(1)
    coded = rng.integers(-2, 3, (32, 60)) * (rng.random((32, 60)) < 0.1)
    seen = set()
    for row in range(32):
        found = side.tables_of(coded, row)
        assert found.tolist() == [by_hand(cell, row) for cell in coded.T]
        spoiled = coded.copy()
        spoiled[row:] = 99
        assert np.array_equal(side.tables_of(spoiled, row), found)
        assert set(found) <= set(side._of_row(row))
        seen |= set(side._of_row(row))
    assert seen == set(range(side.TABLES))


@pytest.mark.parametrize("fineness", FINENESSES)
def test_every_y_comes_back_and_what_came_before_saves_bytes(fineness, photographs):
    """Against the same tables, chosen by the rows before of another cell: at least 3 %."""
    tables = load_network()[1].entropy[fineness]
    spent, strange, rng = 0.0, 0.0, np.random.default_rng(1)
    for y in photographs[fineness]:
        code = side.encode(y, tables)
        assert torch.equal(side.decode(code, y.shape[1:], tables), y)
        coded = side.differences(y).flatten(1).numpy()
        other = rng.permuted(coded, axis=1)
        for row, values in enumerate(coded):
            spent += tables.bits(values, side.tables_of(coded, row))
            strange += tables.bits(values, side.tables_of(other, row))
    assert spent < 0.97 * strange


@given(small_maps, st.sampled_from(list(FINENESSES)))
@settings(max_examples=40, deadline=None)
def test_any_y_comes_back(y, fineness):
    tables = load_network()[1].entropy[fineness]
    y = side.sums(torch.from_numpy(y))
    assert torch.equal(side.decode(side.encode(y, tables), y.shape[1:], tables), y)


@given(st.binary(max_size=200), st.sampled_from(list(FINENESSES)), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_y_or_an_error(code, fineness, down, across):
    try:
        y = side.decode(code, (down, across), load_network()[1].entropy[fineness])
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert y.shape == (activity.LATENTS, down, across)


def test_fitted_tables_are_the_frequencies_of_what_they_are_fitted_to():
    """A source whose colour repeats luma's sign: its table says so, and a table that nothing was seen of has
    the frequencies of its row.
    """
    rng = np.random.default_rng(1)
    y = np.zeros((40, 32, 8, 8), np.int64)
    y[:, 1] = rng.integers(-1, 2, (40, 8, 8))
    y[:, 17] = y[:, 1]
    tables = unpack_tables(side.fit(torch.from_numpy(y)))
    share = tables.probabilities / TOTAL
    first = 4 + 45
    for sign in range(3):  # full: the one value of luma halved is 0
        assert share[first + 3 * sign, 40 - 1 + sign] > 0.95
    row = share[first + 2]
    np.testing.assert_allclose(row[39:42], 1 / 3, atol=0.15)
