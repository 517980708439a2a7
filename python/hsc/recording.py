"""Recordings of received samples in SigMF: NAME.sigmf-data holds the samples, NAME.sigmf-meta says what they are and where packets lie.

The samples are written by somebody else, such as GNU Radio's file sink; this module names the files and writes the metadata, and
`radio_file` reads them. Format: SigMF 1.2 (https://sigmf.org); keys of our own have the prefix `hsc:` and are listed in
`packet_annotation`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import __version__
from .codecs import registry
from .errors import HscError
from .phy.numerology import Numerology, preset
from .phy.packet import ReceivedPacket

META, DATA = ".sigmf-meta", ".sigmf-data"
CI16_FULL_SCALE = 32768.0
_GENERATOR = f"gr-hsc {__version__}"
_EXTENSION = {"name": "hsc", "version": __version__, "optional": True}
_RENEW_SECONDS = 5.0
_RENEW_SHARE = 20  # metadata are written again when this many times as long has passed as writing them took


def file_names(name: str | Path) -> tuple[Path, Path]:
    """Metadata file and data file of a recording that is named with or without one of their suffixes."""
    text = str(name)
    base = next((text.removesuffix(s) for s in (META, DATA) if text.endswith(s)), text)
    return Path(base + META), Path(base + DATA)


def isoformat(moment: datetime) -> str:
    """UTC in the form that SigMF asks for, to the microsecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sample_time(start: datetime | None, sample_index: int, sample_rate: float) -> str | None:
    """When a sample came, as `isoformat` has it; None when the start is unknown."""
    return None if start is None else isoformat(start + timedelta(seconds=sample_index / sample_rate))


def packet_annotation(packet: ReceivedPacket, numerology: Numerology | None, sample_rate: float) -> dict[str, Any]:
    """SigMF annotation of a received packet; `numerology` is that of a packet that does not say it.

    Keys besides SigMF's own: `hsc:codec`, `hsc:message_id`, `hsc:packet` of `hsc:packets`, `hsc:shape` (H, W, C), `hsc:analog_symbols` of
    the message, `hsc:digital` ([MCS, bytes] of each stream), `hsc:snr_db` (Es/N0), `hsc:cfo_hz`, `hsc:sfo_ppm`.
    """
    header, numerology = packet.header, preset(packet.numerology) if packet.numerology else numerology
    if numerology is None:
        raise HscError("a packet without numerology cannot be annotated: tell the Recorder which one it has")
    measured = {"hsc:snr_db": packet.snr_db, "hsc:cfo_hz": packet.cfo * sample_rate / numerology.n_fft, "hsc:sfo_ppm": packet.sfo_ppm}
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


class RecordingWriter:
    """Writes the metadata of a recording while it is being made: valid from the start, renewed now and then, complete after `close`.

    Annotations wait in an unnamed file, not in memory. Not thread-safe.

    Args:
        name: of the recording, with or without suffix.
        datatype: SigMF's name of the sample format; full scale of ci16_le is CI16_FULL_SCALE.
        sample_rate: samples/s.
        frequency: centre frequency [Hz].
        hardware: address of the radio.
        numerology: of the packets; None for what the first of them has.
        start: time of the first sample.

    Attributes:
        data: where the samples belong.

    Raises:
        HscError: there is such a recording already, or it cannot be written.
    """

    def __init__(
        self,
        name: str | Path,
        datatype: str,
        sample_rate: float,
        frequency: float,
        hardware: str,
        numerology: Numerology | None,
        start: datetime,
    ) -> None:
        self.meta, self.data = file_names(name)
        self._numerology, self._rate = numerology, float(sample_rate)
        self._global = {
            "core:datatype": datatype,
            "core:sample_rate": self._rate,
            "core:version": "1.2.0",
            "core:num_channels": 1,
            "core:hw": hardware,
            "core:recorder": _GENERATOR,
            "core:description": "received samples",
            "core:extensions": [_EXTENSION],
        }
        if numerology is not None:
            self._name(numerology.name)
        self._captures = [{"core:sample_start": 0, "core:frequency": float(frequency), "core:datetime": isoformat(start)}]
        self._last = self._count = 0
        for path in (self.meta, self.data):
            if path.exists():
                raise HscError(f"{path} exists: give --record another name, or move that recording away")
        with self._reported():
            self.meta.parent.mkdir(parents=True, exist_ok=True)
            self.data.touch()
            self._lines = tempfile.TemporaryFile("w+", encoding="utf-8", dir=self.meta.parent)  # noqa: SIM115
            self._renew()

    def _name(self, numerology: str) -> None:
        self._global |= {"core:description": f"received samples, packets of {numerology}", "hsc:numerology": numerology}

    def set_start(self, start: datetime) -> None:
        """Time of the first sample, once it is known better."""
        self._captures[0]["core:datetime"] = isoformat(start)

    def add(self, packet: ReceivedPacket) -> None:
        """Annotate a packet. Raises HscError when the disk does not take it."""
        annotation = packet_annotation(packet, self._numerology, self._rate)
        if packet.numerology and not self._count and self._numerology is None:
            self._name(packet.numerology)
        # SigMF wants them in order: a burst that seems to begin before the former one is moved by those few samples.
        annotation["core:sample_start"] = self._last = max(self._last, annotation["core:sample_start"])
        with self._reported():
            self._lines.write(("," if self._count else "") + json.dumps(annotation, allow_nan=False) + "\n")
            self._count += 1
            if time.monotonic() >= self._next:
                self._renew()

    def close(self) -> None:
        """Write the metadata for the last time. Raises HscError when the disk does not take them."""
        with self._reported():
            self._renew()
            self._lines.close()

    def _renew(self) -> None:
        begun = time.monotonic()
        self._lines.flush()
        self._lines.seek(0)
        fresh = self.meta.with_name(self.meta.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(f'{{"global": {json.dumps(self._global)},\n"captures": {json.dumps(self._captures)},\n"annotations": [\n')
            file.writelines(self._lines)  # to its end, where the next one is added
            file.write("]}\n")
        os.replace(fresh, self.meta)
        now = time.monotonic()
        self._next = now + max(_RENEW_SECONDS, _RENEW_SHARE * (now - begun))

    @contextlib.contextmanager
    def _reported(self) -> Any:
        try:
            yield
        except OSError as error:
            raise HscError(f"cannot write {self.meta} ({error.strerror or error}): choose another name with --record") from None
