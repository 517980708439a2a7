"""The statistical binarizer (Toderici et al. 2016, eqs. (3) and (4); DS²C², section II-B)."""

from __future__ import annotations

import torch


def binarise(u: torch.Tensor, training: bool) -> torch.Tensor:
    """Values in (−1, 1), any shape → symbols −1 and 1, same shape and type.

    In training +1 has the probability (1 + u) / 2, so that the mean is u, and the gradient with respect to u
    is 1. Otherwise the symbol is the sign of u, and 0 counts as +1.
    """
    threshold = 1 - 2 * torch.rand_like(u) if training else torch.zeros_like(u)
    symbols = torch.where(u >= threshold, 1.0, -1.0).to(u.dtype)
    return symbols + (u - u.detach())
