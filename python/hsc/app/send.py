"""The link as a GNU Radio flowgraph: OFDM bursts through GNU Radio's own channel blocks.

    Message Encoder - OFDM Transmitter - [fading_model] - channel_model
                    - OFDM Receiver - Symbol Channel (losses) - Message Decoder

Noise of a sample has the variance of the noise of a carrier, 10^(-SNR/10) (docs/architecture.md,
conventions). Fading is flat and slow: `fading_model`'s sum of sinusoids with FADING_DOPPLER, so that a burst
sees nearly one gain. Losses are packets taken out after the OFDM receiver, before messages are put together.
"""

from __future__ import annotations

import threading
import time

import numpy as np

from ..errors import HscError
from ..phy.ledger import Ledger
from ..phy.numerology import preset
from . import live
from .link import FADING, MULTIPATH, Draft, Scenario, Transmitted, create_codecs

with live.gnuradio_needed(", or use simulate"):
    import pmt
    from gnuradio import channels, gr

    from ..blocks import (
        message_decoder,
        message_encoder,
        ofdm_receiver,
        ofdm_transmitter,
        pdu,
        symbol_channel,
    )
    from ..blocks.base import MessageBlock

_IMAGES, _FAILURES = pmt.intern("images"), pmt.intern("failures")
# Doppler frequency × sample time. The gain keeps over some 10^5 samples, a burst has some 10^4.
FADING_DOPPLER = 1e-6
# Sinusoids of a fading process. 8 is what the documentation of GNU Radio's fading_model advises.
FADING_SINUSOIDS = 8
# Power of the line of sight over that of the scatter; channel.py has the same.
RICIAN_K = 1.0
# Between two looks at whether the receiver has ended, so that Ctrl-C is heard [s].
_SLICE = 0.2


class _collector(MessageBlock):  # noqa: N801
    """Keeps what a transmission gave: the header sent, the packets' SNRs, the image, a lesser one on the way,
    the first failure.
    """

    def __init__(self) -> None:
        super().__init__("Collector")
        inputs = {
            "images": {pdu.Image: self._image},
            "base": {pdu.Image: self._base},
            "partial": {pdu.Image: self._unrefined},
            "sent": {pdu.Sent: self._sent},
            "packets": {pdu.ReceivedPacket: self._packet, pdu.Tick: self.ignore},
            "failures": {},
        }
        self.open_ports(inputs, (), ends=("images", "sent", "packets"), queue=None)
        self.snrs_db: list[float] = []
        self.image: pdu.Image | None = None
        self.draft: Draft | None = None
        self.sent: pdu.Sent | None = None
        self.failure: str | None = None
        self.ended = threading.Event()

    def _image(self, image: pdu.Image) -> None:
        self.image = image

    def _base(self, image: pdu.Image) -> None:
        self.draft = Draft(image.pixels, image.part or "")

    def _unrefined(self, image: pdu.Image) -> None:
        self.draft = Draft.unrefined(image.pixels)

    def _packet(self, packet: pdu.ReceivedPacket) -> None:
        self.snrs_db.append(packet.snr_db)

    def _sent(self, sent: pdu.Sent) -> None:
        self.sent = sent

    def on_failed(self, failed: pdu.Failed) -> None:
        self.failure = self.failure or failed.reason

    def on_end(self) -> None:
        # What failed was told before the end came, by a port whose queue may not have been looked at yet.
        while self.nmsgs(_FAILURES):
            self._guard("failures", {}, self.delete_head_nowait(_FAILURES))
        self.ended.set()


class _flowgraph(gr.top_block):  # noqa: N801
    """One image over one link."""

    def __init__(self, scenario: Scenario) -> None:
        gr.top_block.__init__(self, "gr-hsc send", catch_exceptions=True)
        self.encoder = message_encoder(
            scenario.codec,
            scenario.codec_options,
            scenario.link.snr_db,
            scenario.cbr,
            scenario.mcs or "",
            scenario.packet_symbols,
            scenario.loss,
            scenario.link.fade_margin_db,
        )
        self.transmitter = ofdm_transmitter(scenario.numerology, continuous=False)
        self.channel = _channel(scenario)
        self.receiver = ofdm_receiver(scenario.numerology)
        self.loss = symbol_channel("ideal", loss=scenario.loss, seed=scenario.seed)
        self.decoder = message_decoder({scenario.codec: scenario.receiver_options})
        self.collector = _collector()
        self.connect(self.transmitter, *self.channel, self.receiver)
        self.msg_connect(self.encoder, "packets", self.transmitter, "packets")
        self.msg_connect(self.transmitter, "sent", self.collector, "sent")
        self.msg_connect(self.receiver, "packets", self.loss, "in")
        self.msg_connect(self.loss, "out", self.decoder, "packets")
        self.msg_connect(self.loss, "out", self.collector, "packets")
        refines = create_codecs(scenario)[1].refines
        for port in ("images", "partial" if refines else "base"):
            self.msg_connect(self.decoder, port, self.collector, port)
        for block in (self.encoder, self.transmitter, self.receiver, self.decoder):
            self.msg_connect(block, "status", self.collector, "failures")

    def transmit(self, image: pdu.Image) -> None:
        """Send one image and wait until the receiver has ended."""
        for message in (image, pdu.End()):
            self.encoder._post(_IMAGES, message.to_pdu())
        self.start()
        try:
            while not self.collector.ended.wait(_SLICE):
                pass
        finally:
            self.stop()
            self.wait()


def _channel(scenario: Scenario) -> list[gr.basic_block]:
    """GNU Radio's blocks for the channel of `scenario`."""
    taps = MULTIPATH if scenario.channel == "multipath" else np.ones(1, np.complex64)
    noise = 0.0 if scenario.channel == "ideal" else 10 ** (-scenario.snr_db / 20)
    offset = scenario.cfo / preset(scenario.numerology).n_fft
    model = channels.channel_model(
        noise, offset, 1 + scenario.sfo_ppm * 1e-6, taps.tolist(), scenario.seed + 1, False
    )
    if scenario.channel not in FADING:
        return [model]
    fading = channels.fading_model(
        FADING_SINUSOIDS, FADING_DOPPLER, scenario.channel == "rician", RICIAN_K, scenario.seed + 1
    )
    return [fading, model]


def transmit(image: np.ndarray, scenario: Scenario) -> Transmitted:
    """Send one uint8 (H, W, C) image through the flowgraph.

    Raises HscError for an image, option or budget that cannot be served.
    """
    begun = time.perf_counter()
    # GNU Radio's logger writes to stdout; what fails comes to the collector and is told there.
    gr.logging().set_default_level(gr.log_levels.off)
    create_codecs(scenario)  # refuses options here, not in a block's thread
    flowgraph = _flowgraph(scenario)
    message_id = int(np.random.default_rng(scenario.seed).integers(1 << 16))
    flowgraph.transmit(pdu.Image(message_id, image.shape, image.ravel()))
    whole = time.perf_counter() - begun
    seen = flowgraph.collector
    if seen.sent is None:
        raise HscError(seen.failure or "the transmitter sent nothing")
    got = seen.image
    stages = {"encode": seen.sent.seconds or 0.0, "decode": (got and got.seconds) or 0.0}
    return Transmitted(
        sent=image,
        received=got and got.pixels,
        draft=seen.draft,
        header=seen.sent.header,
        ledger=Ledger.of_message(seen.sent.header, preset(scenario.numerology)),
        packets_sent=seen.sent.packets,
        packets_received=got.packets_received or 0 if got else len(seen.snrs_db),
        snr_measured_db=got.snr_db if got else float(np.mean(seen.snrs_db)) if seen.snrs_db else None,
        seconds={**stages, "flowgraph": whole - sum(stages.values())},
        error=None if got else seen.failure or "nothing arrived",
        notices=tuple(filter(None, (seen.sent.notices, seen.failure if got else None))),
        region=got and got.region_blocks,
    )
