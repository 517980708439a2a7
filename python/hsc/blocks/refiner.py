"""Diffusion Refiner: a last stage behind any decoder."""

from __future__ import annotations

import time
from dataclasses import replace

import pmt

from ..codecs.options import options_of
from ..refiner.codec import is_flat
from ..refiner.options import BEFORE, USUAL_STEPS, RefinerOptions
from . import pdu
from .base import MessageBlock, limit_torch_threads

# What a partial image is called that the refiner has not gone over.
_NAME = "Diffusion Refiner"
_IMAGES, _PARTIAL = pmt.intern("images"), pmt.intern("partial")


class diffusion_refiner(MessageBlock):
    """Images to images that the conditional diffusion refiner has gone over, behind any decoder.

    Message ports: in `images` (`Image`); out `images` (`Image`, in the same order) and `partial`, each image
    as it came. The refiner is told of an image's error where the PDU has it. An image that cannot be refined
    is a failure, and passes as it came. So does one of a single level, which decoders give for a message of
    which nothing can be seen.

    Args:
        steps: of the diffusion, 1 to 4.
        realism: how much of what the refiner adds is kept, 0 to 1; at 0 images pass as they came.
        seed: of its noise.
        skip: an image passes as it came where a younger one waits already, as on a live link that brings more
            of them than there is time for; counted as `skipped`.

    Raises:
        HscError: an impossible number of steps, realism or seed.
    """

    def __init__(
        self, steps: int = USUAL_STEPS, realism: float = 1.0, seed: int = 0, skip: bool = False
    ) -> None:
        super().__init__(_NAME)
        self.open_ports({"images": {pdu.Image: self._take}}, ("images",))
        # not among `outputs`: what fails or ends is told with the final images
        self.message_port_register_out(_PARTIAL)
        self._options, self._skip = RefinerOptions(), bool(skip)
        self._set(refiner_steps=int(steps), realism=realism, refiner_seed=int(seed))
        limit_torch_threads()

    def set_steps(self, steps: int) -> None:
        """Steps from the next image on. Raises HscError for an impossible number."""
        self._set(refiner_steps=int(steps))

    def set_realism(self, realism: float) -> None:
        """Realism from the next image on. Raises HscError for an impossible one."""
        self._set(realism=realism)

    def set_seed(self, seed: int) -> None:
        """Seed from the next image on. Raises HscError for an impossible one."""
        self._set(refiner_seed=int(seed))

    def set_skip(self, skip: bool) -> None:
        """Whether images pass where younger ones wait."""
        self._skip = bool(skip)

    def _set(self, **changes: object) -> None:
        self._options = options_of(RefinerOptions, _NAME, {**vars(self._options), **changes})

    def _take(self, image: pdu.Image) -> None:
        if self._options.realism == 0 or is_flat(image.pixels):
            self.publish("images", image)
        elif self._skip and self.nmsgs(_IMAGES):
            self.counters["skipped"] += 1
            self.publish("images", image)
        else:
            self.publish("partial", replace(image, part=BEFORE))
            with self.contain(None):
                image = _refined(image, self._options)
            self.publish("images", image)


def _refined(image: pdu.Image, options: RefinerOptions) -> pdu.Image:
    from ..refiner.refine import refine  # loads torch

    begun = time.perf_counter()
    pixels = refine(image.pixels, image.error_bands, options)
    seconds = (image.seconds or 0.0) + time.perf_counter() - begun
    return replace(image, data=pixels.ravel(), error=None, seconds=seconds)
