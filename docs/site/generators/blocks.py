"""The blocks as their files for GNU Radio Companion describe them: grc/**/*.block.yml and .block.yml.in."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import ROOT

FOLDER = ROOT / "grc"
_SECTIONS = ("Input", "Output", "Parameters")


@dataclass(frozen=True)
class Port:
    """A port.

    Attributes:
        name: what GRC writes on it: the id of a message port, in or out for a stream.
        domain: "message" or "stream".
        dtype: of a stream's items, such as "complex"; empty for messages.
        optional: it may be left unconnected.
        shown: GRC draws it while the parameters have their defaults.
        text: what the documentation says of it.
    """

    name: str
    domain: str
    dtype: str
    optional: bool
    shown: bool
    text: str


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        id, label, dtype: as in the file.
        default: the value, as it is typed in GRC.
        options: values that GRC offers, and what it calls each.
        shown: GRC writes it into the box while the parameters have their defaults.
        text: what the documentation says of it.
    """

    id: str
    label: str
    dtype: str
    default: str
    options: tuple[tuple[str, str], ...]
    shown: bool
    text: str

    @property
    def default_label(self) -> str:
        """The default as GRC writes it."""
        return dict(self.options).get(self.default, self.default)


@dataclass(frozen=True)
class Block:
    """A block.

    Attributes:
        id, label: as in the file, such as "hsc_ofdm_receiver" and "OFDM Receiver".
        category: where GRC has it, without [HSC]/.
        path: of its file in the repository.
        intro: the documentation before its sections, paragraphs.
        remarks: what is said in a section of none of its ports or parameters, by section.
    """

    id: str
    label: str
    category: str
    path: str
    intro: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: tuple[Parameter, ...]
    remarks: Mapping[str, tuple[str, ...]]

    @property
    def summary(self) -> str:
        """First sentence of the documentation."""
        return re.split(r"(?<=[.:])\s", self.intro[0])[0].rstrip(".:") + "."


def files() -> list[Path]:
    """All of them, sorted."""
    return sorted(path for path in FOLDER.rglob("*") if ".block.yml" in path.name)


def lists() -> dict[str, list[str]]:
    """What stands for @LISTS@ in the files. Raises ImportError where a package of the module is missing."""
    return runpy.run_path(str(FOLDER / "generate.py"))["lists"]()


def categories() -> dict[str, list[str]]:
    """Ids of blocks by category, in the order of GRC's tree."""
    (tree,) = yaml.safe_load((FOLDER / "hsc.tree.yml").read_text(encoding="utf-8")).values()
    return {category: ids for entry in tree for category, ids in entry.items()}


def read_all() -> dict[str, Block]:
    """Every block by its id."""
    known = lists()
    found = [read(path, known) for path in files()]
    return {block.id: block for block in found}


def read(path: Path, known: Mapping[str, Sequence[str]]) -> Block:
    """One block. `known`: what stands for @LISTS@. Raises KeyError for a list that there is not."""
    text = path.read_text(encoding="utf-8")
    raw = yaml.safe_load(re.sub(r"@([\w-]+)@", lambda place: ", ".join(known[place[1]]), text))
    values = {each["id"]: _default(each) for each in raw.get("parameters", ())}
    intro, said = _documentation(raw["documentation"])
    inputs = tuple(_port(each, "in", values, said["Input"]) for each in raw.get("inputs", ()))
    outputs = tuple(_port(each, "out", values, said["Output"]) for each in raw.get("outputs", ()))
    parameters = tuple(_parameter(each, values, said["Parameters"]) for each in raw.get("parameters", ()))
    used = {
        "Input": {port.text for port in inputs},
        "Output": {port.text for port in outputs},
        "Parameters": {parameter.text for parameter in parameters},
    }
    remarks = {
        section: tuple(_entry(*entry) for entry in entries if entry[1] not in used[section])
        for section, entries in said.items()
    }
    return Block(
        id=raw["id"],
        label=raw["label"],
        category=raw["category"].removeprefix("[HSC]/"),
        path=path.relative_to(ROOT).as_posix(),
        intro=intro,
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        remarks=remarks,
    )


def _default(parameter: Mapping) -> object:
    """The value of a parameter's default, as GRC's expressions see it."""
    text = str(parameter.get("default", ""))
    if parameter["dtype"] in ("string", "enum", "gui_hint"):
        return text
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _evaluated(text: object, values: Mapping[str, object]) -> object:
    """What `hide` says: a word, or an expression `${ … }` of the parameters."""
    found = re.fullmatch(r"\$\{(.*)\}", str(text))
    return eval(found[1], {}, dict(values)) if found else text


def _port(raw: Mapping, usual: str, values: Mapping[str, object], said: list[tuple[str, str]]) -> Port:
    name = str(raw.get("label") or raw.get("id") or usual)
    stream = raw["domain"] == "stream"
    known = dict(said)
    # What is said of a stream has no name before it.
    text = known.get(name, known.get("", "") if stream else "")
    return Port(
        name,
        raw["domain"],
        str(raw.get("dtype", "")) if stream else "",
        bool(raw.get("optional", False)),
        _evaluated(raw.get("hide", False), values) not in (True, "True"),
        text,
    )


def _parameter(raw: Mapping, values: Mapping[str, object], said: list[tuple[str, str]]) -> Parameter:
    options = tuple(str(option) for option in raw.get("options", ()))
    label = str(raw.get("label", raw["id"]))
    plain = re.sub(r" [\[(].*[\])]$", "", label)  # without its unit
    text = next((text for names, text in said if plain == names or plain in names.split(", ")), "")
    return Parameter(
        id=raw["id"],
        label=label,
        dtype=raw["dtype"],
        default=str(raw.get("default", options[0] if options else "")),
        options=tuple(zip(options, map(str, raw.get("option_labels", options)), strict=True)),
        shown=_evaluated(raw.get("hide", "none"), values) == "none",
        text=text,
    )


def _documentation(text: str) -> tuple[tuple[str, ...], dict[str, list[tuple[str, str]]]]:
    """Paragraphs before the sections, and for each section (names, text); no name where it begins with none.

    An entry is indented, the lines that it goes on in more.
    """
    head, *rest = re.split(rf"^({'|'.join(_SECTIONS)}):\n", text, flags=re.M)
    intro = tuple(" ".join(part.split()) for part in head.split("\n\n") if part.strip())
    said: dict[str, list[tuple[str, str]]] = {section: [] for section in _SECTIONS}
    for section, body in zip(rest[::2], rest[1::2], strict=True):
        entries = re.split(r"^ {4}(?! )", body, flags=re.M)[1:]
        for entry in entries:
            found = re.match(r"([\w() -]+(?:, [\w() -]+)*):\s+(.*)", entry, re.S)
            name, what = (found[1], found[2]) if found else ("", entry)
            said[section].append((name, " ".join(what.split())))
    return intro, said


def _entry(names: str, text: str) -> str:
    return f"{names}: {text}" if names else text
