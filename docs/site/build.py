"""Builds the site: ./gr-hsc docs [--out FOLDER] [--quick].

Pages are written to build/site (--work), where only those that have changed are touched, and Sphinx makes
HTML of them. A warning of Sphinx, such as for a link without a target, is an error.
"""
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "python")]

import run  # noqa: E402 - python/run.py
from generators.pages import Pages, pages  # noqa: E402


def write(found: Pages, folder: Path) -> None:
    """Make a folder hold these pages and nothing else; files that are so already keep their time."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in found:
            path.unlink()
    for place, content in found.items():
        if isinstance(content, Path):
            content = content.read_bytes()
        data = content.encode() if isinstance(content, str) else content
        path = folder / place
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(prog="gr-hsc docs", description="Make the documentation as HTML.")
    build = ROOT / "build"
    parser.add_argument("--out", type=Path, default=build / "docs", help="folder for it (build/docs)")
    parser.add_argument("--work", type=Path, default=build / "site", help="folder for pages (build/site)")
    parser.add_argument("--quick", action="store_true", help="leave out most of the Python API")
    arguments = parser.parse_args()
    run.attach()
    from sphinx.cmd.build import main as sphinx

    write(pages(("phy",) if arguments.quick else None), arguments.work / "pages")
    options = ["-q", "-W", "--keep-going", "-c", str(HERE), "-d", str(arguments.work / "doctrees")]
    status = sphinx([*options, str(arguments.work / "pages"), str(arguments.out)])
    if not status:
        print(arguments.out.resolve() / "index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
