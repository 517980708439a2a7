"""The PDU schema: what is written is read back, what is wrong is refused with HscError and nothing else."""

import re
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np
import pmt
import pytest
from gnuradio.hsc.blocks import pdu, pdu_base, pdu_keys
from gnuradio.hsc.errors import HscError
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT
from support.pdus import HEADER, complex_noise, damaged, examples, values

DOCUMENT = ROOT / "docs" / "pdu.md"


def equal(a, b):
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("written", examples(), ids=lambda p: p.kind)
def test_round_trip(written):
    read = pdu_base.parse(written.to_pdu())
    assert type(read) is type(written)
    for f in fields(written):
        assert equal(getattr(read, f.name), getattr(written, f.name)), f.name


def test_texts_of_what_was_received_are_bounded(monkeypatch):
    """GNU Radio never forgets a symbol. Names of one's own files are not concerned."""
    monkeypatch.setattr(pdu_keys, "_MOST_TEXTS", 3)
    monkeypatch.setattr(pdu_keys, "_texts", set())
    bounded, free = pdu_keys.text_key(40, bounded=True), pdu_keys.text_key(40)
    texts = [f"{n} x {n} pixels" for n in range(5)] + ["kind a", "kind b", "kind c", "0 x 0 pixels"]
    assert [pmt.symbol_to_string(bounded.write(text)) for text in texts] == [
        "0 x 0 pixels", "1 x 1 pixels", "2 x 2 pixels", "… x … pixels", "… x … pixels",
        "kind a", "kind b", "too many different texts", "0 x 0 pixels",
    ]  # fmt: skip
    assert pmt.symbol_to_string(free.write("9 x 9 pixels")) == "9 x 9 pixels"


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
    made = pdu_keys.write_vector(array, item)
    assert pmt.equal(made, getattr(pmt, f"init_{item}vector")(len(array), array.tolist()))
    read = pdu_keys.read_vector(made, item)
    assert read.dtype == array.dtype and np.array_equal(read, array) and read.flags.writeable
    assert list(read) == list(getattr(pmt, f"{item}vector_elements")(made))


def test_every_kind_has_an_example():
    assert {p.kind for p in examples()} == set(pdu_base.KINDS)


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
        pdu_base.parse(with_key(written.to_pdu(), key, value))


@pytest.mark.parametrize("written", examples(), ids=lambda p: p.kind)
def test_a_missing_key_is_named(written):
    for f in fields(written):
        meta, vector = pmt.car(written.to_pdu()), pmt.cdr(written.to_pdu())
        if "payload" in f.metadata:
            with pytest.raises(HscError, match="vector: must be a vector of"):
                pdu_base.parse(pmt.cons(meta, pmt.PMT_NIL))
        elif f.default is f.default_factory:
            with pytest.raises(HscError, match=f"{f.name}: is missing"):
                pdu_base.parse(pmt.cons(pmt.dict_delete(meta, pmt.intern(f.name)), vector))


@settings(max_examples=600, deadline=None)
@given(st.one_of(values, damaged(), st.tuples(values, values).map(lambda t: pmt.cons(*t))))
def test_any_pmt_is_parsed_or_refused(message):
    try:
        parsed = pdu_base.parse(message)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert type(parsed) in pdu_base.KINDS.values()
        pdu_base.parse(parsed.to_pdu())


def test_a_kind_of_ones_own_is_parsed_and_no_name_is_taken_twice(monkeypatch):
    monkeypatch.setattr(pdu_base, "KINDS", dict(pdu_base.KINDS))

    @dataclass(frozen=True)
    class Counted(pdu.Pdu):
        kind: ClassVar[str] = "counted"
        count: int = field(metadata={"key": pdu.integer(0, 9)})

    assert pdu_base.parse(Counted(7).to_pdu()) == Counted(7)
    with pytest.raises(HscError, match="PDU kind 'tick' already"):
        type("Tock", (pdu.Pdu,), {"kind": "tick"})


def test_documentation_has_every_kind_and_key():
    text = DOCUMENT.read_text()
    sections = {m[1]: m[2] for m in re.finditer(r"### `(\w+)`(.*?)(?=\n### |\n## |\Z)", text, re.S)}
    assert set(sections) == set(pdu_base.KINDS)
    for kind, cls in pdu_base.KINDS.items():
        documented = set(re.findall(r"^\| `(\w+)` ", sections[kind], re.M))
        assert documented == {f.name for f in fields(cls) if "key" in f.metadata}, kind
