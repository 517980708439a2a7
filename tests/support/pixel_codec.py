"""A codec without weights for tests of blocks: every pixel as an analog value, and every fourth row and
column as bytes.
"""

from dataclasses import dataclass

import numpy as np
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Codec, Decoded
from gnuradio.hsc.codecs.options import option
from gnuradio.hsc.codecs.system import CodecEntry, System
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import DigitalStream, Link, Message

NAME = "pixels"


@dataclass(frozen=True)
class PixelOptions:
    digital: bool = option(True, "every fourth row and column goes digitally too")


class PixelCodec(Codec):
    name = NAME
    Options = PixelOptions

    def encode(self, image, link=Link()):  # noqa: B008 - frozen
        if image.shape[0] == 13:
            raise HscError("13 rows are unlucky: send another image")
        if image.shape[0] == 14:
            raise RuntimeError("a mistake in the codec")
        streams = (
            (DigitalStream(image[::4, ::4].tobytes(), link.mcs or "QPSK-1/2"),)
            if self.options.digital
            else ()
        )
        return Message(NAME, image.shape, b"pixels", image.ravel().astype(np.float32) / 255 - 0.5, streams)

    def decode(self, received):
        h, w, c = received.shape
        values = received.analog.values[: h * w * c]
        image = np.clip(np.rint((values + 0.5) * 255), 0, 255).astype(np.uint8).reshape(h, w, c)
        if received.digital and received.digital[0].complete:
            image[::4, ::4] = np.frombuffer(received.digital[0].data, np.uint8).reshape(image[::4, ::4].shape)
        return Decoded(image)


def register(monkeypatch, codec=PixelCodec, number=200):
    """Add a codec to the registry for one test."""
    monkeypatch.setattr(registry._known(), "systems", dict(registry._known().systems))
    registry.register(
        System(
            f"test-{codec.name}",
            "Test",
            (CodecEntry(codec.name, number, f"{codec.__module__}:{codec.__name__}"),),
        )
    )


def picture(height=48, width=64, channels=3, seed=0):
    """A smooth uint8 image (H, W, C)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(x / rng.uniform(4, 15) + y / rng.uniform(4, 15) + rng.uniform(0, 6)) for _ in range(channels)
    ]
    return np.uint8(np.rint(127.5 + 110 * np.stack(waves, axis=-1)))
