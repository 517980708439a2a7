"""Random pictures whose spectrum is that of photographs, and a data folder of pictures."""

from pathlib import Path

import numpy as np
from PIL import Image


def smooth_photos(count: int, height: int, width: int, seed: int = 1) -> np.ndarray:
    """Random fields whose spectrum falls as photographs' do, uint8 (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 1 / max(height, width)
    noise = (
        np.fft.fft2(rng.standard_normal((count, height, width, 1)), axes=(1, 2)) / radius[..., None] ** 1.5
    )
    field = np.real(np.fft.ifft2(noise, axes=(1, 2)))
    grain = 0.1 * rng.standard_normal((count, height, width, 3))
    return np.clip(128 + 45 * (field / max(field.std(), 1e-9) + grain), 0, 255).astype(np.uint8)


def data_folder(folder: Path, photos: np.ndarray, kodak: np.ndarray) -> Path:
    """`folder` with training photographs, uint8 (N, H, W, 3), and one in the place of Kodak's, (H, W, 3)."""
    for name in ("photos/train", "kodak"):
        (folder / name).mkdir(parents=True)
    for index, photo in enumerate(photos):
        Image.fromarray(photo).save(folder / "photos" / "train" / f"{index}.jpg", quality=95)
    Image.fromarray(kodak).save(folder / "kodak" / "0.png")
    return folder


def street_scenes(folder: Path, classes: int) -> None:
    """CamVid's stand-in in a data folder: two scenes for training and for testing, with labels."""
    camvid = folder / "street" / "camvid"
    for split in ("train", "test"):
        for name in (split, f"{split}annot"):
            (camvid / name).mkdir(parents=True)
        for index, scene in enumerate(smooth_photos(2, 72, 96, seed=7)):
            Image.fromarray(scene).save(camvid / split / f"{index}.webp", lossless=True)
            labels = (scene[..., 0] // 24).clip(0, classes - 1).astype(np.uint8)
            Image.fromarray(labels).save(camvid / f"{split}annot" / f"{index}.png")
