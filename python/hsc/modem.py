"""A message to symbols and back: the step between a codec and the packets."""

from __future__ import annotations

import numpy as np

from .codecs import registry
from .message import Message, ReceivedMessage
from .phy import analog, digital
from .phy.assembly import AssembledMessage
from .phy.packets import DEFAULT_PACKET_SYMBOLS, Modulated, assemble


def modulate(message: Message, message_id: int, packet_symbols: int = DEFAULT_PACKET_SYMBOLS) -> Modulated:
    """Message → symbols and layout. Raises HscError when the message does not fit the packet format."""
    symbols, scale = analog.modulate(np.zeros(0, np.float32) if message.analog is None else message.analog)
    streams = [(digital.modulate(s.data, s.mcs), s.mcs, len(s.data)) for s in message.digital]
    return assemble(
        registry.number(message.codec),
        message_id,
        message.shape,
        message.parameters,
        symbols,
        scale,
        streams,
        packet_symbols,
    )


def demodulate(message: AssembledMessage) -> ReceivedMessage:
    """Symbols as far as they arrived → values and bytes, losses marked. Raises HscError for an unknown codec
    number.
    """
    header = message.header
    (symbols, variance), *rest = message.streams
    streams = zip(rest, header.digital, strict=True)
    values = None
    if header.analog_symbols:
        values = analog.demodulate(symbols, variance, np.isfinite(variance), header.scale)
    return ReceivedMessage(
        codec=registry.name_of(header.codec),
        shape=header.shape,
        parameters=header.parameters,
        analog=values,
        digital=tuple(digital.demodulate(s, v, n, name) for (s, v), (name, n) in streams),
        snr_db=message.snr_db,
    )
