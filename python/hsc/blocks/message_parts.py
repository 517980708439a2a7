"""A message in its two parts, analog and digital, as blocks of a system hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..message import Message, ReceivedMessage
from . import pdu
from .base import MessageBlock, require_codec


def publish(block: MessageBlock, message_id: int, message: Message) -> None:
    """Send a message of one analog and one digital stream from ports `analog` and `digital`."""
    head = {
        "message_id": message_id,
        "codec": message.codec,
        "shape": message.shape,
        "parameters": message.parameters,
    }
    (stream,) = message.digital
    data = np.frombuffer(stream.data, np.uint8)
    block.publish("analog", pdu.Analog(values=message.analog, **head))
    block.publish("digital", pdu.Digital(data=data, mcs=stream.mcs, **head))


def received(parts: Mapping[str, Any], codec: str) -> tuple[ReceivedMessage, dict[str, int | None]]:
    """Parts `analog` and `digital` of a message, one at least → the message, and what is known of its
    packets, as keys of PDUs. Raises HscError for parts of another codec.
    """
    first, analog, digital = next(iter(parts.values())), parts.get("analog"), parts.get("digital")
    require_codec(first.codec, codec)
    values = analog.received if analog and analog.values.size else None
    streams = (digital.received,) if digital and digital.streams else ()
    message = ReceivedMessage(codec, first.shape, first.parameters, values, streams, first.snr_db)
    link = {"packets": digital.packets, "packets_received": digital.packets_received} if digital else {}
    return message, link
