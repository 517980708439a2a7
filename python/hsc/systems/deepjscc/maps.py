"""Between the analog stream of a message and the network's token maps."""

from __future__ import annotations

import numpy as np
import torch

from ...errors import HscError
from ...message import ReceivedAnalog
from .network import VALUES
from .parameters import token_shape


def to_maps(
    analog: ReceivedAnalog | None, shape: tuple[int, int, int], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received stream → values and noise variances (1, 64, h, w), inf where lost or not sent.

    Args:
        shape: of the image, (H, W, C).
        count: values a token.

    Raises:
        HscError: nothing came.
    """
    height, width = token_shape(shape)
    n = count * height * width
    # An odd number of values is padded to whole symbols.
    if analog is None or not n <= len(analog.values) <= n + 1 or not analog.received[:n].any():
        raise HscError("nothing of the image arrived: raise the SNR or send again")
    sent, noise = analog.values[:n], analog.noise_variance[:n]
    there = analog.received[:n] & np.isfinite(sent) & np.isfinite(noise)
    values = torch.zeros(1, VALUES, height, width)
    variance = torch.full_like(values, torch.inf)
    for maps, stream in ((values, np.where(there, sent, 0)), (variance, np.where(there, noise, np.inf))):
        maps[0, :count] = torch.from_numpy(stream.astype(np.float32).reshape(count, height, width))
    return values, variance.clamp_min(0)


def to_stream(values: torch.Tensor, variance: torch.Tensor, count: int, length: int) -> ReceivedAnalog:
    """`to_maps` backwards: the stream of `length` values that such maps stand for, `count` values a token."""
    kept = variance[0, :count].flatten().numpy()
    there = np.isfinite(kept)
    stream = np.where(there, values[0, :count].flatten().numpy(), 0)
    padding = (0, length - len(kept))
    return ReceivedAnalog(
        np.pad(stream, padding), np.pad(kept, padding, constant_values=np.inf), np.pad(there, padding)
    )
