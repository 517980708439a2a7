"""How many repair symbols: a stream bears the loss of code blocks and packets that it lies in."""

import numpy as np
import pytest
from gnuradio.hsc.coding import erasure
from gnuradio.hsc.coding.protection import USUAL_SHARE, Protection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import Link, ReceivedDigital
from gnuradio.hsc.phy import digital, mcs
from gnuradio.hsc.phy.adaptation import REPAIR_SHARES, loss_of, repair_share
from gnuradio.hsc.phy.code_blocks import code_blocks
from gnuradio.hsc.phy.packets import DEFAULT_PACKET_SYMBOLS

WIGIG, NR = "QPSK-1/2", "nr:16QAM-0.51"
# Channel uses of the message in eight packets.
USES = 8 * DEFAULT_PACKET_SYMBOLS


def planned(name, loss=None, own=None, uses=USES):
    link = Link(repair_share=None if loss is None else repair_share(loss))
    return Protection.of(own, link, name, uses)


def held(name, symbols, packets):
    """Blocks in each packet of a message, as the air interface splits them."""
    size = digital.payload_bytes_per_block(name)
    ends = digital.symbol_bounds(symbols * size, name, np.arange(packets + 1), packets)
    return np.diff(ends) // digital.symbols_per_block(name)


@pytest.mark.parametrize("name", [WIGIG, NR])
@pytest.mark.parametrize("source", [1, 2, 4, 8, 16, 32, 64, 160])
@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1, 0.2])
def test_a_stream_bears_the_loss_of_packets_that_is_known(name, source, loss):
    """But for 2.5 % of the messages, or 4 % where half of the symbols would not do; up to 20 % of them were
    lost when repair symbols were a share of the blocks.
    """
    uses = max(USES, 2 * source * digital.symbols_per_block(name))
    repair = planned(name, loss, uses=uses).repair_symbols(source)
    packets = -(-uses // DEFAULT_PACKET_SYMBOLS)
    lost = np.random.default_rng(source).random((20_000, packets)) < loss
    assert np.mean(lost @ held(name, source + repair, packets) > repair) < (0.025 if loss < 0.2 else 0.04)
    assert repair <= source + 4


@pytest.mark.parametrize("name", [WIGIG, NR, "nr:QPSK-0.25"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_no_code_block_holds_more_than_the_repair_symbols_that_were_asked_for(name, share):
    """They held all of a stream of one or two symbols, source and repair."""
    form = code_blocks(mcs.by_name(name))
    for source in range(1, 200):
        repair = planned(name, own=share).repair_symbols(source)
        symbols = source + repair
        count = form.count(symbols)
        assert np.diff(form.bounds(symbols, np.arange(count + 1))).max() <= repair < symbols


@pytest.mark.parametrize("name", [WIGIG, NR])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_packets_up_to_the_share_of_the_option_may_be_lost(name, share):
    for source in (4, 16, 60, 162):
        repair = planned(name, own=share).repair_symbols(source)
        parts = np.sort(held(name, source + repair, 8))[::-1]
        lost = int(share * np.count_nonzero(parts))
        assert parts[:lost].sum() <= repair
        assert repair / (source + repair) < share + 0.2 or source == 4


@pytest.mark.parametrize("name", [WIGIG, NR])
@pytest.mark.parametrize("link", [Link(), Link(repair_share=REPAIR_SHARES[0])])
def test_where_no_loss_is_known_little_is_spent(name, link):
    """A packet more than the share at most; and nothing where all lies in one code block of 5G NR."""
    form = code_blocks(mcs.by_name(name))
    for source in range(1, 300):
        repair = Protection.of(None, link, name, USES).repair_symbols(source)
        share = USUAL_SHARE if link.repair_share is None else link.repair_share
        by_share = np.ceil(round(share * source / (1 - share), 9))
        assert repair <= by_share + held(name, source + repair, 8).max()
        assert (repair == 0) == (name == NR and form.count(source) == 1)


@pytest.mark.parametrize("name", [WIGIG, NR])
def test_one_packet_of_eight_may_be_lost_where_nothing_is_known(name):
    for source in (8, 16, 30, 61, 162):
        repair = planned(name).repair_symbols(source)
        assert held(name, source + repair, 8).max() <= repair


@pytest.mark.parametrize("name", [WIGIG, NR])
def test_two_packets_bear_the_loss_of_one_where_that_is_worth_half_of_the_bytes(name):
    uses = 2 * DEFAULT_PACKET_SYMBOLS
    blocks = uses // digital.symbols_per_block(name)
    size = digital.payload_bytes_per_block(name)
    for loss, worth in ((0.05, False), (0.2, True)):
        wanted = planned(name, loss, uses=uses)
        source = erasure.source_room(blocks * size, wanted, size) // size
        repair = wanted.repair_symbols(source)
        assert (held(name, source + repair, 2).max() <= repair) == worth
        assert worth or repair <= 0.25 * blocks


def test_a_short_stream_of_a_long_message_bears_what_it_must():
    """As of two packets, but repair symbols cost the message little: three packets of one symbol each."""
    wanted = planned(WIGIG, 0.05, uses=3 * DEFAULT_PACKET_SYMBOLS)
    assert wanted.repair_symbols(1) == 1 and wanted.repair_symbols(2) == 1


@pytest.mark.parametrize("name", [WIGIG, NR])
@pytest.mark.parametrize("source", [1, 2, 3, 5, 17, 61])
def test_a_receiver_that_is_told_the_length_alone_makes_good_what_was_lost(name, source):
    wanted, size = planned(name, 0.1), digital.payload_bytes_per_block(name)
    data = np.random.default_rng(source).bytes(source * size - 3)
    sent = erasure.protect(data, wanted, size)
    parts = held(name, len(sent) // size, 8)
    first = np.concatenate([[0], np.cumsum(parts)])
    mended = 0
    for packet in np.flatnonzero(parts):
        mask = np.ones(len(sent), bool)
        mask[first[packet] * size : first[packet + 1] * size] = False
        kept = np.where(mask, np.frombuffer(sent, np.uint8), 0).astype(np.uint8).tobytes()
        found, there = erasure.recover(ReceivedDigital(kept, mask, (), size), len(data), size)
        mended += there.all() and found == data
    # With no symbol to spare RaptorQ fails once in 256.
    assert mended >= np.count_nonzero(parts) - 1


@pytest.mark.parametrize("name", [WIGIG, NR])
@pytest.mark.parametrize("wanted", [{}, {"own": 0.6}, {"loss": 0.05}, {"loss": 0.2}])
def test_what_fits_the_room_fits_the_stream(name, wanted):
    size, protection = digital.payload_bytes_per_block(name), planned(name, **wanted)
    rooms = [erasure.source_room(blocks * size + 5, protection, size) for blocks in range(150)]
    spent = [erasure.protected_bytes(room, protection, size) for room in rooms]
    assert all(each <= blocks * size + 5 for blocks, each in enumerate(spent))
    # Not all of it is filled where one symbol more makes fewer, longer code blocks.
    beyond = [erasure.protected_bytes(room + 1, protection, size) for room in rooms]
    assert np.mean([each > blocks * size + 5 for blocks, each in enumerate(beyond)]) > 0.95


def test_shares_stand_for_losses():
    losses = np.linspace(0, 1 / 3, 50)
    assert all(loss <= loss_of(repair_share(loss)) <= 0.02 + 1.6 * loss for loss in losses if loss > 0.005)
    assert loss_of(repair_share(0.0)) == 0.0 and repair_share(1.0) == REPAIR_SHARES[-1]


def test_no_share_means_no_repair_symbols_and_wrong_ones_are_refused():
    for name in (WIGIG, NR, None):
        assert Protection(0.0, mcs=name, uses=USES).repair_symbols(100) == 0
        assert Protection(0.5, mcs=name, uses=USES).repair_symbols(0) == 0
    for share in (-0.1, 0.95, float("nan")):
        with pytest.raises(HscError, match="give 0"):
            Protection(share)
