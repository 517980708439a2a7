"""The adaptive link: what a receiver reports, what a transmitter makes of it, and which packets it sends
again.

MCS by outer-loop link adaptation (a margin over the threshold table that grows with lost blocks and shrinks
without), as cellular systems have it; K. I. Pedersen et al., "Frequency domain scheduling for OFDMA with
limited and noisy channel feedback", IEEE VTC Fall 2007.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import HscError
from . import digital, mcs
from .crc import crc16
from .numerology import Numerology
from .packet import HEADER_BYTES, AssembledMessage, Header, Packet, pack, unpack

REPAIR_SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)
LOWEST_SNR_DB, HIGHEST_SNR_DB = -30.0, 60.0  # what comes back is not believed beyond
_LARGEST_MARGIN_DB, _MARGIN_UP_DB, _MARGIN_DOWN_DB = 6.0, 1.0, 0.1
_BLOCKS_LOST = 0.02  # share of blocks above which the margin grows
_LOSS_MEMORY = 0.8  # of the packet loss, per report
_REPAIR_PER_LOSS = 1.5  # repair over expected loss: messages of few packets lose more or less than the mean
_REPORT = struct.Struct(">2sHhHHHH")
_REPORT_MARK, _NAK_MARK = b"R1", b"N1"
LARGEST_RECORD = 2 + HEADER_BYTES + (1 << 13) + 2


@dataclass(frozen=True)
class Report:
    """What a receiver saw of one message.

    Attributes:
        message_id: 0 … 65535.
        snr_db: mean Es/N0 [dB].
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
        most = 0xFFFF
        counts = (min(n, most) for n in (self.packets, self.received, self.blocks, self.lost_blocks))
        return _sealed(_REPORT.pack(_REPORT_MARK, self.message_id, snr, *counts))


def report_of(message: AssembledMessage, lost_blocks: int | None = None) -> Report | None:
    """What is reported of a message as far as it came; None when nothing was measured.

    `lost_blocks` counts LDPC blocks that failed or whose packets never came; None when nobody knows.
    """
    if not math.isfinite(message.snr_db):
        return None
    header, blocks, lost = message.header, 0, 0
    if lost_blocks is not None:
        sizes = [digital.symbols_per_block(name) for name, _ in header.digital]
        parts = (zip(header.slices(i)[1:], sizes, strict=True) for i in message.packets)
        blocks = sum((part.stop - part.start) // size for each in parts for part, size in each)
        lost = (
            lost_blocks + blocks - sum(digital.block_count(n_bytes, name) for name, n_bytes in header.digital)
        )
    return Report(header.message_id, message.snr_db, header.count, len(message.packets), blocks, lost)


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
        _, message_id, snr, packets, received, blocks, lost = _REPORT.unpack(body)
        possible = received <= packets and lost <= blocks and LOWEST_SNR_DB <= snr / 100 <= HIGHEST_SNR_DB
        return Report(message_id, snr / 100, packets, received, blocks, lost) if possible else None
    return _unpack_nak(body[2:]) if body[:2] == _NAK_MARK else None


def _unpack_nak(body: bytes) -> Nak | None:
    layout = unpack(body[:HEADER_BYTES])
    flags = np.unpackbits(np.frombuffer(body[HEADER_BYTES:], np.uint8))
    if (
        layout is None
        or layout.index
        or len(flags) != -(-layout.count // 8) * 8
        or flags[layout.count :].any()
    ):
        return None
    return Nak(layout, tuple(np.flatnonzero(flags).tolist()))


@dataclass(frozen=True)
class Policy:
    """What an adaptive transmitter aims at, and how careful it is.

    Attributes:
        psnr_db: quality of an image [dB], for codecs that have such an option; None for none.
        cbr: most payload channel uses / (C·H·W) of an image; None leaves it to the codec. `cbr_for` turns a
            time into it.
        margin_db: least distance of the MCS's threshold from the SNR [dB].
        hysteresis_db: how much more the SNR must be for a faster MCS [dB].
        patience: reports in a row that must allow a faster MCS.
        timeout: after so many seconds without a report the robust setting holds.
        robust_snr_db: SNR that the robust setting is made for [dB].
        repair: whether the repair share follows the loss; else it stays the codec's.
    """

    psnr_db: float | None = None
    cbr: float | None = None
    margin_db: float = 1.5
    hysteresis_db: float = 1.0
    patience: int = 2
    timeout: float = 5.0
    robust_snr_db: float = 3.0
    repair: bool = True

    def __post_init__(self) -> None:
        if self.psnr_db is not None and not 0 < self.psnr_db <= 60:
            raise HscError(f"the target PSNR is {self.psnr_db} dB: give a number above 0, at most 60")
        if self.cbr is not None and not 0 < self.cbr < 1e3:
            raise HscError(f"the CBR is {self.cbr}: give a number above 0, such as 0.1667")
        if not (
            0 <= self.margin_db <= 20
            and 0 <= self.hysteresis_db <= 20
            and self.patience >= 1
            and self.timeout > 0
        ):
            raise HscError(
                "link adaptation: margin and hysteresis are 0 to 20 dB, the patience at least 1, the timeout above 0"
            )


@dataclass(frozen=True)
class LinkSetting:
    """What the next image is made for.

    Attributes:
        snr_db: SNR that may be counted on; it chooses the split between analog and digital [dB].
        mcs: name of the MCS of digital streams.
        cbr, psnr_db: targets, or None.
        repair_share: repair symbols / all symbols of digital parts; None leaves it to the codec.
        digital: False where not even the most robust MCS gets through: then a rank of 0 is best.
    """

    snr_db: float
    mcs: str
    cbr: float | None = None
    psnr_db: float | None = None
    repair_share: float | None = None
    digital: bool = True


class LinkAdaptation:
    """From reports to settings. Time is that of any clock that does not go back [s]; not thread-safe."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._robust = LinkSetting(
            policy.robust_snr_db,
            mcs.best_for(policy.robust_snr_db, policy.margin_db).name,
            policy.cbr,
            policy.psnr_db,
            REPAIR_SHARES[-2] if policy.repair else None,
        )
        self._forget()

    def _forget(self) -> None:
        self._setting, self._since = self._robust, None
        self._margin_db, self._loss, self._allowed = self.policy.margin_db, 0.0, 0

    def setting(self, now: float) -> LinkSetting:
        """What to send with now."""
        if self._since is not None and now - self._since > self.policy.timeout:
            self._forget()
        return self._setting

    def report(self, report: Report, now: float) -> LinkSetting:
        """Take what a receiver saw; returns the new setting."""
        self.setting(now)
        self._since = now
        snr_db = min(max(report.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB)
        if report.blocks:
            failing = report.lost_blocks > _BLOCKS_LOST * report.blocks
            self._margin_db += _MARGIN_UP_DB if failing else -_MARGIN_DOWN_DB
            self._margin_db = min(
                max(self._margin_db, self.policy.margin_db), self.policy.margin_db + _LARGEST_MARGIN_DB
            )
        if report.packets:
            lost = 1 - min(report.received, report.packets) / report.packets
            self._loss = max(lost, _LOSS_MEMORY * self._loss + (1 - _LOSS_MEMORY) * lost)
        margin = self._margin_db
        self._setting = replace(
            self._setting,
            snr_db=snr_db,
            mcs=self._mcs(snr_db, margin).name,
            digital=snr_db - margin >= min(entry.threshold_db for entry in mcs.TABLE.values()),
            repair_share=_repair_share(self._loss) if self.policy.repair else None,
        )
        return self._setting

    def _mcs(self, snr_db: float, margin_db: float) -> mcs.Mcs:
        """Slower at once, faster only when that has been possible with some SNR to spare for some time."""
        now, best = mcs.by_name(self._setting.mcs), mcs.best_for(snr_db, margin_db)
        if best.bits_per_use <= now.bits_per_use:
            self._allowed = 0
            return best
        spared = mcs.best_for(snr_db, margin_db + self.policy.hysteresis_db)
        self._allowed = self._allowed + 1 if spared.bits_per_use > now.bits_per_use else 0
        if self._allowed < self.policy.patience:
            return now
        self._allowed = 0
        return spared


def _repair_share(loss: float) -> float:
    """The least of REPAIR_SHARES that makes up for such a loss of packets."""
    return next((share for share in REPAIR_SHARES if share >= _REPAIR_PER_LOSS * loss), REPAIR_SHARES[-1])


def cbr_for(
    seconds: float, shape: Sequence[int], sample_rate: float, numerology: Numerology, packet_symbols: int
) -> float:
    """CBR of an image (H, W, C) that is on the air for so long, every overhead included. Raises HscError when
    no packet fits.
    """
    per_packet = numerology.burst_length(packet_symbols)
    packets = seconds * sample_rate / per_packet
    if packets * packet_symbols < numerology.data:
        raise HscError(
            f"{seconds:g} s are too short for an image at {sample_rate / 1e6:g} MS/s: a packet takes {per_packet / sample_rate:.3g} s"
        )
    return packets * packet_symbols / float(np.prod(shape))


@dataclass
class RepeatBuffer:
    """Packets that a transmitter may have to send again: those of the last few messages.

    Attributes:
        messages: how many messages are kept.
        symbols: how many payload symbols in all; the oldest messages leave first.
        repeats: how often a packet is sent again at most.
    """

    messages: int = 8
    symbols: int = 1 << 22
    repeats: int = 2
    _kept: OrderedDict[Header, dict[int, Packet]] = field(default_factory=OrderedDict)
    _sent: dict[Header, dict[int, int]] = field(default_factory=dict)
    _size: int = 0

    def add(self, packet: Packet) -> None:
        """Keep a packet that is being sent."""
        key, index = packet.header.layout, packet.header.index
        if index == 0 and key in self._kept:
            self._drop(key)  # a message of the same layout begins anew
        parts = self._kept.setdefault(key, {})
        if index not in parts:
            parts[index] = packet
            self._size += packet.symbols.size
        while self._kept and (len(self._kept) > self.messages or self._size > self.symbols):
            self._drop(next(iter(self._kept)))

    def repeat(self, nak: Nak) -> list[Packet]:
        """What is to be sent again: packets that are still kept and have not been repeated too often."""
        parts, sent = self._kept.get(nak.layout, {}), self._sent.setdefault(nak.layout, {})
        again = [parts[i] for i in nak.indices if i in parts and sent.get(i, 0) < self.repeats]
        for packet in again:
            sent[packet.header.index] = sent.get(packet.header.index, 0) + 1
        if not sent:
            del self._sent[nak.layout]
        return again

    def _drop(self, key: Header) -> None:
        self._size -= sum(packet.symbols.size for packet in self._kept.pop(key).values())
        self._sent.pop(key, None)


@dataclass
class MissingPackets:
    """Which packets of open messages to ask for, and when: at a receiver.

    A message is asked for when none of its packets came for `wait` samples, and again after each further
    `wait` samples, `rounds` times.

    Attributes:
        wait: [samples]; `rounds` + 1 times as long must be less than the receiver's patience.
        rounds: requests a message.
    """

    wait: int
    rounds: int = 2
    _open: OrderedDict[Header, _Heard] = field(default_factory=OrderedDict)

    def packet(self, header: Header, sample_index: int) -> None:
        """A packet came."""
        key = header.layout
        heard = self._open.setdefault(key, _Heard(sample_index))
        heard.indices.add(header.index)
        heard.newest = max(heard.newest, sample_index)
        if len(heard.indices) == key.count:
            self.close(key)
        while len(self._open) > _OPEN_MESSAGES:
            self._open.popitem(last=False)

    def close(self, layout: Header) -> None:
        """The message has left: nothing more is asked for."""
        self._open.pop(layout, None)

    def due(self, sample_index: int) -> list[Nak]:
        """Requests to be sent now. Only packets with digital symbols are asked for: analog ones are a
        sprinkling of erasures.
        """
        wanted = []
        for layout, heard in self._open.items():
            if heard.asked >= self.rounds or sample_index - heard.newest < self.wait:
                continue
            lacking = (i for i in range(layout.count) if i not in heard.indices)
            indices = tuple(
                i for i in lacking if any(part.stop > part.start for part in layout.slices(i)[1:])
            )
            heard.asked += 1
            heard.newest = sample_index
            if indices:
                wanted.append(Nak(layout, indices))
        return wanted


_OPEN_MESSAGES = 4


@dataclass
class _Heard:
    newest: int
    indices: set[int] = field(default_factory=set)
    asked: int = 0
