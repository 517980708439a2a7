"""Semantic consistency: whether a classifier sees in the received image what it sees in the original.

SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360) of the data folder, as OpenVINO files: the .xml says at
which offset of the .bin each constant lies. Both are read as data; nothing is executed.
"""

from __future__ import annotations

import functools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, relu

from ..errors import HscError
from ..images import datasets
from ..images.files import picture

NAME = "squeezenet1.1"
CLASSES = 1000
# Side of the crop that the network sees, and of the image that it is cut from [pixels].
CROP, SHORTER_SIDE = 227, 256
# Mean of the training images, blue, green, red, of pixels 0 … 255: the graph's first node.
MEAN = (104.0, 117.0, 123.0)
# Channels of each fire module: into it, squeezed, each half expanded.
_FIRE = {
    2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128),
    6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256),
}  # fmt: skip
# Those that a pooling comes before.
_AFTER_POOLING = (2, 4, 6)


class Fire(nn.Module):
    """1 × 1 convolution to few channels, then 1 × 1 and 3 × 3 side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) → (B, 2 expanded, h, w)."""
        few = relu(self.squeeze1x1(x))
        return torch.cat([relu(self.expand1x1(few)), relu(self.expand3x3(few))], 1)


class SqueezeNet(nn.Module):
    """The classifier; its modules have the names of the file's layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        for number, channels in _FIRE.items():
            self.add_module(f"fire{number}", Fire(*channels))
        self.conv10 = nn.Conv2d(512, CLASSES, 1)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Blue, green and red 0 … 255, float (B, 3, 227, 227) → scores of the classes (B, 1000), and the
        features that they are made of, means over the places (B, 512).
        """
        x = relu(self.conv1(images - self.mean))
        for number in _FIRE:
            x = self.get_submodule(f"fire{number}")(self.pool(x) if number in _AFTER_POOLING else x)
        return relu(self.conv10(x)).mean((2, 3)), x.mean((2, 3))


def crop(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, C) → what the network takes, float (3, 227, 227): the middle of the image whose shorter
    side is 256 pixels; grey as three equal planes.
    """
    height, width = image.shape[:2]
    scale = SHORTER_SIDE / min(height, width)
    size = max(SHORTER_SIDE, round(width * scale)), max(SHORTER_SIDE, round(height * scale))
    small = np.asarray(picture(image).convert("RGB").resize(size), np.float32)
    top, left = ((side - CROP) // 2 for side in small.shape[:2])
    middle = small[top : top + CROP, left : left + CROP, ::-1]
    return torch.from_numpy(np.ascontiguousarray(middle.transpose(2, 0, 1)))


def read(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of `SqueezeNet` from an OpenVINO IR, float32. Raises HscError when it is not there or is not
    that network's.
    """
    try:
        graph = ElementTree.parse(folder / f"{NAME}.xml").getroot()
        data = (folder / f"{NAME}.bin").read_bytes()
    except OSError as error:
        raise HscError(
            f"cannot read the classifier in '{folder}' ({error.strerror}): put {NAME}.xml and .bin there"
        ) from None
    except ElementTree.ParseError as error:
        raise HscError(f"'{folder / NAME}.xml' is damaged ({error}): fetch it again") from None
    try:
        return _weights(graph, data)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise HscError(
            f"'{folder / NAME}.xml' and .bin are not {NAME} in float16 ({error}): fetch them again"
        ) from None


def _weights(graph: ElementTree.Element, data: bytes) -> dict[str, torch.Tensor]:
    """Kernel and bias of each convolution: a layer "NAME/WithoutBiases" has the kernel, the addition "NAME"
    after it the bias.
    """
    layers = {layer.attrib["name"]: layer.attrib["id"] for layer in graph.iter("layer")}
    constants = {
        layer.attrib["id"]: layer for layer in graph.iter("layer") if layer.attrib["type"] == "Const"
    }
    source = {
        (edge.attrib["to-layer"], edge.attrib["to-port"]): edge.attrib["from-layer"]
        for edge in graph.iter("edge")
    }

    def constant(layer: str, like: torch.Tensor) -> torch.Tensor:
        at = constants[source[layers[layer], "1"]].find("data").attrib
        if at["element_type"] != "f16" or int(at["size"]) != 2 * like.numel():
            raise ValueError(f"{layer} has {at['size']} bytes of {at['element_type']}")
        values = np.frombuffer(data, "<f2", like.numel(), int(at["offset"]))
        return torch.from_numpy(values.astype(np.float32)).view(like.shape)

    found = {}
    for name, like in SqueezeNet().state_dict().items():
        module, _, kind = name.rpartition(".")
        layer = module.replace(".", "/")
        found[name] = constant(f"{layer}/WithoutBiases" if kind == "weight" else layer, like)
    return found


@functools.cache
def classifier() -> SqueezeNet:
    """With the weights of the data folder that HSC_DATA names. Raises HscError when they are missing."""
    try:
        folder = datasets.data_folder()
    except HscError:
        raise HscError("the classifier is read from the data folder: set HSC_DATA to it") from None
    model = SqueezeNet()
    model.load_state_dict(read(folder / "weights" / NAME))
    return model.eval()


def _seen(received: np.ndarray, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and features of both, (2, classes) and (2, features)."""
    each = [_classified(classifier(), x.shape, x.tobytes()) for x in (received, image)]
    return tuple(torch.cat(of_both) for of_both in zip(*each, strict=True))


@functools.lru_cache(maxsize=2)  # the original, compared with many, and what came, judged twice
@torch.inference_mode()
def _classified(
    network: SqueezeNet, shape: tuple[int, ...], pixels: bytes
) -> tuple[torch.Tensor, torch.Tensor]:
    return network(crop(np.frombuffer(pixels, np.uint8).reshape(shape))[None])


def same_class(received: np.ndarray, image: np.ndarray) -> float:
    """1.0 where the likeliest class of the received image is the original's, else 0.0; uint8 (H, W, C) each.
    Raises HscError when the weights are missing.
    """
    received_class, original_class = _seen(received, image)[0].argmax(1)
    return float(received_class == original_class)


def feature_cosine(received: np.ndarray, image: np.ndarray) -> float:
    """Cosine of the angle between the features of both; uint8 (H, W, C) each. Raises HscError when the
    weights are missing.
    """
    return float(cosine_similarity(*_seen(received, image)[1], dim=0))
