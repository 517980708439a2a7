"""The two ends of a link in real time, each a process of its own as on two machines. They tell what happens
as lines of JSON.

    camera - Message Encoder - OFDM Transmitter - channel - Radio Sink (zmq)
    Radio Source (zmq) - OFDM Receiver - Message Decoder - observer

The camera gives frames faster than the link takes them. It keeps the newest one only, and hands it over when
the encoder is free and no more than AHEAD messages wait to be sent: queues cannot grow, no frame waits for
another one, and what is left out is counted.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pmt
from gnuradio import gr

from .. import metrics
from ..blocks import (
    message_decoder,
    message_encoder,
    ofdm_receiver,
    ofdm_transmitter,
    pdu,
    radio_sink,
    radio_source,
)
from ..blocks.base import MessageBlock
from ..blocks.channel_emulator import channel_emulator
from ..radio.impairments import Impairments
from .frames import load_frames
from .link import Arrival, Capture, FrameCoding, ReceiveReport, TransmitReport, line_of

# Frames of the camera [1/s].
FPS = 25.0
# Messages that wait to be sent while one is on the air.
AHEAD = 1
# What the channel does besides noise: a carrier off by [Hz], a sample clock fast by [ppm]. Two crystals of a
# few ppm at 433 MHz.
CFO, SFO_PPM = 1000.0, 5.0
# Between two reports of an end [s].
REPORT_EVERY = 0.25
# Message ids, as the packet header counts them.
_IDS = 1 << 16
# Events that wait for the next report at most.
_EVENTS = 4096

T = TypeVar("T")


class _camera(MessageBlock):  # noqa: N801
    """Frame number n is that of message n. Keeps the newest one until the link takes it.

    Attributes:
        tally: frames offered, those dropped for a newer one, messages sent.
        captures: of the frames handed over.
    """

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        super().__init__("Camera")
        encoded = {pdu.Packet: self._packet, pdu.Failed: self._encoded}
        sent = {pdu.Sent: self._sent, pdu.Failed: self._gone}
        self.open_ports({"encoded": encoded, "sent": sent}, ("images",), ends=(), queue=None)
        self._frames = frames
        self._lock, self._over = threading.Lock(), threading.Event()
        self._newest: Capture | None = None
        self._encoding, self._unsent = False, 0
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.tally: Counter[str] = Counter(offered=0, dropped=0, sent=0)
        self.captures: deque[Capture] = deque(maxlen=_EVENTS)

    def start(self) -> bool:
        self._thread.start()
        return super().start()

    def stop(self) -> bool:
        self.switch_off()
        self._thread.join(2.0)
        return True

    def switch_off(self) -> None:
        """No more frames."""
        self._over.set()

    def _run(self) -> None:
        begun, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, begun + number / FPS - time.monotonic())):
            with self._lock:
                self.tally["offered"] += 1
                self.tally["dropped"] += self._newest is not None
                self._newest = Capture(number % _IDS, time.monotonic())
            number += 1
            self._hand_over()

    def _packet(self, packet: pdu.Packet) -> None:
        if packet.header.index == packet.header.count - 1:
            self._encoded(packet)

    def _encoded(self, _: pdu.Packet | pdu.Failed) -> None:
        with self._lock:
            self._encoding = False
        self._hand_over()

    def _sent(self, sent: pdu.Sent) -> None:
        self.tally["sent"] += 1
        self._gone(sent)

    def _gone(self, _: pdu.Sent | pdu.Failed) -> None:
        with self._lock:
            self._unsent -= 1
        self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            if self._newest is None or self._encoding or self._unsent > AHEAD or self._over.is_set():
                return
            capture, self._newest = self._newest, None
            self._encoding, self._unsent = True, self._unsent + 1
            self.captures.append(capture)
        pixels = self._frames[capture.number % len(self._frames)]
        self.publish("images", pdu.Image(capture.number, pixels.shape, pixels.ravel()))


class _transmit_end(gr.top_block):  # noqa: N801
    def __init__(
        self, frames: Sequence[np.ndarray], sample_rate: float, address: str, coding: FrameCoding
    ) -> None:
        gr.top_block.__init__(self, "gr-hsc bench transmit", catch_exceptions=True)
        link = coding.link
        impairments = Impairments(sample_rate, link.snr_db, CFO, sfo_ppm=SFO_PPM)
        self.camera = _camera(frames)
        self.encoder = message_encoder("hsc", coding.options, link.snr_db, link.cbr, link.mcs)
        self.transmitter, self.channel = ofdm_transmitter(), channel_emulator(impairments)
        self.sink = radio_sink(address, sample_rate=sample_rate)
        self.connect(self.transmitter, self.channel, self.sink)
        self.msg_connect(self.camera, "images", self.encoder, "images")
        self.msg_connect(self.encoder, "packets", self.transmitter, "packets")
        self.msg_connect(self.encoder, "packets", self.camera, "encoded")
        self.msg_connect(self.transmitter, "sent", self.camera, "sent")

    def report(self) -> TransmitReport:
        """What has happened since the last report, and how things stand."""
        waiting = _waiting(
            (self.encoder, "images"),
            (self.transmitter, "packets"),
            (self.camera, "encoded"),
            (self.camera, "sent"),
        )
        now, captures = time.monotonic(), _taken(self.camera.captures)
        return TransmitReport(now, **self.camera.tally, waiting=waiting, captures=captures)

    def switch_off(self) -> None:
        """No more frames."""
        self.camera.switch_off()


class _observer(MessageBlock):  # noqa: N801
    """Compares images with the camera's frames. Attributes: images: what came."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        super().__init__("Observer")
        self.open_ports({"images": {pdu.Image: self._image}}, (), ends=(), queue=None)
        self._frames = frames
        self.images: deque[Arrival] = deque(maxlen=_EVENTS)

    def _image(self, image: pdu.Image) -> None:
        now = time.monotonic()
        psnr_db = metrics.psnr_db(image.pixels, self._frames[image.message_id % len(self._frames)])
        whole = image.packets_received == image.packets
        self.images.append(Arrival(image.message_id, now, psnr_db, whole))


class _receive_end(gr.top_block):  # noqa: N801
    def __init__(
        self, frames: Sequence[np.ndarray], sample_rate: float, address: str, _: FrameCoding
    ) -> None:
        gr.top_block.__init__(self, "gr-hsc bench receive", catch_exceptions=True)
        self.source = radio_source(address, sample_rate=sample_rate)
        self.receiver, self.decoder = ofdm_receiver(), message_decoder()
        self.observer = _observer(frames)
        self.connect(self.source, self.receiver)
        self.msg_connect(self.receiver, "packets", self.decoder, "packets")
        self.msg_connect(self.decoder, "images", self.observer, "images")

    def report(self) -> ReceiveReport:
        """What has happened since the last report, and how things stand."""
        waiting = _waiting((self.decoder, "packets"), (self.observer, "images"))
        # Ticks come with the samples that the receiver has searched; the source's own count is ahead of it.
        searched = self.receiver.nitems_read(0)
        return ReceiveReport(time.monotonic(), searched, waiting, _taken(self.observer.images))

    def switch_off(self) -> None:
        """Nothing to do: it listens on."""


def _waiting(*ports: tuple[gr.basic_block, str]) -> int:
    return sum(block.nmsgs(pmt.intern(port)) for block, port in ports)


def _taken(events: deque[T]) -> tuple[T, ...]:
    return tuple(events.popleft() for _ in range(len(events)))


_End = _transmit_end | _receive_end
ENDS: dict[str, type[_End]] = {"transmit": _transmit_end, "receive": _receive_end}


def serve(end: str, frames: str, sample_rate: str, address: str, rank: str) -> None:
    """Run one end until standard input closes; a line on it switches the camera off."""
    gr.logging().set_default_level(gr.log_levels.off)  # it writes to stdout
    coding = FrameCoding(json.loads(rank))
    graph = ENDS[end](load_frames(Path(frames)), float(sample_rate), address, coding)
    graph.start()
    threading.Thread(target=_listen, args=(graph,), name="commands", daemon=True).start()
    while True:
        print(line_of(graph.report()), flush=True)
        time.sleep(REPORT_EVERY)


def _listen(graph: _End) -> None:
    for _ in sys.stdin:
        graph.switch_off()
    os._exit(0)  # the bench has ended, or was killed
