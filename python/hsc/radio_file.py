"""SigMF recordings as a radio: what a `.sigmf-meta` file says of its samples (SigMF 1.x; https://sigmf.org). Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .errors import HscError
from .paths import examples_folder

_MAX_METADATA = 1 << 28  # bytes; a packet's annotation has some 300
# SigMF's name of a sample format -> bytes of a complex sample
FORMATS = {"cf32_le": 8, "ci16_le": 4, "ci8": 2}


@dataclass(frozen=True)
class RecordedSamples:
    """Where a recording's samples lie, and how.

    Attributes:
        data: the data file.
        datatype: a name in FORMATS.
        sample_rate: [samples/s].
        frequency: carrier of the first capture [Hz], 0 when it is not told.
        skip: samples before the first one.
        count: samples.
        start: time of the first sample (UTC), None when it is not told.
    """

    data: Path
    datatype: str
    sample_rate: float
    frequency: float
    skip: int
    count: int
    start: datetime | None = None


def describe(meta: Path) -> RecordedSamples:
    """Read a `.sigmf-meta` file. Raises HscError when it cannot be read, or its samples cannot.

    A relative path that is not there is looked for among the examples too, as images are.
    """
    if not meta.exists() and (examples := examples_folder()) is not None and (examples / meta).is_file():
        meta = examples / meta
    try:
        if meta.stat().st_size > _MAX_METADATA:
            raise HscError(f"{meta}: metadata of more than {_MAX_METADATA >> 20} MB, which is no recording that gr-hsc can read")
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


def _describe(meta: Path, content: dict) -> RecordedSamples:
    about, captures = content["global"], content.get("captures") or [{}]
    datatype, rate = about["core:datatype"], float(about["core:sample_rate"])
    frequency, header = float(captures[0].get("core:frequency", 0.0)), captures[0].get("core:header_bytes", 0)
    if datatype not in FORMATS:
        raise HscError(f"{meta}: samples of type {str(datatype)[:20]!r}; gr-hsc reads {', '.join(FORMATS)}")
    if about.get("core:num_channels", 1) != 1:
        raise HscError(f"{meta}: has several channels; record one")
    if not (math.isfinite(rate) and 0 < rate <= 1e9 and math.isfinite(frequency)):
        raise HscError(f"{meta}: its sample rate or frequency is impossible")
    data, size = meta.with_suffix(".sigmf-data"), FORMATS[datatype]
    if not isinstance(header, int) or header < 0 or header % size:
        raise HscError(f"{meta}: its samples begin at byte {header}, which is no whole number of samples")
    count = (data.stat().st_size - header) // size
    if count <= 0:
        raise HscError(f"{data}: holds no samples")
    return RecordedSamples(data, datatype, rate, frequency, header // size, count, _time(captures[0].get("core:datetime")))


def _time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None
