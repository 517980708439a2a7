"""A packet over a symbol-level channel: what simulation and the Symbol Channel block share."""

from __future__ import annotations

import numpy as np

from . import channel
from .phy import qam
from .phy.header import decode_header, encode_header
from .phy.packets import Packet, ReceivedPacket

# Least noise variance that a receiver is told, of an ideal channel too.
_LEAST_VARIANCE = 1e-10


def cross(
    packet: Packet,
    snr_db: float,
    kind: str,
    normal: channel.Normal,
    rician_k: float = 1.0,
    sample_index: int = 0,
) -> ReceivedPacket | None:
    """One packet, header included, over one channel gain that the receiver knows; None when the header does
    not survive.

    Args:
        packet: as sent.
        snr_db: mean Es/N0 [dB].
        kind: one of `channel.KINDS`.
        normal: source of random numbers, `channel.numpy_normal`.
        rician_k: power of the line-of-sight part over that of the scattered part.
        sample_index: position that the received packet is given, in channel uses.

    Raises:
        HscError: unknown kind of channel.
    """
    header = encode_header(packet.header)
    symbols, variance = channel.transmit(
        np.concatenate([header, packet.symbols]), snr_db, kind, normal, rician_k
    )
    noise = np.full(len(symbols), max(float(variance[0]), _LEAST_VARIANCE), np.float32)
    n = len(header)
    decoded = decode_header(qam.demodulate(symbols[:n], noise[:n], 1))
    if decoded is None or decoded.payload_symbols != len(packet.symbols):
        return None
    return ReceivedPacket(
        decoded, symbols[n:], noise[n:], snr_db=float(-10 * np.log10(noise[0])), sample_index=sample_index
    )
