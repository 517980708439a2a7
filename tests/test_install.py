"""The launcher, the CMake install, and what may import what."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "hsc"


def run(command, cwd, **environment):
    """Run without our own PYTHONPATH, so that only what the test names can be imported."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "GRC_BLOCKS_PATH")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=120, check=False
    )


# ---- CMake


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(build folder, prefix): the module configured, built and installed, in folders with a space in their names."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    build, prefix = (tmp_path_factory.mktemp("cmake") / name for name in ("the build", "the prefix"))
    for command in (
        ["cmake", "-S", ROOT, "-B", build, f"-DPYTHON_EXECUTABLE={sys.executable}", f"-DCMAKE_INSTALL_PREFIX={prefix}"],
        ["cmake", "--build", build],
        ["cmake", "--install", build],
    ):
        done = run(command, build.parent)
        assert done.returncode == 0, done.stdout + done.stderr
    return build, prefix


def site_packages(prefix):
    (path,) = prefix.glob("lib/python3*/*-packages")
    return path


def files_below(folder, *patterns):
    found = (path for pattern in patterns for path in folder.rglob(pattern))
    return {path.relative_to(folder) for path in found if path.is_file() and "__pycache__" not in path.parts}


def test_import_from_prefix(installed, tmp_path):
    _, prefix = installed
    code = """
from gnuradio import hsc
print(hsc.__file__)
print(hsc.message.MAX_DIGITAL_STREAMS)   # a sub-module that nothing imported before
try:
    hsc.no_such_block
except AttributeError as error:
    print(error)
"""
    done = run([sys.executable, "-P", "-c", code], tmp_path, PYTHONPATH=str(site_packages(prefix)))
    assert done.returncode == 0, done.stderr
    path, streams, error = done.stdout.splitlines()
    assert Path(path) == site_packages(prefix) / "gnuradio" / "hsc" / "__init__.py"
    assert streams == "2"
    assert error == "module 'gnuradio.hsc' has no attribute 'no_such_block'"


def test_every_file_is_installed(installed):
    _, prefix = installed
    source = files_below(PACKAGE, "*.*") - {Path("CMakeLists.txt")}
    assert Path("message.py") in source
    assert source <= files_below(site_packages(prefix) / "gnuradio" / "hsc", "*.*")
    assert files_below(ROOT / "grc", "*.block.yml", "*.tree.yml") == files_below(prefix / "share/gnuradio/grc/blocks", "*.yml")
    examples = files_below(ROOT / "examples", "*.*") - {Path("CMakeLists.txt")}
    assert examples == files_below(prefix / "share/gnuradio/examples/hsc", "*.*")
    assert (prefix / "share/doc/gr-hsc/architecture.md").is_file()


def test_ctest_knows_every_test_file(installed):
    build, _ = installed
    done = run(["ctest", "-N"], build)
    assert {path.stem for path in (ROOT / "tests").glob("test_*.py")} == {
        line.split()[-1] for line in done.stdout.splitlines() if "Test " in line and "#" in line
    }


def test_uninstall_removes_every_file(installed, tmp_path):
    build, _ = installed
    prefix = tmp_path / "elsewhere"
    for command in (["cmake", "--install", build, "--prefix", prefix], ["cmake", "--build", build, "--target", "uninstall"]):
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in prefix.rglob("*") if path.is_file()] == []


# ---- imports


def test_package_is_lazy(tmp_path):
    code = "import sys, hsc; print(sorted({'numpy', 'torch', 'gnuradio'} & sys.modules.keys()))"
    done = run([sys.executable, "-P", "-c", code], tmp_path, PYTHONPATH=str(ROOT / "python"))
    assert done.stdout.strip() == "[]", done.stderr


def test_layers_below_blocks_import_without_gnuradio(tmp_path):
    code = """
import importlib, pathlib, sys
for name in ("gnuradio", "pmt", "PyQt5"):
    sys.modules[name] = None                     # importing it raises ImportError
package = pathlib.Path(sys.argv[1])
count = 0
for path in sorted(package.rglob("*.py")):
    parts = path.relative_to(package.parent).with_suffix("").parts
    if parts[1] in ("blocks", "app") or parts[-1] == "__main__":
        continue
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    count += 1
print(count)
"""
    done = run([sys.executable, "-P", "-c", code, PACKAGE], tmp_path, PYTHONPATH=str(PACKAGE.parent))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 10


# ---- the launcher, copied to a folder where nothing is set up


@pytest.fixture
def launcher(tmp_path):
    """A copy of ./gr-hsc in a folder with a space in its name, with all that its set-up reads."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("gr-hsc", "requirements.txt", "CMakeLists.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("python", "grc", "examples", "docs", "cmake", "tests"):
        (folder / name).mkdir()
    shutil.copy(ROOT / "tests" / "CMakeLists.txt", folder / "tests")
    return folder / "gr-hsc"


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_help_needs_no_set_up(launcher, tmp_path, argument):
    done = run([launcher, argument], tmp_path)
    assert done.returncode == 0
    for command in ("demo", "send", "simulate", "bench", "train", "evaluate", "doctor", "companion", "test"):
        assert f"\n  {command} " in done.stdout
    assert done.stderr == ""
    assert not (launcher.parent / ".venv").exists()
    assert not (launcher.parent / "build").exists()


@pytest.mark.parametrize(("arguments", "words"), [(["nonsense"], "unknown command 'nonsense'"), ([], "Usage")])
def test_wrong_command_sets_nothing_up(launcher, tmp_path, arguments, words):
    done = run([launcher, *arguments], tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert not (launcher.parent / ".venv").exists()


def stub(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_failed_package_installation_says_what_to_do(launcher, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    stub(tools, "dpkg-query", "exit 1")
    stub(tools, "dpkg", "exit 0")
    stub(tools, "sudo", '[ "$1" = -v ] || exec "$@"')
    stub(tools, "apt-get", '[ "$1" = update ] || { echo "E: no space left"; exit 100; }')
    done = run([launcher, "demo"], tmp_path, PATH=f"{tools}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "gnuradio-dev" in done.stderr
    assert "    E: no space left" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("gr-hsc: the packages could not be installed")
    assert done.stdout == ""
    assert not (launcher.parent / ".venv").exists()


def test_set_up_runs_once_then_again_after_a_change(launcher, tmp_path):
    """With stand-ins for apt, the venv, pip and CMake: what is done on the first use, on the second, and after an edit."""
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    stub(tools, "dpkg-query", "printf installed")
    stub(tools, "cmake", f'echo "cmake $1" >> "{calls}"')
    bin_folder = launcher.parent / ".venv" / "bin"
    stub(
        tools,
        "python3",
        f'[ "$1" = -c ] && exit; mkdir -p "{bin_folder}"; cp "{tools}/in_venv" "{bin_folder}/python"; echo venv >> "{calls}"',
    )
    stub(tools, "in_venv", f'case "$*" in *install*) echo pip >> "{calls}";; *gnuradio.hsc.app*) echo "app $*";; esac')
    launcher.write_text(launcher.read_text().replace("system_python=/usr/bin/python3", f"system_python='{tools}/python3'"))

    def use(*arguments):
        calls.write_text("")
        done = run([launcher, *arguments], tmp_path, PATH=f"{tools}:/usr/bin:/bin")
        assert done.returncode == 0, done.stderr
        return calls.read_text().split("\n"), done

    everything = ["venv", "pip", "cmake -S", "cmake --build", "cmake --install", ""]
    module = everything[2:]
    made, done = use("send", "a b.png", "--snr", "10")
    assert made == everything
    assert done.stdout == "app -P -m gnuradio.hsc.app send a b.png --snr 10\n"
    made, done = use("demo")
    assert (made, done.stderr) == ([""], "")
    (launcher.parent / "python" / "new.py").touch()
    assert use("demo")[0] == module
    (launcher.parent / "python" / "new.py").unlink()
    assert use("demo")[0] == module
    (launcher.parent / ".venv" / ".module").unlink()  # as when the build was interrupted
    assert use("demo")[0] == module
    (launcher.parent / "requirements.txt").write_text("numpy==1.26.4\n")
    assert "pip" in use("demo")[0]
    assert use("demo")[0] == [""]
