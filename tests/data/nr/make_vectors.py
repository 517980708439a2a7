"""Code words of an independent implementation of the 5G NR LDPC code, Sionna's (Apache-2.0), for
tests/phy/test_nr.py:

    python -m venv sionna && sionna/bin/pip install sionna-no-rt==2.2.0
    sionna/bin/python make_vectors.py vectors.npz

Sionna attaches no CRC and takes the code block as it is.
"""

import sys

import numpy as np
import torch
from sionna.phy.fec.ldpc import LDPC5GEncoder

# Information bits of the code block, bits sent, bits per symbol: both graphs, all numbers of columns of graph
# 2, short and long, low and high rates, with and without filler bits.
CASES = (
    (20, 100, 1),
    (100, 200, 2),
    (200, 408, 8),
    (300, 1400, 2),
    (500, 700, 2),
    (600, 1202, 2),
    (640, 1200, 6),
    (1000, 1100, 4),
    (3000, 14000, 2),
    (4024, 6000, 4),
    (4024, 8192, 2),
    (8448, 9600, 6),
)


def main(path: str) -> None:
    """Write for case i: `case_i` with the number of the base graph behind, `bits_i` and `sent_i`, packed."""
    rng = np.random.default_rng(1)
    arrays = {}
    for index, (k, n, bits_per_symbol) in enumerate(CASES):
        encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=bits_per_symbol)
        bits = rng.integers(0, 2, (2, k), dtype=np.uint8)
        sent = encoder(torch.tensor(bits, dtype=torch.float32)).numpy().astype(np.uint8)
        arrays[f"case_{index}"] = np.array([k, n, bits_per_symbol, int(encoder._bg[-1])])
        arrays[f"bits_{index}"], arrays[f"sent_{index}"] = (
            np.packbits(each, axis=1) for each in (bits, sent)
        )
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
