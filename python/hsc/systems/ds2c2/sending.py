"""What DS²C² sends of an image: a base layer that its budget holds, and the residual for what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...coding import budget, erasure
from ...coding.protection import Protection
from ...errors import HscError
from ...message import DigitalStream, Link, Message
from ...nn import planes
from ...nn.transform import pad
from ...phy import digital
from . import base, bits, dispersed, residual_network, semantic_coding
from .base_network import MULTIPLE
from .binarizer import binarise
from .detail_network import load_detail
from .latents import latent_shape, scales, weights_of
from .options import Ds2c2Options
from .parameters import MOST_BYTES, NAME, RATES, Ds2c2Parameters

# How far below the link's SNR the MCS of the base layer is chosen, and that of the residual [dB]: nothing is
# decoded without the base, and of the residual some blocks may fail.
BASE_MARGIN_DB, RESIDUAL_MARGIN_DB = 3.0, 1.0
# Largest share of the channel uses that the base layer takes where a coarser one would do.
BASE_SHARE = 0.45


@dataclass(frozen=True)
class Terms:
    """How much may be sent of an image, and how.

    Attributes:
        shape: (H, W, C).
        uses: complex channel uses of payload.
        base_mcs, residual_mcs: of the two streams.
        protection: what the repair symbols of the base layer are for.
        options: the codec's.
    """

    shape: tuple[int, int, int]
    uses: int
    base_mcs: str
    residual_mcs: str
    protection: Protection
    options: Ds2c2Options

    @classmethod
    def of(cls, shape: tuple[int, int, int], uses: int, link: Link, options: Ds2c2Options) -> Terms:
        """Those of a link. Raises HscError for an impossible one."""
        margins = (BASE_MARGIN_DB, RESIDUAL_MARGIN_DB)
        base_mcs, residual_mcs = (budget.mcs(link, margin) for margin in margins)
        protection = Protection.of(options.repair_share, link, base_mcs, uses)
        return cls(shape, uses, base_mcs, residual_mcs, protection, options)

    def protected(self, data: bytes) -> bytes:
        """The base layer with its repair symbols."""
        size = digital.payload_bytes_per_block(self.base_mcs)
        return erasure.protect(data, self.protection, size)

    def base_room(self) -> int:
        """Bytes of the base layer that its share of the budget holds."""
        room = budget.bytes_in(int(BASE_SHARE * self.uses), self.base_mcs)
        size = digital.payload_bytes_per_block(self.base_mcs)
        return erasure.source_room(room, self.protection, size)

    def base_uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes of the base layer, with its repair symbols."""
        return budget.protected_uses(n_bytes, self.protection)


@dataclass(frozen=True)
class Residual:
    """The residual of an image.

    Attributes:
        level: as of `Ds2c2Parameters`.
        data: bytes; empty where the budget has nothing left. Those of a binary one are in the latent's
            order, before the interleaver.
    """

    level: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class BaseLayer:
    """The base layer of an image.

    Attributes:
        fineness: of its quantiser.
        code: c.
        labels: of the semantic map, as `base.BaseCodec.labels`; None when it is derived.
        semantic_map: these as bytes, none when it is derived.
    """

    fineness: int
    code: base.BaseCode
    labels: np.ndarray | None = None
    semantic_map: bytes = b""

    @property
    def data(self) -> bytes:
        """What is sent. The code is last, with the low frequencies at its end."""
        return self.semantic_map + self.code.data


def base_layer(image: np.ndarray, terms: Terms) -> BaseLayer:
    """The base layer of uint8 (H, W, C), at the finest fineness that its share of the budget holds. Raises
    `budget.TooFew` when even the coarsest does not fit.
    """
    codec = base.load_base()
    c = codec.compress(image)
    labels = codec.labels(image) if terms.options.semantic == "sent" else None
    semantic_map = b"" if labels is None else semantic_coding.encode(labels)

    fineness = terms.options.fineness
    if fineness is None:
        fineness, code = codec.finest(c, terms.base_room() - len(semantic_map))
    else:
        code = codec.code(c, fineness)
    layer = BaseLayer(fineness, code, labels, semantic_map)
    if (uses := terms.base_uses(len(layer.data))) > terms.uses:
        raise budget.TooFew(f"{terms.uses} channel uses do not hold the base layer of DS²C²", uses)
    if len(layer.data) > MOST_BYTES:
        raise HscError(f"the base layer has {len(layer.data)} bytes: send a smaller image")
    return layer


@torch.inference_mode()
def residual(
    image: np.ndarray,
    c: np.ndarray,
    fineness: int,
    uses: int,
    terms: Terms,
    labels: np.ndarray | None = None,
) -> Residual:
    """The residual of an image for so many channel uses, behind a base layer c; `labels` as of
    `BaseLayer`.
    """
    size = digital.payload_bytes_per_block(terms.residual_mcs)
    room = budget.bytes_in(uses, terms.residual_mcs)
    prior = base.synthesise(c, fineness, terms.shape, terms.options.steps, labels).refined
    if terms.options.coding == "binary":
        return _binary(pad(planes.to_planes(image), MULTIPLE), prior, room, size, terms)
    try:
        coded = chunks(image, prior, c, fineness, room // size, size)
    except budget.TooFew:
        return Residual()
    return Residual(coded.step, coded.data)


def chunks(
    image: np.ndarray, prior: torch.Tensor, c: np.ndarray, fineness: int, blocks: int, block_bytes: int
) -> dispersed.Coded:
    """x − x′ of an image uint8 (H, W, C) and planes x′ in so many chunks behind a base layer c; of cells
    without a pixel of the image it is 0. Raises `budget.TooFew` as `dispersed.encode`.
    """
    network, model = load_detail()
    z = dispersed.analyse(pad(planes.to_planes(image), MULTIPLE) - prior)[0].numpy()
    down, across = (-(-side // dispersed.CELL) for side in image.shape[:2])
    z[:, down:], z[:, :, across:] = 0, 0
    return dispersed.encode(z, scales(network, c, fineness), blocks, block_bytes, model)


@torch.inference_mode()
def symbols_of(pixels: torch.Tensor, prior: torch.Tensor, name: str) -> np.ndarray:
    """x and x′, planes (1, 3, H, W) each → binary symbols −1 and 1, int8 (C, h, w), by the weights of a
    binary residual.
    """
    latent = residual_network.load_network(name).analyse(pixels, prior)
    return binarise(latent, training=False)[0].numpy().astype(np.int8)


def _binary(pixels: torch.Tensor, prior: torch.Tensor, room: int, block_bytes: int, terms: Terms) -> Residual:
    """The paper's residual, at the highest rate of which so many bytes hold it."""
    wanted = RATES if terms.options.rate is None else (terms.options.rate,)
    levels = [RATES.index(rate) for rate in wanted]
    fitting = [
        level for level in levels if bits.byte_count(latent_shape(level, terms.shape), block_bytes) <= room
    ]
    if not fitting:
        return Residual()
    return Residual(fitting[-1], bits.pack(symbols_of(pixels, prior, weights_of(fitting[-1]))))


def base_message(layer: BaseLayer, terms: Terms) -> Message:
    """The base layer alone as a message."""
    stream = DigitalStream(terms.protected(layer.data), terms.base_mcs)
    parameters = Ds2c2Parameters(
        terms.options.coding,
        layer.fineness,
        terms.options.steps,
        0,
        len(layer.data),
        len(layer.semantic_map),
    )
    return Message(NAME, terms.shape, parameters.pack(), None, (stream,))


def interleaved(own: Residual, terms: Terms) -> bytes:
    """The residual as it is sent: the bits of a binary one are interleaved, chunks are dispersed as they
    are.
    """
    if terms.options.coding == "dispersed" or not own.data:
        return own.data
    size = digital.payload_bytes_per_block(terms.residual_mcs)
    return bits.interleave(own.data, latent_shape(own.level, terms.shape), size)
