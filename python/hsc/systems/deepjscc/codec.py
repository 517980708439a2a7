"""DeepJSCC: a learned codec whose message is one analog stream (HDA-DeepSC's benchmark "analog DeepSC",
section V-A 3).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ... import weights
from ...codecs.contract import Codec, Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedAnalog, ReceivedMessage
from ...nn import planes
from ...nn.transform import BLOCK
from ...phy.analog import symbol_count
from . import denoise
from .network import HIGHEST_SNR_DB, VALUES, DeepJscc
from .options import DeepJsccOptions

_SNR_STEP_DB = 0.25
_LOWEST_SNR_DB = -10.0


@dataclass(frozen=True)
class AnalogParameters:
    """What the receiver is told in the packet header.

    Attributes:
        count: values a token, 1 to 64.
        snr_db: SNR that the transmitter counted on, in steps of 0.25 dB from −10 to 40; 40 also stands for
            "not known".
        levels: levels of a value, a power of two; 0 when it is not quantised.
    """

    count: int
    snr_db: float
    levels: int = 0

    def pack(self) -> bytes:
        """3 bytes."""
        return struct.pack(
            ">3B", self.count, round((self.snr_db - _LOWEST_SNR_DB) / _SNR_STEP_DB), self.levels.bit_length()
        )

    @staticmethod
    def unpack(raw: bytes) -> AnalogParameters:
        """Read `pack`'s bytes, more may follow. Raises HscError for values that cannot be."""
        if len(raw) < 3:
            raise HscError("the message's parameters are too short: it comes from another version")
        count, snr, bits = struct.unpack(">3B", raw[:3])
        snr_db = _LOWEST_SNR_DB + _SNR_STEP_DB * snr
        if not 1 <= count <= VALUES or snr_db > HIGHEST_SNR_DB or bits > 8:
            raise HscError("the message's parameters are out of range: it comes from another version")
        return AnalogParameters(count, snr_db, 1 << (bits - 1) if bits else 0)

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
        snr_db = (
            HIGHEST_SNR_DB if link.snr_db is None else min(max(link.snr_db, _LOWEST_SNR_DB), HIGHEST_SNR_DB)
        )
        return AnalogParameters(
            count, _LOWEST_SNR_DB + _SNR_STEP_DB * round((snr_db - _LOWEST_SNR_DB) / _SNR_STEP_DB), levels
        )

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's arguments `snr_db` and `count`, each (1,)."""
        return torch.tensor([self.snr_db]), torch.tensor([self.count])


def token_shape(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Rows and columns of 8 × 8 tokens of an image (H, W, C)."""
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)


def received_maps(
    analog: ReceivedAnalog | None, shape: tuple[int, int, int], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received stream → values and noise variances (1, 64, h, w), inf where lost or not sent. Raises HscError
    when nothing came.
    """
    height, width = token_shape(shape)
    n = count * height * width
    if analog is None or not n <= len(analog.values) <= n + 1 or not analog.received[:n].any():
        raise HscError("nothing of the image arrived: raise the SNR or send again")
    there = analog.received[:n] & np.isfinite(analog.values[:n]) & np.isfinite(analog.noise_variance[:n])
    values = torch.zeros(1, VALUES, height, width)
    variance = torch.full_like(values, torch.inf)
    size = (count, height, width)
    values[0, :count] = torch.from_numpy(
        np.where(there, analog.values[:n], 0).astype(np.float32).reshape(size)
    )
    variance[0, :count] = torch.from_numpy(
        np.where(there, analog.noise_variance[:n], np.inf).astype(np.float32).reshape(size)
    )
    return values, variance.clamp_min(0)


@lru_cache(maxsize=4)
def load_model(name: str = "deepjscc") -> DeepJscc:
    """The network with its shipped weights. Raises HscError when they are missing or damaged."""
    model = DeepJscc()
    model.load_state_dict(weights.load(name))
    return model.eval()


def denoise_maps(
    values: torch.Tensor,
    variance: torch.Tensor,
    parameters: AnalogParameters,
    kind: str,
    steps: int,
    informed: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`denoise.denoise` for values (1, 64, h, w) of this codec."""
    spectrum = load_model().value_spectrum(values.shape[-2:], *parameters.tensors())
    return denoise.denoise(values, variance, kind, steps, spectrum, informed)


def denoise_received(received: ReceivedMessage, kind: str, steps: int) -> ReceivedMessage:
    """A received message of this codec with its analog stream denoised, as the Denoiser block does it. Raises
    HscError.

    Values and noise variance are as `denoise.denoise` describes them; what was lost stays lost.
    """
    planes.check_shape(received.shape)
    parameters = AnalogParameters.unpack(received.parameters)
    values, variance = denoise_maps(
        *received_maps(received.analog, received.shape, parameters.count), parameters, kind, steps
    )
    there = torch.isfinite(variance)
    streams = (torch.where(there, values, 0), variance, there)
    padding = ((0, len(received.analog.values) - parameters.count * values[0, 0].numel()),)
    flat = [np.pad(stream[0, : parameters.count].flatten().numpy(), padding) for stream in streams]
    flat[1][~flat[2]] = np.inf
    return replace(received, analog=ReceivedAnalog(*flat))


class DeepJsccCodec(Codec):
    """DeepJSCC as one codec. Keyword arguments are the fields of `DeepJsccOptions`."""

    name = "deepjscc"
    Options = DeepJsccOptions
    weights = ("deepjscc", *(f"deepjscc-{kind}" for kind in denoise.KINDS))

    @torch.no_grad()
    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of at most 64 values for each 8 × 8 pixels. Raises HscError for an image
        or budget it cannot serve.
        """
        pixels = planes.to_planes(image)
        return budget.within(link, image.shape, lambda uses: self._message(image.shape, pixels, uses, link))

    def _message(self, shape: tuple[int, int, int], pixels: torch.Tensor, uses: int, link: Link) -> Message:
        parameters = AnalogParameters.choose(shape, uses, link)
        values = load_model().encode(pixels, *parameters.tensors())
        return Message(
            self.name, tuple(shape), parameters.pack(), values[0, : parameters.count].flatten().numpy()
        )

    @torch.no_grad()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError when nothing did."""
        planes.check_shape(received.shape)
        parameters = AnalogParameters.unpack(received.parameters)
        values, variance = received_maps(received.analog, received.shape, parameters.count)
        options = self.options
        if options.denoiser:
            values, variance = denoise_maps(
                values, variance, parameters, options.denoiser, options.denoiser_steps, options.informed
            )
        if not options.informed:
            variance = denoise.taken_for_exact(values, variance)
        return Decoded(
            planes.to_image(load_model().decode(values, variance, *parameters.tensors()), received.shape)
        )

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Values a token, and the SNR that the transmitter counted on [dB]."""
        return describe(parameters)


def describe(parameters: bytes) -> dict[str, object]:
    """What the parameters of both codecs say."""
    known = AnalogParameters.unpack(parameters)
    levels = {"levels": known.levels} if known.levels else {}
    return {"values_per_token": known.count, "snr_db": known.snr_db, **levels}
