"""Options of codecs: what a dataclass says of them, values from text, wrong values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from gnuradio.hsc.codecs.options import Ends, NoOptions, described, option, options_of
from gnuradio.hsc.errors import HscError


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise HscError(f"'{text}' is not hexadecimal: give digits 0 to f") from None


@dataclass(frozen=True)
class Options:
    size: int = option(3, "how many")
    share: float | None = option(None, "how much")
    kind: Literal["fine", "coarse"] | None = option("fine", "how", Ends.BOTH)
    points: Literal[4, 16] = option(4, "points")
    key: bytes | None = option(None, "a secret", Ends.RECEIVER, _hexadecimal, secret=True)
    loud: bool = option(False, "whether it says so")
    title: str = option("", "its name")
    rate: Literal["0.26", "1.0"] | None = option(None, "in bits per pixel")

    def __post_init__(self) -> None:
        if self.size < 0:
            raise HscError(f"size {self.size}: give 0 or more")


KNOWN = described(Options)


def test_what_the_dataclass_says():
    assert list(KNOWN) == ["size", "share", "kind", "points", "key", "loud", "title", "rate"]
    assert [KNOWN[name].default for name in ("size", "share", "kind")] == [3, None, "fine"]
    assert KNOWN["kind"].choices == ("fine", "coarse", None) and KNOWN["points"].choices == (4, 16)
    assert KNOWN["share"].kinds == (float, type(None)) and KNOWN["share"].choices == ()
    assert (KNOWN["size"].ends, KNOWN["kind"].ends, KNOWN["key"].ends) == (
        Ends.TRANSMITTER, Ends.BOTH, Ends.RECEIVER
    )  # fmt: skip
    assert [name for name in KNOWN if KNOWN[name].secret] == ["key"]
    assert described(NoOptions) == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "12", 12), ("size", "1/2", "1/2"), ("size", "many", "many"),
        ("share", "1/4", 0.25), ("share", "0.5", 0.5), ("share", "None", None), ("share", "1/0", "1/0"),
        ("kind", "coarse", "coarse"), ("points", "16", 16), ("loud", "True", True),
        ("key", "00ff", b"\0\xff"), ("title", "a b", "a b"), ("title", "", ""),
        ("title", "1,2,3,4", "1,2,3,4"), ("title", "5", "5"), ("title", "[a]", "[a]"),
        ("size", "(" * 10_000, "(" * 10_000), ("loud", "true", True), ("loud", "FALSE", False),
        ("title", "true", "true"), ("rate", "0.26", "0.26"), ("rate", "1.0", "1.0"), ("rate", "None", None),
    ],
)  # fmt: skip
def test_text_is_read(name, text, value):
    read = KNOWN[name].parse(text)
    assert read == value and type(read) is type(value)


def test_text_that_a_reader_refuses():
    with pytest.raises(HscError, match="not hexadecimal"):
        KNOWN["key"].parse("xyz")


@pytest.mark.parametrize(
    "given",
    [
        {"size": np.int64(4)}, {"share": 1}, {"share": np.float32(0.5)}, {"share": None}, {"kind": None},
        {"points": 16}, {"key": bytes(3)}, {"loud": True}, {"title": "x", "size": 0},
    ],
)  # fmt: skip
def test_good_values_are_taken(given):
    made = options_of(Options, "thumbnail", given)
    assert given.items() <= vars(made).items()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"colour": 1}, "thumbnail has no such option (colour): choose from size, share, kind, "),
        ({"size": 2.0}, "thumbnail option size is 2.0: give a whole number"),
        ({"size": True}, "thumbnail option size is True: give a whole number"),
        ({"size": None}, "thumbnail option size is None: give a whole number"),
        ({"size": -1}, "size -1: give 0 or more"),
        ({"share": "half"}, "thumbnail option share is 'half': give a number or None"),
        ({"share": False}, "thumbnail option share is False: give a number or None"),
        (
            {"kind": "middling"},
            "thumbnail option kind 'middling' is unknown: choose one of fine, coarse, None",
        ),
        ({"points": 5}, "thumbnail option points 5 is unknown: choose one of 4, 16"),
        (
            {"points": np.zeros((2, 1))},
            "thumbnail option points array([[0.], [0.]]) is unknown: choose one of 4, ",
        ),
        ({"key": "00"}, "thumbnail option key is str: give bytes or None"),
        ({"loud": 1}, "thumbnail option loud is 1: give True or False"),
        ({"title": b"x"}, "thumbnail option title is b'x': give text"),
    ],
)
def test_wrong_values_are_refused_in_a_line(given, says):
    with pytest.raises(HscError) as error:
        options_of(Options, "thumbnail", given)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)


def test_a_codec_without_options_says_so():
    with pytest.raises(HscError, match="choose from none at all"):
        options_of(NoOptions, "thumbnail", {"size": 1})
