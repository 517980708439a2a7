"""What a codec has to give. Packets, blocks, command line, sweeps, training and the ledger of channel uses
then serve it.

A codec is one transmission system without GNU Radio and without channel: both ends make the same class, each
with options of its own. It keeps nothing from one image to the next, so that threads may share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ..images.region import BLOCK
from ..message import Base, Link, Message, ReceivedMessage
from ..phy.adaptation import LinkSetting
from .options import NoOptions, options_of

# Bands of the variance of an image's error: ten of luma and six of the colour differences.
ERROR_BANDS = 16
# Side of the blocks that it is told for [pixels].
ERROR_BLOCK = BLOCK
# Largest variance in them: all the energy that 8 × 8 pixels of three colours can be wrong by.
MOST_ERROR = 3 * ERROR_BLOCK**2


@dataclass(frozen=True)
class Decoded:
    """What a receiver made of a message.

    Attributes:
        image: uint8 (H, W, C).
        notices: what was left out of it, and why, one line each.
        error: variance of the image's error in bands of the 8 × 8 DCT of every block (`refiner.bands`), of
            pixels in [0, 1]; float32 of `error_shape`, 0 to MOST_ERROR. None where the codec cannot tell.
        region: which of these blocks are in a region of interest that the transmitter told of; bool (blocks
            down, blocks across). None where there is none.
    """

    image: np.ndarray
    notices: tuple[str, ...] = ()
    error: np.ndarray | None = None
    region: np.ndarray | None = None


def error_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Shape of the error's variance for an image (H, W, C): bands, blocks down, blocks across."""
    return ERROR_BANDS, -(-shape[0] // ERROR_BLOCK), -(-shape[1] // ERROR_BLOCK)


class Codec(ABC):
    """One transmission system.

    Args:
        options: fields of `Options`. Raises HscError for one that there is not, or an impossible value.

    Attributes:
        name: as it is registered.
        Options: dataclass of its options, each field an `options.option`.
        base: the part of its messages that gives an image by itself, None when there is none: what is shown
            first of a message.
        weights: names of the weights that it loads; `*` stands for any characters.
        variants: options of a transmitter by label, where `compare` shall show more than the codec with its
            defaults.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    base: ClassVar[Base | None] = None
    weights: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    def __init__(self, **options: object) -> None:
        self.options: Any = options_of(self.Options, self.name, options)

    @abstractmethod
    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) image -> message within the link's CBR. Raises HscError for an image or a budget it
        cannot serve.
        """

    @abstractmethod
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message -> image, from whatever arrived. Raises HscError when nothing usable did."""

    @property
    def refines(self) -> bool:
        """Whether `refine` changes an image: the options may say so, and it takes time."""
        return False

    def refine(self, decoded: Decoded) -> Decoded:
        """What `decode` gave, after a last stage that needs nothing more of the message. Raises HscError when
        the stage cannot be had. Here the same.
        """
        return decoded

    def receive(self, received: ReceivedMessage) -> Decoded:
        """Received message -> final image: `decode`, then `refine`. Raises HscError as these do."""
        return self.refine(self.decode(received))

    def adapted(self, setting: LinkSetting) -> Codec:
        """This codec as a link adaptation wants it for the next image; itself where there is nothing to
        choose.

        SNR, MCS and CBR of the setting come with the `Link` that `encode` is given.
        """
        return self

    def with_options(self, **changes: object) -> Self:
        """The same codec with other values of some options. Raises HscError as the constructor does."""
        return type(self)(**{**vars(self.options), **changes})

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """What a message's parameters say, for metrics.json and pictures: plain values by name, the most
        telling first. Behind the channel they are filled up with zeros to eight bytes.

        Raises HscError for parameters that no version of this codec sends.
        """
        return {}
