"""Analog streams: real values ↔ complex symbols of unit mean power, two values to a symbol.

The scale is the root mean square of a symbol before normalisation. It travels as a 16-bit code on a
logarithmic axis, and the transmitter divides by the *decoded* scale, so that the receiver works with the very
number that was used.
"""

from __future__ import annotations

import numpy as np

from ..errors import HscError
from ..message import ReceivedAnalog

# Codes of the scale in an octave: a step is 0.07 %.
_STEPS_PER_OCTAVE = 1024
# Code of the scale 1.
_CODE_OF_ONE = 1 << 15
# It travels in 16 bits.
_LARGEST_CODE = (1 << 16) - 1
# Part of a received symbol beyond which it counts as lost; unit power is sent.
_LARGEST_SYMBOL = 1e6
# Noise variance beyond which a symbol counts as lost.
_LARGEST_NOISE = 1e12


def encode_scale(scale: float) -> int:
    """Scale ≥ 0 → code 0 … 65535 in steps of 1/1024 octave, 1.0 in the middle; 0 stands for a scale below
    2^-32.

    HscError for a scale of 2^32 or more.
    """
    code = round(float(np.log2(scale)) * _STEPS_PER_OCTAVE) + _CODE_OF_ONE if scale > 0 else 0
    if code > _LARGEST_CODE:
        raise HscError(f"analog values of RMS {scale:.3g} are too large to send: scale them below 4e9")
    return max(code, 0)


def decode_scale(code: int) -> float:
    """Code 0 … 65535 → scale, 2^((code − 32768) / 1024), 0 for code 0. HscError outside."""
    if not 0 <= code <= _LARGEST_CODE:
        raise HscError(f"an analog scale code is 0 to {_LARGEST_CODE}, not {code}")
    return float(2.0 ** ((code - _CODE_OF_ONE) / _STEPS_PER_OCTAVE)) if code else 0.0


def symbol_count(n_values: int) -> int:
    """Complex channel uses of `n_values` real values."""
    return (n_values + 1) // 2


def modulate(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Real values, float (n,) → symbols, complex64 (ceil(n / 2),), of unit mean power, and the 16-bit code of
    the scale.

    Values 2i and 2i + 1 are the real and the imaginary part of symbol i; an odd length is filled up with a
    zero. The power is 1 to 0.07 %, the step of the code. Raises HscError for values that are not finite.
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise HscError("analog values must be finite: the codec produced NaN or infinity")
    pairs = np.zeros((symbol_count(values.size), 2))
    pairs.reshape(-1)[: values.size] = values
    peak = np.abs(pairs).max(initial=0.0)
    code = encode_scale(peak * np.sqrt(np.mean((pairs / peak) ** 2) * 2)) if peak else 0
    scale = decode_scale(code)
    pairs = pairs / scale if scale else np.zeros_like(pairs)
    return (pairs[:, 0] + 1j * pairs[:, 1]).astype(np.complex64), code


def demodulate(
    symbols: np.ndarray, noise_variance: np.ndarray | float, received: np.ndarray | None, scale_code: int
) -> ReceivedAnalog:
    """Received symbols → unbiased estimates of the values, each with the variance of its error.

    Args:
        symbols: complex (m,), equalised.
        noise_variance: N0 of each symbol, float (m,) or one for all; inf for a symbol that was lost.
        received: bool (m,), False where the packet was lost; None when all came.
        scale_code: the code that came with the stream.

    Returns:
        ReceivedAnalog of 2m values; a value has the variance N0 / 2 · scale². Symbols that are not finite or
        above 10^6 count as lost.
    """
    scale = decode_scale(scale_code)
    symbols = np.asarray(symbols, dtype=np.complex64).ravel()
    noise_variance = np.broadcast_to(np.asarray(noise_variance, dtype=np.float32), symbols.shape)
    # comparisons are False for NaN
    usable = (np.maximum(np.abs(symbols.real), np.abs(symbols.imag)) <= _LARGEST_SYMBOL) & (
        noise_variance <= _LARGEST_NOISE
    )
    if received is not None:
        usable &= np.asarray(received, dtype=bool)
    values = np.ascontiguousarray(np.where(usable, symbols, 0)).view(np.float32) * np.float32(scale)
    noise = np.maximum(np.where(usable, noise_variance, 0), 0)
    variance = np.where(usable, noise * np.float32(scale * scale / 2), np.inf).astype(np.float32)
    return ReceivedAnalog(values=values, noise_variance=np.repeat(variance, 2), received=np.repeat(usable, 2))
