"""Symbol Channel: a link without OFDM, for symbol-level flowgraphs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import channel
from ..errors import HscError
from ..symbol_link import cross
from . import pdu
from .base import MessageBlock
from .erasure import BLOCK_BYTES, arrived


class symbol_channel(MessageBlock):
    """A channel for packets, or for the bytes of digital streams.

    Message ports: in `in`: `Packet`, which comes out as `ReceivedPacket` after one channel gain that the
    receiver knows, `Digital`, which comes out with flipped bits, or `ReceivedPacket`, which is lost or not:
    an erasure channel behind an OFDM Receiver; out `out`. The channel uses that packets took are the sample
    clock of the `Tick` PDUs.

    Args:
        kind: "ideal", "awgn", "rayleigh" or "rician".
        snr_db: mean Es/N0 per complex channel use [dB].
        loss: probability that a packet or a byte stream is lost.
        flip: probability that a bit of a `Digital` PDU is flipped (binary symmetric channel).
        rician_k: power of the line-of-sight part over that of the scattered part.
        seed: of noise, fading and losses, the same in every run of the flowgraph; -1 for a different one in
            each.

    Raises:
        HscError: unknown kind, or a probability outside 0 to 1.
    """

    def __init__(
        self,
        kind: str = "awgn",
        snr_db: float = 10.0,
        loss: float = 0.0,
        flip: float = 0.0,
        rician_k: float = 1.0,
        seed: int = 1,
    ) -> None:
        super().__init__("Symbol Channel")
        handlers = {
            pdu.Packet: self._packet,
            pdu.ReceivedPacket: self._erase,
            pdu.Tick: self._pass,
            pdu.Digital: self._bytes,
        }
        self.open_ports({"in": handlers}, ("out",), queue=None)
        if kind not in channel.KINDS:
            raise HscError(f"unknown channel '{kind}': choose one of {', '.join(channel.KINDS)}")
        self._kind, self._rician_k = kind, rician_k
        self._seed, self._clock = seed, 0
        self._begin()
        self.set_snr_db(snr_db)
        self.set_loss(loss)
        self.set_flip(flip)

    def start(self) -> bool:
        self._begin()
        return super().start()

    def _begin(self) -> None:
        self._rng = np.random.default_rng(None if self._seed < 0 else self._seed)

    def set_snr_db(self, snr_db: float) -> None:
        """Mean Es/N0 [dB]."""
        self._snr_db = float(snr_db)

    def set_loss(self, loss: float) -> None:
        """Probability that a packet is lost. Raises HscError outside 0 to 1."""
        self._loss = _probability(loss)

    def set_flip(self, flip: float) -> None:
        """Probability that a bit is flipped. Raises HscError outside 0 to 1."""
        self._flip = _probability(flip)

    def _packet(self, packet: pdu.Packet) -> None:
        lost, normal = self._lost(), channel.numpy_normal(self._rng)
        received = cross(packet.packet, self._snr_db, self._kind, normal, self._rician_k, self._clock)
        self._clock += packet.symbols.size
        if lost or received is None:
            self.counters["lost"] += 1
        else:
            self.publish("out", pdu.ReceivedPacket.of(received))
        self.publish("out", pdu.Tick(self._clock))

    def _erase(self, received: pdu.ReceivedPacket) -> None:
        if self._lost():
            self.counters["lost"] += 1
        else:
            self.publish("out", received)

    def _pass(self, tick: pdu.Tick) -> None:
        self.publish("out", tick)

    def _lost(self) -> bool:
        return bool(channel.erased(1, self._loss, self._rng)[0])

    def _bytes(self, stream: pdu.Digital) -> None:
        if self._lost():
            self.counters["lost"] += 1
            nothing = np.zeros(len(stream.data), np.uint8)
            self.publish("out", arrived(stream, nothing, nothing > 0, BLOCK_BYTES))
            return
        data = np.packbits(channel.bsc(np.unpackbits(stream.data), self._flip, self._rng))
        self.publish("out", replace(stream, data=data))


def _probability(value: float) -> float:
    if not 0 <= value <= 1:
        raise HscError(f"a probability of {value} is impossible: give 0 to 1")
    return float(value)
