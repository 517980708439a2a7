"""A notebook as a page: its text, its code and the outputs that are stored in it. Nothing is run."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from .markdown import fenced


def pages(text: str, place: str, move: Callable[[str], str] = str) -> dict[str, str | bytes]:
    """The page and its pictures, by their path on the site.

    Args:
        text: of the .ipynb file.
        place: path of the page, ending in .md.
        move: makes the links of a text cell right there.
    """
    parts: list[str] = []
    pictures: dict[str, str | bytes] = {}
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"{move(source)}\n" if cell["cell_type"] == "markdown" else fenced(source, "python"))
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream":
                parts.append(fenced("".join(output["text"]), "text"))
            elif picture := output.get("data", {}).get("image/png"):
                name = f"{place.removesuffix('.md')}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(picture))
                parts.append(f"![What the cell draws]({name.rpartition('/')[2]})\n")
    return {place: "\n".join(parts), **pictures}
