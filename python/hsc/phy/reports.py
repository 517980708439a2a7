"""What a receiver sends back: reports of what came, and requests for packets that it lacks.

The records are written down in docs/adaptive-link.md.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import numpy as np

from . import digital
from .assembly import AssembledMessage
from .crc import crc16
from .header import HEADER_BYTES, Header, pack, unpack

# An SNR beyond these is not believed [dB].
LOWEST_SNR_DB = -30.0
HIGHEST_SNR_DB = 60.0
# mark, message id, SNR [0.01 dB], packets, received, blocks, lost blocks
_REPORT = struct.Struct(">2sHhHHHH")
_REPORT_MARK = b"R1"
_NAK_MARK = b"N1"
# Mark, header, one bit for each of 65536 packets, CRC-16 [bytes].
LARGEST_RECORD = 2 + HEADER_BYTES + (1 << 13) + 2


@dataclass(frozen=True)
class Report:
    """What a receiver saw of one message.

    Attributes:
        message_id: 0 … 65535.
        snr_db: effective SNR of what arrived [dB].
        packets, received: packets of the message, and how many came.
        blocks, lost_blocks: LDPC blocks of the packets that came, and how many of them failed; 0 when nobody
            counted.
    """

    message_id: int
    snr_db: float
    packets: int = 0
    received: int = 0
    blocks: int = 0
    lost_blocks: int = 0

    def pack(self) -> bytes:
        """14 bytes and a CRC-16; SNR in steps of 0.01 dB."""
        snr = round(100 * min(max(self.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB))
        counts = (min(n, 0xFFFF) for n in (self.packets, self.received, self.blocks, self.lost_blocks))
        return _sealed(_REPORT.pack(_REPORT_MARK, self.message_id, snr, *counts))


def report_of(message: AssembledMessage, lost_blocks: int | None = None) -> Report | None:
    """What is reported of a message as far as it came; None when nothing was measured.

    `lost_blocks` counts LDPC blocks that failed or whose packets never came; None when nobody knows.
    """
    if not math.isfinite(message.snr_db):
        return None
    header = message.header
    report = Report(header.message_id, message.effective_snr_db, header.count, len(message.packets))
    if lost_blocks is None:
        return report
    sizes = [digital.symbols_per_block(name) for name, _ in header.digital]
    parts = (zip(header.slices(i)[1:], sizes, strict=True) for i in message.packets)
    came = sum((part.stop - part.start) // size for each in parts for part, size in each)
    sent = sum(digital.block_count(n_bytes, name) for name, n_bytes in header.digital)
    return replace(report, blocks=came, lost_blocks=lost_blocks - (sent - came))


@dataclass(frozen=True)
class Nak:
    """Packets of a message that a receiver lacks.

    Attributes:
        layout: the message's header, index 0. It says which message, and of which run of the transmitter.
        indices: ascending packet indices.
    """

    layout: Header
    indices: tuple[int, ...]

    def pack(self) -> bytes:
        """Header, one bit for each packet, CRC-16."""
        flags = np.zeros(self.layout.count, np.uint8)
        flags[list(self.indices)] = 1
        return _sealed(_NAK_MARK + pack(self.layout) + np.packbits(flags).tobytes())


def _sealed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "big")


def unpack_record(data: bytes) -> Report | Nak | None:
    """What came back over the return path, None for anything that is not a whole and possible record. Never
    raises on any bytes.
    """
    if not 4 <= len(data) <= LARGEST_RECORD or crc16(data[:-2]) != int.from_bytes(data[-2:], "big"):
        return None
    body = data[:-2]
    if body[:2] == _REPORT_MARK and len(body) == _REPORT.size:
        _, message_id, snr, *counts = _REPORT.unpack(body)
        report = Report(message_id, snr / 100, *counts)
        return report if _possible(report) else None
    return _unpack_nak(body[2:]) if body[:2] == _NAK_MARK else None


def _possible(report: Report) -> bool:
    believed = LOWEST_SNR_DB <= report.snr_db <= HIGHEST_SNR_DB
    return believed and report.received <= report.packets and report.lost_blocks <= report.blocks


def _unpack_nak(body: bytes) -> Nak | None:
    layout = unpack(body[:HEADER_BYTES])
    flags = np.unpackbits(np.frombuffer(body[HEADER_BYTES:], np.uint8))
    if layout is None or layout.index:
        return None
    if len(flags) != -(-layout.count // 8) * 8 or flags[layout.count :].any():
        return None
    return Nak(layout, tuple(np.flatnonzero(flags).tolist()))
