"""GNU Radio blocks that know no system: thin wrappers around phy, channel, metrics and whatever codec is
registered.

`from gnuradio import hsc; hsc.image_source(...)`. Blocks of one system are in its room,
`systems/NAME/blocks`.
"""

from ..codecs import registry
from ..home import use_writable_home
from .adaptation import link_adaptation
from .air import ofdm_receiver, ofdm_transmitter
from .collector import message_demux
from .decoder import message_decoder
from .encoder import message_encoder
from .erasure import block_erasure_channel
from .feedback import feedback_receiver, feedback_sender
from .image_link import image_receiver, image_transmitter
from .images import image_sink, image_source, quality_meter
from .modulation import analog_demodulator, analog_modulator, digital_demodulator, digital_modulator
from .mux import message_mux
from .radio.ends import radio_sink, radio_source
from .radio.recorder import recorder
from .refiner import diffusion_refiner
from .repeats import packet_repeater, repeat_requester
from .semantic import semantic_decoder, semantic_encoder
from .symbols import symbol_channel

use_writable_home()  # before a flowgraph starts

__all__ = [
    "analog_demodulator",
    "analog_modulator",
    "block_erasure_channel",
    "diffusion_refiner",
    "feedback_receiver",
    "feedback_sender",
    "digital_demodulator",
    "digital_modulator",
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


def names() -> tuple[str, ...]:
    """All blocks, those of systems too, as attributes of `gnuradio.hsc`."""
    return (*__all__, *system_blocks())


def system_blocks() -> dict[str, str]:
    """Where the blocks of systems are, by name."""
    return {place.partition(":")[2]: place for system in registry.systems() for place in system.blocks}


def __getattr__(name: str) -> type:
    """The Image Viewer, loaded on first use: it alone needs PyQt5."""
    if name == "image_viewer":
        from .viewer.block import image_viewer

        return image_viewer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
