"""`tx` and `rx` as processes in real time, over ZeroMQ and `channel`, and over a driver: images lost, their
quality, restarts.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import metrics
from ..errors import HscError
from ..evaluation.curves import Axis, Curves, Series
from ..evaluation.figure import Given
from ..images import files as image_files
from ..images.files import picture
from .processes import Process, commands

SNRS_DB = (5.0, 10.0, 15.0)
RESTARTS = 10
SIDE, LARGE_SIDE = 64, 256  # pixels of a photograph: one packet, and about ten
RESTART_SNR_DB = 15.0
IMPAIRMENTS = ("--cfo", "10k", "--sfo", "20", "--taps", "1,0,0,0.5j,0,0,0,-0.32")
INTERVAL = 0.1  # between images while ends are restarted [s]
_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}  # three processes share the cores
_DESCRIPTION = (
    "tx and rx as processes at 1 MS/s in real time, codec hsc as tx chooses it: digits of 28 x 28 and "
    f"photographs of {SIDE} x {SIDE} pixels in turns, or photographs of {LARGE_SIDE} x {LARGE_SIDE} alone; "
    "delivered: images written; whole: no packet missing; zmq: through channel, CFO 10 kHz, sample clock "
    "20 ppm fast, echoes of -6 and -10 dB; hscloop: the tests' SoapySDR driver, crystals 10 ppm slow and "
    f"fast, so 8.7 kHz at 433 MHz, same echoes; restarts through channel at {RESTART_SNR_DB:g} dB"
)


def run(given: Given, restarts: int = RESTARTS) -> Curves:
    """Measure all of it, with `given.count` images at each SNR; of photographs the middle is sent."""
    sources = given.images
    with tempfile.TemporaryDirectory(prefix="hsc-") as folder:
        files, large = (
            prepare(sources, Path(folder) / "sent"),
            prepare(sources, Path(folder) / "large", LARGE_SIDE, digits=False),
        )
        ways = {"zmq": (over_zmq, files), f"zmq, {LARGE_SIDE} x {LARGE_SIDE}": (over_zmq, large)}
        ways |= {"hscloop": (over_hscloop, files)} if has_hscloop() else {}
        found = {name: [] for name in ways}
        for name, (way, sent) in ways.items():
            for snr_db in SNRS_DB:
                given.progress(f"{given.count} images over {name} at {snr_db:g} dB")
                found[name].append(
                    deliver(way, sent, given.count, snr_db, Path(folder) / f"received-{name}-{snr_db:g}")
                )
        given.progress(f"{restarts} restarts of each end")
        transmitter = _restarts_of_transmitter(files[0], restarts, Path(folder) / "received-tx")
        receiver = _restarts_of_receiver(files[0], restarts, Path(folder) / "received-rx")
    findings = {
        "images sent at each SNR": given.count,
        **{f"images lost over {name}": [p["lost"] for p in points] for name, points in found.items()},
        "transmitter killed and started again: first image after it is on the air [s]": transmitter,
        "receiver killed and started again: first image after it listens, "
        "images sent every 0.1 s [s]": receiver,
    }
    return Curves(
        "over-the-air",
        _DESCRIPTION,
        given.command,
        [_series(name, points) for name, points in found.items()],
        findings,
    )


def _series(name: str, points: list[dict[str, float]]) -> Series:
    others = ("whole", "psnr_db", "worst_psnr_db", "snr_measured_db", "cfo_hz")
    delivered = Axis("delivered", "share", [p["delivered"] for p in points])
    return Series(
        name,
        "measured",
        Axis("snr", "dB", list(SNRS_DB)),
        delivered,
        None,
        {n: [p[n] for p in points] for n in others},
    )


def prepare(
    sources: Mapping[str, np.ndarray], folder: Path, side: int = SIDE, digits: bool = True
) -> list[Path]:
    """Files of the images uint8 (H, W, C) by name, large ones cut to `side` pixels, digits (unless they are
    to be left out) and photographs in turns.
    """
    folder.mkdir()
    small = [(name, x) for name, x in sources.items() if max(x.shape[:2]) <= SIDE and digits]
    large = [(name, x) for name, x in sources.items() if max(x.shape[:2]) > SIDE]
    turns = (
        [pair for pairs in zip(small, large * len(small), strict=False) for pair in pairs]
        if small and large
        else small + large
    )
    files = []
    for number, (name, pixels) in enumerate(turns):
        top, left = (max(0, (size - side) // 2) for size in pixels.shape[:2])
        files.append(folder / f"{number:03d}-{name}.png")
        picture(pixels[top : top + side, left : left + side]).save(files[-1])
    return files


Start = Callable[..., Process]
Way = Callable[[Start, float], tuple[Sequence[object], Sequence[object]]]


def over_zmq(start: Start, snr_db: float) -> tuple[Sequence[object], Sequence[object]]:
    """Options of tx and of rx on both sides of `channel`, which is started."""
    near, far = addresses(2)
    start("channel", "--in", near, "--out", far, "--snr", snr_db, *IMPAIRMENTS).when("channel:")
    return ("--radio", near), ("--radio", far)


def over_hscloop(start: Start, snr_db: float) -> tuple[Sequence[object], Sequence[object]]:
    """Options of tx and of rx over the tests' SoapySDR driver, which simulates two radios and what is between
    them.
    """
    radio = f"soapy:driver=hscloop,name=evaluate-{os.getpid()}-{snr_db:g},loss=60"
    tuning = ("--freq", "433M", "--rate", "1M", "--gain", 30)
    path = f"snr={snr_db:g},echoes=3:-6/7:-10"
    return ("--radio", f"{radio},serial=tx,ppm=-10", *tuning), (
        "--radio",
        f"{radio},serial=rx,ppm=10,{path}",
        *tuning,
    )


def has_hscloop() -> bool:
    """True where SOAPY_SDR_PLUGIN_PATH names the folder in which the tests have built that driver."""
    folders = os.environ.get("SOAPY_SDR_PLUGIN_PATH", "").split(os.pathsep)
    return any(next(Path(folder).glob("hscloop.so"), None) for folder in folders if folder)


def deliver(way: Way, files: Sequence[Path], images: int, snr_db: float, out: Path) -> dict[str, float]:
    """Send `images` images, `files` again and again; shares and mean figures of those that arrived."""
    order = [files[i % len(files)] for i in range(images)]
    with commands(**_ENVIRONMENT) as start:
        near, far = way(start, snr_db)
        receiver = start("rx", *far, "--out", out, "--deadline", 2)
        receiver.when("listening")
        transmitter = start("tx", *order, *near, "--snr", snr_db)
        transmitter.wait()
        first = int(next(line for _, line in transmitter.lines if "on the air" in line).rsplit(" ", 1)[1])
        _until_quiet(out)
        receiver.child.terminate()
        receiver.wait()
    return _figures(records(out), order, first, out)


def records(out: Path) -> list[dict]:
    """The lines of received.jsonl; none when there is no such file yet."""
    path = out / "received.jsonl"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    )


def _until_quiet(out: Path) -> None:
    """Wait until nothing more is written: the deadline of what is incomplete has passed."""
    before = -1
    while before != (now := len(records(out))):
        before = now
        time.sleep(6)


def _figures(found: list[dict], order: Sequence[Path], first: int, out: Path) -> dict[str, float]:
    """A message's number among those sent tells what was sent."""
    arrived = {(r["message_id"] - first) % 65536: r for r in found if r["error"] is None and r["file"]}
    psnr = [
        metrics.psnr_db(image_files.load(out / r["file"]).pixels, image_files.load(order[i]).pixels)
        for i, r in arrived.items()
    ]
    if not arrived:
        raise HscError("not one image arrived: is this machine too busy for 1 MS/s in real time?")
    return {
        "delivered": len(arrived) / len(order),
        "whole": sum(r["packets_received"] == r["packets"] for r in arrived.values()) / len(order),
        "lost": len(order) - len(arrived),
        "psnr_db": float(np.mean(psnr)),
        "worst_psnr_db": float(np.min(psnr)),
        "snr_measured_db": float(np.mean([r["snr_db"] for r in arrived.values()])),
        "cfo_hz": float(np.mean([r["cfo_hz"] for r in arrived.values()])),
    }


def _restarts_of_transmitter(image: Path, restarts: int, out: Path) -> list[float]:
    """Kill the transmitter and start it again: time from its first message to the receiver's first image
    [s].
    """
    seconds = []
    with commands(**_ENVIRONMENT) as start:
        near, far = over_zmq(start, RESTART_SNR_DB)
        receiver = start("rx", *far, "--out", out)
        receiver.when("listening")
        for _ in range(restarts + 1):
            quiet = time.monotonic()
            transmitter = start("tx", image, "--loop", "--interval", INTERVAL, *near)
            begun = transmitter.when("on the air")
            seconds.append(max(0.0, receiver.when("image_", quiet) - begun))
            transmitter.child.kill()
            transmitter.child.wait()
            time.sleep(1)  # for what is still under way
    return [round(s, 2) for s in seconds[1:]]


def _restarts_of_receiver(image: Path, restarts: int, out: Path) -> list[float]:
    """Kill the receiver and start it again: time from when it listens to its first image [s]."""
    seconds = []
    with commands(**_ENVIRONMENT) as start:
        near, far = over_zmq(start, RESTART_SNR_DB)
        start("tx", image, "--loop", "--interval", INTERVAL, *near).when("on the air")
        for _ in range(restarts + 1):
            receiver = start("rx", *far, "--out", out)
            begun = receiver.when("listening")
            seconds.append(receiver.when("image_", begun) - begun)
            receiver.child.kill()
            receiver.child.wait()
    return [round(s, 2) for s in seconds[1:]]


def addresses(count: int) -> list[str]:
    """ZeroMQ addresses on ports of this machine that are free."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [f"zmq:tcp://127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    finally:
        for s in sockets:
            s.close()
