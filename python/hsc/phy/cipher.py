"""AES-256-GCM (NIST SP 800-38D) around a chunk of a digital stream; without a key the same call protects by
CRC-32 only.

Sealed with a key: 8 random bytes, ciphertext, 16-byte tag. The 12-byte nonce is the random bytes followed by
the chunk's index, so a chunk cannot be taken for another, and the index is not sent. Random bytes are drawn
for every chunk: one key serves 2^32 messages before two nonces of the same index are likely to be equal.
Sealed without a key: data, CRC-32 of index and data.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import HscError
from .crc import crc32

# Bytes of an AES-256 key.
KEY_BYTES = 32
# Bytes of the tag of GCM.
TAG_BYTES = 16
# Random bytes of a nonce; the chunk's index makes up the other 4 of its 12.
_RANDOM_BYTES = 8
# Bytes of the CRC-32 that stands in for encryption.
_CRC_BYTES = 4
# Authenticated with every chunk: a key that is used elsewhere, too, opens nothing here.
_ASSOCIATED = b"gr-hsc sealed chunk 1"
_HEX = re.compile(r"[0-9a-fA-F]{64}")
# Bytes read of a file that is to hold a key.
_LARGEST_KEY_FILE = 4096


def parse_key(text: str) -> bytes:
    """64 hexadecimal digits, or the name of a file that holds them → 32 bytes. Raises HscError, which never
    shows the key.
    """
    digits = text.strip()
    if not _HEX.fullmatch(digits):
        try:
            with Path(text).open("rb") as file:
                digits = file.read(_LARGEST_KEY_FILE).decode("ascii", "replace").strip()
        except (OSError, ValueError):
            raise HscError(
                "the key is neither 64 hexadecimal digits nor a readable file: give one of the two"
            ) from None
    if not _HEX.fullmatch(digits):
        raise HscError(
            "the key file does not hold exactly 64 hexadecimal digits: write them as one line of text"
        )
    return bytes.fromhex(digits)


def overhead(key: bytes | None) -> int:
    """Bytes that `seal` adds."""
    return _CRC_BYTES if key is None else _RANDOM_BYTES + TAG_BYTES


def seal(key: bytes | None, data: bytes, index: int) -> bytes:
    """Encrypt and authenticate a chunk; with key None add a CRC-32.

    Args:
        key: 32 bytes, or None.
        data: any bytes.
        index: place of the chunk in its message, 0…2^32−1; `unseal` needs the same.

    Raises:
        HscError: a key of another length.
    """
    place = index.to_bytes(4, "big")
    if key is None:
        return bytes(data) + crc32(place + bytes(data)).to_bytes(_CRC_BYTES, "big")
    random = os.urandom(_RANDOM_BYTES)
    return random + _cipher(key).encrypt(random + place, bytes(data), _ASSOCIATED)


def unseal(key: bytes | None, sealed: bytes, index: int) -> bytes:
    """Inverse of `seal`. Raises HscError when key, index or any bit is not what it was."""
    place, sealed = index.to_bytes(4, "big"), bytes(sealed)
    if len(sealed) < overhead(key):
        raise HscError(f"chunk {index} is cut short: nothing of it is used")
    if key is None:
        data = sealed[:-_CRC_BYTES]
        if crc32(place + data) != int.from_bytes(sealed[-_CRC_BYTES:], "big"):
            raise HscError(
                f"chunk {index} is damaged, or encrypted: give the transmitter's key if it has one"
            )
        return data
    try:
        return _cipher(key).decrypt(sealed[:_RANDOM_BYTES] + place, sealed[_RANDOM_BYTES:], _ASSOCIATED)
    except InvalidTag:
        raise HscError(
            f"chunk {index} does not open: it was altered, or the transmitter has another key"
        ) from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise HscError(
            f"an AES-256 key has {KEY_BYTES} bytes, not {len(key)}: `openssl rand -hex {KEY_BYTES}` makes one"
        )
    return AESGCM(key)
