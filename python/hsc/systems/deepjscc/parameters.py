"""What the receiver of DeepJSCC or DeepJSCC-Q is told of a message, in every packet header."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import torch

from ...coding import budget
from ...errors import HscError
from ...message import Link
from ...nn.transform import BLOCK
from ...phy.analog import symbol_count
from .network import HIGHEST_SNR_DB, VALUES

# Step of the SNR on the air [dB].
_SNR_STEP_DB = 0.25
# Lowest SNR on the air [dB].
_LOWEST_SNR_DB = -10.0
# Bit of the last byte: the values are mixed. Versions that did not mix them refuse it.
_MIXED = 0x80


@dataclass(frozen=True)
class AnalogParameters:
    """3 bytes.

    Attributes:
        count: values a token, 1 to 64.
        snr_db: SNR that the transmitter counted on, in steps of 0.25 dB from −10 to 40; 40 also stands for
            "not known".
        levels: levels of a value, a power of two; 0 when it is not quantised.
        mixed: the stream is that of `maps.mix`. DeepJSCC's always is on the air; that of older versions, or
            behind the block Denoiser, is not.
    """

    count: int
    snr_db: float
    levels: int = 0
    mixed: bool = False

    def pack(self) -> bytes:
        """3 bytes."""
        snr = round((self.snr_db - _LOWEST_SNR_DB) / _SNR_STEP_DB)
        return struct.pack(">3B", self.count, snr, self.levels.bit_length() | _MIXED * self.mixed)

    @staticmethod
    def unpack(raw: bytes) -> AnalogParameters:
        """Read `pack`'s bytes, more may follow. Raises HscError for values that cannot be."""
        if len(raw) < 3:
            raise HscError("the message's parameters are too short: it comes from another version")
        count, snr, last = struct.unpack(">3B", raw[:3])
        bits, mixed = last & ~_MIXED, bool(last & _MIXED)
        snr_db = _LOWEST_SNR_DB + _SNR_STEP_DB * snr
        if not 1 <= count <= VALUES or snr_db > HIGHEST_SNR_DB or bits > 8 or (bits and mixed):
            raise HscError("the message's parameters are out of range: it comes from another version")
        return AnalogParameters(count, snr_db, 1 << (bits - 1) if bits else 0, mixed)

    @staticmethod
    def choose(shape: tuple[int, int, int], uses: int, link: Link, levels: int = 0) -> AnalogParameters:
        """Parameters for an image of `shape` in `uses` channel uses. Raises `budget.TooFew` when not one
        value a token fits.
        """
        tokens = math.prod(token_shape(shape))
        count = min(VALUES, 2 * uses // tokens)
        if count < 1:
            raise budget.TooFew(
                f"{uses} channel uses do not hold one value for each of {tokens} tokens", symbol_count(tokens)
            )
        snr_db = HIGHEST_SNR_DB if link.snr_db is None else link.snr_db
        snr_db = min(max(snr_db, _LOWEST_SNR_DB), HIGHEST_SNR_DB)
        steps = round((snr_db - _LOWEST_SNR_DB) / _SNR_STEP_DB)
        return AnalogParameters(count, _LOWEST_SNR_DB + _SNR_STEP_DB * steps, levels)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's arguments `snr_db` and `count`, each (1,)."""
        return torch.tensor([self.snr_db]), torch.tensor([self.count])

    def described(self) -> dict[str, object]:
        """For metrics.json and pictures: values a token, SNR counted on [dB], levels where there are some."""
        levels = {"levels": self.levels} if self.levels else {}
        return {"values_per_token": self.count, "snr_db": self.snr_db, **levels}


def token_shape(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Rows and columns of 8 × 8 tokens of an image (H, W, C)."""
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)
