"""Levels of the non-uniform constellations in python/hsc/phy/mcs.py: they maximise the mutual information of
the bits of a Gray label and a symbol over AWGN (Caire, Taricco and Biglieri, "Bit-interleaved coded
modulation", IEEE Trans. Inf. Theory 44(3), 1998), of one axis with 16 levels, symmetric around 0.

    python tools/constellations.py 17 19.5 22
"""

import sys

import numpy as np
from scipy.optimize import minimize

BITS = 4  # of an axis
NODES, WEIGHTS = np.polynomial.hermite.hermgauss(60)
INDEX = np.arange(1 << BITS)
LABELS = INDEX ^ (INDEX >> 1)


def carried(steps: np.ndarray, snr_db: float) -> float:
    """Bits per symbol of two axes at Es/N0 [dB]; `steps` from 0 to the first level above it, and on."""
    levels = np.cumsum(np.abs(steps))
    axis = np.concatenate([-levels[::-1], levels])
    axis *= np.sqrt(0.5 / np.mean(axis**2))
    variance = 0.5 * 10 ** (-snr_db / 10)
    received = axis[:, None] + np.sqrt(2 * variance) * NODES
    likelihood = np.exp(-((received[..., None] - axis) ** 2) / (2 * variance))
    total = 0.0
    for bit in range(BITS):
        same = (LABELS[:, None] >> bit & 1) == (LABELS >> bit & 1)
        right = (likelihood * same[:, None]).sum(-1) / likelihood.sum(-1)
        total += 1 + (np.log2(right) * WEIGHTS).sum(-1).mean() / np.sqrt(np.pi)
    return 2 * total


def main() -> None:
    """Print the levels for each Es/N0 [dB] that is given."""
    even = np.array([1.0, *[2.0] * (len(INDEX) // 2 - 1)])
    for snr_db in map(float, sys.argv[1:]):
        best = minimize(lambda steps, at: -carried(steps, at), even, (snr_db,), method="L-BFGS-B")
        levels = np.cumsum(np.abs(best.x))
        gain = -best.fun - carried(even, snr_db)
        print(f"{snr_db:g} dB: {np.round(levels / levels[0], 2).tolist()}, {gain:+.3f} bits")


if __name__ == "__main__":
    main()
