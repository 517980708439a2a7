"""The registry of systems: what is added and taken out, what clashes, plug-ins that are broken."""

from dataclasses import dataclass, replace

import pytest
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import Codec
from gnuradio.hsc.codecs.system import CodecEntry, Shorthand, System, load
from gnuradio.hsc.errors import HscError
from support.pixel_codec import NAME, PixelCodec, PixelOptions

PLACE = f"{PixelCodec.__module__}:PixelCodec"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    known = registry._known()
    monkeypatch.setattr(known, "systems", dict(known.systems))


def system(name="outside", **numbers):
    """With codecs of these names and numbers."""
    return System(name, name.title(), tuple(CodecEntry(each, n, PLACE) for each, n in numbers.items()))


def test_a_system_comes_and_goes():
    before = registry.names()
    added = system(pixels=200, more=255)
    registry.register(added)
    assert added in registry.systems() and registry.names() == (*before, "pixels", "more")
    assert registry.number("more") == 255 and registry.name_of(255) == "more"
    assert registry.system_of("pixels") is added and registry.codec_class(NAME) is PixelCodec
    assert registry.create(NAME, digital=False).options.digital is False
    registry.unregister("outside")
    assert registry.names() == before
    for ask, key in ((registry.number, NAME), (registry.name_of, 200), (registry.create, NAME)):
        with pytest.raises(HscError, match="unknown"):
            ask(key)


def test_a_system_registered_again_replaces_the_former():
    registry.register(system(pixels=200, old=201))
    registry.register(system(pixels=201))
    assert "old" not in registry.names() and registry.number("pixels") == 201


@pytest.mark.parametrize(
    ("added", "says"),
    [
        (system(hsc=210), "codec 'hsc' of system 'outside' is there already, in 'hsc': take another"),
        (system(others=200), "codec 'others' of system 'outside' is there already, in 'other': take another"),
        (system(pixels=220), "number 220 of system 'outside' is there already, in 'other': take another"),
        (system(a=230, b=230), "number 230 of system 'outside' is there already, in 'outside': take another"),
        (system(pixels=1), "codec 'pixels' has number 1: codecs from outside have 200 to 255"),
        (system(pixels=199), "codec 'pixels' has number 199: codecs from outside have 200 to 255"),
        (system(pixels=256), "codec 'pixels' has number 256: codecs from outside have 200 to 255"),
        (system("hsc", pixels=200), "system 'hsc' is one of this package's own: give yours another name"),
        (
            System("outside", "", (CodecEntry("a", 230, PLACE), CodecEntry("a", 231, PLACE))),
            "codec 'a' of system 'outside' is there already, in 'outside': take another",
        ),
        (PixelCodec, "<class 'support.pixel_codec.PixelCodec'> is no System: name one that is"),
    ],
)
def test_what_clashes_is_refused_in_a_line_and_changes_nothing(added, says):
    registry.register(system("other", others=220))
    before = registry.systems()
    with pytest.raises(HscError) as error:
        registry.register(added)
    assert str(error.value) == says and registry.systems() == before


def test_two_systems_may_have_a_flag_for_the_same_option_and_for_no_other():
    flag = Shorthand("--pixels", PixelOptions, "digital")
    before = registry.shorthands()
    for name in ("one", "other"):
        registry.register(System(name, name, shorthands=(flag,)))
    assert registry.shorthands() == (*before, flag)
    for shorthands in ((replace(flag, field="analog"),), (flag, flag)):
        with pytest.raises(HscError, match="flag '--pixels' of system 'third' is there already"):
            registry.register(System("third", "third", shorthands=shorthands))
    assert registry.shorthands() == (*before, flag)


def test_numbers_and_names_are_unique_and_of_a_byte():
    entries = registry.entries()
    assert len({entry.number for entry in entries}) == len({entry.name for entry in entries}) == len(entries)
    assert all(0 < entry.number < 256 for entry in entries)
    # On the air since the first version; never given to others.
    assert {entry.name: entry.number for entry in entries}.items() >= {
        "hsc": 1, "separate": 2, "softcast": 3, "hda_dct": 4, "hda_deepsc": 5, "deepjscc": 6, "deepjscc_q": 7,
        "hda_hevc": 8,
    }.items()  # fmt: skip


@pytest.mark.gnuradio
def test_everything_that_a_system_names_is_there():
    for each in registry.systems():
        for entry in each.codecs:
            assert issubclass(load(entry.codec), Codec) and load(entry.codec).name == entry.name
        for shorthand in each.shorthands:
            assert shorthand.described.doc
        for place in (*each.blocks, *filter(None, (each.recipes, each.figures))):
            load(place)
        assert each.weights.is_dir()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("no_such_package.codec:Codec", "needs no_such_package, which is not installed"),
        (f"{PixelCodec.__module__}:Nothing", "the system that names it is broken"),
    ],
)
def test_a_place_where_nothing_is(place, says):
    registry.register(System("outside", "", (CodecEntry("lost", 200, place),)))
    with pytest.raises(HscError, match=says) as error:
        registry.create("lost")
    assert "\n" not in str(error.value)


@dataclass
class Point:
    """An entry point."""

    name: str
    found: object
    value: str = "package:SYSTEM"

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_plug_ins_are_taken_in_and_broken_ones_left_out_with_a_line_each(monkeypatch):
    points = [
        Point("good", system("good", pixels=200)),
        Point("raises", RuntimeError("two\nlines")),
        Point("missing", ModuleNotFoundError("No module named 'x'")),
        Point("nothing", None),
        Point("clash", system("clash", pixels=201)),
        Point("late", system("late", late=203)),
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else []
    )
    known = registry._Known()
    assert {"hsc", "good", "late"} <= set(known.systems) and "clash" not in known.systems
    assert [fault.split("'")[1] for fault in known.faults] == ["raises", "missing", "nothing", "clash"]
    assert known.faults[0].endswith("is left out: RuntimeError: two lines")
    assert known.faults[3].endswith("there already, in 'good': take another")
    assert not any("\n" in fault for fault in known.faults)
