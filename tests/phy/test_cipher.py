"""Sealed chunks: the primitive against published vectors, every change detected, one path with and without a
key.
"""

import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import cipher
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = bytes(range(32))
keys = st.sampled_from([None, KEY])


@pytest.mark.parametrize(
    ("key", "nonce", "plain", "associated", "expected"),
    [  # AES-256 cases 13, 14 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00" * 32,
            "00" * 12,
            "00" * 16,
            "",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ],
)
def test_the_primitive_is_aes_256_gcm(key, nonce, plain, associated, expected):
    made = cipher._cipher(bytes.fromhex(key)).encrypt(
        bytes.fromhex(nonce), bytes.fromhex(plain), bytes.fromhex(associated)
    )
    assert made.hex() == expected


def test_layout():
    """8 random bytes, then GCM with the nonce (random, index): what another program would have to write."""
    random, data = b"\x01" * 8, b"a region of an image"
    theirs = random + AESGCM(KEY).encrypt(random + b"\0\0\0\7", data, b"gr-hsc sealed chunk 1")
    assert cipher.unseal(KEY, theirs, 7) == data
    assert len(cipher.seal(KEY, data, 7)) - len(data) == cipher.overhead(KEY) == 24
    assert cipher.seal(None, b"123456789", 0)[:9] == b"123456789" and cipher.overhead(None) == 4


@given(key=keys, data=st.binary(max_size=200), index=st.integers(0, 2**32 - 1))
def test_round_trip(key, data, index):
    assert cipher.unseal(key, cipher.seal(key, data, index), index) == data


@pytest.mark.parametrize("key", [None, KEY])
def test_every_flipped_bit_is_detected(key):
    sealed = np.frombuffer(cipher.seal(key, bytes(range(40)), 3), np.uint8)
    for bit in range(sealed.size * 8):
        flipped = sealed.copy()
        flipped[bit // 8] ^= 128 >> bit % 8
        with pytest.raises(HscError):
            cipher.unseal(key, flipped.tobytes(), 3)


@pytest.mark.parametrize(("sealing", "opening"), [(KEY, KEY[::-1]), (KEY, None), (None, KEY)])
def test_another_key_opens_nothing(sealing, opening):
    with pytest.raises(HscError):
        cipher.unseal(opening, cipher.seal(sealing, b"secret" * 9, 0), 0)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_chunk_cannot_take_the_place_of_another(key):
    with pytest.raises(HscError):
        cipher.unseal(key, cipher.seal(key, b"left half", 0), 1)


def test_equal_data_is_never_sealed_alike():
    assert len({cipher.seal(KEY, b"sky", 0) for _ in range(50)}) == 50


@settings(max_examples=200)
@given(key=keys, sealed=st.binary(max_size=60), index=st.integers(0, 2**32 - 1))
def test_received_bytes_are_refused_in_one_line(key, sealed, index):
    try:
        cipher.unseal(key, sealed, index)
    except HscError as error:
        assert len(str(error).splitlines()) == 1
    else:  # a CRC-32 that happens to be right; no random tag ever is
        assert key is None


def test_keys_from_digits_and_files(tmp_path):
    key = os.urandom(32)
    (tmp_path / "key").write_text(key.hex().upper() + "\n")
    assert cipher.parse_key(key.hex()) == cipher.parse_key(str(tmp_path / "key")) == key and len(key) == 32
    (tmp_path / "short").write_text("abc")
    for wrong in (key.hex()[:-1], "", "no/such/file", str(tmp_path / "short"), str(tmp_path), "a\0b"):
        with pytest.raises(HscError) as raised:
            cipher.parse_key(wrong)
        assert key.hex()[:8] not in str(raised.value)


def test_a_key_has_32_bytes():
    with pytest.raises(HscError, match="32 bytes"):
        cipher.seal(b"short", b"", 0)
