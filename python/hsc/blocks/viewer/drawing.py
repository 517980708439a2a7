"""How the Image Viewer looks: pure functions from a `View` to pixels, with Qt's painter. Needs PyQt5 and a
QGuiApplication, no display.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PyQt5 import QtCore, QtGui

from ...images.region import PENS, outline
from ...phy import qam
from .model import PacketMap, PacketState, Picture, View

Rect = QtCore.QRectF
# Between panels [pixels].
_GAP = 10.0
# Height of a line of text, and of its letters [pixels].
_LINE = 18.0
_FONT_PIXELS = 13
# Shares of the window's height: former images, and the row of plots.
_HISTORY = 0.155
_PLOTS = 0.29
# Seconds of a curve that are shown.
_SECONDS = 60.0
# Cells of the map of packets.
_MOST_CELLS = 512
# A curve of fewer values has a dot at each.
_DOTTED = 80
# Largest part of a symbol that is shown, at a mean power of 1: QAM's outer points are at 1.08.
_ANALOG_LIMIT = 3.0
_DIGITAL_LIMIT = 1.6
_LEFT = QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft
_RIGHT = QtCore.Qt.AlignVCenter | QtCore.Qt.AlignRight
_CENTRE = QtCore.Qt.AlignVCenter | QtCore.Qt.AlignHCenter


@dataclass(frozen=True)
class Theme:
    """Colours, as QColor takes them; the last four are those of PacketState, in its order."""

    window: str
    panel: str
    text: str
    dim: str
    grid: str
    analog: str
    digital: str
    snr: str
    psnr: str
    states: tuple[str, str, str, str]


LIGHT = Theme(
    window="#eff0f1",
    panel="#ffffff",
    text="#1b1e20",
    dim="#5c6166",
    grid="#d5d8da",
    analog="#00796b",
    digital="#3949ab",
    snr="#c2571a",
    psnr="#3949ab",
    states=("#43a047", "#d5d8da", "#fbc02d", "#d32f2f"),
)
DARK = Theme(
    window="#232629",
    panel="#16181a",
    text="#eceff1",
    dim="#a3a9ad",
    grid="#3a3f43",
    analog="#4db6ac",
    digital="#90a4ff",
    snr="#ffb074",
    psnr="#90a4ff",
    states=("#66bb6a", "#3a3f43", "#fdd835", "#ef5350"),
)


def draw(
    painter: QtGui.QPainter, area: Rect, view: View, theme: Theme, title: str = "", everything: bool = True
) -> None:
    """Paint a view: everything there is, or the picture alone."""
    painter.setRenderHints(QtGui.QPainter.Antialiasing | QtGui.QPainter.SmoothPixmapTransform)
    font = painter.font()
    font.setPixelSize(_FONT_PIXELS)
    painter.setFont(font)
    painter.fillRect(area, QtGui.QColor(theme.window))
    places = layout(area, view, everything)
    _picture(painter, places["picture"], view.picture, title, theme)
    if "original" in places:
        _picture(painter, places["original"], view.original, "Original", theme)
    if not everything:
        return
    _history(painter, places["history"], view.history, theme)
    _analog(painter, places["analog"], view, theme)
    _digital(painter, places["digital"], view, theme)
    _curves(painter, places["curves"], view, theme)
    _packets(painter, places["packets"], view.packets, theme)
    _text(painter, places["note"], "   ".join(filter(None, (view.radio, view.note))), theme.dim, _LEFT)


def layout(area: Rect, view: View, everything: bool = True) -> dict[str, Rect]:
    """Where each panel is; "original" only when there is one to show."""
    inner = area.adjusted(_GAP, _GAP, -_GAP, -_GAP)
    if not everything:
        return {"picture": inner}
    note = Rect(inner.left(), inner.bottom() - _LINE, inner.width(), _LINE)
    packets = Rect(inner.left(), note.top() - 3.4 * _LINE, inner.width(), 3.2 * _LINE)
    plots = inner.height() * _PLOTS
    history = inner.height() * _HISTORY
    row = Rect(inner.left(), packets.top() - _GAP - plots, inner.width(), plots)
    strip = Rect(inner.left(), row.top() - _GAP - history, inner.width(), history)
    pictures = Rect(inner.left(), inner.top(), inner.width(), strip.top() - _GAP - inner.top())
    side = min(plots - _LINE, (row.width() - 2 * _GAP) / 4)
    places = {"history": strip, "packets": packets, "note": note}
    places["analog"] = Rect(row.left(), row.top(), side, plots)
    places["digital"] = Rect(row.left() + side + _GAP, row.top(), side, plots)
    left = places["digital"].right() + _GAP
    places["curves"] = Rect(left, row.top(), row.right() - left, plots)
    if view.original is None:
        return {**places, "picture": pictures}
    half = (pictures.width() - _GAP) / 2
    places["picture"] = Rect(pictures.left(), pictures.top(), half, pictures.height())
    places["original"] = Rect(pictures.right() - half, pictures.top(), half, pictures.height())
    return places


def to_image(pixels: np.ndarray) -> QtGui.QImage:
    """uint8 (H, W, 1 or 3) → a QImage of its own."""
    height, width = pixels.shape[:2]
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))
    return QtGui.QImage(rgb.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()


def caption(picture: Picture) -> tuple[str, str]:
    """What is known of a picture, in two lines: what it is, and how good."""
    snr = "" if picture.snr_db is None else f"SNR {picture.snr_db:.1f} dB"
    psnr = "" if picture.psnr_db is None else f"PSNR {picture.psnr_db:.1f} dB"
    what = f"{picture.name} · {picture.size[1]} x {picture.size[0]} pixels"
    return what, " · ".join(filter(None, (picture.stage, snr, psnr)))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them, in steps of 1, 2 or 5 · 10^n."""
    scale = 10.0 ** math.floor(math.log10(max(high - low, 1e-9) / most))
    steps = (scale * s for s in (1, 2, 5, 10, 20, 50))
    step = next(s for s in steps if math.floor(high / s) - math.ceil(low / s) < most)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def span(values: np.ndarray, least: float = 10.0) -> tuple[float, float]:
    """Axis limits around values, at least `least` wide."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, least)
    margin = max(least - (high - low), 0.1 * (high - low)) / 2
    return low - margin, high + margin


def _text(
    painter: QtGui.QPainter, place: Rect, text: str, colour: str, where: int, bold: bool = False
) -> None:
    font = QtGui.QFont(painter.font())
    font.setBold(bold)
    painter.save()
    painter.setFont(font)
    painter.setPen(QtGui.QColor(colour))
    shown = QtGui.QFontMetricsF(font).elidedText(text, QtCore.Qt.ElideRight, place.width())
    painter.drawText(place, int(where), shown)
    painter.restore()


def _titled(painter: QtGui.QPainter, place: Rect, title: str, theme: Theme) -> Rect:
    """Draw a panel with its title; returns the panel's inside."""
    inside = place.adjusted(0, _LINE, 0, 0)
    _text(painter, Rect(place.left(), place.top(), place.width(), _LINE), title, theme.text, _LEFT, bold=True)
    painter.fillRect(inside, QtGui.QColor(theme.panel))
    return inside


def _picture(painter: QtGui.QPainter, place: Rect, picture: Picture | None, title: str, theme: Theme) -> None:
    inside = _titled(painter, place.adjusted(0, 0, 0, -2 * _LINE), title, theme)
    if picture is None:
        _text(painter, inside, "waiting for an image", theme.dim, _CENTRE)
        return
    target = _fit(painter, inside, picture.pixels)
    if picture.region is not None:
        _outline(painter, target, picture.region, picture.size)
    for number, line in enumerate(caption(picture)):
        below = Rect(place.left(), inside.bottom() + number * _LINE, place.width(), _LINE)
        _text(painter, below, line, theme.text, _LEFT)


def _fit(painter: QtGui.QPainter, place: Rect, pixels: np.ndarray) -> Rect:
    """Draw pixels as large as the place allows; single ones stay visible where they are enlarged."""
    height, width = pixels.shape[:2]
    scale = min(place.width() / width, place.height() / height)
    target = Rect(0, 0, max(1.0, width * scale), max(1.0, height * scale))
    target.moveCenter(place.center())
    painter.setRenderHint(QtGui.QPainter.SmoothPixmapTransform, scale < 2)
    painter.drawImage(target, to_image(pixels))
    return target


def _outline(painter: QtGui.QPainter, target: Rect, region: np.ndarray, size: tuple[int, int]) -> None:
    """The region of interest of an image of `size` (H, W) that fills `target`."""
    edge = size[::-1] * 2
    inside = outline(region, size) / edge
    corner, sides = (target.left(), target.top()) * 2, (target.width(), target.height()) * 2
    lines = [QtCore.QLineF(*line) for line in (corner + inside * sides).tolist()]
    for colour, width in PENS:
        painter.setPen(QtGui.QPen(QtGui.QColor(colour), 1.5 * width))
        painter.drawLines(lines)


def _history(painter: QtGui.QPainter, place: Rect, pictures: Sequence[Picture], theme: Theme) -> None:
    judged = bool(pictures) and pictures[0].psnr_db is not None
    title = f"Former images, newest first, with their {'PSNR' if judged else 'SNR'}"
    inside = _titled(painter, place, title, theme).adjusted(4, 4, -4, -2)
    left, side = inside.left(), inside.height() - _LINE
    for picture in pictures:
        height, width = picture.pixels.shape[:2]
        wide = min(max(side * width / height, 60.0), 2 * side)
        if left + wide > inside.right():
            break
        _fit(painter, Rect(left, inside.top(), wide, side), picture.pixels)
        value = picture.psnr_db if judged else picture.snr_db
        line = "" if value is None else f"{value:.1f} dB"
        _text(painter, Rect(left, inside.bottom() - _LINE, wide, _LINE), line, theme.dim, _CENTRE)
        left += wide + 6


def _analog(painter: QtGui.QPainter, place: Rect, view: View, theme: Theme) -> None:
    inside = _titled(painter, place, "Analog", theme)
    _plane(painter, inside, _ANALOG_LIMIT, theme)
    _symbols(painter, inside, view.analog, _ANALOG_LIMIT, theme.analog, theme)


def _digital(painter: QtGui.QPainter, place: Rect, view: View, theme: Theme) -> None:
    inside = _titled(painter, place, "Digital" + (f", {view.mcs}" if view.mcs else ""), theme)
    _plane(painter, inside, _DIGITAL_LIMIT, theme)
    for bits, levels in view.constellations if view.digital.size else ():
        sent = qam.constellation(bits, levels)
        _points(painter, inside, sent, _DIGITAL_LIMIT, QtGui.QColor(theme.dim), 5.5)
    _symbols(painter, inside, view.digital, _DIGITAL_LIMIT, theme.digital, theme)


def _plane(painter: QtGui.QPainter, inside: Rect, limit: float, theme: Theme) -> None:
    """The axes of a constellation."""
    painter.setPen(QtGui.QPen(QtGui.QColor(theme.grid), 1))
    painter.drawLine(QtCore.QLineF(inside.left(), inside.center().y(), inside.right(), inside.center().y()))
    painter.drawLine(QtCore.QLineF(inside.center().x(), inside.top(), inside.center().x(), inside.bottom()))
    _text(painter, inside.adjusted(0, inside.height() - _LINE, -3, 0), f"I, ±{limit:g}", theme.dim, _RIGHT)
    _text(painter, Rect(inside.center().x() + 3, inside.top(), 20, _LINE), "Q", theme.dim, _LEFT)


def _symbols(
    painter: QtGui.QPainter, inside: Rect, symbols: np.ndarray, limit: float, colour: str, theme: Theme
) -> None:
    if not symbols.size:
        _text(painter, inside, "none yet", theme.dim, _CENTRE)
        return
    dots = QtGui.QColor(colour)
    dots.setAlpha(110)
    _points(painter, inside, symbols, limit, dots, 2.6)


def _points(
    painter: QtGui.QPainter,
    inside: Rect,
    symbols: np.ndarray,
    limit: float,
    colour: QtGui.QColor,
    size: float,
) -> None:
    pen = QtGui.QPen(colour, size)
    pen.setCapStyle(QtCore.Qt.RoundCap)
    painter.setPen(pen)
    clipped = symbols[(np.abs(symbols.real) < limit) & (np.abs(symbols.imag) < limit)]
    x = inside.center().x() + clipped.real / limit * inside.width() / 2
    y = inside.center().y() - clipped.imag / limit * inside.height() / 2
    painter.drawPoints(_polygon(x, y))


def _polygon(x: np.ndarray, y: np.ndarray) -> QtGui.QPolygonF:
    """Coordinates as Qt takes them, written into its memory: a call for each point would take longer than to
    draw them.
    """
    polygon = QtGui.QPolygonF(len(x))
    if len(x):
        memory = polygon.data()
        memory.setsize(16 * len(x))
        np.frombuffer(memory, np.float64).reshape(-1, 2)[:] = np.stack([x, y], 1)
    return polygon


def _curves(painter: QtGui.QPainter, place: Rect, view: View, theme: Theme) -> None:
    inside = _titled(painter, place, "SNR and PSNR against time", theme)
    plot = inside.adjusted(52, 8, -52, -2 * _LINE)
    ages = (float(curve[:, 0].max()) for curve in (view.snr_db, view.psnr_db) if curve.size)
    oldest = max(ages, default=0.0)
    seconds = min(_SECONDS, max(10.0, oldest))
    for ago in ticks(0, seconds, 6):
        x = plot.right() - ago / seconds * plot.width()
        _rule(painter, QtCore.QLineF(x, plot.top(), x, plot.bottom()), theme)
        label = f"{-ago:g}" if ago else "0"
        _text(painter, Rect(x - 30, plot.bottom(), 60, _LINE), label, theme.dim, _CENTRE)
    below = Rect(plot.left(), plot.bottom() + _LINE - 2, plot.width(), _LINE)
    _text(painter, below, "time [s]", theme.dim, _CENTRE)
    _curve(painter, inside, plot, view.snr_db, seconds, "SNR [dB]", theme.snr, theme, left=True)
    _curve(painter, inside, plot, view.psnr_db, seconds, "PSNR [dB]", theme.psnr, theme, left=False)


def _rule(painter: QtGui.QPainter, line: QtCore.QLineF, theme: Theme) -> None:
    painter.setPen(QtGui.QPen(QtGui.QColor(theme.grid), 1))
    painter.drawLine(line)


def _curve(
    painter: QtGui.QPainter,
    inside: Rect,
    plot: Rect,
    curve: np.ndarray,
    seconds: float,
    label: str,
    colour: str,
    theme: Theme,
    left: bool,
) -> None:
    """One curve with its axis on the left or on the right; without values only what it would be."""
    shown = curve[curve[:, 0] <= seconds]
    column = Rect(inside.left() + 2, inside.top(), 46, inside.height())
    if not left:
        column.moveRight(inside.right() - 2)
    corner = column.left() if left else column.right() - 80
    below = Rect(corner, inside.bottom() - _LINE, 80, _LINE)
    _text(painter, below, label, colour, _LEFT if left else _RIGHT, bold=True)
    if not shown.size:
        return
    low, high = span(shown[:, 1])
    for value in ticks(low, high, 5):
        y = plot.bottom() - (value - low) / (high - low) * plot.height()
        if left:
            _rule(painter, QtCore.QLineF(plot.left(), y, plot.right(), y), theme)
        beside = Rect(column.left(), y - _LINE / 2, column.width(), _LINE)
        _text(painter, beside, f"{value:g}", colour, _RIGHT if left else _LEFT)
    x = plot.right() - shown[:, 0] / seconds * plot.width()
    y = plot.bottom() - (shown[:, 1] - low) / (high - low) * plot.height()
    _line(painter, _polygon(x, y), colour)


def _line(painter: QtGui.QPainter, points: QtGui.QPolygonF, colour: str) -> None:
    """A curve through points, with a dot at each where they are few."""
    pen = QtGui.QPen(QtGui.QColor(colour), 1.6)
    pen.setCapStyle(QtCore.Qt.RoundCap)
    painter.setPen(pen)
    painter.drawPolyline(points)
    if len(points) < _DOTTED:
        pen.setWidthF(4.5)
        painter.setPen(pen)
        painter.drawPoints(points)


def cells(states: np.ndarray, most: int = _MOST_CELLS) -> np.ndarray:
    """States of packets, uint8 (n,) → at most `most` cells; one that stands for several packets shows what
    most needs attention.
    """
    if len(states) <= most:
        return states
    edges = np.arange(most + 1) * len(states) // most
    return np.maximum.reduceat(states, edges[:-1])


def _packets(painter: QtGui.QPainter, place: Rect, packets: PacketMap | None, theme: Theme) -> None:
    title = "Packets"
    if packets is not None:
        title = f"Packets of message {packets.message_id}, {packets.codec}: {packets.streams}"
    legend = 0.0
    for state in reversed(PacketState):
        count = 0 if packets is None else int((packets.states == state).sum())
        label = f"{state.name.lower()} {count}"
        width = QtGui.QFontMetricsF(painter.font()).horizontalAdvance(label) + 30
        legend += width
        _text(painter, Rect(place.right() - legend + 16, place.top(), width, _LINE), label, theme.text, _LEFT)
        square = Rect(place.right() - legend, place.top() + 3, 12, 12)
        painter.fillRect(square, QtGui.QColor(theme.states[state]))
    above = Rect(place.left(), place.top(), place.width() - legend - _GAP, _LINE)
    _text(painter, above, title, theme.text, _LEFT, bold=True)
    inside = place.adjusted(0, _LINE, 0, 0)
    painter.fillRect(inside, QtGui.QColor(theme.panel))
    if packets is None:
        _text(painter, inside, "none yet", theme.dim, _CENTRE)
        return
    shown = cells(packets.states)
    _tiles(painter, inside.adjusted(4, 4, -4, -4), shown, theme)


def _tiles(painter: QtGui.QPainter, inside: Rect, states: np.ndarray, theme: Theme) -> None:
    rows = 1 if len(states) <= 64 else 2 if len(states) <= 192 else 4
    columns = -(-len(states) // rows)
    wide, high = min(inside.width() / columns, 40.0), inside.height() / rows
    margin = 2.0 if wide > 8 else 0.5
    for i, state in enumerate(states.tolist()):
        row, column = divmod(i, columns)
        tile = Rect(inside.left() + column * wide, inside.top() + row * high, wide - margin, high - margin)
        painter.fillRect(tile, QtGui.QColor(theme.states[state]))
