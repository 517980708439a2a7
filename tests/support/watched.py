"""Blocks outside flowgraphs: PDUs are handed to them, and what they publish is kept."""

import pmt
from gnuradio import hsc
from gnuradio.hsc.blocks import pdu

from .pixel_codec import NAME

# Blocks whose handlers take what a radio received, with arguments that make them.
MAKE = {
    "analog_demodulator": {},
    "analog_modulator": {},
    "block_erasure_channel": {"share": 0.5, "block_bytes": 7, "burst": 3.0},
    "cr_projection": {"rank": 2},
    "cr_recomposition": {},
    "deepjscc_semantic_decoder": {},
    "deepjscc_semantic_encoder": {},
    "denoiser": {},
    "digital_demodulator": {},
    "digital_modulator": {},
    "diffusion_refiner": {},
    "ds2c2_base_decoder": {},
    "ds2c2_base_encoder": {},
    "ds2c2_bit_deinterleaver": {},
    "ds2c2_bit_interleaver": {},
    "ds2c2_residual_decoder": {},
    "ds2c2_residual_encoder": {},
    "feedback_sender": {"address": "tcp://127.0.0.1:*"},
    "hda_allocation": {},
    "hda_fusion": {},
    "hda_semantic_decoder": {},
    "hda_semantic_encoder": {},
    "hsc_semantic_decoder": {},
    "hsc_semantic_encoder": {},
    "image_sink": {},
    "link_adaptation": {},
    "lrisc_latent_decoder": {},
    "lrisc_latent_encoder": {},
    "lrisc_rate_allocation": {},
    "message_decoder": {},
    "message_demux": {},
    "message_encoder": {"codec": NAME},
    "message_mux": {},
    "ofdm_transmitter": {"queue": 8},
    "packet_repeater": {},
    "quality_meter": {},
    "repeat_requester": {},
    "symbol_channel": {},
}


class Watched:
    """A block outside a flowgraph: `give` calls a port's handler, `out` collects what it publishes."""

    def __init__(self, block):
        self.block, self.out = block, []
        block.publish = lambda port, message: self.out.append((port, message))

    def give(self, port, message):
        getattr(self.block, f"_on_{port}")(message.to_pdu() if isinstance(message, pdu.Pdu) else message)
        return self.take()

    def take(self):
        taken, self.out[:] = list(self.out), []
        return [(port, m) for port, m in taken if port != "status"]


def make(name, **arguments):
    return Watched(getattr(hsc, name)(**{**MAKE.get(name, {}), **arguments}))


def ports(block):
    return [name for name in pmt.to_python(block.message_ports_in()) if name != "system"]
