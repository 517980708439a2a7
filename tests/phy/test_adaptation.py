"""The adaptive link: rules by themselves, records from the return path, and the closed loop in flowgraphs."""

import queue
import threading
import time
from dataclasses import replace

import numpy as np
import pmt
import pytest
from gnuradio import gr, hsc
from gnuradio.hsc import metrics
from gnuradio.hsc.app import samples
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.base import MessageBlock
from gnuradio.hsc.codecs.contract import Codec
from gnuradio.hsc.coding import budget
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import files
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy import mcs
from gnuradio.hsc.phy.adaptation import LinkAdaptation, Policy, loss_of, repair_share
from gnuradio.hsc.phy.departed import MEMORY
from gnuradio.hsc.phy.header import MAX_PACKET_SYMBOLS, Header
from gnuradio.hsc.phy.packets import Packet
from gnuradio.hsc.phy.repeats import MissingPackets, RepeatBuffer
from gnuradio.hsc.phy.reports import LARGEST_RECORD, Nak, Report, unpack_record
from gnuradio.hsc.systems.hsc import complementary
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pixel_codec import register
from support.processes import free_endpoint
from support.waiting import PATIENCE

LAYOUT = Header(1, 7, 0, 11, (64, 64, 3), 1000, 0, (("QPSK-1/2", 2000),))


def of(setting, code):
    return Link(setting.snr_db, mcs=code, most_threshold_db=setting.most_threshold_db)


def run(adaptation, snrs, start=0.0, **counts):
    return [adaptation.report(Report(i, snr, **counts), start + i) for i, snr in enumerate(snrs)]


def test_the_threshold_follows_a_step_down_at_once_and_up_after_patience():
    found = run(LinkAdaptation(Policy(patience=2)), [20] * 4 + [5] * 3 + [20] * 4)
    high, low = 20 - 1.5 - 1.0, 5 - 1.5  # with margin and hysteresis, with the margin
    assert [s.most_threshold_db for s in found[1:]] == [high] * 3 + [low] * 4 + [high] * 3


@pytest.mark.parametrize("code", mcs.CODES)
def test_noise_on_the_reports_does_not_make_the_mcs_flap(code):
    rng = np.random.default_rng(1)
    threshold = mcs.by_name("16QAM-1/2").threshold_db
    reports = threshold + 1.5 + rng.normal(0, 0.15, 300)
    found = run(LinkAdaptation(Policy(timeout=1e9)), reports)
    names = [budget.mcs(of(setting, code)) for setting in found]
    assert sum(a != b for a, b in zip(names, names[1:], strict=False)) <= 4
    plain = [mcs.best_for(snr, 1.5, code).name for snr in reports]
    assert sum(a != b for a, b in zip(plain, plain[1:], strict=False)) > 50


def test_codecs_choose_with_their_own_code_and_margin_what_the_reports_allow():
    link = Link(snr_db=18.0, most_threshold_db=16.5)
    assert budget.mcs(link) == mcs.best_for(16.5, 0.0).name
    assert budget.mcs(link.with_code("nr"), uses=10_000) == mcs.best_for(16.5, 0.0, "nr").name
    assert budget.mcs(link, margin_db=6.0) == mcs.best_for(18, 6.0).name  # more careful than the reports
    assert budget.robust_mcs(link) == mcs.robust().name  # as without reports
    assert budget.mcs(replace(link, mcs="64QAM-13/16")) == "64QAM-13/16"


@pytest.mark.parametrize("code", [None, *mcs.CODES])
@pytest.mark.parametrize("margin_db", [None, 0.0, 1.0, 3.0, 4.5])
def test_no_codec_goes_above_what_the_reports_allow(code, margin_db):
    """Nor does what is to be robust; below all of 802.11ad it is 5G NR."""
    for most_db in np.arange(-7.5, 25, 0.25):
        for snr_db in (most_db + 1.5, most_db + 7.5):
            link = Link(snr_db=snr_db, mcs=code, most_threshold_db=most_db)
            for name in (budget.mcs(link, margin_db), budget.robust_mcs(link)):
                assert mcs.by_name(name).threshold_db <= most_db


def test_lost_blocks_widen_the_margin_until_they_stop():
    adaptation = LinkAdaptation(Policy())
    before = run(adaptation, [12] * 6, packets=4, received=4, blocks=100, lost_blocks=0)[-1]
    during = run(adaptation, [12] * 6, 6, packets=4, received=4, blocks=100, lost_blocks=30)[-1]
    after = run(adaptation, [12] * 120, 12, packets=4, received=4, blocks=100, lost_blocks=0)[-1]
    assert during.most_threshold_db == before.most_threshold_db - 5  # 6 dB more of margin, no hysteresis
    assert after.most_threshold_db == pytest.approx(before.most_threshold_db, abs=0.11)


def test_repair_follows_the_loss_of_packets():
    adaptation = LinkAdaptation(Policy())
    shares = [
        run(adaptation, [10] * 20, 20 * i, packets=20, received=20 - lost)[-1].repair_share
        for i, lost in enumerate((0, 4, 0))
    ]
    assert shares[0] == 0.03 and shares[1] >= 0.3 and shares[2] == 0.03
    assert run(LinkAdaptation(Policy(repair=False)), [10], packets=4, received=1)[0].repair_share is None


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.05, 0.1, 0.2, 0.33])
def test_a_share_tells_the_loss_that_it_is_for(loss):
    assert repair_share(loss_of(repair_share(loss))) == repair_share(loss)
    assert loss_of(repair_share(loss)) >= loss - 1e-9
    assert loss_of(repair_share(0.0)) == 0.0


def test_silence_brings_the_robust_setting_back():
    adaptation = LinkAdaptation(Policy(timeout=5, robust_snr_db=4, cbr=0.1))
    robust = adaptation.setting(0)
    assert robust.snr_db == 4 and robust.cbr == 0.1
    found = run(adaptation, [25] * 3)[-1]
    assert adaptation.setting(6.9) == found != robust
    assert adaptation.setting(7.1) == robust


def test_no_digital_part_where_none_gets_through():
    assert [s.digital for s in run(LinkAdaptation(Policy()), [-9, -3, 10])] == [False, True, True]


@pytest.mark.parametrize(
    "wrong", [{"psnr_db": 0}, {"cbr": -1}, {"margin_db": -1}, {"timeout": 0}, {"patience": 0}]
)
def test_impossible_policies_are_refused(wrong):
    with pytest.raises(HscError):
        Policy(**wrong)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 0xFFFF),
    st.floats(-30, 60),
    st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)).map(sorted),
    st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)).map(sorted),
)
def test_reports_come_back(message_id, snr, packets, blocks):
    report = Report(message_id, snr, packets[1], packets[0], blocks[1], blocks[0])
    back = unpack_record(report.pack())
    assert replace(back, snr_db=snr) == report and back.snr_db == pytest.approx(snr, abs=0.006)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 10)))
def test_requests_come_back(indices):
    nak = Nak(LAYOUT, tuple(sorted(indices)))
    padded = replace(LAYOUT, parameters=LAYOUT.parameters.ljust(8, b"\0"))
    assert unpack_record(nak.pack()) == Nak(padded, nak.indices)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_are_a_record_or_none(data):
    """Also damaged records whose CRC is right."""
    from gnuradio.hsc.phy.crc import crc16

    good = bytearray(data.draw(st.sampled_from([Report(3, 7.5, 4, 4).pack(), Nak(LAYOUT, (1, 10)).pack()])))
    body = data.draw(st.binary(max_size=80)) if data.draw(st.booleans()) else bytes(good[:-2])
    damaged = bytearray(body)
    for at in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=3)):
        if damaged:
            damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    sealed = bytes(damaged) + (crc16(bytes(damaged)).to_bytes(2, "big") if data.draw(st.booleans()) else b"")
    record = unpack_record(sealed)
    if isinstance(record, Nak):
        assert all(0 <= i < record.layout.count for i in record.indices)
    elif record is not None:
        assert record.received <= record.packets and record.lost_blocks <= record.blocks


def test_records_have_a_greatest_length():
    longest = Nak(replace(LAYOUT, count=0xFFFF), (0,)).pack()
    assert len(longest) <= LARGEST_RECORD and unpack_record(longest) is not None
    assert unpack_record(longest + bytes(LARGEST_RECORD)) is None


def packets_of(message_id, count=5, symbols=100):
    headers = [
        Header(1, message_id, i, count, (8, 8, 1), analog_symbols=count * symbols) for i in range(count)
    ]
    return [Packet(h, np.zeros(symbols, np.complex64)) for h in headers]


def test_repeat_buffer_is_bounded_and_patient_only_so_often():
    buffer = RepeatBuffer(messages=3, symbols=1200, repeats=2)
    for message_id in range(10):
        for packet in packets_of(message_id):
            buffer.add(packet)
    kept = [i for i in range(10) if buffer.repeat(Nak(packets_of(i)[0].header, (2,)))]
    assert kept == [8, 9]  # 1200 symbols hold two messages of 500
    nak = Nak(packets_of(9)[0].header, (2, 4))
    assert [[p.header.index for p in buffer.repeat(nak)] for _ in range(3)] == [[2, 4], [4], []]


def test_requests_are_for_missing_digital_packets_so_often_and_no_more():
    missing = MissingPackets(wait=100, rounds=2)
    for i in (0, 2, 10):
        missing.packet(replace(LAYOUT, index=i), 10 * i)
    assert missing.due(150) == []
    (first,) = missing.due(200)
    carrying = [
        i for i in range(11) if i not in (0, 2, 10) and LAYOUT.slices(i)[1].stop > LAYOUT.slices(i)[1].start
    ]
    assert first == Nak(LAYOUT, tuple(carrying))
    missing.packet(replace(LAYOUT, index=1), 220)
    assert missing.due(300) == [] and 1 not in missing.due(320)[0].indices and missing.due(1000) == []
    analog = Header(1, 8, 0, 3, (8, 8, 1), analog_symbols=300)
    missing.packet(analog, 2000)
    assert missing.due(3000) == []


def test_a_late_packet_does_not_open_a_message_again():
    """Until so much later that it is of a transmitter that has begun anew."""
    missing = MissingPackets(wait=100, rounds=2)
    for i in range(LAYOUT.count):
        missing.packet(replace(LAYOUT, index=i), 10 * i)
    missing.packet(replace(LAYOUT, index=4), 300)
    assert missing.due(1000) == []
    much_later = 10 * LAYOUT.count + MEMORY
    missing.packet(replace(LAYOUT, index=4), much_later)
    assert missing.due(much_later + 200)[0].layout == LAYOUT


class Collector(MessageBlock):
    """Puts what arrives into a queue."""

    def __init__(self, *kinds):
        super().__init__("Collector")
        self.got = queue.Queue()
        self.open_ports({"in": {**dict.fromkeys(kinds, self.got.put), pdu.Failed: self.got.put}}, (), ends=())


class Loop(gr.top_block):
    """Message Encoder - Symbol Channel - Message Decoder, the reports through a Link Adaptation back to the
    encoder.
    """

    def __init__(self, codec, options, adaptation):
        super().__init__("loop")
        self.encoder = hsc.message_encoder(codec, options, packet_symbols=1024)
        self.channel = hsc.symbol_channel("awgn", snr_db=20)
        self.decoder = hsc.message_decoder(hold=1 << 14)
        self.adaptation = hsc.link_adaptation(**adaptation)
        self.images, self.links = Collector(pdu.Image), Collector(pdu.LinkSetting)
        self.msg_connect(self.encoder, "packets", self.channel, "in")
        self.msg_connect(self.channel, "out", self.decoder, "packets")
        self.msg_connect(self.decoder, "images", self.images, "in")
        self.msg_connect(self.decoder, "snr", self.adaptation, "reports")
        self.msg_connect(self.adaptation, "link", self.encoder, "snr")
        self.msg_connect(self.adaptation, "link", self.links, "in")

    def send(self, pixels, message_id):
        """The image as it arrives, or None for a failure."""
        self.encoder._post(pmt.intern("images"), pdu.Image(message_id, pixels.shape, pixels.ravel()).to_pdu())
        got = self.images.got.get(timeout=PATIENCE)
        time.sleep(0.1)  # for the report, which is on its way already, to become a setting
        return got.pixels if isinstance(got, pdu.Image) else None

    def setting(self):
        """The newest setting, None when nothing new came."""
        newest = None
        while not self.links.got.empty():
            newest = self.links.got.get()
        return newest


@pytest.fixture
def photograph():
    return files.load(samples.photographs()[0]).pixels[:64, :64].copy()


def test_mcs_follows_the_snr_within_two_images_and_none_is_lost_but_the_first_after_a_step(photograph):
    loop = Loop("separate", {"source": "jpeg2000"}, {"cbr": 0.4})
    loop.start()
    try:
        snrs = [20] * 5 + [5] * 4 + [20] * 5
        received, allowed, now = [], [], None
        for message_id, snr in enumerate(snrs):
            loop.channel.set_snr_db(snr)
            received.append(loop.send(photograph, message_id))
            now = loop.setting() or now
            allowed.append(now.most_threshold_db)
    finally:
        loop.stop()
        loop.wait()
    quality = [0.0 if image is None else metrics.psnr_db(image, photograph) for image in received]
    assert np.allclose(allowed[3:5] + allowed[-3:], 17.5, atol=0.5)  # 20 dB less margin and hysteresis
    assert max(allowed[5:9]) < 5
    good = [q > 20 for q in quality]
    assert all(good[:5]) and all(good[6:]), quality  # the first image after the step down was made for 20 dB
    assert np.mean(quality[3:5]) > np.mean(quality[6:9]) + 3, "a better link is used for better images"


def test_reports_that_stop_bring_the_robust_setting(photograph):
    loop = Loop("separate", {"source": "jpeg2000"}, {"cbr": 0.4, "timeout": 2.0})
    loop.start()
    try:
        robust = loop.links.got.get(timeout=PATIENCE)
        loop.send(photograph, 0)
        assert loop.links.got.get(timeout=PATIENCE).snr_db > 19
        assert loop.links.got.get(timeout=PATIENCE) == robust
    finally:
        loop.stop()
        loop.wait()


class Repeating(gr.top_block):
    """Message Encoder - Packet Repeater - Symbol Channel that loses packets - Message Decoder, with or
    without requests.
    """

    def __init__(self, with_requests):
        super().__init__("repeating")
        self.encoder = hsc.message_encoder(
            "separate", {"source": "jpeg2000"}, mcs_name="QPSK-1/2", cbr=0.4, packet_symbols=400
        )
        self.repeater = hsc.packet_repeater(repeats=4)
        self.channel = hsc.symbol_channel("awgn", snr_db=12, loss=0.2, seed=3)
        self.requester = hsc.repeat_requester(wait=2000, rounds=4)
        self.clock = hsc.symbol_channel("ideal")
        self.decoder = hsc.message_decoder(hold=20_000)
        self.images = Collector(pdu.Image)
        self.msg_connect(self.encoder, "packets", self.repeater, "packets")
        self.msg_connect(self.repeater, "packets", self.channel, "in")
        for block in (self.decoder, self.requester):
            self.msg_connect(self.channel, "out", block, "packets")
        if with_requests:
            self.msg_connect(self.requester, "naks", self.repeater, "naks")
        self.msg_connect(self.decoder, "images", self.images, "in")

    def tick(self, sample_index):
        """Time passes without packets."""
        for block in (self.requester, self.decoder):
            block._post(pmt.intern("packets"), pdu.Tick(sample_index).to_pdu())


def lost_packets(with_requests, pixels, images=6):
    graph, lost, clock = Repeating(with_requests), 0, 0
    graph.start()
    try:
        for message_id in range(images):
            graph.encoder._post(
                pmt.intern("images"), pdu.Image(message_id, pixels.shape, pixels.ravel()).to_pdu()
            )
            deadline = time.monotonic() + PATIENCE
            while graph.images.got.empty() and time.monotonic() < deadline:
                time.sleep(0.05)
                clock = max(clock, graph.channel._clock) + 1000
                graph.channel._clock = clock
                graph.tick(clock)
            got = graph.images.got.get(timeout=1)
            lost += got.packets - got.packets_received if isinstance(got, pdu.Image) else 1
    finally:
        graph.stop()
        graph.wait()
    return lost, graph.repeater.counters["repeated"]


def test_requests_make_up_for_losses_of_a_fifth(photograph):
    assert lost_packets(True, photograph)[0] == 0
    lost, repeated = lost_packets(False, photograph)
    assert lost > 5 and repeated == 0


def test_a_repeated_packet_is_no_message_of_its_own():
    transmitter = hsc.ofdm_transmitter("ofdm64")
    sent = []
    transmitter.publish = lambda port, message: sent.append(message)
    transmitter.start()
    for packet in (*packets_of(3, 2), packets_of(3, 2)[1]):
        transmitter._packet(
            pdu.Packet(packet.header, packet.symbols, again=int(len(transmitter._queue_of_packets) == 2))
        )
    for _ in range(3):
        transmitter.work([], [np.zeros(1 << 13, np.complex64)])
    assert [type(m) for m in sent] == [pdu.Sent] and transmitter.counters["repeated"] == 1


def test_a_message_of_which_a_packet_cannot_be_made_has_failed_once_and_was_not_sent():
    transmitter = hsc.ofdm_transmitter("ofdm64")
    told = []
    transmitter.publish = lambda port, message: told.append((port, message))
    transmitter.start()
    large = Header(1, 7, 0, 3, (512, 512, 1), analog_symbols=3 * (MAX_PACKET_SYMBOLS + 1))
    for index in range(3):
        header = replace(large, index=index)
        transmitter._packet(pdu.Packet(header, np.zeros(header.payload_symbols, np.complex64)))
        again = packets_of(6, 2)[index % 2]  # a repeat of another message comes between
        transmitter._packet(pdu.Packet(again.header, again.symbols, again=1))
    for packet in packets_of(8, 2):
        transmitter._packet(pdu.Packet(packet.header, packet.symbols))
    for _ in range(8):
        transmitter.work([], [np.zeros(1 << 13, np.complex64)])
    failed, sent = (message for port, message in told if port == "sent")
    assert isinstance(failed, pdu.Failed) and failed.message_id == 7
    assert isinstance(sent, pdu.Sent) and sent.message_id == 8


def test_settings_choose_options_that_the_codec_has():
    encoder = hsc.message_encoder("hsc", {"rank": 5})
    encoder.on_setting(pdu.LinkSetting(10.0, 8.5, psnr_db=30.0, repair_share=0.2))
    assert (encoder._codec.options.psnr_db, encoder._codec.options.rank) == (30.0, None)
    encoder.on_setting(pdu.LinkSetting(-9.0, -10.5, psnr_db=30.0, digital=0))
    assert (encoder._codec.options.psnr_db, encoder._codec.options.rank) == (None, 0)
    encoder.on_setting(pdu.LinkSetting(10.0, 4.0, cbr=0.1))
    assert encoder._codec.options.rank == 5 and encoder._link == Link(10.0, 0.1, None, None, 4.0)
    assert complementary.mcs_of(encoder._codec.options, encoder._link) == "QPSK-5/8"
    own = replace(encoder._codec.options, mcs="16QAM-1/2")  # an option is what the link goes before
    assert complementary.mcs_of(own, encoder._link) == "QPSK-5/8"
    assert complementary.mcs_of(replace(own, mcs="nr:16QAM-0.60"), encoder._link) == "nr:16QAM-0.36"
    encoder.on_setting(pdu.LinkSetting(-9.0, -10.5, digital=0))
    encoder.set_options({"rank": 9})
    assert encoder._codec.options.rank == 0  # by the link, as before
    encoder.on_setting(pdu.LinkSetting(10.0, 8.5))
    assert encoder._codec.options.rank == 9
    hybrid = hsc.message_encoder("hda_dct")
    hybrid.on_setting(pdu.LinkSetting(10.0, 8.5, repair_share=0.35))
    assert hybrid._link.repair_share == 0.35 and hybrid._codec.options.repair_share is None
    hybrid.on_setting(pdu.LinkSetting(10.0, 8.5))
    assert hybrid._link.repair_share is None


@pytest.mark.parametrize(("named", "kept"), [("", None), ("16QAM-1/2", "802.11ad"), ("nr:QPSK-0.50", "nr")])
def test_a_setting_goes_before_a_named_mcs_whose_code_stays(named, kept):
    encoder = hsc.message_encoder("separate", mcs_name=named)
    encoder.on_setting(pdu.LinkSetting(10.0, 8.5))
    assert encoder._link.mcs == kept


class Held(Codec):
    """A codec whose first image takes until `go`."""

    name = "held"

    def __init__(self):
        super().__init__()
        self.begun, self.go, self.links = threading.Event(), threading.Event(), []

    def encode(self, image, link):
        self.begun.set()
        assert self.go.wait(PATIENCE)
        self.links.append(link)
        raise HscError("no message")

    def decode(self, received):
        raise HscError("nothing was sent")


def test_a_setting_overtakes_images_that_wait(monkeypatch):
    register(monkeypatch, Held)
    graph = gr.top_block("busy")
    encoder, collector = hsc.message_encoder("held"), Collector(pdu.Packet)
    codec = encoder._codec
    graph.msg_connect(encoder, "packets", collector, "in")
    graph.start()
    try:
        image = pdu.Image(1, (8, 8, 1), np.zeros(64, np.uint8)).to_pdu()
        encoder._post(pmt.intern("images"), image)
        assert codec.begun.wait(PATIENCE)
        for _ in range(2):
            encoder._post(pmt.intern("images"), image)
        encoder._post(pmt.intern("snr"), pdu.LinkSetting(12.0, 10.5).to_pdu())
        codec.go.set()
        assert all(isinstance(collector.got.get(timeout=PATIENCE), pdu.Failed) for _ in range(3))
    finally:
        graph.stop()
        graph.wait()
    assert [link.most_threshold_db for link in codec.links] == [None, 10.5, 10.5]


class Ends(gr.top_block):
    def __init__(self, address):
        super().__init__("return path")
        self.receiver, self.sender = hsc.feedback_receiver(address), hsc.feedback_sender(address)
        self.reports, self.naks = Collector(pdu.Snr), Collector(pdu.Nak)
        self.msg_connect(self.receiver, "reports", self.reports, "in")
        self.msg_connect(self.receiver, "naks", self.naks, "in")
        self.connect_sender()

    def connect_sender(self):
        self.msg_connect(self.sender, "status", self.reports, "in")


@pytest.mark.parametrize("runs", [1, 2])
def test_return_path_between_processes(runs):
    ends = Ends(free_endpoint())
    for _ in range(runs - 1):
        ends.start()
        ends.stop()
        ends.wait()
    ends.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while (
            ends.reports.got.empty() and time.monotonic() < deadline
        ):  # the first ones go before the two have met
            ends.sender._post(pmt.intern("records"), pdu.Snr(9, 12.5, 4, 3, 20, 1).to_pdu())
            time.sleep(0.1)
        ends.sender._post(pmt.intern("records"), pdu.Nak(LAYOUT, np.array([1, 10], np.int32)).to_pdu())
        assert ends.reports.got.get(timeout=1) == pdu.Snr(9, 12.5, 4, 3, 20, 1)
        nak = ends.naks.got.get(timeout=PATIENCE)
        assert nak.header.layout.message_id == LAYOUT.message_id and nak.indices.tolist() == [1, 10]
        ends.receiver.take(b"nonsense")
        assert ends.receiver.counters["refused"] == 1
    finally:
        ends.stop()
        ends.wait()


def test_a_return_path_that_was_closed_can_be_opened_at_once_but_not_twice():
    address = free_endpoint()
    hsc.feedback_sender(address).stop()
    open_ = hsc.feedback_sender(address)
    with pytest.raises(HscError, match="in use"):
        hsc.feedback_sender(address)
    open_.stop()


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "tcp://256.1.1.1:x"])
def test_impossible_return_paths_are_one_line(address):
    for block in (hsc.feedback_sender, hsc.feedback_receiver):
        with pytest.raises(HscError, match="return path"):
            block(address)
