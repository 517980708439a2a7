"""Sweeps: independent points measured in parallel by Dask, kept in a file as they come, and never measured
twice.

Points that share a `Sending` share one encode. Every record is kept under a key made of the point and a
`fingerprint` of its codec's programs and weights, so that a sweep resumes where it was stopped, figures share
points, and what is new is measured anew. Random numbers derive from the point (`transmission.generator`): a
parallel or resumed sweep gives the same figures.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import os
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..codecs import registry
from ..errors import HscError
from . import fingerprint
from .transmission import CAPACITY, Measured, Point, Reception, Sending, measure

FORMAT = 2  # of the records; counts up when what a point measures changes

# A busy machine answers late, and a worker that computes does not answer at all; within these times they do.
# Chosen by trial.
_PATIENCE = {
    "distributed.comm.timeouts.connect": "120s",
    "distributed.comm.timeouts.tcp": "600s",
    "distributed.scheduler.worker-ttl": None,
}

# How long a scheduler that is asked who it is may take [s]. One in the same network takes milliseconds.
_ANSWER = 5.0

Progress = Callable[[int, int], None]


class Store:
    """Records of points in a JSON-lines file. A line that a killed run left unfinished is passed over."""

    def __init__(self, path: Path, fresh: bool = False):
        """Open `path`, or make it; `fresh` leaves what it holds unused. Raises HscError when it cannot be
        read or made.
        """
        self.path = path
        self.records: dict[str, Measured] = {}
        self.times: dict[
            str, list[tuple[float, float]]
        ] = {}  # of each codec: seconds of an encode, of a reception
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+", encoding="utf-8") as file:
                file.seek(0)
                text = file.read()
                if text and not text.endswith("\n"):
                    file.write("\n")
        except OSError as error:
            raise HscError(
                f"cannot keep points in {path} ({error.strerror}): choose another folder with --out"
            ) from None
        for line in [] if fresh else text.splitlines():
            try:
                raw = json.loads(line)
                self._keep(raw["key"], raw["point"]["sending"]["codec"], Measured(**raw["measured"]))
            except (KeyError, TypeError, ValueError):
                continue

    def append(self, point: Point, measured: Measured) -> None:
        """Keep one record, in the file at once."""
        self._keep(key(point), point.sending.codec, measured)
        line = {"key": key(point), "point": _plain(point), "measured": asdict(measured)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n")

    def _keep(self, name: str, codec: str, measured: Measured) -> None:
        self.records[name] = measured
        self.times.setdefault(codec, []).append((measured.encode_seconds, measured.seconds))

    def get(self, point: Point) -> Measured | None:
        """The record of a point, or None."""
        return self.records.get(key(point))


@dataclass
class Outcome:
    """What a sweep gave: `measured` for every point that could be measured, `errors` for those in which a
    program failed.
    """

    measured: dict[Point, Measured] = field(default_factory=dict)
    pictures: dict[Point, np.ndarray] = field(default_factory=dict)
    errors: dict[Point, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One encode and all its receptions."""

    sending: Sending
    receptions: tuple[Reception, ...]


def jobs_of(points: Iterable[Point]) -> list[Job]:
    """Points grouped by what their transmitter does, in the order of their first appearance."""
    groups: dict[Sending, dict[Reception, None]] = {}
    for point in points:
        groups.setdefault(point.sending, {})[point.reception] = None
    return [Job(sending, tuple(receptions)) for sending, receptions in groups.items()]


def run(
    points: Sequence[Point],
    images: Mapping[str, np.ndarray],
    store: Store | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = lambda done, total: None,
    pictures: Collection[Point] = (),
) -> Outcome:
    """Measure the points that `store` does not hold yet.

    Args:
        points: what to measure; repeated ones are measured once.
        images: for each image identity its pixels, uint8 (H, W, C).
        store: where records are found and kept; None keeps nothing.
        workers: processes of the local cluster; None for one a core, 0 measures in this process without Dask.
        scheduler: address of a Dask scheduler, whose workers have this module installed; None for a local
            cluster.
        progress: told (encodes done, encodes in all).
        pictures: points whose received picture is wanted; they are always measured.

    Raises:
        HscError: the scheduler cannot be reached.
    """
    outcome, wanted = Outcome(), frozenset(pictures)
    for point in points:
        if store is not None and point not in wanted and (known := store.get(point)) is not None:
            outcome.measured[point] = known
    jobs = jobs_of(p for p in points if p not in outcome.measured)
    progress(0, len(jobs))
    if not jobs:
        return outcome
    with _executor(images, workers, scheduler, len(jobs)) as execute:
        for done, (job, results) in enumerate(execute(jobs, wanted), 1):
            _take(job, results, outcome, store)
            progress(done, len(jobs))
    return outcome


def _take(job: Job, results: list[Result] | str, outcome: Outcome, store: Store | None) -> None:
    """Results of a job, or why it failed, into the outcome and the store. What failed is not stored: the next
    run tries again.
    """
    for index, reception in enumerate(job.receptions):
        point = Point(job.sending, reception)
        if isinstance(results, str) or index >= len(results):
            outcome.errors[point] = results if isinstance(results, str) else "no result"
            continue
        measured, picture = results[index]
        if isinstance(measured, str):
            outcome.errors[point] = measured
            continue
        outcome.measured[point] = measured
        if picture is not None:
            outcome.pictures[point] = picture
        if store is not None:
            store.append(point, measured)


Result = tuple[Measured | str, np.ndarray | None]


def run_job(job: Job, image: np.ndarray, wanted: Collection[Point] = ()) -> list[Result]:
    """Measure one job, on one thread of torch: for each reception the figures, or the error of the program,
    and the picture if wanted.
    """
    import torch

    torch.set_num_threads(1)
    results: list[Result] = []
    try:
        for reception, (measured, picture) in zip(
            job.receptions, measure(job.sending, job.receptions, image), strict=True
        ):
            results.append((measured, picture if Point(job.sending, reception) in wanted else None))
    except (
        Exception
    ) as error:  # one point must not end a sweep of hours: it is recorded, and reported at the end
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        results += [(text, None)] * (len(job.receptions) - len(results))
    return results


Execute = Callable[[list[Job], frozenset[Point]], Iterator[tuple[Job, "list[Result] | str"]]]


@contextmanager
def _executor(
    images: Mapping[str, np.ndarray], workers: int | None, scheduler: str | None, jobs: int
) -> Iterator[Execute]:
    if workers == 0 and scheduler is None:
        yield lambda batch, wanted: ((job, run_job(job, images[job.sending.image], wanted)) for job in batch)
        return
    with _client(min(workers or os.cpu_count() or 1, jobs), scheduler) as client:
        yield functools.partial(_on_dask, client, images)


def _on_dask(
    client: Any, images: Mapping[str, np.ndarray], jobs: list[Job], wanted: frozenset[Point]
) -> Iterator[tuple[Job, list[Result] | str]]:
    from distributed import as_completed

    used = dict.fromkeys(job.sending.image for job in jobs)
    pixels = {name: client.scatter(images[name]) for name in used}
    futures = {}
    for job in jobs:
        pictures = frozenset(p for p in wanted if p.sending == job.sending)
        futures[client.submit(run_job, job, pixels[job.sending.image], pictures, pure=False, retries=1)] = job
    for future in as_completed(list(futures), loop=client.loop):
        job = futures.pop(future)
        try:
            yield job, future.result()
        except Exception as error:  # a worker that died, or a result that could not travel
            yield job, f"{type(error).__name__}: {error}"
        future.release()


def find_scheduler(address: str) -> None:
    """See that a Dask scheduler answers at `address`, such as tcp://127.0.0.1:8786. Raises HscError when none
    does.
    """
    import distributed

    async def identity() -> dict[str, Any]:
        async with distributed.rpc(address, timeout=_ANSWER) as there:
            return await there.identity()

    try:
        kind = asyncio.run(asyncio.wait_for(identity(), _ANSWER))["type"]
        reason = "" if kind == "Scheduler" else f"a {kind} answers"
    except Exception as error:  # whatever the address makes a protocol raise
        reason = str(error) or f"no answer within {_ANSWER:g} s"
    if reason:
        raise HscError(
            f"no Dask scheduler at '{address}' ({reason}): give the tcp://HOST:PORT that 'dask scheduler' "
            "tells, or leave --scheduler out"
        )


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A Dask client of a scheduler, or of a cluster of processes on this machine, one torch thread each."""
    import dask
    import distributed

    dask.config.set(_PATIENCE)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "Port .* is already in use")  # of a status page that nobody asked for
    if scheduler is not None:
        find_scheduler(scheduler)
        with distributed.Client(scheduler, timeout="10s", set_as_default=False) as client:
            yield client
        return
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            env=threads,
            preload=[_same_package()],
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _same_package() -> str:
    """Program text that makes a worker import this very package, be it installed or a source tree."""
    above = str(Path(__file__).resolve().parents[2])
    return (
        f"import gnuradio\nif {above!r} not in gnuradio.__path__:\n"
        f"    gnuradio.__path__ = [{above!r}, *gnuradio.__path__]\n"
    )


def key(point: Point) -> str:
    """Under which a record is kept: the point, and what its codec is made of, the refiner where it is at
    work.
    """
    codec = point.sending.codec
    made_of = fingerprint.of_stills() if codec == CAPACITY else fingerprint.of_codec(codec)
    if codec != CAPACITY and _refined(codec, point.reception):
        made_of += fingerprint.of_refiner()
    text = json.dumps([FORMAT, _plain(point), made_of], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _refined(codec: str, reception: Reception) -> bool:
    """Whether the receiver's options, given ones or the codec's own, have the refiner at work."""
    return registry.create(codec, **dict(reception.options)).refines


# Fields that came after FORMAT 2. They are kept where they have a value, so that records of points without
# one keep their keys.
_LATER = {"sending": {"loss": 0.0}, "reception": {"judged": [], "inside": None, "burst": 1.0}}


def _plain(point: Point) -> dict[str, Any]:
    """A point as JSON: tuples as lists, bytes (keys of a cipher) as hexadecimal digits."""
    plain = json.loads(json.dumps(asdict(point), default=lambda value: value.hex()))
    return {
        end: {k: v for k, v in plain[end].items() if k not in later or v != later[k]}
        for end, later in _LATER.items()
    }


def expected_seconds(store: Store, points: Iterable[Point], workers: int) -> float | None:
    """Expected time of the points that `store` lacks [s], from the times of their codecs in it; None when it
    knows nothing of one.
    """
    total = 0.0
    for job in jobs_of(p for p in points if store.get(p) is None):
        if not (known := store.times.get(job.sending.codec)):
            return None
        encode, receive = np.mean(known, axis=0)
        total += float(encode + receive * len(job.receptions))
    return total / max(workers, 1)
