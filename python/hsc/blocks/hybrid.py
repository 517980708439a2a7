"""HDA-DeepSC between its semantic encoder and decoder, as figure 2 of the paper draws it: HDA Allocation, HDA Fusion; and the Denoiser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..errors import HscError
from ..message import Link, ReceivedMessage
from ..nn.transform import WIDTH
from ..phy import cipher
from ..systems.deepjscc import codec as deepjscc
from ..systems.deepjscc import denoise
from ..systems.hda import codec, models
from ..systems.hda import link as hda_link
from ..systems.hda.regions import grid
from . import pdu
from .base import MessageBlock, PartsBlock, limit_torch_threads
from .messages import LinkBlock

NAME = codec.HdaDeepScCodec.name
DEFAULT_REPAIR_SHARE = codec.HdaOptions.repair_share
_TOKENS = 4  # tokens along the side of a latent position


def features_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (120, h, w) of the features of an image (H, W, C)."""
    return (WIDTH, *(_TOKENS * side for side in grid(*shape[:2])))


def features_map(values: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Features of a PDU → float (120, h, w). Raises HscError for another number of them, and for an image too large to be served."""
    codec.check_shape(shape)
    wanted = features_shape(shape)
    if values.size != np.prod(wanted):
        raise HscError(f"{values.size} features are not those of an image of shape {shape}: connect the features of {NAME}")
    return torch.from_numpy(values.reshape(wanted))


def key_bytes(key: str | bytes | None) -> bytes | None:
    """Key of a block, 32 bytes, from digits or a file's name; None and "" stand for none. Raises HscError."""
    return cipher.parse_key(key) if isinstance(key, str) and key else key or None


def require(name: str, wanted: str) -> None:
    """Raises HscError when a message of codec `name` came to a block that serves `wanted`."""
    if name != wanted:
        raise HscError(f"a message of codec '{name}' came to a block for '{wanted}': use the Message Decoder or the Image Receiver")


class hda_allocation(LinkBlock):
    """Features z to the essential and the auxiliary part: allocation, entropy coder, cipher, analog channel encoder, eqs. (2) to (4).

    Message ports: in `features` (`Features`) and `snr` (optional, `Snr`, from the receiver: it sets the MCS and the gains of the next
    image); out `analog` (`Analog`) and `digital` (`Digital`, with its MCS).

    Args:
        da_ratio: digital over analog channel uses, an upper limit; None to have it chosen.
        key: AES-256 key of the digital part: 64 hexadecimal digits, a file that holds them, or 32 bytes; empty for none.
        repair_share: RaptorQ repair symbols over all symbols of the digital part.
        snr_db: Es/N0 to count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W); None for 1/6.
        mcs_name: MCS of the digital part; empty: the best for the SNR, the most robust when that is unknown.

    Raises:
        HscError: an option, key or MCS that is not possible.
    """

    def __init__(
        self,
        da_ratio: float | None = 0.2,
        key: str | bytes | None = None,
        repair_share: float = DEFAULT_REPAIR_SHARE,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
    ) -> None:
        link = Link(snr_db, cbr, mcs_name or None)
        super().__init__("HDA Allocation", {"features": {pdu.Features: self._allocate}}, ("analog", "digital"), link)
        self._options = codec.HdaOptions(da_ratio, key_bytes(key), repair_share)
        limit_torch_threads()

    def set_da_ratio(self, da_ratio: float | None) -> None:
        """Digital over analog channel uses from the next image on. Raises HscError for an impossible ratio."""
        self._options = replace(self._options, da_ratio=da_ratio)

    def set_key(self, key: str | bytes | None) -> None:
        """Key from the next image on. Raises HscError for what is none."""
        self._options = replace(self._options, key=key_bytes(key))

    def _allocate(self, features: pdu.Features) -> None:
        require(features.codec, NAME)
        z = features_map(features.values, features.shape)
        made = codec.allocate(z, features.shape, self._link, self._options)
        head = {"message_id": features.message_id, "codec": NAME, "shape": features.shape, "parameters": made.parameters}
        (stream,) = made.digital
        self.counters["digital_bytes"] = len(stream.data)
        self.publish("analog", pdu.Analog(values=made.analog, **head))
        self.publish("digital", pdu.Digital(data=np.frombuffer(stream.data, np.uint8), mcs=stream.mcs, **head))


class hda_fusion(PartsBlock):
    """Received parts to features ẑ: channel decoder, cipher, entropy decoder and HDA fusion, eqs. (8), (10) and (11).

    Message ports: in `analog` (`Analog`) and `digital` (`Digital`); out `features` (`Features`). A part that failed or never came is left
    out. Chunks that came whole and do not open, because they were altered or the key is another, are an error of this block; the features
    go out without them.

    Args:
        key: as of `hda_allocation`.

    Attributes:
        counters: `lost_regions` and `closed_chunks` in addition.

    Raises:
        HscError: what is no key.
    """

    def __init__(self, key: str | bytes | None = None) -> None:
        super().__init__("HDA Fusion", {"analog": pdu.Analog, "digital": pdu.Digital}, ("features",))
        self.set_key(key)
        limit_torch_threads()

    def set_key(self, key: str | bytes | None) -> None:
        """Key from the next image on. Raises HscError for what is none."""
        self._key = key_bytes(key)

    def on_parts(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        first, analog, digital = next(iter(parts.values())), parts.get("analog"), parts.get("digital")
        require(first.codec, NAME)
        parameters = codec.HdaParameters.unpack(first.parameters)
        model = models.load(models.PROFILES[parameters.profile])
        received = ReceivedMessage(
            NAME, first.shape, first.parameters, analog.received if analog and analog.values.size else None,
            (digital.received,) if digital and digital.streams else (), first.snr_db,
        )  # fmt: skip
        codec.check_shape(first.shape)
        fused = codec.fuse(received, self._key, model, parameters)
        self.counters["lost_regions"] += fused.lost
        if fused.closed:
            self.counters["closed_chunks"] += fused.closed
            self.fail(None, f"message {message_id}: {hda_link.notices(fused.closed)[0]}")
        link = {"packets": digital.packets, "packets_received": digital.packets_received} if digital else {}
        self.publish(
            "features",
            pdu.Features(
                message_id, NAME, first.shape, fused.z.numpy().ravel(), first.parameters, fused.variance.numpy().ravel(),
                first.snr_db, **link,
            ),
        )  # fmt: skip


class denoiser(MessageBlock):
    """Received analog values of DeepJSCC to better ones, with the variance of the error that is left: HDA-DeepSC, section IV.

    Message ports: in `analog` (`Analog`), out `analog` (`Analog`).

    Args:
        kind: "dncnn", "diffsdnet", "ddpm", or "none", which passes everything on as it is.
        steps: of "diffsdnet" and "ddpm".

    Raises:
        HscError: unknown kind, or a number of steps that is not possible.
    """

    def __init__(self, kind: str = "diffsdnet", steps: int = 10) -> None:
        super().__init__("Denoiser")
        self.open_ports({"analog": {pdu.Analog: self._denoise}}, ("analog",))
        self._kind: str | None = None
        self._steps = steps
        self.set_kind(kind)
        limit_torch_threads()

    def set_kind(self, kind: str) -> None:
        """Kind from the next message on. Raises HscError for an unknown one."""
        wanted = None if kind == "none" else kind
        denoise.check(wanted, self._steps)
        self._kind = wanted

    def set_steps(self, steps: int) -> None:
        """Number of steps from the next message on. Raises HscError for an impossible one."""
        denoise.check(self._kind, int(steps))
        self._steps = int(steps)

    def _denoise(self, stream: pdu.Analog) -> None:
        if self._kind is not None:
            require(stream.codec, deepjscc.DeepJsccCodec.name)
            received = ReceivedMessage(stream.codec, stream.shape, stream.parameters, stream.received, (), stream.snr_db)
            better = deepjscc.denoise_received(received, self._kind, self._steps).analog
            stream = replace(stream, values=better.values, noise_variance=better.noise_variance)
        self.publish("analog", stream)
