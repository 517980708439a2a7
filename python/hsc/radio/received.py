"""received.jsonl, what a receiver writes down beside its images: one line of JSON for each message."""

from __future__ import annotations

import json
from pathlib import Path

LOG = "received.jsonl"


class ReceivedLog:
    """Reads the lines as they come. `folder`: where the receiver writes, also before it does."""

    def __init__(self, folder: Path) -> None:
        self._path, self._read = folder / LOG, 0

    def new(self) -> list[dict]:
        """Entries since the last call; a line that is not written to its end yet waits for the next one."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
