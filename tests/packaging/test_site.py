"""The site: its pages are made without Sphinx, and say all that there is; with Sphinx it is built."""

import ast
import importlib.util
import json
import posixpath
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import ROOT

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: GRC's files are YAML")
sys.path.insert(0, str(ROOT / "docs" / "site"))

from generators import api, blocks, docstrings, figures, gallery, links, markdown, notebook, pages  # noqa: E402

sys.path.pop(0)

SITE = ROOT / "docs" / "site"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.grc"))
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def found():
    """Every page by its path on the site."""
    return pages.pages()


@pytest.fixture(scope="module")
def known():
    """Every block by its id."""
    return blocks.read_all()


def words(text):
    return re.findall(r"\w+", text.replace("\\", ""))


# ---- blocks


@pytest.mark.parametrize("path", blocks.files(), ids=lambda path: path.name.partition(".")[0])
def test_every_block_is_there_with_all_that_its_file_says(path, found, known):
    """Read here anew, and by no code of the reference."""
    raw = yaml.safe_load(re.sub(r"@[\w-]+@", "''", path.read_text(encoding="utf-8")))
    place = f"blocks/{known[raw['id']].category.lower().replace(' ', '-')}.md"
    (section,) = re.findall(rf"^## {re.escape(raw['label'])}\n(.*?)(?=^## |\Z)", found[place], re.M | re.S)
    assert f"`{raw['id']}`" in section and f"]({raw['id']}.svg)" in section
    for title, usual in (("inputs", "in"), ("outputs", "out")):
        (rows,) = re.findall(rf"\*\*{title[:-1].capitalize()}\*\*\n(.*?)(?=\*\*|\Z)", section, re.S) or [""]
        listed = re.findall(r"^\| `(\w+)` \| (\w+)(?: (\w+))?(?:, (optional))? \|", rows, re.M)
        assert listed == [
            (
                each.get("id", usual),
                each["domain"],
                each["dtype"] if each["domain"] == "stream" else "",
                "optional" if each.get("optional") else "",
            )
            for each in raw.get(title, ())
        ]
    for each in raw.get("parameters", ()):
        ((label, values),) = re.findall(rf"^\| (.+?) `{each['id']}` \| (.+?) \| .*$", section, re.M)
        assert words(each["label"]) == words(label)
        if str(each.get("default", "")):
            assert values.startswith(f"`{each['default']}`")
        for option in each.get("options", ()):
            assert not option or f"`{option}`" in values
    said = [word for word in words(raw["documentation"]) if word not in ("Input", "Output", "Parameters")]
    missing = set(said) - set(words(section))
    assert not missing, "words of the documentation"


def test_a_list_that_the_code_fills_in_is_there(found):
    from gnuradio.hsc.codecs import registry

    assert all(f"`{name}`" in found["blocks/systems.md"] for name in registry.names())


@pytest.mark.parametrize("path", blocks.files(), ids=lambda path: path.name.partition(".")[0])
def test_its_picture_is_drawn_with_what_grc_shows(path, found, known):
    from xml.etree import ElementTree

    (block,) = [each for each in known.values() if each.path == path.relative_to(ROOT).as_posix()]
    picture = ElementTree.fromstring(found[f"blocks/{block.id}.svg"])
    width = float(picture.get("width"))
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    ports = [port.name for port in (*block.inputs, *block.outputs) if port.shown]
    shown = [each.label for each in block.parameters if each.shown]
    assert texts[0] == block.label and texts[len(texts) - len(ports) :] == ports
    assert [text.partition(": ")[0] for text in texts[1 : len(texts) - len(ports)]] == shown
    for each in picture.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(each.get("x")) >= 0 and float(each.get("x")) + float(each.get("width")) <= width


def test_what_grc_hides_is_not_drawn(known):
    """By the values that its parameters have at the start."""
    viewer, projection = known["hsc_image_viewer"], known["hsc_cr_projection"]
    assert all(port.shown for port in viewer.inputs)
    hidden = [each.id for each in projection.parameters if not each.shown]
    assert hidden == ["jpeg2000_ratio", "repair_share"]


# ---- flowgraphs, figures, notebook


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_flowgraph_is_in_the_gallery(name, found):
    text = found["flowgraphs.md"]
    assert f"./gr-hsc companion examples/{name}.grc" in text
    assert f"](images/grc_{name}.png)" in text, "./gr-hsc python docs/screenshots.py makes it"
    (graph,) = [each for each in gallery.flowgraphs() if each.name == name]
    assert graph.shows and graph.shows in text


def test_every_number_of_a_paper_is_beside_ours(found):
    text = found["figures.md"]
    for name, paper in figures.papers().items():
        (section,) = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
        rows = re.findall(r"^\| (?!---)(.+) \| (.+) \| (.+) \|$", section, re.M)
        printed = [float(theirs) for _, theirs, _ in rows if theirs != "paper"]
        for series in paper["series"]:
            for values in (series["y"]["values"], *series["also"].values()):
                assert set(values) <= set(printed), (name, series["name"])
        assert set(paper["findings"].values()) <= set(printed), name


@pytest.mark.parametrize(
    ("what", "theirs", "ours"),
    [
        (r"hda\_deepsc, with the key, da\_ratio 0.4: psnr \[dB\]", "36.62", "36.88"),
        (r"MSE lower than plain by NCR, mean over k \> 0 \[%\]", "74", "45"),
    ],
)
def test_ours_are_those_of_the_result_files(what, theirs, ours, found):
    what = what.replace(r"\>", ">")
    assert f"| {what} | {theirs} | {ours} |" in found["figures.md"]


def test_every_picture_of_a_figure_is_shown(found):
    for path in (ROOT / "docs" / "images").glob("*-*.png"):
        if re.match("(hsc|hda|lrisc|ds2c2)-", path.name):
            assert f"](images/{path.name})" in found["figures.md"], path.name


def test_a_notebook_is_a_page_with_its_pictures():
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
        {
            "cell_type": "code",
            "source": ["print(1)"],
            "outputs": [
                {"output_type": "stream", "text": ["1\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGVsbG8="}},
            ],
        },
    ]
    made = notebook.pages(json.dumps({"cells": cells}), "a/b.md")
    assert made["a/b-1.png"] == b"hello"
    assert made["a/b.md"].split("\n\n") == [
        "# Title\nText.",
        "```python\nprint(1)\n```",
        "```text\n1\n```",
        "![What the cell draws](b-1.png)\n",
    ]


# The interpreter finds nothing of GNU Radio.
ALONE = f"""
import runpy, sys, types
sys.modules["gnuradio"] = types.ModuleType("gnuradio")
sys.modules["gnuradio"].__path__ = [{str(ROOT / "python")!r}]
sys.modules["pmt"] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_notebook_runs_without_gnu_radio_and_gives_what_is_stored_in_it(tmp_path):
    """As many lines and pictures; the numbers may differ with the machine."""
    pytest.importorskip("accelerate", reason="accelerate is not installed: the notebook trains with it")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: the notebook draws with it")
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE, SITE / "run_notebook.py", NOTEBOOK, tmp_path / "done.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made, stored = (json.loads(path.read_text()) for path in (tmp_path / "done.ipynb", NOTEBOOK))

    def shape(book):
        outputs = [cell["outputs"] for cell in book["cells"] if cell["cell_type"] == "code"]
        return [[(each["output_type"], len(each.get("text", ()))) for each in cell] for cell in outputs]

    assert shape(made) == shape(stored)
    (line,) = [text for text in done_lines(made) if "mean PSNR before" in text]
    before, after = map(float, re.findall(r"([\d.]+) dB", line))
    assert after > before > 20
    assert NOTEBOOK.stat().st_size < 200_000, "stored outputs are to stay small"


def done_lines(book):
    outputs = [each for cell in book["cells"] for each in cell.get("outputs", ())]
    return [line for each in outputs for line in each.get("text", ())]


# ---- links


def test_every_link_leads_to_a_page_or_a_picture(found):
    for place, text in found.items():
        if place.endswith(".md"):
            for target in links.targets(text):
                there = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
                assert there in found, f"{place}: {target}"


def test_every_page_is_in_a_contents_list_or_says_that_it_is_in_none(found):
    listed = {"index.md"}
    for place, text in found.items():
        if place.endswith((".md", ".rst")):
            for tree in re.findall(r"(?:^:::\{|^\.\. )toctree\b(.*?)(?:^:::$|\Z)", text, re.M | re.S):
                names = [line.strip() for line in tree.splitlines() if line.strip() and ":" not in line]
                base = posixpath.dirname(place)
                listed |= {
                    posixpath.normpath(posixpath.join(base, f"{n}{s}"))
                    for n in names
                    for s in (".md", ".rst")
                }
    missing = [place for place in found if place.endswith((".md", ".rst")) and place not in listed]
    assert all("orphan: true" in found[place] for place in missing), missing


def test_links_of_the_repository_stay_right_where_a_page_moves():
    places = {
        "docs/pdu.md": "pdu.md",
        "examples/x.py": "source/examples/x.py.md",
        "docs/images/a.png": "images/a.png",
    }
    text = (
        "[a](../pdu.md#ports) and `[b](gone.md)`, ![c](../images/a.png)\n"
        "```sh\n[d](gone.md)\n```\n"
        "[e](https://example.org/x.md), [f](#here), [g](../../examples/x.py), [docs/pdu.md](../pdu.md)\n"
    )
    assert links.moved(text, "docs/systems/y.md", "systems/y.md", places.__getitem__) == (
        "[a](../pdu.md#ports) and `[b](gone.md)`, ![c](../images/a.png)\n"
        "```sh\n[d](gone.md)\n```\n"
        "[e](https://example.org/x.md), [f](#here), [g](../source/examples/x.py.md), [](../pdu.md)\n"
    )
    assert links.targets(text) == ["../pdu.md", "../images/a.png", "../../examples/x.py", "../pdu.md"]


def test_a_link_to_nothing_is_refused():
    with pytest.raises(KeyError, match="no-such-file"):
        links.moved("[a](no-such-file.md)", "README.md", "index.md", pages.Places().of)


# ---- the Python API


def test_every_module_is_in_the_api(found):
    named = set()
    for place, text in found.items():
        if place.startswith("api/"):
            named |= set(re.findall(r"automodule:: gnuradio\.hsc\.(\S+)", text))
    package = ROOT / "python" / "hsc"
    files = (path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py"))
    expected = {".".join(part for part in parts if part != "__init__") for parts in files}
    assert named == {name for name in expected if name and not name.endswith("__main__")}
    assert set(api.modules()) > {"", "phy", "systems.hsc"}


def test_a_docstring_keeps_its_code_and_nothing_is_markup_by_accident():
    lines = [
        "x_ = |h|, **options and `a | b`:",
        "- first",
        "- second",
        "",
        "    y ─▶ x_",
        "",
        "Args:",
        "    a: b*",
    ]
    assert docstrings.restructured(lines) == [
        r"x\_ = \|h\|, \*\*options and ``a | b``:",
        "",
        "- first",
        "- second",
        "",
        "::",
        "",
        "    y ─▶ x_",
        "",
        "Args:",
        r"    a: b\*",
    ]
    together = ["Attributes:", "    a, b: one, two", "    c: three"]
    assert docstrings.restructured(together) == ["Attributes:", "    a,b: one, two", "    c: three"]


def test_every_docstring_is_well_formed_as_the_site_reads_it():
    """The quick build below has few of them."""
    pytest.importorskip("sphinx", reason="sphinx is not installed: ./gr-hsc docs installs it")
    from docutils import nodes
    from docutils.core import publish_doctree
    from sphinx.ext.napoleon import Config, GoogleDocstring

    config, wrong = Config(napoleon_use_ivar=True), []
    quiet = {"report_level": 5, "halt_level": 5}
    for path in (ROOT / "python" / "hsc").rglob("*.py"):
        for text in docstrings_of(path):
            text = str(GoogleDocstring(docstrings.restructured(text.splitlines()), config))
            text = re.sub(r"^\.\. (rubric|py:\w+):: .*", "", text, flags=re.M)  # Sphinx's own
            said = publish_doctree(text, settings_overrides=quiet).findall(nodes.system_message)
            wrong += [f"{path}: {each.astext()}\n{text}" for each in said if each["level"] > 1]
    assert not wrong, wrong[0]


def docstrings_of(path):
    """Those of a file, but for what is written for click (\\b) and is on no page."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)
    )
    return [text for text in map(ast.get_docstring, nodes) if text and "\b" not in text]


def test_text_is_shown_as_it_is():
    assert markdown.escaped("a_b [dB] `c_d` <e>") == r"a\_b \[dB\] `c_d` \<e>"
    assert markdown.table(("a",), [("x | `y|z`",)]) == "| a |\n| --- |\n| x \\| `y\\|z` |\n"
    assert markdown.fenced("```\n", "text") == "````text\n```\n````\n"


# ---- building it


def requirements(name):
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def test_what_it_needs_is_pinned_once():
    locked = {canonicalize_name(each.name) for each in requirements("constraints.txt")}
    for each in requirements("requirements-docs.txt"):
        assert re.fullmatch(r"==[\w.]+", str(each.specifier)), each
        assert canonicalize_name(each.name) not in locked, f"{each}: constraints.txt has it"


def test_it_is_built_without_a_warning(tmp_path):
    """All but most of the API, which takes a minute."""
    for name in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: ./gr-hsc docs installs it")
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            SITE / "build.py",
            "--out",
            tmp_path / "out",
            "--work",
            tmp_path / "work",
            "--quick",
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out" / "index.html")
    assert "searchindex.js" in {path.name for path in (tmp_path / "out").iterdir()}
    assert 'id="gnuradio.hsc.phy.crc' in (tmp_path / "out" / "api" / "phy.html").read_text()
