"""A learned image codec behind LDPC: the baseline that DS²C² (arXiv 2409.03243) compares itself with, as one
digital stream.

The paper has LIC-GMM-AM (Cheng et al., CVPR 2020). This one is smaller: a mean-scale hyperprior with
checkerboard context, and a few million parameters. Like all entropy-coded streams its code is worth nothing
from the first lost byte on; the option `losses` says what is done about that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from ...codecs.contract import Codec, Decoded
from ...coding import budget, erasure
from ...coding.protection import Protection
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn import planes
from ...nn.transform import pad
from ...phy import digital
from . import lic_coding, lic_network
from .lic_coding import LEVELS, Coder, Latents, Reader
from .lic_integer import UNIT
from .lic_network import MULTIPLE, POSITION, LicNetwork, variance
from .lic_options import LicOptions, Losses, Training

# Weights by how they were trained.
WEIGHTS = {"clean": "lic", "erased": "lic-8"}
# Bytes of a code: its length has 24 bits.
MOST_BYTES = (1 << 24) - 1
# Bytes of the parameters.
_SIZE = 6


@dataclass(frozen=True)
class LicParameters:
    """6 bytes.

    Attributes:
        level: of the quantiser step.
        losses, training: the transmitter's options.
        code_bytes: before repair, 24 bits.
    """

    level: int
    losses: Losses
    training: Training
    code_bytes: int

    def pack(self) -> bytes:
        """6 bytes."""
        choices = get_args(Losses).index(self.losses), get_args(Training).index(self.training)
        return bytes([self.level, *choices]) + self.code_bytes.to_bytes(3, "big")

    @classmethod
    def unpack(cls, data: bytes) -> LicParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        possible = (LEVELS, len(get_args(Losses)), len(get_args(Training)))
        if len(data) < _SIZE or any(value >= most for value, most in zip(data, possible, strict=False)):
            raise HscError(
                "the parameters of lic in the header are not possible: the packet comes from a newer "
                "version, update this receiver"
            )
        level, losses, training = data[:3]
        size = int.from_bytes(data[3:_SIZE], "big")
        return cls(level, get_args(Losses)[losses], get_args(Training)[training], size)


@torch.inference_mode()
def compress(network: LicNetwork, coder: Coder, image: np.ndarray, level: int) -> bytes:
    """uint8 (H, W, C) → code at a level of the quantiser step."""
    y = network.analyse(pad(planes.to_planes(image), MULTIPLE), torch.tensor([level]))
    return lic_coding.encode(coder, y[0], network.summarise(y)[0], level)[0]


class Codes:
    """Codes of an image, uint8 (H, W, C), by level, each made once."""

    def __init__(self, network: LicNetwork, coder: Coder, image: np.ndarray) -> None:
        self._made: dict[int, bytes] = {}
        self._what = network, coder, image

    def __getitem__(self, level: int) -> bytes:
        if level not in self._made:
            self._made[level] = compress(*self._what, level)
        return self._made[level]

    def finest(self, fits: Callable[[int], bool]) -> int:
        """The finest level whose code fits, told its bytes; the coarsest where none does."""
        return min(bisect_left(range(LEVELS), True, key=lambda level: fits(len(self[level]))), LEVELS - 1)


def positions(shape: tuple[int, ...]) -> tuple[int, int]:
    """Positions of y down and across an image (H, W, C)."""
    return tuple(-(-side // MULTIPLE) * (MULTIPLE // POSITION) for side in shape[:2])


@torch.inference_mode()
def reconstruct(network: LicNetwork, latents: Latents, level: int, shape: tuple[int, int, int]) -> np.ndarray:
    """What is known of y → uint8 (H, W, C)."""
    error = variance(latents.symbols, latents.log_scale, latents.known)
    y, error = (of[None].to(network.gains) for of in (latents.y / UNIT, error))
    return planes.to_image(network.synthesise(y, error, torch.tensor([level])).float(), shape)


class LicCodec(Codec):
    """The codec. Keyword arguments are the fields of `LicOptions`."""

    name = "lic"
    Options = LicOptions
    weights = tuple(WEIGHTS.values())

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one digital stream. Raises HscError for an image or a budget it cannot
        serve.
        """
        planes.check_shape(image.shape)
        network, coder = lic_network.load(WEIGHTS[self.options.training])
        mcs = budget.mcs(link, self.options.margin_db)
        codes = Codes(network, coder, image)

        def made(uses: int) -> Message:
            protection = self.options.protection(link, mcs, uses)
            return self._message(codes, tuple(image.shape), uses, protection)

        return budget.within(link, image.shape, made)

    def _message(
        self, codes: Codes, shape: tuple[int, int, int], uses: int, protection: Protection
    ) -> Message:
        """The finest level whose code fits into so many channel uses. Raises `budget.TooFew` when none
        does.
        """
        mcs = protection.mcs
        size, room = digital.payload_bytes_per_block(mcs), budget.bytes_in(uses, mcs)
        finest = codes.finest(lambda count: erasure.protected_bytes(count, protection, size) <= room)
        data = codes[finest]
        if (least := erasure.protected_bytes(len(data), protection, size)) > room:
            needed = digital.symbol_count(least, mcs)
            raise budget.TooFew(f"{uses} channel uses do not hold the coarsest image of lic", needed)
        if len(data) > MOST_BYTES:
            raise HscError(f"the code has {len(data)} bytes: lower the CBR, or send a smaller image")
        parameters = LicParameters(finest, self.options.losses, self.options.training, len(data))
        repaired = erasure.protect(data, protection, size)
        return Message(self.name, shape, parameters.pack(), None, (DigitalStream(repaired, mcs),))

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError for a message that no version of
        this codec sends, or one that was coded with other weights.
        """
        planes.check_shape(received.shape)
        told = LicParameters.unpack(received.parameters)
        if not received.digital:
            raise HscError("not a message of lic: transmitter and receiver differ, update both")
        network, coder = lic_network.load(WEIGHTS[told.training])
        data, there = _came(received.digital[0], told.code_bytes)
        whole = bool(there.all())
        trusted = len(data) if whole or told.losses == "zeros" else int(np.argmin(there))
        reader = Reader(data, trusted)
        latents = lic_coding.decode(coder, reader, positions(received.shape), told.level)
        if whole and not reader.empty:
            raise HscError("the image was coded with other weights: install the same version at both ends")
        image = reconstruct(network, latents, told.level, tuple(received.shape))
        return Decoded(image, () if whole else (_notice(told, there, latents),))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Level of the quantiser step, bytes of the code, what losses do, how the weights were trained."""
        told = LicParameters.unpack(parameters)
        return {
            "level": told.level,
            "code_bytes": told.code_bytes,
            "losses": told.losses,
            "training": told.training,
        }


def _came(stream: ReceivedDigital, code_bytes: int) -> tuple[bytes, np.ndarray]:
    """The code as far as it came, lost bytes as zeros, and which bytes are there, bool (code_bytes,)."""
    data, there = erasure.recover(stream, code_bytes, stream.block_bytes or erasure.LARGEST_SYMBOL)
    return (np.frombuffer(data, np.uint8) * there).tobytes(), there


def _notice(told: LicParameters, there: np.ndarray, latents: Latents) -> str:
    lost = int(np.count_nonzero(~there))
    if told.losses == "zeros":
        return f"{lost} of {len(there)} bytes are lost and read as zeros: the image is not what was sent"
    share = float(latents.known.float().mean())
    return f"{lost} of {len(there)} bytes are lost: {100 * (1 - share):.0f} % of the latents are predicted"
