"""The receiver's carrier leak: a constant that its mixer adds to the samples, at 0 Hz of the stream wherever
the carriers of a burst lie.

A burst has no constant part but by chance, so its mean is the leak and a chance that falls with its length.
What is known of a burst takes that chance away (`Demodulator.header`).
"""

from __future__ import annotations

import numpy as np

# |mean|² of a burst, over what chance makes of it, from which on it is a leak: exp(-9), one burst in 10⁴,
# comes so far without.
_OF_BURST = 9.0
# The same of a block: exp(-16), one in 10⁷.
_OF_BLOCK = 16.0
# Samples whose mean shows how a leak moves: chance is 14 dB below the carrier of 64 that it hits.
_BLOCK = 2048


def constant_part(samples: np.ndarray) -> complex:
    """The mean of samples (n,), or 0 when it is no more than chance."""
    mean = complex(samples.mean())
    return mean if _stands_out(mean, samples, len(samples), _OF_BURST) else 0j


def without_moving_part(samples: np.ndarray) -> np.ndarray:
    """Samples, complex64 (n,), without a leak that moves slowly: straight lines between the means of blocks,
    where one stands out.
    """
    blocks = len(samples) // _BLOCK
    if blocks == 0:
        return samples
    size = len(samples) // blocks
    means = samples[: blocks * size].reshape(blocks, size).mean(axis=1)
    if not np.any(_stands_out(means, samples, size, _OF_BLOCK)):
        return samples
    middles = size * (np.arange(blocks) + 0.5)
    index = np.arange(len(samples))
    leak = np.interp(index, middles, means.real) + 1j * np.interp(index, middles, means.imag)
    return samples - leak.astype(np.complex64)


def _stands_out(
    mean: complex | np.ndarray, samples: np.ndarray, size: int, factor: float
) -> bool | np.ndarray:
    """Whether means of `size` samples are more than chance makes of them."""
    power = float(np.vdot(samples, samples).real) / len(samples)
    square = np.abs(mean) ** 2
    return square * size > factor * np.maximum(power - np.mean(square), 1e-5 * power)
