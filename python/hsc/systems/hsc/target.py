"""A target PSNR that is out of reach: what the transmitter's user is told instead."""

from __future__ import annotations

import numpy as np

from ...message import Link
from ...phy import mcs as mcs_table
from . import cr_progressive, recomposition
from .complementary import Complementary
from .semantic import Prediction

# What may be missing from a target without a notice [dB]. Chosen by trial.
SHORT_DB = 0.3
# Least MSE that is told of: 100 dB.
_LEAST_MSE = 1e-10


def shortfall(
    image: np.ndarray, predicted: Prediction, made: Complementary, psnr_db: float, link: Link
) -> tuple[str, ...]:
    """One line of what is to be expected instead of a target of `psnr_db`; none where it is reached.

    `link`: with the MCS that the CR is sent with.
    """
    threshold_db = mcs_table.by_name(link.mcs).threshold_db
    lost = bool(made.data) and link.snr_db is not None and link.snr_db < threshold_db
    data, generated = b"" if lost else made.data, predicted.noisy or (predicted.generated,)
    errors = recomposition.errors(image, data, made.parameters, generated)
    expected_db = float(-10 * np.log10(max(cr_progressive.sure(errors), _LEAST_MSE)))
    if expected_db >= psnr_db - SHORT_DB:
        return ()
    within = "" if link.cbr is None else f" within a CBR of {link.cbr:.4g}"
    return (
        f"the target of {psnr_db:g} dB PSNR cannot be reached{within}{_why(link, lost)}; "
        f"at least {expected_db:.1f} dB is to be expected",
    )


def _why(link: Link, lost: bool) -> str:
    if link.snr_db is None:
        return ""
    if lost:
        return f": at {link.snr_db:g} dB SNR the CR is lost at {link.mcs}"
    return f" at {link.snr_db:g} dB SNR"
