"""Digital part of the HDA codecs: maps of integers, entropy coded region by region, sealed, and protected by
repair symbols and LDPC; what it costs in channel uses; and how it comes back.

The maps are int64 (rows, h/4, w/4), one entropy table a row; a region of 256 × 256 pixels is a chunk of the
stream, and behind the regions' there may be a chunk that serves the image as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...coding import budget, erasure
from ...coding.entropy import EntropyTables
from ...coding.protection import Protection
from ...coding.regions import Region, grid, regions
from ...errors import HscError
from ...message import DigitalStream, Link, ReceivedDigital, ReceivedMessage
from ...phy import digital, mcs
from ...phy.mcs import Mcs
from . import stream
from .options import HdaOptions
from .stream import OpenedParts, RegionPart

# LDPC code where the link names neither code nor MCS: images are 0.1 to 1 dB better than with 802.11ad at
# every SNR of 0 to 20 dB (`evaluate hda-limit`, `hda-fig4`).
CODE = "nr"
# Share of a message's channel uses that a digital part takes at least, typically.
LEAST_SHARE = 0.1
# Bytes that an entropy coder's last state takes, in each region: two words.
_CODER_BYTES = 8


@dataclass(frozen=True)
class Terms:
    """How a digital part is sent.

    Attributes:
        regions: of the image.
        key: 32 bytes, or None.
        protection: what its repair symbols are for.
        mcs: of the stream.
        block_bytes: of an LDPC block, which a repair symbol has too.
        block_uses: channel uses of a block.
    """

    regions: list[Region]
    key: bytes | None
    protection: Protection
    mcs: Mcs
    block_bytes: int
    block_uses: int

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        uses: int,
        link: Link,
        options: HdaOptions,
        share: float = LEAST_SHARE,
    ) -> Terms:
        """Those of an image (H, W, C) on a link, for a digital part that takes a share of so many channel
        uses at least: a long stream needs less margin. Raises HscError for an impossible link.
        """
        chosen = mcs.by_name(budget.mcs(link.with_code(CODE), uses=share * uses))
        block_bytes, block_uses = digital.payload_bytes_per_block(chosen), digital.symbols_per_block(chosen)
        where = regions(*shape[:2])
        protection = Protection.of(options.repair_share, link, chosen.name, uses)
        return cls(where, options.key, protection, chosen, block_bytes, block_uses)

    @property
    def overhead(self) -> int:
        """Bytes of the regions' chunks beyond the bits of their values, nearly."""
        count = len(self.regions)
        return self.beside(count) + _CODER_BYTES * count

    def uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes with repair symbols and LDPC."""
        protected = erasure.protected_bytes(n_bytes, self.protection, self.block_bytes)
        return -(-protected // self.block_bytes) * self.block_uses

    def room(self, uses: int, chunks: int) -> int:
        """Bytes of code that so many channel uses hold, in so many chunks."""
        whole = budget.bytes_in(uses, self.mcs.name)
        return erasure.source_room(whole, self.protection, self.block_bytes) - self.beside(chunks)

    def data_share(self, uses: int) -> float:
        """Share of the symbols that are data, where so many channel uses hold data and repair symbols."""
        source = (self.room(uses, 0) + self.beside(0)) // self.block_bytes
        if not source:
            return 1 - self.protection.share
        return source / (source + self.protection.repair_symbols(source))

    def beside(self, chunks: int) -> int:
        """Bytes of the stream beyond the code of so many chunks."""
        return stream.overhead(chunks, self.key)

    def price(self, coded: torch.Tensor, tables: EntropyTables, whole: bytes = b"") -> int:
        """Channel uses of maps, nearly, and of a chunk for the whole image."""
        more = self.overhead + len(whole)
        return self.uses(more + int(tables.bits(coded.flatten().numpy(), _rows(coded)) / 8))

    def codes(self, coded: torch.Tensor, tables: EntropyTables, whole: bytes = b"") -> list[bytes]:
        """Maps, and what serves the whole image → the code of each chunk."""
        parts = [coded[(slice(None), *region.latents)] for region in self.regions]
        codes = [tables.encode(part.flatten().numpy(), _rows(part)) for part in parts]
        return [*codes, whole] if whole else codes

    def length(self, codes: list[bytes]) -> int:
        """Bytes of the stream before repair symbols are added."""
        return self.beside(len(codes)) + sum(map(len, codes))

    def sealed(self, codes: list[bytes], first: list[int]) -> DigitalStream:
        """The codes of all chunks, and the place of each region's first analog value → the stream."""
        parts = [RegionPart(place, code) for place, code in zip([*first, 0], codes, strict=False)]
        plain = stream.seal(parts, self.key)
        return DigitalStream(erasure.protect(plain, self.protection, self.block_bytes), self.mcs.name)


@dataclass(frozen=True)
class Arrived:
    """A digital part as far as it arrived.

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


def receive(
    received: ReceivedMessage,
    source_bytes: int,
    key: bytes | None,
    tables: EntropyTables,
    rows: int,
    whole: bool = False,
) -> Arrived:
    """Repair, open and decode the digital part of a message, chunk by chunk.

    Args:
        received: the message; its digital part may hold anything.
        source_bytes: length of the stream before repair symbols were added.
        key: 32 bytes, or None.
        tables: entropy tables, one a row.
        rows: of the maps.
        whole: whether a chunk serves the image as a whole.
    """
    where = regions(*received.shape[:2])
    opened = _open(received.digital, source_bytes, key, len(where) + whole)
    coded, placed = torch.zeros((rows, *grid(*received.shape[:2])), dtype=torch.int64), []
    for region in where:
        if region.index not in opened.parts:
            continue
        part, target = opened.parts[region.index], coded[(slice(None), *region.latents)]
        try:
            values = tables.decode(part.code, _rows(target))
        except HscError:
            continue
        target.copy_(torch.from_numpy(values.astype(np.int64)).reshape(target.shape))
        placed.append((region, part.first))
    extra = opened.parts[len(where)].code if len(where) in opened.parts else None
    return Arrived(coded, placed, extra, opened.closed)


def _open(sent: tuple[ReceivedDigital, ...], source_bytes: int, key: bytes | None, count: int) -> OpenedParts:
    if not sent:
        return OpenedParts({}, 0)
    data, mask = sent[0].data[:source_bytes], np.asarray(sent[0].received)[:source_bytes]
    if sent[0].block_bytes and len(sent[0].data) > source_bytes:
        data, mask = erasure.recover(sent[0], source_bytes, sent[0].block_bytes)
    return stream.unseal(data, mask, count, key)


def _rows(coded: torch.Tensor) -> np.ndarray:
    """Number of each value's entropy table for maps (rows, down, across), flattened."""
    return np.repeat(np.arange(coded.shape[0]), coded[0].numel())
