"""The air interface on a sample stream: OFDM Transmitter and OFDM Receiver, one Python block on each side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import pmt
from gnuradio import gr

from ..errors import HscError
from ..phy import ofdm
from ..phy.header import Header
from ..phy.numerology import AUTO, presets
from ..phy.packets import ReceivedPacket
from ..phy.receiver import BurstReceiver
from . import pdu
from .base import Ports, new_samples

# What `work` returns at the end of the stream (gnuradio/block.h).
_WORK_DONE = -1
# Samples that one call of the receiver's `work` may bring.
_BUFFER = 1 << 16
_SYMBOLS = pmt.intern("symbols")
# Samples that one call of the transmitter's `work` gives at most. A call costs 0.15 ms, and a flowgraph's own
# limit may be one sample.
_LARGEST = 1 << 16
# Between two looks whether the receiver may go on [s].
_PAUSE = 0.005


class ofdm_transmitter(Ports, gr.sync_block):
    """Packets to OFDM bursts. Message ports: in `packets` (`Packet`), out `sent` (`Sent` for each message,
    `Failed` for one refused).

    Stream out: complex samples; one sample at `amplitude` 1 has a mean power of used carriers / FFT length
    within a burst, and the noise variance of a sample is that of a carrier. Radios with a full scale of 1
    need about 0.2, which leaves room for peaks.

    Args:
        numerology: preset of `phy.ofdm`.
        amplitude: factor on all samples.
        continuous: zeros while there is nothing to send, as a radio needs them; else the stream waits for the
            next packet.
        gap: zeros after each burst, besides the symbol of gap that is part of it [samples].
        trailing: zeros after the last burst, before the stream ends [samples].
        queue: packets that may wait; a message that begins when more do is refused.

    Raises:
        HscError: unknown numerology.
    """

    def __init__(
        self,
        numerology: str = "ofdm64",
        amplitude: float = 1.0,
        continuous: bool = True,
        gap: int = 0,
        trailing: int = 1 << 16,
        queue: int = 4096,
    ) -> None:
        gr.sync_block.__init__(self, name="OFDM Transmitter", in_sig=None, out_sig=[np.complex64])
        handlers = {pdu.Packet: self._packet, pdu.End: self._last}
        self.open_ports({"packets": handlers}, ("sent",), queue=None)
        self.set_max_noutput_items(_LARGEST)
        self._numerology, self._amplitude = ofdm.preset(numerology), float(amplitude)
        self._continuous, self._limit = continuous, queue
        self._gap, self._trailing = max(0, gap), max(0, trailing)
        self._tail = np.zeros(0, np.complex64)
        self._queue_of_packets: deque[pdu.Packet] = deque()
        self._samples, self._position = np.zeros(0, np.complex64), 0
        self._current: pdu.Packet | None = None
        self._first: pdu.Packet | None = None  # of the message that is on its way out
        self._refused: int | None = None  # a message that found no place in the queue
        self._broken: int | None = None  # one of which a packet could not be made
        self._ending = False

    def set_amplitude(self, amplitude: float) -> None:
        """Factor on all samples, from the next burst on."""
        self._amplitude = float(amplitude)

    def start(self) -> bool:
        self._ending, self._tail = False, np.zeros(self._trailing, np.complex64)
        if self._current is None:
            self._samples, self._position = self._tail[:0], 0
        elif self._position < len(self._samples):
            # a burst that the end of the former run cut off is sent again, as is what waits behind it
            self._position = 0
        return super().start()

    def _packet(self, p: pdu.Packet) -> None:
        if p.header.index == 0 and not p.again:
            self._refused = p.message_id if len(self._queue_of_packets) >= self._limit else None
            if self._refused is not None:
                self.counters["dropped"] += 1
                raise HscError(
                    f"message {p.message_id}: {self._limit} packets wait to be sent, send images more slowly"
                )
        if p.message_id != self._refused:
            self._queue_of_packets.append(p)

    def _last(self, _: pdu.End) -> None:
        self._ending = True

    def work(self, _: list[np.ndarray], output_items: list[np.ndarray]) -> int:
        out, filled = output_items[0], 0
        while filled < len(out):
            if self._position == len(self._samples) and not self._next():
                break
            count = min(len(out) - filled, len(self._samples) - self._position)
            out[filled : filled + count] = self._samples[self._position : self._position + count]
            filled, self._position = filled + count, self._position + count
        if filled or not (self._ending or self._continuous):
            return filled
        if self._ending:
            self.publish("sent", self.end())
            return _WORK_DONE
        out[:] = 0
        return len(out)

    def _next(self) -> bool:
        """Report the burst that is out, make the next one; False when there is none."""
        self._report()
        burst = self._burst()
        if burst is not None:
            self._samples = np.concatenate([burst, np.zeros(self._gap, np.complex64)])
        elif self._ending and self._tail.size:
            self._samples, self._tail = self._tail, self._tail[:0]
        else:
            return False
        self._position = 0
        return True

    def _burst(self) -> np.ndarray | None:
        """The next packet's; None when none waits. A message of which a packet cannot be made has failed, and
        its other packets stay here.
        """
        while self._queue_of_packets:
            packet = self._queue_of_packets.popleft()
            if packet.header.index == 0 and not packet.again:
                self._broken = None
            if packet.message_id == self._broken:
                continue
            with self.contain(None if packet.again else packet.message_id):
                burst = ofdm.modulate(packet.packet, self._numerology) * np.float32(self._amplitude)
                self._current = packet
                return burst
            if not packet.again:
                self._broken = packet.message_id
        return None

    def _report(self) -> None:
        packet, self._current = self._current, None
        if packet is None:
            return
        header: Header = packet.header
        self.counters["packets"] += 1
        if packet.again:  # its message has been reported
            self.counters["repeated"] += 1
            return
        self._first = packet if header.index == 0 else self._first
        if header.index == header.count - 1:
            self.counters["messages"] += 1
            first = self._first
            told = {}
            if first and first.message_id == packet.message_id:
                told = {"seconds": first.seconds, "notices": first.notices}
            self.publish("sent", pdu.Sent(header.layout, header.count, **told))


class ofdm_receiver(Ports, gr.basic_block):
    """OFDM bursts to packets. Stream in: complex samples.

    Message ports: out `packets` (`ReceivedPacket`, and `Tick` in between), and `symbols`, the payload of each
    packet as a plain PDU of complex numbers, for GNU Radio's own sinks.

    Args:
        numerology: preset of `phy.ofdm`, or "auto": all are looked for, and any of them may come at any time.
        tick: distance of the `Tick` PDUs, which carry the sample clock [samples]. They come at its multiples,
            however the samples come. The clock begins with a Tick of 0 in every run of the flowgraph.

    Attributes:
        hold_while: while this is true the receiver takes no samples; only for a source that can wait, such as
            a file. None for never.
        counters: besides those of all blocks `detections` and `header_errors`, as `phy.receiver.Counters` has
            them.

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, numerology: str = AUTO, tick: int = 1 << 16) -> None:
        gr.basic_block.__init__(self, name="OFDM Receiver", in_sig=[np.complex64], out_sig=None)
        self.open_ports({}, ("packets",))
        self.message_port_register_out(_SYMBOLS)
        # A history is the one way a sink can ask for a larger buffer: a call of `work` costs 0.15 ms,
        # whatever it brings.
        self.set_history(_BUFFER)
        self._numerologies, self._tick = presets(numerology), max(1, tick)
        self.hold_while: Callable[[], bool] | None = None

    def start(self) -> bool:
        self._receiver, self._clock = BurstReceiver(*self._numerologies), 0
        self.publish("packets", pdu.Tick(0))
        return super().start()

    def forecast(self, _: int, ninputs: int) -> list[int]:
        # With the forecast of a sync block the scheduler, which takes the history for new samples, halves
        # what it brings again and again.
        return [_BUFFER] * ninputs

    def general_work(self, input_items: list[np.ndarray], _: list[np.ndarray]) -> int:
        if self.hold_while is not None and self.hold_while():
            time.sleep(_PAUSE)
            return 0
        samples, done = new_samples(self, input_items[0]), 0
        while done < len(samples):
            piece = samples[done : done + self._tick - self._clock % self._tick]
            with self.contain(None):
                for received in self._receiver.packets(piece):
                    self._publish(received)
            done, self._clock = done + len(piece), self._clock + len(piece)
            if self._clock % self._tick == 0:
                self.publish("packets", pdu.Tick(self._clock))
        seen = self._receiver.counters
        self.counters["detections"], self.counters["header_errors"] = seen.detections, seen.header_errors
        self.consume(0, len(input_items[0]) - _BUFFER + 1)
        return 0

    def stop(self) -> bool:
        # Message blocks ignore GNU Radio's `done`, so they are still there to hear this.
        if self.detail().done():  # the stream has run dry; else the flowgraph is stopped, and may run again
            self.publish("packets", self.end())
        return super().stop()

    def _publish(self, received: ReceivedPacket) -> None:
        self.counters["packets"] += 1
        self.publish("packets", pdu.ReceivedPacket.of(received))
        if self.connected("symbols"):
            self.message_port_pub(_SYMBOLS, pmt.cons(pmt.PMT_NIL, pdu.write_vector(received.symbols, "c32")))
