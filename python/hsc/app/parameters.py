"""Types of values on the command line: each reads text, and says in one line what is wrong with it."""

from __future__ import annotations

import cmath
import math
from decimal import Decimal
from typing import Any

import click

from .. import metrics
from ..errors import HscError
from ..phy import mcs

# What a suffix of a frequency stands for.
_FACTORS = {"k": 10**3, "M": 10**6, "G": 10**9}


def _number(text: str, factor: int = 1) -> float:
    """A finite decimal number, or one over another, times a factor. Raises ValueError for anything else.

    Decimal numbers are exact, and as large as they may be in few bytes: a fraction of integers is not.
    """
    try:
        first, *divisors = map(Decimal, text.split("/", 1))
        number = float(first * factor / (divisors[0] if divisors else 1))
    except ArithmeticError as error:
        raise ValueError(f"'{text}' is not a number") from error
    if not math.isfinite(number):
        raise ValueError(f"'{text}' is not finite")
    return number


class Number(click.ParamType):
    """A finite real number in [low, high], or (low, high] with `above`; a fraction such as 1/24 is
    understood.
    """

    name = "number"

    def __init__(self, low: float = -math.inf, high: float = math.inf, above: bool = False) -> None:
        self.low, self.high = low, high
        self.above = above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = _number(str(value))
        except ValueError:
            self.fail(f"'{value}' is not a number", param, ctx)
        if not self.low <= number <= self.high or (self.above and number == self.low):
            least = f"more than {self.low:g}" if self.above else f"{self.low:g}"
            self.fail(f"{value} is out of range: give {least} to {self.high:g}", param, ctx)
        return number


class Hertz(Number):
    """A frequency or a rate: a number, maybe with the suffix k, M or G."""

    name = "hertz"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        factor = _FACTORS.get(text[-1:], 1)
        try:
            hertz = _number(text[:-1] if factor > 1 else text, factor)
        except ValueError:
            self.fail(f"'{value}' is not a number of hertz, such as 433.92M", param, ctx)
        return super().convert(hertz, param, ctx)


class MCS(click.ParamType):
    """An MCS, or a code of which the SNR chooses one."""

    name = "mcs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return mcs.known(value)
        except HscError as error:
            self.fail(str(error), param, ctx)


class Taps(click.ParamType):
    """Complex numbers separated by commas."""

    name = "taps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[complex, ...]:
        if isinstance(value, tuple):
            return value
        try:
            taps = tuple(complex(part.replace(" ", "")) for part in value.split(","))
        except ValueError:
            self.fail(f"'{value}' is not a list of complex numbers, such as 1,0,0.5j", param, ctx)
        if not all(cmath.isfinite(tap) for tap in taps):
            self.fail(f"'{value}': give finite numbers", param, ctx)
        return taps


class Interferer(click.ParamType):
    """A tone: power over that of the signal [dB] @ frequency [Hz]."""

    name = "dB@Hz"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        level, at, frequency = value.partition("@")
        if not at:
            self.fail(f"'{value}' is not of the form dB@Hz, such as -3@120k", param, ctx)
        return Number(-100, 100).convert(level, param, ctx), Hertz(-50e6, 50e6).convert(frequency, param, ctx)


class NameValue(click.ParamType):
    """NAME=VALUE, of an option of a codec."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.isidentifier():
            self.fail(f"'{value}' is not of the form NAME=VALUE", param, ctx)
        return name, text


class Distances(click.ParamType):
    """Names of `metrics.PERCEPTUAL` separated by commas, all or none."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        if value in ("all", "none"):
            return tuple(metrics.PERCEPTUAL) if value == "all" else ()
        names = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
        if unknown := [name for name in names if name not in metrics.PERCEPTUAL]:
            known = ", ".join(metrics.PERCEPTUAL)
            self.fail(f"'{unknown[0]}' is not one of {known}, all or none", param, ctx)
        return names


# What `send`, `simulate` and `compare` measure beside PSNR and MS-SSIM.
perceptual_option = click.option(
    "--metrics",
    "perceptual",
    type=Distances(),
    default=",".join(metrics.USUAL),
    show_default=True,
    help=f"Perceptual distances to measure besides, separated by commas: {', '.join(metrics.PERCEPTUAL)}; "
    "all or none. For 768 x 512 on one core MS-SSIM takes 0.1 s, lpips_alex 0.4 s, the others 8 s each.",
)
