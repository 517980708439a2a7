"""What is trained of it: the network that sharpens."""

from dataclasses import dataclass

import numpy as np
import torch
from gnuradio.hsc import metrics
from gnuradio.hsc.images import datasets
from gnuradio.hsc.training import export, loop
from gnuradio.hsc.training.recipe import Recipe
from torch.nn.functional import mse_loss

from .network import Sharpener, smaller


@dataclass(frozen=True, kw_only=True)
class Sharpening(Recipe):
    """The network.

    Attributes:
        factors: how many times fewer rows and columns the thumbnails of a batch have, one of these.
    """

    factors: tuple[int, ...]

    def build(self) -> Sharpener:
        """The untrained network."""
        return Sharpener()

    def train(self, run: loop.Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; untrained where there is no start."""
        model = self.build()
        if start is not None:
            model.load_state_dict(start)
        model, steps = loop.fit_images(model, _loss, run)
        return export.ship(run, model, steps, lambda: self._measure(model, run))

    @torch.inference_mode()
    def _measure(self, model: Sharpener, run: loop.Run) -> dict[str, float]:
        psnr = []
        for photo in datasets.kodak(run.path):
            image = loop.planes(photo[None])
            for factor in self.factors:
                found = model(smaller(image, factor), *image.shape[2:]).clamp(0, 1)
                psnr.append(
                    metrics.psnr_db(np.uint8(np.rint(255 * found[0].permute(1, 2, 0).numpy())), photo)
                )
        return {"PSNR of Kodak's photographs [dB]": float(np.mean(psnr))}


def _loss(
    model: torch.nn.Module, images: torch.Tensor, recipe: Sharpening
) -> tuple[torch.Tensor, torch.Tensor]:
    factor = recipe.factors[torch.randint(len(recipe.factors), ())]
    error = mse_loss(model(smaller(images, factor), *images.shape[2:]), images)
    return error, error


RECIPES = (
    Sharpening(
        name="thumbnail", data="photos", steps=1000, batch=8, learning_rate=3e-3, crop=96, factors=(4, 8, 16)
    ),
)
