"""A system from outside, tests/plugin, pip-installed: it works in every command, in GNU Radio and in GRC,
with no file of ours changed. Broken ones are a line each.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, TESTS
from support.pixel_codec import picture

RUN = ROOT / "python" / "run.py"
INSTALLED = os.environ.get("HSC_TEST_INSTALLED") == "1"
GR_HSC = ("-m", "gnuradio.hsc.app") if INSTALLED else (RUN, "gnuradio.hsc.app")
PAGE = ROOT / "docs" / "adding-a-system.md"


def python(*arguments, cwd, path="", **environment):
    """Run Python with this folder of packages."""
    return subprocess.run(
        [sys.executable, "-P", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder into which pip has installed the plug-in, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(TESTS / "plugin", folder / "source")  # setuptools writes beside what it builds
    offline = ("--no-index", "--no-build-isolation", "--no-deps", "--no-compile", "--quiet")
    options = ("--disable-pip-version-check", "--target", folder / "site")
    done = python("-m", "pip", "install", *offline, *options, folder / "source", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with two photographs of each kind."""
    folder = tmp_path_factory.mktemp("data")
    for part, suffix, side in (("photos/train", "jpg", 200), ("kodak", "png", 96)):
        (folder / part).mkdir(parents=True)
        for seed in range(2):
            Image.fromarray(picture(side, side, seed=seed)).save(folder / part / f"{seed}.{suffix}")
    return folder


@pytest.fixture
def gr_hsc(site, tmp_path):
    """Runs a command, in a folder with image.png; it must end with exit status `status`."""
    Image.fromarray(picture(64, 96)).save(tmp_path / "image.png")

    def run(*arguments, status=0, **environment):
        done = python(*GR_HSC, *arguments, cwd=tmp_path, path=site, **environment)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.mark.gnuradio
def test_send(gr_hsc):
    given = (
        "--codec",
        "thumbnail",
        "--factor",
        "4",
        "--rx-option",
        "sharpness=0.5",
        "--cbr",
        "1",
        "--snr",
        "15",
    )
    (entry,) = json.loads(gr_hsc("send", "image.png", *given, "--json").stdout)
    assert entry["parameters"] == {"factor": 4} and entry["psnr_db"] > 25
    assert entry["codec_options"]["sharpness"] == 0.5 and entry["error"] is None


def test_an_error_of_its_codec_is_a_line_as_of_ours(gr_hsc):
    given = ("--codec", "thumbnail", "--mcs", "64QAM-13/16", "--snr", "2", "--cbr", "1")
    done = gr_hsc("simulate", "image.png", *given, "--json", status=1)
    (entry,) = json.loads(done.stdout)
    assert entry["error"].startswith("nothing of the thumbnail arrived")


@pytest.mark.gnuradio
def test_tx_and_rx_through_a_recording(gr_hsc, tmp_path):
    gr_hsc(
        "tx",
        "image.png",
        "--radio",
        "file:sent.sigmf-meta",
        "--codec",
        "thumbnail",
        "--cbr",
        "1",
        "--snr",
        "15",
    )
    gr_hsc("rx", "--radio", "file:sent.sigmf-meta", "--out", "received", "--rx-option", "sharpness=0.0")
    (entry,) = map(json.loads, (tmp_path / "received" / "received.jsonl").read_text().splitlines())
    assert entry["codec"] == "thumbnail" and entry["error"] is None
    received = np.asarray(Image.open(tmp_path / "received" / entry["file"])).astype(float)
    assert np.abs(received - picture(64, 96)).mean() < 20


def test_compare(gr_hsc, tmp_path):
    given = ("--codecs", "thumbnail,softcast", "--snr", "10,20", "--workers", "0", "--out", "compared")
    gr_hsc("compare", "image.png", *given)
    found = json.loads((tmp_path / "compared" / "image_compare.json").read_text())
    assert [series["name"] for series in found["series"]] == ["thumbnail", "softcast"]


def test_train(gr_hsc, data, tmp_path):
    done = gr_hsc("train", "thumbnail", "--steps", "20", "--data", data, "--out", "runs")
    card = json.loads((tmp_path / "runs" / "thumbnail.json").read_text())
    assert card["steps"] == 20 and card["recipe"]["factors"] == [4, 8, 16]
    assert "PSNR of Kodak's photographs [dB]" in done.stdout


def test_evaluate(gr_hsc, data, tmp_path):
    gr_hsc("evaluate", "thumbnail-snr", "--quick", "--data", data, "--workers", "0", "--out", "figures")
    found = json.loads((tmp_path / "figures" / "thumbnail-snr.json").read_text())
    sharpened, enlarged = found["series"]
    assert sharpened["x"]["values"] == [5, 15] and min(sharpened["y"]["values"]) > 15
    assert sharpened["y"]["values"] != enlarged["y"]["values"]
    assert (tmp_path / "figures" / "thumbnail-snr.png").is_file()


@pytest.mark.gnuradio
def test_doctor_and_codecs(gr_hsc, site, tmp_path):
    lines = python(
        *GR_HSC, "doctor", cwd=tmp_path, path=site
    ).stdout.splitlines()  # other lines may be bad here
    found = {line[5:].split("  ")[0]: line for line in lines}
    assert found["plug-ins"].startswith("ok ") and found["plug-ins"].endswith("thumbnail (Thumbnail)")
    assert found["weights"].startswith("ok ") and " files in 2 folders, " in found["weights"]
    told = json.loads(gr_hsc("codecs", "thumbnail", "--json").stdout)
    assert told["number"] == 200 and told["weights"] == {"thumbnail": True}
    assert Path(told["page"]) == site / "hsc_thumbnail" / "thumbnail.md" and Path(told["page"]).is_file()
    assert (told["recipes"], told["figures"]) == (["thumbnail"], ["thumbnail-snr"])
    options = {option["name"]: option for option in told["options"]}
    assert options["factor"]["flags"] == ["--factor"] and options["factor"]["choices"] == [4, 8, 16, 32]
    assert options["sharpness"]["end"] == "receiver" and options["sharpness"]["default"] == 1.0


@pytest.mark.gnuradio
def test_grc_compiles_and_runs_its_flowgraph(site, gr_hsc, tmp_path):
    """With its own block, and its codec in our Message Encoder, whose list was made without it."""
    grcc = shutil.which("grcc", path="/usr/bin:/usr/local/bin")
    if grcc is None:
        pytest.skip("grcc is not installed")
    assert python(RUN, ROOT / "grc" / "generate.py", "blocks", cwd=tmp_path).returncode == 0
    shared = site / "share" / "gnuradio"
    blocks = f"{tmp_path / 'blocks'}:{shared / 'grc' / 'blocks'}"
    start = (RUN,) if not INSTALLED else ()
    graph = shared / "examples" / "thumbnail" / "thumbnail.grc"
    done = python(*start, grcc, "-o", tmp_path, graph, cwd=tmp_path, path=site, GRC_BLOCKS_PATH=blocks)
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    done = python(*start, tmp_path / "thumbnail.py", cwd=tmp_path, path=site)
    assert done.returncode == 0, done.stdout + done.stderr
    (thumbnail,) = (tmp_path / "thumbnails").glob("*.png")
    assert Image.open(thumbnail).size == (24, 16)


def test_no_file_of_ours_names_it():
    """Outside its own folder, its test and the page that shows it."""
    for folder in ("python", "grc", "examples", "cmake"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".yml", ".in", ".txt", ".grc", ".cmake"):
                assert "hsc_thumbnail" not in path.read_text(encoding="utf-8"), path


def test_the_page_shows_its_files():
    """docs/adding-a-system.md, whose code thereby runs: a fence is the file that was named last before it."""
    page, shown = PAGE.read_text(), {}
    for fence in re.finditer(r"```(?:python|toml|yaml)\n(.*?)```\n", page, re.S):
        shown[re.findall(r"`(tests/plugin/[^`]+)`", page[: fence.start()])[-1]] = fence[1]
    files = [path for path in (TESTS / "plugin").rglob("*") if path.suffix in (".py", ".toml", ".yml")]
    for path in files:
        assert shown.pop(str(path.relative_to(ROOT))) == path.read_text(), f"{PAGE.name} shows another {path}"
    assert not shown


# ---- broken ones


GOOD = """
from gnuradio.hsc.codecs.system import CodecEntry, System
SYSTEM = System({name!r}, "", (CodecEntry({codec!r}, {number}, "{module}:Codec"),), recipes={recipes!r})
"""
BROKEN = {
    "b_import": "import no_such_package",
    "b_syntax": "SYSTEM = (",
    "b_nothing": "",
    "b_number": GOOD.format(name="one", codec="one", number=1, module="b_number", recipes=""),
    "b_own": GOOD.format(name="hsc", codec="two", number=201, module="b_own", recipes=""),
    "b_name": GOOD.format(name="three", codec="softcast", number=202, module="b_name", recipes=""),
    "b_first": GOOD.format(name="four", codec="four", number=203, module="b_first", recipes=""),
    "b_second": GOOD.format(name="five", codec="five", number=203, module="b_second", recipes=""),
    "b_codec": GOOD.format(name="odd", codec="odd", number=205, module="b_codec", recipes="b_codec:RECIPES")
    + "Codec, RECIPES = str, (1,)",
    "b_late": GOOD.format(
        name="six", codec="six", number=204, module="no_such_module", recipes="b_late:RECIPES"
    ),
}
SAYS = {
    "b_import": "No module named 'no_such_package'",
    "b_syntax": "SyntaxError",
    "b_nothing": "has no attribute 'SYSTEM'",
    "b_number": "codec 'one' has number 1: codecs from outside have 200 to 255",
    "b_own": "system 'hsc' is there already: give yours another name",
    "b_name": "codec 'softcast' of system 'three' is there already, in 'baselines': take another",
    "b_second": "number 203 of system",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Folder with packages that are each broken in another way; their entry points are read in this order."""
    folder = tmp_path_factory.mktemp("broken")
    for name, text in BROKEN.items():
        (folder / f"{name}.py").write_text(text)
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    points = "\n".join(f"{name} = {name}:SYSTEM" for name in BROKEN)
    (info / "entry_points.txt").write_text(f"[gnuradio.hsc.systems]\n{points}\n")
    return folder


def test_each_broken_plug_in_is_a_line_and_all_else_works(broken, tmp_path):
    Image.fromarray(picture(64, 96)).save(tmp_path / "image.png")
    given = ("simulate", "image.png", "--codec", "softcast", "--json")
    done = python(*GR_HSC, *given, cwd=tmp_path, path=broken)
    assert done.returncode == 0 and json.loads(done.stdout)[0]["psnr_db"] > 10
    lines = [line for line in done.stderr.splitlines() if "plug-in" in line]
    told = {re.search("plug-in '(.*?)'", line)[1]: line for line in lines}
    assert len(lines) == len(SAYS) and told.keys() == SAYS.keys(), done.stderr
    assert all(line.startswith("gr-hsc: plug-in ") and SAYS[name] in line for name, line in told.items())


def test_what_is_broken_further_in_ends_only_what_needs_it(broken, tmp_path):
    """A codec or recipe that cannot be imported: found when it is first needed."""
    done = python(*GR_HSC, "codecs", "--json", cwd=tmp_path, path=broken)
    assert done.returncode == 0
    assert [entry["codec"] for entry in json.loads(done.stdout)][:3] == ["hsc", "separate", "softcast"]
    assert "plug-in 'six' is left out here: no_such_module:Codec needs" in done.stderr
    assert "six" not in done.stdout
    lines = python(*GR_HSC, "doctor", cwd=tmp_path, path=broken).stdout.splitlines()
    (line,) = [line for line in lines if line.split()[1] == "plug-ins"]
    assert line.startswith("BAD") and all(text in line for text in SAYS.values())
    assert "no_such_module:Codec needs" in line and "there is no b_late:RECIPES" in line
    assert "b_codec:Codec is no Codec" in line and "1 of plug-in 'odd' is left out: it is no Recipe" in line
