"""What a receiver writes down of what it received: images as files, one line of received.jsonl for each
message, running figures.
"""

from __future__ import annotations

import fcntl
import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from .. import files
from ..errors import HscError
from ..images import files as image_files
from ..phy.header import Header
from ..phy.numerology import preset
from ..phy.packets import ReceivedPacket
from ..radio.reader import Capture, time_of
from ..radio.received import LOG
from ..radio.recording import codec_name, isoformat

_NAME = re.compile(r"image_(\d{5,9})\.png")
# Messages whose packets are still counted.
_REMEMBERED = 64


@dataclass
class _Message:
    """What was measured of the packets of one message."""

    header: Header
    first: int
    indices: set[int] = field(default_factory=set)
    cfo_hz: float = 0.0
    sfo_ppm: float = 0.0

    def add(self, packet: ReceivedPacket, cfo_hz: float) -> None:
        if packet.header.index not in self.indices:
            self.indices.add(packet.header.index)
            self.cfo_hz += (cfo_hz - self.cfo_hz) / len(self.indices)
            self.sfo_ppm += (packet.sfo_ppm - self.sfo_ppm) / len(self.indices)


@dataclass
class Figures:
    """Running figures of a receiver.

    Attributes:
        packets, lost: packets received, and those of messages that left without them.
        images, incomplete, failed: messages that gave an image, those of them with packets missing, messages
            that gave none.
        snr_db, cfo_hz, numerology: of the last packet, None before the first.
        last: the last image's file and what it is.
    """

    packets: int = 0
    lost: int = 0
    images: int = 0
    incomplete: int = 0
    failed: int = 0
    snr_db: float | None = None
    cfo_hz: float | None = None
    numerology: str | None = None
    last: str = ""


class ImageLog:
    """Keeps the account of what arrives, and writes it to a folder. Memory is bounded. Not thread-safe.

    Files are `image_00001.png`, …; a run goes on counting where the files that are there already end.

    Args:
        folder: made when it is not there.
        sample_rate: samples/s.
        captures: which say when samples came; empty while that is unknown.

    Attributes:
        captures, sample_rate: as above.
        figures: running figures.

    Raises:
        HscError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, sample_rate: float, captures: Sequence[Capture] = ()) -> None:
        self.folder, self.figures = folder, Figures()
        self.captures, self.sample_rate = captures, sample_rate
        self._messages: OrderedDict[int, _Message] = OrderedDict()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = (folder / LOG).open("a", encoding="utf-8")
            numbers = [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._next = max(numbers, default=0) + 1

    def packet(self, packet: ReceivedPacket) -> None:
        """Take note of a packet."""
        figures, header = self.figures, packet.header
        figures.packets += 1
        cfo_hz = packet.cfo * self.sample_rate / preset(packet.numerology).n_fft
        figures.snr_db, figures.cfo_hz = packet.snr_db, cfo_hz
        figures.numerology = packet.numerology
        message = self._messages.get(header.message_id)
        if message is None or message.header != header.layout:
            message = self._messages[header.message_id] = _Message(header.layout, packet.sample_index)
        message.add(packet, cfo_hz)
        self._messages.move_to_end(header.message_id)
        if len(self._messages) > _REMEMBERED:
            self._messages.popitem(last=False)

    def image(
        self,
        message_id: int,
        pixels: np.ndarray,
        snr_db: float | None,
        packets: int,
        received: int,
        notices: str | None,
    ) -> str:
        """Write a message's image, uint8 (H, W, C), and its line. Gives one line of text that says so. Raises
        HscError as the disk does.
        """
        with _alone(self._log):  # another receiver may write to the folder too
            while (self.folder / (name := f"image_{self._next:05d}.png")).exists():
                self._next += 1
            self._next += 1  # for good: whoever takes files away gets no name twice
            self._save(pixels, self.folder / name)
        figures = self.figures
        figures.images += 1
        figures.incomplete += received < packets
        figures.lost += packets - received
        entry = {
            **self._known(message_id),
            "shape": list(pixels.shape),
            "file": name,
            "packets": packets,
            "packets_received": received,
        }
        self._write({**entry, "snr_db": _rounded(snr_db, 2), "notices": notices, "error": None})
        figures.last = (
            f"{name} ({entry['codec']}, {pixels.shape[1]} x {pixels.shape[0]}, {received}/{packets} packets)"
        )
        return figures.last + (f": {notices}" if notices else "")

    def failed(self, message_id: int, reason: str) -> None:
        """Write the line of a message that gave no image. Raises HscError when the disk does not take it."""
        self.figures.failed += 1
        message = self._messages.get(message_id)
        packets, received = (message.header.count, len(message.indices)) if message else (None, None)
        if message:
            self.figures.lost += packets - received
        shape = list(message.header.shape) if message else None
        entry = {
            **self._known(message_id),
            "shape": shape,
            "file": None,
            "packets": packets,
            "packets_received": received,
        }
        self._write({**entry, "snr_db": None, "notices": None, "error": reason})

    def close(self) -> None:
        """Nothing more will be written."""
        self._log.close()

    def _known(self, message_id: int) -> dict[str, object]:
        """What the message's packets say."""
        message = self._messages.get(message_id)
        if message is None:
            return dict.fromkeys(("time", "message_id", "codec", "sample_index", "cfo_hz", "sfo_ppm")) | {
                "message_id": message_id
            }
        moment = time_of(self.captures, message.first, self.sample_rate)
        return {
            "time": None if moment is None else isoformat(moment),
            "message_id": message_id,
            "codec": codec_name(message.header.codec),
            "sample_index": message.first,
            "cfo_hz": _rounded(message.cfo_hz, 1),
            "sfo_ppm": _rounded(message.sfo_ppm, 2),
        }

    def _save(self, pixels: np.ndarray, path: Path) -> None:
        try:
            # Who watches the folder sees whole pictures only.
            files.write(path, image_files.png(image_files.picture(pixels)))
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def _write(self, entry: dict[str, object]) -> None:
        try:
            self._log.write(json.dumps(entry, allow_nan=False, ensure_ascii=False) + "\n")
            self._log.flush()
        except OSError as error:
            raise _unwritable(self.folder, error) from None


@contextmanager
def _alone(file: IO[str]) -> Iterator[None]:
    """While no other process is here with the same file. Where the file system has no locks, as it comes."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _rounded(value: float | None, digits: int) -> float | None:
    return round(float(value), digits) if value is not None and math.isfinite(value) else None


def _unwritable(folder: Path, error: OSError) -> HscError:
    return HscError(
        f"cannot write to {files.label(folder)} ({error.strerror or error}): choose another folder with --out"
    )
