"""Every command in README.md, docs and --help works as printed: it is run here, or goes through its options
as far as the work begins.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from gnuradio.hsc.app import bench, channel, compare, doctor, evaluate, report, rx, tx
from gnuradio.hsc.app import demo as demonstration
from gnuradio.hsc.app import train as training
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.app.codec_options import by_codec
from gnuradio.hsc.app.link import create_codecs
from gnuradio.hsc.bench import link_run, soak_run
from gnuradio.hsc.bench.over_the_air import addresses
from gnuradio.hsc.bench.processes import commands
from gnuradio.hsc.images import files
from gnuradio.hsc.radio.impairments import impulse_response
from support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = ROOT / "examples"
LONG = 60  # s: a machine may be busy with other things

OF_LAUNCHER = ("companion", "grcc", "python", "docs", "test", "package")
# Programs that are not ours, and why their lines are not run here.
OTHERS = {
    "git": "needs the network",
    "python": "test_wheel.py builds what it installs",
    "cd": "after it",
    "cmake": "test_install.py builds and installs like this, the fixture hscloop_plugins builds that driver",
    "export": "set by the fixture hscloop_plugins",
    "/usr/bin/python3": "makes a venv",
    "~/hsc/bin/python": "a venv that would have to be made",
    "(cd build && ctest --output-on-failure)": "runs all tests",
    "python3": "behind a pipe",
}
# What a page leaves open, and what stands for it.
OPEN = {
    "--radio …": "--radio sim",
    "RECIPE": "hsc-mnist-vae-m16",
    "COMMAND": "rx",
    "ldpc|ofdm|hsc": "ldpc",
    "KEYFILE": "key.txt",
    "python3 python/run.py gnuradio.hsc.app": "./gr-hsc",
}
# Why a line goes only as far as the work begins; the first that matches. Any other line of the pages is run.
NOT_RUN = {
    r"--help": "its parsing prints the help",
    r"gr-hsc (demo|doctor)": "test_simulate.py and test_doctor.py run it",
    r"gr-hsc (evaluate|bench|train|compare|test)\b": "takes minutes; its own tests run it at toy size",
    r"gr-hsc codecs\b": "its parsing lists them",
    r"gr-hsc (companion|grcc|python)\b": "test_grc.py opens the examples",
    r"gr-hsc package\b": "takes minutes and Debian 13; test_debian.py",
    r"gr-hsc docs\b": "test_site.py builds the site",
    r"--radio (soapy:driver=(?!hscloop)|uhd:)": "needs a radio",
    r"--feedback|--radio sim": "half of a pair whose other half is elsewhere",
}


@dataclass(frozen=True)
class Line:
    """A line for a shell. `where`: page and number; `shown`: as an example, not in running text."""

    where: str
    text: str
    shown: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def lines_of(page: str, text: str) -> Iterator[Line]:
    """Lines of the fences named sh, and commands of gr-hsc in running text."""
    language = None
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{page}:{number}"
        if line.startswith("```"):
            language = (line[3:] or "unnamed") if language is None else None
            assert language in (None, "sh", "python", "text", "toml", "yaml"), (
                f"{where}: name the language of this block: sh, python or text"
            )
        elif language is None:
            assert not re.match(r" {4}\S", line), f"{where}: put code between fences"
            for code in re.findall(r"`([^`]+)`", line):
                if "./gr-hsc " in code and code != "./gr-hsc …":
                    yield Line(where, code, False)
                elif re.match(r"(evaluate|bench) [a-z]", code):
                    yield Line(where, f"./gr-hsc {code}", False)
        elif language == "sh" and line:
            yield Line(where, line, True)


def of_pages() -> list[Line]:
    return [line for page in PAGES for line in lines_of(page.name, page.read_text())]


def of_help(command: click.Command = main, name: str = "gr-hsc") -> Iterator[Line]:
    """The examples of every --help, the launcher's own among them."""
    if command is main:
        usage = (ROOT / "gr-hsc").read_text().split("<<'USAGE'")[1].split("\nUSAGE\n")[0]
        yield from (
            Line("./gr-hsc --help", line.strip(), True)
            for line in usage.splitlines()
            if line.startswith("  ./gr-hsc")
        )
    elif "--help" in command.get_params(click.Context(command))[-1].opts:
        text = command.get_help(click.Context(command, info_name=name, max_content_width=200))
        yield from (
            Line(f"{name} --help", f"./{line.strip()}", True)
            for line in text.splitlines()
            if line.startswith("    gr-hsc ")
        )
    for part, inner in getattr(command, "commands", {}).items():
        yield from of_help(inner, f"{name} {part}")


def ours(line: Line) -> list[list[str]]:
    """The arguments of each gr-hsc in a line. Other programs have to be known."""
    text = line.text
    for left_open, instead in OPEN.items():
        text = re.sub(rf"(?<![\w.-]){re.escape(left_open)}(?!\w)", instead, text)
    assert subprocess.run(["bash", "-n", "-c", text], capture_output=True).returncode == 0, (
        f"{line}: bash does not understand it"
    )
    found = []
    for part in re.split(r" && | \| ", re.sub(r"\s+#.*", "", text)) if text not in OTHERS else []:
        words = shlex.split(part)
        while "=" in words[0] and not words[0].startswith("-"):
            words.pop(0)  # a variable of the environment
        if words[0] in ("./gr-hsc", "gr-hsc"):  # the latter where pip or Debian installed it
            found.append(words[1:])
        else:
            assert words[0] in OTHERS, f"{line}: say in OTHERS why '{words[0]}' is not run, or run it"
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the pages speak of, all small."""
    images = [path for path in sorted((EXAMPLES / "images").iterdir()) if path.suffix in (".jpg", ".png")]
    photo = files.picture(files.load(EXAMPLES / "images" / "kitten.jpg").pixels[100:196, 200:328])
    for name in ("photo.jpg", "photos/one.jpg", "examples/images/kitten.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(tmp_path / name)
    for path in EXAMPLES.glob("*.grc"):
        shutil.copy(path, tmp_path / "examples")
    (tmp_path / "digits").mkdir()
    shutil.copy(next(path for path in images if path.stem == "digit_3"), tmp_path / "digits")
    for name in ("photo.png", "frame.png"):
        photo.save(tmp_path / name)
    (tmp_path / "key.txt").write_text("ab" * 32)
    for ending in ("data", "meta"):
        shutil.copy(
            ROOT / "tests" / "recordings" / f"hsc-digit.sigmf-{ending}", tmp_path / f"capture.sigmf-{ending}"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def globbed(arguments: list[str]) -> list[str]:
    """As a shell hands them over."""
    return [
        name
        for a in arguments
        for name in ([str(p) for p in sorted(Path().glob(a))] if "*" in a and "://" not in a else [a])
    ]


@pytest.fixture
def without_work(monkeypatch):
    """Every command goes through its options and looks at its input, and ends where the work would begin:
    what it would begin with.
    """
    begun: list[object] = []

    def instead(
        module: object, name: str, check: Callable[..., object] = lambda *given: None, gives: object = 0
    ) -> None:
        def work(*given: object, **named: object) -> object:
            check(*given, *named.values())
            begun.append(given)
            return gives

        monkeypatch.setattr(module, name, work)

    def images(paths: list[Path]) -> None:
        assert all(path.is_file() for path in files.find(paths))

    instead(report, "transmit_all", lambda paths, scenario, *rest: (images(paths), create_codecs(scenario)))
    instead(tx, "transmit", lambda paths, scenario, *rest: (images(paths), create_codecs(scenario)))
    instead(rx, "receive", lambda scenario, *rest: by_codec(scenario.receiver_options))
    instead(channel, "emulate", lambda emulation: impulse_response(emulation.impairments))
    instead(compare, "run", lambda path, comparison, *rest: (images([path]), comparison.cases), [])
    instead(evaluate, "run_all", gives=[])
    instead(bench, "run", gives=[])
    instead(link_run, "run", gives=[])
    instead(soak_run, "run")
    instead(bench, "report", gives=True)
    instead(doctor, "checks", gives=[])
    instead(demonstration, "run")
    instead(training, "train", gives={})
    return begun


PARSED = {line.text: line for line in (*of_pages(), *of_help())}


@pytest.mark.parametrize("text", PARSED)
def test_a_printed_line_goes_through_its_options(text, folder, without_work):
    for arguments in ours(PARSED[text]):
        if arguments[0] in OF_LAUNCHER:
            programs = [a for a in arguments[1:] if a.endswith((".grc", ".py"))]
            assert all(Path(a).is_file() or (ROOT / a).is_file() for a in programs), PARSED[text]
            continue
        if len(arguments) == 1 and not PARSED[text].shown:
            assert arguments[0] in main.commands  # it is only named
            continue
        result = CliRunner().invoke(main, globbed(arguments))
        assert result.exit_code == 0, f"{PARSED[text]}\n{result.output}"
        assert without_work or "--help" in arguments or arguments[0] in ("version", "codecs")


def test_there_are_lines_of_every_command():
    launched = re.findall(r"^  ([a-z]+)  ", (ROOT / "gr-hsc").read_text().split("<<'USAGE'")[1], re.M)
    assert len(launched) >= 14
    assert {arguments[0] for line in PARSED.values() for arguments in ours(line)} >= set(launched) - {
        "version",
        "grcc",
        "python",
    }


@pytest.mark.parametrize(
    "text",
    [
        "./gr-hsc send photo.jpg --colour red",
        "./gr-hsc sned photo.jpg",
        "./gr-hsc tx photo.jpg --radio soapy:driver=hackrf --freq 433.92M",  # no slower than 2 MS/s
        "./gr-hsc channel --in zmq:tcp://127.0.0.1:5555 --out sim",
        "./gr-hsc evaluate hda-fig99",
        "./gr-hsc simulate photo.jpg --codec hsc --option colour=red",
        "./gr-hsc rx",
    ],
)
def test_a_wrong_line_would_be_found(text, folder, without_work):
    (arguments,) = ours(Line("a page", text, True))
    assert CliRunner().invoke(main, arguments).exit_code == 2
    assert not without_work


@pytest.mark.parametrize("page", ["```\n./gr-hsc demo\n```", "\n    ./gr-hsc demo\n"])
def test_no_line_hides_in_a_block_without_a_name(page):
    with pytest.raises(AssertionError, match="name the language|between fences"):
        list(lines_of("a page", page))


def test_a_line_of_an_unknown_program_would_be_found():
    with pytest.raises(AssertionError, match="OTHERS"):
        ours(Line("a page", "make coffee", True))


# ---- those that can be run


def runs(line: Line) -> bool:
    return line.shown and any(
        not re.search("|".join(NOT_RUN), shlex.join(["gr-hsc", *arguments])) for arguments in ours(line)
    )


RUN = [line for line in of_pages() if runs(line)]
ALONE = [line for line in RUN if re.search("gr-hsc (send|simulate|rx --radio file)", line.text)]
TOGETHER = [line for line in RUN if line not in ALONE]


def with_own_ends(arguments: list[str], ends: dict[str, str]) -> list[str]:
    """Addresses that others on this machine do not use."""
    return [re.sub("|".join(ends), lambda match: ends[match[0]], a) for a in arguments]


def run_here(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, globbed(arguments))
    assert result.exit_code == 0, f"{arguments}: {result.output}"


@pytest.mark.parametrize("line", ALONE, ids=str)
def test_a_printed_line_runs(line, folder):
    (arguments,) = ours(line)
    run_here(arguments)
    out = Path(arguments[arguments.index("--out") + 1] if "--out" in arguments else "hsc-out")
    assert list(out.glob("*.png")) and (
        (out / "metrics.json").is_file() or (out / "received.jsonl").is_file()
    )


REHEARSALS = [("over-the-air", "zmq:", ["channel", "rx", "tx"]), ("over-the-air", "hscloop", ["rx", "tx"])]


@pytest.mark.parametrize(("page", "kind", "programs"), REHEARSALS)
def test_printed_rehearsals_run(page, kind, programs, folder, request):
    """Channel, transmitter and receiver of a page as they are printed, until the receiver has one image."""
    if kind == "hscloop":
        request.getfixturevalue("hscloop_plugins")
    rehearsal = [ours(line)[0] for line in TOGETHER if line.where.startswith(page) and kind in line.text]
    assert [arguments[0] for arguments in rehearsal] == programs
    near, far = addresses(2)
    name = f"docs-{os.getpid()}"
    ends = {
        "zmq:tcp://127.0.0.1:5555": near,
        "zmq:tcp://127.0.0.1:5556": far,
        "driver=hscloop": f"driver=hscloop,name={name}",
    }
    try:
        with commands(OMP_NUM_THREADS="1") as start:
            others = [start(*globbed(with_own_ends(a, ends))) for a in rehearsal if a[0] != "rx"]
            (receiver,) = [with_own_ends(a, ends) for a in rehearsal if a[0] == "rx"]
            run_here([*receiver, "--images", "1", "--seconds", str(LONG)])
            for process in others:
                process.child.send_signal(signal.SIGINT)
            assert [process.child.wait(LONG) for process in others] == [0] * len(others), [
                process.lines for process in others
            ]
    finally:
        Path(f"/dev/shm/hscloop-1-{name}").unlink(missing_ok=True)
    assert (folder / "received" / "image_00001.png").is_file()


def test_no_line_that_can_be_run_is_left_out():
    rehearsed = [
        line
        for line in TOGETHER
        if any(line.where.startswith(page) and kind in line.text for page, kind, _ in REHEARSALS)
    ]
    assert ALONE
    # README's channel, whose two ends are those of the other page.
    assert [ours(line)[0][0] for line in TOGETHER if line not in rehearsed] == ["channel"]
