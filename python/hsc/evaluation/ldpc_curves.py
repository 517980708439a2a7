"""Error rates of the LDPC codes and the thresholds of the MCS table, measured on AWGN.

    PYTHONPATH=python python -m hsc.evaluation.ldpc_curves

writes results/ldpc_curves.json (about three minutes of one core). `phy/mcs.py` holds the thresholds that it found, rounded up to 0.1 dB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ..phy import digital, ldpc, mcs

RESULT = Path(__file__).parent / "results" / "ldpc_curves.json"
CURVE_EBN0_DB = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
LARGEST_RUN = 40_000
ENOUGH_ERRORS = 200
TARGET = 1e-2


def bpsk_point(rate: str, ebn0_db: float, seed: int = 1) -> dict:
    """BER and FER of the information bits with BPSK at an Eb/N0 [dB], 30 iterations; ends after 200 wrong words or 40 000 words."""
    code = ldpc.code(rate)
    rng = np.random.default_rng(seed)
    sigma = np.float32(np.sqrt(code.n / code.k / 2) * 10 ** (-ebn0_db / 20))
    words = bit_errors = word_errors = 0
    while words < LARGEST_RUN and word_errors < ENOUGH_ERRORS:
        bits = rng.integers(0, 2, (2000, code.k), dtype=np.uint8)
        soft = 1 - 2 * code.encode(bits).astype(np.float32) + sigma * rng.standard_normal((2000, code.n), dtype=np.float32)
        wrong = code.decode(soft * (2 / sigma**2))[0] != bits
        words += len(bits)
        bit_errors += int(np.count_nonzero(wrong))
        word_errors += int(np.count_nonzero(wrong.any(axis=1)))
    return dict(rate=rate, ebn0_db=ebn0_db, ber=bit_errors / words / code.k, fer=word_errors / words, words=words)


def block_error_rate(name: str, snr_db: float, blocks: int = 6000, seed: int = 2) -> float:
    """Share of the blocks of an MCS lost on AWGN at Es/N0 [dB], through `phy.digital` with max-log LLRs."""
    rng = np.random.default_rng(seed)
    data = rng.bytes(blocks * digital.payload_bytes_per_block(name))
    symbols = digital.modulate(data, name)
    n0 = 10 ** (-snr_db / 10)
    noise = rng.standard_normal((len(symbols), 2), dtype=np.float32).view(np.complex64).ravel()
    received = digital.demodulate(symbols + np.float32(np.sqrt(n0 / 2)) * noise, n0, len(data), name)
    return len(received.lost_blocks) / blocks


def threshold_db(name: str) -> float:
    """Es/N0 [dB] at which an MCS loses one block in a hundred, log-linear between the points of a 0.25 dB grid."""
    snr_db = mcs.by_name(name).threshold_db
    rate = block_error_rate(name, snr_db)
    step = 0.25 if rate > TARGET else -0.25
    while True:
        previous, snr_db = rate, snr_db + step
        rate = block_error_rate(name, snr_db)
        if (rate > TARGET) != (step > 0):
            low, high = np.log(max(previous, 1e-5)), np.log(max(rate, 1e-5))
            return float(snr_db - step + step * (np.log(TARGET) - low) / (high - low))


def main() -> None:
    """Measure everything and write the result file."""
    curves = [bpsk_point(rate, ebn0_db) for rate in ldpc.RATES for ebn0_db in CURVE_EBN0_DB]
    thresholds = {name: round(threshold_db(name), 2) for name in mcs.TABLE}
    result = {
        "command": "PYTHONPATH=python python -m hsc.evaluation.ldpc_curves",
        "what": "LDPC n = 672, layered min-sum, 30 iterations, AWGN; thresholds: Es/N0 in dB for a block error rate of 1e-2",
        "curves": curves,
        "thresholds_db": thresholds,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
