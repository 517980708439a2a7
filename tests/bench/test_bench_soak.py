"""`bench soak`: its arithmetic on cases that can be checked by hand, and a short run."""

import json

import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import cli
from gnuradio.hsc.bench import soak
from gnuradio.hsc.errors import HscError


def entries(*packets, first=65534):
    return [
        {"message_id": (first + i) % 65536, "packets": 4, "packets_received": n}
        for i, n in enumerate(packets)
        if n
    ]


def test_account_closes_when_every_packet_is_received_or_counted_lost():
    books = soak.account(entries(4, 4, 3, 0, 4), 5, 20)
    assert (books.messages_received, books.packets_received, books.packets_lost, books.packets_of_lost) == (
        4,
        15,
        1,
        4,
    )
    assert books.unaccounted == 0
    assert soak.account(entries(4, 4), 2, 9).unaccounted == 1
    assert soak.account(entries(4, 4) + entries(1), 2, 8).unaccounted != 0  # a message told twice
    with pytest.raises(HscError, match="nothing was received"):
        soak.account([], 3, 12)


def test_gaps_in_ids_that_count_up_past_65535():
    assert soak.gaps([65534, 65535, 0, 1]) == 0
    assert soak.gaps([65534, 1, 5]) == 2 + 3


def test_growth_is_measured_from_five_minutes_on():
    times = [100.0 * k for k in range(11)]
    memory = [50, 90, 99, 100, 101, 103, 102, 100, 100, 100, 98]
    assert soak.growth(times, memory) == pytest.approx(0.03)
    assert soak.growth(times[:5], memory[:5]) == pytest.approx(101 / 99 - 1)  # half way
    often = [10.0 * k for k in range(100)]
    assert (
        soak.growth(often, [100 + 30 * (k % 5 == 0) for k in range(100)]) == 0
    )  # now and then in the middle of work
    assert soak.growth(often, [100 + k for k in range(100)]) == pytest.approx(
        (100 + 97.5) / (100 + 32.5) - 1, rel=0.02
    )
    with pytest.raises(HscError, match="minutes"):
        soak.growth([0.0, 1.0], [1, 1])


def judged(memory, statuses=None, packets_sent=8):
    """Of two messages of four packets each, both received."""
    times = [10.0 * k for k in range(len(memory))]
    readings = soak.Memory(times, {"rx": memory})
    did = soak.Soak(minutes=1), 60.0, readings, entries(4, 4), (2, packets_sent), statuses or {"rx": 0}
    return soak.judge(*did, last="12 packets")


def test_a_sound_soak_has_no_problems():
    found = judged([100, 100, 101, 101, 0])  # the last reading found it ending
    assert found.problems == []
    assert found.memory == {"rx": [100, 100, 101, 101]}
    assert found.times == [0.0, 10.0, 20.0, 30.0]


def test_what_is_wrong_is_a_line_each():
    memory = [100] * 25 + [120] * 15
    grown, status, packets = judged(memory, {"rx": 3}, packets_sent=9).problems
    assert grown == "memory of rx grew by 20.0%"
    assert status == "rx ended with status 3"
    assert packets == "1 packets of 9 are unaccounted for; rx: 12 packets"


@pytest.mark.gnuradio
def test_soak_of_twenty_seconds(tmp_path):
    out = tmp_path / "soak.json"
    result = CliRunner().invoke(
        cli.main,
        ["bench", "soak", "--minutes", "0.33", "--codec", "softcast", "--drop", "0.01", "--out", str(out)],
    )
    found = json.loads(out.read_text())
    assert found["unaccounted"] == 0, found
    assert found["account"]["messages_sent"] == 20
    # a machine that is busy with something else does not take them all in time, and says so
    assert found["account"]["packets_received"] > 0.5 * found["account"]["packets_sent"]
    assert not [
        problem for problem in found["problems"] if "memory" not in problem
    ]  # of so short a time memory says little
    assert result.exit_code == (1 if found["problems"] else 0)
    assert {name: len(series) for name, series in found["memory"].items()} == dict.fromkeys(
        ("tx", "channel", "rx"), len(found["times"])
    )


@pytest.mark.gnuradio
@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--minutes", "0"), "minutes"), (("--image", "nosuch.png"), "no such file: nosuch.png")],
)
def test_wrong_options_are_one_line(arguments, says):
    result = CliRunner().invoke(cli.main, ["bench", "soak", *arguments])
    assert result.exit_code == 2
    assert says in result.stderr and len(result.stderr.splitlines()) == 1
