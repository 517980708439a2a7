"""The block reference: a page for each category of GRC's tree, and one that lists all blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import block_picture
from .blocks import Block, Parameter, Port, categories
from .markdown import escaped, table

FOLDER = "blocks"
_INTRO = """# Blocks

All blocks in GNU Radio Companion's category \\[HSC\\], by the categories there. In Python a block is an
attribute of `gnuradio.hsc`, called as its id without `hsc_`. Ports carry messages (PDUs, [their
schema](../pdu.md)) unless a type of sample is named. These pages are made from the files that GRC
reads.

"""


def pages(blocks: Mapping[str, Block]) -> dict[str, str]:
    """Pages and pictures by their path on the site. `blocks`: all of them by id."""
    found = {f"{FOLDER}/index.md": _index(blocks)}
    for category, ids in categories().items():
        found[f"{FOLDER}/{_name(category)}.md"] = _page(category, [blocks[id_] for id_ in ids])
    for block in blocks.values():
        found[f"{FOLDER}/{block.id}.svg"] = block_picture.svg(block)
    return found


def _name(title: str) -> str:
    """As it is called in an address, a heading's too."""
    return title.lower().replace(" ", "-")


def _index(blocks: Mapping[str, Block]) -> str:
    text = _INTRO
    toctree = "".join(f"{_name(category)}\n" for category in categories())
    text += f":::{{toctree}}\n:hidden:\n\n{toctree}:::\n"
    for category, ids in categories().items():
        rows = [(_link(blocks[id_]), escaped(blocks[id_].summary)) for id_ in ids]
        text += f"\n## [{category}]({_name(category)}.md)\n\n" + table(("block", "does"), rows)
    return text


def _link(block: Block) -> str:
    return f"[{block.label}]({_name(block.category)}.md#{_name(block.label)})"


def _page(category: str, blocks: Sequence[Block]) -> str:
    return f"# {category}\n" + "".join(map(_section, blocks))


def _section(block: Block) -> str:
    parts = [
        f"\n## {block.label}\n",
        f"![{block.label} as GNU Radio Companion draws it]({block.id}.svg)\n",
        *(escaped(paragraph) + "\n" for paragraph in block.intro),
        f"Id `{block.id}`, in Python `gnuradio.hsc.{block.id.removeprefix('hsc_')}`.\n",
        _ports("Input", block.inputs, block.remarks["Input"]),
        _ports("Output", block.outputs, block.remarks["Output"]),
        _parameters(block.parameters, block.remarks["Parameters"]),
    ]
    return "\n".join(part for part in parts if part)


def _ports(title: str, ports: Sequence[Port], remarks: Sequence[str]) -> str:
    rows = [(f"`{port.name}`", _type(port), escaped(port.text)) for port in ports]
    return _titled(title, table(("port", "type", "what"), rows) if rows else "", remarks)


def _type(port: Port) -> str:
    return f"{port.domain} {port.dtype}".strip() + (", optional" if port.optional else "")


def _parameters(parameters: Sequence[Parameter], remarks: Sequence[str]) -> str:
    rows = [(f"{escaped(each.label)} `{each.id}`", _values(each), escaped(each.text)) for each in parameters]
    head = ("parameter, id", "default", "what")
    return _titled("Parameters", table(head, rows) if rows else "", remarks)


def _values(parameter: Parameter) -> str:
    """The default, and the values that GRC offers, with what it calls each where that is something else."""
    default = f"`{parameter.default}`" if parameter.default else "empty"
    options = ", ".join(_option(value, label) for value, label in parameter.options)
    return f"{default}; of {options}" if options else default


def _option(value: str, label: str) -> str:
    code = f"`{value}`" if value else "empty"
    return code if label in (value, "") else f"{code} ({escaped(label)})"


def _titled(title: str, table_: str, remarks: Sequence[str]) -> str:
    if not table_ and not remarks:
        return ""
    parts = [f"**{title}**\n", table_, *(escaped(each) + "\n" for each in remarks)]
    return "\n".join(part for part in parts if part)
