"""What `evaluate thumbnail-snr` measures and draws."""

from collections.abc import Sequence

from gnuradio.hsc.evaluation import drawing
from gnuradio.hsc.evaluation.figure import Figure, Images, Source
from gnuradio.hsc.evaluation.plan import At, Case, Plan, Say, available, curve
from gnuradio.hsc.evaluation.transmission import Reception

from .options import NAME

_CBR = 1 / 6
_CASES = (Case("sharpened", NAME), Case("enlarged only", NAME, receiver={"sharpness": 0.0}))


def against_snr(images: Sequence[str], say: Say, snrs_db: Sequence[float] = (0, 5, 10, 15, 20)) -> Plan:
    """With the network and without it over AWGN."""
    places = [At(snr, Reception("awgn", float(snr)), _CBR) for snr in snrs_db]
    return Plan(
        "thumbnail-snr",
        "Thumbnails of Kodak's photographs, AWGN, CBR 1/6.",
        ("snr", "Es/N0 [dB]"),
        tuple(curve(case, images, places) for case in available(_CASES, say)),
    )


FIGURES = (
    Figure(
        name="thumbnail-snr",
        summary="thumbnails against SNR, AWGN, with the network and without it",
        images=Images(Source.KODAK, 24),
        plan=against_snr,
        draw=drawing.qualities,
        quick={"snrs_db": (5, 15)},
    ),
)
