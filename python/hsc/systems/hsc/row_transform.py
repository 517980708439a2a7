"""An orthonormal transform of the rows of A (X − R): across colours, and along blocks of 16 columns where the
image is wide.

Both are DCT-II. Of three colours the first is their sum, i.e. brightness, which holds most of the energy of a
residual. The coefficients of one frequency stand together, so that the entropy coder adapts to each frequency
and place.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct, idct

# Columns of a block.
BLOCK = 16
# Columns below which an image is not transformed along its rows. Chosen by trial: digits are not.
NARROW = 64


def forward(rows: np.ndarray, channels: int) -> np.ndarray:
    """float64 (k, W·C), colours interleaved → (k, C·W) coefficients, colour by colour, frequency by
    frequency.
    """
    planes = dct(rows.reshape(len(rows), -1, channels), axis=2, norm="ortho").transpose(0, 2, 1)
    width = planes.shape[2]
    return _blocks(dct, planes)[..., _order(width)].reshape(rows.shape)


def inverse(coefficients: np.ndarray, channels: int) -> np.ndarray:
    """Inverse of `forward`."""
    if not len(coefficients):
        return coefficients
    planes = np.empty_like(coefficients.reshape(len(coefficients), channels, -1))
    planes[..., _order(planes.shape[2])] = coefficients.reshape(planes.shape)
    return idct(_blocks(idct, planes).transpose(0, 2, 1), axis=2, norm="ortho").reshape(coefficients.shape)


def _blocks(transform, planes: np.ndarray) -> np.ndarray:
    width = planes.shape[2]
    if width < NARROW:
        return planes
    main = width // BLOCK * BLOCK
    blocks = transform(planes[..., :main].reshape(*planes.shape[:2], -1, BLOCK), axis=3, norm="ortho")
    tail = planes[..., main:]
    tail = transform(tail, axis=2, norm="ortho") if tail.shape[2] else tail
    return np.concatenate([blocks.reshape(*planes.shape[:2], main), tail], axis=2)


def _order(width: int) -> np.ndarray:
    return np.argsort(np.arange(width) % (BLOCK if width >= NARROW else 1), kind="stable")
