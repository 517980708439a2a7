"""Image Viewer: shows images in a Qt flowgraph. Needs PyQt5, which GNU Radio's own GUI brings along."""

from __future__ import annotations

import numpy as np
from PyQt5 import QtCore, QtGui, QtWidgets

from . import pdu
from .base import MessageBlock


class _Picture(QtWidgets.QWidget):
    """A picture above a line of text. Signals carry both from the block's thread to that of the GUI."""

    pixels = QtCore.pyqtSignal(QtGui.QImage, str)
    text = QtCore.pyqtSignal(str)

    def __init__(self, title: str, side: int) -> None:
        super().__init__()
        self._side, self._shown = side, QtWidgets.QLabel(alignment=QtCore.Qt.AlignCenter)
        self._shown.setMinimumSize(side, side * 2 // 3)
        self._line = QtWidgets.QLabel("", alignment=QtCore.Qt.AlignCenter)
        layout = QtWidgets.QVBoxLayout(self)
        for label in (QtWidgets.QLabel(f"<b>{title}</b>", alignment=QtCore.Qt.AlignCenter), self._shown, self._line):
            layout.addWidget(label)
        layout.setStretch(1, 1)
        self.pixels.connect(self._show)
        self.text.connect(self._line.setText)

    def _show(self, image: QtGui.QImage, text: str) -> None:
        smooth = QtCore.Qt.SmoothTransformation if image.width() > self._side else QtCore.Qt.FastTransformation
        scaled = image.scaled(self._side, self._side, QtCore.Qt.KeepAspectRatio, smooth)
        self._shown.setPixmap(QtGui.QPixmap.fromImage(scaled))
        self._line.setText(text)


class image_viewer(MessageBlock):
    """Shows each image that comes, and its quality when it is told.

    Message ports: in `images` (`Image` or `Generated`), `quality` (optional, `Quality`).

    Args:
        title: line above the picture.
        side: longest side of the picture on the screen [pixels]; smaller images are enlarged.

    Attributes:
        widget: the QWidget, to be put into the flowgraph's layout.
    """

    def __init__(self, title: str = "Image", side: int = 360) -> None:
        super().__init__("Image Viewer")
        inputs = {"images": {pdu.Image: self._image, pdu.Generated: self._generated}, "quality": {pdu.Quality: self._quality}}
        self.open_ports(inputs, (), ends=("images",), queue=4)
        self.widget = _Picture(title, side)

    def _image(self, image: pdu.Image) -> None:
        snr = "" if image.snr_db is None else f"  SNR {image.snr_db:.1f} dB"
        self._show(image.pixels, f"{image.name or image.message_id}{snr}")

    def _generated(self, image: pdu.Generated) -> None:
        if image.pixels is not None:
            self._show(np.rint(image.pixels.clip(0, 1) * 255).astype(np.uint8), str(image.message_id))

    def _quality(self, quality: pdu.Quality) -> None:
        self.widget.text.emit(f"{quality.name or quality.message_id}  PSNR {quality.psnr_db:.1f} dB")

    def _show(self, pixels: np.ndarray, text: str) -> None:
        rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
        height, width = rgb.shape[:2]
        self.widget.pixels.emit(QtGui.QImage(rgb.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy(), text)
