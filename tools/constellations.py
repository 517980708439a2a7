"""Levels of the non-uniform constellations in python/hsc/phy/mcs.py: they maximise the mutual information of
the bits of a Gray label and a symbol over AWGN (Caire, Taricco and Biglieri, "Bit-interleaved coded
modulation", IEEE Trans. Inf. Theory 44(3), 1998), of one axis with 16 levels, symmetric around 0.

    python tools/constellations.py 17 19.5 22
"""

import sys
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

LEVELS = 16  # of an axis
NODES, WEIGHTS = np.polynomial.hermite.hermgauss(60)


def carried(levels: Sequence[float], snr_db: float) -> float:
    """Bits per symbol that bit by bit demapping of two axes can carry at Es/N0 [dB]; `levels` above 0, in
    rising order and any scale.
    """
    above = np.asarray(levels, float)
    axis = np.concatenate([-above[::-1], above])
    axis *= np.sqrt(0.5 / np.mean(axis**2))
    variance = 0.5 * 10 ** (-snr_db / 10)
    received = axis[:, None] + np.sqrt(2 * variance) * NODES
    likelihood = np.exp(-((received[..., None] - axis) ** 2) / (2 * variance))
    index = np.arange(len(axis))
    labels, total = index ^ (index >> 1), 0.0
    for bit in range(len(axis).bit_length() - 1):
        same = (labels[:, None] >> bit & 1) == (labels >> bit & 1)
        right = (likelihood * same[:, None]).sum(-1) / likelihood.sum(-1)
        total += 1 + float((np.log2(right) * WEIGHTS).sum(-1).mean() / np.sqrt(np.pi))
    return 2 * total


def _levels(steps: np.ndarray) -> np.ndarray:
    """From 0 to the first level above it, and on: rising, whatever the steps."""
    return np.cumsum(np.abs(steps))


def main() -> None:
    """Print the levels for each Es/N0 [dB] that is given."""
    even = np.array([1.0, *[2.0] * (LEVELS // 2 - 1)])
    for snr_db in map(float, sys.argv[1:]):
        best = minimize(lambda steps, at: -carried(_levels(steps), at), even, (snr_db,), method="L-BFGS-B")
        levels, gain = _levels(best.x), -best.fun - carried(_levels(even), snr_db)
        print(f"{snr_db:g} dB: {np.round(levels / levels[0], 2).tolist()}, {gain:+.3f} bits")


if __name__ == "__main__":
    main()
