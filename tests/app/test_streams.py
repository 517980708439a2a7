"""What becomes of a command's files when its streams are closed, full or without a reader, and its home
cannot be written to.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gnuradio.hsc import home
from gnuradio.hsc.app import live, report
from gnuradio.hsc.blocks.radio import driver_messages
from gnuradio.hsc.paths import examples_folder
from rich.console import Console
from support import TESTS
from support.processes import GR_HSC, SITE

LONG = 60.0  # s: a machine may be busy with other things
RECORDING = TESTS / "recordings" / "hsc-digit.sigmf-meta"
DIGIT = examples_folder() / "images" / "digit_3.png"
COMMAND = GR_HSC[-1]


def python(
    program: str, *arguments: object, streams: str = "", **environment: str
) -> subprocess.CompletedProcess:
    """Run it by a shell that has made these redirections."""
    script = (
        f'exec "$0" -c "$@" {streams}' if "|" not in streams else f'set -o pipefail; "$0" -c "$@" {streams}'
    )
    return subprocess.run(
        ["bash", "-c", script, sys.executable, program, *map(str, arguments)],
        env={**os.environ, **environment}, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip


# ---- whole commands

GONE = "| true"  # a reader that does not read
CASES = [
    ("send", GONE, 0),
    ("send", "<&- >&- 2>&-", 0),
    ("rx", ">/dev/full", 1),
    ("rx", GONE, 0),
]


@pytest.fixture(scope="module")
def whole_commands(tmp_path_factory):
    """Each case run with a home that cannot be written to, two at a time: what came of it."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "no folder").write_text("")

    def run(number: int) -> tuple[subprocess.CompletedProcess, Path]:
        command, streams, _ = CASES[number]
        out = folder / str(number)
        sent, received = (DIGIT, "--metrics", "none"), ("--radio", f"file:{RECORDING}")
        arguments = (command, *(sent if command == "send" else received))
        return python(
            COMMAND,
            *arguments,
            "--out",
            out,
            streams=streams,
            HOME=str(folder / "no folder"),
            TMPDIR=str(folder),
        ), out

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CASES, pool.map(run, range(len(CASES))), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_files_are_written_whatever_becomes_of_the_streams(case, whole_commands):
    command, streams, status = case
    done, out = whole_commands[case]
    assert done.returncode == status, done.stderr
    reason = {GONE: "nobody reads it any more", ">/dev/full": "No space left on device"}.get(streams)
    said = [f"gr-hsc: standard output: {reason}; going on without printing"] if reason else []
    assert (done.stdout, done.stderr.splitlines()) == ("", said)
    if command == "send":
        (entry,) = json.loads((out / "metrics.json").read_text())
        assert (
            entry["error"] is None
            and (out / entry["received"]).is_file()
            and (out / entry["compare"]).is_file()
        )
    else:
        (entry,) = map(json.loads, (out / "received.jsonl").read_text().splitlines())
        assert entry["error"] is None and (out / entry["file"]).is_file()
    assert {path.name for path in out.iterdir()} <= {
        "metrics.json",
        "received.jsonl",
        *map(str, entry.values()),
    }


# ---- the streams alone

STREAMS = f"{SITE}import sys; from gnuradio.hsc.streams import Streams; streams = Streams()\n"
PRINTS = f"""{STREAMS}
print('one')
print('two', file=sys.stderr)
for _ in range(3):
    print('x' * 100000)
open(sys.argv[1], 'w').write('done')
"""
LEAVES = "sys.exit(streams.close(int(sys.argv[2])))"


@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize(
    ("streams", "status"),
    [
        *(("", 0), (GONE, 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)),
        *((">/dev/full", 1), ("2>/dev/full", 1), ("&>/dev/full", 1), ("1</dev/null", 1)),
    ],
)
def test_printing_never_fails(streams, status, environment, tmp_path):
    done = python(PRINTS + LEAVES, tmp_path / "file", 0, streams=streams, **environment)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "file").read_text() == "done", "no stream has become a file's"
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
    assert python(PRINTS + LEAVES, tmp_path / "file", 5, streams=streams, **environment).returncode == 5


def test_a_reader_that_takes_what_it_wants_gets_it(tmp_path):
    done = python(PRINTS + LEAVES, tmp_path / "file", 0, streams="| head -1")
    assert (done.returncode, done.stdout) == (0, "one\n")
    assert done.stderr.splitlines() == [
        "two",
        "gr-hsc: standard output: nobody reads it any more; going on without printing",
    ]


def test_child_processes_print_nowhere_too(tmp_path):
    children = "import subprocess\nfor _ in range(2): print('a', flush=True)\n"
    children += "sys.exit(subprocess.run(['echo', 'a']).returncode)"
    assert python(STREAMS + children, streams=">/dev/full").returncode == 0


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "C?H?W ?"), ("latin-1", "C\ufffdH\ufffdW ?"), ("utf-8", "C·H·W →")]
)
def test_what_an_encoding_lacks_is_replaced(encoding, shown):
    """Read as UTF-8 here, whatever it is. A byte of a file name comes out as it is in the folder."""
    done = python(
        STREAMS + "print('C·H·W →')\nprint('caf\\udce9.png')\nprint('C·H·W →', file=sys.stderr)",
        PYTHONIOENCODING=encoding,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [shown, "caf\ufffd.png"]
    assert done.stderr.startswith("C") and len(done.stderr.splitlines()) == 1


def test_help_and_tables_in_latin_1():
    """In one process, through click and rich."""
    program = f"""{STREAMS}
from gnuradio.hsc.app import bench, report
from gnuradio.hsc.app.cli import main
report.print_table(bench.table([bench.Row('→ ·', 'é', 1.0, 1.0, '✓')]))
main(['send', '--help'])
"""
    done = python(program, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout and "reference is" in done.stdout


def test_a_pipe_that_does_not_block_is_waited_for():
    """As a shell's stdout may be, beside a program that has made it so."""
    program = "import os\nos.set_blocking(1, False)\n" + STREAMS + "print('x' * 1000000)\nprint('end')\n"
    done = python(program, streams="| (sleep 0.3; cat)")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 1000000 + 1 + len("end\n")


class PausedTerminal(io.StringIO):
    """Takes nothing until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait()
        return super().write(text)


def test_nobody_waits_for_a_terminal_that_is_paused(monkeypatch):
    monkeypatch.setattr(live, "_WAITING", 3)
    terminal = PausedTerminal()
    with live.Display(Console(file=terminal, width=200), every=0.0) as display:
        display.line("first")
        while display._lines.qsize():
            pass  # until the printer has taken it
        for number in range(5):
            display.line(f"line {number}")
        terminal.go.set()
    assert terminal.getvalue().splitlines() == [
        "first", "line 0", "line 1", "line 2", "gr-hsc: 2 lines were not printed: nobody took them in time",
    ]  # fmt: skip


def test_the_end_does_not_wait_for_a_pipe_that_nobody_reads(monkeypatch):
    monkeypatch.setattr(live, "_LAST_LINES", 0.1)
    terminal = PausedTerminal()
    with live.Display(Console(file=terminal, width=200), every=0.0) as display:
        display.line("never taken")
    terminal.go.set()


def test_a_terminal_shows_the_live_line_below_the_others():
    out = io.StringIO()
    with live.Display(Console(file=out, width=60, force_terminal=True)) as display:
        display.status("how it is")
        display.line("a line")
    assert "a line" in out.getvalue() and "how it is" in out.getvalue()


def test_hangup_ends_a_flowgraph_orderly_unless_it_is_ignored():
    heard = []
    with live.signals(lambda: heard.append(True)):
        os.kill(os.getpid(), signal.SIGHUP)
    assert heard == [True]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with live.signals(lambda: heard.append(True)):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == [True]


def test_what_drivers_write_is_counted_where_nobody_reads_it():
    """Else the pipe that they write to would fill, and they would stand still."""
    (reading, writing), (nobody, stderr) = os.pipe(), os.pipe()
    os.close(nobody)
    messages = driver_messages.DriverMessages()
    forwarding = threading.Thread(target=messages._forward, args=(reading, stderr))
    forwarding.start()
    for _ in range(100):
        os.write(writing, b"sO " + b"a long line of text " * 100)
    os.close(writing)
    forwarding.join(LONG)
    assert messages.counts["overruns"] == 100


# ---- signals

KEPT = """
import os, signal, sys, time
from pathlib import Path
from gnuradio.hsc.app import report
with report._kept([{"image": "one"}], Path(sys.argv[1])):
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(60)
"""


def test_a_signal_leaves_what_was_sent_until_then(tmp_path):
    done = python(STREAMS + KEPT, tmp_path / "metrics.json", int(signal.SIGTERM))
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert json.loads((tmp_path / "metrics.json").read_text()) == [{"image": "one"}]


def test_so_does_ctrl_c_and_nothing_sent_leaves_nothing(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    for records, path in (([{"image": "one"}], tmp_path / "one.json"), ([], tmp_path / "none.json")):
        with pytest.raises(KeyboardInterrupt), report._kept(records, path):
            raise KeyboardInterrupt
        assert path.exists() == bool(records)
    assert signal.getsignal(signal.SIGTERM) is before


# ---- a home folder


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """use_writable_home, asked anew, with temporary files below tmp_path."""
    monkeypatch.setattr(home.tempfile, "tempdir", str(tmp_path))

    def use(folder: Path | None) -> str:
        monkeypatch.setenv("HOME", str(folder)) if folder else monkeypatch.delenv("HOME")
        home.use_writable_home.cache_clear()
        return home.use_writable_home()

    monkeypatch.setenv("HOME", os.environ["HOME"])  # put back at the end
    yield use
    home.use_writable_home.cache_clear()


def test_a_home_that_can_be_written_to_stays(homes, tmp_path):
    assert homes(tmp_path) == os.environ["HOME"] == str(tmp_path)
    assert (tmp_path / ".gnuradio" / "prefs").is_dir()
    assert homes(tmp_path) == str(tmp_path), "again"


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_another_home_where_it_cannot(homes, tmp_path, name):
    (tmp_path / "file").write_text("")
    said = homes(tmp_path / name)
    other = tmp_path / f"gr-hsc-{os.getuid()}"
    assert os.environ["HOME"] == str(other) and said.endswith(f"preferences are kept in {other}")
    assert (other / ".gnuradio" / "prefs").is_dir() and other.stat().st_mode & 0o77 == 0
    assert not (tmp_path / "nowhere").exists()
    homes(tmp_path / name)
    assert os.environ["HOME"] == str(other), "the same for the next process"


def test_a_folder_that_another_user_has_prepared_is_not_trusted(homes, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"gr-hsc-{os.getuid()}").symlink_to(tmp_path / "theirs")
    homes(tmp_path / "nowhere")
    assert os.environ["HOME"].startswith(f"{tmp_path}/gr-hsc-") and not Path(os.environ["HOME"]).is_symlink()
    assert not list((tmp_path / "theirs").iterdir())


def test_no_folder_at_all_changes_nothing(homes, tmp_path, monkeypatch):
    monkeypatch.setattr(home.tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert homes(tmp_path / "nowhere") == str(tmp_path / "nowhere")
