"""The return path between processes: Feedback Sender at a receiver, Feedback Receiver at a transmitter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import HscError
from ..phy.reports import LARGEST_RECORD, Nak, Report, unpack_record
from ..radio.addresses import BIND_REMEDY, bindable
from . import pdu
from .base import Companion, MessageBlock

# A socket is waited for in steps of so long [ms].
_POLL_MS = 100
# An address may be in use for this long [s] before it counts as another program's.
_RELEASE_S = 1.0
# Records that a socket holds; older ones are dropped.
_WAITING = 16


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
        self.open_ports({"records": handlers}, ())
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

    Message ports: out `reports` (`Snr`) and `naks` (`Nak`). Nothing tells it that no more will come: a
    flowgraph with it has to be stopped.

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
        # The text of the number alone: later versions of pyzmq put the address behind that of the error.
        raise HscError(f"return path '{address}': {zmq.strerror(error.errno)}; {remedy}") from None


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
