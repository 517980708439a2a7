"""Writes the GRC files to another folder, with the lists that the code has filled in:

    python3 python/run.py grc/generate.py FOLDER

A file NAME.in becomes NAME: @CODECS@ the codecs of the registry, @SEMANTIC_CODECS@ those with a Semantic
Encoder, @MCS@ all modulation and coding schemes, @--FLAG@ the choices of a system's option by its flag.
The other files are copied. GRC takes any other value too where a parameter has `options` and is no `enum`,
such as a codec that is installed later.
"""
# SPDX-License-Identifier: GPL-3.0-or-later

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


def lists() -> dict[str, list[str]]:
    """Every list by its place in a file. Raises ImportError where a package is missing."""
    from gnuradio.hsc.codecs import registry
    from gnuradio.hsc.phy import mcs

    flags = {each.flag: each.described.choices for each in registry.shorthands()}
    return {
        **{flag: [str(choice) for choice in all_ if choice is not None] for flag, all_ in flags.items()},
        "CODECS": list(registry.names()),
        "SEMANTIC_CODECS": [entry.name for entry in registry.entries() if entry.semantic_encoder],
        "MCS": list(mcs.TABLE),
        "CODES": list(mcs.CODES),
    }


def filled(path: Path, known: dict[str, list[str]]) -> str:
    """Text of a file with its lists. Raises KeyError for the name of none."""
    return re.sub(r"@([\w-]+)@", lambda place: ", ".join(known[place[1]]), path.read_text(encoding="utf-8"))


def main(folder: Path) -> None:
    """Write all files, in the same folders below `folder`. Ends with one line where it cannot."""
    try:
        known = lists()
    except ImportError as error:
        sys.exit(
            f"gr-hsc: the lists of codecs for GRC cannot be made with {sys.executable}: {error}. "
            "Install requirements.txt there, or configure with -DPYTHON_EXECUTABLE=VENV/bin/python"
        )
    for path in sorted((*SOURCE.rglob("*.yml"), *SOURCE.rglob("*.yml.in"))):
        target = folder / path.relative_to(SOURCE).with_name(path.name.removesuffix(".in"))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = filled(path, known) if path.suffix == ".in" else path.read_text(encoding="utf-8")
        except KeyError as unknown:
            sys.exit(f"gr-hsc: {path}: there is no list @{unknown.args[0]}@, but {', '.join(known)}")
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
