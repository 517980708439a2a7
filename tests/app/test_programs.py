"""Programs of GNU Radio that the launcher becomes."""

import os

import pytest
from gnuradio.hsc.app import programs
from gnuradio.hsc.errors import HscError


@pytest.fixture
def companion(tmp_path, monkeypatch):
    """A gnuradio-companion on PATH; gives the command lines that the process has become."""
    (tmp_path / "gnuradio-companion").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    became = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: became.append(arguments[1:]))
    return became


@pytest.mark.parametrize("display", [None, ":98765"])
def test_without_a_display_the_editor_is_not_started(companion, monkeypatch, display):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        pytest.importorskip("gi")
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(HscError, match="there is no display"):
        programs.become("gnuradio-companion", ["x.grc"])
    programs.become("gnuradio-companion", ["--help"])
    assert [arguments[1:] for arguments in companion] == [["--help"]]


def test_a_program_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HscError, match="grcc is not on PATH"):
        programs.become("grcc", [])
