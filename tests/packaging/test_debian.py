"""Debian's package and the conda recipes, as far as they can be looked at without building them: versions,
requirements, manual pages, what the launcher says. tools/check-package.sh tries the built package.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from gnuradio.hsc import __version__
from gnuradio.hsc.app.cli import main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import ROOT

DEBIAN = ROOT / "packaging" / "debian"
CONDA = ROOT / "packaging" / "conda"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTROL = (DEBIAN / "control").read_text()
# What Debian and conda-forge call a package, where it is not python3-NAME, or NAME.
IN_DEBIAN = {"pillow": "python3-pil"}
IN_CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}
# Of matplotlib in a venv; Debian's brings its own.
TRANSITIVE = {"pyparsing"}


def requirements(path):
    """Name → requirement of every line of a file for pip that holds under Python 3.13."""
    lines = (re.split(r"\s#|\s--hash", line)[0].strip() for line in path.read_text().splitlines())
    found = map(Requirement, (line for line in lines if line and not line.startswith("#")))
    where = {"python_version": "3.13"}
    return {
        canonicalize_name(each.name): each
        for each in found
        if each.marker is None or each.marker.evaluate(where)
    }


def runtime():
    """Name → requirement of what requirements.txt pins for running."""
    text = (ROOT / "requirements.txt").read_text()
    tests = set(re.findall(r"^([\w-]+)==", text[text.index("# tests") :], re.M))
    return {name: each for name, each in requirements(ROOT / "requirements.txt").items() if name not in tests}


def depends():
    paragraph = CONTROL[CONTROL.index("\nDepends:") : CONTROL.index("\nRecommends:")]
    return set(re.findall(r"^ ([a-z][\w.+-]*)", paragraph, re.M))


def test_the_versions_are_the_packages():
    assert (DEBIAN / "changelog").read_text().startswith(f"gr-hsc ({__version__}-")
    assert yaml.safe_load((CONDA / "gnuradio-hsc" / "recipe.yaml").read_text())["context"] == {
        "version": __version__
    }


def test_every_requirement_is_a_package_of_debian_or_comes_along():
    vendored = requirements(DEBIAN / "vendored.txt")
    for name, pinned in runtime().items():
        packaged = IN_DEBIAN.get(name, f"python3-{name}") in depends()
        assert packaged != (name in vendored) or name in TRANSITIVE, f"{name}: one of the two"
        if name in vendored:
            assert vendored[name].specifier == pinned.specifier
    assert vendored.keys() <= runtime().keys()


def test_what_comes_along_has_a_hash_and_a_licence():
    lines = [line for line in (DEBIAN / "vendored.txt").read_text().splitlines() if not line.startswith("#")]
    told = (DEBIAN / "copyright").read_text()
    for line in lines:
        assert re.fullmatch(r"[\w-]+==[\d.]+( --hash=sha256:[0-9a-f]{64})+", line), line
        assert f"debian/wheels/{line.split('==')[0].replace('-', '_')}-*" in told


def test_there_is_a_manual_page_of_every_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "python" / "run.py", DEBIAN / "manual_pages.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = {"gr-hsc.1"} | {f"gr-hsc-{name}.1" for name in main.commands}
    assert {path.name for path in tmp_path.iterdir()} == names
    page = (tmp_path / "gr-hsc-send.1").read_text()
    assert ".SH NAME\ngr\\-hsc\\-send \\- Send IMAGES through the GNU Radio flowgraph\n" in page
    assert re.search(r"^\.TP\n\.B \\-\\-snr NUMBER\n", page, re.M)
    assert ".nf\nExamples\n" in page
    assert "RECIPE" in (tmp_path / "gr-hsc-train.1").read_text(), "of the command of recipes"
    assert "hda\\-fig4" in (tmp_path / "gr-hsc-evaluate.1").read_text()


# ---- ./gr-hsc package deb


@pytest.fixture
def package(tmp_path):
    """Runs `./gr-hsc package ...` of a copy, with apt and dpkg that only note what they are asked for."""
    checkout, tools = tmp_path / "a checkout", tmp_path / "tools"
    shutil.copytree(ROOT / "packaging", checkout / "packaging")
    shutil.copy(ROOT / "gr-hsc", checkout)
    tools.mkdir()
    for name in ("dpkg-query", "apt-get", "dpkg", "sudo"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\nexit 1\n')
        (tools / name).chmod(0o755)

    def run(*arguments, os_release):
        (tmp_path / "os-release").write_text(os_release)
        script = checkout / "packaging" / "package.sh"
        script.write_text(script.read_text().replace("/etc/os-release", f"'{tmp_path}/os-release'"))
        environment = {"HOME": str(tmp_path), "PATH": f"{tools}:/usr/bin:/bin"}
        return subprocess.run(
            [checkout / "gr-hsc", "package", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_ID=12\n", "ID=ubuntu\nVERSION_ID=26.04\n", ""])
def test_elsewhere_no_package_is_built(package, tmp_path, release):
    done = package("deb", os_release=release)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "Debian 13" in done.stderr and not (tmp_path / "calls").exists()


@pytest.mark.parametrize("release", ['ID=debian\nVERSION_ID="13"\n', "ID=debian\nVERSION_CODENAME=forky\n"])
def test_what_the_build_needs_is_named(package, release):
    done = package("deb", os_release=release)
    assert done.returncode == 1
    for name in ("build-essential", "debhelper", "gnuradio-dev", "python3-torch", "cmake"):
        assert re.search(rf"^ +{name} +builds the package$", done.stderr, re.M), done.stderr
    assert "${" not in done.stderr and "libopenjp2-7" not in done.stderr


def test_a_package_of_what(package):
    done = package("rpm", os_release="ID=debian\n")
    assert done.returncode == 2 and done.stderr == "gr-hsc: what to build: ./gr-hsc package deb\n"
    assert package("--help", os_release="").stdout.startswith("Usage: ./gr-hsc package deb\n")


# ---- a copy that has what comes along


def test_what_comes_along_is_found_first(tmp_path):
    copy = tmp_path / "python"
    for name in ("hsc/__init__.py", "run.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "python" / name, copy / name)
    (tmp_path / "vendored" / "safetensors").mkdir(parents=True)
    (tmp_path / "vendored" / "safetensors" / "__init__.py").touch()
    hook = (DEBIAN / "_vendored.py").read_text()
    (copy / "hsc" / "_vendored.py").write_text(hook.replace("/usr/lib/gr-hsc", f"{tmp_path}/vendored"))
    (tmp_path / "program.py").write_text("import gnuradio.hsc, safetensors\nprint(safetensors.__file__)\n")
    done = subprocess.run(
        [sys.executable, "-P", copy / "run.py", tmp_path / "program.py"],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == f"{tmp_path}/vendored/safetensors/__init__.py\n", done.stderr


# ---- conda


def recipe(name):
    return yaml.safe_load((CONDA / name / "recipe.yaml").read_text())


def test_the_recipe_asks_for_what_pyproject_does():
    run = {each.split()[0]: each.partition(" ")[2] for each in recipe("gnuradio-hsc")["requirements"]["run"]}
    extras = PROJECT["optional-dependencies"]
    for each in map(Requirement, [*PROJECT["dependencies"], *extras["evaluate"], *extras["train"]]):
        assert run[IN_CONDA.get(each.name, each.name)] == str(each.specifier), each


@pytest.mark.parametrize("name", ["constriction", "raptorq"])
def test_recipes_without_a_feedstock_have_the_tested_version(name):
    assert str(runtime()[name].specifier) == f"=={recipe(name)['context']['version']}"
    assert recipe(name)["package"]["name"] == name
