"""python/run.py: the package runs from the source tree by its one name, with GNU Radio and without."""

import os
import shutil
import subprocess
import sys

import pytest
from support import ROOT

RUN = ROOT / "python" / "run.py"


@pytest.fixture
def run(tmp_path):
    """Runs Python without our own PYTHONPATH; with `hidden`, as where GNU Radio is not installed."""

    def run(*arguments, hidden=True, **environment):
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if hidden:
            (tmp_path / "without").mkdir(exist_ok=True)
            for name in ("gnuradio", "pmt", "PyQt5"):
                (tmp_path / "without" / f"{name}.py").write_text("raise ImportError('hidden')")
            environment["PYTHONPATH"] = str(tmp_path / "without")
        return subprocess.run(
            [sys.executable, "-P", *map(str, arguments)],
            cwd=tmp_path,
            env=inherited | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_the_package_has_one_name(run):
    done = run("-c", "import hsc", hidden=False, PYTHONPATH=str(RUN.parent))
    assert "this package is gnuradio.hsc, not hsc" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_file_finds_this_copy(run, tmp_path, hidden):
    (tmp_path / "program.py").write_text(
        "import sys\nfrom gnuradio import hsc\nprint(sys.argv[1:], hsc.__file__)\n"
    )
    done = run(RUN, "program.py", "a", "--b", hidden=hidden)
    assert done.stdout == f"['a', '--b'] {RUN.parent / 'hsc' / '__init__.py'}\n", done.stderr


def test_without_a_module_it_says_how_it_is_used(run):
    done = run(RUN)
    assert done.returncode == 1 and "MODULE-OR-FILE" in done.stderr


def test_training_needs_no_gnu_radio(run):
    """docs/training.md's way on a machine with a GPU."""
    done = run(RUN, "gnuradio.hsc.app", "train", "deepjscc", "--data", "nowhere")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "'nowhere' is not there" in done.stderr


def test_the_launchers_doctor_runs_where_nothing_can_be_set_up(tmp_path):
    """No package installs: the checks run from the source tree, by the system's Python."""
    checkout, tools = tmp_path / "a checkout", tmp_path / "tools"
    shutil.copytree(ROOT / "python", checkout / "python", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("grc", "examples", "docs", "tests"):
        (checkout / name).mkdir()
    for name in ("gr-hsc", "requirements.txt", "constraints.txt", "CMakeLists.txt", "tests/CMakeLists.txt"):
        shutil.copy(ROOT / name, checkout / name)
    tools.mkdir()
    for name in ("dpkg-query", "apt-get", "dpkg", "sudo"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [checkout / "gr-hsc", "doctor"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[0].startswith("ok   Python") and "\nok   weights " in done.stdout
