"""Recordings in SigMF: NAME.sigmf-data holds the samples, NAME.sigmf-meta says what they are and where
packets lie.

Format: SigMF 1.2 (https://sigmf.org); `radio.reader` reads it. Keys of our own have the prefix `hsc:`.
Global: `hsc:numerology`, of the packets. Captures: `hsc:full_scale`, the amplitude that the integer 32768 of
ci16_le stands for: a sample is integer / 32768 * full_scale. Annotations: `packet_annotation`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..codecs import registry
from ..errors import HscError
from ..phy.numerology import Numerology, preset
from ..phy.packets import ReceivedPacket
from .reader import Capture, time_of

# Formats that are written, by SigMF's names.
FORMATS = ("cf32_le", "ci16_le")
# Suffixes of the two files.
META = ".sigmf-meta"
DATA = ".sigmf-data"
# The integer that stands for the full scale, one above the largest.
CI16_FULL_SCALE = 32768.0
_GENERATOR = f"gr-hsc {__version__}"
_EXTENSION = {"name": "hsc", "version": __version__, "optional": True}
# Metadata are written again after so long [s] …
_RENEW_SECONDS = 5.0
# … or when this many times as long has passed as writing them took.
_RENEW_SHARE = 20
# Bytes that a recording leaves free on the disk.
_LEAST_DISK = 32 << 20
# Bytes written between two looks at the disk.
_LOOK_AT_DISK = 1 << 24


def file_names(name: str | Path) -> tuple[Path, Path]:
    """Metadata file and data file of a recording that is named with or without one of their suffixes."""
    text = os.path.expanduser(name)
    base = next((text.removesuffix(s) for s in (META, DATA) if text.endswith(s)), text)
    return Path(base + META), Path(base + DATA)


def isoformat(moment: datetime) -> str:
    """UTC in the form that SigMF asks for, to the microsecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def packet_annotation(
    packet: ReceivedPacket, numerology: Numerology | None, sample_rate: float
) -> dict[str, Any]:
    """SigMF annotation of a received packet; `numerology` is that of a packet that does not say it.

    Keys besides SigMF's own: `hsc:codec`, `hsc:message_id`, `hsc:packet` of `hsc:packets`, `hsc:shape` (H, W,
    C), `hsc:analog_symbols` of the message, `hsc:digital` ([MCS, bytes] of each stream), `hsc:snr_db`
    (Es/N0), `hsc:cfo_hz`, `hsc:sfo_ppm`.
    """
    header, numerology = packet.header, preset(packet.numerology) if packet.numerology else numerology
    if numerology is None:
        raise HscError("a packet without numerology cannot be annotated: tell the Recorder which one it has")
    measured = {
        "hsc:snr_db": packet.snr_db,
        "hsc:cfo_hz": packet.cfo * sample_rate / numerology.n_fft,
        "hsc:sfo_ppm": packet.sfo_ppm,
    }
    start = max(0, packet.sample_index)
    return {
        "core:sample_start": start,
        "core:sample_count": numerology.burst_length(header.payload_symbols) + min(0, packet.sample_index),
        "core:label": f"packet {header.index + 1}/{header.count}",
        "core:generator": _GENERATOR,
        "hsc:codec": codec_name(header.codec),
        "hsc:message_id": header.message_id,
        "hsc:packet": header.index,
        "hsc:packets": header.count,
        "hsc:shape": list(header.shape),
        "hsc:analog_symbols": header.analog_symbols,
        "hsc:digital": [[mcs, n_bytes] for mcs, n_bytes in header.digital],
        **{key: round(float(value), 3) for key, value in measured.items() if math.isfinite(value)},
    }


def codec_name(number: int) -> str:
    """Name of a codec in a packet header, its number when this version does not know it."""
    try:
        return registry.name_of(number)
    except HscError:
        return str(number)


class FullScale:
    """The amplitude that the largest integer stands for, by the samples as they come: a live recording is
    written once.

    It begins at 1, what converters have, and is a power of two, so that nothing is lost of samples that
    were such integers before. A peak above it raises it to 12 dB above that peak. Where none of `PERIOD`
    samples comes within 30 dB of it, or none of the first ones, it falls to 30 dB above their peak. So
    rounding adds an error of some -50 dB to Gaussian samples, and of some -70 dB to OFDM bursts.

    Args:
        fixed: of a converter's samples: it stays.

    Attributes:
        value: now.
    """

    # Samples after which it may fall: in long silence only, not in every gap between images.
    PERIOD = 1 << 20
    # Full scale over the peak that raised it: 12 dB.
    _HEADROOM = 4.0
    # Full scale over the peak that it fell for: 30 dB.
    _RANGE = 32.0
    # No signal is larger: a broken sample, which must not flatten those around it.
    _LARGEST = 2.0**24
    # Lowest peak that it falls for.
    _LEAST = 2.0**-64

    def __init__(self, fixed: float | None = None) -> None:
        self.value, self._fixed = fixed or 1.0, fixed is not None
        self._peak, self._count = 0.0, self.PERIOD

    def follow(self, parts: np.ndarray) -> float:
        """Take float32 (n,), real and imaginary parts, finite; the value for them."""
        if self._fixed or not parts.size:
            return self.value
        peak = min(max(float(parts.max()), -float(parts.min())), self._LARGEST)
        self._peak, self._count = max(self._peak, peak), self._count + parts.size // 2
        if peak > self.value:
            self.value = self._HEADROOM * _power_of_two(peak)
        elif self._peak and self._count >= self.PERIOD:
            self.value = min(self.value, self._RANGE * _power_of_two(max(self._peak, self._LEAST)))
            self._peak, self._count = 0.0, 0
        return self.value


def _power_of_two(level: float) -> float:
    """The least one that is not below `level` > 0."""
    return 2.0 ** math.ceil(math.log2(level))


def _about(datatype: str, sample_rate: float, hardware: str) -> dict[str, Any]:
    """SigMF's global object."""
    return {
        "core:datatype": datatype,
        "core:sample_rate": sample_rate,
        "core:version": "1.2.0",
        "core:num_channels": 1,
        "core:hw": hardware,
        "core:recorder": _GENERATOR,
        "core:description": "samples",
        "core:extensions": [_EXTENSION],
    }


def _require_folder(path: Path) -> None:
    """Raises HscError when the folder of a file can neither be written to nor be made."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise HscError(f"cannot write {path} ({folder} is no folder to write to): choose another name")


class RecordingWriter:
    """Writes a recording while it is being made: valid from the first sample on, complete after `flush`.

    The files are made when the first sample comes, and not before. Samples come in runs, one for each start
    of a flowgraph; each begins a capture. Metadata are renewed now and then; annotations wait in an unnamed
    file, not in memory. One thread may write samples while another adds packets.

    Args:
        name: of the recording, with or without suffix.
        datatype: one of FORMATS.
        sample_rate: samples/s.
        frequency: centre frequency [Hz].
        hardware: address of the radio.
        numerology: of the packets; None for what the first of them has.
        start: time of the first sample of a run; None for the time at which it is written.
        overwrite: a recording of that name is replaced when the first sample comes; else it is an error.
        full_scale: of a converter; None to follow the samples (`FullScale`). Only ci16_le needs it.

    Attributes:
        meta, data: the files.
        samples: written so far.
        clipped: samples with a part that was beyond full scale or not finite, which integers do not hold.
        ended: it takes no more samples: it was closed, or the disk refused.

    Raises:
        HscError: an unknown format, such a recording is there already, or it cannot be written.
    """

    def __init__(
        self,
        name: str | Path,
        datatype: str,
        sample_rate: float,
        frequency: float,
        hardware: str,
        numerology: Numerology | None = None,
        start: datetime | None = None,
        overwrite: bool = False,
        full_scale: float | None = None,
    ) -> None:
        if datatype not in FORMATS:
            raise HscError(f"unknown format '{datatype}': choose one of {', '.join(FORMATS)}")
        for what, value in (("sample rate", sample_rate), ("full scale", full_scale)):
            if value is not None and not 0 < value < math.inf:
                raise HscError(f"recording {name}: a {what} of {value} is impossible, give one above 0")
        self.meta, self.data = file_names(name)
        self._numerology, self._rate = numerology, float(sample_rate)
        self._overwrite = overwrite
        self._global = _about(datatype, self._rate, hardware)
        if numerology is not None:
            self._name(numerology.name)
        self._live = (Capture(0, float(frequency), start),)
        self._full_scale = FullScale(full_scale) if datatype == "ci16_le" else None
        self._captures: list[dict[str, Any]] = []
        self._runs: list[int] = []  # sample that each begins at
        self._planned, self._next = self._live, 0  # captures of this run, and which begins next
        self._lock = threading.RLock()
        self._file: Any = None  # both are made with the first sample
        self._lines: Any = None  # annotations
        self._next_renewal = 0.0  # of the metadata [s, time.monotonic]
        self._last = self._count = 0  # where the last annotation begins, and how many there are
        self._unlooked = 0  # bytes since the last look at the disk
        self.samples = self.clipped = 0
        self.ended = False
        self._refuse_existing()
        _require_folder(self.meta)

    def _name(self, numerology: str) -> None:
        self._global |= {
            "core:description": f"received samples, packets of {numerology}",
            "hsc:numerology": numerology,
        }

    def begin(self, captures: Sequence[Capture] = ()) -> int:
        """Begin a run. Returns its number.

        Args:
            captures: of a recording that the samples come from, the first from sample 0 on: they are written
                again.
        """
        with self._lock:
            self._runs.append(self.samples)
            self._planned, self._next = tuple(captures) or self._live, 0
            return len(self._runs) - 1

    def write(self, samples: np.ndarray) -> None:
        """Add complex64 samples (n,). Raises HscError when the disk refuses or is nearly full; no more are
        taken then.
        """
        if self.ended or not len(samples):
            return
        try:
            with self._reported():
                self._open()
                if self._planned is self._live and self._live[0].start is None:
                    now = datetime.now(UTC) - timedelta(seconds=len(samples) / self._rate)
                    self._planned = (replace(self._live[0], start=now),)
                while len(samples):
                    samples = samples[self._put(samples) :]
        except HscError:
            self.ended = True
            raise

    def _put(self, samples: np.ndarray) -> int:
        """Write samples up to where a capture begins. Returns how many."""
        before, here = self._next, self.samples - self._runs[-1]
        while self._next < len(self._planned) and self._planned[self._next].sample_start <= here:
            self._next += 1
        if self._next < len(self._planned):
            samples = samples[: self._planned[self._next].sample_start - here]
        raw, full_scale = self._encode(np.ascontiguousarray(samples, np.complex64).view(np.float32))
        if self._next > before or full_scale != self._captures[-1].get("hsc:full_scale"):
            self._begin_capture(here, full_scale)
        view, written = memoryview(raw).cast("B"), 0
        try:
            while written < raw.nbytes:
                written += self._file.write(view[written:])
        finally:
            self.samples += written * len(samples) // raw.nbytes
        self._look_at_disk(raw.nbytes)
        return len(samples)

    def _begin_capture(self, here: int, full_scale: float | None) -> None:
        """From the next sample on; `here` is its number in this run."""
        plan = self._planned[self._next - 1]
        moment = time_of((plan,), here, self._rate)
        told = {
            "core:frequency": plan.frequency,
            "core:datetime": None if moment is None else isoformat(moment),
            "hsc:full_scale": full_scale,
        }
        with self._lock:
            before = self._captures[-1].get("hsc:full_scale") if self._captures else None
            known = {key: value for key, value in told.items() if value is not None}
            self._captures.append({"core:sample_start": self.samples, **known})
            # Samples of another full scale come after the metadata that say so.
            if not here or full_scale != before or time.monotonic() >= self._next_renewal:
                self._renew()

    def _encode(self, parts: np.ndarray) -> tuple[np.ndarray, float | None]:
        """float32 (n,), real and imaginary parts, as they are stored, and their full scale."""
        if self._full_scale is None:
            return parts.astype("<f4", copy=False), None
        finite = parts
        if not math.isfinite(float(np.dot(parts, parts))):
            finite = np.where(np.isfinite(parts), parts, np.float32(0))
        full_scale = self._full_scale.follow(finite)
        stored = np.clip(finite, -full_scale, full_scale)
        if finite is not parts or not np.array_equal(stored, parts):
            self.clipped += int(np.count_nonzero((stored != parts).reshape(-1, 2).any(1)))
        stored *= np.float32(CI16_FULL_SCALE / full_scale)
        np.rint(stored, out=stored)
        np.minimum(stored, CI16_FULL_SCALE - 1, out=stored)
        return stored.astype("<i2"), full_scale

    def _look_at_disk(self, size: int) -> None:
        self._unlooked += size
        if self._unlooked >= _LOOK_AT_DISK:
            self._unlooked = 0
            if shutil.disk_usage(self.data.parent).free < _LEAST_DISK:
                raise HscError(f"the disk of {self.data} is nearly full: the recording has ended")

    def add(self, packet: ReceivedPacket, run: int = -1) -> None:
        """Annotate a packet of a run, the newest unless told. Raises HscError when the disk refuses."""
        with self._reported(), self._lock:
            if self.ended and self._file is None:
                return
            self._open()
            annotation = packet_annotation(packet, self._numerology, self._rate)
            if packet.numerology and not self._count and self._numerology is None:
                self._name(packet.numerology)
            start = self._runs[run] + annotation["core:sample_start"]
            if self.ended and start >= self.samples:
                return
            # SigMF wants them in order: a burst that seems to begin before the former one is moved by those
            # few samples.
            annotation["core:sample_start"] = self._last = max(self._last, start)
            self._lines.write(("," if self._count else "") + json.dumps(annotation, allow_nan=False) + "\n")
            self._count += 1
            if time.monotonic() >= self._next_renewal:
                self._renew()

    def flush(self) -> None:
        """Make the metadata complete. Raises HscError when the disk does not take them."""
        with self._reported(), self._lock:
            if self._file is not None:
                self._renew()

    def close(self) -> None:
        """The same, and for the last time. Nothing is written after it."""
        with self._lock:
            self.ended = True
            self.flush()
            if self._file is not None:
                self._file.close()
                self._lines.close()
                self._file = None

    def _refuse_existing(self) -> None:
        for path in (self.meta, self.data):
            if path.exists() and not self._overwrite:
                raise HscError(f"{path} exists: give another name, or move that recording away")

    def _open(self) -> None:
        """Make the files, unless they are made."""
        with self._lock:
            if not self._runs:
                self.begin()
            if self._file is not None:
                return
            self._refuse_existing()
            self.meta.parent.mkdir(parents=True, exist_ok=True)
            if self._overwrite:
                self.data.unlink(missing_ok=True)
            self._lines = tempfile.TemporaryFile("w+", encoding="utf-8", dir=self.meta.parent)  # noqa: SIM115
            self._file = self.data.open("xb", buffering=0)  # a process that is killed loses nothing
            self._renew()

    def _renew(self) -> None:
        begun = time.monotonic()
        self._lines.flush()
        self._lines.seek(0)
        fresh, captures = self.meta.with_name(self.meta.name + ".new"), json.dumps(self._captures)
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(
                    f'{{"global": {json.dumps(self._global)},\n"captures": {captures},\n"annotations": [\n'
                )
                file.writelines(self._lines)  # to its end, where the next one is added
                file.write("]}\n")
            os.replace(fresh, self.meta)
        except OSError:  # a full disk: those that are there hold for what came before
            fresh.unlink(missing_ok=True)
            raise
        now = time.monotonic()
        self._next_renewal = now + max(_RENEW_SECONDS, _RENEW_SHARE * (now - begun))

    @contextlib.contextmanager
    def _reported(self) -> Any:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise HscError(
                f"cannot write {self.meta} ({reason}): choose another name for the recording"
            ) from None
