"""The paper's low number of training images (section IV-B, figure 5): the binary residual at 0.54 bits per
pixel, trained on photographs, on street scenes before and after an update by some of these.
"""

from __future__ import annotations

import numpy as np

from ... import metrics
from ...errors import HscError
from ...evaluation.curves import Axis, Curves, Series, mean_and_confidence
from ...evaluation.figure import Given
from .latents import weights_of
from .parameters import RATES
from .residual_recipes import UPDATES
from .table1 import binary

ERASED = (0.0, 0.16)
_LEVEL = RATES.index("0.54")


def weights_by_images() -> dict[int, str]:
    """Names of the weights by the street scenes that they have seen."""
    return {0: weights_of(_LEVEL), **{count: f"{weights_of(_LEVEL)}-street-{count}" for count in UPDATES}}


def few(given: Given) -> Curves:
    """PSNR against the images of the update, for each share of the blocks erased, the receiver told."""
    quality: dict[int, np.ndarray] = {}
    for count, name in weights_by_images().items():
        given.progress(f"{count} images")
        try:
            rows = [_psnr_db(image, name, seed) for seed, image in enumerate(given.images.values())]
        except HscError as error:
            given.progress(f"left out: {count} images ({error})")
            continue
        quality[count] = np.array(rows).T
    if not quality:
        raise HscError(f"there are no weights '{weights_of(_LEVEL)}': train them first")
    x = Axis("images", "training images of the update", [float(count) for count in quality])
    series = []
    for i, share in enumerate(ERASED):
        mean, width = mean_and_confidence(np.stack([rows[i] for rows in quality.values()]))
        confidence = width if len(given.images) > 1 else None
        name = f"{share:.0%} of the blocks erased"
        series.append(Series(name, "measured", x, Axis("psnr", "dB", mean), confidence))
    findings: dict[str, object] = {"images": len(given.images)}
    for count, rows in quality.items():
        if count and 0 in quality:
            findings[f"gain by {count} images [dB]"] = float((rows[0] - quality[0][0]).mean())
    text = (
        "CamVid, binary residual of 0.54 bits per pixel (A), trained on photographs, then on street scenes."
    )
    return Curves("ds2c2-few", text, given.command, series, findings, None)


def _psnr_db(image: np.ndarray, name: str, seed: int) -> list[float]:
    sent = binary(image, name, _LEVEL, told=True)
    return [metrics.psnr_db(sent.receive(share, np.random.default_rng(seed)), image) for share in ERASED]
