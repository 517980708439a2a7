"""The figures of LRISC: against rate, SNR, fading and losses; region of interest; steps and realism;
pictures.

Each plan takes image identities and gives what to measure. A codec that is not registered, and a quality
whose weights are not there, is left out, and it is said why. The paper's own curves are not known.

Two cores measure each figure in about an hour, hence: `lrisc-rate` shows every photograph at one of five
SNRs, in turns, the same for every system; LPIPS (VGG) and DISTS, 10 seconds each, are measured on few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...evaluation import detail_grid, quality
from ...evaluation.curves import Curves
from ...evaluation.drawing import of_codecs, qualities
from ...evaluation.figure import Figure, Images, Source
from ...evaluation.plan import (
    At,
    Case,
    Plan,
    PlannedCurve,
    Samples,
    Say,
    available,
    averaged,
    curve,
    fading,
    spread,
)
from ...evaluation.transmission import even_fades
from . import findings
from .cases import (
    ALSO,
    CBR_AXIS,
    CBRS,
    DEEPJSCC,
    DEEPJSCC_REFINED,
    DEEPLY_JUDGED,
    DESIGN_SNR_DB,
    HDA,
    JUDGED,
    LITERAL,
    LOSS_AXIS,
    LOSSES,
    LRISC,
    MAIN_CBRS,
    REALISM,
    REFINED,
    REGION,
    RIVALS,
    ROBUST,
    ROI,
    SEPARATE_CAREFUL,
    SNR_AXIS,
    SNRS_DB,
    STEPS,
    SYSTEMS,
    UNREFINED,
    WIDE_SNRS_DB,
    text_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

# Photographs that are judged by VGG16 too, and what their curves' labels end with.
_DEEPLY_JUDGED_IMAGES = 4
_DEEPLY = f", {DESIGN_SNR_DB:g} dB, some photographs"
_MEAN = ", mean of the SNRs"
# Those that LRISC is compared with place by place.
_OTHERS = tuple(case.label for case in RIVALS if case is not LRISC)
_CHANNELS = ("rayleigh", "rician")
_LOST = ", packets lost"
_PICTURE_CBR = 1 / 24
_PICTURE_SNRS_DB = (0, 10)


def _renamed(planned: PlannedCurve, end: str, **fields: object) -> PlannedCurve:
    return replace(planned, label=planned.label + end, **fields)


def rate(
    images: Sequence[str],
    say: Say,
    snrs_db: Sequence[float] = SNRS_DB,
    cbrs: Sequence[float] = CBRS,
    deeply_judged: int = _DEEPLY_JUDGED_IMAGES,
) -> Plan:
    """Every system against CBR, AWGN: mean over the SNRs, each SNR, and some images judged by VGG too."""
    judged, cases = quality.measurable(JUDGED, say), available(SYSTEMS, say)
    curves = [planned for case in cases for planned in _over_snrs(case, images, snrs_db, cbrs, judged)]
    if deeply_judged:
        deeply = (*judged, *quality.measurable(DEEPLY_JUDGED[len(JUDGED) :], say))
        places = [At(cbr, fading("awgn", DESIGN_SNR_DB, judged=deeply), cbr) for cbr in cbrs]
        few = spread(images, deeply_judged)
        rivals = [case for case in cases if case.label in (LRISC.label, *_OTHERS)]
        curves += [_renamed(curve(case, few, places), _DEEPLY) for case in rivals]

    def found(samples: Mapping[str, Samples]) -> dict[str, object]:
        return (
            findings.beside_the_paper(samples, cbrs, _MEAN)
            | findings.against(samples, LRISC.label, (*_OTHERS, LITERAL.label), cbrs, text_of, _MEAN)
            | findings.against(samples, LRISC.label, _OTHERS, cbrs, text_of, _DEEPLY)
            | findings.side_information(samples, LRISC.label + _MEAN, text_of)
            | findings.least_agreement(samples, LRISC.label, DEEPJSCC.label, (_MEAN,), text_of)
        )

    text = (
        "Kodak, AWGN: quality against the budget of channel uses, side information counted; `cbr` is what "
        f"was spent of it. SNRs of {', '.join(f'{snr:g}' for snr in snrs_db)} dB: each photograph at one of "
        "them, in turns, the same for every system."
    )
    return Plan("lrisc-rate", text, CBR_AXIS, tuple(curves), found, ALSO)


def _over_snrs(
    case: Case,
    images: Sequence[str],
    snrs_db: Sequence[float],
    cbrs: Sequence[float],
    judged: tuple[str, ...],
) -> list[PlannedCurve]:
    """The mean over the SNRs and a curve for each. Photographs take turns where there are enough of them."""
    turns = len(snrs_db) if len(images) >= len(snrs_db) else 1
    each = []
    for i, snr in enumerate(snrs_db):
        places = [At(cbr, fading("awgn", snr, judged=judged), cbr) for cbr in cbrs]
        planned = curve(case, images, places, only=images[i % turns :: turns])
        each.append(_renamed(planned, f", {snr:g} dB"))
    return [averaged(case.label + _MEAN, each), *each]


def snr(
    images: Sequence[str],
    say: Say,
    snrs_db: Sequence[float] = WIDE_SNRS_DB,
    cbrs: Sequence[float] = MAIN_CBRS,
) -> Plan:
    """The systems that matter most against SNR, AWGN, every photograph at every SNR."""
    judged = quality.measurable(JUDGED, say)
    cases, curves = available((*RIVALS, DEEPJSCC_REFINED), say), []
    compared = [value for value in snrs_db if value in SNRS_DB]
    ends = [f", {text_of(cbr)}" for cbr in cbrs]
    for cbr, end in zip(cbrs, ends, strict=True):
        for case in cases:
            at_each = [At(value, fading("awgn", value, judged=judged), cbr) for value in snrs_db]
            curves.append(_renamed(curve(case, images, at_each), end))
    others = [case.label for case in cases if case.label != LRISC.label]

    def found(samples: Mapping[str, Samples]) -> dict[str, object]:
        result: dict[str, object] = {}
        for end in ends:
            result |= findings.over_places(samples, LRISC.label, others, compared, end)
            result |= findings.against(samples, LRISC.label, _OTHERS, snrs_db, "{:g} dB".format, end)
        agreement = findings.least_agreement(samples, LRISC.label, DEEPJSCC.label, ends, "{:g} dB".format)
        return result | agreement | findings.steps_back(samples)

    text = "Kodak, AWGN: quality against SNR, which the transmitter knows; one set of weights for all of it."
    return Plan("lrisc-snr", text, SNR_AXIS, tuple(curves), found, ALSO)


def over_fading(
    images: Sequence[str], say: Say, snrs_db: Sequence[float] = SNRS_DB, losses: Sequence[float] = LOSSES
) -> Plan:
    """Rayleigh and Rician fading against mean SNR, and packets lost, at one CBR."""
    cbr, judged = MAIN_CBRS[-1], quality.measurable(JUDGED, say)
    cases, careful = available((*RIVALS, HDA), say), available((ROBUST, SEPARATE_CAREFUL), say)
    curves = []
    for kind in _CHANNELS:
        at_each = [At(value, fading(kind, value, judged=judged), cbr) for value in snrs_db]
        fades = even_fades(images, kind)
        curves += [_renamed(curve(case, images, at_each, fades), f", {kind}") for case in (*cases, *careful)]
    lossy = [At(loss, fading("awgn", DESIGN_SNR_DB, loss=loss, judged=judged), cbr) for loss in losses]
    curves += [_renamed(curve(case, images, lossy), _LOST, axis=LOSS_AXIS) for case in cases]

    def found(samples: Mapping[str, Samples]) -> dict[str, object]:
        result = findings.failures(samples)
        for kind in _CHANNELS:
            for ours in (LRISC, ROBUST):
                others = (*_OTHERS, SEPARATE_CAREFUL.label)
                result |= findings.against(
                    samples, ours.label, others, snrs_db, "{:g} dB".format, f", {kind}"
                )
        return result | findings.against(samples, LRISC.label, _OTHERS, losses, "{:g} lost".format, _LOST)

    text = (
        f"Kodak, {text_of(cbr)}: one Rayleigh or Rician (K = 1) gain for each image, known to the receiver, "
        "spread evenly over the channel's distribution; "
        f"the transmitter knows the mean SNR. Packets lost: AWGN, {DESIGN_SNR_DB:g} dB. What is not decoded "
        "counts as a mid-grey image."
    )
    return Plan("lrisc-fading", text, SNR_AXIS, tuple(curves), found, ALSO)


def roi(images: Sequence[str], say: Say, cbrs: Sequence[float] = (1 / 48, *MAIN_CBRS)) -> Plan:
    """PSNR inside the same rectangle with a region of interest there and without, equal CBR."""
    judged = quality.measurable(JUDGED, say)
    places = [At(cbr, fading("awgn", DESIGN_SNR_DB, judged=judged, inside=REGION), cbr) for cbr in cbrs]
    with_region = {case.label: f"{case.label}, region of interest" for case in (LRISC, UNREFINED)}
    cases = [LRISC, UNREFINED]
    cases += [replace(case, label=with_region[case.label], options=ROI) for case in (LRISC, UNREFINED)]
    curves = [curve(case, images, places) for case in available(cases, say)]

    def found(samples: Mapping[str, Samples]) -> dict[str, object]:
        result: dict[str, object] = {}
        for without, with_it in with_region.items():
            result |= findings.inside(samples, with_it, without, text_of)
            result |= findings.side_information(samples, with_it, text_of)
        return result

    x, y, width, height = REGION
    text = (
        f"Kodak, AWGN, {DESIGN_SNR_DB:g} dB, side information counted: PSNR inside the rectangle of {width} "
        f"x {height} pixels at ({x}, {y}), and of the whole image."
    )
    return Plan("lrisc-roi", text, CBR_AXIS, tuple(curves), found, ALSO)


def refining(
    images: Sequence[str],
    say: Say,
    steps: Sequence[int] = STEPS,
    realism: Sequence[float] = REALISM,
) -> Plan:
    """Steps of the refiner, for several degrees of realism."""
    cbr = MAIN_CBRS[0]
    judged = quality.measurable((*JUDGED, "dists"), say)
    here = fading("awgn", DESIGN_SNR_DB, judged=judged)
    places = [At(float(count), here, cbr, receiver={"refiner_steps": count}) for count in steps]
    cases = [
        replace(LRISC, label=f"realism {value:g}", receiver={**REFINED, "realism": value})
        for value in realism
    ]
    curves = [curve(case, images, places) for case in available(cases, say)]
    text = (
        f"Kodak, AWGN, {DESIGN_SNR_DB:g} dB, {text_of(cbr)}: lrisc against the steps of its refiner. Seconds "
        "are those of decoder and refiner on one processor."
    )
    return Plan("lrisc-steps", text, ("steps", "steps of the refiner"), tuple(curves), findings.seconds, ALSO)


def seen(images: Sequence[str], say: Say, snrs_db: Sequence[float] = _PICTURE_SNRS_DB) -> Plan:
    """Every system at equal CBR and SNR, on the photographs that are shown."""
    judged = quality.measurable(("lpips_alex", "dists"), say)
    places = [At(value, fading("awgn", value, judged=judged), _PICTURE_CBR) for value in snrs_db]
    text = f"Kodak, AWGN, {text_of(_PICTURE_CBR)}: the photographs whose details are shown."
    curves = tuple(curve(case, images, places) for case in available(SYSTEMS, say))
    return Plan("lrisc-pictures", text, SNR_AXIS, curves, also=ALSO)


grids = partial(
    detail_grid.grid_of, plan=seen, heading=f"Kodak, AWGN, {text_of(_PICTURE_CBR)}", place="{:g} dB"
)


def _drawn(curves: Curves, shown: Sequence[str], **how: object) -> Drawing:
    return qualities(curves, colours=of_codecs(), shown=shown, **how)


_PHOTOS = Images(Source.KODAK, 24)
FIGURES = (
    Figure(
        name="lrisc-rate",
        summary="every system against CBR, AWGN, mean of 0 … 20 dB, with LPIPS and DISTS",
        images=_PHOTOS,
        plan=rate,
        draw=partial(
            _drawn,
            shown=("lpips_alex", "psnr", "same_class", "dists"),
            groups=(_MEAN, _DEEPLY),
            logarithmic=True,
        ),
        quick={"snrs_db": (0, 10), "cbrs": MAIN_CBRS, "deeply_judged": 0},
    ),
    Figure(
        name="lrisc-snr",
        summary="LRISC, DeepJSCC and the separate design against SNR, AWGN",
        images=_PHOTOS,
        plan=snr,
        draw=partial(
            _drawn,
            shown=("lpips_alex", "psnr", "ms_ssim_db", "same_class"),
            groups=tuple(f", {text_of(cbr)}" for cbr in MAIN_CBRS),
        ),
        quick={"snrs_db": (0, 10)},
    ),
    Figure(
        name="lrisc-fading",
        summary="LRISC and others over Rayleigh and Rician fading, and with packets lost",
        images=_PHOTOS,
        plan=over_fading,
        draw=partial(
            _drawn,
            shown=("lpips_alex", "psnr", "same_class", "failed"),
            groups=(*(f", {kind}" for kind in _CHANNELS), _LOST),
        ),
        quick={"snrs_db": (0, 10), "losses": LOSSES[::2]},
    ),
    Figure(
        name="lrisc-roi",
        summary="a region of interest: PSNR inside with it and without, equal CBR",
        images=_PHOTOS,
        plan=roi,
        draw=partial(_drawn, shown=("psnr_inside_db", "psnr", "lpips_alex"), logarithmic=True),
        quick={"cbrs": MAIN_CBRS},
    ),
    Figure(
        name="lrisc-steps",
        summary="steps of the refiner and its realism: LPIPS, DISTS, PSNR, seconds",
        images=_PHOTOS,
        plan=refining,
        draw=partial(_drawn, shown=("lpips_alex", "dists", "psnr", "decode_seconds")),
        quick={"steps": STEPS[::2], "realism": REALISM[::2]},
    ),
    Figure(
        name="lrisc-pictures",
        summary="the same detail of every system at equal CBR and SNR",
        images=Images(Source.KODAK, 3),
        plan=seen,
        draw=partial(_drawn, shown=("lpips_alex", "dists", "psnr")),
        quick={"snrs_db": _PICTURE_SNRS_DB[:1]},
        pictures=grids,
    ),
)
