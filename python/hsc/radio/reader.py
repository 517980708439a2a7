"""SigMF recordings as a radio: what a `.sigmf-meta` file says, and the samples (SigMF 1.x;
https://sigmf.org). Pure.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HscError
from ..paths import examples_folder

# Largest metadata file [bytes]; a packet's annotation has some 300.
_MAX_METADATA = 1 << 28
# SigMF's own limit [samples/s].
_MAX_RATE = 1e12
# Largest full scale of a capture.
_MAX_FULL_SCALE = 2.0**64
# The extension of our own keys.
_EXTENSION = "hsc"


@dataclass(frozen=True)
class SampleFormat:
    """How a complex sample is stored: two numbers of this dtype, of which `zero` stands for 0, `zero + unit`
    for 1.
    """

    dtype: np.dtype
    zero: float = 0.0
    unit: float = 1.0

    @property
    def size(self) -> int:
        """Bytes of a complex sample."""
        return 2 * self.dtype.itemsize


def _formats() -> Iterator[tuple[str, SampleFormat]]:
    for kind, bits in (("f", 32), ("f", 64), ("i", 8), ("i", 16), ("i", 32), ("u", 8), ("u", 16), ("u", 32)):
        half = 1.0 if kind == "f" else 2.0 ** (bits - 1)
        zero = half if kind == "u" else 0.0
        for suffix, order in (("", "|"),) if bits == 8 else (("_le", "<"), ("_be", ">")):
            yield f"c{kind}{bits}{suffix}", SampleFormat(np.dtype(f"{order}{kind}{bits // 8}"), zero, half)


# Every complex format that SigMF has, by its names.
FORMATS = dict(_formats())


@dataclass(frozen=True)
class Capture:
    """What holds from one sample of a recording on.

    Attributes:
        sample_start: the first sample, counted from the recording's first.
        frequency: carrier [Hz], None when it is not told.
        start: time (UTC) of the sample `lag` samples before, None when it is not told.
        lag: samples; not 0 where the time was told of an earlier capture.
    """

    sample_start: int = 0
    frequency: float | None = None
    start: datetime | None = None
    lag: int = 0


@dataclass(frozen=True)
class Segment:
    """Samples that lie together in the data file.

    Attributes:
        first_byte: where they begin.
        count: samples.
        full_scale: amplitude that 1 stands for.
    """

    first_byte: int
    count: int
    full_scale: float = 1.0


@dataclass(frozen=True)
class RecordedSamples:
    """Where a recording's samples lie, and how.

    Attributes:
        data: the data file.
        datatype: a name in FORMATS.
        sample_rate: [samples/s], None when it is not told.
        captures: at least one, the first from sample 0 on.
        segments: at least one; together all samples in order.
        numerology: that its packets came with, as the recorder says; None when it is not told.
    """

    data: Path
    datatype: str
    sample_rate: float | None
    captures: tuple[Capture, ...]
    segments: tuple[Segment, ...]
    numerology: str | None = None

    @property
    def count(self) -> int:
        """Samples."""
        return sum(segment.count for segment in self.segments)

    @property
    def frequency(self) -> float:
        """Carrier of the first capture [Hz], 0 when it is not told."""
        return self.captures[0].frequency or 0.0

    @property
    def start(self) -> datetime | None:
        """Time of the first sample (UTC), None when it is not told."""
        return time_of(self.captures, 0, 1.0)


def time_of(captures: Sequence[Capture], sample_index: int, sample_rate: float) -> datetime | None:
    """When a sample came (UTC), by the capture that it is in; None when that is not known."""
    place = bisect_right(captures, sample_index, key=lambda capture: capture.sample_start) - 1
    capture = captures[max(0, place)] if captures else Capture()
    if capture.start is None:
        return None
    try:
        samples = sample_index - capture.sample_start + capture.lag
        return capture.start + timedelta(seconds=samples / sample_rate)
    except OverflowError:
        return None


def describe(meta: Path) -> RecordedSamples:
    """Read a `.sigmf-meta` file. Raises HscError when it cannot be read, or its samples cannot.

    A relative path that is not there is looked for among the examples too, as images are.
    """
    if not meta.exists() and (examples := examples_folder()) is not None and (examples / meta).is_file():
        meta = examples / meta
    try:
        if meta.stat().st_size > _MAX_METADATA:
            raise HscError(
                f"{meta}: metadata of more than {_MAX_METADATA >> 20} MB, "
                "which is no recording that gr-hsc can read"
            )
        content = json.loads(meta.read_bytes())
    except OSError as error:
        raise HscError(f"{meta}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise HscError(f"{meta}: is no SigMF metadata ({error})") from error
    try:
        return _describe(meta, content)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise HscError(f"{meta}: is no SigMF metadata ({type(error).__name__}: {error})") from error
    except OSError as error:
        raise HscError(f"{error.filename or meta}: {error.strerror or error}") from error


def _describe(meta: Path, content: dict[str, Any]) -> RecordedSamples:
    about, captures = content["global"], content.get("captures") or [{}]
    _refuse(meta, about)
    datatype, rate = about["core:datatype"], about.get("core:sample_rate")
    data = _dataset(meta, about)
    size, end = FORMATS[datatype].size, data.stat().st_size - _whole(about, "core:trailing_bytes")
    starts = [_whole(capture, "core:sample_start") for capture in captures]
    if any(later < earlier for earlier, later in pairwise(starts)):
        raise HscError(f"{meta}: its captures are not in the order of their samples")
    offset = _whole(about, "core:offset")
    first = offset if offset <= starts[0] else 0  # index of the data file's first sample
    captures, starts = list(captures), [start - first for start in starts]
    if starts[0]:  # samples before the first capture, of which nothing is told
        captures, starts = [{}, *captures], [0, *starts]
    segments = tuple(_segments(captures, starts, size, end))
    if not segments:
        raise HscError(f"{data}: holds no samples")
    numerology = about.get("hsc:numerology")
    return RecordedSamples(
        data=data,
        datatype=datatype,
        sample_rate=None if rate is None else float(rate),
        captures=tuple(_captures(captures, starts)),
        segments=segments,
        numerology=numerology if isinstance(numerology, str) else None,
    )


def _refuse(meta: Path, about: dict[str, Any]) -> None:
    """Raises HscError for a recording that gr-hsc does not read."""
    datatype = about["core:datatype"]
    if datatype not in FORMATS:
        raise HscError(f"{meta}: samples of type {str(datatype)[:20]!r}; gr-hsc reads {', '.join(FORMATS)}")
    if (channels := about.get("core:num_channels", 1)) != 1:
        raise HscError(
            f"{meta}: has {str(channels)[:20]} channels; gr-hsc reads recordings of one, split it up"
        )
    for extension in about.get("core:extensions") or []:
        if extension["name"] != _EXTENSION and extension.get("optional") is False:
            name = str(extension["name"])[:40]
            raise HscError(f"{meta}: needs the SigMF extension {name!r}, which gr-hsc does not know")
    rate = about.get("core:sample_rate")
    if rate is not None and not 0 < _finite(rate, "sample rate") <= _MAX_RATE:
        raise HscError(f"{meta}: its sample rate is impossible")


def _dataset(meta: Path, about: dict[str, Any]) -> Path:
    """The data file, which is there."""
    name = about.get("core:dataset", meta.with_suffix(".sigmf-data").name)
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise HscError(f"{meta}: its data file {str(name)[:60]!r} is no name of a file in the same folder")
    data = meta.with_name(name)
    if about.get("core:metadata_only") is True and not data.exists():
        raise HscError(f"{meta}: has metadata only, its samples were left out; get its data file too")
    data.stat()  # says why it is not there
    if not data.is_file():
        raise HscError(f"{data}: is no file")
    return data


def _segments(captures: list[dict[str, Any]], starts: list[int], size: int, end: int) -> Iterator[Segment]:
    """A segment for each capture that has samples. The header of a capture lies before its first sample."""
    headers = 0
    for capture, start, following in zip(captures, starts, [*starts[1:], None], strict=True):
        headers += _whole(capture, "core:header_bytes")
        full_scale = _finite(capture.get("hsc:full_scale", 1.0), "full scale")
        if not 0 < full_scale <= _MAX_FULL_SCALE:
            raise ValueError(f"full scale {full_scale:g}")
        first_byte = start * size + headers
        count = (end - first_byte) // size
        count = count if following is None else min(count, following - start)
        if count > 0:
            yield Segment(first_byte, count, full_scale)


def _captures(captures: list[dict[str, Any]], starts: list[int]) -> Iterator[Capture]:
    """A time that a capture does not tell goes on from the capture before, by the sample clock."""
    told, index = None, 0
    for capture, start in zip(captures, starts, strict=True):
        frequency = capture.get("core:frequency")
        at = _whole(capture, "core:global_index", start)
        if (time := _time(capture.get("core:datetime"))) is not None:
            told, index = time, at
        lag = 0 if told is None else at - index
        yield Capture(start, None if frequency is None else _finite(frequency, "frequency"), told, lag)


def _whole(fields: dict[str, Any], key: str, default: int = 0) -> int:
    """A number of samples or bytes. Raises ValueError for anything else."""
    value = fields.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is {str(value)[:20]}")
    return value


def _finite(value: Any, what: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} {number}")
    return number


def _time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


class SampleReader:
    """Reads a recording's samples, in order.

    Args:
        recorded: which.

    Raises:
        HscError: from every method: the data file cannot be opened or read.
    """

    def __init__(self, recorded: RecordedSamples) -> None:
        self._recorded, self._format = recorded, FORMATS[recorded.datatype]
        try:
            self._file = recorded.data.open("rb", buffering=0)
        except OSError as error:
            raise HscError(f"{recorded.data}: {error.strerror or error}") from error
        self.rewind()

    def rewind(self) -> None:
        """Begin again."""
        self._segment = self._done = 0

    def read_into(self, out: np.ndarray) -> int:
        """Fill complex64 `out` (n,) from its beginning. Returns the number of samples, 0 at the end."""
        filled = 0
        while filled < len(out) and self._segment < len(self._recorded.segments):
            segment = self._recorded.segments[self._segment]
            if self._done == segment.count:
                self._segment, self._done = self._segment + 1, 0
                continue
            count = min(len(out) - filled, segment.count - self._done)
            raw = self._read(segment.first_byte + self._done * self._format.size, count * self._format.size)
            self._convert(raw, segment.full_scale, out[filled : filled + count])
            filled, self._done = filled + count, self._done + count
        return filled

    def close(self) -> None:
        """Nothing more will be read."""
        self._file.close()

    def _read(self, first: int, size: int) -> bytes:
        try:
            self._file.seek(first)
            raw = self._file.read(size)
        except OSError as error:
            raise HscError(f"{self._recorded.data}: {error.strerror or error}") from error
        if len(raw) < size:
            raise HscError(f"{self._recorded.data}: has become shorter while it was read")
        return raw

    def _convert(self, raw: bytes, full_scale: float, out: np.ndarray) -> None:
        parts, to = np.frombuffer(raw, self._format.dtype), out.view(np.float32)
        if self._format.zero:
            np.subtract(parts, self._format.zero, out=to, casting="unsafe")
            parts = to
        factor = np.float32(full_scale / self._format.unit)
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite
            np.multiply(parts, factor, out=to, dtype=np.float32, casting="unsafe")
