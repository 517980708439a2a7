"""A plain base layer for tests of DS²C²'s detail: the lowest coefficients of the 16 × 16 DCT, rounded."""

import numpy as np
import torch
from gnuradio.hsc.systems.ds2c2 import dispersed

# Places of the coefficients of luma and of both colour differences in z.
_PLACES = [*range(16), *range(256, 260), *range(320, 324)]


class DctPrior:
    """As `detail_training.Prior`."""

    means = (0, 16, 20)
    finenesses = 2
    steps = (0.5, 0.25)
    features = 2 * 24 + 2 * 3 + 1

    def code(self, images: torch.Tensor, fineness: int) -> np.ndarray:
        z = dispersed.analyse(images - 0.5)[:, _PLACES].numpy()
        return np.rint(z / self.steps[fineness]).astype(np.int64)

    def synthesise(self, c: np.ndarray, fineness: int) -> torch.Tensor:
        z = torch.zeros(len(c), dispersed.CHANNELS, *c.shape[2:])
        z[:, _PLACES] = torch.from_numpy(c).float() * self.steps[fineness]
        return dispersed.synthesise(z) + 0.5


def textures(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Random fields whose spectrum falls as photographs' do and whose strength changes from place to place,
    uint8 (count, size, size, 3).
    """
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 1 / size

    def field(fall: float, planes: int) -> np.ndarray:
        noise = np.fft.fft2(rng.standard_normal((count, size, size, planes)), axes=(1, 2))
        found = np.real(np.fft.ifft2(noise / radius[..., None] ** fall, axes=(1, 2)))
        return found / found.std()

    strength = np.exp(field(2.0, 1))
    return np.clip(128 + 40 * field(1.5, 1) + 6 * strength * field(0.8, 3), 0, 255).astype(np.uint8)
