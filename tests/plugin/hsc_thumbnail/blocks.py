"""A GNU Radio block: gnuradio.hsc.thumbnail_preview."""

from dataclasses import replace

from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.codecs.options import options_of

from .codec import thumbnail
from .options import NAME, ThumbnailOptions


class thumbnail_preview(MessageBlock):  # noqa: N801
    """Images to their thumbnails.

    Message ports: in `images` (`Image`), out `images` (`Image`).

    Args:
        factor: how many times fewer rows and columns they have: 4, 8, 16 or 32.

    Raises:
        HscError: another factor.
    """

    def __init__(self, factor: int = 8) -> None:
        super().__init__("Thumbnail Preview")
        self.open_ports({"images": {pdu.Image: self._preview}}, ("images",))
        self.set_factor(factor)

    def set_factor(self, factor: int) -> None:
        """Factor from the next image on. Raises HscError for an impossible one."""
        self._factor = options_of(ThumbnailOptions, NAME, {"factor": factor}).factor

    def _preview(self, image: pdu.Image) -> None:
        small = thumbnail(image.pixels, self._factor)
        self.publish("images", replace(image, shape=small.shape, data=small.ravel()))
