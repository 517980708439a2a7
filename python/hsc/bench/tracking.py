"""What movement, drift, interferers and level steps within a packet cost, over a simulated sample stream at 1
MS/s.

The yardstick is told the channel of every symbol: the mean squared error of symbols weighed by their true
noise variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..evaluation.curves import Axis, Curves, Series
from ..evaluation.figure import Given
from ..evaluation.sample_channel import (
    bursts,
    channel,
    drifting,
    echoes,
    evm_db,
    make_packet,
    moving_echoes,
    noise,
    tone,
)
from ..phy.numerology import PRESETS, Numerology
from ..phy.ofdm import payload_mapping
from ..phy.packets import Packet, ReceivedPacket
from ..phy.receiver import BurstReceiver

SAMPLE_RATE = 1e6  # samples/s
SNR_DB = 20.0  # at which tracking counts more than noise
DOPPLERS_HZ = (0.0, 1.0, 5.0, 20.0, 50.0)  # a walker at 433 MHz has 2 Hz, a car 50 Hz
SIZES = {"short": 4096, "long": 60_000}  # analog symbols of a packet
# Delays in samples, or in sixteenths of the cyclic prefix, and relative amplitudes.
_CHANNELS = {
    "one path": ((0, 1.0),),
    "near echoes": ((0, 1.0), (1, 0.7), (2, 0.5)),
    "far echoes": ((0, 1.0), (3, 0.7), (9, 0.5)),
}
_TONES_DB = (-20.0, -10.0, 0.0)  # power over that of the signal
_LEAD = 500  # samples of silence before a burst
_DESCRIPTION = (
    f"bursts of one packet of analog symbols, {SNR_DB:g} dB, {SAMPLE_RATE / 1e6:g} MS/s: "
    f"short {SIZES['short']}, long {SIZES['long']}; paths fade independently (Clarke); "
    "error: mean squared error of symbols weighed by the noise variance reported with them; "
    "known_channel_db: the same for a receiver that is told channel and noise; "
    "claimed_db: what the reported noise variance promises"
)


@dataclass(frozen=True)
class _Tracked:
    """One packet as sent and received (None: not at all), and the true noise variance of each symbol."""

    sent: Packet
    got: ReceivedPacket | None
    noise_variance: np.ndarray

    @property
    def error(self) -> float:
        variance = np.maximum(self.got.noise_variance, 1e-9)
        return float(np.mean(np.abs(self.got.symbols / (1 + variance) - self.sent.symbols) ** 2))

    @property
    def claimed(self) -> float:
        return float(np.mean(1 / (1 + 1 / np.maximum(self.got.noise_variance, 1e-9))))

    @property
    def possible(self) -> float:
        return float(np.mean(self.noise_variance / (1 + self.noise_variance)))

    @property
    def snr_error_db(self) -> float:
        return self.got.snr_db - 10 * np.log10(np.mean(1 / self.noise_variance))


def run(given: Given, packets: int = 60, long_packets: int = 10) -> Curves:
    """Measure with so many short and long packets a point."""
    counts = {"short": packets, "long": long_packets}
    series = []
    findings: dict[str, object] = {"packets_per_point": counts}
    for name, numerology in PRESETS.items():
        for length, size in SIZES.items():
            for kind in _CHANNELS:
                given.progress(f"{name}, {length} packets, {kind}")
                series.append(
                    _against_doppler(f"{name}, {length}, {kind}", numerology, size, kind, counts[length])
                )
            given.progress(f"{name}, {length} packets, drift and interference")
            for what, impair in _impairments(numerology, size).items():
                findings[f"{name}, {length}: {what}"] = _single(
                    numerology, size, impair, max(counts[length] // 3, 2)
                )
    return Curves("tracking", _DESCRIPTION, given.command, series, findings)


def _taps(numerology: Numerology, kind: str) -> dict[int, float]:
    """Delays [samples] and amplitudes, unit power altogether."""
    unit = numerology.cp // 16 if kind == "far echoes" else 1
    total = np.sqrt(sum(level**2 for _, level in _CHANNELS[kind]))
    return {delay * unit: level / total for delay, level in _CHANNELS[kind]}


def _against_doppler(name: str, numerology: Numerology, size: int, kind: str, packets: int) -> Series:
    columns: dict[str, list[float]] = {
        "error": [],
        "known_channel_db": [],
        "claimed_db": [],
        "snr_error_db": [],
        "delivered": [],
    }
    for doppler in DOPPLERS_HZ:
        rng = np.random.default_rng(1)
        all_ = [
            _faded(numerology, size, _taps(numerology, kind), doppler, rng, index) for index in range(packets)
        ]
        received = [outcome for outcome in all_ if outcome.got is not None]
        columns["error"].append(_mean_db([o.error for o in received]))
        columns["known_channel_db"].append(_mean_db([o.possible for o in received]))
        columns["claimed_db"].append(_mean_db([o.claimed for o in received]))
        columns["snr_error_db"].append(float(np.mean([o.snr_error_db for o in received])))
        columns["delivered"].append(len(received) / packets)
    error = columns.pop("error")
    return Series(
        name, "measured", Axis("doppler", "Hz", list(DOPPLERS_HZ)), Axis("error", "dB", error), also=columns
    )


def _mean_db(values: list[float]) -> float:
    return float(10 * np.log10(np.mean(values)))


def _faded(
    numerology: Numerology,
    size: int,
    taps: dict[int, float],
    doppler: float,
    rng: np.random.Generator,
    index: int,
) -> _Tracked:
    """One packet over paths that fade; at a Doppler shift of 0 they only have a phase each."""
    packet = make_packet(size, rng, index)
    stream = bursts([packet], numerology, _LEAD, 8 * numerology.symbol)
    if doppler:
        samples, gains = moving_echoes(stream, taps, doppler / SAMPLE_RATE, rng)
    else:
        still = {delay: level * np.exp(2j * np.pi * rng.random()) for delay, level in taps.items()}
        samples = echoes(stream, still)
        gains = {delay: np.full(len(samples), gain) for delay, gain in still.items()}
    samples = channel(
        samples, numerology, rng, SNR_DB, cfo=rng.uniform(-2, 2), phase=rng.uniform(0, 2 * np.pi)
    )
    return _Tracked(packet, _receive(numerology, samples, packet), _true_noise(numerology, size, gains))


def _receive(numerology: Numerology, samples: np.ndarray, packet: Packet) -> ReceivedPacket | None:
    return next((p for p in BurstReceiver(numerology).push(samples) if p.header == packet.header), None)


def _true_noise(numerology: Numerology, size: int, gains: dict[int, np.ndarray]) -> np.ndarray:
    """Noise variance over channel power of each payload symbol, the channel taken in the middle of its OFDM
    symbol.
    """
    rows = numerology.payload_rows(size)
    row, column = np.divmod(payload_mapping(numerology, rows).place[:size], numerology.data)
    middle = (
        _LEAD
        + (numerology.overhead_symbols + np.arange(rows)) * numerology.symbol
        + numerology.cp
        + numerology.n_fft // 2
    )
    carriers = numerology.carriers[numerology.data_index]
    response = sum(
        np.outer(gain[middle], np.exp(-2j * np.pi / numerology.n_fft * delay * carriers)).astype(np.complex64)
        for delay, gain in gains.items()
    )
    return (10 ** (-SNR_DB / 10) / np.abs(response) ** 2)[row, column]


_Impair = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _impairments(numerology: Numerology, size: int) -> dict[str, _Impair]:
    """What is done to a burst that begins at sample _LEAD."""
    payload = _LEAD + numerology.overhead_symbols * numerology.symbol
    middle = payload + numerology.payload_rows(size) // 2 * numerology.symbol
    level_db = 10 * np.log10(numerology.used / numerology.n_fft)  # of the signal, over a unit-power sample
    frequency = (numerology.used // 4 + 0.5) / numerology.n_fft

    def interferer(power_db: float, first: int) -> _Impair:
        def add(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
            wave = tone(len(samples), frequency, level_db + power_db)
            return samples + np.where(np.arange(len(samples)) >= first, wave, 0)

        return add

    def step(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
        return samples * np.where(np.arange(len(samples)) < middle, 1, 2).astype(np.float32)

    def collision(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out, length = samples.copy(), len(samples) // 10
        out[middle : middle + length] += noise(length, 1.0, rng)
        return out

    return {
        "nothing": lambda samples, _: samples,
        "drift of 200 Hz/s": lambda samples, _: drifting(samples, 200 / SAMPLE_RATE**2),
        **{f"tone at {db:g} dB": interferer(db, 0) for db in _TONES_DB},
        **{f"tone at {db:g} dB from the payload on": interferer(db, payload) for db in _TONES_DB},
        "level step of 6 dB in the middle": step,
        "noise of signal power over a tenth": collision,
    }


def _single(numerology: Numerology, size: int, impair: _Impair, packets: int) -> dict[str, float]:
    """Packets one by one over a still path: share delivered, error of head and tail, weighed error and what
    was claimed [dB].
    """
    rng, found = np.random.default_rng(2), []
    order = np.argsort(payload_mapping(numerology, numerology.payload_rows(size)).place[:size], kind="stable")
    for index in range(packets):
        packet = make_packet(size, rng, index)
        stream = bursts([packet], numerology, _LEAD, 8 * numerology.symbol)
        samples = channel(
            stream, numerology, rng, SNR_DB, cfo=rng.uniform(-2, 2), phase=rng.uniform(0, 2 * np.pi)
        )
        got = _receive(numerology, impair(samples, rng).astype(np.complex64), packet)
        if got is not None:
            parts = [
                evm_db(packet.symbols[part], got.symbols[part])
                for part in (order[: size // 10], order[-size // 10 :])
            ]
            outcome = _Tracked(packet, got, got.noise_variance)
            found.append([*parts, 10 * np.log10(outcome.error), 10 * np.log10(outcome.claimed)])
    means = np.mean(found, axis=0) if found else np.full(4, np.nan)
    names = ("head_db", "tail_db", "error_db", "claimed_db")
    known = {
        name: round(float(value), 2) for name, value in zip(names, means, strict=True) if np.isfinite(value)
    }
    return {"delivered": len(found) / packets, **known}
