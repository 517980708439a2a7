"""What the text reads off the curves of the LRISC evaluation: distances against others, side information,
steps back, gains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...evaluation.plan import Samples
from ...evaluation.quality import FURTHER
from .cases import DEEPJSCC, DISTANCES, LRISC, PAPER_LPIPS_PERCENT

Read = Mapping[str, Samples]


def pairs(samples: Read, ours: str, other: str, x: float, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of two curves at a place, of those images and seeds that both have, (n,) each."""
    if ours not in samples or other not in samples:
        return np.empty(0), np.empty(0)
    both = [samples[label].at(x, column) for label in (ours, other)]
    if both[0].shape != both[1].shape:
        raise ValueError(f"'{ours}' and '{other}' are of different images")
    there = np.isfinite(both[0]) & np.isfinite(both[1])
    return both[0][there], both[1][there]


def against(
    samples: Read,
    ours: str,
    others: Sequence[str],
    places: Sequence[float],
    text: Callable[[float], str],
    end: str = "",
) -> dict[str, object]:
    """How curves, labels without `end`, compare at each place: distances in percent, PSNR as a difference."""
    found: dict[str, object] = {}

    def note(what: str, column: str, compared: Callable[[float, float], float]) -> None:
        for other in others:
            for x in places:
                mine, theirs = pairs(samples, ours + end, other + end, x, column)
                if mine.size:
                    key = f"{ours} against {other}{end} at {text(x)}: {what}"
                    found[key] = compared(float(mine.mean()), float(theirs.mean()))

    for column in DISTANCES:
        note(f"{FURTHER[column].label} [%]", column, lambda mine, theirs: 100 * (mine / theirs - 1))
    note("PSNR [dB]", "psnr_db", lambda mine, theirs: mine - theirs)
    return found


def over_places(
    samples: Read, ours: str, others: Sequence[str], places: Sequence[float], end: str
) -> dict[str, object]:
    """How means over all places compare: LPIPS (Alex) in percent, PSNR as a difference."""
    found: dict[str, object] = {}
    for other in others:
        for column in ("lpips_alex", "psnr_db"):
            both = [pairs(samples, ours + end, other + end, x, column) for x in places]
            mine, theirs = (np.concatenate(side) for side in zip(*both, strict=True))
            if not mine.size:
                continue
            key = f"{ours} against {other}{end}, mean over {places[0]:g} to {places[-1]:g} dB"
            if column == "psnr_db":
                found[f"{key}: PSNR [dB]"] = float(mine.mean() - theirs.mean())
            else:
                found[f"{key}: LPIPS (Alex) [%]"] = float(100 * (mine.mean() / theirs.mean() - 1))
    return found


def least_agreement(
    samples: Read, ours: str, other: str, ends: Sequence[str], text: Callable[[float], str]
) -> dict[str, object]:
    """Where ours compares worst with another in the share of images that keep their class: the difference,
    and the place.
    """
    compared = []
    for end in ends:
        for x in samples[ours + end].x if ours + end in samples else ():
            mine, theirs = pairs(samples, ours + end, other + end, x, "same_class")
            if mine.size:
                compared.append((float(mine.mean() - theirs.mean()), f"{text(x)}{end}"))
    return (
        {f"{ours} against {other}: images of the same class, at worst": list(min(compared))}
        if compared
        else {}
    )


def beside_the_paper(samples: Read, places: Sequence[float], end: str) -> dict[str, object]:
    """LPIPS (Alex) against DeepJSCC on average over the places, and the paper's figure."""
    ratios = []
    for x in places:
        mine, theirs = pairs(samples, LRISC.label + end, DEEPJSCC.label + end, x, "lpips_alex")
        if mine.size:
            ratios.append(100 * (mine.mean() / theirs.mean() - 1))
    if not ratios:
        return {}
    return {
        f"{LRISC.label} against {DEEPJSCC.label}{end}: LPIPS (Alex), on average [%]": float(np.mean(ratios)),
        "the paper: LPIPS against DeepJSCC, on average [%]": PAPER_LPIPS_PERCENT,
    }


def side_information(samples: Read, label: str, text: Callable[[float], str]) -> dict[str, object]:
    """Share of the channel uses that is digital at each place, of what was sent [%]."""
    if label not in samples:
        return {}
    curve = samples[label]
    shares = {x: curve.mean(x, "side_share") for x in curve.x}
    return {
        f"{label}: side information at {text(x)} [%]": 100 * share
        for x, share in shares.items()
        if np.isfinite(share)
    }


def steps_back(samples: Read) -> dict[str, object]:
    """By how much quality falls at most from one place to the next: mean of all images, with the half width
    of its 95 % confidence interval. A curve that never falls has what it gains least, with the other sign.
    """
    found: dict[str, object] = {}
    for label, curve in samples.items():
        for column, sign, unit in (("psnr_db", -1, "PSNR [dB]"), ("lpips_alex", 1, "LPIPS (Alex)")):
            worse = sign * np.diff(curve.columns[column], axis=0)
            means = [step[np.isfinite(step)] for step in worse]
            steps = [(float(step.mean()), _half_width(step)) for step in means if step.size]
            if steps:
                found[f"{label}: largest step back, {unit}"] = list(max(steps))
    return found


def _half_width(values: np.ndarray) -> float:
    """Of the 95 % confidence interval of the mean; normal, as there are many images."""
    return float(1.96 * values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else 0.0


def failures(samples: Read) -> dict[str, object]:
    """Curves with images that did not arrive: their share over all places [%]; and the largest shift of the
    mean colour of any image that did.
    """
    found: dict[str, object] = {}
    for label, curve in samples.items():
        failed, shift = curve.columns["failed"], curve.columns["colour_shift"]
        if np.nansum(failed):
            found[f"{label}: images that did not arrive [%]"] = 100 * float(np.nanmean(failed))
        there = shift[(failed == 0) & np.isfinite(shift)]
        if there.size:
            found[f"{label}: largest shift of the mean colour [%]"] = 100 * float(there.max())
    return found


def inside(samples: Read, ours: str, other: str, text: Callable[[float], str]) -> dict[str, object]:
    """What a region of interest gains inside, mean and least of one image, and costs outside [dB]."""
    found: dict[str, object] = {}
    for x in samples[ours].x if ours in samples else ():
        mine, theirs = pairs(samples, ours, other, x, "psnr_inside_db")
        whole = pairs(samples, ours, other, x, "psnr_db")
        if mine.size:
            gain = mine - theirs
            found[f"{ours}: gain inside at {text(x)}, mean and least [dB]"] = [
                float(gain.mean()),
                float(gain.min()),
            ]
            found[f"{ours}: PSNR of the whole image at {text(x)} [dB]"] = float((whole[0] - whole[1]).mean())
    return found


def seconds(samples: Read) -> dict[str, object]:
    """Time of decoder and refiner on one processor, mean of all images at each place [s]."""
    return {
        f"{label}: decoding with {x:g} steps [s]": curve.mean(x, "decode_seconds")
        for label, curve in samples.items()
        for x in curve.x
        if np.isfinite(curve.mean(x, "decode_seconds"))
    }
