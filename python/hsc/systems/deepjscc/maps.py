"""Between the analog stream of a message and the network's token maps.

A stream is the maps one after the other, in the order in which a smaller budget drops them, last first.
DeepJSCC mixes it in groups of 16, every (n/16)-th of its n values (`coding.whitening`), in that very order
and not by strength: both ends know it without comparing floats.
"""

from __future__ import annotations

import numpy as np
import torch

from ...coding import whitening
from ...errors import HscError
from ...message import ReceivedAnalog
from .network import VALUES, load_model
from .parameters import AnalogParameters, token_shape


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


def mix(values: torch.Tensor) -> torch.Tensor:
    """Values to send, (count, h, w), → the stream, float (count·h·w,), mixed.

    The last ones that fill no group, fewer than 16 and of the weakest map, are sent as they are: nothing is
    padded.
    """
    stream = values.flatten()
    grouped = _grouped(len(stream))
    return torch.cat([whitening.mix(stream[:grouped]), stream[grouped:]]) if grouped else stream


def received_maps(
    analog: ReceivedAnalog | None, shape: tuple[int, int, int], parameters: AnalogParameters
) -> tuple[torch.Tensor, torch.Tensor]:
    """`to_maps` for a message of DeepJSCC, mixed or not, as its parameters say. Raises HscError as it does.

    How strong the values of a map are the receiver knows from its weights, for an average image.
    """
    values, variance = to_maps(analog, shape, parameters.count)
    count, tokens = parameters.count, values.shape[-2:]
    grouped = _grouped(count * tokens.numel())
    if parameters.mixed and grouped:
        power = load_model().value_spectrum(tokens, *parameters.tensors())[0, :count].mean((1, 2))
        strength = power.repeat_interleave(tokens.numel())[:grouped]
        sent, noise = (maps[0, :count].view(-1)[:grouped] for maps in (values, variance))
        sent[:], noise[:] = whitening.unmix_unbiased(sent, noise, strength)
    return values, variance


def _grouped(n: int) -> int:
    """How many of n values fill whole groups."""
    return n // whitening.GROUP * whitening.GROUP


def to_stream(values: torch.Tensor, variance: torch.Tensor, count: int, length: int) -> ReceivedAnalog:
    """`to_maps` backwards: the stream of `length` values that such maps stand for, `count` values a token."""
    kept = variance[0, :count].flatten().numpy()
    there = np.isfinite(kept)
    stream = np.where(there, values[0, :count].flatten().numpy(), 0)
    padding = (0, length - len(kept))
    return ReceivedAnalog(
        np.pad(stream, padding), np.pad(kept, padding, constant_values=np.inf), np.pad(there, padding)
    )
