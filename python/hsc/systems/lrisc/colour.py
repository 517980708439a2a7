"""The mean colour of an image, told in every packet header: noise on the values shifts it, most of all where
a channel fades deeply, and a wrong colour is seen before anything else.

The values tell it within some percent already. So the header has only which of 32 places in a quarter of the
range it lies in: Wyner and Ziv's coding with what the receiver knows beside.
"""

from __future__ import annotations

import torch

# Places that are told apart, and their width, of pixels in [0, 1]. Means that are off by less than sixteen
# places, 12 %, do not lead to a wrong one; 15 dB below the SNR that a message was made for, 10 % were seen.
_PLACES, _WIDTH = 32, 1 / 128
# Bits of a code: one place for each of red, green and blue.
BITS = 15
# A mean that was found outside of its place is put so far from its middle: not far beyond its end, since the
# networks at both ends have means of their own, within a quarter of a place.
_INSIDE = 0.35


def coded(planes: torch.Tensor, shape: tuple[int, int, int]) -> int:
    """Planes (1, 3, ≥H, ≥W) of an image (H, W, C) → the code of their means."""
    red, green, blue = ((_means(planes, shape) / _WIDTH).floor().long() % _PLACES).tolist()
    return (red * _PLACES + green) * _PLACES + blue


def corrected(planes: torch.Tensor, code: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Planes of an image as it was received → the same with their means in the nearest of the places that a
    code stands for: shifted, or as they are where they lie there.
    """
    told = torch.tensor([code // _PLACES**2, code // _PLACES % _PLACES, code % _PLACES])
    # from the middle of the nearest such place, in places
    off = (_means(planes, shape) / _WIDTH - told - 0.5 + _PLACES / 2) % _PLACES - _PLACES / 2
    shift = torch.where(off.abs() > 0.5, off.clamp(-_INSIDE, _INSIDE) - off, 0.0)
    return planes + (_WIDTH * shift)[:, None, None]


def _means(planes: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """(3,), of what is seen of the image."""
    return planes[0, :, : shape[0], : shape[1]].nan_to_num(0.5).clamp(0, 1).double().mean((1, 2)).float()
