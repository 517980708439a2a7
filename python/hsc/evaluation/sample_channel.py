"""A sample-level channel, independent of the receiver that it tests: clock offset, echoes, movement, CFO,
drift, tones, noise.
"""

from __future__ import annotations

import numpy as np

from ..phy.header import Header
from ..phy.ofdm import Numerology, modulate
from ..phy.packets import Packet

_OVERSAMPLING = 8  # before the cubic interpolation, whose error is below -70 dB then
_SCATTERERS = 24  # of Clarke's model: enough for a Gaussian gain. Chosen by trial.
# Samples between values of a fading gain; between them it is a straight line. At 50 Hz and 1 MS/s a gain
# turns by less than 0.001 of a circle meanwhile.
_FADING_STEP = 16


def make_packet(symbols: int, rng: np.random.Generator, index: int = 0) -> Packet:
    """A packet of Gaussian analog symbols of unit power."""
    header = Header(
        codec=1, message_id=index & 0xFFFF, index=0, count=1, shape=(28, 28, 1), analog_symbols=symbols
    )
    return Packet(header, noise(symbols, 1.0, rng))


def noise(size: int, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Circular Gaussian noise, complex64 (size,)."""
    parts = rng.standard_normal(2 * size, np.float32) * np.float32(np.sqrt(variance / 2))
    return parts.view(np.complex64)


def resample(samples: np.ndarray, ppm: float) -> np.ndarray:
    """What a receiver samples whose clock is `ppm` fast: FFT interpolation by 8, then cubic Lagrange; error
    below -70 dB.
    """
    if ppm == 0:
        return samples
    guard = 64
    padded = np.concatenate([np.zeros(guard), samples, np.zeros(guard + len(samples) % 2)])
    n = len(padded)
    spectrum = np.fft.fft(padded)
    wide = np.zeros(_OVERSAMPLING * n, complex)
    wide[: n // 2], wide[-n // 2 :] = spectrum[: n // 2], spectrum[n // 2 :]
    dense = np.fft.ifft(wide) * _OVERSAMPLING
    count = int(len(samples) * (1 + ppm * 1e-6))
    at = (np.arange(count) / (1 + ppm * 1e-6) + guard) * _OVERSAMPLING
    i = at.astype(int)
    t = at - i
    a, b, c, d = (dense[i + k] for k in (-1, 0, 1, 2))
    return (
        -t * (t - 1) * (t - 2) / 6 * a
        + (t * t - 1) * (t - 2) / 2 * b
        - t * (t + 1) * (t - 2) / 2 * c
        + t * (t * t - 1) / 6 * d
    ).astype(np.complex64)


def echoes(samples: np.ndarray, taps: dict[int, complex]) -> np.ndarray:
    """Sum of delayed copies: taps maps delays in samples to gains."""
    out = np.zeros(len(samples) + max(taps), np.complex64)
    for delay, gain in taps.items():
        out[delay : delay + len(samples)] += np.complex64(gain) * samples
    return out


def fading(size: int, doppler: float, rng: np.random.Generator) -> np.ndarray:
    """A Rayleigh fading gain of unit mean power, complex128 (size,): Clarke's model, scatterers all around.

    Args:
        doppler: maximal Doppler shift [cycles per sample].
    """
    coarse = np.arange(-(-size // _FADING_STEP) + 2) * _FADING_STEP
    shift = doppler * np.cos(2 * np.pi * (np.arange(_SCATTERERS) + rng.random(_SCATTERERS)) / _SCATTERERS)
    gain = np.exp(2j * np.pi * (np.outer(coarse, shift) + rng.random(_SCATTERERS))).sum(axis=1) / np.sqrt(
        _SCATTERERS
    )
    at = np.arange(size)
    return np.interp(at, coarse, gain.real) + 1j * np.interp(at, coarse, gain.imag)


def moving_echoes(
    samples: np.ndarray, taps: dict[int, float], doppler: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Sum of delayed copies, each with a fading gain of its own, and those gains by delay, complex128
    (n,).
    """
    size = len(samples) + max(taps)
    out, gains = np.zeros(size, np.complex64), {}
    for delay, level in taps.items():
        gains[delay] = level * fading(size, doppler, rng)
        out[delay : delay + len(samples)] += (gains[delay][delay : delay + len(samples)] * samples).astype(
            np.complex64
        )
    return out, gains


def drifting(samples: np.ndarray, rate: float) -> np.ndarray:
    """A carrier whose frequency grows by `rate` [cycles per sample, per sample]."""
    return (samples * np.exp(1j * np.pi * rate * np.arange(len(samples), dtype=np.float64) ** 2)).astype(
        np.complex64
    )


def tone(size: int, frequency: float, power_db: float) -> np.ndarray:
    """A steady carrier, complex64 (size,), of a mean power over that of a unit-power sample [dB], at
    `frequency` cycles per sample.
    """
    turn = np.exp(2j * np.pi * frequency * np.arange(size))
    return (10 ** (power_db / 20) * turn).astype(np.complex64)


def channel(
    samples: np.ndarray,
    numerology: Numerology,
    rng: np.random.Generator,
    snr_db: float = 100.0,
    cfo: float = 0.0,
    ppm: float = 0.0,
    taps: dict[int, complex] | None = None,
    phase: float = 0.0,
) -> np.ndarray:
    """Clock offset, echoes, CFO [subcarriers] with a start phase, and noise of Es/N0 = snr_db on a unit-power
    carrier.
    """
    samples = echoes(resample(samples, ppm), taps or {0: 1.0})
    turn = np.exp(1j * (phase + 2 * np.pi * cfo / numerology.n_fft * np.arange(len(samples))))
    return (samples * turn).astype(np.complex64) + noise(len(samples), 10 ** (-snr_db / 10), rng)


def bursts(packets: list[Packet], numerology: Numerology, before: int = 500, after: int = 0) -> np.ndarray:
    """Packets back to back, with `before` and `after` samples of silence around."""
    parts = [
        np.zeros(before, np.complex64),
        *(modulate(p, numerology) for p in packets),
        np.zeros(after, np.complex64),
    ]
    return np.concatenate(parts)


def evm_db(sent: np.ndarray, received: np.ndarray) -> float:
    """Mean squared error over mean power [dB]."""
    return float(10 * np.log10(np.mean(np.abs(received - sent) ** 2) / np.mean(np.abs(sent) ** 2)))
