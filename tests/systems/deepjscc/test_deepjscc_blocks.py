"""DeepJSCC from its parts: the same image as from the whole codec."""

import numpy as np
import pytest
from gnuradio import hsc
from gnuradio.hsc import metrics
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import ReceivedMessage
from support import ROOT


@pytest.fixture(scope="module")
def photo():
    """A piece of a photograph, uint8 (75, 101, 3): a size that is no multiple of anything."""
    return load(ROOT / "examples" / "images" / "parakeet.jpg").pixels[60:135, 80:181]


def give(block, port, message):
    """What a block outside a flowgraph makes of a PDU: a list of PDUs."""
    made = []
    block.publish = lambda out, pdu: made.append(pdu) if out != "status" else None
    getattr(block, f"_on_{port}")(message.to_pdu())
    return made


def received(photo):
    """Analog PDU of the photograph at 5 dB, every fiftieth value lost."""
    encoder = hsc.semantic_encoder(codec="deepjscc", snr_db=5.0)
    (sent,) = give(encoder, "images", pdu.Image(4, photo.shape, photo.ravel()))
    noise = np.random.default_rng(1).standard_normal(sent.values.size).astype(np.float32)
    noise *= 0.56 * sent.values.std()
    lost = np.arange(noise.size) % 50 == 0
    values = np.where(lost, 0, sent.values + noise).astype(np.float32)
    variance = np.where(lost, np.inf, np.var(noise)).astype(np.float32)
    return pdu.Analog(4, "deepjscc", photo.shape, values, sent.parameters, variance, 5.0)


@pytest.mark.parametrize("kind", ["none", "dncnn", "diffsdnet"])
def test_denoiser_between_the_parts_is_the_codecs_option(photo, kind):
    """Denoiser, Semantic Decoder: the image that the codec makes with that denoiser."""
    stream = received(photo)
    (better,) = give(hsc.denoiser(kind, 3), "analog", stream)
    (shown,) = give(hsc.semantic_decoder("deepjscc"), "analog", better)
    codec = registry.create("deepjscc", denoiser=None if kind == "none" else kind, denoiser_steps=3)
    message = ReceivedMessage("deepjscc", photo.shape, stream.parameters, stream.received, (), 5.0)
    assert np.array_equal(shown.pixels, codec.decode(message).image) and shown.snr_db == 5.0
    assert metrics.psnr_db(shown.pixels, photo) > 20


def test_denoiser_changes_at_run_time_and_keeps_what_it_has_when_refused(photo):
    block, stream = hsc.denoiser("none"), received(photo)
    (same,) = give(block, "analog", stream)
    assert np.array_equal(same.values, stream.values)
    block.set_kind("dncnn")
    for refused in (lambda: block.set_kind("median"), lambda: block.set_steps(0)):
        with pytest.raises(HscError):
            refused()
    (better,) = give(block, "analog", stream)
    assert not np.array_equal(better.values, stream.values)
    (failed,) = give(block, "analog", pdu.Analog(5, "hsc", (8, 8, 1), np.zeros(4, np.float32)))
    assert isinstance(failed, pdu.Failed)
