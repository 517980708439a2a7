"""Processes of benches: their lines, their end, and that none is left behind."""

import signal
import time

import pytest
from gnuradio.hsc import __version__
from gnuradio.hsc.bench.processes import Process, commands
from gnuradio.hsc.errors import HscError

SLEEP = "import time; time.sleep(600)"


def test_a_process_that_ends_early_is_one_line():
    with Process("sleeper", "print('no bed', flush=True)") as process:
        with pytest.raises(HscError, match="^'sleeper' was not ready, it has ended: no bed$"):
            process.wait_for(lambda: False)
        assert process.memory() == 0


def test_lines_are_found_by_what_they_say_and_when():
    with Process("speaker", f"print('one'); print('two'); print('two', flush=True); {SLEEP}") as process:
        first = process.when("two")
        assert process.when("one") <= first <= process.when("two", count=2)
        assert process.when("two", after=process.when("one")) >= process.when("one")
        assert len(process.times("two")) == 2 and process.last == "two"
        with pytest.raises(HscError, match="'speaker' did not say 'three' within 0.05 s: two"):
            process.when("three", seconds=0.05)
        assert process.memory() > 1e6


LISTENS = """
try:
    for line in sys.stdin:
        print(line.upper(), flush=True)
except KeyboardInterrupt:
    sys.exit(3)
"""


def test_a_process_is_told_and_ended():
    with Process("listener", LISTENS) as process:
        process.tell("hello")
        process.when("HELLO")
        assert process.running
        assert process.end() == 3
        assert not process.running
        with pytest.raises(HscError, match="'listener' failed with status 3"):
            process.wait()


def test_a_bench_in_the_background_of_a_script_ends_its_processes():
    """Where SIGINT is ignored, as a shell does for what it starts with &, children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Process("listener", LISTENS) as process:
            process.tell("hello")
            process.when("HELLO")
            assert process.end() == 3
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_still_runs_is_killed_at_the_end():
    with Process("sleeper", SLEEP) as process:
        assert process.running
    assert not process.running


def test_commands_are_of_this_copy_and_end_with_the_block():
    with commands() as start:
        version, receiver = start("version"), start("rx", "--radio", "carrier:pigeon")
        version.wait()
        assert version.last == __version__
        with pytest.raises(HscError, match="'rx' failed with status 2: gr-hsc: "):
            receiver.wait()


def test_arguments_and_environment_reach_the_process():
    program = "import os; print(sys.argv[1:], os.environ['HSC_OF_A_TEST'], flush=True)"
    with Process("echo", program, 1.5, "two", HSC_OF_A_TEST="three") as process:
        begun = time.monotonic()
        assert process.when("['1.5', 'two'] three") > begun - 60
