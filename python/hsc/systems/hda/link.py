"""What the HDA codecs share around their networks: options, header parameters, the split of the channel uses,
and the digital stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...codecs.contract import Codec
from ...coding import budget, erasure, whitening
from ...coding.entropy import EntropyTables
from ...errors import HscError
from ...message import Base, DigitalStream, Link, Message, ReceivedMessage
from ...phy import digital
from ...phy import mcs as mcs_table
from ...phy.adaptation import LinkSetting
from . import analog_part, models
from . import network as hda
from . import stream as hda_stream
from .analog_part import Selection
from .options import HdaOptions
from .regions import Region, grid, regions
from .stream import RegionPart

ONE_WAY_SNR_DB = 10.0  # that the analog gains are made for when nothing is known of the link
MOST_BYTES = (1 << 22) - 1  # of a digital part before repair
CODER_BYTES = 8  # of an entropy coder's end, per region
LARGEST_SHARE = 0.9  # of the channel uses that the digital part may take when no DA ratio limits it


@dataclass(frozen=True)
class HdaParameters:
    """What every packet header says: profile and quality (a byte), the selection (two int16), fineness of the
    activity (2 bits), and the length of the digital part before repair (22 bits)."""

    profile: int
    quality: int
    fineness: int
    selection: Selection
    source_bytes: int

    def pack(self) -> bytes:
        """8 bytes."""
        numbers = np.array([self.selection.threshold, self.selection.water], ">i2").tobytes()
        return (
            bytes([self.profile << 4 | self.quality])
            + numbers
            + (self.fineness << 22 | self.source_bytes).to_bytes(3, "big")
        )

    @classmethod
    def unpack(cls, data: bytes) -> HdaParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        if len(data) < 8 or data[0] >> 4 >= len(models.PROFILES) or data[0] & 15 >= hda.QUALITIES:
            raise HscError(
                "the HDA parameters in the header are not possible: the packet comes from a newer version, update this receiver"
            )
        threshold, water = np.frombuffer(data[1:5], ">i2").tolist()
        last = int.from_bytes(data[5:8], "big")
        return cls(data[0] >> 4, data[0] & 15, last >> 22, Selection(threshold, water), last & MOST_BYTES)


@dataclass(frozen=True)
class Budget:
    """Channel uses of a message, and how its digital part is sent."""

    uses: int
    mcs: mcs_table.Mcs
    snr_db: float
    options: HdaOptions
    count: int

    @property
    def most_digital(self) -> int:
        """Channel uses that the DA ratio leaves to the digital part."""
        ratio = self.options.da_ratio
        return int(self.uses * (ratio / (1 + ratio) if ratio else LARGEST_SHARE))

    @property
    def fineness(self) -> int:
        """Fineness of the activity that suits the price of a bit: where a search begins."""
        return 0 if self.mcs.bits_per_use >= 3 else 1 if self.mcs.bits_per_use >= 1 else 2

    @property
    def overhead(self) -> int:
        """Bytes of the digital part beyond the codec's own."""
        return hda_stream.overhead(self.count, self.options.key)

    def digital_uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes with repair symbols and LDPC."""
        size = digital.payload_bytes_per_block(self.mcs)
        return digital.symbol_count(
            erasure.protected_bytes(n_bytes, self.options.repair_share, size), self.mcs
        )

    def values_beside(self, digital_uses: int) -> int:
        """Analog values that fit beside the digital part; whitening fills up each region's last group."""
        return 2 * (self.uses - digital_uses) - self.count * whitening.GROUP

    def protect(self, data: bytes) -> bytes:
        """The digital part with its repair symbols."""
        return erasure.protect(data, self.options.repair_share, digital.payload_bytes_per_block(self.mcs))


def make_budget(shape: tuple[int, int, int], uses: int, link: Link, options: HdaOptions) -> Budget:
    """The budget of an image (H, W, C) that may take so many channel uses of a link. Raises HscError for an
    impossible link.
    """
    snr_db = ONE_WAY_SNR_DB if link.snr_db is None else link.snr_db
    chosen = mcs_table.by_name(budget.mcs(link))
    return Budget(uses, chosen, snr_db, options, len(regions(*shape[:2])))


@dataclass(frozen=True)
class Split:
    """z split in two at one quality.

    Attributes:
        quality: of the digital part.
        fineness: of the activity.
        coded: int64 (rows, h/4, w/4), what is entropy coded, one table a row.
        features: float (120, h, w), u = C(z_A).
        log_power: int64 (120, h, w), what both ends know of the power of u.
        whole: bytes that serve the image as a whole; a chunk of their own.
    """

    quality: int
    fineness: int
    coded: torch.Tensor
    features: torch.Tensor
    log_power: torch.Tensor
    whole: bytes = b""


def table_rows(coded: torch.Tensor) -> np.ndarray:
    """Number of each value's entropy table for maps (rows, down, across), flattened."""
    return np.repeat(np.arange(coded.shape[0]), coded[0].numel())


def expected(split: Split, tables: EntropyTables, at: Budget) -> tuple[int, Selection, float]:
    """Channel uses of a split's digital part, nearly; the selection of analog values beside it; the error
    that the tables predict.
    """
    bits = tables.bits(split.coded.flatten().numpy(), table_rows(split.coded))
    uses = at.digital_uses(int(bits / 8) + len(split.whole) + at.overhead + CODER_BYTES * at.count)
    selection = analog_part.select(split.log_power, at.values_beside(uses), at.snr_db)
    return uses, selection, analog_part.expected_error(split.log_power, selection, at.snr_db)


def message(
    codec: str,
    shape: tuple[int, int, int],
    profile: int,
    split: Split,
    selection: Selection,
    tables: EntropyTables,
    at: Budget,
) -> Message:
    """A split → the message, within the budget. Raises `budget.TooFew` when the digital part alone is beyond
    it.
    """
    plain, values = _code(split, selection, tables, regions(*shape[:2]), at.options.key)
    uses = at.digital_uses(len(plain))
    if len(values) > 2 * (at.uses - uses):  # the digital part came out longer than foreseen
        selection = analog_part.select(split.log_power, at.values_beside(uses), at.snr_db)
        plain, values = _code(split, selection, tables, regions(*shape[:2]), at.options.key)
    if uses > at.uses:
        raise budget.TooFew(f"{at.uses} channel uses are too few for {codec} at {at.mcs.name}", uses)
    if len(plain) > MOST_BYTES:
        raise HscError(
            f"the digital part of {codec} has {len(plain)} bytes, and {MOST_BYTES} are the most: give a smaller CBR or image"
        )
    parameters = HdaParameters(profile, split.quality, split.fineness, selection, len(plain)).pack()
    return Message(codec, shape, parameters, values, (DigitalStream(at.protect(plain), at.mcs.name),))


def _code(
    split: Split, selection: Selection, tables: EntropyTables, where: list[Region], key: bytes | None
) -> tuple[bytes, np.ndarray]:
    values, first = analog_part.gather(split.features, split.log_power, selection, where)
    parts = []
    for region, place in zip(where, first, strict=True):
        part = split.coded[(slice(None), *region.latents)]
        parts.append(RegionPart(place, tables.encode(part.flatten().numpy(), table_rows(part))))
    if split.whole:
        parts.append(RegionPart(0, split.whole))
    return hda_stream.seal(parts, key), values


@dataclass(frozen=True)
class Arrived:
    """The digital part as far as it arrived.

    Attributes:
        coded: int64 (rows, h/4, w/4), zeros where unknown.
        placed: regions that are known, with the place of their first analog value.
        whole: the chunk that serves the whole image; None when it did not come.
        closed: chunks that came and did not open: altered, or another key.
    """

    coded: torch.Tensor
    placed: list[tuple[Region, int]]
    whole: bytes | None
    closed: int


def arrived(
    received: ReceivedMessage,
    parameters: HdaParameters,
    key: bytes | None,
    rows: int,
    tables: EntropyTables,
    whole: bool,
) -> Arrived:
    """Open and decode the digital part, chunk by chunk; `whole` says whether one serves the image as a whole."""
    where = regions(*received.shape[:2])
    opened = _open(received, key, parameters, len(where) + whole)
    coded, placed = torch.zeros((rows, *grid(*received.shape[:2])), dtype=torch.int64), []
    for region in where:
        if region.index not in opened.parts:
            continue
        target = coded[(slice(None), *region.latents)]
        try:
            values = tables.decode(opened.parts[region.index].code, table_rows(target))
        except HscError:
            continue
        target.copy_(torch.from_numpy(values.astype(np.int64)).reshape(target.shape))
        placed.append((region, opened.parts[region.index].first))
    extra = opened.parts[len(where)].code if len(where) in opened.parts else None
    return Arrived(coded, placed, extra, opened.closed)


def _open(
    received: ReceivedMessage, key: bytes | None, parameters: HdaParameters, count: int
) -> hda_stream.OpenedParts:
    if not received.digital:
        return hda_stream.OpenedParts({}, 0)
    stream = received.digital[0]
    if stream.block_bytes and len(stream.data) > parameters.source_bytes:
        data, mask = erasure.recover(stream, parameters.source_bytes, stream.block_bytes)
    else:
        data, mask = (
            stream.data[: parameters.source_bytes],
            np.asarray(stream.received)[: parameters.source_bytes],
        )
    return hda_stream.unseal(data, mask, count, key)


@dataclass(frozen=True)
class Fused:
    """ẑ and the variance of its error, float (120, h, w); `lost` regions are unknown in it, `closed` chunks
    came and did not open.
    """

    z: torch.Tensor
    variance: torch.Tensor
    lost: int = 0
    closed: int = 0


def fuse(
    base: torch.Tensor,
    log_power: torch.Tensor,
    placed: list[tuple[Region, int]],
    received: ReceivedMessage,
    selection: Selection,
    network: hda.HdaNetwork,
) -> Fused:
    """Eqs. (8) and (16): z̃ (120, h, w) and the analog values → ẑ; regions that are not in `placed` are
    unknown.
    """
    z, variance = (
        torch.zeros_like(base),
        hda.analog_layer(log_power, selection.threshold, selection.water).power,
    )
    if received.analog is not None:
        estimate, variance = analog_part.scatter(received.analog, log_power, selection, placed)
        z = network.channel_decode(estimate[None])[0]
    known = torch.zeros(base.shape[1:], dtype=torch.bool)
    for region, _ in placed:
        known[region.tokens] = True
    prior = network.deviation.square()[:, None, None]
    lost = len(regions(*received.shape[:2])) - len(placed)
    return Fused(torch.where(known, base + z, 0.0), torch.where(known, variance, prior), lost)


def notices(closed: int) -> tuple[str, ...]:
    """What the receiver's user should know of chunks that came and did not open."""
    return (f"{closed} chunks do not open: they were altered, or the key is another",) if closed else ()


class HdaCodec(Codec):
    """What the HDA codecs have in common as codecs: options, and what they say of a message."""

    Options = HdaOptions
    base = Base("digital", "digital base")
    without_losses = {"repair_share": 0.03}

    def adapted(self, setting: LinkSetting) -> HdaCodec:
        """With the setting's share of repair symbols."""
        return self if setting.repair_share is None else self.with_options(repair_share=setting.repair_share)

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Quality of the digital part, 0 the finest; fineness of the activity; bytes of the digital part
        before repair.
        """
        known = HdaParameters.unpack(parameters)
        return {
            "quality": known.quality,
            "fineness": known.fineness,
            "source_bytes": known.source_bytes,
            "profile": known.profile,
        }
