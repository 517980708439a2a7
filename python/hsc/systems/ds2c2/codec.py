"""DS²C² (arXiv 2409.03243): a base layer that is received without error, and a residual that lives through
lost blocks.

    x ─▶ base ─▶ RaptorQ ─▶ LDPC (stream 1) ─▶ c ─▶ c′, x′
    x − c′ or x − x′ ─▶ residual ─▶ LDPC (stream 2) ─▶ what arrived of it ─▶ x̂

The residual has no protection but LDPC: a lost block costs every place of the image a little. It is coded in
dispersed chunks (`dispersed.py`, ours) or as the binary latents of BResNet (`residual_network.py`, the
paper's).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...codecs.contract import Codec, Decoded
from ...coding import budget, erasure
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn import planes
from ...nn.transform import pad
from ...phy import digital
from ...phy.adaptation import LinkSetting
from . import base, bits, dispersed, residual_network
from .base_network import MEANS, MULTIPLE, STEPS
from .binarizer import binarise
from .detail_network import DetailNetwork, load_detail
from .options import Ds2c2Options
from .parameters import MOST_BYTES, RATES, Ds2c2Parameters

# How far below the link's SNR the MCS of the base layer is chosen, and that of the residual [dB]: nothing is
# decoded without the base, and of the residual some blocks may fail.
BASE_MARGIN_DB, RESIDUAL_MARGIN_DB = 3.0, 1.0
# Largest share of the channel uses that the base layer takes where a coarser one would do.
BASE_SHARE = 0.45
# Every value of an image of which nothing is known.
_GREY = 128


@dataclass(frozen=True)
class Residual:
    """The residual as it is sent.

    Attributes:
        data: the stream; empty where the budget has nothing left.
        level: as of `Ds2c2Parameters`.
    """

    data: bytes
    level: int = 0


@dataclass(frozen=True)
class Terms:
    """How much may be sent of an image, and how.

    Attributes:
        shape: (H, W, C).
        uses: complex channel uses of payload.
        base_mcs, residual_mcs: of the two streams.
        options: the codec's.
    """

    shape: tuple[int, int, int]
    uses: int
    base_mcs: str
    residual_mcs: str
    options: Ds2c2Options

    @classmethod
    def of(cls, shape: tuple[int, int, int], uses: int, link: Link, options: Ds2c2Options) -> Terms:
        """Those of a link. Raises HscError for an impossible one."""
        margins = (BASE_MARGIN_DB, RESIDUAL_MARGIN_DB)
        return cls(shape, uses, *(budget.mcs(link, margin) for margin in margins), options)

    def protected(self, data: bytes) -> bytes:
        """The base layer with its repair symbols."""
        size = digital.payload_bytes_per_block(self.base_mcs)
        return erasure.protect(data, self.options.repair_share, size)

    def base_uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes of the base layer, with its repair symbols."""
        return budget.protected_uses(n_bytes, self.options.repair_share, self.base_mcs)


def base_layer(image: np.ndarray, terms: Terms) -> tuple[int, base.BaseCode]:
    """The base layer of uint8 (H, W, C), and its fineness: the finest that its share of the budget holds.
    Raises `budget.TooFew` when even the coarsest does not fit.
    """
    wanted = terms.options.fineness
    for fineness in range(len(STEPS) - 1, -1, -1) if wanted is None else (wanted,):
        coded = base.encode(image, fineness)
        needed = terms.base_uses(len(coded.data))
        if needed <= BASE_SHARE * terms.uses:
            break
    if needed > terms.uses:
        raise budget.TooFew(f"{terms.uses} channel uses do not hold the base layer of DS²C²", needed)
    if len(coded.data) > MOST_BYTES:
        raise HscError(f"the base layer has {len(coded.data)} bytes: send a smaller image")
    return fineness, coded


@torch.inference_mode()
def residual(image: np.ndarray, c: np.ndarray, fineness: int, uses: int, terms: Terms) -> Residual:
    """The residual of an image for so many channel uses, behind a base layer c."""
    size = digital.payload_bytes_per_block(terms.residual_mcs)
    pixels = pad(planes.to_planes(image), MULTIPLE)
    if terms.options.coding == "binary":
        return _binary(pixels, c, fineness, budget.bytes_in(uses, terms.residual_mcs), size, terms)
    blocks = budget.bytes_in(uses, terms.residual_mcs) // size
    if not blocks:
        return Residual(b"")
    network, model = load_detail()
    z = dispersed.analyse(pixels - base.load_base().expand(c[None], fineness))[0].numpy()
    coded = dispersed.encode(z, scales(network, c, fineness), blocks, size, model)
    return Residual(coded.data, coded.step)


def _binary(
    pixels: torch.Tensor, c: np.ndarray, fineness: int, most: int, block_bytes: int, terms: Terms
) -> Residual:
    """The paper's residual, at the highest rate of which so many bytes hold it."""
    token = residual_network.TOKEN
    tokens = tuple(side // token for side in pixels.shape[-2:])
    wanted = RATES if terms.options.rate is None else (terms.options.rate,)
    fitting = [rate for rate in wanted if bits.byte_count((_channels(rate), *tokens), block_bytes) <= most]
    if not fitting:
        return Residual(b"")
    network = residual_network.load_network(weights_of(fitting[-1]))
    prior = base.synthesise(c, fineness, terms.shape, terms.options.steps).refined
    symbols = binarise(network.analyse(pixels, prior), training=False)[0].numpy().astype(np.int8)
    return Residual(bits.pack(symbols, block_bytes), RATES.index(fitting[-1]))


def weights_of(rate: str) -> str:
    """Name of the weights of a binary residual."""
    return f"ds2c2-residual-{rate}"


def _channels(rate: str) -> int:
    return residual_network.load_network(weights_of(rate)).channels


def scales(network: DetailNetwork, c: np.ndarray, fineness: int) -> np.ndarray:
    """Of `dispersed.scales`, from c alone."""
    return dispersed.scales(network.scale_weight[fineness].numpy(), c, MEANS)


def message(fineness: int, coded: base.BaseCode, own: Residual, terms: Terms) -> Message:
    """Both layers as a message."""
    options = terms.options
    parameters = Ds2c2Parameters(options.coding, fineness, options.steps, own.level, len(coded.data))
    streams = [DigitalStream(terms.protected(coded.data), terms.base_mcs)]
    if own.data:
        streams.append(DigitalStream(own.data, terms.residual_mcs))
    return Message(Ds2c2Codec.name, terms.shape, parameters.pack(), None, tuple(streams))


def received_base(received: ReceivedMessage, parameters: Ds2c2Parameters) -> np.ndarray | None:
    """c of what arrived; None when it is lost. Raises HscError for a message that no version sends."""
    if not received.digital:
        raise HscError("not a message of DS²C²: transmitter and receiver differ, update both")
    stream = received.digital[0]
    size = stream.block_bytes or erasure.LARGEST_SYMBOL
    data, there = erasure.recover(stream, parameters.base_bytes, size)
    return base.decode(data, parameters.fineness, received.shape) if there.all() else None


@torch.inference_mode()
def image_of(
    c: np.ndarray,
    stream: ReceivedDigital | None,
    parameters: Ds2c2Parameters,
    shape: tuple[int, int, int],
    told: bool,
) -> torch.Tensor:
    """Base layer and what arrived of the residual → x̂ (1, 3, H, W), padded, not clamped. `told` as of
    `Ds2c2Options`.
    """
    if parameters.coding == "binary":
        prior = base.synthesise(c, parameters.fineness, shape, parameters.steps).refined
        if stream is None:
            return prior
        network = residual_network.load_network(weights_of(RATES[parameters.level]))
        size = (network.channels, *(side // residual_network.TOKEN for side in prior.shape[-2:]))
        found = bits.unpack(stream.data, stream.received, size, _block_bytes(stream), told)
        symbols, known = (torch.from_numpy(each)[None].float() for each in found)
        return network.receive(symbols, known, prior)[1]
    (network, model), expanded = load_detail(), base.load_base().expand(c[None], parameters.fineness)
    data, came, size = (stream.data, stream.received, _block_bytes(stream)) if stream else (b"", [], 1)
    scale = scales(network, c, parameters.fineness)
    detail = dispersed.decode(data, np.asarray(came, bool), scale, parameters.level, size, model)
    return network(torch.from_numpy(detail.z)[None], torch.from_numpy(detail.variance)[None], expanded)


def _block_bytes(stream: ReceivedDigital) -> int:
    if not stream.block_bytes:
        raise HscError("the MCS of the residual is not known: its blocks cannot be told apart")
    return stream.block_bytes


class Ds2c2Codec(Codec):
    """DS²C² as one codec. Keyword arguments are the fields of `Ds2c2Options`."""

    name = "ds2c2"
    Options = Ds2c2Options
    weights = ("ds2c2-base", "ds2c2-detail", *map(weights_of, RATES))
    variants = {"ds2c2": {}, "ds2c2 binary": {"coding": "binary"}}
    without_losses = {"repair_share": 0.03}

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of two digital streams; of one where the budget holds the base layer
        alone. Raises HscError for an image or budget it cannot serve.
        """
        planes.check_shape(image.shape)
        shape = tuple(image.shape)

        def made(uses: int) -> Message:
            terms = Terms.of(shape, uses, link, self.options)
            fineness, coded = base_layer(image, terms)
            rest = uses - terms.base_uses(len(coded.data))
            return message(fineness, coded, residual(image, coded.c, fineness, rest, terms), terms)

        return budget.within(link, shape, made)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived: grey when the base layer is lost."""
        planes.check_shape(received.shape)
        parameters = Ds2c2Parameters.unpack(received.parameters)
        c = received_base(received, parameters)
        if c is None:
            lost = "the base layer is lost, and nothing can be decoded without it: the image is grey"
            return Decoded(np.full(received.shape, _GREY, np.uint8), (lost,))
        stream = received.digital[1] if len(received.digital) > 1 else None
        found = image_of(c, stream, parameters, received.shape, self.options.told)
        return Decoded(planes.to_image(found, received.shape))

    def adapted(self, setting: LinkSetting) -> Ds2c2Codec:
        """With the setting's share of repair symbols."""
        return self if setting.repair_share is None else self.with_options(repair_share=setting.repair_share)

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Coding and level of the residual, fineness and bytes of the base layer."""
        known = Ds2c2Parameters.unpack(parameters)
        told = {"coding": known.coding, "fineness": known.fineness, "base_bytes": known.base_bytes}
        if known.coding == "binary":
            return told | {"rate": RATES[known.level], "steps": known.steps}
        return told | {"step": known.level}
