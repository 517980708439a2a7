"""Our OFDM receiver against GNU Radio's `digital.ofdm_rx`, each as the only consumer of a flowgraph, on the
same samples.

The stream `mixed` holds bursts of both formats in turn, half of the samples each, so that both receivers
search the same samples and each decodes its own bursts. In `back to back` each receives nothing but its own
format: ours with the symbol of gap that belongs to a burst, the reference without a gap and with one. The
reference is `digital.ofdm_tx` at its defaults (64 carriers, CP 16, BPSK, CRC-32, no FEC), our bursts are
`ofdm64`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..phy.header import Header
from ..phy.ofdm import modulate, preset
from ..phy.packets import DEFAULT_PACKET_SYMBOLS, Packet
from .rows import Row

# The channel: Es/N0 [dB], at which both receivers lose next to nothing, and CFO [subcarriers].
SNR_DB = 15.0
CFO = 0.2
# Length of a stream: 3 s at 1 MS/s.
SAMPLES = 3_000_000
# Symbols of our longest packets, and bytes of the reference's: those of GNU Radio's example tx_ofdm.grc.
LONG_PACKET = 60_000
REFERENCE_BYTES = 96
# Runs of each case, in turn.
REPEATS = 5
REFERENCE = "digital.ofdm_rx"
# Samples of an OFDM symbol: 64 and a cyclic prefix of 16.
_SYMBOL = 80
_LENGTH_TAG = "packet_len"
# Samples of silence at the end, which flush the reference's filters.
_SILENCE = 1 << 16


@dataclass(frozen=True)
class Result:
    """Best rates of some runs and packets received in the worst of them.

    Attributes:
        rate: samples over wall time [MS/s].
        core_rate: samples over CPU time of all threads [MS/s]: what one core would do, and what a busy
            machine hardly changes.
        packets: packets received.
    """

    rate: float
    core_rate: float
    packets: int


def run() -> list[Row]:
    """Samples a second and packets received, back to back and mixed. Needs GNU Radio."""
    rng = np.random.default_rng(1)
    burst, long_burst = _our_burst(rng, DEFAULT_PACKET_SYMBOLS), _our_burst(rng, LONG_PACKET)
    frame = _reference_frame(rng)
    gap = np.zeros(_SYMBOL, np.complex64)
    frames_per_burst = len(burst) // (len(frame) + len(gap))
    mixed, rounds = _stream([burst, *[frame, gap] * frames_per_burst], rng)
    ours_only, bursts = _stream([burst], rng)
    reference_only, frames = _stream([frame], rng)
    reference_gap, gap_frames = _stream([frame, gap], rng)
    long_only, long_bursts = _stream([long_burst], rng)
    ours, ours_long, theirs, theirs_gap = _compare(
        (_ours, ours_only), (_ours, long_only), (_reference, reference_only), (_reference, reference_gap)
    )
    short, long = f"{DEFAULT_PACKET_SYMBOLS} symbols a packet", f"{LONG_PACKET} symbols a packet"
    rows = _rows(f"OFDM receiver, back to back, {short}", ours, theirs, bursts, frames)
    rows += _rows(f"OFDM receiver, back to back, {long}", ours_long, theirs, long_bursts, frames)
    rows += _rows(
        f"OFDM receiver, back to back, {short}, reference with a gap of a symbol",
        ours,
        theirs_gap,
        bursts,
        gap_frames,
    )
    ours, theirs = _compare((_ours, mixed), (_reference, mixed))
    return rows + _rows("OFDM receiver, mixed stream", ours, theirs, rounds, rounds * frames_per_burst)


def _rows(name: str, ours: Result, theirs: Result, sent: int, sent_reference: int) -> list[Row]:
    shares = ours.packets / sent, theirs.packets / sent_reference
    return [
        Row(name, "MS/s", ours.rate, theirs.rate, REFERENCE),
        Row(f"{name}, CPU time", "MS/s per core", ours.core_rate, theirs.core_rate, REFERENCE),
        Row(f"{name}, packets received", "share", *shares, REFERENCE),
    ]


def _our_burst(rng: np.random.Generator, size: int) -> np.ndarray:
    header = Header(codec=1, message_id=1, index=0, count=1, shape=(256, 256, 3), analog_symbols=size)
    symbols = (rng.standard_normal(size) + 1j * rng.standard_normal(size)) / np.sqrt(2)
    return modulate(Packet(header, symbols.astype(np.complex64)), preset("ofdm64"))


def _reference_frame(rng: np.random.Generator) -> np.ndarray:
    """One frame of `digital.ofdm_tx` with unit-power carriers."""
    from gnuradio import blocks, digital, gr

    data = rng.integers(0, 256, REFERENCE_BYTES).tolist()
    graph = gr.top_block()
    source = blocks.vector_source_b(data, False, 1, [])
    tagger = blocks.stream_to_tagged_stream(gr.sizeof_char, 1, REFERENCE_BYTES, _LENGTH_TAG)
    sink = blocks.vector_sink_c()
    graph.connect(source, tagger, digital.ofdm_tx(packet_length_tag_key=_LENGTH_TAG), sink)
    graph.run()
    frame = np.array(sink.data(), np.complex64)
    return frame * np.float32(np.sqrt(52 / 64 / np.mean(np.abs(frame) ** 2)))


def _stream(parts: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """The parts over and over, with CFO and noise at SNR_DB, and how many times."""
    unit = np.concatenate(parts)
    count = SAMPLES // len(unit)
    samples = np.concatenate([np.tile(unit, count), np.zeros(_SILENCE, np.complex64)])
    samples = samples * np.exp(2j * np.pi * CFO / 64 * np.arange(len(samples)))
    noise = rng.standard_normal((len(samples), 2)) @ np.array([1, 1j]) * np.sqrt(10 ** (-SNR_DB / 10) / 2)
    return (samples + noise).astype(np.complex64), count


def _compare(*cases: tuple[Callable[[np.ndarray], tuple[float, float, int]], np.ndarray]) -> list[Result]:
    """Run the cases in turn, REPEATS times."""
    runs = [[case(samples) for case, samples in cases] for _ in range(REPEATS)]
    columns = zip(*runs, strict=True)
    return [
        Result(
            *(len(samples) / min(times) / 1e6 for times in list(zip(*column, strict=True))[:2]),
            min(run[2] for run in column),
        )
        for column, (_, samples) in zip(columns, cases, strict=True)
    ]


def _ours(samples: np.ndarray) -> tuple[float, float, int]:
    """Wall and CPU seconds in the flowgraph, packets received."""
    from ..blocks.air import ofdm_receiver

    receiver = ofdm_receiver("ofdm64")
    return *_timed(samples, receiver), receiver.counters["packets"]


def _reference(samples: np.ndarray) -> tuple[float, float, int]:
    """Wall and CPU seconds in the flowgraph, packets received with a good CRC."""
    from gnuradio import blocks, digital

    receiver, sink = digital.ofdm_rx(packet_length_tag_key=_LENGTH_TAG), blocks.vector_sink_b()
    seconds = _timed(samples, receiver, sink)
    return *seconds, len(sink.data()) // REFERENCE_BYTES


def _timed(samples: np.ndarray, *consumers: object) -> tuple[float, float]:
    """Wall and CPU seconds from start to end of a flowgraph that feeds the samples to a chain of blocks."""
    from gnuradio import blocks, gr

    gr.logging().set_default_level(gr.log_levels.error)  # the reference reports every header it cannot read
    graph = gr.top_block()
    graph.connect(blocks.vector_source_c(samples), *consumers)
    wall, cpu = time.perf_counter(), time.process_time()
    graph.run()
    return time.perf_counter() - wall, time.process_time() - cpu
