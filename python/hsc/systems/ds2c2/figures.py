"""The figures of DS²C²: table I, latents before and after the channel, quality against losses, pictures.

Each plan takes image identities and gives what to measure; a codec whose weights are not there is left out,
and it is said why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...evaluation import curves as files
from ...evaluation.curves import Curves
from ...evaluation.detail_grid import grid_of
from ...evaluation.drawing import of_codecs, qualities
from ...evaluation.figure import Figure, Images, Source
from ...evaluation.plan import At, Plan, PlannedCurve, Samples, Say, available, curve, fading
from . import few, findings, latents_shown, table1
from .cases import BINARY, BURST, CBR, LOSSES, OURS, PACKET_AXIS, SEPARATE, SHOWN, SNR_DB, SYSTEMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PAPERS = Path(__file__).parent / "papers"  # the numbers that the paper prints, in the form of our results
_IID, _BURSTY, _THROUGH = ", independent losses", ", bursty losses", ", through OFDM"
_PICTURE_LOSSES = (0.0, 0.16, 0.3)


def loss(images: Sequence[str], say: Say, losses: Sequence[float] = LOSSES) -> Plan:
    """Every system against the share of packets lost, at equal channel uses with everything, through
    symbols; and ours and HEVC through OFDM.
    """
    cases = available(SYSTEMS, say)
    curves: list[PlannedCurve] = []
    for end, burst in ((_IID, 1.0), (_BURSTY, BURST)):
        lost = [(share, {"loss": share, "burst": burst} if share else {}) for share in losses]
        places = [At(share, fading("awgn", SNR_DB, **how), CBR) for share, how in lost]
        curves += [_named(curve(case, images, places), end) for case in cases]
    few = [share for share in losses if share in (0.0, 0.05, 0.16, 0.3)]
    places = [At(share, fading("awgn", SNR_DB, loss=share, through="ofdm"), CBR) for share in few]
    for case in cases:
        if case in (OURS, BINARY, SEPARATE):
            curves.append(_named(curve(case, images, places), _THROUGH))

    def found(samples: Mapping[str, Samples]) -> dict[str, object]:
        labels = [case.label + end for case in (OURS, BINARY) for end in (_IID, _BURSTY, _THROUGH)]
        others = [case.label for case in SYSTEMS if case is not OURS]
        return (
            findings.steepest(samples, labels)
            | findings.losses_at(samples, labels, 0.16)
            | findings.crossings(samples, OURS.label, others, _IID)
            | findings.crossings(samples, OURS.label, others, _BURSTY)
        )

    text = (
        f"Kodak, AWGN, {SNR_DB:g} dB, CBR 1/{round(1 / CBR)} with all repair symbols: packets lost, "
        f"independently and in bursts of {BURST:g} in the mean. What is not decoded counts as a mid-grey "
        "image."
    )
    return Plan("ds2c2-loss", text, PACKET_AXIS, tuple(curves), found)


def _named(planned: PlannedCurve, end: str) -> PlannedCurve:
    return replace(planned, label=planned.label + end)


def seen(images: Sequence[str], say: Say, losses: Sequence[float] = _PICTURE_LOSSES) -> Plan:
    """What is shown: systems at equal channel uses, by the share of packets lost."""
    places = [At(share, fading("awgn", SNR_DB, loss=share), CBR) for share in losses]
    curves = tuple(curve(case, images, places) for case in available(SHOWN, say))
    text = f"Kodak, AWGN, {SNR_DB:g} dB, CBR 1/{round(1 / CBR)}: the photographs whose details are shown."
    return Plan("ds2c2-fig5", text, PACKET_AXIS, curves)


def _drawn(found: Curves, **how: object) -> Drawing:
    return qualities(found, colours=of_codecs(), **how)


def _table(found: Curves) -> Drawing:
    """The paper's numbers beside ours where these are of its images."""
    printed = files.load("ds2c2-table1", PAPERS).series if found.name == "ds2c2-table1" else ()
    return qualities(found, shown=("psnr",), paper=printed, legend_below=True)


_PHOTOS = Images(Source.KODAK, 24)
FIGURES = (
    Figure(
        name="ds2c2-table1",
        summary="0.26 bits per pixel, blocks erased: DS²C², a learned image codec, HEVC",
        images=_PHOTOS,
        measure=table1.table1,
        draw=_table,
        quick={"erased": (0.0, 0.16)},
    ),
    Figure(
        name="ds2c2-street",
        summary="the same on street scenes",
        images=Images(Source.STREET, 16),
        measure=partial(table1.table1, name="ds2c2-street", images="CamVid"),
        draw=_table,
        quick={"erased": (0.0, 0.16)},
    ),
    Figure(
        name="ds2c2-few",
        summary="an update by few street scenes",
        images=Images(Source.STREET, 16),
        measure=few.few,
        draw=partial(qualities, shown=("psnr",)),
    ),
    Figure(
        name="ds2c2-fig4",
        summary="latents before the interleaver and after the deinterleaver, 16 % of the blocks erased",
        images=Images(Source.KODAK, 2),
        measure=latents_shown.fig4,
        draw=latents_shown.drawn,
        pictures=latents_shown.pictures_of,
    ),
    Figure(
        name="ds2c2-fig5",
        summary="the same detail of every system with packets lost",
        images=Images(Source.KODAK, 3),
        plan=seen,
        draw=partial(_drawn, shown=("psnr", "ms_ssim_db")),
        quick={"losses": _PICTURE_LOSSES[:2]},
        pictures=partial(
            grid_of,
            plan=seen,
            heading=f"Kodak, AWGN, {SNR_DB:g} dB, CBR 1/{round(1 / CBR)}",
            place="{:.0%} lost",
        ),
    ),
    Figure(
        name="ds2c2-loss",
        summary="every system against packets lost, independently and in bursts, at equal channel uses",
        images=_PHOTOS,
        plan=loss,
        draw=partial(
            _drawn, shown=("psnr", "ms_ssim_db"), groups=(_IID, _BURSTY, _THROUGH), legend_below=True
        ),
        quick={"losses": LOSSES[::3]},
    ),
)
