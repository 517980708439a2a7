"""Image Viewer: watches images arrive in a Qt window. Needs PyQt5, which GNU Radio's own GUI brings along."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from PyQt5 import QtCore, QtGui, QtWidgets

from ...errors import HscError
from .. import pdu
from ..base import MessageBlock
from . import drawing
from .model import ViewerModel

# What the window may show.
PANELS = ("all", "picture")
# Between two paintings, at least [ms].
_INTERVAL_MS = 100


class ViewerWidget(QtWidgets.QWidget):
    """Paints a model, at most ten times a second. Any thread may call `refresh`, which never waits.

    Attributes:
        mistakes: paintings that failed.
    """

    changed = QtCore.pyqtSignal()

    def __init__(self, model: ViewerModel, title: str, side: int, everything: bool) -> None:
        super().__init__()
        self._model = model
        self._title, self._everything = title, everything
        self._pending, self.mistakes = False, 0
        if everything:
            self._hint = QtCore.QSize(int(2.6 * side), int(2.4 * side))
            self.setMinimumSize(self._hint * 0.6)
        else:
            self._hint = QtCore.QSize(side + 20, side + 56)
            self.setMinimumSize(QtCore.QSize(side, side * 2 // 3 + 76))
        self._timer = QtCore.QTimer(self, singleShot=True, interval=_INTERVAL_MS)
        self._timer.timeout.connect(self.update)
        self.changed.connect(self._soon)

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802
        """As Qt asks for it."""
        return self._hint

    def refresh(self) -> None:
        """There is something new to paint. At most one signal waits for the GUI's thread, however often this
        is called.
        """
        if not self._pending:
            self._pending = True
            self.changed.emit()

    def _soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:  # noqa: N802
        """As Qt asks for it."""
        self._pending = False
        theme = drawing.DARK if self.palette().window().color().lightness() < 128 else drawing.LIGHT
        painter = QtGui.QPainter(self)
        try:
            area, view = QtCore.QRectF(self.rect()), self._model.snapshot()
            drawing.draw(painter, area, view, theme, self._title, self._everything)
        except Exception as error:  # Qt aborts the process when one leaves a painting
            self.mistakes += 1
            text = f"this cannot be painted: {type(error).__name__}: {error}"
            painter.drawText(self.rect(), QtCore.Qt.AlignCenter, text)
        painter.end()


class image_viewer(MessageBlock):
    """Shows each image as it builds up, with the outline of its region of interest, the original beside it,
    former images, constellations, SNR and PSNR, and which packets came.

    Message ports, all of them optional: in `images` (`Image`, or `Generated`, which then is an image for
    good), `partial` (`Image` or `Generated`, of messages that are still incomplete), `original` (`Image`, as
    it was sent), `packets` (`ReceivedPacket` and `Tick`), `snr` (`Snr`; not needed beside `packets`),
    `quality` (`Quality`; not needed beside `original`), and `status` (`Failed` and `RadioStatus`, whose last
    line is shown).

    Args:
        title: line above the picture.
        side: side of the picture on the screen, about [pixels]; smaller images are enlarged.
        panels: "all", or "picture" for the picture and its caption alone.
        history: former images that are shown.

    Attributes:
        widget: the QWidget, to be put into a layout.
        model: what it shows.
        counters: those of every block, and `images`: final images that came.

    Raises:
        HscError: unknown `panels`.
    """

    def __init__(
        self, title: str = "Received", side: int = 360, panels: str = "all", history: int = 10
    ) -> None:
        super().__init__("Image Viewer")
        if panels not in PANELS:
            raise HscError(f"Image Viewer panels '{panels}': choose one of {', '.join(PANELS)}")
        self.model = ViewerModel(history)
        self.widget = ViewerWidget(self.model, title, side, panels == "all")
        inputs = {
            "images": {pdu.Image: self._image, pdu.Generated: self._generated, pdu.Failed: self._failed},
            "partial": {pdu.Image: self._partial, pdu.Generated: self._sr_alone, pdu.Failed: self.ignore},
            "original": {pdu.Image: self._original, pdu.Failed: self.ignore},
            "packets": {pdu.ReceivedPacket: self._packet, pdu.Tick: self._tick},
            "snr": {pdu.Snr: self._snr},
            "quality": {pdu.Quality: self._quality, pdu.Failed: self.ignore},
            "status": {pdu.Failed: self._failed, pdu.RadioStatus: self._radio},
        }
        self.open_ports(inputs, (), ends=("images",), queue=256)

    def _image(self, image: pdu.Image) -> None:
        self.counters["images"] += 1
        came, count = image.packets_received, image.packets
        stage = f"{came or 0} of {count} packets came"
        if count is None or came == count:
            stage = "" if count is None else f"all of {count} packets"
        self._show(image, stage)
        if image.notices:
            self.model.add_note(f"{image.name or image.message_id}: {image.notices}")

    def _partial(self, image: pdu.Image) -> None:
        came = f"{image.packets_received or 0} of {image.packets} packets so far"
        if image.packets is None or image.packets == image.packets_received:
            came = ""
        self._show(image, ", ".join(filter(None, (image.part, came))), partial=True)

    def _show(self, image: pdu.Image, stage: str, partial: bool = False) -> None:
        region = None
        with self.contain(None):
            region = image.region_blocks
        told = (image.message_id, image.pixels, image.name or "", image.snr_db, stage, partial, region)
        self.model.add_image(*told)
        self._refresh()

    def _generated(self, image: pdu.Generated, partial: bool = False) -> None:
        if image.pixels is not None:
            pixels = np.rint(image.pixels.clip(0, 1) * 255).astype(np.uint8)
            self.model.add_image(image.message_id, pixels, stage="SR alone", partial=partial)
            self._refresh()

    def _sr_alone(self, image: pdu.Generated) -> None:
        self._generated(image, partial=True)

    def _original(self, image: pdu.Image) -> None:
        self.model.add_original(image.message_id, image.pixels, image.name or "")

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self.model.add_packet(received.header, received.symbols, received.noise_variance, received.snr_db)
        self._refresh()

    def _tick(self, tick: pdu.Tick) -> None:
        if tick.sample_index == 0:
            self.model.begin_run()

    def _snr(self, snr: pdu.Snr) -> None:
        self.model.add_snr(snr.snr_db)
        self._refresh()

    def _quality(self, quality: pdu.Quality) -> None:
        self.model.add_quality(quality.message_id, quality.psnr_db, quality.name or "")
        self._refresh()

    def _failed(self, failed: pdu.Failed) -> None:
        self.model.add_note(f"{failed.block}: {failed.reason}")
        self._refresh()

    def _radio(self, status: pdu.RadioStatus) -> None:
        self.model.add_radio(radio_line(status))
        self._refresh()

    def _refresh(self) -> None:
        with suppress(RuntimeError):  # the window was closed and Qt has deleted it
            self.widget.refresh()


def radio_line(status: pdu.RadioStatus) -> str:
    """What a radio counts, in a line."""
    level = "" if status.peak_dbfs is None else f"peak {status.peak_dbfs:.1f} dBFS"
    counted = [f"{name} {count}" for name, count in status.troubles.items()]
    return ", ".join(filter(None, [f"{status.side} radio", level, *counted, status.failure]))
