"""A block as GNU Radio Companion draws it, as SVG: label, parameters that it shows, ports."""

from __future__ import annotations

from html import escape

from .blocks import Block, Port

# Colours of GRC 3.10.
_BOX, _BORDER, _TEXT = "#f1ecff", "#616161", "#000000"
_PORTS = {"complex": "#2196f3", "float": "#ff9800", "int": "#009688", "short": "#ffeb3b", "byte": "#9c27b0"}
_MESSAGE = "#bdbdbd"
# Sizes [pixels]. A character's width is a guess on the safe side: which font there will be is not known.
_LINE, _TITLE, _PORT, _GAP, _PAD = 17, 24, 20, 10, 10
_CHARACTER, _BOLD = 6.8, 9.8
_LONGEST = 28  # characters of a value; GRC too cuts what is longer


def svg(block: Block) -> str:
    """The picture, a whole SVG file."""
    lines = [f"{each.label}: {_cut(each.default_label)}" for each in block.parameters if each.shown]
    left = [port for port in block.inputs if port.shown]
    right = [port for port in block.outputs if port.shown]
    ports = max(len(left), len(right))
    width = 2 * _PAD + max(len(block.label) * _BOLD, *(len(line) * _CHARACTER for line in lines), 80)
    height = max(_TITLE + len(lines) * _LINE + (_PAD if lines else _PAD // 2), ports * (_PORT + _GAP) + _GAP)
    margins = [max((_port_width(port) for port in side), default=0) for side in (left, right)]
    x = margins[0] + 1
    parts = [
        f'<rect x="{x:g}" y="1" width="{width:g}" height="{height:g}" fill="{_BOX}" stroke="{_BORDER}"/>',
        _text(x + width / 2, 18, block.label, 'text-anchor="middle" font-weight="bold" font-size="14"'),
    ]
    for number, line in enumerate(lines):
        parts.append(_text(x + _PAD, _TITLE + 14 + number * _LINE, line, 'font-size="12"'))
    for side, ports_of_side in enumerate((left, right)):
        first = (height - len(ports_of_side) * (_PORT + _GAP) + _GAP) / 2
        for number, port in enumerate(ports_of_side):
            edge = x + width if side else x - _port_width(port)
            parts += _drawn(port, edge, first + number * (_PORT + _GAP) + 1)
    size = f"{x + width + margins[1] + 1:g}", f"{height + 2:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" font-family="DejaVu Sans, Verdana, sans-serif">\n'
        + f"<title>{escape(block.label)}</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _port_width(port: Port) -> float:
    return len(port.name) * _CHARACTER + _PAD


def _drawn(port: Port, x: float, y: float) -> list[str]:
    colour = _PORTS.get(port.dtype, _MESSAGE)
    width = _port_width(port)
    return [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_PORT}" fill="{colour}" stroke="{_BORDER}"/>',
        _text(x + width / 2, y + 14, port.name, 'text-anchor="middle" font-size="11"'),
    ]


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{_TEXT}" {style}>{escape(text)}</text>'
