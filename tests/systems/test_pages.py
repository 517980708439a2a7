"""The page of a system names what there is of it, and nothing that there is not."""

import re

import pytest
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.options import described
from gnuradio.hsc.codecs.system import load
from support import ROOT

PACKAGE = ROOT / "python" / "hsc"
SYSTEMS = {system.name: system for system in registry.systems()}


def page(name):
    """Its text without what is between fences."""
    text = (ROOT / SYSTEMS[name].page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_codec_option_and_shorthand_is_there(name):
    text = page(name)
    for entry in SYSTEMS[name].codecs:
        assert f"`{entry.name}`" in text and str(entry.number) in text
        for option in described(registry.codec_class(entry.name).Options):
            assert f"`{option}`" in text, option
    for shorthand in SYSTEMS[name].shorthands:
        assert f"(`{shorthand.flag}`)" in text


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_recipe_is_there(name):
    """Spelled out, or as a{1,2}-b, where … stands for what is between."""
    patterns = [
        re.sub(r"\\{.*?\\}", lambda braces: _alternatives(braces.group()), re.escape(code))
        for code in re.findall("`([^`]+)`", page(name))
    ]
    recipes = load(SYSTEMS[name].recipes) if SYSTEMS[name].recipes else ()
    missing = [each.name for each in recipes if not any(re.fullmatch(p, each.name) for p in patterns)]
    assert not missing


def _alternatives(braces):
    inside = braces.replace("\\", "").strip("{}").split(",")
    return r"\d+" if "…" in inside else f"({'|'.join(inside)})"


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_file_and_figure_is_there(name):
    room = PACKAGE / "systems" / name
    for code in re.findall("`([^`]+)`", page(name)):
        if re.fullmatch(r"[\w/]+\.py", code):
            assert (room / code).is_file() or (PACKAGE / code).is_file(), code
        elif code.endswith(".json") or re.fullmatch(r"(hsc|hda)-(fig|table)\d|hda-(cliff|ofdm)", code):
            result = code if code.endswith(".json") else f"{code}.json"
            assert (PACKAGE / "evaluation" / "results" / result).is_file(), code


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_function_is_in_its_file(name):
    """Rows of tables that end in files: each name of the row before is defined in one of them."""
    room = PACKAGE / "systems" / name
    for row in re.findall(r"^\|(.+)\|$", page(name), re.M):
        *_, functions, files = row.split("|")
        files = re.findall(r"`([\w/]+\.py)`", files)
        text = "".join(((room / f) if (room / f).is_file() else PACKAGE / f).read_text() for f in files)
        for function in re.findall("`([^`]+)`", functions) if files else ():
            assert re.search(rf"(def|class) {function.split('.')[-1]}\b|^{function} = ", text, re.M), row
