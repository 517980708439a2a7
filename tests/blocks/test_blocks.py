"""Each block by itself: what it makes of good PDUs, and that no PDU whatever can stop it."""

import re
import time
from dataclasses import replace

import numpy as np
import pmt
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics, modem
from gnuradio.hsc.blocks import pdu, pdu_base
from gnuradio.hsc.blocks.base import DEFAULT_QUEUE, Joiner, MessageBlock
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy import analog, digital
from gnuradio.hsc.phy.assembly import MessageAssembler
from gnuradio.hsc.phy.header import Header, pack, unpack
from gnuradio.hsc.phy.packets import assemble, split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support import ROOT
from support.pdus import HEADER, complex_noise, damaged, examples, values
from support.perceptual import needs_perceptual
from support.pixel_codec import NAME, PixelCodec, picture, register
from support.waiting import wait_for
from support.watched import MAKE, Watched, make, ports


@pytest.fixture(autouse=True)
def _pixel_codec(monkeypatch):
    register(monkeypatch)


@pytest.fixture(scope="module")
def fuzzed():
    return {}


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(
        st.one_of(damaged(), values, st.sampled_from(examples()).map(lambda p: p.to_pdu())),
        min_size=1,
        max_size=6,
    ),
    data=st.data(),
)
def test_no_pdu_stops_a_block(name, messages, data, fuzzed):
    """Any PMT on any port: nothing leaves the handler, and what goes out is a PDU of the schema."""
    watched = fuzzed.setdefault(name, make(name))
    for message in messages:
        for _, made in watched.give(data.draw(st.sampled_from(ports(watched.block))), message):
            pdu_base.parse(made.to_pdu())
        assert watched.block.counters["crashes"] == 0


sides = st.sampled_from([1, 8, 28, 64])
headers = st.builds(
    Header,
    codec=st.sampled_from([1, 1, 1, *(registry.number(name) for name in registry.names()), 99]),
    message_id=st.integers(0, 65535),
    index=st.just(0),
    count=st.sampled_from([1, 2, 40]),
    shape=st.tuples(sides, sides, st.sampled_from([1, 3])),
    analog_symbols=st.sampled_from([0, 1, 8, 500]),
    scale=st.integers(0, 65535),
    digital=st.lists(
        st.tuples(st.sampled_from(["BPSK-1/2", "64QAM-13/16"]), st.integers(0, 300)), max_size=2
    ).map(tuple),
    parameters=st.one_of(
        st.tuples(
            st.sampled_from([2, 33, 99]),
            st.integers(0, 63),
            st.integers(0, 40),
            st.integers(0, 2),
            st.integers(0, 80),
        ).map(bytes),
        st.binary(min_size=8, max_size=8),
    ),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=headers, seed=st.integers(0, 2**31))
def test_forged_packets_give_an_image_or_a_failure(header, seed, fuzzed):
    """Headers whose CRC holds but whose fields are anything, over noise: each message ends in one image or
    one failure.
    """
    header = unpack(pack(header))
    rng = np.random.default_rng(seed)
    symbols = rng.standard_normal((header.payload_symbols, 2)).astype(np.float32).view(np.complex64).ravel()
    variance = np.where(rng.random(symbols.size) < 0.9, 0.1, np.inf).astype(np.float32)
    decoder = fuzzed.setdefault("decoder", make("message_decoder"))
    decoder.block._assembler = MessageAssembler()
    made = decoder.give("packets", pdu.ReceivedPacket(header, symbols, variance)) + decoder.give(
        "packets", pdu.Tick(1 << 40)
    )
    kinds = [type(m) for port, m in made if port == "images"]
    assert kinds in ([pdu.Image], [pdu.Failed]) and decoder.block.counters["crashes"] == 0


def test_every_block_is_fuzzed():
    choosers = {"semantic_decoder", "semantic_encoder"}
    without_handlers_of_radio_data = {"feedback_receiver", "image_source", "image_viewer", "ofdm_receiver"}
    names = set(hsc.blocks.names()) - choosers - without_handlers_of_radio_data
    assert set(MAKE) == {name for name in names if not issubclass(getattr(hsc, name), gr.hier_block2)}


def test_failures_are_counted_told_and_passed_on():
    watched = make("digital_modulator")
    watched.block._on_digital(pmt.intern("nonsense"))
    assert watched.block.counters["errors"] == 1
    assert [port for port, _ in watched.out] == ["status"]
    watched.out.clear()
    failed = watched.give("digital", pdu.Digital(9, "hsc", (8, 8, 1), np.zeros(3, np.uint8)))
    assert [(port, type(m), m.message_id) for port, m in failed] == [("symbols", pdu.Failed, 9)]
    assert "no MCS" in failed[0][1].reason


class Slow(MessageBlock):
    """Takes at most five PDUs that wait."""

    def __init__(self):
        super().__init__("Slow")
        self.open_ports({"in": {pdu.Tick: self.tick}}, (), queue=4)
        self.served = []

    def tick(self, tick):
        self.served.append(tick.sample_index)


def test_queues_are_bounded():
    """Fifty PDUs wait when the flowgraph starts: all but the youngest five are dropped and counted, `End`
    never.
    """
    top = gr.top_block()
    top.slow, top.other = Slow(), hsc.image_sink()
    top.msg_connect(top.slow, "status", top.other, "images")
    for message in [*(pdu.Tick(i) for i in range(50)), pdu.End()]:
        top.slow._post(pmt.intern("in"), message.to_pdu())
    top.other._post(pmt.intern("images"), pdu.End().to_pdu())
    top.run()
    assert top.slow.served == [46, 47, 48, 49] and top.slow.counters["dropped"] == 46


def test_analog_and_digital_through_modulators_and_symbol_channel():
    """Analog Modulator, Digital Modulator, Mux, channel, Demux, demodulators: values and bytes come back, in
    any order of the parts.
    """
    rng = np.random.default_rng(5)
    values_, data = rng.standard_normal(301).astype(np.float32), rng.integers(0, 256, 200, np.uint8)
    head = {"message_id": 3, "codec": NAME, "shape": (8, 8, 1), "parameters": b"abc"}
    ((_, analog_part),) = make("analog_modulator").give("analog", pdu.Analog(values=values_, **head))
    ((_, digital_part),) = make("digital_modulator", mcs_name="QPSK-3/4").give(
        "digital", pdu.Digital(data=data, **head)
    )
    mux = make("message_mux", packet_symbols=100)
    assert mux.give("digital", digital_part) == []
    packets = [m for _, m in mux.give("analog", analog_part)]
    assert len(packets) == -(-(151 + digital.symbol_count(200, "QPSK-3/4")) // 100)
    channel, demux = make("symbol_channel", snr_db=30.0), make("message_demux")
    received = [m for p in reversed(packets) for _, m in channel.give("in", p)]
    streams = dict(x for r in received for x in demux.give("packets", r))
    ((_, analog_out),) = make("analog_demodulator").give("symbols", streams["analog"])
    ((_, digital_out),) = make("digital_demodulator").give("symbols", streams["digital"])
    assert np.array_equal(digital_out.data, data) and digital_out.received.complete
    assert digital_out.parameters[:3] == analog_out.parameters[:3] == b"abc"
    error = np.mean((analog_out.values[:301] - values_) ** 2)
    assert 0.7e-3 < error < 1.4e-3  # power 1 per value at 30 dB
    assert np.mean(analog_out.noise_variance) == pytest.approx(1e-3, rel=0.1)


def test_mux_serves_messages_without_digital_stream_and_passes_failures_on_once():
    head = {"codec": NAME, "shape": (8, 8, 1)}
    none = pdu.Symbols(1, symbols=np.zeros(0, np.complex64), stream=1, streams=0, **head)
    mux = make("message_mux")
    assert mux.give("digital", none) == []
    assert [
        m.header.digital for _, m in mux.give("analog", pdu.Symbols(1, symbols=complex_noise(10), **head))
    ] == [()]
    assert len(mux.give("analog", pdu.Failed("Semantic Encoder", "no", 2))) == 1
    assert mux.give("digital", pdu.Failed("Semantic Encoder", "no", 2)) == []
    assert (
        mux.give("digital", pdu.Symbols(2, symbols=np.zeros(0, np.complex64), stream=1, streams=0, **head))
        == []
    )


def test_mux_without_a_part_says_so_at_the_end():
    mux = make("message_mux")
    mux.give("analog", pdu.Symbols(1, "hsc", (8, 8, 1), complex_noise(10)))
    assert mux.give("analog", pdu.End()) == []
    assert [type(m) for _, m in mux.give("digital", pdu.End())] == [pdu.Failed, pdu.End]


def test_joiner_gives_each_message_once():
    joiner = Joiner(max_open=2)
    assert joiner.put(1, "a", "x") == {"a": "x"} and joiner.put(1, "b", "y") == {"a": "x", "b": "y"}
    assert joiner.take(1) and not joiner.take(1) and joiner.put(1, "c", "late") == {}
    for message_id in (2, 3, 4):
        joiner.put(message_id, "a", message_id)
    assert joiner.overflow() == [(2, {"a": 2})] and joiner.flush() == [(3, {"a": 3}), (4, {"a": 4})]


def test_joiner_begins_a_new_message_when_a_part_comes_again():
    """A transmitter that was restarted uses a message id again."""
    joiner = Joiner()
    joiner.put(1, "a", "x"), joiner.put(1, "b", "y"), joiner.take(1)
    assert joiner.put(1, "a", "new") == {"a": "new"} and joiner.overflow() == []
    assert joiner.put(1, "a", "newer") == {"a": "newer"}
    assert joiner.overflow() == [(1, {"a": "new"})] and joiner.put(1, "b", "z") == {"a": "newer", "b": "z"}
    assert joiner.take(1) and joiner.flush() == []


def test_joiner_holds_what_may_wait_on_a_port():
    joiner = Joiner()
    for message_id in range(DEFAULT_QUEUE):
        joiner.put(message_id, "a", message_id)
    assert joiner.overflow() == []
    joiner.put(DEFAULT_QUEUE, "a", 0)
    assert joiner.overflow() == [(0, {"a": 0})] and joiner.put(0, "b", 0) == {}


def test_quality_meter_measures_and_names():
    meter, sent = make("quality_meter"), picture(170, 180)
    received = np.clip(
        sent.astype(int) + np.random.default_rng(0).integers(-9, 10, sent.shape), 0, 255
    ).astype(np.uint8)
    assert meter.give("received", pdu.Image(5, sent.shape, received.ravel(), snr_db=9.0)) == []
    out = dict(meter.give("reference", pdu.Image(5, sent.shape, sent.ravel(), "sea")))
    assert (
        out["images"].name == "sea"
        and out["images"].snr_db == 9.0
        and np.array_equal(out["images"].pixels, received)
    )
    assert out["quality"].psnr_db == pytest.approx(metrics.psnr_db(received, sent))
    assert out["quality"].mse == pytest.approx(metrics.mse(received, sent))
    assert out["quality"].ms_ssim == pytest.approx(metrics.ms_ssim(received, sent), abs=1e-6)


def test_quality_meter_tells_once_of_an_image_of_another_size():
    meter = make("quality_meter")
    meter.give("received", pdu.Image(5, (8, 8, 1), np.zeros(64, np.uint8)))
    out = meter.give("reference", pdu.Image(5, (4, 8, 1), np.zeros(32, np.uint8)))
    assert [(port, type(m)) for port, m in out if port != "status"] == [
        ("images", pdu.Failed),
        ("quality", pdu.Failed),
    ]


def test_a_digital_stream_that_the_symbol_channel_loses_is_told_as_lost():
    """Not as a failure of its message: the other streams are still of use."""
    channel = make("symbol_channel", loss=1.0)
    stream = pdu.Digital(9, "hsc", (8, 8, 1), np.ones(100, np.uint8), stream=1, streams=2, mcs="QPSK-1/2")
    ((port, arrived),) = channel.give("in", stream)
    size = digital.payload_bytes_per_block("QPSK-1/2")
    assert port == "out" and arrived.stream == 1 and arrived.streams == 2 and not arrived.data.any()
    assert not arrived.received.received.any()
    assert arrived.received.lost_blocks == tuple(range(-(-100 // size)))


def test_a_link_adaptation_and_a_way_back_end_with_the_reports():
    demux = make("message_demux")
    (end,) = (m for port, m in demux.give("packets", pdu.End()) if port == "snr")
    for name, port, arguments in (
        ("link_adaptation", "reports", {}),
        ("feedback_sender", "records", {"address": "inproc://ends"}),
    ):
        watched, finished = make(name, **arguments), []
        watched.block.finish = lambda name=name, finished=finished: finished.append(name)
        watched.give(port, end)
        assert finished == [name]


@needs_perceptual
def test_quality_meter_measures_the_perceptual_distances_that_are_named():
    sent = picture(40, 50)
    received = 255 - sent
    meter = make("quality_meter", perceptual=["dists"])
    meter.give("received", pdu.Image(5, sent.shape, received.ravel()))
    out = dict(meter.give("reference", pdu.Image(5, sent.shape, sent.ravel())))
    assert out["quality"].dists == pytest.approx(metrics.dists(received, sent))
    assert out["quality"].lpips_alex is None


def test_quality_meter_knows_no_other_distance():
    with pytest.raises(HscError, match="no distance lpips: choose of lpips_alex"):
        make("quality_meter", perceptual=["lpips"])


def test_image_sink_writes_names_and_stays_in_its_folder(tmp_path):
    sink, sent = make("image_sink", folder=str(tmp_path / "out"), keep=2), picture(20, 30, 1)
    for message_id, name in ((1, "../../etc/passwd"), (2, None), (3, "sea")):
        sink.give("images", pdu.Image(message_id, sent.shape, sent.ravel(), name))
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["message_00002.png", "passwd.png", "sea.png"]
    assert all(p.parent == tmp_path / "out" for p in tmp_path.rglob("*.png")) and list(sink.block.images) == [
        2,
        3,
    ]


def test_image_sink_says_when_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("in the way")
    sink = make("image_sink", folder=str(tmp_path / "file"))
    sink.give("images", pdu.Image(1, (8, 8, 1), np.zeros(64, np.uint8)))
    assert sink.block.counters["errors"] == 1 and sink.block.counters["written"] == 0


def test_image_source_waits_for_next(tmp_path):
    for i in range(4):
        Image.fromarray(picture(16, 16, seed=i)).save(tmp_path / f"{i}.png")
    source = make("image_source", files=str(tmp_path), in_flight=1, first_id=65535)
    source.block.start()
    try:
        for expected in (1, 2, 3):
            wait_for(lambda n=expected: len(source.out) >= n)
            time.sleep(0.05)
            ids = [m.message_id for _, m in source.out]
            assert ids == [65535, 0, 1][:expected]
            for _ in range(2):  # what is told twice releases one
                source.block._on_next(sent(ids[-1]))
    finally:
        source.block.stop()


def sent(message_id):
    return pdu.Sent(replace(HEADER, message_id=message_id), 1).to_pdu()


def test_what_is_left_of_a_former_run_releases_no_image_of_this_one(tmp_path):
    Image.fromarray(picture(16, 16)).save(tmp_path / "a.png")
    source = make("image_source", files=str(tmp_path), repeat=True, in_flight=2, first_id=10)
    try:
        for run in range(3):
            source.block.start()
            wait_for(lambda n=2 * run + 2: len(source.out) >= n)
            for message_id in range(10, 10 + 2 * run):
                source.block._on_next(sent(message_id))
            time.sleep(0.05)
            assert len(source.out) == 2 * run + 2
            source.block.stop()
    finally:
        source.block.stop()


def test_image_source_sends_so_many_rounds(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(picture(8, 8, 1)[..., 0]).save(tmp_path / f"{name}.png")
    source = make("image_source", files=str(tmp_path), rounds=3)
    source.block.start()
    try:
        wait_for(lambda: source.out and isinstance(source.out[-1][1], pdu.End))
    finally:
        source.block.stop()
    assert [m.name for _, m in source.out[:-1]] == ["a", "b"] * 3


def test_image_source_ends_when_its_files_are_gone(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture(8, 8, 1)[..., 0]).save(path)
    source = make("image_source", files=str(path), repeat=True, in_flight=1)
    source.block.start()
    try:
        wait_for(lambda: source.out)
        path.write_bytes(b"no image")
        source.block._on_next(sent(source.out[0][1].message_id))
        wait_for(lambda: isinstance(source.out[-1][1], pdu.End))
    finally:
        source.block.stop()
    assert source.block.counters["errors"] == 1


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("image_source", {"files": "no/such/*.png"}, "no file matches"),
        ("image_source", {"files": []}, "no image file"),
        ("message_encoder", {"codec": "mp3"}, "unknown codec 'mp3'"),
        ("message_encoder", {"codec": "hsc", "options": {"colour": 3}}, "no such option"),
        ("message_mux", {"inputs": "three"}, "choose one of both, analog, digital"),
        ("digital_modulator", {"mcs_name": "8PSK-1/2"}, "unknown MCS"),
        ("ofdm_transmitter", {"numerology": "ofdm65"}, "unknown numerology"),
        ("ofdm_receiver", {"numerology": ""}, "unknown numerology"),
        ("symbol_channel", {"kind": "underwater"}, "unknown channel"),
        ("symbol_channel", {"loss": 1.5}, "give 0 to 1"),
        ("block_erasure_channel", {"share": 1.5}, "give 0 to 1"),
        ("block_erasure_channel", {"burst": 0.5}, "give 1 or more"),
        ("block_erasure_channel", {"block_bytes": 0}, "give 1 or more"),
        ("semantic_encoder", {"semantic": "gan"}, "choose one of vae, vqvae"),
        ("semantic_encoder", {"codec": "separate"}, "has no Semantic Encoder"),
        ("semantic_decoder", {"codec": "hda_hevc"}, "has no Semantic Decoder"),
        ("semantic_decoder", {"codec": "mp3"}, "unknown codec 'mp3'"),
        ("semantic_decoder", {"codec": "hsc", "rank": 1}, "has no option rank: choose from none at all"),
        ("semantic_encoder", {"colour": 1}, "has no option colour: choose from semantic, symbols, "),
        ("hda_allocation", {"da_ratio": 0.0}, "DA ratio is 0"),
        ("hda_allocation", {"mcs_name": "8PSK-1/2"}, "unknown MCS"),
        ("hda_fusion", {"key": "0123"}, "neither 64 hexadecimal digits nor a readable file"),
        ("denoiser", {"kind": "median"}, "denoiser 'median' is unknown: choose one of dncnn"),
        ("denoiser", {"steps": 0}, "steps"),
        ("cr_projection", {"rank": 2, "psnr_db": 30.0}, "one of rank, psnr_db and cbr"),
        ("cr_projection", {"repair_share": 1.0}, "the repair share is 1.0"),
        ("cr_projection", {"cr": "zip"}, "choose one of paper, residual, projection"),
    ],
)
def test_bad_arguments_raise_one_line(name, arguments, says):
    with pytest.raises(HscError, match=says) as caught:
        getattr(hsc, name)(**arguments)
    assert "\n" not in str(caught.value)


def test_amount_of_cr_changes_at_run_time():
    block = make("cr_projection", rank=2).block
    with pytest.raises(HscError):
        block.set_rank(-1)
    block.set_psnr_db(30.0)
    block.set_cbr(0.5)
    block.set_rank(7.0)
    block.set_repair_share(0.2)
    options = block._options
    assert (options.rank, options.psnr_db, options.cbr, options.repair_share) == (7, None, None, 0.2)


def test_ofdm_transmitter_refuses_whole_messages_when_its_queue_is_full():
    transmitter = make("ofdm_transmitter", queue=4)
    message = PixelCodec().encode(picture(32, 32), Link())
    for message_id in range(3):
        modulated = modem.modulate(message, message_id, 700)
        for p in split(modulated):
            transmitter.give("packets", pdu.Packet(p.header, p.symbols))
            waiting = [q.message_id for q in transmitter.block._queue_of_packets]
    count = modulated.header.count
    assert count >= 3 and waiting == [0] * count + ([1] * count if count < 4 else [])
    assert transmitter.block.counters["dropped"] >= 1


def test_ofdm_transmitter_power_and_idle_zeros():
    """A burst's mean power is that of its carriers times the amplitude squared; idle are zeros."""
    transmitter = make("ofdm_transmitter", amplitude=0.5, continuous=True).block
    out = np.ones(1000, np.complex64)
    assert transmitter.work([], [out]) == 1000 and not out.any()
    header = assemble(1, 0, (8, 8, 1), b"", complex_noise(40_000), 1, [], 40_000).header
    symbols = np.exp(2j * np.pi * np.random.default_rng(1).random(40_000)).astype(np.complex64)
    transmitter._on_packets(pdu.Packet(header, symbols).to_pdu())
    out = np.empty(60_000, np.complex64)
    assert transmitter.work([], [out]) == 60_000
    assert np.mean(np.abs(out[2000:]) ** 2) == pytest.approx(0.25 * 52 / 64, rel=0.03)


def test_symbol_channel_losses_and_bit_flips():
    channel = make("symbol_channel", loss=1.0)
    p = pdu.Packet(HEADER, complex_noise(HEADER.payload_symbols))
    assert [type(m) for _, m in channel.give("in", p)] == [pdu.Tick]
    channel.block.set_loss(0.0)
    channel.block.set_snr_db(3.0)
    received = channel.give("in", p)[0][1]
    assert received.header == HEADER and np.allclose(received.noise_variance, 10**-0.3)
    assert np.mean(np.abs(received.symbols - p.symbols) ** 2) == pytest.approx(10**-0.3, rel=0.2)
    channel.block.set_flip(0.1)
    stream = pdu.Digital(1, "hsc", (8, 8, 1), np.zeros(10_000, np.uint8))
    flipped = channel.give("in", stream)[0][1].data
    assert np.unpackbits(flipped).mean() == pytest.approx(0.1, abs=0.01)


def test_block_erasure_channel_gives_what_a_demodulator_would():
    """Its bytes, mask, lost LDPC blocks and type, as if the blocks had failed in the air."""
    data = np.random.default_rng(1).integers(1, 256, 9000, np.uint8)
    sent = pdu.Digital(1, "hsc", (8, 8, 1), data, 2, 2, "QPSK-1/2", b"12")
    channel = make("block_erasure_channel", share=0.3, block_bytes=1056, seed=4)
    ((_, arrived),) = channel.give("in", sent)
    assert (arrived.message_id, arrived.stream, arrived.streams, arrived.mcs) == (1, 2, 2, "QPSK-1/2")
    received = arrived.received
    erased = ~received.received
    assert 0 < erased.mean() < 1 and channel.block.counters["erased_bytes"] == erased.sum()
    np.testing.assert_array_equal(arrived.data, np.where(erased, 0, data))
    assert all(len(set(erased[first : first + 1056])) == 1 for first in range(0, 9000, 1056))
    size = digital.payload_bytes_per_block("QPSK-1/2")
    assert received.block_bytes == size and not received.complete
    touched = [block for block in range(-(-9000 // size)) if erased[block * size : (block + 1) * size].any()]
    assert list(received.lost_blocks) == touched

    channel.block.set_told(False)
    channel.block.set_seed(4)
    ((_, untold),) = channel.give("in", sent)
    np.testing.assert_array_equal(untold.data, arrived.data)
    assert untold.received.complete and untold.received.received.all()

    channel.block.set_share(0.0)
    ((_, whole),) = channel.give("in", sent)
    np.testing.assert_array_equal(whole.data, data)
    ((_, again),) = channel.give("in", arrived)
    np.testing.assert_array_equal(again.received_bytes, arrived.received_bytes)
    assert list(again.lost_blocks) == touched
    channel.block.set_share(1.0)
    ((_, nothing),) = channel.give("in", sent)
    assert not nothing.data.any()


def test_block_erasure_channel_has_bursts_and_refuses_the_impossible():
    channel = make("block_erasure_channel", share=0.3, block_bytes=10, burst=1.0, seed=2)
    sent = pdu.Digital(1, "hsc", (8, 8, 1), np.ones(100_000, np.uint8))

    def mean_run():
        lost = channel.give("in", sent)[0][1].lost_blocks
        return len(lost) / (1 + (np.diff(lost) > 1).sum())

    assert mean_run() == pytest.approx(1 / 0.7, rel=0.05)
    channel.block.set_burst(8.0)
    assert mean_run() == pytest.approx(8, rel=0.25)
    for call, value in ((channel.block.set_share, 1.01), (channel.block.set_burst, 0.0)):
        with pytest.raises(HscError, match="give"):
            call(value)
    assert mean_run() == pytest.approx(8, rel=0.25)


def test_semantic_decoder_without_sr_and_recomposition_without_cr():
    head = {"message_id": 1, "codec": "hsc", "shape": (28, 28, 1), "parameters": bytes([2, 0, 0, 0, 0])}
    lost = np.full(16, np.inf, np.float32)
    ((_, generated),) = make("hsc_semantic_decoder").give(
        "analog", pdu.Analog(values=np.zeros(16, np.float32), noise_variance=lost, **head)
    )
    assert generated.pixels is None
    recomposition = make("cr_recomposition")
    recomposition.give(
        "generated",
        pdu.Generated(1, (28, 28, 1), np.full(784, 0.25, np.float32), parameters=head["parameters"]),
    )
    ((_, image),) = recomposition.give("digital", pdu.Failed("Digital Demodulator", "no", 1))
    assert isinstance(image, pdu.Image) and (image.pixels == 64).all()


def test_scale_of_analog_streams_is_the_codes():
    ((_, made),) = make("analog_modulator").give(
        "analog", pdu.Analog(1, "hsc", (8, 8, 1), np.full(10, 3.0, np.float32))
    )
    assert made.scale == analog.modulate(np.full(10, 3.0, np.float32))[1]
    assert np.mean(np.abs(made.symbols) ** 2) == pytest.approx(1, rel=1e-2)


def test_example_of_the_documentation_works_as_printed():
    page = ROOT / "docs" / "pdu.md"
    namespace = {}
    exec(re.findall(r"```python\n(.*?)```", page.read_text(), re.S)[0], namespace)
    darker, sent = Watched(namespace["darker"]()), picture(8, 8)
    ((port, made),) = darker.give("images", pdu.Image(1, sent.shape, sent.ravel(), "sea"))
    assert port == "images" and made.name == "sea" and np.array_equal(made.pixels, sent // 2)


def test_measured_snr_goes_back_and_the_next_image_is_made_for_it():
    """Demux and Decoder tell it; the Message Encoder believes it within reason, and passes nothing of the way
    back on.
    """
    encoder = make("message_encoder")
    packets = [m for _, m in encoder.give("images", pdu.Image(5, (40, 40, 1), picture(40, 40, 1).ravel()))]
    for name in ("message_demux", "message_decoder"):
        receiver, channel = make(name), make("symbol_channel", snr_db=7.0)
        told = [
            m
            for p in packets
            for _, r in channel.give("in", p)
            for port, m in receiver.give("packets", r)
            if port == "snr"
        ]
        assert [(m.message_id, m.snr_db) for m in told] == [(5, pytest.approx(7.0))]
    for said, believed in ((7.0, 7.0), (1e9, 60.0), (-1e9, -30.0)):
        assert encoder.give("snr", pdu.Snr(5, said)) == [] and encoder.block._link.snr_db == believed
    assert encoder.give("snr", pdu.Failed("Message Decoder", "no", 5)) == [] == encoder.give("snr", pdu.End())
    assert [type(m) for _, m in encoder.give("images", pdu.End())] == [pdu.End]
