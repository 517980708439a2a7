"""What DS²C² makes of what arrived: the base layer, the residual, and the image of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...coding import erasure
from ...errors import HscError
from ...message import ReceivedDigital
from ...nn import planes
from . import base, bits, dispersed, residual_network, semantic_coding
from .detail_network import load_detail
from .latents import latent_shape, scales, tokens, weights_of
from .parameters import Ds2c2Parameters

# Every value of an image of which nothing is known, and what is said of it.
GREY = 128
BASE_LOST = "the base layer is lost, and nothing can be decoded without it: the image is grey"
BASE_BROKEN = "the base layer is incomplete: the image is what its low frequencies give"


@dataclass(frozen=True)
class Symbols:
    """Binary symbols as they arrived.

    Attributes:
        values: int8 (C, h, w): −1, 1, or 0 where lost.
        known: bool (C, h, w).
    """

    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class ReceivedBase:
    """The base layer as it arrived.

    Attributes:
        c: int64 (CHANNELS, h, w): what is not known of it is 0.
        whole: False: some of it is lost, and the residual cannot be decoded.
        labels: of the semantic map, None where it is derived, or lost.
    """

    c: np.ndarray
    whole: bool
    labels: np.ndarray | None = None


def received_base(
    stream: ReceivedDigital, parameters: Ds2c2Parameters, shape: tuple[int, int, int]
) -> ReceivedBase | None:
    """The base layer of an image (H, W, C); None when nothing of it is known. Raises HscError for bytes that
    are none.
    """
    size = stream.block_bytes or erasure.LARGEST_SYMBOL
    data, there = erasure.recover(stream, parameters.base_bytes, size)
    split = min(parameters.map_bytes, len(data))
    code = data[split:]
    if there.all():
        labels = semantic_coding.decode(data[:split], *tokens(shape)) if split else None
        return ReceivedBase(base.decode(code, parameters.fineness, shape), True, labels)
    # Its low frequencies are at the end.
    known = code[len(code) - min(len(data) - 1 - np.flatnonzero(~there)[-1], len(code)) :]
    c = base.decode_end(known, len(code), parameters.fineness, shape)
    return ReceivedBase(c, whole=False) if c.any() else None


def received_residual(
    stream: ReceivedDigital, parameters: Ds2c2Parameters, shape: tuple[int, int, int], told: bool = True
) -> Symbols | ReceivedDigital | None:
    """The residual of an image (H, W, C) as `image_of` takes it: chunks as they are, symbols of what was
    interleaved; None where nothing was sent. `told` as of `Ds2c2Options`. Raises HscError for a stream that
    is none.
    """
    if not stream.data:
        return None
    if not stream.block_bytes:
        raise HscError("the MCS of the residual is not known: its blocks cannot be told apart")
    if parameters.coding == "dispersed":
        return stream
    latent = latent_shape(parameters.level, shape)
    return Symbols(*bits.deinterleave(stream.data, stream.received, latent, stream.block_bytes, told))


@torch.inference_mode()
def image_of(
    c: np.ndarray,
    residual: Symbols | ReceivedDigital | None,
    parameters: Ds2c2Parameters,
    shape: tuple[int, int, int],
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Base layer and what arrived of the residual, symbols or chunks by its coding → x̂, uint8 (H, W, C);
    `labels` as of `ReceivedBase`.
    """
    prior = base.synthesise(c, parameters.fineness, shape, parameters.steps, labels).refined
    if parameters.coding == "binary":
        found = _with_symbols(prior, residual, parameters)
    else:
        found = _with_chunks(prior, c, residual, parameters)
    return planes.to_image(found, shape)


def _with_symbols(prior: torch.Tensor, symbols: Symbols | None, parameters: Ds2c2Parameters) -> torch.Tensor:
    if symbols is None:
        return prior
    network = residual_network.load_network(weights_of(parameters.level))
    found = (torch.from_numpy(each)[None].float() for each in (symbols.values, symbols.known))
    return network.receive(*found, prior)[1]


def _with_chunks(
    prior: torch.Tensor, c: np.ndarray, stream: ReceivedDigital | None, parameters: Ds2c2Parameters
) -> torch.Tensor:
    network, model = load_detail()
    data, came, size = (stream.data, stream.received, stream.block_bytes) if stream else (b"", [], 1)
    scale = scales(network, c, parameters.fineness)
    detail = dispersed.decode(data, np.asarray(came, bool), scale, parameters.level, size, model)
    return network(torch.from_numpy(detail.z)[None], torch.from_numpy(detail.variance)[None], prior)
