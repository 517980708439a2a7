"""GRC files: every block has one, it loads without a complaint, and its template makes the block; the
examples compile and run.
"""

import atexit
import functools
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pmt
import pytest
import sigmf
import yaml
from gnuradio import gr, hsc
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.phy import mcs, numerology
from gnuradio.hsc.systems.deepjscc import denoisers
from gnuradio.hsc.systems.ds2c2.parameters import CODINGS, RATES
from gnuradio.hsc.systems.hsc import models as hsc_models
from PIL import Image
from support import ROOT

FILES = [path for path in sorted((ROOT / "grc").rglob("*")) if ".block.yml" in path.name]
NAMES = [path.name.partition(".")[0].removeprefix("hsc_") for path in FILES]
EXAMPLES = sorted((ROOT / "examples").glob("*.grc"))


def generate(folder):
    """Run grc/generate.py as CMake does."""
    command = [sys.executable, "-B", ROOT / "python" / "run.py", ROOT / "grc" / "generate.py", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@functools.cache
def installed_files():
    """Folder with the GRC files as they are installed."""
    folder = Path(tempfile.mkdtemp(prefix="hsc-grc-"))
    atexit.register(shutil.rmtree, folder)
    done = generate(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def platform():
    """GRC without its window, with our blocks."""
    pytest.importorskip("gnuradio.grc.core.platform")
    os.environ["GRC_BLOCKS_PATH"] = str(installed_files())
    from gnuradio.grc.core.platform import Platform

    version = gr.version(), (gr.major_version(), gr.api_version(), gr.minor_version())
    platform = Platform(name="test", prefs=gr.prefs(), version=version[0], version_parts=version[1])
    platform.build_library()
    return platform


def description(name):
    (path,) = installed_files().rglob(f"hsc_{name}.block.yml")
    return yaml.safe_load(path.read_text())


def test_every_block_has_a_file_and_a_place_in_the_tree():
    assert sorted(NAMES) == sorted(hsc.blocks.names())
    tree = yaml.safe_load((installed_files() / "hsc.tree.yml").read_text())["[HSC]"]
    places = {block: category for entry in tree for category, blocks in entry.items() for block in blocks}
    assert places == {f"hsc_{name}": description(name)["category"].removeprefix("[HSC]/") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_file_is_complete(name):
    block = description(name)
    assert (
        block["id"] == f"hsc_{name}"
        and block["flags"] == ["python"]
        and block["file_format"] == 1
        and "doc_url" not in block
    )
    assert all(f"\n{section}:\n" in block["documentation"] for section in ("Input", "Output", "Parameters"))
    for parameter in block.get("parameters", ()):
        labels = parameter.get("option_labels")
        assert labels is None or len(labels) == len(parameter["options"])


def test_options_are_those_of_the_code():
    def options(name, parameter):
        return next(
            [o for o in p["options"] if o] for p in description(name)["parameters"] if p["id"] == parameter
        )

    assert (
        options("digital_modulator", "mcs_name") == options("hsc_transmitter", "mcs_name") == list(mcs.TABLE)
    )
    assert options("ofdm_transmitter", "numerology") == list(numerology.PRESETS)
    ends = [f"{end}_receiver" for end in ("ofdm", "image", "hsc", "hda", "lrisc", "ds2c2")]
    for block in (*ends, "recorder"):
        assert options(block, "numerology") == [numerology.AUTO, *numerology.PRESETS]
    models = [
        name.removeprefix("hsc-mnist-vae-m") for name in hsc_models.MODELS.values() if "mnist-vae" in name
    ]
    assert options("semantic_encoder", "symbols") == options("hsc_transmitter", "symbols") == models
    codecs = list(registry.names())
    assert options("image_transmitter", "codec") == options("message_encoder", "codec") == codecs
    for end in ("encoder", "decoder"):
        served = [entry.name for entry in registry.entries() if entry.semantic_encoder]
        assert options(f"semantic_{end}", "codec") == served
        own = [entry.name for entry in registry.system_of("deepjscc").codecs]
        assert options(f"deepjscc_semantic_{end}", "codec") == own
    for block in ("transmitter", "residual_encoder"):
        assert tuple(options(f"ds2c2_{block}", "coding")) == CODINGS
        assert tuple(options(f"ds2c2_{block}", "rate")) == RATES
    assert options("denoiser", "kind") == ["none", *denoisers.KINDS]


def test_a_list_that_there_is_not_is_one_line(tmp_path):
    for part in ("grc", "python"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (tmp_path / "grc" / "hsc_new.block.yml.in").write_text("options: [@NO_SUCH_LIST@]")
    command = [sys.executable, tmp_path / "python/run.py", tmp_path / "grc/generate.py", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "there is no list @NO_SUCH_LIST@" in done.stderr


def test_a_python_without_the_packages_is_one_line(tmp_path):
    command = [
        sys.executable,
        "-S",
        ROOT / "python" / "run.py",
        ROOT / "grc" / "generate.py",
        tmp_path / "out",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "-DPYTHON_EXECUTABLE" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["image_transmitter", "message_encoder", "semantic_encoder"])
def test_any_codec_may_be_typed(platform, name):
    """Of a parameter with options that is no enum GRC makes an entry: a codec of a plug-in goes in there."""
    graph, block = new_block(platform, name)
    block.params["codec"].set_value("another")
    graph.rewrite()
    assert block.params["codec"].is_valid() and not block.params["codec"].is_enum()
    assert "'another'" in block.templates.render("make")


def new_block(platform, name):
    graph = platform.make_flow_graph()
    block = graph.new_block(f"hsc_{name}")
    if name == "feedback_sender":  # its default port may be another program's
        block.params["address"].set_value("tcp://127.0.0.1:*")
    graph.rewrite()
    return graph, block


@pytest.mark.parametrize("name", [name for name in NAMES if name != "image_viewer"])
def test_template_makes_the_block_and_callbacks_exist(platform, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some make files
    _, block = new_block(platform, name)
    assert block.params and not [text for p in block.params.values() for text in p.iter_error_messages()]
    made = eval(block.templates.render("make"), {"hsc": hsc})
    if inspect.isclass(getattr(hsc, name)):  # and no chooser
        assert isinstance(made, getattr(hsc, name))
    for call in block.templates.render("callbacks"):
        eval(f"made.{call}", {"made": made, "hsc": hsc})
    inside = {str(parameter["id"]) for parameter in description(name).get("parameters", ())}
    amounts = {"rank", "psnr_db", "cbr"}  # given as `amount` and `value`
    assert set(inspect.signature(getattr(hsc, name)).parameters) - amounts <= inside | {"seed"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "image_viewer"])
def test_ports_are_those_of_the_block(platform, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, block = new_block(platform, name)
    assert_ports(block, eval(block.templates.render("make"), {"hsc": hsc}))


@pytest.mark.parametrize("codec", [entry.name for entry in registry.entries() if entry.semantic_encoder])
@pytest.mark.parametrize("name", ["semantic_encoder", "semantic_decoder"])
def test_the_chooser_is_the_block_of_the_codecs_system(platform, name, codec):
    """What is hidden in GRC is handed to none, and what is called at run time is there."""
    graph, block = new_block(platform, name)
    block.params["codec"].set_value(codec)
    graph.rewrite()
    made = eval(block.templates.render("make"), {"hsc": hsc})
    assert type(made).__name__ == getattr(registry.entry(codec), name).partition(":")[2]
    assert_ports(block, made)
    for call in block.templates.render("callbacks"):
        eval(f"made.{call}", {"made": made})


def test_the_da_ratio_may_be_left_to_the_codec(platform):
    for name in ("hda_allocation", "hda_transmitter"):
        graph, block = new_block(platform, name)
        for value, good in (("None", True), ("1.5", True), ("11", False)):
            block.params["da_ratio"].set_value(value)
            graph.rewrite()
            block.validate()
            assert ("da_ratio" not in " ".join(block.get_error_messages())) == good
            if good:
                assert isinstance(eval(block.templates.render("make"), {"hsc": hsc}), getattr(hsc, name))


def assert_ports(block, made):
    """What GRC draws of a block's message ports are those that it has."""
    for ports, real, is_hier in (
        (block.active_sinks, made.message_ports_in, "message_port_is_hier_in"),
        (block.active_sources, made.message_ports_out, "message_port_is_hier_out"),
    ):
        drawn = {str(port.key) for port in ports if port.domain == "message"}
        if isinstance(made, gr.hier_block2):
            assert all(getattr(made, is_hier)(pmt.intern(port)) for port in drawn)
        else:
            assert set(pmt.to_python(real()) or ()) - {"system"} == drawn


def test_impossible_values_are_refused(platform):
    graph, block = new_block(platform, "symbol_channel")
    block.params["loss"].set_value("1.5")
    graph.rewrite()
    block.validate()
    assert "0 <= loss <= 1" in " ".join(block.get_error_messages())


def environment():
    """Of a process that finds `gnuradio.hsc` where this one does, and our blocks."""
    site = "import gnuradio, sys; gnuradio.__path__[:] = {!r}".format(list(__import__("gnuradio").__path__))
    return {
        **os.environ,
        "GRC_BLOCKS_PATH": str(installed_files()),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_NUM_THREADS": "1",
    }, site


def run(arguments, site, env, cwd, seconds):
    """Run Python code or a file after `site`; the exit status 0 is required."""
    script = f"{site}\nimport runpy, sys\nsys.argv = {[str(a) for a in arguments]!r}\n"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# A refiner without weights leaves images as they are.
UNTRAINED = """
from gnuradio.hsc.refiner import network, refine
refine.load_network = network.RefinerNetwork
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Folder with the example flowgraphs as grcc makes them."""
    grcc = next((p for p in map(Path, ("/usr/bin/grcc", "/usr/local/bin/grcc")) if p.exists()), None)
    if grcc is None:
        pytest.skip("grcc is not installed")
    folder = tmp_path_factory.mktemp("grcc")
    env, site = environment()
    text = run([grcc, "-o", folder, *EXAMPLES], site, env, folder, 120)
    assert "rror" not in text, text
    return folder


def test_examples_compile(compiled):
    assert {p.stem for p in compiled.glob("*.py")} == {p.stem for p in EXAMPLES}
    simulated, radio = (
        (
            *("hda_fine_blocks", "hda_image_link", "hsc_image_link", "hsc_loopback"),
            *("lrisc_fine_blocks", "lrisc_image_link", "ds2c2_image_link", "ds2c2_layers"),
        ),
        ("ota_rx", "ota_tx", "record_and_replay", "zmq_loopback"),
    )
    assert [p.stem for p in EXAMPLES] == sorted((*simulated, *radio))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("hsc_loopback", (".png", ".jpg")),
        ("hda_fine_blocks", (".jpg",)),
        ("lrisc_fine_blocks", (".jpg",)),
    ],
)
def test_fine_blocks_run_as_they_are_and_end(compiled, tmp_path, name, kinds):
    env, site = environment()
    text = run([compiled / f"{name}.py"], f"{site}\n{UNTRAINED}", env, tmp_path, 240)
    folder = tmp_path / f"{name.partition('_')[0]}_received"
    received = {p.stem: Image.open(p).size for p in folder.glob("*.png")}
    sent = {p.stem: Image.open(p).size for p in (ROOT / "examples" / "images").iterdir() if p.suffix in kinds}
    assert received == sent and "error" not in text


def test_headless_example(tmp_path):
    env, site = environment()
    arguments = [
        ROOT / "examples" / "hsc_headless.py",
        "--rank",
        "28",
        "--out",
        tmp_path,
        ROOT / "examples" / "images" / "digit_[0-2].png",
    ]
    text = run(arguments, site, env, tmp_path, 120)
    quality = [
        float(line.split("PSNR")[1].split()[0]) for line in text.splitlines() if line.startswith("digit_")
    ]
    assert len(quality) == 3 and min(quality) > 25


WATCH = """
import signal, sys
from PyQt5 import QtCore, QtWidgets
from gnuradio import qtgui
sys.path.insert(0, {folder!r})
import {name} as module
app = QtWidgets.QApplication(sys.argv)
top = module.{name}()
top.resize(1140, 860); top.start(); top.show()
def look():
    came = top.viewer.counters['images']
    if came == 1: {change}
    if came >= {wanted} or look.count > 1200:
        top.stop(); top.wait(); app.quit()
    look.count += 1
look.count = 0
timer = QtCore.QTimer(); timer.timeout.connect(look); timer.start(100)
app.exec_()
print('SEEN', top.viewer.counters['images'], {tell})
"""


def watch(compiled, folder, name, change, wanted, tell):
    """Run a GUI example offscreen, change something after the first image, and return what it tells after
    some images.
    """
    pytest.importorskip("PyQt5")
    env, site = environment()
    script = folder / "watch.py"
    script.write_text(WATCH.format(folder=str(compiled), name=name, change=change, wanted=wanted, tell=tell))
    text = run([script], f"{site}\n{UNTRAINED}", env, folder, 240)
    seen, *told = re.search(r"SEEN (\d+) (.*)", text).groups()
    assert int(seen) >= wanted, text
    return told[0]


def test_hsc_window_shows_images_and_the_rank_slider_works(compiled, tmp_path):
    assert (
        watch(
            compiled,
            tmp_path,
            "hsc_image_link",
            "top.set_rank(3)",
            4,
            "top.transmitter.cr_projection.counters['rank']",
        )
        == "3"
    )


def test_hda_window_shows_images_and_the_mcs_follows_the_snr(compiled, tmp_path):
    """At 10 dB the way back brings the modulator from its start without knowledge to 16QAM; without the key
    every chunk stays closed.
    """
    fusions = ("top.eavesdropper.fusion", "top.receiver.fusion")
    errors = ", ".join(f"{fusion}.counters['errors']" for fusion in fusions)
    told = f"top.transmitter.allocation._link.snr_db, {errors}"
    snr_db, closed, errors = watch(compiled, tmp_path, "hda_image_link", "None", 3, told).split()
    assert abs(float(snr_db) - 10) < 1.5 and int(closed) >= 1 and int(errors) == 0


def test_lrisc_window_shows_images_before_and_behind_the_refiner_and_its_sliders_work(compiled, tmp_path):
    """What is moved after the first image is what the blocks have, and the region comes with the images."""
    change = "(top.set_steps(1), top.set_realism(0.5), top.set_inverse_cbr(12), top.set_roi('0,0,64,64'))"
    shown = "top.viewer.model.snapshot().picture"
    told = (
        "top.receiver.refiner._options.refiner_steps, top.receiver.refiner._options.realism, "
        "round(1 / top.transmitter.allocation._link.cbr), "
        "round(1 / top.transmitter.latent_encoder._link.cbr), "
        f"{shown}.region.sum(), {shown}.region[0, 0], top.receiver.refiner.counters['errors'], "
        "top.before.counters['images'] > 0"
    )
    found = watch(compiled, tmp_path, "lrisc_image_link", change, 4, told)
    assert found.split() == ["1", "0.5", "12", "12", "64", "True", "0", "True"]


def test_ds2c2_layers_show_base_map_and_image_and_the_erasures_slider_works(compiled, tmp_path):
    """Figure 1: with every block erased the image is nearly the base layer's."""
    layers = "top.base.counters['images'], top.labels.counters['images']"
    counts = "top.erasure.counters['erased_bytes'] > 0, top.residual_decoder.counters['errors']"
    told = f"min({layers}) > 1, {counts}, round(top.erasure._share, 2)"
    assert watch(compiled, tmp_path, "ds2c2_layers", "top.set_share(0.5)", 3, told) == "True True 0 0.5"


def test_ds2c2_window_shows_images_through_drop_outs_and_its_sliders_work(compiled, tmp_path):
    change = "(top.set_dropouts(0.1), top.set_inverse_cbr(6), top.set_repair(0.7))"
    told = (
        "round(1 / top.transmitter.base_encoder._link.cbr), "
        "round(1 / top.transmitter.residual_encoder._link.cbr), "
        "top.transmitter.base_encoder._options.repair_share, top.gate.hi(), "
        "top.labels.counters['images'] > 0"
    )
    found = watch(compiled, tmp_path, "ds2c2_image_link", change, 4, told).split()
    assert found[:3] == ["6", "6", "0.7"] and float(found[3]) == pytest.approx(-0.8) and found[4] == "True"


def test_inputs_that_are_waited_for_must_be_connected(platform):
    graph, block = new_block(platform, "image_source")
    for in_flight, complaints in (("2", 1), ("0", 0)):
        block.params["in_flight"].set_value(in_flight)
        graph.rewrite()
        block.sinks[0].validate()
        assert len(block.sinks[0].get_error_messages()) == complaints


def test_both_ends_in_one_window_meet_over_zeromq(compiled, tmp_path):
    received = "len(list(__import__('pathlib').Path('zmq_received').glob('*.png')))"
    told = f"top.radio_source.counters['samples'] > 0 and {received} >= 2"
    assert watch(compiled, tmp_path, "zmq_loopback", "None", 3, told) == "True"


def test_what_is_received_is_recorded_and_a_recording_is_replayed(compiled, tmp_path):
    assert (
        watch(compiled, tmp_path, "record_and_replay", "None", 2, "top.replayed.counters['images'] == 1")
        == "True"
    )
    recorded = sigmf.fromfile(tmp_path / "capture.sigmf-meta")
    recorded.validate()
    assert len(recorded.get_annotations()) > 10


def test_two_flowgraphs_are_two_ends_of_a_link(compiled, tmp_path):
    """ota_tx and ota_rx as two programs, with `channel` between."""
    env, site = environment()
    folder = tmp_path / "rx"
    folder.mkdir()
    ends = ["zmq:tcp://127.0.0.1:5555", "zmq:tcp://127.0.0.1:5556"]
    options = "'channel', '--in', {!r}, '--out', {!r}, '--snr', '20'"
    call = f"from gnuradio.hsc.app.cli import main; main([{options}], standalone_mode=False)"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", f"{site}\n{script}"],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for script in (
            call.format(*ends),
            f"import runpy; runpy.run_path({str(compiled / 'ota_tx.py')!r}, run_name='__main__')",
        )
    ]
    try:
        assert (
            watch(
                compiled,
                folder,
                "ota_rx",
                "None",
                2,
                "len(list(__import__('pathlib').Path('ota_received').glob('*.png'))) >= 1",
            )
            == "True"
        )
    finally:
        for process in others:
            process.kill()
            process.wait()
