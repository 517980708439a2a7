"""What the blocks of DS²C² hand on: the streams of a message, and integers as features."""

from __future__ import annotations

import numpy as np

from ....blocks import pdu

# The streams of a message.
BASE, RESIDUAL, STREAMS = 1, 2, 2


def features_of(stream: pdu.Digital, values: np.ndarray, variance: np.ndarray | None) -> pdu.Features:
    """Integers that a stream gave, with what is known of its message."""
    return pdu.Features(
        stream.message_id,
        stream.codec,
        stream.shape,
        values.ravel().astype(np.float32),
        stream.parameters,
        None if variance is None else variance.ravel(),
        stream.snr_db,
        stream.packets,
        stream.packets_received,
    )
