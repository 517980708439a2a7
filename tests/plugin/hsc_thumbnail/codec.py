"""The thumbnail codec: pixels of a smaller image as bytes, in order."""

import numpy as np
import torch
from gnuradio.hsc.codecs.contract import Codec, Decoded
from gnuradio.hsc.coding import budget
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import DigitalStream, Link, Message, ReceivedMessage

from . import network
from .options import FACTORS, NAME, ThumbnailOptions

_GREY = 128  # in the place of pixels that did not arrive


def thumbnail(image: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (H, W, C) → uint8 (⌈H / factor⌉, ⌈W / factor⌉, C)."""
    planes = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))
    small = network.smaller(planes[None], factor)[0]
    return np.uint8(np.rint(small.numpy())).transpose(1, 2, 0)


class ThumbnailCodec(Codec):
    """Keyword arguments are the fields of `ThumbnailOptions`."""

    name = NAME
    Options = ThumbnailOptions
    weights = ("thumbnail",)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one digital stream. Raises HscError when the budget is too small."""
        mcs = budget.mcs(link)
        return budget.within(link, image.shape, lambda uses: self._message(image, mcs, uses))

    def _message(self, image: np.ndarray, mcs: str, uses: int) -> Message:
        """The largest thumbnail, from the wanted factor on, that so many channel uses hold."""
        for factor in FACTORS[FACTORS.index(self.options.factor) :]:
            stream = DigitalStream(thumbnail(image, factor).tobytes(), mcs)
            message = Message(NAME, image.shape, bytes([factor]), digital=(stream,))
            if (needed := budget.spent(message)) <= uses:
                return message
        raise budget.TooFew(f"a thumbnail takes {needed} channel uses and the budget is {uses}", needed)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when nothing of it arrived."""
        height, width, channels = received.shape
        factor = self.describe(received.parameters)["factor"]
        size = (-(-height // factor), -(-width // factor), channels)
        if not received.digital or len(received.digital[0].data) != np.prod(size):
            raise HscError(
                f"a thumbnail of an image of {height} x {width} has another length: it is no thumbnail"
            )
        (stream,) = received.digital
        if not stream.received.any():
            raise HscError("nothing of the thumbnail arrived: send it again, or with a more robust MCS")
        pixels = np.where(stream.received, np.frombuffer(stream.data, np.uint8), _GREY).reshape(size)
        small = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))[:, None] / 255
        with torch.inference_mode():
            planes = [
                network.trained()(plane[None], height, width, self.options.sharpness) for plane in small
            ]
        image = np.uint8(np.rint(255 * torch.cat(planes).clamp(0, 1).squeeze(1).numpy())).transpose(1, 2, 0)
        missing = 1 - stream.received.mean()
        return Decoded(
            image, (f"{missing:.0%} of the thumbnail did not arrive: it is grey",) if missing else ()
        )

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """The factor, the first byte; headers fill up to eight. Raises HscError for what no thumbnail has."""
        if not parameters or parameters[0] not in FACTORS:
            raise HscError("the parameters are no thumbnail's: update this receiver")
        return {"factor": parameters[0]}
