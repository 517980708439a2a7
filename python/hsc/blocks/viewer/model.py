"""What the Image Viewer knows: bounded, and without GNU Radio or Qt. The block fills it in one thread, the
window reads it in another.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from ... import metrics
from ...codecs import registry
from ...errors import HscError
from ...phy import mcs
from ...phy.header import Header
from ...phy.qam import Levels

# Longest side of a picture that is kept [pixels]; larger ones are made smaller.
LARGEST_SIDE = 1024
# The same of a former picture.
THUMBNAIL_SIDE = 160
# Symbols of a constellation.
POINTS = 1000
# Values of a curve that are kept.
CURVE_POINTS = 600
# Values within so long [s] are one, their mean.
CURVE_STEP = 0.1
# Originals that are kept, and their bytes together.
ORIGINALS = 64
ORIGINAL_BYTES = 64 << 20
# Messages whose final image has come that are remembered.
_REMEMBERED = 16


class PacketState(IntEnum):
    """Of one packet of a message, in the order of attention."""

    RECEIVED = 0
    PENDING = 1
    ERASED = 2
    LOST = 3


@dataclass(frozen=True)
class Picture:
    """A picture with what is known of it.

    Attributes:
        pixels: uint8 (H, W, C), at most LARGEST_SIDE a side.
        message_id: of its message.
        name: how it is called at the transmitter, or the message's number.
        size: (H, W) as it was sent.
        stage: how far it has come, such as "5 of 8 packets".
        partial: True while its message is incomplete and may still grow.
        snr_db, psnr_db: measured [dB], None where that is not known.
        region: blocks of 8 × 8 pixels of `size` that are in a region of interest, bool (⌈H/8⌉, ⌈W/8⌉).
    """

    pixels: np.ndarray
    message_id: int
    name: str
    size: tuple[int, int]
    stage: str = ""
    partial: bool = False
    snr_db: float | None = None
    psnr_db: float | None = None
    region: np.ndarray | None = None


@dataclass(frozen=True)
class PacketMap:
    """The packets of one message: `states` is uint8 (count,) of PacketState, `codec` and `streams` are what
    its header says.
    """

    message_id: int
    states: np.ndarray
    codec: str
    streams: str


@dataclass(frozen=True)
class View:
    """Everything that the window shows at one moment; arrays are not changed any more.

    Attributes:
        picture, original: of the message seen last; `original` None when it is not known.
        history: small pictures of former images, newest first.
        analog, digital: equalised symbols seen last, complex64 (at most POINTS,).
        mcs: MCS of the digital symbols; constellations: arguments of `qam.constellation` for each of theirs.
        snr_db, psnr_db: curves, float64 (n, 2): seconds before now, dB.
        packets: map of the message whose packets came last.
        note: the last thing worth telling; radio: what the radio counts.
    """

    picture: Picture | None = None
    original: Picture | None = None
    history: tuple[Picture, ...] = ()
    analog: np.ndarray = field(default_factory=lambda: np.zeros(0, np.complex64))
    digital: np.ndarray = field(default_factory=lambda: np.zeros(0, np.complex64))
    mcs: str = ""
    constellations: tuple[tuple[int, Levels], ...] = ()
    snr_db: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    psnr_db: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    packets: PacketMap | None = None
    note: str = ""
    radio: str = ""


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, C) → means of whole squares, so that no side is above `side`."""
    factor = -(-max(pixels.shape[:2]) // side)
    if factor <= 1:
        return pixels
    height, width = (max(1, n // factor) for n in pixels.shape[:2])
    rows, columns = min(factor, pixels.shape[0]), min(factor, pixels.shape[1])
    squares = pixels[: height * rows, : width * columns].reshape(height, rows, width, columns, -1)
    return np.rint(squares.mean((1, 3), dtype=np.float32)).astype(np.uint8)


class _Curve:
    """Values against time, thinned out."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float, int]] = deque(maxlen=CURVE_POINTS)

    def add(self, now: float, value: float) -> None:
        if not np.isfinite(value):
            return
        if self._points and now - self._points[-1][0] < CURVE_STEP:
            begun, mean, count = self._points.pop()
            self._points.append((begun, mean + (value - mean) / (count + 1), count + 1))
        else:
            self._points.append((now, value, 1))

    def before(self, now: float) -> np.ndarray:
        """float64 (n, 2): seconds before `now`, values."""
        return np.array([(now - begun, mean) for begun, mean, _ in self._points], np.float64).reshape(-1, 2)


class _PacketRecord:
    """States of the packets of one message as they come."""

    def __init__(self, header: Header, finished: bool) -> None:
        self.header, self.finished = header, finished
        self._states = np.full(header.count, PacketState.PENDING, np.uint8)
        self._last = -1

    def add(self, index: int, noise_variance: np.ndarray) -> None:
        # Half of the symbols at 0 dB or below: there is a packet, and little in it.
        erased = noise_variance.size and np.median(noise_variance) >= 1
        self._states[index] = PacketState.ERASED if erased else PacketState.RECEIVED
        self._last = max(self._last, index)

    def map(self) -> PacketMap:
        states = self._states.copy()
        until = states[: len(states) if self.finished else max(self._last, 0)]
        until[until == PacketState.PENDING] = PacketState.LOST
        try:
            codec = registry.name_of(self.header.codec)
        except HscError:
            codec = f"codec {self.header.codec}"
        streams = [f"analog {self.header.analog_symbols} symbols"] if self.header.analog_symbols else []
        streams += [f"{name} {n_bytes} bytes" for name, n_bytes in self.header.digital]
        return PacketMap(self.header.message_id, states, codec, ", ".join(streams))


class ViewerModel:
    """Collects what comes, from any thread. Memory is bounded by the constants of this module and `history`.

    Args:
        history: former images that are kept, small.
        clock: seconds, never going back.
    """

    def __init__(self, history: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._view = View()
        self._history: deque[Picture] = deque(maxlen=max(0, history))
        self._originals: OrderedDict[int, tuple[np.ndarray, str]] = OrderedDict()
        self._finished: deque[int] = deque(maxlen=_REMEMBERED)
        self._snr, self._psnr = _Curve(), _Curve()
        self._packets: _PacketRecord | None = None

    def snapshot(self) -> View:
        """What there is to see now."""
        with self._lock:
            now = self._clock()
            packets = self._packets.map() if self._packets else None
            curves = {"snr_db": self._snr.before(now), "psnr_db": self._psnr.before(now)}
            return replace(self._view, history=tuple(self._history), packets=packets, **curves)

    def add_image(
        self,
        message_id: int,
        pixels: np.ndarray,
        name: str = "",
        snr_db: float | None = None,
        stage: str = "",
        partial: bool = False,
        region: np.ndarray | None = None,
    ) -> None:
        """An image, uint8 (H, W, C): the final one of its message, or a partial one, which is ignored once
        the final one has come. `region`: as of `Picture`.
        """
        with self._lock:
            original = self._originals.get(message_id)
        psnr_db = None
        if original is not None and original[0].shape == pixels.shape:
            psnr_db = metrics.psnr_db(pixels, original[0])
        name = name or (original[1] if original else "")
        picture = _picture(message_id, pixels, name)
        known = {"snr_db": snr_db, "psnr_db": psnr_db, "region": region}
        picture = replace(picture, stage=stage, partial=partial, **known)
        with self._lock:
            if partial and message_id in self._finished:
                return
            beside = _picture(message_id, *original) if original else None
            self._remember()
            self._view = replace(self._view, picture=picture, original=beside)
            if not partial:
                self._finish(picture)

    def _finish(self, picture: Picture) -> None:
        """This is the final picture of its message; the lock is held."""
        self._finished.append(picture.message_id)
        if self._packets and self._packets.header.message_id == picture.message_id:
            self._packets.finished = True
        if self._packets is None and picture.snr_db is not None:
            self._snr.add(self._clock(), picture.snr_db)
        if picture.psnr_db is not None:
            self._psnr.add(self._clock(), picture.psnr_db)

    def add_original(self, message_id: int, pixels: np.ndarray, name: str = "") -> None:
        """An image as it was sent, uint8 (H, W, C)."""
        with self._lock:
            self._originals.pop(message_id, None)
            self._originals[message_id] = pixels, name
            while len(self._originals) > 1 and self._too_many_originals():
                self._originals.popitem(last=False)

    def _too_many_originals(self) -> bool:
        size = sum(kept.nbytes for kept, _ in self._originals.values())
        return len(self._originals) > ORIGINALS or size > ORIGINAL_BYTES

    def add_packet(
        self, header: Header, symbols: np.ndarray, noise_variance: np.ndarray, snr_db: float
    ) -> None:
        """A received packet: equalised symbols, complex64, analog ones first; the noise variance of each; its
        SNR [dB].
        """
        analog = next((part.stop - part.start for part in header.slices()), 0)
        usable = np.isfinite(noise_variance) & np.isfinite(symbols)
        schemes = sorted({name for name, n_bytes in header.digital if n_bytes})
        with self._lock:
            view = self._view
            if self._packets is None or self._packets.header != header.layout:
                self._packets = _PacketRecord(header.layout, header.message_id in self._finished)
            self._packets.add(header.index, noise_variance)
            self._snr.add(self._clock(), snr_db)
            self._view = replace(
                view,
                analog=_newest(view.analog, symbols[:analog][usable[:analog]]),
                digital=_newest(view.digital, symbols[analog:][usable[analog:]]) if schemes else view.digital,
                mcs=", ".join(schemes) or view.mcs,
                constellations=_constellations(schemes) or view.constellations,
            )

    def begin_run(self) -> None:
        """The receiver begins anew: images that were final may come again, piece by piece."""
        with self._lock:
            self._finished.clear()
            self._packets = None

    def add_snr(self, snr_db: float) -> None:
        """An SNR [dB] that somebody else has measured; not used where packets tell theirs."""
        with self._lock:
            if self._packets is None:
                self._snr.add(self._clock(), snr_db)

    def add_quality(self, message_id: int, psnr_db: float, name: str = "") -> None:
        """The PSNR [dB] of an image that came, or comes next, measured by somebody else."""
        with self._lock:
            picture = self._view.picture
            if picture is None or picture.message_id != message_id or picture.partial:
                return
            if picture.psnr_db is None:
                self._psnr.add(self._clock(), psnr_db)
            self._view = replace(
                self._view, picture=replace(picture, psnr_db=psnr_db, name=name or picture.name)
            )

    def add_note(self, note: str) -> None:
        """A line worth telling, such as why an image did not come."""
        with self._lock:
            self._view = replace(self._view, note=note)

    def add_radio(self, radio: str) -> None:
        """A line of what the radio counts."""
        with self._lock:
            self._view = replace(self._view, radio=radio)

    def _remember(self) -> None:
        """The picture that is shown goes to the former ones, unless it is a stage on the way to another."""
        shown = self._view.picture
        if shown is not None and not shown.partial:
            self._history.appendleft(replace(shown, pixels=shrink(shown.pixels, THUMBNAIL_SIDE)))


def _picture(message_id: int, pixels: np.ndarray, name: str) -> Picture:
    name = name or f"message {message_id}"
    return Picture(shrink(pixels, LARGEST_SIDE), message_id, name, pixels.shape[:2])


def _newest(kept: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """The last POINTS of both, of a long packet a part from all of it."""
    thinned = symbols[:: max(1, len(symbols) // POINTS)][:POINTS]
    return np.concatenate([kept, thinned.astype(np.complex64)])[-POINTS:]


def _constellations(schemes: list[str]) -> tuple[tuple[int, Levels], ...]:
    found = [mcs.by_name(name) for name in schemes]
    return tuple(sorted({(each.bits_per_symbol, each.levels) for each in found}))
