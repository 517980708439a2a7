"""What the text reads off the curves of the DS²C² evaluation: steps of a curve, and where curves cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.curves import crossing
from ...evaluation.plan import Samples

# Losses that the largest step of a curve is told for.
_STEP = 0.05


def mean_psnr(curve: Samples) -> np.ndarray:
    """PSNR [dB] at every place, mean over images and seeds, (places,)."""
    return np.nanmean(curve.psnr_db, (1, 2))


def steepest(samples: Mapping[str, Samples], labels: Sequence[str]) -> dict[str, object]:
    """Largest fall of a curve, for each 5 % of the packets [dB], and images that did not arrive [%]."""
    found: dict[str, object] = {}
    for label in labels:
        if label not in samples:
            continue
        curve = samples[label]
        falls = -np.diff(mean_psnr(curve)) / np.diff(curve.x) * _STEP
        found[f"{label}: largest fall for 5 % of the packets [dB]"] = float(falls.max())
        found[f"{label}: images that did not arrive [%]"] = 100 * float(np.nanmean(curve.columns["failed"]))
    return found


def crossings(
    samples: Mapping[str, Samples], ours: str, others: Sequence[str], end: str = ""
) -> dict[str, object]:
    """From which share of lost packets on we are above each other system; None for never."""
    found: dict[str, object] = {}
    for other in others:
        if ours + end not in samples or other + end not in samples:
            continue
        mine, theirs = samples[ours + end], samples[other + end]
        found[f"{ours}{end}: above {other} from a loss of"] = crossing(
            theirs.x.tolist(), mean_psnr(theirs).tolist(), mine.x.tolist(), mean_psnr(mine).tolist()
        )
    return found


def losses_at(samples: Mapping[str, Samples], labels: Sequence[str], share: float) -> dict[str, object]:
    """What a share of lost packets costs [% of the PSNR], as the paper counts."""
    found: dict[str, object] = {}
    for label in labels:
        if label in samples:
            whole, damaged = samples[label].mean(0.0), samples[label].mean(share)
            found[f"{label}: loss at {share:.0%} of the packets [%]"] = 100 * (1 - damaged / whole)
    return found
