"""Error rates of the LDPC codes and the thresholds of the MCS table, on AWGN. `phy/mcs.py` holds these
thresholds, rounded up to 0.1 dB, of 5G NR rounded to 0.05 dB.
"""

from __future__ import annotations

import numpy as np

from ..evaluation.curves import Axis, Curves, Series
from ..evaluation.figure import Given
from ..phy import digital, ldpc, mcs
from ..phy.code_blocks import code_blocks

EBN0_DB = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
LARGEST_RUN = 40_000  # codewords a point: error rates down to 1e-4
ENOUGH_ERRORS = 200  # wrong codewords, after which a rate is known to 14 % (95 %)
# Blocks, and code blocks of 5G NR, that a point of a threshold is measured with; distance of points [dB].
_BLOCKS, _CODE_BLOCKS = 6000, 750
_GRID_DB = 0.1
TARGET = 1e-2  # share of blocks lost at the threshold of an MCS
_DESCRIPTION = (
    "802.11ad LDPC, n = 672, layered min-sum, 30 iterations, BPSK on AWGN, information bits; "
    "findings: Es/N0 [dB] at which an MCS of 802.11ad or 5G NR loses one block in a hundred"
)


def run(given: Given, largest_run: int = LARGEST_RUN) -> Curves:
    """FER and BER of every rate against Eb/N0, and the threshold of every MCS; `largest_run` codewords a
    point at most.
    """
    series = []
    for rate in ldpc.RATES:
        given.progress(f"rate {rate}")
        points = np.array([bpsk_point(rate, ebn0_db, largest_run) for ebn0_db in EBN0_DB])
        x, ber = Axis("ebn0", "dB", list(EBN0_DB)), points[:, 1].tolist()
        series.append(
            Series(
                f"rate {rate}",
                "measured",
                x,
                Axis("fer", "", points[:, 0].tolist()),
                also={"ber": ber, "words": points[:, 2].tolist()},
            )
        )
    thresholds = {}
    for name in mcs.TABLE:
        given.progress(f"threshold of {name}")
        thresholds[name] = round(threshold_db(name), 2)
    return Curves("ldpc", _DESCRIPTION, given.command, series, {"thresholds_db": thresholds})


def bpsk_point(
    rate: str, ebn0_db: float, largest_run: int = LARGEST_RUN, seed: int = 1
) -> tuple[float, float, float]:
    """FER and BER of the information bits with BPSK at an Eb/N0 [dB], and codewords sent; ends after 200
    wrong ones.
    """
    code = ldpc.code(rate)
    rng = np.random.default_rng(seed)
    sigma = np.float32(np.sqrt(code.n / code.k / 2) * 10 ** (-ebn0_db / 20))
    words = bit_errors = word_errors = 0
    while words < largest_run and word_errors < ENOUGH_ERRORS:
        bits = rng.integers(0, 2, (2000, code.k), dtype=np.uint8)
        soft = (
            1
            - 2 * code.encode(bits).astype(np.float32)
            + sigma * rng.standard_normal((2000, code.n), dtype=np.float32)
        )
        wrong = code.decode(soft * (2 / sigma**2))[0] != bits
        words += len(bits)
        bit_errors += int(np.count_nonzero(wrong))
        word_errors += int(np.count_nonzero(wrong.any(axis=1)))
    return word_errors / words, bit_errors / words / code.k, float(words)


def block_error_rate(name: str, snr_db: float, seed: int = 2) -> float:
    """Share of the blocks of an MCS lost on AWGN at Es/N0 [dB], through `phy.digital` with the LLRs and
    iterations that are usual there.
    """
    rng = np.random.default_rng(seed)
    blocks = max(_BLOCKS, _CODE_BLOCKS * code_blocks(mcs.by_name(name)).most)
    data = rng.bytes(blocks * digital.payload_bytes_per_block(name))
    symbols = digital.modulate(data, name)
    n0 = 10 ** (-snr_db / 10)
    noise = rng.standard_normal((len(symbols), 2), dtype=np.float32).view(np.complex64).ravel()
    received = digital.demodulate(symbols + np.float32(np.sqrt(n0 / 2)) * noise, n0, len(data), name)
    return len(received.lost_blocks) / blocks


def threshold_db(name: str) -> float:
    """Es/N0 [dB] at which an MCS loses one block in a hundred: log-linear between two points 0.1 dB apart,
    which are looked for from the table's threshold.
    """
    snr_db = mcs.by_name(name).threshold_db
    rate = block_error_rate(name, snr_db)
    step = _GRID_DB if rate > TARGET else -_GRID_DB
    while True:
        before, (snr_db, rate) = (snr_db, rate), (snr_db + step, block_error_rate(name, snr_db + step))
        if (before[1] > TARGET) != (rate > TARGET):
            break
    logs = [np.log(max(each, 1e-5)) for each in (before[1], rate)]
    return float(before[0] + step * (np.log(TARGET) - logs[0]) / (logs[1] - logs[0]))
