"""Codes of HEVC stills as no transmitter makes them."""

from gnuradio.hsc.phy.crc import crc32


def altered(code: bytes, place: int, value: int, cut: int) -> bytes:
    """A code with another byte somewhere and its last bytes cut off, whose CRC is right."""
    body = bytearray(code[4:])
    body[place % len(body)] = value
    kept = bytes(body[: len(body) - cut])
    return crc32(kept).to_bytes(4, "big") + kept
