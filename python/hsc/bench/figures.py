"""The figures that belong to no system: codes, air interface, tracking, and the link's programs."""

from __future__ import annotations

from ..evaluation.figure import Figure, Images, Source
from . import air_interface, drawing, ldpc_curves, over_the_air, tracking

FIGURES = (
    Figure(
        name="ldpc",
        summary="error rates of the LDPC codes, thresholds of every MCS",
        measure=ldpc_curves.run,
        draw=drawing.ldpc,
        quick={"largest_run": 2000},
    ),
    Figure(
        name="air-interface",
        summary="packets delivered, SNR measured, clocks followed, noise ignored by the OFDM receiver",
        measure=air_interface.run,
        draw=drawing.air_interface,
        quick={"packets": 40, "noise_samples": 1_000_000},
    ),
    Figure(
        name="tracking",
        summary="movement, drift and interferers within a packet, against a receiver that knows the channel",
        measure=tracking.run,
        draw=drawing.tracking,
        quick={"packets": 10, "long_packets": 2},
    ),
    Figure(
        name="over-the-air",
        summary="tx, channel and rx as processes: images lost, quality, restarts of either end",
        images=Images(Source.SAMPLES, 100),
        measure=over_the_air.run,
        draw=drawing.over_the_air,
        quick={"restarts": 1},
    ),
)
