"""The complementary representation: closed form, codings, monotony, damage."""

from __future__ import annotations

import numpy as np
import pytest
from gnuradio.hsc.coding import chunks, jpeg2000, rice
from gnuradio.hsc.systems.hsc import cr, cr_paper, cr_progressive, cr_rate, row_transform, stiefel
from gnuradio.hsc.systems.hsc.cr_source import Source
from hypothesis import given, settings
from hypothesis import strategies as st


def pictures(seed: int, count: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random images (count, H, W, C) in [0, 1], and worse versions of them as generated images."""
    rng = np.random.default_rng(seed)
    h, w, c = shape
    noise = rng.standard_normal((count, h, w, c))
    smooth = np.cumsum(np.cumsum(noise, 1), 2)
    smooth -= smooth.min((1, 2, 3), keepdims=True)
    images = smooth / smooth.max((1, 2, 3), keepdims=True)
    return images, np.clip(0.8 * images + 0.1 + 0.03 * np.cumsum(rng.standard_normal(images.shape), 1), 0, 1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (24, 40, 3), (40, 24, 3)])
def test_error_is_the_closed_form_for_every_rank(shape):
    images, generated = pictures(1, 5, shape)
    eigenvalues, rows = cr.eigen_rows(cr.error_matrix(images, generated))
    expected = cr.closed_form_errors(eigenvalues)
    for k in range(shape[0] + 1):
        a = rows[:, :k]
        recomposed = cr.recompose(generated, a, a @ cr.as_matrix(images))
        error = np.square(recomposed - images).sum((1, 2, 3)) / shape[2]
        np.testing.assert_allclose(error, expected[:, k], rtol=1e-6, atol=1e-12 * expected[:, 0].max())
    assert np.all(expected[:, -1] == 0)


def test_no_other_projection_does_better():
    images, generated = pictures(2, 1, (16, 16, 1))
    eigenvalues, _ = cr.eigen_rows(cr.error_matrix(images, generated))
    best = cr.closed_form_errors(eigenvalues)[0]
    rng = np.random.default_rng(3)
    for k in (1, 4, 8, 15):
        for _ in range(20):
            a = np.linalg.qr(rng.standard_normal((16, k)))[0].T[None]
            error = np.square(cr.recompose(generated, a, a @ cr.as_matrix(images)) - images).sum()
            assert error >= best[k] * (1 - 1e-9)


def test_smallest_rank_is_the_first_that_suffices():
    errors = np.array([9.0, 4.0, 1.0, 0.0])
    assert [cr.smallest_rank(errors, limit) for limit in (10, 9, 8.9, 4, 1, 0.5, 0)] == [0, 0, 1, 1, 2, 3, 3]


def test_stereographic_coordinates_restore_the_rows():
    rows = np.linalg.qr(np.random.default_rng(4).standard_normal((20, 20)))[0].T[:13]
    vectors = stiefel.coordinates(rows, lambda _, v: v)
    assert [len(v) for v in vectors] == list(range(19, 6, -1))
    assert all(v @ v <= 1 + 1e-9 for v in vectors)
    restored = stiefel.rows_from(vectors, 20)
    signs = np.sign((restored * rows).sum(1))
    np.testing.assert_allclose(restored, rows * signs[:, None], atol=1e-10)


def test_rows_are_orthonormal_whatever_the_coordinates():
    rng = np.random.default_rng(5)
    for k, n in ((1, 1), (1, 8), (8, 8), (5, 30)):
        rows = stiefel.rows_from([rng.normal(0, 2, n - 1 - i) for i in range(k)], n)
        np.testing.assert_allclose(rows @ rows.T, np.eye(k), atol=1e-12)


@given(st.lists(st.lists(st.integers(-(2**19), 2**19), max_size=40), max_size=6))
@settings(max_examples=100, deadline=None)
def test_rice_round_trip(rows):
    values, lengths = np.array(sum(rows, []), np.int64), [len(row) for row in rows]
    parameters, bits = rice.encode(values, lengths)
    assert len(parameters) == len(rows) and all(0 <= p <= 15 for p in parameters)
    np.testing.assert_array_equal(rice.decode(bits, parameters, lengths), values)


def test_rice_is_close_to_the_entropy_of_a_laplacian():
    values = np.rint(np.random.default_rng(6).laplace(0, 10, 50_000)).astype(int)
    _, counts = np.unique(values, return_counts=True)
    share = counts / len(values)
    entropy = -(share * np.log2(share)).sum()
    assert len(rice.encode(values, [len(values)])[1]) / len(values) < entropy + 0.1


@pytest.mark.parametrize(("width", "channels"), [(28, 1), (64, 3), (81, 3), (8, 3), (200, 1)])
def test_row_transform_is_orthonormal(width, channels):
    rows = np.random.default_rng(7).standard_normal((5, width * channels))
    coefficients = row_transform.forward(rows, channels)
    np.testing.assert_allclose(np.square(coefficients).sum(1), np.square(rows).sum(1))
    np.testing.assert_allclose(row_transform.inverse(coefficients, channels), rows, atol=1e-12)


@pytest.mark.parametrize("shape", [(28, 28, 1), (24, 70, 3), (9, 8, 1), (8, 100, 3)])
def test_progressive_decodes_to_what_the_encoder_promised_and_every_prefix_helps(shape):
    images, generated = pictures(8, 4, shape)
    for x, g in zip(images, generated, strict=True):
        prepared = Source.of(x, [g], True)
        coded = prepared.progressive(shape[0], 8)
        last = np.square(x - g).sum()
        for count in range(1, len(coded.chunks) + 1):
            data, rank = coded.cut(count)
            a, y = cr_progressive.decode(data, None, shape[0], shape[1] * shape[2], shape[2], shape[0], 8)
            assert len(a) == rank
            error = np.square(cr.add_residual(g, a, y) - x).sum()
            assert error == pytest.approx(coded.errors[count - 1], rel=1e-6, abs=1e-9)
            assert error <= last * (1 + 1e-9)
            last = error


@pytest.mark.parametrize("coding", ["paper", "residual", "projection"])
def test_full_rank_is_above_50_db_and_mse_falls_with_the_rank(coding):
    images, generated = pictures(9, 6, (28, 28, 1))
    for x, g in zip(images, generated, strict=True):
        x = np.rint(255 * x) / 255
        prepared = Source.of(x, [g], coding == "residual")
        received = [np.rint(255 * _sent(prepared, coding, k, x, g).clip(0, 1)) / 255 for k in range(29)]
        errors = [np.square(image - x).mean() for image in received]
        assert all(later <= earlier for earlier, later in zip(errors[:-1], errors[1:], strict=True)), errors
        assert errors[-1] < 1e-6 < errors[1]


def _sent(prepared: Source, coding: str, k: int, x: np.ndarray, g: np.ndarray) -> np.ndarray:
    if k == 0:
        return g
    code = cr_rate.step_for_rank(prepared.tails, k, x.shape[1] * x.shape[2])
    n, columns, channels = x.shape[0], x.shape[1] * x.shape[2], x.shape[2]
    if coding == "paper":
        a, y = cr_paper.decode(
            prepared.paper(k, code, 1.0), None, n, columns, k, cr_progressive.coefficient_step(code), True
        )
    else:
        data = b"".join(prepared.progressive(k, code).chunks)
        a, y = cr_progressive.decode(data, None, n, columns, channels, k, code)
    assert len(a) == k
    return (cr.add_residual if coding == "residual" else cr.recompose)(g, a, y)


def test_progressive_takes_fewer_bytes_than_the_papers_coding_for_no_more_error():
    images, generated = pictures(10, 4, (28, 28, 1))
    for x, g in zip(images, generated, strict=True):
        residual, projection = Source.of(x, [g], True), Source.of(x, [g], False)
        made = cr_rate.progressive_for_budget(residual, 300)
        paper = cr_rate.paper_for_budget(projection, 300)
        assert max(len(made.data), len(paper.data)) <= 300
        a, y = cr_progressive.decode(made.data, None, 28, 28, 1, made.rank, made.step)
        ours = np.square(cr.add_residual(g, a, y) - x).sum()
        step = cr_progressive.coefficient_step(paper.step)
        a, y = cr_paper.decode(paper.data, None, 28, 28, paper.rank, step, True)
        assert ours < np.square(cr.recompose(g, a, y) - x).sum()


def test_target_error_is_met_with_few_rows():
    images, generated = pictures(11, 3, (32, 32, 3))
    for x, g in zip(images, generated, strict=True):
        prepared = Source.of(x, [g], True)
        wanted = 0.1 * np.square(x - g).sum()
        made = cr_rate.progressive_for_error(prepared, wanted)
        a, y = cr_progressive.decode(made.data, None, 32, 96, 3, made.rank, made.step)
        assert 0.5 * wanted < np.square(cr.add_residual(g, a, y) - x).sum() <= wanted
        assert made.rank <= cr.smallest_rank(prepared.tails, 0.5 * wanted)


def test_jpeg2000_is_reversible_without_its_header():
    rng = np.random.default_rng(12)
    for shape in ((1, 9), (3, 40), (28, 56), (64, 300)):
        levels = rng.integers(30_000, 36_000, shape).astype(np.uint16)
        np.testing.assert_array_equal(jpeg2000.decode(jpeg2000.encode(levels), shape, True), levels)


def test_jpeg2000_rate_control_makes_it_smaller():
    levels = (32768 + 500 * np.random.default_rng(13).standard_normal((28, 560))).astype(np.uint16)
    data = jpeg2000.encode(levels, ratio=8.0)
    assert len(data) < levels.nbytes / 7
    decoded = jpeg2000.decode(data, levels.shape, False)
    assert 0 < np.abs(decoded.astype(int) - levels).mean() < 500


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_chunks_before_the_first_lost_byte_are_whole(payloads, first_lost):
    framed = [chunks.frame(payload) for payload in payloads]
    data = b"".join(framed)
    received = np.ones(len(data), bool)
    received[first_lost:] = False
    whole = int((np.cumsum([len(f) for f in framed]) <= first_lost).sum()) if framed else 0
    assert chunks.intact_prefix(data, received) == payloads[:whole]


def test_a_flipped_bit_ends_the_prefix():
    payloads = [bytes(range(i, i + 50)) for i in range(4)]
    data = bytearray(b"".join(map(chunks.frame, payloads)))
    data[2 * 53 + 20] ^= 4
    assert chunks.intact_prefix(bytes(data)) == payloads[:2]


@given(st.binary(max_size=400), st.integers(0, 28), st.integers(0, 31), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_payload_is_safe_for_the_progressive_decoder(payload, rank, code, framed):
    data = chunks.frame(payload) if framed else payload
    a, y = cr_progressive.decode(data, None, 28, 28, 1, rank, code)
    assert len(a) == len(y) <= rank
    assert np.isfinite(y).all()
    np.testing.assert_allclose(a @ a.T, np.eye(len(a)), atol=1e-9)


@given(st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_payload_is_safe_for_the_jpeg2000_decoder(payload):
    a, y = cr_paper.decode(chunks.frame(payload), None, 28, 28, 4, 0.01, True)
    assert a.shape[0] == y.shape[0] <= 4
