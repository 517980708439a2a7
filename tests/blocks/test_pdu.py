"""The PDU schema: what is written is read back, what is wrong is refused with HscError and nothing else."""

import re
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np
import pmt
import pytest
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy.header import Header
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT

DOCUMENT = ROOT / "docs" / "pdu.md"
HEADER = Header(1, 7, 0, 2, (8, 12, 3), 100, 33000, (("QPSK-1/2", 40),), b"abcdefgh")


def complex_noise(count):
    rng = np.random.default_rng(count)
    return (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(np.complex64)


def examples():
    """One PDU of every kind, all keys set."""
    n, total = HEADER.payload_symbols, HEADER.analog_symbols
    variance = np.linspace(0.1, 1, n, dtype=np.float32)
    lost = np.where(np.arange(total) % 3, 0.1, np.inf).astype(np.float32)
    identity = {"message_id": 65535, "codec": "hsc", "shape": (8, 12, 3)}
    ones = np.ones(40, np.uint8)
    return [
        pdu.Image(0, (2, 3, 1), np.arange(6, dtype=np.uint8), "näme", 9.5, 3, 2, 0.25),
        pdu.Generated(1, (2, 3, 1), np.linspace(0, 1, 6, dtype=np.float32), 16, b"12345"),
        pdu.Generated(1, (2, 3, 1), np.zeros(0, np.float32)),
        pdu.Analog(
            **identity,
            values=np.arange(4, dtype=np.float32),
            parameters=b"12",
            noise_variance=lost[:4],
            snr_db=3.0,
        ),
        pdu.Features(
            **identity,
            values=np.arange(6, dtype=np.float32),
            parameters=b"1",
            variance=lost[:6],
            snr_db=3.0,
            packets=3,
            packets_received=2,
        ),
        pdu.Digital(
            **identity,
            data=ones,
            stream=2,
            streams=2,
            mcs="16QAM-1/2",
            parameters=b"",
            received_bytes=ones,
            lost_blocks=np.array([0, 5]),
            snr_db=1.0,
            packets=4,
            packets_received=1,
        ),
        pdu.Symbols(
            **identity,
            symbols=complex_noise(336 * 2),
            stream=1,
            streams=1,
            scale=5,
            mcs="QPSK-1/2",
            n_bytes=41,
        ),
        pdu.ReceivedSymbols(HEADER, complex_noise(total), lost, 0, 12.5, 1),
        pdu.ReceivedSymbols(HEADER, complex_noise(336), np.ones(336, np.float32), 1),
        pdu.Packet(HEADER, complex_noise(n), 0.5, 1),
        pdu.ReceivedPacket(HEADER, complex_noise(n), variance, 10.0, -7.5, 12.0, 1 << 40),
        pdu.Tick(123),
        pdu.Sent(HEADER, 2, 0.1),
        pdu.Snr(5, 9.75, 4, 3, 20, 1),
        pdu.Nak(HEADER, np.array([1], np.int32)),
        pdu.LinkSetting(9.75, "QPSK-1/2", 0.125, 30.0, 0.25, 0),
        pdu.Quality(3, 30.0, 0.001, 0.9, "kitten"),
        pdu.RadioStatus(
            "source", "soapy:driver=hackrf", 2e6, 1.5, 3_000_000, 4, 3, 2, 1, 65536, -3.0, -12.5, "it is gone"
        ),
        pdu.Failed("Message Mux", "a stream never came", 4),
        pdu.End(12.5),
    ]


def equal(a, b):
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("written", examples(), ids=lambda p: p.kind)
def test_round_trip(written):
    read = pdu.parse(written.to_pdu())
    assert type(read) is type(written)
    for f in fields(written):
        assert equal(getattr(read, f.name), getattr(written, f.name)), f.name


@pytest.mark.parametrize(
    ("item", "array"),
    [
        ("u8", np.arange(256, dtype=np.uint8)),
        ("s32", np.array([-(2**31), -1, 0, 2**31 - 1], np.int32)),
        ("f32", np.array([0, -1.5, np.inf, 1e-30], np.float32)),
        ("c32", complex_noise(100)),
        ("f32", np.zeros(0, np.float32)),
    ],
)
def test_vectors_are_those_of_the_pmt_binding(item, array):
    made = pdu.write_vector(array, item)
    assert pmt.equal(made, getattr(pmt, f"init_{item}vector")(len(array), array.tolist()))
    read = pdu.read_vector(made, item)
    assert read.dtype == array.dtype and np.array_equal(read, array) and read.flags.writeable
    assert list(read) == list(getattr(pmt, f"{item}vector_elements")(made))


def test_every_kind_has_an_example():
    assert {p.kind for p in examples()} == set(pdu.KINDS)


def with_key(message, key, value):
    return pmt.cons(pmt.dict_add(pmt.car(message), pmt.intern(key), value), pmt.cdr(message))


@pytest.mark.parametrize(
    ("kind", "key", "value", "says"),
    [
        ("image", "message_id", pmt.from_long(65536), "message_id: must be an integer from 0 to 65535"),
        ("image", "message_id", pmt.from_double(1.0), "message_id: must be an integer"),
        ("image", "shape", pmt.init_s32vector(3, [2, 3, 2]), "shape: must be height and width"),
        (
            "image",
            "shape",
            pmt.init_s32vector(3, [3, 3, 1]),
            "vector: must have height x width x channels items",
        ),
        ("image", "shape", pmt.init_s32vector(3, [1 << 30, 1 << 30, 3]), "shape: must be height and width"),
        ("image", "snr_db", pmt.from_double(float("nan")), "snr_db: must be a real number"),
        ("digital", "mcs", pmt.intern("1024QAM-9/8"), "mcs: is no MCS"),
        (
            "digital",
            "received_bytes",
            pmt.init_u8vector(1, [1]),
            "received_bytes: must have one item for each",
        ),
        ("packet", "header", pmt.init_u8vector(36, [0] * 36), "header: is no packet header"),
        ("received_symbols", "stream", pmt.from_long(2), "stream: the header has no such stream"),
        ("symbols", "n_bytes", pmt.from_long(10_000), "bytes at QPSK-1/2 are"),
        ("failed", "reason", pmt.from_long(1), "reason: must be a symbol"),
        (
            "nak",
            "header",
            pdu.header_key().write(replace(HEADER, index=1)),
            "vector: the message has no such packet",
        ),
        ("tick", "kind", pmt.intern("tock"), "set the key 'kind'"),
    ],
)
def test_wrong_values_are_refused_by_name(kind, key, value, says):
    written = next(p for p in examples() if p.kind == kind)
    with pytest.raises(HscError, match=re.escape(says)):
        pdu.parse(with_key(written.to_pdu(), key, value))


@pytest.mark.parametrize("written", examples(), ids=lambda p: p.kind)
def test_a_missing_key_is_named(written):
    for f in fields(written):
        meta, vector = pmt.car(written.to_pdu()), pmt.cdr(written.to_pdu())
        if "payload" in f.metadata:
            with pytest.raises(HscError, match="vector: must be a vector of"):
                pdu.parse(pmt.cons(meta, pmt.PMT_NIL))
        elif f.default is f.default_factory:
            with pytest.raises(HscError, match=f"{f.name}: is missing"):
                pdu.parse(pmt.cons(pmt.dict_delete(meta, pmt.intern(f.name)), vector))


KEYS = sorted({f.name for cls in pdu.KINDS.values() for f in fields(cls)} | {"kind"})
atoms = st.one_of(
    st.integers(-(2**62), 2**62).map(pmt.from_long),
    st.floats().map(pmt.from_double),
    st.booleans().map(pmt.from_bool),
    st.sampled_from([*pdu.KINDS, "QPSK-1/2", "hsc", ""]).map(pmt.intern),
    st.just(pmt.PMT_NIL),
    st.just(pmt.PMT_EOF),
    st.binary(max_size=48).map(lambda b: pmt.init_u8vector(len(b), list(b))),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4).map(lambda v: pmt.init_s32vector(len(v), v)),
    st.lists(st.floats(width=32), max_size=8).map(lambda v: pmt.init_f32vector(len(v), v)),
    st.lists(st.complex_numbers(max_magnitude=1e30), max_size=8).map(lambda v: pmt.init_c32vector(len(v), v)),
    st.complex_numbers().map(lambda c: pmt.from_complex(c.real, c.imag)),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: pmt.cons(*t)), inner.map(lambda v: pmt.make_vector(2, v))
    ),
    max_leaves=6,
)


@st.composite
def damaged(draw):
    """A valid PDU with some keys replaced or removed, and perhaps another vector."""
    message = draw(st.sampled_from(examples())).to_pdu()
    meta, vector = pmt.car(message), pmt.cdr(message)
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        meta = (
            pmt.dict_delete(meta, pmt.intern(key))
            if draw(st.booleans())
            else pmt.dict_add(meta, pmt.intern(key), draw(values))
        )
    return pmt.cons(meta, draw(values) if draw(st.booleans()) else vector)


@settings(max_examples=600, deadline=None)
@given(st.one_of(values, damaged(), st.tuples(values, values).map(lambda t: pmt.cons(*t))))
def test_any_pmt_is_parsed_or_refused(message):
    try:
        parsed = pdu.parse(message)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert type(parsed) in pdu.KINDS.values()
        pdu.parse(parsed.to_pdu())


def test_a_kind_of_ones_own_is_parsed_and_no_name_is_taken_twice(monkeypatch):
    monkeypatch.setattr(pdu, "KINDS", dict(pdu.KINDS))

    @dataclass(frozen=True)
    class Counted(pdu.Pdu):
        kind: ClassVar[str] = "counted"
        count: int = field(metadata={"key": pdu.integer(0, 9)})

    assert pdu.parse(Counted(7).to_pdu()) == Counted(7)
    with pytest.raises(HscError, match="PDU kind 'tick' already"):
        type("Tock", (pdu.Pdu,), {"kind": "tick"})


def test_documentation_has_every_kind_and_key():
    text = DOCUMENT.read_text()
    sections = {m[1]: m[2] for m in re.finditer(r"### `(\w+)`(.*?)(?=\n### |\n## |\Z)", text, re.S)}
    assert set(sections) == set(pdu.KINDS)
    for kind, cls in pdu.KINDS.items():
        documented = set(re.findall(r"^\| `(\w+)` ", sections[kind], re.M))
        assert documented == {f.name for f in fields(cls) if "key" in f.metadata}, kind
