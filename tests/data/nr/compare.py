"""Error rates of our 5G NR LDPC decoder beside those of an independent implementation, Sionna's (Apache-2.0),
which sums LLRs by belief propagation: the same soft bits to both.

    python -m venv sionna && sionna/bin/pip install sionna-no-rt==2.2.0
    PYTHONPATH=<folder with gnuradio.hsc> sionna/bin/python compare.py error_rates.json
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gnuradio.hsc.phy.nr.code import BlockCode
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

# Information bits with check bits and without are 16 or 24 apart: payload and bits sent of transport blocks
# of one code block. Graph 2, then graph 1; short and long, low and high rates.
CASES = (
    (100, 400), (100, 200), (256, 400), (1000, 4000), (1000, 2000), (3800, 15200),
    (3800, 7600), (1000, 1250), (4000, 8000), (4000, 6000), (4000, 4600), (8000, 12000),
)  # fmt: skip
BLOCKS, BATCH = 500, 250
STEP_DB = 0.1
TARGET = 1e-2
ITERATIONS = 50


def rates(payload: int, sent: int, snr_db: float) -> tuple[float, float]:
    """Share of the blocks lost with QPSK at Es/N0 [dB]: by ours and by Sionna's."""
    ours = BlockCode(payload, sent, 2)
    encoder = LDPC5GEncoder(ours.plan.used, sent, num_bits_per_symbol=2)
    theirs = LDPC5GDecoder(encoder, num_iter=ITERATIONS, return_infobits=True)
    rng, lost = np.random.default_rng(1), np.zeros(2)
    variance = 10 ** (-snr_db / 10)  # of one axis, where a bit has the amplitude 1
    for _ in range(BLOCKS // BATCH):
        bits = rng.integers(0, 2, (BATCH, payload), dtype=np.uint8)
        soft = 1 - 2.0 * ours.encode(bits) + np.sqrt(variance) * rng.standard_normal((BATCH, sent))
        llr = (2 / variance * soft).astype(np.float32)
        found = ours.decode(llr, ITERATIONS)[0], theirs(torch.tensor(-llr)).numpy()[:, :payload]
        lost += [(each.astype(np.uint8) != bits).any(axis=1).sum() for each in found]
    return tuple((lost / BLOCKS).tolist())


def measured(payload: int, sent: int) -> dict[str, object]:
    """Error rates in steps of a tenth of a decibel, from where both lose more than one block in a hundred to
    where neither does; and where each does.
    """
    # a decibel above Shannon's limit of the code's rate
    snr_db = round(10 * np.log10(2 ** (2 * payload / sent) - 1) + 1.0, 1)
    points = {snr_db: rates(payload, sent, snr_db)}
    while max(points[max(points)]) > TARGET:
        snr_db = round(max(points) + STEP_DB, 1)
        points[snr_db] = rates(payload, sent, snr_db)
    while min(points[min(points)]) <= TARGET:
        snr_db = round(min(points) - STEP_DB, 1)
        points[snr_db] = rates(payload, sent, snr_db)
    snrs = sorted(points)
    curves = -np.log10(np.maximum([points[snr] for snr in snrs], 0.1 / BLOCKS)).T
    at = [round(float(np.interp(-np.log10(TARGET), curve, snrs)), 3) for curve in curves]
    print(payload, sent, at, flush=True)
    return {
        "payload": payload,
        "sent": sent,
        "graph": BlockCode(payload, sent, 2).plan.graph,
        "snr_db": snrs,
        "ours": [points[snr][0] for snr in snrs],
        "sionna": [points[snr][1] for snr in snrs],
        "one_in_a_hundred_db": {"ours": at[0], "sionna": at[1]},
    }


def main(path: Path) -> None:
    """Write what was measured of every case as soon as it is there; cases that are there already stay."""
    cases = json.loads(path.read_text())["cases"] if path.exists() else []
    known = {(case["payload"], case["sent"]) for case in cases}
    for case in CASES:
        if case not in known:
            cases.append(measured(*case))
            text = json.dumps({"blocks": BLOCKS, "iterations": ITERATIONS, "cases": cases}, indent=1)
            path.write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
