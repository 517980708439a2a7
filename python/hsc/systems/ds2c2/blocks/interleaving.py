"""Figure 2 of the paper as blocks: Bit Interleaver, Bit Deinterleaver."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from ....blocks import pdu
from ....blocks.base import MessageBlock, require_codec
from ....errors import HscError
from .. import bits
from ..latents import latent_shape
from ..parameters import NAME, Ds2c2Parameters
from .streams import RESIDUAL, features_of


class _BitBlock(MessageBlock):
    """Base of the interleaver and its inverse.

    Args:
        name: of the block.
        output: its output port.
        block_bytes: unit of loss that bits are spread over [bytes]; 0: an LDPC block of the stream's MCS.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, name: str, output: str, block_bytes: int) -> None:
        super().__init__(name)
        self.open_ports({"digital": {pdu.Digital: self._take}}, (output,))
        if block_bytes < 0:
            raise HscError(f"blocks of {block_bytes} bytes: give the bytes of a block, or 0 for LDPC blocks")
        self._block_bytes = int(block_bytes)

    def _take(self, stream: pdu.Digital) -> None:
        require_codec(stream.codec, NAME)
        known = Ds2c2Parameters.unpack(stream.parameters)
        bitwise = stream.stream == RESIDUAL and known.coding == "binary" and stream.data.size
        if not bitwise:
            self.pass_by(stream)
            return
        size = self._block_bytes or stream.received.block_bytes
        if not size:
            raise HscError(f"message {stream.message_id}: no MCS in the PDU, set the bytes of a block")
        self.permute(stream, latent_shape(known.level, stream.shape), size)

    @abstractmethod
    def pass_by(self, stream: pdu.Digital) -> None:
        """Take what is not to be interleaved: another layer, or chunks, which are dispersed as they are."""

    @abstractmethod
    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        """Take the bits of a latent (C, h, w)."""


class ds2c2_bit_interleaver(_BitBlock):
    """Spreads the bits of a binary residual over its blocks (figure 2). What else comes is passed on.

    Message ports: in `digital` (`Digital`, of the Residual Encoder), out `digital` (`Digital`).

    Args:
        block_bytes: unit of loss [bytes]; 0: an LDPC block of the stream's MCS. The same at both ends.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, block_bytes: int = 0) -> None:
        super().__init__("DS2C2 Bit Interleaver", "digital", block_bytes)

    def pass_by(self, stream: pdu.Digital) -> None:
        self.publish("digital", stream)

    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        data = bits.interleave(stream.data.tobytes(), latent, block_bytes)
        self.publish("digital", replace(stream, data=np.frombuffer(data, np.uint8)))


class ds2c2_bit_deinterleaver(_BitBlock):
    """Puts the bits of a binary residual back in their places (figure 2). Chunks are passed on, and the base
    layer is left to the Base Decoder.

    Message ports: in `digital` (`Digital`, of a Digital Demodulator), out `residual` (`Features`: symbols −1
    and 1, or 0 with variance 1 where lost; or `Digital`, chunks).

    Args:
        block_bytes: as of the Bit Interleaver.
        told: False: lost bits read as zeros that were sent, as in the paper.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, block_bytes: int = 0, told: bool = True) -> None:
        super().__init__("DS2C2 Bit Deinterleaver", "residual", block_bytes)
        self.set_told(told)

    def set_told(self, told: bool) -> None:
        """Whether losses are known, from the next message on."""
        self._told = bool(told)

    def pass_by(self, stream: pdu.Digital) -> None:
        if stream.stream == RESIDUAL:
            self.publish("residual", stream)

    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        came = stream.received
        symbols, known = bits.deinterleave(came.data, came.received, latent, block_bytes, self._told)
        self.publish("residual", features_of(stream, symbols, (~known).astype(np.float32)))
