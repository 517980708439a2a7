"""Sphinx's configuration; `build.py` calls it with the pages that `generators` make."""
# SPDX-License-Identifier: GPL-3.0-or-later

import importlib.util
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "python"), str(HERE)]

import run  # noqa: E402 - python/run.py
from generators import docstrings  # noqa: E402

run.attach()

project = "gr-hsc"
author = copyright = "The gr-hsc authors"
release = re.search(r'__version__ = "(.+)"', (ROOT / "python/hsc/__init__.py").read_text())[1]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
smartquotes_action = "D"  # dashes alone

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# Types stand in signatures without their module: where two have one name there is no link, or that of either.
suppress_warnings = ["ref.python"]
# Blocks are described without GNU Radio too; what draws with Qt, which cannot be made up, is then left out.
if importlib.util.find_spec("gnuradio.gr") is None:
    parts = ("analog", "blocks", "channels", "digital", "fec", "filter", "gr", "soapy", "uhd", "zeromq")
    autodoc_mock_imports = ["pmt", "PyQt5", "zmq", *(f"gnuradio.{part}" for part in parts)]
    suppress_warnings.append("autodoc.import_object")

html_theme = "furo"
html_title = f"gr-hsc {release}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False


def setup(app: object) -> None:
    """Docstrings are made reStructuredText before napoleon reads their sections."""

    def restructure(app, what, name, of, options, lines) -> None:
        lines[:] = docstrings.restructured(lines)

    app.connect("autodoc-process-docstring", restructure, priority=100)
