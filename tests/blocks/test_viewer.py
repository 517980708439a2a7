"""Image Viewer: what it knows and forgets, what it paints, and what a screen shows while images arrive."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import gnuradio
import numpy as np
import pmt
import pytest
import yaml
from gnuradio import hsc
from gnuradio.hsc import metrics
from gnuradio.hsc.blocks import pdu
from gnuradio.hsc.blocks.viewer import model as viewer_model
from gnuradio.hsc.blocks.viewer.block import PANELS
from gnuradio.hsc.blocks.viewer.drawing import (
    DARK,
    LIGHT,
    Rect,
    cells,
    draw,
    layout,
    span,
    ticks,
    to_image,
)
from gnuradio.hsc.blocks.viewer.model import PacketState, View, ViewerModel, shrink
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy.header import Header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PyQt5 import QtCore, QtGui, QtWidgets, sip
from support import ROOT
from support.pdus import damaged, examples
from support.pixel_codec import picture
from support.processes import GR_HSC, SITE

WAIT = 60
HEADER = Header(1, 7, 0, 8, (48, 64, 3), 4000, 300, (("16QAM-1/2", 2000),))


def render(view, width, height, theme=LIGHT, title="", everything=True):
    """A view as a picture of width x height pixels."""
    image = QtGui.QImage(width, height, QtGui.QImage.Format_RGB32)
    painter = QtGui.QPainter(image)
    draw(painter, Rect(0, 0, width, height), view, theme, title, everything)
    painter.end()
    return image


@pytest.fixture(scope="module", autouse=True)
def application():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["test"])


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def model(**arguments):
    clock = Clock()
    return ViewerModel(clock=clock, **arguments), clock


def received(index, header=HEADER, variance=0.1, seed=0):
    """Arguments of `add_packet`: QPSK at ±0.5 for the analog symbols, ±1 for the digital ones."""
    header = replace(header, index=index)
    analog = header.slices()[0]
    points = (
        np.random.default_rng(seed)
        .choice([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j], header.payload_symbols)
        .astype(np.complex64)
    )
    points[: analog.stop - analog.start] *= 0.5
    return header, points, np.full(header.payload_symbols, variance, np.float32), 10.0


def pixels(image):
    """QImage → uint8 (H, W, 3)."""
    image = image.convertToFormat(QtGui.QImage.Format_RGB888)
    data = image.constBits().asarray(image.sizeInBytes())
    return (
        np.frombuffer(data, np.uint8)
        .reshape(image.height(), image.bytesPerLine())[:, : 3 * image.width()]
        .reshape(image.height(), -1, 3)
        .copy()
    )


def colour(name):
    return np.array(QtGui.QColor(name).getRgb()[:3])


def near(region, name, tolerance=12):
    """Share of a region's pixels that have about this colour."""
    return float((np.abs(region.astype(int) - colour(name)).max(-1) <= tolerance).mean())


def part(shown, place):
    return shown[int(place.top()) + 1 : int(place.bottom()), int(place.left()) + 1 : int(place.right())]


# ---- what it knows


def test_an_image_builds_up_and_a_partial_one_never_follows_the_final_one():
    viewed, _ = model()
    final, rough = picture(), picture() // 2
    viewed.add_original(7, final, "lake")
    viewed.add_image(7, rough, stage="3 of 8 packets so far", partial=True)
    shown = viewed.snapshot()
    assert (
        shown.picture.partial
        and shown.picture.name == "lake"
        and np.array_equal(shown.original.pixels, final)
    )
    assert shown.picture.psnr_db == pytest.approx(metrics.psnr_db(rough, final)) and len(shown.psnr_db) == 0
    viewed.add_image(7, final, snr_db=9.0, stage="all of 8 packets")
    viewed.add_image(7, rough, partial=True)
    shown = viewed.snapshot()
    assert (
        not shown.picture.partial
        and shown.picture.psnr_db == 100
        and len(shown.psnr_db) == 1
        and shown.history == ()
    )
    viewed.add_image(8, rough, partial=True)
    shown = viewed.snapshot()
    assert (
        shown.original is None
        and [p.message_id for p in shown.history] == [7]
        and shown.picture.psnr_db is None
    )


def test_the_caption_says_what_a_partial_image_is_made_of():
    viewer, pixels = hsc.image_viewer(), np.zeros(12, np.uint8)
    for part, wanted in (("SR alone", "SR alone, 2 of 8 packets so far"), (None, "2 of 8 packets so far")):
        viewer._partial(pdu.Image(7, (2, 2, 3), pixels, packets=8, packets_received=2, part=part))
        assert viewer.model.snapshot().picture.stage == wanted
    whole = pdu.Image(7, (2, 2, 3), pixels, packets=8, packets_received=8, part="before the refiner")
    viewer._partial(whole)
    assert viewer.model.snapshot().picture.stage == "before the refiner"


def test_quality_of_somebody_else_is_taken_where_no_original_is_known():
    viewed, _ = model()
    viewed.add_quality(5, 30.0, "early")
    viewed.add_image(5, picture())
    viewed.add_quality(5, 31.5, "lake")
    shown = viewed.snapshot()
    assert (shown.picture.psnr_db, shown.picture.name) == (31.5, "lake") and shown.psnr_db.tolist() == [
        [0.0, 31.5]
    ]


def test_packet_map_tells_received_erased_lost_and_pending_apart():
    viewed, _ = model()
    for index in (0, 1, 4):
        viewed.add_packet(*received(index))
    viewed.add_packet(*received(2, variance=np.inf))
    R, P, E, L = PacketState.RECEIVED, PacketState.PENDING, PacketState.ERASED, PacketState.LOST
    assert viewed.snapshot().packets.states.tolist() == [R, R, E, L, R, P, P, P]
    viewed.add_image(7, picture(), stage="4 of 8 packets came")
    assert viewed.snapshot().packets.states.tolist() == [R, R, E, L, R, L, L, L]
    viewed.add_packet(*received(6))  # another port may be served later
    assert viewed.snapshot().packets.states.tolist() == [R, R, E, L, R, L, R, L]
    viewed.add_packet(*received(3, replace(HEADER, message_id=8, codec=250)))
    shown = viewed.snapshot().packets
    assert (shown.message_id, shown.codec, shown.states.tolist()) == (
        8,
        "codec 250",
        [L, L, L, R, P, P, P, P],
    )


def test_constellations_hold_the_newest_symbols_of_each_kind():
    viewed, _ = model()
    for index in range(8):
        viewed.add_packet(*received(index))
    shown = viewed.snapshot()
    assert len(shown.analog) == len(shown.digital) == viewer_model.POINTS
    assert np.allclose(np.abs(shown.analog), 0.5 * np.sqrt(2)) and np.allclose(
        np.abs(shown.digital), np.sqrt(2)
    )
    assert shown.mcs == "16QAM-1/2" and shown.constellations == ((4, ()),)
    viewed.add_packet(*received(0, replace(HEADER, message_id=9), variance=np.inf))
    assert np.array_equal(viewed.snapshot().digital, shown.digital)


def test_curves_are_thinned_and_in_seconds_before_now():
    viewed, clock = model()
    for i in range(4 * viewer_model.CURVE_POINTS):
        clock.now += viewer_model.CURVE_STEP / 2 + 1e-6
        viewed.add_snr(10.0 if i % 2 else 12.0)
    viewed.add_snr(float("nan"))
    curve = viewed.snapshot().snr_db
    assert len(curve) == viewer_model.CURVE_POINTS and np.all(np.abs(curve[:, 1] - 11) <= 1)
    assert curve[-1, 0] <= viewer_model.CURVE_STEP and curve[0, 0] == pytest.approx(60, rel=0.05)
    viewed.add_packet(*received(0))
    viewed.add_snr(50.0)
    assert viewed.snapshot().snr_db[:, 1].max() < 50


def test_memory_is_bounded():
    viewed, _ = model(history=4)
    large = np.zeros((1500, 2000, 3), np.uint8)
    for i in range(9):
        viewed.add_original(i, large)
    assert sum(kept.nbytes for kept, _ in viewed._originals.values()) <= viewer_model.ORIGINAL_BYTES
    small = picture()
    for i in range(300):
        viewed.add_original(i, small)
        viewed.add_image(i, small)
    shown = viewed.snapshot()
    assert len(viewed._originals) == viewer_model.ORIGINALS and len(shown.history) == 4
    viewed.add_image(1000, large)
    assert max(viewed.snapshot().picture.pixels.shape) <= viewer_model.LARGEST_SIDE


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([1, 3]), st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_shrinking_keeps_the_mean_and_the_limit(height, width, channels, side):
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)
    small = shrink(image, side)
    assert max(small.shape[:2]) <= side and small.shape[2] == channels and min(small.shape[:2]) >= 1
    if small.size > 500 and height % small.shape[0] == width % small.shape[1] == 0:
        assert abs(small.mean() - image.mean()) < 3


# ---- what it paints


def test_a_region_of_interest_is_outlined_where_it_is_and_a_wrong_one_is_counted():
    viewer = hsc.image_viewer()
    grey, region = np.full((40, 60, 3), 128, np.uint8), np.zeros((5, 8), np.uint8)
    region[1:4, 2:6] = 1
    viewer._image(pdu.Image(7, grey.shape, grey.ravel(), region=region.ravel()))
    view = viewer.model.snapshot()
    place = layout(Rect(0, 0, 600, 460), view, False)["picture"]
    shown = part(pixels(render(view, 600, 460, LIGHT, "", False)), place)
    rows, columns = np.nonzero(np.abs(shown.astype(int) - colour("#fdd835")).max(-1) < 30)
    scale = min(shown.shape[1] / 60, (shown.shape[0] - 54) / 40)
    left, top = (shown.shape[1] - 60 * scale) / 2, 18 + (shown.shape[0] - 54 - 40 * scale) / 2
    found = [(columns.min() - left) / scale, (columns.max() - left) / scale]
    found += [(rows.min() - top) / scale, (rows.max() - top) / scale]
    assert found == pytest.approx([16, 48, 8, 32], abs=0.7)
    viewer._image(pdu.Image(8, grey.shape, grey.ravel(), region=region.ravel()[:-1]))
    assert viewer.counters["errors"] == 1 and viewer.model.snapshot().picture.message_id == 8
    assert viewer.model.snapshot().picture.region is None


def everything():
    """A view with something in every panel."""
    viewed, clock = model()
    for i in range(4):
        viewed.add_original(i, picture(seed=i), f"image {i}")
        viewed.add_image(i, picture(seed=i) // 2 + 60, snr_db=9.0 + i, stage="all of 8 packets")
        clock.now += 5
    for index in (0, 1, 4):
        viewed.add_packet(*received(index, replace(HEADER, message_id=4)))
        clock.now += 1
    viewed.add_note("Message Decoder: something")
    return viewed.snapshot()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_panel_shows_what_it_should(theme):
    view = everything()
    shown = pixels(render(view, 1000, 860, theme, "Received"))
    places = layout(Rect(0, 0, 1000, 860), view)
    for name, wanted in (("picture", view.picture.pixels), ("original", view.original.pixels)):
        region = part(shown, places[name])
        inside = region[20:-40]
        scale = min(inside.shape[1] / 64, inside.shape[0] / 48)
        height, width = int(48 * scale), int(64 * scale)
        top, left = (inside.shape[0] - height) // 2, (inside.shape[1] - width) // 2
        sample = [(np.arange(n) + 0.5) * scale for n in (48, 64)]
        found = inside[np.int64(top + sample[0])][:, np.int64(left + sample[1])]
        assert metrics.psnr_db(found, wanted) > 25
    tiles = part(shown, places["packets"])[22:-6]
    assert [
        near(tiles, c) > share for c, share in zip(theme.states, (0.02, 0.02, 0.01, 0.01), strict=True)
    ] == [True, True, False, True]
    assert near(part(shown, places["analog"]), theme.analog, 60) > 0.0005
    assert near(part(shown, places["digital"]), theme.digital, 60) > 0.0005
    assert (
        near(part(shown, places["curves"]), theme.snr) > 0.0005
        and near(part(shown, places["curves"]), theme.psnr) > 0.0005
    )
    assert part(shown, places["history"])[30:-30].std() > 20
    background = np.median(shown.reshape(-1, 3), axis=0).mean()
    assert background > 200 if theme is LIGHT else background < 60
    text = part(shown, places["note"])
    assert np.abs(text.astype(int) - colour(theme.dim)).max(-1).min() < 60


def test_digital_symbols_are_drawn_where_they_are():
    view = View(digital=np.full(200, 0.8 + 0.8j, np.complex64))
    places = layout(Rect(0, 0, 900, 700), view)
    shown = part(pixels(render(view, 900, 700)), places["digital"])[20:]
    rows, columns = np.nonzero(np.abs(shown[20:-20].astype(int) - colour(LIGHT.digital)).max(-1) < 20)
    rows += 20
    assert (
        abs(columns.mean() / shown.shape[1] - 0.75) < 0.02 and abs(rows.mean() / shown.shape[0] - 0.25) < 0.02
    )


@pytest.mark.parametrize("size", [(1, 1), (60, 40), (200, 900), (2000, 300)])
def test_any_size_and_an_empty_view_are_painted(size):
    for view in (View(), everything()):
        for all_panels in (True, False):
            assert pixels(render(view, *size, DARK, "x", all_panels)).shape == (size[1], size[0], 3)


@given(st.floats(-200, 200), st.floats(0.01, 500), st.integers(2, 9))
def test_ticks_are_round_and_few(low, width, most):
    marks = ticks(low, low + width, most)
    assert len(marks) <= most and all(low - 1e-6 <= mark <= low + width + 1e-6 for mark in marks)
    bottom, top = span(np.array([low, low + width]))
    assert (
        bottom <= low
        and top >= low + width
        and top - bottom >= 10 - 1e-9
        and span(np.zeros(0)) == (-0.5, 10.5)
    )


def test_cells_show_what_needs_attention():
    states = np.zeros(65535, np.uint8)
    states[[7, 60000]] = PacketState.LOST, PacketState.ERASED
    shown = cells(states, 100)
    assert (
        len(shown) == 100
        and (shown != 0).sum() == 2
        and set(shown) == {PacketState.RECEIVED, PacketState.ERASED, PacketState.LOST}
    )


# ---- the block and its window


def test_unknown_panels_are_refused():
    with pytest.raises(HscError, match="choose one of all, picture"):
        hsc.image_viewer(panels="none")


def test_grc_draws_the_ports_and_parameters_of_the_block():
    drawn = yaml.safe_load((ROOT / "grc" / "hsc_image_viewer.block.yml").read_text())
    ports = set(pmt.to_python(hsc.image_viewer().message_ports_in())) - {"system"}
    assert {port["id"] for port in drawn["inputs"]} == ports
    parameters = {p["id"]: p for p in drawn["parameters"]}
    assert list(inspect.signature(hsc.image_viewer.__init__).parameters)[1:] == [
        "title",
        "side",
        "panels",
        "history",
    ]
    assert (
        set(parameters) == {"title", "side", "panels", "history", "gui_hint"}
        and tuple(parameters["panels"]["options"]) == PANELS
    )


@pytest.fixture(scope="module")
def fuzzed():
    viewer = hsc.image_viewer()
    viewer.publish = lambda *_: None
    return viewer


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.one_of(damaged(), st.sampled_from(examples()).map(lambda p: p.to_pdu())), data=st.data())
def test_no_pdu_stops_the_viewer(message, data, fuzzed):
    port = data.draw(
        st.sampled_from(["images", "partial", "original", "packets", "snr", "quality", "status"])
    )
    getattr(fuzzed, f"_on_{port}")(message)
    assert fuzzed.counters["crashes"] == 0
    render(fuzzed.model.snapshot(), 400, 300)


def test_painting_is_limited_to_ten_times_a_second_and_the_last_state_is_painted(application):
    viewer = hsc.image_viewer(panels="picture")
    painted, snapshot = [], viewer.model.snapshot

    def watched():
        painted.append(snapshot().picture)
        return snapshot()

    viewer.model.snapshot = watched
    viewer.widget.show()
    begun, changes = QtCore.QElapsedTimer(), 2000
    begun.start()

    def flood():
        for i in range(changes):
            viewer._image(pdu.Image(i, (2, 2, 1), np.zeros(4, np.uint8)))

    thread = threading.Thread(target=flood)
    thread.start()
    thread.join(WAIT)  # while the GUI's thread is busy elsewhere: nothing waits for it
    assert not thread.is_alive()
    while (
        not (painted and painted[-1] and painted[-1].message_id == changes - 1)
        and begun.elapsed() < 1000 * WAIT
    ):
        application.processEvents(QtCore.QEventLoop.AllEvents, 50)
    assert painted[-1].message_id == changes - 1 and len(painted) <= begun.elapsed() / 100 + 3
    viewer.widget.close()


def test_a_mistake_in_painting_is_painted_and_ends_nothing(application):
    """Qt aborts the process when an exception leaves a painting."""
    viewer = hsc.image_viewer()
    viewer.model.snapshot = lambda: 1 / 0
    viewer.widget.resize(700, 500)
    shown = pixels(viewer.widget.grab().toImage())
    assert shown.std() > 1 and viewer.widget.mistakes == 1


def test_a_window_that_qt_has_deleted_stops_nothing():
    viewer = hsc.image_viewer()
    sip.delete(viewer.widget)
    viewer._image(pdu.Image(1, (2, 2, 1), np.zeros(4, np.uint8)))
    viewer._snr(pdu.Snr(1, 3.0))
    assert viewer.counters["errors"] == 0


WATCH = """
import gnuradio, sys
gnuradio.__path__[:] = {path!r}
import numpy as np
from PyQt5 import QtCore, QtWidgets
from gnuradio import blocks, channels, gr, hsc
from gnuradio.hsc.app import viewer_window

class Top(gr.top_block):
    def __init__(self, viewer):
        super().__init__("watch")
        self.source = hsc.image_source({files!r}, first_id=5, in_flight=1)
        self.transmitter = hsc.image_transmitter("hsc", packet_symbols=512)
        self.throttle = blocks.throttle(gr.sizeof_gr_complex, 500e3)
        self.channel = channels.channel_model(10 ** (-10 / 20), 0.01, 1.00001, [1, 0, 0.2j], 1)
        self.receiver = hsc.image_receiver(partial=1)
        self.viewer = viewer
        self.connect(self.transmitter, self.throttle, self.channel, self.receiver)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.source, "images", self.viewer, "original")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        for port in ("images", "partial", "packets", "snr", "status"):
            self.msg_connect(self.receiver, port, self.viewer, port)

window = viewer_window.Window("gr-hsc")
top = Top(window.viewer)
top.start()
model = window.viewer.model
while window.wait(0.1) and len(model.snapshot().history) < 2:
    pass
window.wait(0.6)
QtWidgets.QApplication.primaryScreen().grabWindow(0).save({grab!r})
size, place = window.viewer.widget.size(), window.viewer.widget.mapToGlobal(QtCore.QPoint(0, 0))
view = model.snapshot()
print("SEEN", place.x(), place.y(), size.width(), size.height(), len(view.history), view.picture.psnr_db)
np.save({grab!r} + ".npy", view.picture.pixels)
top.stop(); top.wait()
QtCore.QTimer.singleShot(50, window.viewer.widget.close)
print("CLOSED", window.wait(0.5))
window.close()
print("PARTIAL", top.receiver.decoder.counters["partial_images"])
"""


@pytest.fixture(scope="module")
def display():
    """An X server in memory."""
    try:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "1200x1000x24", "-nolisten", "tcp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        pytest.skip("Xvfb is not installed")
    yield f":{int(server.stdout.readline())}"
    server.terminate()
    server.wait(WAIT)


def test_a_screen_shows_three_images_arrive(display, tmp_path):
    """A flowgraph at 10 dB under Xvfb; what the X server shows is compared with what the viewer knows."""
    grab = tmp_path / "screen.png"
    files = [str(ROOT / "examples" / "images" / f"digit_{i}.png") for i in range(3)]
    script = tmp_path / "watch.py"
    script.write_text(WATCH.format(path=list(gnuradio.__path__), files=files, grab=str(grab)))
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    x, y, width, height, history, psnr = next(
        line for line in done.stdout.splitlines() if line.startswith("SEEN")
    ).split()[1:]
    assert int(history) == 2 and float(psnr) > 12
    screen = pixels(QtGui.QImage(str(grab)))
    shown = screen[int(y) : int(y) + int(height), int(x) : int(x) + int(width)]
    view = replace(View(), original=everything().original)
    places = layout(Rect(0, 0, int(width), int(height)), view)
    pair = [part(shown, places[name])[20:-40].mean(-1) for name in ("picture", "original")]
    assert pair[0].std() > 30 and np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1] > 0.9
    assert near(part(shown, places["packets"]), LIGHT.states[0]) > 0.01
    for name, wanted in (("analog", LIGHT.analog), ("digital", LIGHT.digital), ("curves", LIGHT.snr)):
        assert near(part(shown, places[name]), wanted, 70) > 0.0005, name
    assert "CLOSED False" in done.stdout
    painted = to_image(np.load(f"{grab}.npy"))
    assert painted.width() == painted.height() == 28


GRAB = (
    "from PyQt5.QtWidgets import QApplication as A; a = A([]); a.primaryScreen().grabWindow(0).save({file!r})"
)


def test_rx_shows_what_arrives_and_ends_by_a_signal(display, tmp_path):
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "OMP_NUM_THREADS": "1"}
    radio = f"zmq:ipc://{tmp_path}/air"
    digits = [str(ROOT / "examples" / "images" / f"digit_{i}.png") for i in range(3)]
    rx = subprocess.Popen(
        [*GR_HSC, "rx", "--radio", radio, "--view", "--out", str(tmp_path / "out")], env=environment
    )
    tx = subprocess.Popen(
        [*GR_HSC, "tx", *digits, "--radio", radio, "--loop", "--interval", "0.2"], env=environment
    )
    try:
        deadline = time.monotonic() + 2 * WAIT
        while not len(list((tmp_path / "out").glob("*.png"))) > 2 and time.monotonic() < deadline:
            assert rx.poll() is None and tx.poll() is None
            time.sleep(0.2)
        time.sleep(0.5)
        subprocess.run(
            [sys.executable, "-c", GRAB.format(file=str(tmp_path / "grab.png"))],
            env=environment,
            check=True,
            timeout=WAIT,
        )
        rx.send_signal(signal.SIGINT)
        assert rx.wait(WAIT) == 0
    finally:
        for process in (rx, tx):
            process.kill()
            process.wait(WAIT)
    shown = pixels(QtGui.QImage(str(tmp_path / "grab.png")))
    assert (
        near(shown, LIGHT.states[0]) > 0.0005
        and near(shown, LIGHT.digital, 70) > 0.0005
        and near(shown, "#000000") > 0.02
    )


def test_without_a_display_the_window_is_refused_in_a_line():
    code = f"{SITE}from gnuradio.hsc.app import viewer_window\nviewer_window.Window('x')"
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | {
        "QT_QPA_PLATFORM": "xcb"
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 1 and "HscError: no window can be opened" in done.stderr
