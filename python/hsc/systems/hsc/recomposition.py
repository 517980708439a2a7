"""The receiver's last step in HSC: what arrived of the CR, eq. (7), and the image, eq. (8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...codecs.contract import Decoded
from ...coding import erasure
from ...errors import HscError
from ...message import ReceivedDigital
from . import cr, cr_paper, cr_progressive
from .options import CODINGS
from .parameters import HscParameters

# A, float64 (k', H), and A X or A (X − G), float64 (k', W·C).
Rows = tuple[np.ndarray, np.ndarray]
# What stands for G where nothing of the SR came, in [0, 1].
_GREY = 0.5


def recompose(
    generated: np.ndarray | None,
    received: ReceivedDigital | None,
    shape: tuple[int, int, int],
    parameters: HscParameters,
) -> Decoded:
    """G and the received CR → image (H, W, C): eqs. (7) and (8), from as many rows of A as arrived intact; a
    notice says of how many.

    Without CR the generated image; without SR the CR over a flat grey image. Raises HscError when there is
    neither.
    """
    rows = _rows(received, shape, parameters)
    came, sent = len(rows[0]), min(parameters.rank, shape[0])
    notices = (f"{came} of {sent} rows of the CR can be used, the others are lost",) * (came < sent)
    if generated is None:
        if not came:
            raise HscError(
                "nothing usable of the image arrived, neither SR nor CR: raise the SNR or send it again"
            )
        generated = np.full(shape, _GREY)
        notices += ("the SR is lost: the image is the CR over grey",)
    return Decoded(_recomposed(generated, rows, parameters), notices)


def errors(
    image: np.ndarray, data: bytes, parameters: HscParameters, generated: Sequence[np.ndarray]
) -> np.ndarray:
    """MSE of the received image for each G, (draws,), pixels in [0, 1], when the whole CR `data` arrives."""
    rows = _rows(ReceivedDigital(data, np.ones(len(data), bool)), image.shape, parameters)
    images = (_recomposed(one, rows, parameters) for one in generated)
    return np.array([np.square(received / 255.0 - image / 255.0).mean() for received in images])


def _recomposed(generated: np.ndarray, rows: Rows, parameters: HscParameters) -> np.ndarray:
    image = np.asarray(generated, np.float64)
    if len(rows[0]):
        combine = cr.add_residual if CODINGS[parameters.coding] == "residual" else cr.recompose  # (8)
        image = combine(image, *rows)
    return np.rint(np.nan_to_num(image, nan=0.5).clip(0, 1) * 255).astype(np.uint8)


def _rows(received: ReceivedDigital | None, shape: tuple[int, int, int], parameters: HscParameters) -> Rows:
    """Rows of the CR that arrived intact, eq. (7); none without it."""
    height, width, channels = shape
    columns, rank = width * channels, min(parameters.rank, height)
    if received is None or not rank:
        return np.zeros((0, height)), np.zeros((0, columns))
    data, mask = _source(received, parameters.source_bytes)
    if CODINGS[parameters.coding] == "paper":
        step = cr_progressive.coefficient_step(parameters.step)
        return cr_paper.decode(data, mask, height, columns, rank, step, parameters.reversible)
    return cr_progressive.decode(data, mask, height, columns, channels, rank, parameters.step)


def _source(received: ReceivedDigital, source_bytes: int) -> tuple[bytes, np.ndarray]:
    """The CR without its repair symbols, and which of its bytes are there. They are of no use where the unit
    of loss is not known.
    """
    if not source_bytes:
        return received.data, received.received
    if not received.block_bytes:
        return received.data[:source_bytes], received.received[:source_bytes]
    return erasure.recover(received, source_bytes, received.block_bytes)
