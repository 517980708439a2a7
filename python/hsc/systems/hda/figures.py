"""The figures and tables of the HDA-DeepSC paper (section V), and what it does not measure: steps of 1 dB,
OFDM, lost packets.

Each function takes image identities and gives a `Plan`; the tables that are no sweeps are in `tables.py`. The
lists of cases are the data; a codec that is not registered is left out. Over fading one gain holds for a
whole image (section V-A), which the receiver knows and the transmitter does not, unless the label says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...evaluation import pictures, sweep
from ...evaluation.curves import Curves
from ...evaluation.figure import Figure, Given, Images, Source
from ...evaluation.plan import At, Case, Plan, PlannedCurve, Samples, Say, available, curve, fading
from ...evaluation.transmission import Point, even_fades
from . import drawing, tables
from .cases import (
    CBR,
    CBR_AXIS,
    CBRS,
    DA_RATIOS,
    DENOISERS,
    DESIGN_SNR_DB,
    FIXED_MCS,
    GAIN_KNOWN,
    HDA,
    HDA_CHOSEN,
    HDA_ONE_WAY,
    KEY,
    LIMIT,
    LIMIT_BOUNDS,
    LOSSES,
    PAPERS,
    SEPARATE_FIXED,
    SNR_AXIS,
    SNRS_DB,
    STEPS,
    SYSTEMS,
    UNTOLD,
)
from .findings import best_ratio, lead, losses, ranking, steepest, steps_findings

if TYPE_CHECKING:
    from PIL import Image

PHOTO = "kodim23"  # of the pictures of table III


def _awgn(snr_db: float, **fields: object) -> At:
    return At(snr_db, fading("awgn", snr_db), CBR, **fields)


def fig3(images: Sequence[str], say: Say, snrs_db: Sequence[float] = SNRS_DB) -> Plan:
    """PSNR against SNR of analog DeepSC without and with denoisers."""
    places = [_awgn(snr) for snr in snrs_db]
    curves = [curve(case, images, places) for case in available(DENOISERS, say)]

    def findings(samples: Mapping[str, Samples]) -> dict[str, object]:
        found: dict[str, object] = {}
        for case in DENOISERS[2::3]:
            end = case.label.removeprefix("DiffSDNet")
            found |= lead(samples, case.label, (f"DnCNN{end}", f"no denoiser{end}"), (0.0, 5.0))
        return found

    return Plan(
        "hda-fig3",
        "Kodak, AWGN, CBR 1/6: the paper's analog DeepSC (deepjscc) and denoisers.",
        SNR_AXIS,
        tuple(curves),
        findings,
    )


def fig4(images: Sequence[str], say: Say, snrs_db: Sequence[float] = SNRS_DB) -> Plan:
    """Every system over AWGN against SNR."""
    places = [_awgn(snr) for snr in snrs_db]
    curves = [
        curve(case, images, places) for case in available((HDA, HDA_CHOSEN, HDA_ONE_WAY, *SYSTEMS[1:]), say)
    ]
    text = (
        "Kodak, AWGN, CBR 1/6. AMC: the transmitter knows the SNR; one-way: it knows nothing, one message "
        "serves every SNR. "
        "The bound codes the image with HEVC at log2(1 + SNR) bits for each channel use, without any loss."
    )
    return Plan(
        "hda-fig4",
        text,
        SNR_AXIS,
        tuple(curves),
        lambda samples: ranking(samples, HDA.label, [at.x for at in places]),
    )


def fig5(images: Sequence[str], say: Say, snrs_db: Sequence[float] = SNRS_DB) -> Plan:
    """Every system over Rician (K = 1) and Rayleigh block fading against mean SNR."""
    curves: list[PlannedCurve] = []
    cases = available((HDA, HDA_ONE_WAY, *SYSTEMS[1:], *GAIN_KNOWN), say)
    for kind in ("rician", "rayleigh"):
        places, fades = [At(snr, fading(kind, snr), CBR) for snr in snrs_db], even_fades(images, kind)
        for case in cases:
            planned = curve(case, images, places, fades)
            curves.append(PlannedCurve(f"{planned.label}, {kind}", planned.x, planned.points))
    text = (
        "Kodak, CBR 1/6, one Rician (K = 1) or Rayleigh gain for each image, known to the receiver, spread "
        "evenly over the channel's distribution. "
        "The transmitter knows the mean SNR; on the gain: it knows that of the image. What is not decoded "
        "counts as a mid-grey image."
    )
    return Plan("hda-fig5", text, SNR_AXIS, tuple(curves))


def _against_cbr(name: str, kind: str, images: Sequence[str], say: Say, cbrs: Sequence[float]) -> Plan:
    places = [At(cbr, fading(kind, DESIGN_SNR_DB), cbr) for cbr in cbrs]
    seeds = (0,) if kind == "awgn" else even_fades(images, kind)
    curves = [curve(case, images, places, seeds) for case in available(SYSTEMS, say)]
    text = (
        f"Kodak, {kind}, {DESIGN_SNR_DB:g} dB: quality against the budget of channel uses; `cbr` is what "
        "was spent of it."
    )
    return Plan(
        name,
        text,
        CBR_AXIS,
        tuple(curves),
        lambda samples: ranking(samples, HDA.label, [at.x for at in places], "CBR {:.4f}"),
    )


def fig6(images: Sequence[str], say: Say, cbrs: Sequence[float] = CBRS) -> Plan:
    """Every system over AWGN at 10 dB against CBR."""
    return _against_cbr("hda-fig6", "awgn", images, say, cbrs)


def fig7(images: Sequence[str], say: Say, cbrs: Sequence[float] = CBRS) -> Plan:
    """Every system over Rician fading at 10 dB against CBR."""
    return _against_cbr("hda-fig7", "rician", images, say, cbrs)


def fig8(
    images: Sequence[str],
    say: Say,
    snrs_db: Sequence[float] = SNRS_DB,
    ratios: Sequence[float] = DA_RATIOS,
) -> Plan:
    """HDA-DeepSC over AWGN against the DA ratio, one curve for each SNR."""
    curves = []
    for snr in snrs_db:
        places = [At(r, fading("awgn", snr), CBR, {"da_ratio": r}) for r in ratios]
        curves += [
            curve(case, images, places)
            for case in available((Case(f"{snr} dB", "hda_deepsc", receiver=PAPERS),), say)
        ]
    text = (
        "Kodak, AWGN, CBR 1/6, AMC: hda_deepsc against the ratio L_D / L_A of digital to analog channel "
        "uses asked for."
    )
    return Plan("hda-fig8", text, ("da_ratio", "digital / analog channel uses"), tuple(curves), best_ratio)


def table1(images: Sequence[str], say: Say, steps: Sequence[int] = STEPS) -> Plan:
    """DDPM and DiffSDNet at several numbers of steps, 0 dB; DnCNN and no denoiser as levels."""
    diffusion = (
        Case("DDPM, decoder not told of the noise", "deepjscc", receiver={"denoiser": "ddpm", **UNTOLD}),
        Case(
            "DiffSDNet, decoder not told of the noise",
            "deepjscc",
            receiver={"denoiser": "diffsdnet", **UNTOLD},
        ),
        Case("DiffSDNet", "deepjscc", receiver={"denoiser": "diffsdnet"}),
    )
    places = [At(float(n), fading("awgn", 0.0), CBR, receiver={"denoiser_steps": n}) for n in steps]
    levels = [At(float(n), fading("awgn", 0.0), CBR) for n in steps]
    curves = [curve(case, images, places) for case in available(diffusion, say)]
    curves += [
        curve(case, images, levels)
        for case in available([case for case in DENOISERS if "DiffSDNet" not in case.label], say)
    ]
    text = (
        "Kodak, AWGN, 0 dB, CBR 1/6: deepjscc with diffusion-based denoisers against their number of steps; "
        "with a decoder that takes what the denoiser leaves for exact, as the paper's, and with ours, which "
        "is told the noise."
    )
    return Plan("hda-table1", text, ("steps", "sampling steps"), tuple(curves), steps_findings)


def table3(images: Sequence[str], say: Say, ratios: Sequence[float] = DA_RATIOS) -> Plan:
    """Receiver with the key and eavesdropper without it, against the DA ratio."""
    places = [At(r, fading("awgn", DESIGN_SNR_DB), CBR, {"da_ratio": r}) for r in ratios]
    keyed = Case("hda_deepsc, with the key", "hda_deepsc", {"key": KEY}, {"key": KEY, **PAPERS})
    cases = (keyed, Case("hda_deepsc, without the key", "hda_deepsc", {"key": KEY}, PAPERS))

    def findings(samples: Mapping[str, Samples]) -> dict[str, object]:
        if len(samples) < 2:
            return {}
        with_key, without = (samples[case.label] for case in cases)
        gaps = {f"{x:g}": with_key.mean(x) - without.mean(x) for x in with_key.x}
        least = float(np.nanmin(with_key.psnr_db - without.psnr_db))
        return {"mean difference [dB], by DA ratio": gaps, "least difference of one image [dB]": least}

    curves = [curve(case, images, places) for case in available(cases, say)]
    text = (
        "Kodak, AWGN, 10 dB, CBR 1/6, AES-256-GCM: what an eavesdropper who has the networks but not the "
        "key decodes."
    )
    return Plan("hda-table3", text, ("da_ratio", "digital / analog channel uses"), tuple(curves), findings)


def limit(images: Sequence[str], say: Say, snrs_db: Sequence[float] = SNRS_DB) -> Plan:
    """The best systems that there are, most with 5G NR LDPC, over AWGN against SNR; and their bounds."""
    places = [_awgn(snr) for snr in snrs_db]
    curves = [curve(case, images, places) for case in available((*LIMIT, *LIMIT_BOUNDS), say)]
    text = (
        "Kodak, AWGN, CBR 1/6, 5G NR LDPC where nothing else is said; the transmitter knows the SNR, and "
        "takes the MCS for it. NNPF: a neural post-filter behind HEVC, which hda_hevc has too. The bounds "
        "code the image at log2(1 + SNR) bits for each channel use, without any loss."
    )

    def findings(samples: Mapping[str, Samples]) -> dict[str, object]:
        ours = {case.label: samples[case.label] for case in LIMIT if case.label in samples}
        best = {at.x: max(ours, key=lambda label: ours[label].mean(at.x)) for at in places if ours}
        return {f"best at {x:g} dB": f"{label}: {ours[label].mean(x):.2f} dB" for x, label in best.items()}

    return Plan("hda-limit", text, SNR_AXIS, tuple(curves), findings)


def cliff(images: Sequence[str], say: Say, snrs_db: Sequence[float] = range(21)) -> Plan:
    """One-way links with one MCS from 20 dB down to 0 dB in steps of 1 dB."""
    digital = {"source": "hevc"}
    fixed = [
        Case(f"separate HEVC, {mcs}", "separate", digital, mcs=mcs, knows="nothing")
        for mcs in (FIXED_MCS, "QPSK-1/2", "BPSK-1/2")
    ]
    hybrids = [Case(f"{codec}, one-way", codec, knows="nothing") for codec in ("hda_hevc", "softcast")]
    places = [_awgn(snr) for snr in snrs_db]
    curves = [curve(case, images, places) for case in available((HDA_ONE_WAY, *hybrids, *fixed), say)]
    text = (
        "Kodak, AWGN, CBR 1/6, one-way links: the transmitter knows nothing of the SNR, one message serves "
        "all of them."
    )
    return Plan("hda-cliff", text, SNR_AXIS, tuple(curves), steepest)


def ofdm(images: Sequence[str], say: Say, seeds: Sequence[int] = range(5)) -> Plan:
    """Symbol level against OFDM at 10 dB, and packets lost."""
    cases = available(SYSTEMS[:7], say)
    curves = []
    for case in cases:
        symbols = curve(case, images, [At(0.0, fading("awgn", DESIGN_SNR_DB), CBR)], seeds)
        curves.append(PlannedCurve(f"{case.label}, symbol level", symbols.x, symbols.points))
        places = [At(loss, fading("awgn", DESIGN_SNR_DB, through="ofdm", loss=loss), CBR) for loss in LOSSES]
        through = curve(case, images, places, seeds)
        curves.append(PlannedCurve(f"{case.label}, OFDM", through.x, through.points))
    text = (
        "Kodak, AWGN, 10 dB, CBR 1/6, AMC: the symbol-level channel against OFDM bursts (ofdm64) with "
        "carrier offset within 2 subcarriers, clock offset within 10 ppm and any phase, and with a share of "
        "the packets dropped."
    )
    labels = [case.label for case in cases]
    return Plan(
        "hda-ofdm",
        text,
        ("loss", "share of packets dropped"),
        tuple(curves),
        lambda samples: losses(samples, labels),
    )


def eavesdropper_points(image: str, say: Say) -> dict[str, Point]:
    """What the paper's figure 9 shows of one image, by label: separate design, with the key, and without it
    at several DA ratios.
    """
    cases = [SEPARATE_FIXED]
    for word, receiver, ratios in (("with", {"key": KEY}, DA_RATIOS[:1]), ("without", {}, (0.2, 0.875, 3.0))):
        cases += [
            Case(
                f"{word} the key, DA {ratio:g}",
                "hda_deepsc",
                {"key": KEY, "da_ratio": ratio},
                {**receiver, **PAPERS},
            )
            for ratio in ratios
        ]
    at = At(DESIGN_SNR_DB, fading("awgn", DESIGN_SNR_DB), CBR)
    return {case.label: curve(case, [image], [at]).points[0][0][0] for case in available(cases, say)}


def eavesdropper(given: Given, found: Curves) -> Image.Image:
    """The paper's figure 9: one photograph with the key, without it, and by the separate design."""
    name = next((n for n in given.images if n.startswith(PHOTO)), next(iter(given.images)))
    points = eavesdropper_points(name, given.progress)
    wanted = list(points.values())
    seen = sweep.run(wanted, given.images, workers=0, pictures=wanted)
    tiles = [pictures.Tile(given.images[name], "original", name.rsplit("-", 1)[0])]
    for label, point in points.items():
        measured = seen.measured.get(point)
        below = seen.errors[point] if measured is None else pictures.quality(measured.psnr_db)
        tiles.append(pictures.Tile(seen.pictures.get(point), label, below))
    heading = (
        f"hda_deepsc over AWGN at {DESIGN_SNR_DB:g} dB, CBR 1/6: with the key, and as an eavesdropper "
        "decodes it"
    )
    return pictures.grid([tiles[:3], tiles[3:]], heading=heading)


_PHOTOS = Images(Source.KODAK, 24)
_LOGARITHMIC = partial(drawing.curves, logarithmic=True)
FIGURES = (
    Figure(
        name="hda-fig3",
        summary="analog DeepSC with and without denoisers against SNR",
        images=_PHOTOS,
        plan=fig3,
        draw=drawing.curves,
        quick={"snrs_db": (0, 10)},
    ),
    Figure(
        name="hda-fig4",
        summary="every system against SNR, AWGN",
        images=_PHOTOS,
        plan=fig4,
        draw=drawing.curves,
        quick={"snrs_db": (0, 10, 20)},
    ),
    Figure(
        name="hda-fig5",
        summary="every system against mean SNR, Rician and Rayleigh fading",
        images=_PHOTOS,
        plan=fig5,
        draw=partial(drawing.curves, groups=(", rician", ", rayleigh")),
        quick={"snrs_db": (0, 10)},
    ),
    Figure(
        name="hda-fig6",
        summary="every system against CBR, AWGN",
        images=_PHOTOS,
        plan=fig6,
        draw=_LOGARITHMIC,
        quick={"cbrs": CBRS[1:]},
    ),
    Figure(
        name="hda-fig7",
        summary="every system against CBR, Rician fading",
        images=_PHOTOS,
        plan=fig7,
        draw=_LOGARITHMIC,
        quick={"cbrs": CBRS[1:]},
    ),
    Figure(
        name="hda-fig8",
        summary="HDA-DeepSC against the DA ratio",
        images=_PHOTOS,
        plan=fig8,
        draw=_LOGARITHMIC,
        quick={"snrs_db": (0, 10), "ratios": DA_RATIOS[::2]},
    ),
    Figure(
        name="hda-table1",
        summary="DDPM and DiffSDNet against their number of steps",
        images=_PHOTOS,
        plan=table1,
        draw=drawing.curves,
        quick={"steps": STEPS[::2]},
    ),
    Figure(
        name="hda-table2",
        summary="the semantic codec with and without the Fourier loss",
        images=_PHOTOS,
        measure=tables.table2,
        draw=partial(drawing.bars, key="psnr", label="PSNR [dB], semantic codec alone"),
    ),
    Figure(
        name="hda-table3",
        summary="with the key and without it: PSNR and pictures",
        images=_PHOTOS,
        plan=table3,
        draw=_LOGARITHMIC,
        quick={"ratios": DA_RATIOS[::2]},
        pictures=eavesdropper,
    ),
    Figure(
        name="hda-table4",
        summary="running time against HEVC intra",
        images=_PHOTOS,
        measure=tables.table4,
        draw=partial(
            drawing.bars,
            key="ratio",
            label="codec time / time of HEVC intra (the paper's: BPG), encode + decode",
        ),
        quick={"repeats": 1},
    ),
    Figure(
        name="hda-limit",
        summary="the best systems with 5G NR LDPC, and their bounds",
        images=_PHOTOS,
        plan=limit,
        draw=drawing.curves,
        quick={"snrs_db": (0, 10)},
    ),
    Figure(
        name="hda-cliff",
        summary="one-way links in steps of 1 dB",
        images=_PHOTOS,
        plan=cliff,
        draw=drawing.curves,
        quick={"snrs_db": range(0, 21, 5)},
    ),
    Figure(
        name="hda-ofdm",
        summary="OFDM against the symbol level, and lost packets",
        images=Images(Source.KODAK, 4),
        plan=ofdm,
        draw=drawing.curves,
        quick={"seeds": range(1)},
    ),
)
