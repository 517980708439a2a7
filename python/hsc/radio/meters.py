"""Levels and losses of a radio, from its samples and a clock: back-off, clipping, samples lost. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ..errors import HscError
from ..phy import ofdm
from ..phy.header import Header
from ..phy.packets import Packet
from .addresses import RadioSettings

# Share of samples that the measured back-off lets reach full scale.
CLIP_RATE = 1e-5
# Mean power of a burst's samples at amplitude 1: used carriers over FFT length, the same in every numerology.
PAYLOAD_POWER = 52 / 64
# Samples larger than this are broken: they count as clipped, and their squares would exceed float32.
_LARGEST = 1e18
# Level of silence, over 1.
_SILENCE = 1e-20


class LevelMeter:
    """Level of a stream of samples.

    Args:
        full_scale: a sample whose real or imaginary part reaches this is clipped; inf where there is no
            converter.

    Attributes:
        samples, clipped: since it was made.
    """

    def __init__(self, full_scale: float) -> None:
        self._full_scale = full_scale
        self.samples = self.clipped = 0
        self._reset()

    def push(self, samples: np.ndarray) -> None:
        """Take complex64 samples (n,), contiguous. What is not finite counts as clipped where there is a full
        scale, not for the level.
        """
        self.samples += samples.size
        if not samples.size:
            return
        parts = samples.view(np.float32)
        with np.errstate(over="ignore"):  # of broken samples, which is what is looked for
            peak, power = max(float(parts.max()), -float(parts.min())), float(np.dot(parts, parts))
            finite = math.isfinite(power)
            good = None if finite else np.isfinite(samples) & (np.abs(samples) < _LARGEST)
        if good is not None:
            self.clipped += int(samples.size - np.count_nonzero(good)) if self._full_scale < math.inf else 0
            samples = samples[good]
            self.samples -= samples.size
            self.push(samples)
            return
        if peak >= self._full_scale:
            largest = np.maximum(np.abs(samples.real), np.abs(samples.imag))
            self.clipped += int(np.count_nonzero(largest >= self._full_scale))
        self._peak = max(self._peak, peak)
        self._power += power
        self._nonzero += int(np.count_nonzero(samples))

    def read(self) -> tuple[float | None, float | None]:
        """Peak of real and imaginary parts, and RMS of the samples that are not zero, since the last call [dB
        over 1]; None without any.
        """
        level = None, None
        if self._nonzero:
            level = _decibels(self._peak), _decibels(math.sqrt(self._power / self._nonzero))
        self._reset()
        return level

    def _reset(self) -> None:
        self._peak = self._power = 0.0
        self._nonzero = 0


def _decibels(level: float) -> float:
    return 20 * math.log10(max(level, _SILENCE))


@dataclass
class SampleClock:
    """Counts the samples that a radio should have moved by its sample rate, and did not.

    Drivers move samples in blocks, and hold some back: the count is compared with the wall clock by its best
    moment within each window. What is missing in a whole window, beyond what crystals differ, is lost, unless
    it comes later: a queue in software may be that long.

    Attributes:
        sample_rate: [samples/s].
        window: [s]; buffers between driver and block hold less than this.
        tolerance: of both clocks [ppm], and `slack` [s], below which a loss cannot be told from jitter.
        lost: samples so far.
    """

    sample_rate: float
    window: float = 2.0
    tolerance: float = 100.0
    slack: float = 0.005
    lost: int = 0

    # time and samples of the first update with any
    _began: tuple[float, int] | None = field(default=None, init=False)
    # end of the window, and the fewest samples that were missing within it
    _until: float = field(default=0.0, init=False)
    _least: float = field(default=math.inf, init=False)
    # what was missing in the window before
    _before: float | None = field(default=None, init=False)

    def update(self, now: float, count: int) -> None:
        """Take the time [s] and the samples moved by then."""
        if self._began is None:
            if not count:
                return
            self._began, self._until = (now, count), now + self.window
        began, first = self._began
        self._least = min(self._least, (now - began) * self.sample_rate - (count - first))
        if now >= self._until:
            self._compare()
            self._until, self._least = now + self.window, math.inf

    def _compare(self) -> None:
        """At the end of a window: what was missing all along it, and not in the one before, is lost."""
        allowed = (self.slack + self.tolerance * 1e-6 * self.window) * self.sample_rate
        if self._before is not None and abs(self._least - self._before) > allowed:
            self.lost = max(0, self.lost + round(self._least - self._before))
        self._before = self._least


def crest_db(samples: np.ndarray, clip_rate: float) -> float:
    """Level that all but a share `clip_rate` of the samples keep within, real and imaginary part each, over
    the RMS [dB].

    Args:
        samples: complex64 (n,); zeros, the gaps between bursts, do not count.
        clip_rate: share of samples that may exceed it.

    Raises:
        HscError: nothing but zeros.
    """
    sent = samples[samples != 0]
    if not sent.size:
        raise HscError("no samples to take a level from: give those of a burst")
    part = np.maximum(np.abs(sent.real), np.abs(sent.imag))
    rms = math.sqrt(float(np.mean(np.abs(sent) ** 2)))
    return 20 * math.log10(float(np.quantile(part, 1 - clip_rate)) / rms)


def amplitude(back_off_db: float) -> float:
    """Factor on samples of the OFDM Transmitter at amplitude 1 that puts the mean power of a burst
    `back_off_db` below full scale.
    """
    return 10 ** (-back_off_db / 20) / math.sqrt(PAYLOAD_POWER)


@lru_cache(maxsize=1)
def ofdm_crest_db() -> float:
    """`crest_db` of a burst of Gaussian symbols for CLIP_RATE, measured."""
    rng, count = np.random.default_rng(1), 1 << 17
    symbols = (rng.standard_normal(2 * count, np.float32) / np.float32(math.sqrt(2))).view(np.complex64)
    header = Header(codec=1, message_id=0, index=0, count=1, shape=(28, 28, 1), analog_symbols=count)
    return crest_db(ofdm.modulate(Packet(header, symbols), ofdm.preset("ofdm64")), CLIP_RATE)


def sink_amplitude(settings: RadioSettings) -> float:
    """Factor of a transmitter on samples of amplitude 1: for the back-off of the settings, or for the one
    that its peaks ask for.
    """
    if settings.back_off_db is not None:
        return amplitude(settings.back_off_db)
    return 1.0 if settings.parsed.floating else amplitude(ofdm_crest_db() + settings.preset.headroom_db)
