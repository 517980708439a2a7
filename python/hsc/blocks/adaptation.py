"""The adaptive link: Link Adaptation, Packet Repeater, Repeat Requester, and the return path between
processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import HscError
from ..phy.adaptation import LinkAdaptation, Policy
from ..phy.repeats import MissingPackets, RepeatBuffer
from ..phy.reports import LARGEST_RECORD, Nak, Report, unpack_record
from ..radio.addresses import BIND_REMEDY, bindable
from . import pdu
from .base import Companion, MessageBlock

# Looks at the clock within a time-out.
_LOOKS = 4
# A socket is waited for in steps of so long [ms].
_POLL_MS = 100
# An address may be in use for this long [s] before it counts as another program's.
_RELEASE_S = 1.0
# Records that a socket holds; older ones are dropped.
_WAITING = 16


class link_adaptation(MessageBlock):
    """Chooses MCS, CR rank, DA split and repair share from what a receiver reports.

    Message ports: in `reports` (`Snr`); out `link` (`LinkSetting`), for the port `snr` of a Message Encoder:
    the robust setting at the start, another whenever a report changes it, and the robust one again when
    reports stop.

    Args:
        psnr_db: quality that images shall have [dB], for codecs with such an option; None for none.
        cbr: payload channel uses / (C·H·W) that an image may take; None leaves it to the codec.
        margin_db, hysteresis_db, timeout, robust_snr_db: see `phy.adaptation.Policy`.

    Raises:
        HscError: a value out of range.
    """

    def __init__(
        self,
        psnr_db: float | None = None,
        cbr: float | None = None,
        margin_db: float = 1.5,
        hysteresis_db: float = 1.0,
        timeout: float = 5.0,
        robust_snr_db: float = 3.0,
    ) -> None:
        super().__init__("Link Adaptation")
        self.open_ports({"reports": {pdu.Snr: self._report, pdu.Failed: self.ignore}}, ("link",), ends=())
        self._policy = Policy(
            psnr_db, cbr, margin_db, hysteresis_db, timeout=timeout, robust_snr_db=robust_snr_db
        )
        self._lock, self._watch = threading.Lock(), Companion("link_adaptation", self._look)
        self._begin()

    def _begin(self) -> None:
        self._adaptation, self._last = LinkAdaptation(self._policy), None

    def start(self) -> bool:
        self._begin()
        self._tell()
        self._watch.start()
        return super().start()

    def stop(self) -> bool:
        self._watch.stop()
        return super().stop()

    def _report(self, snr: pdu.Snr) -> None:
        with self._lock:
            self._adaptation.report(snr.record, time.monotonic())
        self._tell()

    def _look(self, asked: threading.Event) -> None:
        while not asked.wait(self._policy.timeout / _LOOKS):
            self._tell()

    def _tell(self) -> None:
        """Publish the setting when it has changed."""
        with self._lock:
            setting = self._adaptation.setting(time.monotonic())
            changed, self._last = setting != self._last, setting
        if changed:
            self.counters["settings"] += 1
            self.publish("link", pdu.LinkSetting.of(setting))


class packet_repeater(MessageBlock):
    """Passes packets on, keeps those of the last few messages, and sends again what a receiver lacks.

    Message ports: in `packets` (`Packet`), `naks` (optional, `Nak`); out `packets`.

    Args:
        messages: how many messages are kept.
        repeats: how often a packet is sent again at most.
        linger: how long the end waits for requests after the last packet [s].
    """

    def __init__(self, messages: int = 8, repeats: int = 2, linger: float = 0.0) -> None:
        super().__init__("Packet Repeater")
        inputs = {
            "packets": {pdu.Packet: self._packet, pdu.End: self._last},
            "naks": {pdu.Nak: self._nak, pdu.Failed: self.ignore},
        }
        self.open_ports(inputs, ("packets",), ends=("packets",), queue=None)
        self._messages, self._repeats = messages, repeats
        self._linger, self._stop = linger, threading.Event()
        self._begin()

    def _begin(self) -> None:
        self._buffer = RepeatBuffer(self._messages, repeats=self._repeats)

    def start(self) -> bool:
        self._stop = threading.Event()  # a thread of the former run keeps its own
        self._begin()
        return super().start()

    def stop(self) -> bool:
        self._stop.set()
        return super().stop()

    def _packet(self, packet: pdu.Packet) -> None:
        self._buffer.add(packet.packet)
        self.publish("packets", packet)

    def _nak(self, nak: pdu.Nak) -> None:
        again = self._buffer.repeat(nak.record)
        self.counters["repeated"] += len(again)
        for packet in again:
            self.publish("packets", pdu.Packet(packet.header, packet.symbols, again=1))

    def _last(self, _: pdu.End) -> None:
        ending = threading.Thread(
            target=self._end_later, args=(self._stop,), name="packet_repeater", daemon=True
        )
        ending.start()

    def _end_later(self, asked: threading.Event) -> None:
        if not asked.wait(self._linger):
            self._end("packets")


class repeat_requester(MessageBlock):
    """Asks the transmitter for packets with digital symbols that did not come.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`, from the OFDM Receiver); out `naks` (`Nak`).

    Args:
        wait: a message is asked for when none of its packets came for so long [samples]; more than the way
            there and back takes.
        rounds: requests a message. The Message Decoder's `hold` must be longer than `wait` and the way there
            and back.
    """

    def __init__(self, wait: int = 100_000, rounds: int = 2) -> None:
        super().__init__("Repeat Requester")
        handlers = {pdu.ReceivedPacket: self._packet, pdu.Tick: self._tick}
        self.open_ports({"packets": handlers}, ("naks",), queue=1024)
        if wait <= 0 or rounds < 0:
            raise HscError(
                f"repeat requests after {wait} samples, {rounds} times: "
                "give a wait above 0 and no negative number of rounds"
            )
        self._wait, self._rounds = wait, rounds
        self._begin()

    def _begin(self) -> None:
        self._missing = MissingPackets(self._wait, self._rounds)

    def start(self) -> bool:
        self._begin()
        return super().start()

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self._missing.packet(received.header, received.sample_index)

    def _tick(self, tick: pdu.Tick) -> None:
        if tick.sample_index == 0:  # the sample clock begins again
            self._begin()
        for nak in self._missing.due(tick.sample_index):
            self.counters["requests"] += 1
            self.publish("naks", pdu.Nak.of(nak))


class feedback_sender(MessageBlock):
    """The receiver's end of a return path between processes.

    Message port: in `records` (`Snr` and `Nak`).

    Args:
        address: of a ZMQ PUB socket that is bound, such as "tcp://*:5560".

    Raises:
        HscError: an address that cannot be bound, or no ZMQ.
    """

    def __init__(self, address: str) -> None:
        super().__init__("Feedback Sender")
        handlers = {pdu.Snr: self._snr, pdu.Nak: self._nak, pdu.Failed: self.ignore}
        self.open_ports({"records": handlers}, (), ends=())
        self._address, self._socket = address, _publisher(address)

    def start(self) -> bool:
        if self._socket.closed:  # a flowgraph that was stopped and runs again
            self._socket = _publisher(self._address)
        return super().start()

    def stop(self) -> bool:
        self._socket.close(linger=0)
        return super().stop()

    def _snr(self, snr: pdu.Snr) -> None:
        self._send(snr.record.pack())

    def _nak(self, nak: pdu.Nak) -> None:
        self._send(nak.record.pack())

    def _send(self, record: bytes) -> None:
        self._socket.send(record)  # PUB never waits: what nobody takes is dropped
        self.counters["sent"] += 1


class feedback_receiver(MessageBlock):
    """The transmitter's end of a return path between processes.

    Message ports: out `reports` (`Snr`) and `naks` (`Nak`).

    Args:
        address: of the receiver's PUB socket, such as "tcp://192.168.1.7:5560". It need not be there yet, and
            may come again.

    Attributes:
        counters: `records` taken, `refused` for what was none.

    Raises:
        HscError: an impossible address, or no ZMQ.
    """

    def __init__(self, address: str) -> None:
        super().__init__("Feedback Receiver")
        self.open_ports({}, ("reports", "naks"))
        self._address = address
        _subscriber(address).close(linger=0)  # refuses an impossible address here
        self._listening = Companion("feedback_receiver", self._run)

    def start(self) -> bool:
        self._listening.start()
        return super().start()

    def stop(self) -> bool:
        self._listening.stop()
        return super().stop()

    def _run(self, asked: threading.Event) -> None:
        socket = _subscriber(self._address)
        while not asked.is_set():
            if socket.poll(_POLL_MS):
                with self.contain(None):
                    self.take(socket.recv())
        socket.close(linger=0)

    def take(self, data: bytes) -> None:
        """Publish a record that came over the return path; anything else is counted."""
        record = unpack_record(data)
        self.counters["records" if record is not None else "refused"] += 1
        if isinstance(record, Report):
            self.publish("reports", pdu.Snr.of(record))
        elif isinstance(record, Nak):
            self.publish("naks", pdu.Nak.of(record))


def _publisher(address: str):  # noqa: ANN202 - zmq is imported late
    """A PUB socket that is bound, its queue bounded. Raises HscError."""
    zmq = _zmq()
    endpoint = bindable(address, f"return path '{address}'")
    socket = zmq.Context.instance().socket(zmq.PUB)
    with _refused(socket, address, BIND_REMEDY):
        socket.setsockopt(zmq.SNDHWM, _WAITING)
        socket.setsockopt(zmq.IPV6, "[" in address)
        _bind(socket, endpoint)
    return socket


def _subscriber(address: str):  # noqa: ANN202
    """A SUB socket that is connected and subscribed, its queue and messages bounded. Raises HscError."""
    zmq = _zmq()
    socket = zmq.Context.instance().socket(zmq.SUB)
    with _refused(socket, address, "give the receiver's address, such as tcp://192.168.1.7:5560"):
        socket.setsockopt(zmq.RCVHWM, _WAITING)
        socket.setsockopt(zmq.IPV6, "[" in address)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_RECORD)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(address)
    return socket


def _zmq():  # noqa: ANN202
    try:
        import zmq
    except ModuleNotFoundError:
        raise HscError("the return path needs ZMQ: apt-get install python3-zmq") from None
    return zmq


@contextmanager
def _refused(socket, address: str, remedy: str) -> Iterator[None]:  # noqa: ANN001
    """Turn ZMQ's refusal of an address into an HscError, and close the socket."""
    zmq = _zmq()
    try:
        yield
    except zmq.ZMQError as error:
        socket.close(linger=0)
        if error.errno == zmq.EADDRINUSE:
            remedy = "give a free port, is another receiver running?"
        raise HscError(f"return path '{address}': {error}; {remedy}") from None


def _bind(socket, address: str) -> None:  # noqa: ANN001
    """Bind, with patience: ZMQ frees the address of a closed socket a moment later, in its own thread."""
    zmq = _zmq()
    deadline = time.monotonic() + _RELEASE_S
    while True:
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(_RELEASE_S / 20)
        else:
            return
