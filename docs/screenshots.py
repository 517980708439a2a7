"""Renews the screenshots in docs/images: every flowgraph of examples/ in GNU Radio Companion, its window if
it has an Image Viewer, and the viewer by itself.

    ./gr-hsc python docs/screenshots.py            all of them
    ./gr-hsc python docs/screenshots.py viewer     those whose name begins so

It needs Xvfb (package xvfb). Each picture is made in a process of its own, on a screen in memory.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, IMAGES = ROOT / "examples", ROOT / "docs" / "images"
WINDOW = (1280, 880)
# What a flowgraph needs that only receives: other ends, as command lines.
OTHERS = {
    "ota_rx": (
        "channel --in zmq:tcp://127.0.0.1:5555 --out zmq:tcp://127.0.0.1:5556 --snr 15 --cfo 10k",
        f"tx {EXAMPLES / 'images'}/colosseum.jpg {EXAMPLES / 'images'}/lake.jpg "
        "--radio zmq:tcp://127.0.0.1:5555 --loop",
    )
}
SECONDS = 180  # for one picture
SETTLE = 1.5  # seconds that a window goes on after it has seen enough, for its last values to be painted


def flowgraph(path: str, picture: str) -> None:
    """Draw a .grc file as GNU Radio Companion shows it."""
    import gi

    gi.require_version("Gtk", "3.0")
    gi.require_version("PangoCairo", "1.0")
    from gi.repository import GLib
    from gnuradio import gr
    from gnuradio.grc.gui.Platform import Platform  # before its siblings, which import each other in a circle
    from PIL import Image

    from gnuradio.grc.gui import Application, Utils  # isort: skip

    parts = (gr.major_version(), gr.api_version(), gr.minor_version())
    platform = Platform(
        version=gr.version(), version_parts=parts, prefs=gr.prefs(), install_prefix=gr.prefix()
    )
    platform.build_library()
    companion = Application.Application([path], platform)

    def keep() -> bool:
        page = getattr(companion, "main_window", None) and companion.main_window.current_page
        if page is None or page.file_path != path:
            return True
        page.flow_graph.update()
        Utils.make_screenshot(page.flow_graph, picture)
        Image.open(picture).convert("RGB").quantize(64).save(picture, optimize=True)
        return _end()

    GLib.timeout_add(1000, keep)
    companion.run()


def window(path: str, picture: str) -> None:
    """Run a flowgraph with a window until its viewers have shown some images, and keep what the screen
    shows.
    """
    from PyQt5 import QtWidgets

    folder = tempfile.mkdtemp()
    grcc = Path("/usr/bin/grcc")
    subprocess.run([sys.executable, grcc, "-o", folder, path], check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, folder)
    os.chdir(folder)  # what it receives lands there
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "gnuradio.hsc.app", *command.split()], stdout=subprocess.DEVNULL
        )
        for command in OTHERS.get(Path(path).stem, ())
    ]
    application = QtWidgets.QApplication(sys.argv[:1])
    module = __import__(Path(path).stem)
    top = getattr(module, Path(path).stem)()
    viewers = [block for block in vars(top).values() if type(block).__name__ == "image_viewer"]
    top.start()
    top.resize(*WINDOW)
    top.show()

    def seen() -> bool:
        views = [viewer.model.snapshot() for viewer in viewers]
        return all(view.picture and not view.picture.partial for view in views) and any(
            view.history for view in views
        )

    _watch(application, seen, picture)
    for process in others:
        process.terminate()
    _end()


def viewer(picture: str) -> None:
    """The Image Viewer at 10 dB: images by HSC and HDA-DeepSC in turn, once while one arrives and once after
    some of them.
    """
    from gnuradio import blocks, channels, gr, hsc
    from gnuradio.hsc.blocks import pdu
    from gnuradio.hsc.blocks.base import MessageBlock
    from PyQt5 import QtWidgets

    class Turns(MessageBlock):
        """Sends images to two encoders in turn."""

        def __init__(self) -> None:
            super().__init__("Turns")
            self.open_ports({"images": {pdu.Image: self._send}}, ("hsc", "hda_deepsc"))

        def _send(self, image: pdu.Image) -> None:
            self.publish(("hsc", "hda_deepsc")[image.message_id % 2], image)

    class Link(gr.top_block):
        def __init__(self) -> None:
            super().__init__("viewer")
            self.source, self.turns = (
                hsc.image_source(str(EXAMPLES / "images" / "*.jpg"), repeat=True, in_flight=1, first_id=1000),
                Turns(),
            )
            self.encoders = [
                hsc.message_encoder(codec, snr_db=10.0, cbr=1 / 6, packet_symbols=1024)
                for codec in ("hsc", "hda_deepsc")
            ]
            self.transmitter, self.throttle = (
                hsc.ofdm_transmitter(),
                blocks.throttle(gr.sizeof_gr_complex, 60e3),
            )
            self.channel = channels.channel_model(
                10 ** (-10 / 20), 0.01, 1.00001, [0.97, 0, 0.2j, 0, 0, -0.13], 1
            )
            self.receiver, self.viewer = hsc.image_receiver(partial=1), hsc.image_viewer("Received", 330)
            self.connect(self.transmitter, self.throttle, self.channel, self.receiver)
            self.msg_connect(self.source, "images", self.turns, "images")
            self.msg_connect(self.source, "images", self.viewer, "original")
            for codec, encoder in zip(("hsc", "hda_deepsc"), self.encoders, strict=True):
                self.msg_connect(self.turns, codec, encoder, "images")
                self.msg_connect(encoder, "packets", self.transmitter, "packets")
            self.msg_connect(self.transmitter, "sent", self.source, "next")
            for port in ("images", "partial", "packets", "status"):
                self.msg_connect(self.receiver, port, self.viewer, port)

    application = QtWidgets.QApplication(sys.argv[:1])
    top = Link()
    top.viewer.widget.setWindowTitle("gr-hsc")
    top.viewer.widget.resize(top.viewer.widget.sizeHint())
    top.viewer.widget.show()
    top.start()

    def arriving() -> bool:
        view = top.viewer.model.snapshot()
        came = view.picture.stage.split()[0] if view.picture and view.picture.partial else "0"
        return (
            len(view.history) >= 5
            and view.packets.codec == "hsc"
            and came.isdigit()
            and 30 <= int(came) <= 60
        )

    def arrived() -> bool:
        view = top.viewer.model.snapshot()
        return len(view.history) >= 7 and not view.picture.partial and view.packets.codec == "hda_deepsc"

    _watch(application, arriving, str(Path(picture).with_stem("viewer-arriving")), settle=0)
    _watch(application, arrived, picture, settle=0)
    _end()


def _watch(application: object, seen: Callable[[], bool], picture: str, settle: float = SETTLE) -> None:
    """Run Qt's loop until there is enough to see, and keep what is on the screen, without what is black
    around the window.
    """
    from PyQt5 import QtCore

    since: list[float] = []

    def look() -> None:
        enough = seen()
        if enough:
            since.append(time.monotonic())
        if enough and since[-1] - since[0] >= settle:
            _grab(application, picture)
            application.quit()

    timer = QtCore.QTimer(interval=50)
    timer.timeout.connect(look)
    timer.start()
    application.exec_()
    timer.stop()


def _grab(application: object, picture: str) -> None:
    from PyQt5 import QtWidgets

    widget = next(w for w in application.topLevelWidgets() if w.isVisible())
    for part in (widget, *widget.findChildren(QtWidgets.QWidget)):
        part.repaint()  # a viewer may not yet have painted what it has seen
    application.processEvents()
    place = widget.frameGeometry()
    screen = application.primaryScreen().grabWindow(0, place.x(), place.y(), place.width(), place.height())
    screen.save(picture, quality=88 if picture.endswith(".jpg") else -1)


def _end() -> None:
    """The picture is there: a flowgraph may take longer to end than anybody wants to wait."""
    sys.stdout.flush()
    os._exit(0)


def pictures() -> dict[str, tuple[Callable[..., None], tuple[str, ...]]]:
    """Name of each picture -> what makes it, and from which file."""
    made: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {}
    for path in sorted(EXAMPLES.glob("*.grc")):
        made[f"grc_{path.stem}.png"] = flowgraph, (str(path),)
        if "panels: all" in path.read_text():
            made[f"{path.stem}_gui.jpg"] = window, (str(path),)
    return {**made, "viewer.png": (viewer, ())}


def main() -> int:
    """Make the pictures whose names begin as the arguments say; exit status 1 when one of them did not come
    about.
    """
    wanted = tuple(sys.argv[1:]) or ("",)
    # A home of their own, so that nobody's preferences are seen or changed.
    os.environ |= {
        "XDG_CONFIG_HOME": tempfile.mkdtemp(),
        "HOME": tempfile.mkdtemp(),
        "QT_QPA_PLATFORM": "xcb",
        "GDK_BACKEND": "x11",
    }
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
    )
    failed = False
    try:
        os.environ["DISPLAY"] = f":{int(server.stdout.readline())}"
        for name, (make, source) in pictures().items():
            if name.startswith(wanted):
                process = multiprocessing.get_context("spawn").Process(
                    target=make, args=(*source, str(IMAGES / name))
                )
                process.start()
                process.join(SECONDS)
                if process.exitcode is None:
                    process.kill()
                failed |= process.exitcode != 0
                print(name, "made" if process.exitcode == 0 else "FAILED", flush=True)
    finally:
        server.terminate()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
