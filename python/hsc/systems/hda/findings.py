"""What the text reads off the curves of the HDA-DeepSC evaluation: distances, ranks, steps, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.plan import Samples
from .cases import BOUND, SEPARATE, STEPS


def lead(
    samples: Mapping[str, Samples],
    ours: str,
    others: Sequence[str],
    places: Sequence[float],
    text: str = "{:g} dB",
) -> dict[str, object]:
    """How far one curve lies above others, for each place."""
    if ours not in samples:
        return {}
    return {
        f"{ours} over {other} at {text.format(x)} [dB]": samples[ours].mean(x) - samples[other].mean(x)
        for other in others
        if other in samples
        for x in places
        if np.isfinite(samples[ours].mean(x) - samples[other].mean(x))
    }


def ranking(
    samples: Mapping[str, Samples], ours: str, places: Sequence[float], text: str = "{:g} dB"
) -> dict[str, object]:
    """The best system at each place, and how far ours lies above SoftCast and the separate design."""
    systems = {label: s for label, s in samples.items() if label != BOUND.label}
    found: dict[str, object] = {}
    for x in places:
        means = {label: s.mean(x) for label, s in systems.items() if np.isfinite(s.mean(x))}
        if means:
            found[f"first at {text.format(x)}"] = max(means, key=lambda label: means[label])
    return found | lead(samples, ours, ("softcast", SEPARATE.label), places, text)


def best_ratio(samples: Mapping[str, Samples]) -> dict[str, object]:
    means = {label: [s.mean(x) for x in s.x] for label, s in samples.items()}
    return {
        f"best DA ratio at {label}": float(samples[label].x[np.nanargmax(m)])
        for label, m in means.items()
        if np.isfinite(m).any()
    }


def steps_findings(samples: Mapping[str, Samples]) -> dict[str, object]:
    found: dict[str, object] = {}
    for label in (label for label in samples if label.startswith("DiffSDNet")):
        end = label.removeprefix("DiffSDNet")
        found |= lead(
            samples, label, [f"{other}{end}" for other in ("DDPM", "DnCNN", "no denoiser")], STEPS, "{} steps"
        )
        fall = largest(-np.diff([samples[label].mean(x) for x in samples[label].x]))
        found[f"{label}: least gain from more steps [dB]"] = None if fall is None else -fall
    return found


def steepest(samples: Mapping[str, Samples]) -> dict[str, object]:
    """Largest loss of PSNR from one place to the next lower one, of the mean and of any one image."""
    found: dict[str, object] = {}
    for label, s in samples.items():
        drops = np.diff(s.psnr_db, axis=0)
        found[f"{label}: largest step of the mean [dB]"] = largest(drops.mean((1, 2)))
        found[f"{label}: largest step of one image [dB]"] = largest(drops)
    return found


def losses(samples: Mapping[str, Samples], labels: Sequence[str]) -> dict[str, object]:
    """What OFDM costs against the symbol level, and what losses cost against no loss: mean, and worst of all
    images and seeds.
    """
    found: dict[str, object] = {}
    for label in labels:
        if (symbols := samples.get(f"{label}, symbol level")) is None or (
            through := samples.get(f"{label}, OFDM")
        ) is None:
            continue
        cost = symbols.psnr_db[0] - through.psnr_db[0]
        found[f"{label}: OFDM costs, mean and worst [dB]"] = [_mean(cost), largest(cost)]
        for x, lossy in zip(through.x[1:], through.psnr_db[1:], strict=True):
            cost = through.psnr_db[0] - lossy
            found[f"{label}: {100 * x:g} % of packets lost cost, mean and worst [dB]"] = [
                _mean(cost),
                largest(cost),
            ]
    return found


def largest(values: np.ndarray) -> float | None:
    """Of the finite ones; None when there is none."""
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.max()) if finite.size else None


def _mean(values: np.ndarray) -> float | None:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
