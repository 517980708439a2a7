"""The link at symbol level: codec, modem, packets and `channel.py`, without OFDM and without GNU Radio."""

from __future__ import annotations

import numpy as np

from .. import channel, modem
from ..errors import HscError
from ..phy.assembly import join
from ..phy.ledger import Ledger
from ..phy.numerology import preset
from ..phy.packets import split
from ..symbol_link import cross
from .link import Scenario, Stopwatch, Transmitted, create_codecs, decode


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
    rng, watch, (codec, receiver) = np.random.default_rng(scenario.seed), Stopwatch(), create_codecs(scenario)
    with watch("encode"):
        message = codec.encode(image, scenario.link)
    with watch("modulate"):
        modulated = modem.modulate(message, int(rng.integers(1 << 16)), scenario.packet_symbols)
        packets = split(modulated)
    with watch("channel"):
        lost = channel.erased(len(packets), scenario.loss, rng)
        normal = channel.numpy_normal(rng)
        arrived = [
            r
            for p, gone in zip(packets, lost, strict=True)
            if not gone and (r := cross(p, scenario.snr_db, scenario.channel, normal))
        ]
    decoded = analog_only = snr = None
    error = "nothing arrived"
    if arrived:
        with watch("demodulate"):
            assembled = join(arrived)
            received = modem.demodulate(assembled)
        with watch("decode"):
            decoded, analog_only, error = decode(receiver, received)
        snr = assembled.snr_db
    ledger = Ledger.of_message(modulated.header, preset(scenario.numerology))
    picture, left_out = (None, ()) if decoded is None else (decoded.image, decoded.notices)
    notices = (*message.notices, *left_out)
    return Transmitted(
        image,
        picture,
        analog_only,
        modulated.header,
        ledger,
        len(packets),
        len(arrived),
        snr,
        watch.seconds,
        error,
        notices,
    )
