"""Rate control: the HEVC code of an image that fills a number of bytes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from . import hevc
from .budget import TooFew
from .sample import some_blocks

# ln of the bytes of a quick code over those of the encoder's own, by quality, typical of photographs.
_QUICK_EXCESS = (24, 60, 120), (0.26, 0.16, 0.08)
# In an image it follows from one in so many blocks of this side [pixels], where there are so many of them at
# least: within 1 % then, without within 4 % (standard deviation, Kodak).
_ONE_IN, _BLOCK, _FEWEST = 8, 64, 7
# A quick code's ln(bytes) is near enough to what is wanted within this: four qualities.
_NEAR = 0.15
# Share of the bytes that a code fills at least: 3 % of them are 0.1 dB. The last quality of a QP is full
# enough with less, because the next one has 7 to 12 % more.
_FULL, _FULL_LAST = 0.97, 0.945
# Change of ln(bytes) from one quality to the next, typical of photographs, and between what limits.
_LOG_BYTES_PER_QUALITY, _SLOPES = 0.045, (0.02, 0.08)
# Where the search for a quality begins: bytes per pixel of a typical photograph, and the quality that gives
# them.
_TYPICAL_BYTES = 0.25
_TYPICAL_QUALITY = 75


def typical_quality(bytes_per_pixel: float) -> int:
    """Quality that gives photographs about that size."""
    steps = math.log(bytes_per_pixel / _TYPICAL_BYTES) / _LOG_BYTES_PER_QUALITY
    return min(max(round(_TYPICAL_QUALITY + steps), hevc.LOWEST), hevc.HIGHEST)


class Sketch(NamedTuple):
    """A code of about the quality that `Coder.fit` would give. It is longer than asked for: not for sending.

    Attributes:
        code: what `hevc.decode` takes.
        excess: ln of the bytes that a code of this quality has, typically, over those that were asked for.
    """

    code: bytes
    excess: float


class Coder:
    """One image, uint8 (H, W, C), and what its codes so far tell of the lengths of others.

    Quick codes say where to look for a quality; how much longer they are than the encoder's own is a matter
    of the image, and found on an eighth of it.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self._quick: dict[int, bytes] = {}
        # what is to be added to `_QUICK_EXCESS`, by quality
        self._untypical: dict[int, float] = {}

    def sketch(self, n_bytes: int) -> Sketch:
        """What `fit` would give, nearly, in a fifth of its time. Raises `budget.TooFew` where `fit` most
        likely would.
        """
        quality, _ = self._near(n_bytes)
        expected = self._expected(quality)
        if quality == hevc.LOWEST and expected > n_bytes:
            raise TooFew(f"{n_bytes} bytes do not hold this image in HEVC", math.ceil(expected))
        return Sketch(self._quick[quality], math.log(expected / max(n_bytes, 1)))

    def fit(self, n_bytes: int, told: bool = False) -> bytes:
        """A code of at most `n_bytes`, of at least 97 % of them; where no quality gives that, the longest of
        those near the largest that fits, most likely. Raises `budget.TooFew` when the lowest needs more.
        `told`: as in `hevc.encode`.
        """
        quality, _ = self._near(n_bytes)
        self._compare(quality)
        promising = self._near(n_bytes)[1]
        search = _Search(n_bytes, promising.quality, promising.slope)
        best, full, tried = b"", 1.0, set()
        while len(best) < max(full * n_bytes, 1) and (trial := search.trial()) is not None:
            data = hevc.encode(self.image, trial, told=told)
            tried.add(trial)
            if search.learn(trial, len(data)) <= 0 and len(data) > len(best):
                best, full, quality = data, _FULL_LAST if trial % 3 == 2 else _FULL, trial
        if not best:
            raise TooFew(f"{n_bytes} bytes do not hold this image in HEVC", search.least)
        before = quality - 1
        if len(best) < full * n_bytes and quality % 3 == 0 and before >= hevc.LOWEST and before not in tried:
            # the last code of a QP may be longer than the first of the next, and better: of small pictures
            data = hevc.encode(self.image, before, told=told)
            best = data if len(best) < len(data) <= n_bytes else best
        return best

    def _near(self, n_bytes: int) -> tuple[int, _Search]:
        """The quality of a quick code that is near the one with `n_bytes`, made where there is none yet; and
        all that quick codes tell of others.
        """
        wanted = max(n_bytes, 1)
        search = _Search(n_bytes, typical_quality(wanted / (self.image.shape[0] * self.image.shape[1])))
        quality, excess = hevc.LOWEST, math.inf
        # the nearest last: it says most
        for quality in sorted(self._quick, key=lambda known: -abs(math.log(self._expected(known) / wanted))):
            excess = search.learn(quality, self._expected(quality))
        while abs(excess) >= _NEAR and (trial := search.trial()) is not None:
            quality = trial
            self._quick[quality] = hevc.encode(self.image, quality, quick=True)
            excess = search.learn(quality, self._expected(quality))
        return quality, search

    def _expected(self, quality: int) -> float:
        """Bytes of a code of a quality, by the quick one."""
        excess = np.interp(quality, *_QUICK_EXCESS)
        if self._untypical:
            excess += np.interp(quality, *zip(*sorted(self._untypical.items()), strict=True))
        return len(self._quick[quality]) * math.exp(-excess)

    def _compare(self, quality: int) -> None:
        """Learn how much longer a quick code of a quality is, on some blocks of the image."""
        some = some_blocks(self.image, _BLOCK, _ONE_IN, _FEWEST)
        if some is None or quality < 0 or quality in self._untypical:
            return
        quick, own = (len(hevc.encode(some, quality, quick=quick)) for quick in (True, False))
        self._untypical[quality] = math.log(quick / own) - np.interp(quality, *_QUICK_EXCESS)


def fit(image: np.ndarray, n_bytes: int) -> bytes:
    """`Coder.fit` of an image uint8 (H, W, C) that is coded once."""
    return Coder(image).fit(n_bytes)


class _Search:
    """Regula falsi for the largest quality whose code has at most `n_bytes`, in the logarithm of the bytes.

    Attributes:
        quality: the most promising one by all that was learned.
        slope: change of ln(bytes) from one quality to the next, by what was learned last.
        least: bytes of the lowest quality that was seen not to fit.
    """

    def __init__(self, n_bytes: int, quality: float, slope: float = _LOG_BYTES_PER_QUALITY) -> None:
        self.quality, self.slope, self.least = quality, slope, 0
        self._last: tuple[int, float] | None = None
        self._wanted = math.log(max(n_bytes, 1))
        # quality, ln(bytes) - wanted; None: not tried
        self._low: tuple[int, float | None] = (hevc.LOWEST - 1, None)
        self._high: tuple[int, float | None] = (hevc.HIGHEST + 1, None)

    def trial(self) -> int | None:
        """Quality to try next, the most promising one; None when the largest that fits is known."""
        trial = min(max(math.floor(self.quality), self._low[0] + 1), self._high[0] - 1)
        return trial if trial > self._low[0] else None

    def learn(self, quality: int, n_bytes: float) -> float:
        """Take in what a quality gave; returns ln(bytes) less what is wanted."""
        excess = math.log(n_bytes) - self._wanted
        if excess <= 0:
            self._low = max(self._low, (quality, excess))
        elif quality < self._high[0]:
            self._high, self.least = (quality, excess), math.ceil(n_bytes)
        if self._last and abs(quality - self._last[0]) > 2:  # three qualities of a QP are not even
            slope = (excess - self._last[1]) / (quality - self._last[0])
            self.slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
        self._last = quality, excess
        self.quality = quality - excess / self.slope
        (low, under), (high, over) = self._low, self._high
        if under is not None and over is not None:
            self.quality = low + (high - low) * under / (under - over)
        return excess
