"""The link at symbol level: codec, modem, packets and `channel.py`, without OFDM and without GNU Radio."""

from __future__ import annotations

import numpy as np

from .. import channel, modem
from ..errors import HscError
from ..phy.assembly import join
from ..phy.ledger import Ledger
from ..phy.numerology import preset
from ..phy.packets import Packet, ReceivedPacket, split
from ..symbol_link import cross
from .link import Scenario, Stopwatch, Transmitted, create_codecs, decode

# Message ids, as the packet header counts them.
_IDS = 1 << 16


def transmit(image: np.ndarray, scenario: Scenario) -> Transmitted:
    """Send one uint8 (H, W, C) image over the symbol channel. Every packet sees one channel gain, which the
    receiver knows.

    The ledger counts what the same packets cost as OFDM bursts. Raises HscError for an image, option or
    budget that cannot be served.
    """
    if scenario.channel not in channel.KINDS:
        raise HscError(
            f"channel '{scenario.channel}' needs OFDM: use send, or choose one of {', '.join(channel.KINDS)}"
        )
    if scenario.cfo or scenario.sfo_ppm:
        raise HscError("--cfo and --sfo need OFDM: use send, or leave them out")
    rng, watch = np.random.default_rng(scenario.seed), Stopwatch()
    codec, receiver = create_codecs(scenario)
    with watch("encode"):
        message = codec.encode(image, scenario.link)
    with watch("modulate"):
        modulated = modem.modulate(message, int(rng.integers(_IDS)), scenario.packet_symbols)
        packets = split(modulated)
    with watch("channel"):
        arrived = _cross(packets, scenario, rng)
    decoded = draft = snr_db = None
    error = "nothing arrived"
    if arrived:
        with watch("demodulate"):
            assembled = join(arrived)
            received = modem.demodulate(assembled)
        with watch("decode"):
            decoded, draft, error = decode(receiver, received)
        snr_db = assembled.snr_db
    return Transmitted(
        sent=image,
        received=None if decoded is None else decoded.image,
        draft=draft,
        header=modulated.header,
        ledger=Ledger.of_message(modulated.header, preset(scenario.numerology)),
        packets_sent=len(packets),
        packets_received=len(arrived),
        snr_measured_db=snr_db,
        seconds=watch.seconds,
        error=error,
        notices=(*message.notices, *(() if decoded is None else decoded.notices)),
        region=None if decoded is None else decoded.region,
    )


def _cross(packets: list[Packet], scenario: Scenario, rng: np.random.Generator) -> list[ReceivedPacket]:
    """Those that arrive."""
    lost = channel.erased(len(packets), scenario.loss, rng)
    normal = channel.numpy_normal(rng)
    sent = (packet for packet, gone in zip(packets, lost, strict=True) if not gone)
    crossed = (cross(packet, scenario.snr_db, scenario.channel, normal) for packet in sent)
    return [packet for packet in crossed if packet is not None]
