"""Training and test data, read from a folder laid out as `docs/training.md` says.

The folder comes from a path argument or from the environment variable HSC_DATA. MNIST: four gzip'd idx files
in `mnist/` (LeCun, Cortes, Burges; the idx format is described on the data set's page). Photographs: JPEG
files in `photos/train/`.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import HscError

# Files of each split.
_MNIST_FILES = {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte.gz"}
# Images of each split.
_MNIST_COUNT = {"train": 60_000, "test": 10_000}


def data_folder(path: str | Path | None = None) -> Path:
    """The data folder: `path`, else $HSC_DATA. Raises HscError when neither names a folder."""
    chosen = path or os.environ.get("HSC_DATA")
    if not chosen:
        raise HscError("no data folder: give --data PATH or set HSC_DATA")
    folder = Path(chosen)
    if not folder.is_dir():
        raise HscError(f"data folder '{folder}' is not there: give --data PATH or set HSC_DATA")
    return folder


def mnist(split: str = "train", path: str | Path | None = None) -> np.ndarray:
    """MNIST digits, uint8 (60000 or 10000, 28, 28). `split` is "train" or "test". Raises HscError when
    missing or damaged.
    """
    file = data_folder(path) / "mnist" / _MNIST_FILES[split]
    count = _MNIST_COUNT[split]
    try:
        raw = gzip.decompress(file.read_bytes())
    except (OSError, EOFError) as error:
        raise HscError(f"cannot read '{file}': {error}; put the MNIST idx files there") from error
    if len(raw) != 16 + count * 784:
        raise HscError(f"'{file}' is not the MNIST image file ({len(raw)} bytes): fetch it again")
    return np.frombuffer(raw, np.uint8, offset=16).reshape(count, 28, 28)


@dataclass(frozen=True)
class Photos:
    """Decoded photographs in one flat memory-mapped array, for fast random crops.

    Attributes:
        pixels: uint8 (total bytes,), the images one after another.
        offsets: int64 (n,), where each begins.
        shapes: int64 (n, 2), (H, W) of each; 3 channels.
    """

    pixels: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray, shapes: np.ndarray) -> Photos:
        """Of images that lie one after another."""
        return cls(pixels, np.concatenate([[0], np.cumsum(shapes.prod(1) * 3)[:-1]]), shapes)

    def crops(self, rng: np.random.Generator, count: int, size: int) -> np.ndarray:
        """`count` random crops, uint8 (count, size, size, 3), flipped at random; images are drawn in
        proportion to their area.
        """
        area = self.shapes.prod(1)
        out = np.empty((count, size, size, 3), np.uint8)
        for slot, index in enumerate(rng.choice(len(area), count, p=area / area.sum())):
            out[slot] = self._crop(rng, index, size)
        return out

    def whole(self, rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
        """`count` whole images, each another where there are so many, uint8 (H, W, 3)."""
        for index in rng.permutation(len(self.shapes))[:count]:
            height, width = self.shapes[index]
            first = self.offsets[index]
            yield np.array(self.pixels[first : first + height * width * 3]).reshape(height, width, 3)

    def some(self, rng: np.random.Generator, count: int) -> Photos:
        """`count` of the images, at random; all where there are no more."""
        chosen = np.sort(rng.permutation(len(self.shapes))[:count])
        return Photos(self.pixels, self.offsets[chosen], self.shapes[chosen])

    def _crop(self, rng: np.random.Generator, index: int, size: int) -> np.ndarray:
        height, width = self.shapes[index]
        # Half of the crops are averaged 2 x 2 where the image allows: a second scale, and free of JPEG
        # artefacts.
        step = 2 if min(height, width) >= 2 * size and rng.random() < 0.5 else 1
        span = size * step
        top, left = rng.integers(height - span + 1), rng.integers(width - span + 1)
        first = self.offsets[index]
        image = self.pixels[first : first + height * width * 3].reshape(height, width, 3)
        crop = image[top : top + span, left : left + span]
        if step == 2:
            sums = crop.reshape(size, 2, size, 2, 3).sum((1, 3), dtype=np.uint16)
            crop = ((sums + 2) // 4).astype(np.uint8)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return crop.swapaxes(0, 1) if rng.random() < 0.5 else crop


def photos(path: str | Path | None = None, cache: str | Path | None = None) -> Photos:
    """The training photographs, decoded once into `cache` (a folder; default: memory only). Raises HscError
    when there are none.
    """
    folder = data_folder(path) / "photos" / "train"
    if cache is not None and (Path(cache) / "shapes.npy").is_file():
        shapes = np.load(Path(cache) / "shapes.npy")
        pixels = np.load(Path(cache) / "pixels.npy", mmap_mode="r")
    else:
        pixels, shapes = _decode(folder)
        if cache is not None:
            Path(cache).mkdir(parents=True, exist_ok=True)
            np.save(Path(cache) / "pixels.npy", pixels)
            np.save(Path(cache) / "shapes.npy", shapes)
    return Photos.of(pixels, shapes)


def _decode(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise HscError(f"no photographs in '{folder}': put JPEG files there")
    return _flat([np.asarray(Image.open(file).convert("RGB")) for file in files])


def _flat(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    shapes = np.array([image.shape[:2] for image in images])
    return np.concatenate([image.ravel() for image in images]), shapes


def street_photos(path: str | Path | None = None) -> Photos:
    """The training street scenes without their labels. Raises HscError as `street`."""
    return Photos.of(*_flat([image for image, _ in street("train", path)]))


def street(split: str = "train", path: str | Path | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """CamVid's street scenes in `street/camvid/`, uint8 (H, W, 3), each with its labels, uint8 (H, W): 0 to
    10, 11 for what has none. `split` is "train", "val" or "test". Raises HscError when there are none.
    """
    from PIL import Image

    folder = data_folder(path) / "street" / "camvid"
    files = sorted((folder / split).glob("*.webp"))
    if not files:
        raise HscError(f"no street scenes in '{folder / split}': put CamVid's images there as WebP")
    labels = [folder / f"{split}annot" / f"{file.stem}.png" for file in files]
    try:
        return [
            (np.asarray(Image.open(image).convert("RGB")), np.asarray(Image.open(label)))
            for image, label in zip(files, labels, strict=True)
        ]
    except OSError as error:
        raise HscError(f"cannot read the street scenes in '{folder}': {error}; fetch them again") from error


def kodak(path: str | Path | None = None) -> list[np.ndarray]:
    """The Kodak test photographs in `kodak/*.png`, uint8 (H, W, 3), in the order of their names. For
    evaluation only.
    """
    from PIL import Image

    files = sorted((data_folder(path) / "kodak").glob("*.png"))
    if not files:
        raise HscError(f"no Kodak photographs in '{data_folder(path) / 'kodak'}': put the PNG files there")
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]
