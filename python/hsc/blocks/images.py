"""Images in and out: Image Source, Image Sink, Quality Meter."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .. import files, metrics
from ..errors import HscError
from ..files import label
from ..images import files as image_files
from . import pdu
from .base import Companion, Joiner, MessageBlock, limit_torch_threads

# Patience with an image that is being read when the flowgraph stops [s].
_READING = 10.0


class image_source(MessageBlock):
    """Reads image files and sends them as `Image` PDUs, then `End`.

    Message ports: in `next` (optional, `Sent` or `Failed`): releases one more image; out `images`. What was
    changed on the way from a file to its pixels is logged, and comes with the first image of the file as
    `notices`.

    Args:
        files: a file, folder or glob pattern, or a list of them; what is not there is looked for among the
            module's examples.
        repeat: start again after the last image instead of ending, as long as any of them can be read.
        interval: least time between two images [s].
        in_flight: images sent before the first message on `next` comes; 0 does not wait for `next` at all.
        first_id: message id of the first image, the others count up, also when the flowgraph runs again; -1
            for a random one.
        delay: before the first image, for a radio that has to settle [s].
        rounds: how often all of them are sent where `repeat` is False.

    Raises:
        HscError: no such file or folder.
    """

    def __init__(
        self,
        files: str | Sequence[str] = "images",
        repeat: bool = False,
        interval: float = 0.0,
        in_flight: int = 0,
        first_id: int = -1,
        delay: float = 0.0,
        rounds: int = 1,
    ) -> None:
        super().__init__("Image Source")
        self.open_ports({"next": {pdu.Sent: self._release}}, ("images",), ends=())
        patterns = [files] if isinstance(files, str) else files
        self._paths = image_files.find(image_files.matching(patterns), self.logger.info)
        self._noted: set[Path] = set()
        self._kept: dict[Path, image_files.SourceImage] = {}  # of pipes: they can be read once
        self.repeat, self._in_flight = repeat, in_flight
        self._interval, self._delay, self._rounds = max(0.0, interval), delay, rounds
        self._next_id = random.randrange(1 << 16) if first_id < 0 else first_id
        self._on_the_way: set[int] = set()  # images of this run that nobody has told to be sent
        self._reader = Companion("image_source", self._run)

    def set_interval(self, interval: float) -> None:
        """Least time between two images [s]."""
        self._interval = max(0.0, interval)

    def start(self) -> bool:
        self._credit, self._on_the_way = threading.Semaphore(self._in_flight), set()
        self._noted.clear()
        super().start()
        self._reader.start()
        return True

    def stop(self) -> bool:
        self._reader.stop(_READING)
        return super().stop()

    def on_failed(self, failed: pdu.Failed) -> None:
        self._release(failed)

    def _release(self, told: pdu.Sent | pdu.Failed) -> None:
        if told.message_id in self._on_the_way:  # else of the former run, or told before
            self._on_the_way.remove(told.message_id)
            self._credit.release()

    def _run(self, asked: threading.Event) -> None:
        asked.wait(self._delay)
        for path, name in self._order():
            if not self._wait(asked):
                return
            sent = self.counters["sent"]
            with self.contain(None):
                self._send(path, name)
            if self.counters["sent"] == sent:
                self._credit.release()
            asked.wait(self._interval)
        if not asked.is_set():
            self.publish("images", self.end())
            self.finish()

    def _send(self, path: Path, name: str) -> None:
        loaded = self._kept.get(path) or image_files.load(path)
        if not path.is_file():
            self._kept[path] = loaded
        notices = self._notices(loaded)
        pixels = loaded.pixels
        self._on_the_way.add(self._next_id)
        self.publish("images", pdu.Image(self._next_id, pixels.shape, pixels.ravel(), name, notices=notices))
        self._next_id = (self._next_id + 1) & 0xFFFF
        self.counters["sent"] += 1

    def _notices(self, loaded: image_files.SourceImage) -> str | None:
        """What was changed on the way from the file to the pixels, once for each file: logged, and sent with
        the image.
        """
        if not loaded.notes or loaded.path in self._noted:
            return None
        self._noted.add(loaded.path)
        notices = f"{label(loaded.path.name)}: {'; '.join(loaded.notes)}"
        self.logger.warn(notices)
        return notices

    def _order(self) -> Iterator[tuple[Path, str]]:
        """Paths and names to go by: the stem, numbered where several files have the same."""
        for _ in itertools.count() if self.repeat else range(self._rounds):
            before, seen = self.counters["sent"], {}
            for path in self._paths:
                seen[path.stem] = seen.get(path.stem, 0) + 1
                stem = files.printable(path.stem)
                yield path, stem if seen[path.stem] == 1 else f"{stem}-{seen[path.stem]}"
            if self.counters["sent"] == before:
                return  # there is nothing left that could be sent

    def _wait(self, asked: threading.Event) -> bool:
        """Wait for leave to send one image; False when the flowgraph stops."""
        while not asked.is_set():
            if self._in_flight <= 0 or self._credit.acquire(timeout=0.1):
                return not asked.is_set()
        return False


class image_sink(MessageBlock):
    """Writes received images as PNG files: `<name>.png`, or `message_<id>.png` for an image that has no name.

    Message port: in `images`.

    Args:
        folder: where to write; made when it is not there. Empty: write nothing, keep the last images only.
        keep: how many images stay in `images`, a dictionary of message id → uint8 (H, W, C); the oldest
            leave first.
    """

    def __init__(self, folder: str = "", keep: int = 16) -> None:
        super().__init__("Image Sink")
        self.open_ports({"images": {pdu.Image: self._write}}, ())
        self._folder = Path(os.path.expanduser(folder)) if folder else None
        self._keep = keep
        self.images: dict[int, np.ndarray] = {}

    def _write(self, image: pdu.Image) -> None:
        self.images.pop(image.message_id, None)
        self.images[image.message_id] = image.pixels
        while len(self.images) > self._keep:
            self.images.pop(next(iter(self.images)))
        if self._folder is not None:
            name = files.stem(Path(image.name or "").name) or f"message_{image.message_id:05d}"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                files.write(self._folder / f"{name}.png", image_files.png(image_files.picture(image.pixels)))
            except OSError as error:
                raise HscError(
                    f"cannot write to '{label(self._folder)}': {error.strerror or error}; "
                    "choose another folder"
                ) from None
        self.counters["written"] += 1


class quality_meter(MessageBlock):
    """Compares received images with those that were sent, joined by message id.

    Message ports: in `reference` and `received` (`Image`); out `images`, the received image with the name of
    the reference, and `quality`: PSNR, MSE, MS-SSIM and perceptual distances. A message that never came is a
    `Failed` on both.

    Args:
        keep: how many results stay in `results`.
        perceptual: names of `metrics.PERCEPTUAL` to measure too: "lpips_alex", "lpips_vgg", "dists"; left out
            without their weights (docs/installation.md). None by default, for a flowgraph that must not be
            held up: of 768 x 512 MS-SSIM takes 110 ms of one core, "lpips_alex" 350 ms, the others 8 s each.

    Attributes:
        results: message id → `Quality` of the last `keep` images.

    Raises:
        HscError: there is no such distance.
    """

    def __init__(self, keep: int = 1024, perceptual: Sequence[str] = ()) -> None:
        super().__init__("Quality Meter")
        inputs = {"reference": {pdu.Image: self._reference}, "received": {pdu.Image: self._received}}
        self.open_ports(inputs, ("images", "quality"))
        self._joiner, self._keep = Joiner(), keep
        if unknown := set(perceptual) - set(metrics.PERCEPTUAL):
            raise HscError(f"no distance {min(unknown)}: choose of {', '.join(metrics.PERCEPTUAL)}")
        self._perceptual = tuple(perceptual)
        self.results: dict[int, pdu.Quality] = {}

    def start(self) -> bool:
        self._joiner.forget()
        return super().start()

    def _reference(self, image: pdu.Image) -> None:
        self._put(image.message_id, "reference", image)

    def _received(self, image: pdu.Image) -> None:
        self._put(image.message_id, "received", image)

    def _put(self, message_id: int, part: str, image: pdu.Image) -> None:
        parts = self._joiner.put(message_id, part, image)
        self.counters["late"] = self._joiner.late
        if len(parts) == 2:
            self._joiner.take(message_id)
            self._compare(parts["reference"], parts["received"])
        for lost, _ in self._joiner.overflow():
            self._missing(lost)

    def _compare(self, reference: pdu.Image, received: pdu.Image) -> None:
        if received.shape != reference.shape:
            raise HscError(
                f"message {received.message_id}: received as {received.shape}, sent as {reference.shape}: "
                "not the same message"
            )
        pair = received.pixels, reference.pixels
        limit_torch_threads()
        quality = pdu.Quality(
            message_id=reference.message_id,
            psnr_db=metrics.psnr_db(*pair),
            mse=metrics.mse(*pair),
            ms_ssim=metrics.ms_ssim(*pair),
            **metrics.perceptual(*pair, self._perceptual),
            name=reference.name,
        )
        self.publish("images", pdu.Image(**{**vars(received), "name": reference.name}))
        self.results[reference.message_id] = quality
        while len(self.results) > self._keep:
            self.results.pop(next(iter(self.results)))
        self.publish("quality", quality)
        figures = ", ".join([f"PSNR {quality.psnr_db:.2f} dB", *metrics.in_words(vars(quality))])
        self.logger.info(f"{reference.name or reference.message_id}: {figures}")

    def on_failed(self, failed: pdu.Failed) -> None:
        if self._joiner.take(failed.message_id):
            super().on_failed(failed)

    def on_end(self) -> None:
        for message_id, _ in self._joiner.flush():
            self._missing(message_id)

    def _missing(self, message_id: int) -> None:
        self.fail(message_id, f"message {message_id}: only one of reference and received image came")
