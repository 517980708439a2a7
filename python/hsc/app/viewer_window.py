"""The Image Viewer in a window of its own, for commands that show what they receive."""

from __future__ import annotations

import subprocess
import sys

from ..blocks.viewer.block import image_viewer
from ..errors import HscError

_PROBE = "from PyQt5.QtWidgets import QApplication; QApplication([])"
# Longest that Qt may take to answer [s].
_PROBE_SECONDS = 60


class Window:
    """An Image Viewer in its window. Everything here is for the main thread; a signal handler that raises
    would abort the process.

    Args:
        title: of the window.

    Attributes:
        viewer: the block.

    Raises:
        HscError: no window can be opened. Qt itself would abort the process, so another one tries first.
    """

    def __init__(self, title: str) -> None:
        _probe()
        from PyQt5 import QtWidgets

        self._application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])
        self.viewer = image_viewer()
        self.viewer.widget.setWindowTitle(title)
        self.viewer.widget.resize(self.viewer.widget.sizeHint())
        self.viewer.widget.show()

    def wait(self, seconds: float) -> bool:
        """Let the window live for so long; False when it has been closed."""
        from PyQt5 import QtCore

        loop = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec_()
        return self.viewer.widget.isVisible()

    def close(self) -> None:
        """Close it, before the interpreter takes block and widget apart."""
        self.viewer.widget.close()
        self._application.processEvents()


def _probe() -> None:
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        reason = "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["unknown reason"])[0]
    except subprocess.TimeoutExpired:
        reason = "the display does not answer"
    if reason:
        raise HscError(
            f"no window can be opened ({reason}): leave out --view, or start it where there is a display"
        )
