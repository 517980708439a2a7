"""PDUs: one of every kind, and damaged ones."""

from dataclasses import fields

import numpy as np
import pmt
from gnuradio.hsc.blocks import pdu, pdu_base
from gnuradio.hsc.phy.header import Header
from hypothesis import strategies as st

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
        pdu.Image(
            0,
            (2, 3, 1),
            np.arange(6, dtype=np.uint8),
            "näme",
            9.5,
            3,
            2,
            0.25,
            error=np.ones(16, np.float32),
            region=np.ones(1, np.uint8),
        ),  # fmt: skip
        pdu.Region(np.array([8, 16, 24, 32], np.int32), 5),
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
        pdu.LinkSetting(9.75, 8.25, 0.125, 30.0, 0.25, 0),
        pdu.Quality(3, 30.0, 0.001, 0.9, "kitten", 0.25, 0.375, 0.125),
        pdu.RadioStatus(
            "source", "soapy:driver=hackrf", 2e6, 1.5, 3_000_000, 4, 3, 2, 1, 65536, -3.0, -12.5, "it is gone"
        ),
        pdu.Failed("Message Mux", "a stream never came", 4),
        pdu.End(12.5),
    ]


KEYS = sorted({f.name for cls in pdu_base.KINDS.values() for f in fields(cls)} | {"kind"})
atoms = st.one_of(
    st.integers(-(2**62), 2**62).map(pmt.from_long),
    st.floats().map(pmt.from_double),
    st.booleans().map(pmt.from_bool),
    st.sampled_from([*pdu_base.KINDS, "QPSK-1/2", "hsc", ""]).map(pmt.intern),
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
