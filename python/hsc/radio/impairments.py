"""What a radio channel does to samples: its parameters, its echoes, and when the signal is lost.

Powers are told against a transmitter at amplitude 1, which zmq radios have unless they are given a back-off:
the noise of a sample has variance 10^(−SNR/10), echoes have unit energy and fading unit mean power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import HscError

# Points of a fading process in one period of the Doppler frequency. 50 of them, joined by straight lines,
# have an error of -54 dB.
FADING_POINTS = 50
# Taps that an impulse response may have.
MAX_TAPS = 256
# Highest drift of the carrier [Hz/s].
MAX_DRIFT = 1e5
# Highest clock offset [ppm]: far beyond that of any crystal.
MAX_SFO_PPM = 1000.0
# Paths of a delay spread with fading. Each costs 4 % of a core at 1 MS/s.
_FADING_PATHS = 6
# Delay spreads after which a power delay profile is cut: 0.7 % of its power lies beyond.
_PROFILE = 5
# Shortest and longest loss of the signal [slots].
_SHORTEST, _LONGEST = 2, 19


@dataclass(frozen=True)
class Impairments:
    """What a channel does.

    Attributes:
        sample_rate: [samples/s].
        snr_db: Es/N0 of a carrier, of a transmitter at amplitude 1 [dB]; None for no noise.
        cfo: carrier frequency offset [Hz]; drift: [Hz/s], up and down in the neighbourhood of `cfo`.
        sfo_ppm: by how much the receiver's sample clock is fast [ppm].
        taps: echoes, one tap a sample; empty for those of `delay_spread`.
        delay_spread: RMS, of an exponential power delay profile [s]; 0 for none.
        doppler: highest Doppler frequency of fading [Hz]; 0 for none.
        k_factor: power of the steady part of fading over the rest; None for Rayleigh.
        drop: share of time in which nothing of the signal, or an interfering burst instead of it, comes
            through.
        interferer: (power over that of the signal [dB], frequency [Hz]) of a steady tone.
        seed: of everything that is random.

    Raises:
        HscError: a value is out of range, or two exclude each other.
    """

    sample_rate: float = 1e6
    snr_db: float | None = 20.0
    cfo: float = 0.0
    drift: float = 0.0
    sfo_ppm: float = 0.0
    taps: tuple[complex, ...] = ()
    delay_spread: float = 0.0
    doppler: float = 0.0
    k_factor: float | None = None
    drop: float = 0.0
    interferer: tuple[float, float] | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        half = 0.5 * self.sample_rate
        for name, value, limit in (
            ("cfo", self.cfo, half),
            ("drift", self.drift, MAX_DRIFT),
            ("doppler", self.doppler, self.sample_rate / FADING_POINTS),
            ("sfo_ppm", self.sfo_ppm, MAX_SFO_PPM),
        ):
            if abs(value) > limit:
                raise HscError(
                    f"{name} {value:g} is out of range: give at most {limit:g} at {self.sample_rate:g} "
                    "samples/s"
                )
        if self.taps and self.delay_spread:
            raise HscError("give taps or a delay spread, not both")
        if self.interferer and abs(self.interferer[1]) > half:
            raise HscError(
                f"an interferer at {self.interferer[1]:g} Hz is outside the band: give at most {half:g} Hz"
            )


def impulse_response(impairments: Impairments) -> np.ndarray:
    """complex64 (n,), unit energy: the taps, or an exponential power delay profile with random phases. Raises
    HscError if too long, or without energy.
    """
    taps = np.array(impairments.taps, np.complex64)
    if impairments.delay_spread:
        taps = _of_profile(impairments)
    if not taps.size:
        return np.ones(1, np.complex64)
    _check_length(taps.size)
    energy = float(np.linalg.norm(taps))
    if not 0 < energy < math.inf:
        raise HscError("the taps have no energy: give at least one that is not zero")
    return taps / np.float32(energy)


def _of_profile(impairments: Impairments) -> np.ndarray:
    """complex64 (n,): taps of the delay spread, few of them where each is to fade."""
    spread = impairments.delay_spread * impairments.sample_rate
    count = 1 + math.ceil(_PROFILE * spread)
    _check_length(count)
    phases = np.random.default_rng(impairments.seed).uniform(0, 2 * np.pi, count)
    power = np.exp(-np.arange(count) / spread)
    if impairments.doppler:
        power = _gather(power, _FADING_PATHS)
    return (np.sqrt(power) * np.exp(1j * phases)).astype(np.complex64)


def _gather(power: np.ndarray, paths: int) -> np.ndarray:
    """A power delay profile with at most so many paths, evenly spread, each with the power of its
    neighbourhood at its mean delay.
    """
    out = np.zeros_like(power)
    for part in np.array_split(np.arange(len(power)), min(paths, len(power))):
        out[round(float(np.average(part, weights=power[part])))] += power[part].sum()
    return out


def _check_length(count: int) -> None:
    if count > MAX_TAPS:
        raise HscError(f"the channel is {count} samples long: give at most {MAX_TAPS}")


def losses(share: float, slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drop-outs and interfering bursts, in turns, each of 2 to 19 slots: bool (slots,) each, together `share`
    of the slots.
    """
    rng = np.random.default_rng(seed)
    kinds = np.zeros((2, slots), bool)
    turn, wanted = 0, round(share * slots)
    while (missing := wanted - int(kinds.any(0).sum())) > 0:
        length = min(missing, int(rng.integers(_SHORTEST, _LONGEST + 1)))
        begin = int(rng.integers(0, slots))
        free = ~kinds.any(0)
        places = np.flatnonzero(np.roll(free, -begin))[:length]
        kinds[turn, (places + begin) % slots] = True
        turn = 1 - turn
    return kinds[0], kinds[1]
