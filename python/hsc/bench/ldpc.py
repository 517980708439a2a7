"""Our LDPC code and demapper against GNU Radio's, on the same soft bits, in CPU seconds: what one core does.

gr-fec's decoder takes the parameter `sigma` and forms likelihood ratios exp(−y / (2 sigma²)) (gr-fec 3.10.5,
awgn_bp). For symbols ±1 in noise of standard deviation σ that is right for sigma = σ / 2, so both are run:
sigma = σ, as its name suggests, and sigma = σ / 2. Even then products of likelihood ratios overflow now and
then, which is its error floor. Later GNU Radio versions dropped the parameter; there only one pair of rows is
made.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..phy import ldpc, qam
from .rows import Row

# What is measured: the code, at an Eb/N0 [dB] near its threshold, with as many iterations at most.
RATE = "1/2"
EBN0_DB = 2.5
ITERATIONS = 30
# Codewords through ours, and of how many one goes through GNU Radio's, which is slower.
WORDS = 8000
REFERENCE_SHARE = 8
# Runs of each, of which the fastest counts: the others waited for something else.
REPEATS = 3


def run(words: int = WORDS) -> list[Row]:
    """Encoder, decoder and demapper.

    `words` codewords go through ours, an eighth of them through GNU Radio's, best of three runs each. Needs
    GNU Radio.
    """
    code = ldpc.code(RATE)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        alist = Path(folder) / "code.alist"
        ldpc.write_alist(code.parity_check_matrix, alist)
        return [
            _encoder_row(code, alist, words, rng),
            *_decoder_rows(code, alist, words, rng),
            _demapper_row(100 * words, rng),
        ]


def _encoder_row(code: ldpc.Code, alist: Path, words: int, rng: np.random.Generator) -> Row:
    from gnuradio import fec

    bits = rng.integers(0, 2, (words, code.k), dtype=np.uint8)
    ours, _ = _cpu_seconds(lambda: code.encode(bits))
    part = bits[: words // REFERENCE_SHARE]
    theirs, _ = _flowgraph(fec.encoder(fec.ldpc_encoder_make(str(alist)), 1, 1), part)
    return Row(f"LDPC {RATE} encoder", "codewords/s", words / ours, len(part) / theirs, "gr-fec ldpc_encoder")


def _decoder_rows(code: ldpc.Code, alist: Path, words: int, rng: np.random.Generator) -> list[Row]:
    from gnuradio import fec

    # gr-fec orders the information bits in its own way, so its encoder makes the words and any codeword of H
    # serves ours
    bits = rng.integers(0, 2, (words, code.k), dtype=np.uint8)
    _, coded = _flowgraph(fec.encoder(fec.ldpc_encoder_make(str(alist)), 1, 1), bits)
    coded = coded.reshape(words, code.n)
    sigma = np.sqrt(code.n / code.k / 2) * 10 ** (-EBN0_DB / 20)
    soft = (1 - 2.0 * coded + sigma * rng.standard_normal(coded.shape)).astype(np.float32)

    llr = soft * np.float32(2 / sigma**2)
    ours, (decoded, _) = _cpu_seconds(lambda: code.decode(llr, ITERATIONS))
    our_ber = np.mean(decoded != coded[:, : code.k])
    part = words // REFERENCE_SHARE
    rows = []
    for label, value in (("sigma = σ / 2", sigma / 2), ("sigma = σ", sigma)):
        try:
            decoder = fec.ldpc_decoder.make(str(alist), float(value), ITERATIONS)
        except TypeError:  # GNU Radio 3.10.8 and later take LLRs and no sigma
            label, decoder = "LLR input", fec.ldpc_decoder.make(str(alist), ITERATIONS)
        scale = 2 / sigma**2 if label == "LLR input" else 1.0
        theirs, output = _flowgraph(fec.decoder(decoder, 4, 1), -soft[:part] * np.float32(scale))
        their_ber = np.mean(output.reshape(-1, code.k) != bits[:part])
        reference = f"gr-fec ldpc_decoder, {label}"
        name = f"LDPC {RATE} decoder, BPSK, Eb/N0 {EBN0_DB} dB, {ITERATIONS} iterations"
        rows.append(Row(name, "codewords/s", words / ours, part / theirs, reference))
        rows.append(Row(name, "bit error rate", our_ber, their_ber, reference))
        if label == "LLR input":
            break
    return rows


def _demapper_row(count: int, rng: np.random.Generator) -> Row:
    from gnuradio import digital

    symbols = (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(np.complex64)
    ours, _ = _cpu_seconds(lambda: qam.demodulate(symbols, 0.1, 4))
    constellation = digital.constellation_16qam().base()
    part = symbols[: count // REFERENCE_SHARE]
    theirs, _ = _flowgraph(digital.constellation_soft_decoder_cf(constellation), part)
    return Row(
        "16QAM demapper, LLRs",
        "Msymbols/s",
        len(symbols) / ours / 1e6,
        len(part) / theirs / 1e6,
        "digital.constellation_soft_decoder_cf",
    )


def _cpu_seconds(work: Callable) -> tuple[float, object]:
    """Least CPU time of three runs [s], and the result."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def _flowgraph(block, data: np.ndarray) -> tuple[float, np.ndarray]:
    """Least CPU time [s] of three runs of vector source → block → vector sink over the data, and what came
    out.
    """
    from gnuradio import blocks, gr

    # Soft bits come of complex symbols, bits of everything else.
    make_source, make_sink, result = {
        np.uint8: (blocks.vector_source_b, blocks.vector_sink_b, np.uint8),
        np.float32: (blocks.vector_source_f, blocks.vector_sink_b, np.uint8),
        np.complex64: (blocks.vector_source_c, blocks.vector_sink_f, np.float32),
    }[data.dtype.type]
    best = np.inf
    for _ in range(REPEATS):
        source, sink = make_source(data.ravel().tolist()), make_sink()
        top = gr.top_block()
        top.connect(source, block, sink)
        start = time.process_time()
        top.run()
        best = min(best, time.process_time() - start)
        top.disconnect_all()
    return best, np.array(sink.data(), dtype=result)
