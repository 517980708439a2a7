"""DeepJSCC as blocks: semantic coders, and the Denoiser between them."""

from __future__ import annotations

from dataclasses import replace

from ...blocks import pdu
from ...blocks.base import MessageBlock, limit_torch_threads, require_codec
from ...blocks.link_block import LinkBlock
from ...codecs.contract import Codec
from ...codecs.options import options_of
from ...errors import HscError
from ...message import Link, ReceivedMessage
from . import denoisers
from .codec import DeepJsccCodec
from .denoise import denoise_received
from .options import DeepJsccOptions
from .quantised import DeepJsccQCodec

DEEPJSCC = DeepJsccCodec.name
CODECS = {each.name: each for each in (DeepJsccCodec, DeepJsccQCodec)}


class deepjscc_semantic_encoder(LinkBlock):
    """Images to the analog values of DeepJSCC or DeepJSCC-Q, which are all of their message.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `analog`
    (`Analog`).

    Args:
        codec: "deepjscc" or "deepjscc_q".
        snr_db: Es/N0 that may be counted on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W); None for 1/6.

    Raises:
        HscError: another codec.
    """

    def __init__(self, codec: str = DEEPJSCC, snr_db: float | None = None, cbr: float | None = None) -> None:
        super().__init__(
            "Semantic Encoder", {"images": {pdu.Image: self._encode}}, ("analog",), Link(snr_db, cbr)
        )
        self._codec = _made(codec)
        limit_torch_threads()

    def _encode(self, image: pdu.Image) -> None:
        made = self._codec.encode(image.pixels, self._link)
        self.publish(
            "analog", pdu.Analog(image.message_id, made.codec, made.shape, made.analog, made.parameters)
        )


class deepjscc_semantic_decoder(MessageBlock):
    """Received analog values of DeepJSCC or DeepJSCC-Q to the image.

    Message ports: in `analog` (`Analog`); out `images` (`Image`).

    Args:
        codec: "deepjscc" or "deepjscc_q".

    Raises:
        HscError: another codec.
    """

    def __init__(self, codec: str = DEEPJSCC) -> None:
        super().__init__("Semantic Decoder")
        self._codec = _made(codec)
        self.open_ports({"analog": {pdu.Analog: self._decode}}, ("images",))
        limit_torch_threads()

    def _decode(self, stream: pdu.Analog) -> None:
        require_codec(stream.codec, self._codec.name)
        decoded = self._codec.decode(_received(stream))
        self.publish("images", pdu.Image.of(stream.message_id, decoded, snr_db=stream.snr_db))


def _received(stream: pdu.Analog) -> ReceivedMessage:
    """The whole message that one analog stream is."""
    return ReceivedMessage(stream.codec, stream.shape, stream.parameters, stream.received, (), stream.snr_db)


def _made(codec: str) -> Codec:
    if codec not in CODECS:
        raise HscError(f"codec '{codec}' is not one of DeepJSCC's: choose one of {', '.join(CODECS)}")
    return CODECS[codec]()


class denoiser(MessageBlock):
    """Received analog values of DeepJSCC to better ones, with the variance of the error that is left:
    HDA-DeepSC, section IV.

    Message ports: in `analog` (`Analog`), out `analog` (`Analog`), its values no longer mixed, as its
    parameters say.

    Args:
        kind: one of `denoisers.KINDS`, or "none", which passes everything on as it is.
        steps: of a denoiser that takes steps.

    Raises:
        HscError: unknown kind, or a number of steps that is not possible.
    """

    def __init__(self, kind: str = "diffsdnet", steps: int = 10) -> None:
        super().__init__("Denoiser")
        self.open_ports({"analog": {pdu.Analog: self._denoise}}, ("analog",))
        self._options = DeepJsccOptions()
        self.set_kind(kind)
        self.set_steps(steps)
        limit_torch_threads()

    def set_kind(self, kind: str) -> None:
        """Kind from the next message on. Raises HscError for an unknown one."""
        self._set(denoiser=None if kind == "none" else kind)

    def set_steps(self, steps: int) -> None:
        """Number of steps from the next message on. Raises HscError for an impossible one."""
        self._set(denoiser_steps=int(steps))

    def _set(self, **changes: object) -> None:
        self._options = options_of(DeepJsccOptions, DEEPJSCC, {**vars(self._options), **changes})

    def _denoise(self, stream: pdu.Analog) -> None:
        options = self._options
        if options.denoiser is not None:
            require_codec(stream.codec, DEEPJSCC)
            denoiser = denoisers.load(options.denoiser)
            better = denoise_received(_received(stream), denoiser, options.denoiser_steps)
            values, variance = better.analog.values, better.analog.noise_variance
            stream = replace(stream, values=values, noise_variance=variance, parameters=better.parameters)
        self.publish("analog", stream)
