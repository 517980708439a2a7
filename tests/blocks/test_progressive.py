"""Images of incomplete messages: they come while the message does, never after it, and change nothing of the
final image.
"""

import threading
from dataclasses import replace

import numpy as np
import pmt
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics, modem
from gnuradio.hsc.blocks import pdu, progressive
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.blocks.progressive import ProgressiveDecoder, in_time
from gnuradio.hsc.channel import numpy_normal
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Base, Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.packets import ReceivedPacket, split
from gnuradio.hsc.symbol_link import cross
from PIL import Image
from support import ROOT

WAIT = 60
BASES = {"hsc": Base("analog", "SR"), "hda_deepsc": Base("digital", "digital base"), "deepjscc": None}
PHOTO = ROOT / "examples" / "images" / "kitten.jpg"


def photo(side=128):
    return np.asarray(Image.open(PHOTO).convert("RGB").resize((side, side), Image.Resampling.BOX))


def received(codec, image, packet_symbols=1024, message_id=7, snr_db=10.0, **options):
    """The packets of one image after AWGN."""
    message = registry.create(codec, **options).encode(image, Link(snr_db=snr_db, cbr=1 / 3))
    packets = split(modem.modulate(message, message_id, packet_symbols))
    normal = numpy_normal(np.random.default_rng(1))
    return [cross(p, snr_db, "awgn", normal, 1.0, i * 2000) for i, p in enumerate(packets)]


@pytest.fixture
def always(monkeypatch):
    """Every image is begun, whatever time there is for it."""
    monkeypatch.setattr(progressive, "in_time", lambda *_: True)


class Port(MessageBlock):
    """A source of PDUs, and a sink that sets an event with each."""

    def __init__(self):
        super().__init__("Port")
        self.open_ports({"in": {kind: self._take for kind in (pdu.Image, pdu.Failed)}}, ("out",))
        self.seen, self.came = [], threading.Condition()

    def _take(self, message):
        with self.came:
            self.seen.append(message)
            self.came.notify_all()

    def wait(self, count):
        with self.came:
            assert self.came.wait_for(lambda: len(self.seen) >= count, WAIT), (
                f"{len(self.seen)} of {count} came"
            )
        return self.seen


class Bench(gr.top_block):
    """A Message Decoder between a source of packets and a sink for either kind of image."""

    def __init__(self, **arguments):
        super().__init__("bench")
        self.source, self.images, self.partial = Port(), Port(), Port()
        self.decoder = hsc.message_decoder(**arguments)
        self.msg_connect(self.source, "out", self.decoder, "packets")
        self.msg_connect(self.decoder, "images", self.images, "in")
        self.msg_connect(self.decoder, "partial", self.partial, "in")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.wait()

    def give(self, p):
        self.source.publish("out", pdu.ReceivedPacket.of(p))


@pytest.mark.parametrize("codec", ["hsc", "deepjscc", "hda_deepsc"])
def test_the_image_builds_up_packet_by_packet(codec, always):
    """Each packet brings another partial image, and they get better; the final image is the one that there is
    without partial images.

    The first shows the base alone where the codec has one.
    """
    image = photo()
    packets = received(
        codec, image, **({"repair_share": 0.3, "da_ratio": 0.2} if codec == "hda_deepsc" else {})
    )
    alone = registry.create(codec).decode(modem.demodulate(join(packets))).image
    quality = []
    base = getattr(registry.create(codec), "base", None)
    assert base == BASES[codec]
    with Bench(partial=1) as bench:
        for p in packets[:-1]:
            bench.give(p)
            # What cannot be decoded yet gives no image: then the counter of tries would be all there is to
            # wait for.
            message = modem.demodulate(join(packets[: p.header.index + 1]))
            first = base is not None and not quality
            try:
                so_far = registry.create(codec).decode(message.only(base.kind) if first else message).image
            except HscError:
                continue
            seen = bench.partial.wait(len(quality) + 1)[-1]
            assert np.array_equal(seen.pixels, so_far) and seen.part == (
                f"{base.name} alone" if first else None
            )
            assert (seen.packets_received, seen.packets, seen.message_id) == (
                p.header.index + 1,
                len(packets),
                7,
            )
            quality.append(metrics.psnr_db(seen.pixels, image))
        bench.give(packets[-1])
        assert np.array_equal(bench.images.wait(1)[0].pixels, alone)
        assert bench.decoder._based is None  # the next message begins with its base, whatever its layout
    assert quality and quality[-1] < metrics.psnr_db(alone, image) and len(bench.partial.seen) == len(quality)
    # Lost values of the SR are estimated: one image may be a trifle worse than the one before.
    slack = 0.1 if codec == "hsc" else 0.0
    assert all(b > a - slack for a, b in zip(quality, quality[1:], strict=False))
    assert codec == "hda_deepsc" or len(quality) == len(packets) - 1


def test_off_by_default_and_spaced_on_the_sample_clock(always):
    packets = received("deepjscc", photo(64), 128)
    for partial, wanted in ((0, 0), (5000, 3)):  # packets begin 2000 samples apart: after 0, 6000, 12000
        with Bench(partial=partial) as bench:
            for p in packets[:8]:
                bench.give(p)
                index = p.sample_index
                if partial and index in (0, 6000, 12000):
                    bench.partial.wait(index // 6000 + 1)
                bench.decoder._post(pmt.intern("packets"), pdu.Tick(index + 1).to_pdu())
        assert len(bench.partial.seen) == wanted == bench.decoder.counters["partial_images"]


@pytest.mark.parametrize("codec", registry.names())
def test_every_codec_gives_an_image_or_a_reason_for_any_packets(codec):
    """Every prefix of a message, every single packet of it: an image of the right shape, or an HscError."""
    packets = received(codec, photo(), 2048)
    decoder = registry.create(codec)
    for some in [packets[:n] for n in range(1, len(packets) + 1)] + [[p] for p in packets]:
        try:
            assert decoder.decode(modem.demodulate(join(some))).image.shape == (128, 128, 3)
        except HscError as error:
            assert len(some) < len(packets), error


def test_a_slow_partial_image_neither_delays_nor_follows_the_final_one(always):
    packets = received("deepjscc", photo(64), 128)
    begun, release, published = threading.Event(), threading.Event(), []

    def decode(parts):
        begun.set()
        assert release.wait(WAIT)
        return len(parts)

    before = threading.active_count()
    decoder = ProgressiveDecoder(decode, published.append, pytest.fail)
    decoder.start()
    decoder.offer(packets[:1])
    assert begun.wait(WAIT)
    decoder.offer(packets[:2])  # waits, and is dropped with the message
    decoder.close(packets[0].header)
    release.set()
    other = [
        ReceivedPacket(replace(p.header, message_id=9), p.symbols, p.noise_variance) for p in packets[:3]
    ]
    done = threading.Event()
    decoder._publish = lambda image: (published.append(image), done.set())
    decoder.offer(other)
    assert done.wait(WAIT) and published == [3]
    decoder.stop()
    assert threading.active_count() <= before and decoder._thread is None


def test_mistakes_in_a_codec_are_counted_and_the_thread_goes_on(always):
    packets, failures, published = received("deepjscc", photo(64), 128), [], []
    came = threading.Semaphore(0)

    def decode(parts):
        if len(parts) == 1:
            raise RuntimeError("a mistake")
        if len(parts) == 2:
            raise HscError("nothing to see yet")
        return len(parts)

    decoder = ProgressiveDecoder(
        decode,
        lambda image: (published.append(image), came.release()),
        lambda error: (failures.append(str(error)), came.release()),
    )
    decoder.start()
    decoder.offer(packets[:1])
    assert came.acquire(timeout=WAIT)
    decoder.offer(packets[:2])
    decoder.offer(packets[:3])
    assert came.acquire(timeout=WAIT)
    decoder.stop()
    assert failures == ["a mistake"] and published == [3]


def test_a_header_that_claims_too_much_is_not_decoded_before_it_came():
    header = Header(1, 3, 0, 60_000, (4000, 4000, 3), analog_symbols=1 << 23)
    decoder = ProgressiveDecoder(pytest.fail, pytest.fail, pytest.fail)
    decoder.offer(
        [ReceivedPacket(header, np.zeros(header.payload_symbols, np.complex64), np.ones(1, np.float32))]
    )
    assert not decoder._waiting


def test_what_would_not_be_ready_in_time_is_not_begun():
    """Four of twelve packets came in 0.3 s: the others take 0.8 s."""
    assert in_time(4, 12, 0.3, 0.79) and not in_time(4, 12, 0.3, 0.81)
    assert in_time(2, 3, 0.0, 0.0) and not in_time(1, 100, 5.0, 0.0)
    packets, tried, came = received("deepjscc", photo(64), 128), [], threading.Semaphore(0)

    def decode(parts):
        tried.append(len(parts))
        return len(parts)

    decoder = ProgressiveDecoder(decode, lambda _: came.release(), pytest.fail)
    decoder.start()
    decoder.offer(packets[:1])
    decoder.offer(packets[:2])
    assert came.acquire(timeout=WAIT)
    slow = 100.0 / (64 * 64)
    decoder._seconds_per_pixel = {packets[0].header.codec: slow}
    decoder.offer(packets[:3])
    assert 0 < decoder._seconds_per_pixel[packets[0].header.codec] < slow
    decoder._seconds_per_pixel = {}
    decoder.offer(packets[:4])
    assert came.acquire(timeout=WAIT)
    decoder.stop()
    assert tried == [2, 4]


def test_the_first_image_of_a_codec_is_no_measure():
    decoder, header = (
        ProgressiveDecoder(pytest.fail, pytest.fail, pytest.fail),
        Header(1, 3, 0, 4, (10, 10, 3)),
    )
    assert decoder._expected(header) == 0
    for seconds, expected in ((9.0, 0.0), (0.5, 0.5)):
        decoder._measure(header, seconds)
        assert decoder._expected(header) == pytest.approx(expected)
