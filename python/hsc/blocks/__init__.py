"""GNU Radio blocks: thin wrappers around codecs, phy, channel and metrics. `from gnuradio import hsc; hsc.image_source(...)`."""

from ..home import use_writable_home
from .adaptation import feedback_receiver, feedback_sender, link_adaptation, packet_repeater, repeat_requester
from .air import ofdm_receiver, ofdm_transmitter
from .hybrid import denoiser, hda_allocation, hda_fusion
from .images import image_sink, image_source, quality_meter
from .messages import message_decoder, message_demux, message_encoder, message_mux
from .modulation import analog_demodulator, analog_modulator, digital_demodulator, digital_modulator
from .radio.ends import radio_sink, radio_source
from .radio.recorder import recorder
from .semantic import cr_projection, cr_recomposition, semantic_decoder, semantic_encoder
from .symbols import symbol_channel
from .systems import (
    hda_receiver,
    hda_transmitter,
    hsc_receiver,
    hsc_transmitter,
    image_receiver,
    image_transmitter,
)

use_writable_home()  # before a flowgraph starts

__all__ = [
    "analog_demodulator",
    "analog_modulator",
    "cr_projection",
    "cr_recomposition",
    "denoiser",
    "feedback_receiver",
    "feedback_sender",
    "digital_demodulator",
    "digital_modulator",
    "hda_allocation",
    "hda_fusion",
    "hda_receiver",
    "hda_transmitter",
    "hsc_receiver",
    "hsc_transmitter",
    "image_receiver",
    "image_sink",
    "image_source",
    "image_transmitter",
    "image_viewer",
    "link_adaptation",
    "message_decoder",
    "message_demux",
    "message_encoder",
    "message_mux",
    "ofdm_receiver",
    "ofdm_transmitter",
    "packet_repeater",
    "quality_meter",
    "radio_sink",
    "radio_source",
    "recorder",
    "repeat_requester",
    "semantic_decoder",
    "semantic_encoder",
    "symbol_channel",
]


def __getattr__(name: str) -> type:
    """The Image Viewer, loaded on first use: it alone needs PyQt5."""
    if name == "image_viewer":
        from .viewer.block import image_viewer

        return image_viewer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
