"""Channel-use ledger: what every complex channel use of a message is spent on.

A channel use is one carrier of one OFDM symbol. Samples that carry no new symbol (cyclic prefix, preamble,
gap) are counted in the same currency: a burst of n samples occupies n · used carriers / n_fft channel uses,
because guard carriers are left empty. The kinds sum to that figure exactly (they are fractions), so nothing
is counted twice and nothing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction

from ..message import MAX_PARAMETER_BYTES
from . import digital
from .header import HEADER_BYTES, HEADER_SYMBOLS, Header
from .mcs import TABLE
from .numerology import PREAMBLE_SYMBOLS, Numerology

# Bytes of a header that say the scale of the analog stream.
_SCALE_BYTES = 2
# Share of a header that the codec's receiver needs.
_SIDE_SHARE = Fraction(MAX_PARAMETER_BYTES + _SCALE_BYTES, HEADER_BYTES)


@dataclass(frozen=True)
class Ledger:
    """Complex channel uses of one message, by kind, all packets together.

    Attributes:
        analog: analog symbols.
        digital: information bits of the digital streams.
        fec: LDPC parity.
        crc: CRCs of the code blocks.
        block_padding: spare bits of the code blocks.
        side_information: the part of the headers that the codec needs (parameters and scale), with its share
            of coding.
        header: the rest of the headers, with padding up to whole OFDM symbols.
        symbol_padding: empty carriers of each packet's last OFDM symbol.
        pilots, preamble, cyclic_prefix, gap: the air interface. The cyclic prefix is that of header and
            payload symbols; the preamble's own is part of the preamble.
    """

    analog: Fraction = Fraction(0)
    digital: Fraction = Fraction(0)
    fec: Fraction = Fraction(0)
    crc: Fraction = Fraction(0)
    block_padding: Fraction = Fraction(0)
    side_information: Fraction = Fraction(0)
    header: Fraction = Fraction(0)
    symbol_padding: Fraction = Fraction(0)
    pilots: Fraction = Fraction(0)
    preamble: Fraction = Fraction(0)
    cyclic_prefix: Fraction = Fraction(0)
    gap: Fraction = Fraction(0)

    @property
    def payload(self) -> Fraction:
        """Channel uses of the streams: analog symbols and whole LDPC blocks."""
        return self.analog + self.digital + self.fec + self.crc + self.block_padding

    @property
    def total(self) -> Fraction:
        """All channel uses."""
        return sum((getattr(self, f.name) for f in fields(self)), Fraction(0))

    def cbr(self, shape: tuple[int, int, int]) -> float:
        """Payload channel uses / (C·H·W) for an image of shape (H, W, C)."""
        h, w, c = shape
        return float(self.payload / (h * w * c))

    def cbr_with_overhead(self, shape: tuple[int, int, int]) -> float:
        """All channel uses / (C·H·W) for an image of shape (H, W, C)."""
        h, w, c = shape
        return float(self.total / (h * w * c))

    def as_dict(self) -> dict[str, float]:
        """Every kind, `payload` and `total` as floats, for JSON."""
        kinds = {f.name: float(getattr(self, f.name)) for f in fields(self)}
        return {**kinds, "payload": float(self.payload), "total": float(self.total)}

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @classmethod
    def of_message(cls, header: Header, numerology: Numerology) -> Ledger:
        """Ledger of the whole message that `header` describes, sent as OFDM bursts of `numerology`."""
        return sum((_stream(name, n) for name, n in header.digital), _air(header, numerology))


def _stream(name: str, n_bytes: int) -> Ledger:
    """Channel uses of a digital stream, without air interface."""
    mcs = TABLE[name]
    account = digital.account(n_bytes, name)
    spare = account.data - 8 * n_bytes

    def uses(bits: int) -> Fraction:
        return Fraction(bits, mcs.bits_per_symbol)

    return Ledger(
        digital=uses(8 * n_bytes),
        fec=uses(account.fec),
        crc=uses(account.crc),
        block_padding=uses(account.padding + spare),
    )


def _air(header: Header, numerology: Numerology) -> Ledger:
    """Analog symbols and everything that the air interface adds, all packets together."""
    payloads = [replace(header, index=i).payload_symbols for i in range(header.count)]
    rows = sum(numerology.payload_rows(n) for n in payloads)
    header_rows = header.count * numerology.header_symbols
    side = header.count * HEADER_SYMBOLS * _SIDE_SHARE
    air = Ledger(
        analog=Fraction(header.analog_symbols),
        side_information=side,
        header=header_rows * numerology.data - side,
        symbol_padding=Fraction(rows * numerology.data - sum(payloads)),
        pilots=Fraction((rows + header_rows) * numerology.pilots),
        preamble=_uses(header.count * PREAMBLE_SYMBOLS * numerology.symbol, numerology),
        cyclic_prefix=_uses((rows + header_rows) * numerology.cp, numerology),
    )
    samples = sum(numerology.burst_length(n) for n in payloads)
    accounted = air.total - air.analog + sum(payloads)
    return replace(air, gap=_uses(samples, numerology) - accounted)


def _uses(samples: int, numerology: Numerology) -> Fraction:
    """Samples in channel uses: the guard carriers are not occupied."""
    return Fraction(samples * numerology.used, numerology.n_fft)
