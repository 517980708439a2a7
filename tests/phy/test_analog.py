"""Analog streams: unit power, the scale's code, unbiased values with right variance, losses, bad values."""

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import analog
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 10_001])
@pytest.mark.parametrize("scale", [1e-8, 0.3, 1.0, 255.0, 1e6])
def test_round_trip(n, scale):
    values = np.random.default_rng(n).laplace(size=n) * scale
    symbols, code = analog.modulate(values)
    assert symbols.dtype == np.complex64
    assert symbols.shape == ((n + 1) // 2,) == (analog.symbol_count(n),)
    assert np.mean(np.abs(symbols) ** 2) == pytest.approx(1, rel=1e-3)
    stream = analog.demodulate(symbols, 0.0, None, code)
    np.testing.assert_allclose(stream.values[:n], values, rtol=1e-5, atol=1e-6 * scale)
    assert stream.received.all()
    assert not stream.values[n:].any()


def test_noise_variance_is_the_error_variance():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(40_000) * 30
    symbols, code = analog.modulate(values)
    variance = np.repeat([0.02, 0.5], len(symbols) // 2)
    noise = np.sqrt(variance / 2) * (
        rng.standard_normal(len(symbols)) + 1j * rng.standard_normal(len(symbols))
    )
    stream = analog.demodulate(symbols + noise, variance, None, code)
    error = stream.values - values
    for half in np.array_split(np.arange(40_000), 2):
        assert np.mean(error[half] ** 2) == pytest.approx(np.mean(stream.noise_variance[half]), rel=0.05)
        assert abs(np.mean(error[half] * values[half])) < 0.02 * np.mean(
            values**2
        )  # unbiased: error independent of the value


def test_lost_symbols():
    symbols, code = analog.modulate(np.arange(1, 13))
    received = np.array([True, False, True, True, True, True])
    variance = np.array([0.1, 0.1, np.inf, 0.1, 0.1, 0.1])
    symbols[3], symbols[4] = np.nan, 1e30
    stream = analog.demodulate(symbols, variance, received, code)
    lost = [2, 3, 4, 5, 6, 7, 8, 9]
    assert np.array_equal(np.flatnonzero(~stream.received), lost)
    assert not stream.values[lost].any()
    assert np.isinf(stream.noise_variance[lost]).all()


def test_all_zero_stream():
    symbols, code = analog.modulate(np.zeros(9))
    assert code == 0
    assert not symbols.any()
    stream = analog.demodulate(symbols + 0.3, 0.1, None, code)
    assert not stream.values.any()
    assert analog.modulate(np.zeros(0))[0].shape == (0,)


@given(st.floats(min_value=2.0**-31, max_value=2.0**31))
def test_scale_code(scale):
    decoded = analog.decode_scale(analog.encode_scale(scale))
    assert abs(np.log2(decoded / scale)) <= 0.5 / 1024 + 1e-9


def test_scale_code_limits():
    assert analog.encode_scale(1.0) == 1 << 15
    assert analog.encode_scale(0.0) == 0 == analog.decode_scale(0)
    assert analog.encode_scale(1e-20) == 0
    assert all(np.isfinite(analog.decode_scale(code)) for code in (1, 65_535))
    assert all(analog.encode_scale(analog.decode_scale(code)) == code for code in range(1, 65_536, 777))
    for code in (-1, 65_536):
        with pytest.raises(HscError, match="0 to 65535"):
            analog.decode_scale(code)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(bad):
    with pytest.raises(HscError, match="finite"):
        analog.modulate(np.array([1.0, bad, 2.0]))


def test_values_too_large():
    with pytest.raises(HscError, match="too large"):
        analog.modulate(np.full(4, 1e12))


@given(
    st.lists(st.complex_numbers(allow_nan=True, allow_infinity=True), max_size=20),
    st.floats(),
    st.integers(0, 65_535),
)
def test_any_symbols_are_survived(symbols, variance, code):
    with np.errstate(all="ignore"):
        symbols, variance = np.array(symbols, dtype=np.complex64), np.float32(variance)
    stream = analog.demodulate(symbols, variance, None, code)
    assert np.isfinite(stream.values).all()
    assert not stream.values[~stream.received].any()
    assert np.isfinite(stream.noise_variance[stream.received]).all()
