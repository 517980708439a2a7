"""`demo`: the sample photographs and digits over the OFDM flowgraph, and one picture of it all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from .. import metrics
from ..evaluation import pictures
from ..images.files import SourceImage, load, picture
from ..phy.mcs import best_for
from . import samples
from .link import Runner, Scenario, Transmitted, record
from .report import Record, make_folder, print_table, progress_bar, save_picture, table, write_text

PHOTOGRAPHS, DIGITS = 2, 3
SNR_DB = 12.0
PHOTO_RANKS = (0, 8, 32, 128)
DIGIT_RANKS = (0, 2, 6, 28)
SNRS_DB = (0.0, 6.0, 12.0, 20.0)
SNR_CBR = 1 / 6
MCS_MARGIN_DB = 1.5
CFO, SFO_PPM = 2.5, 10.0  # as between two cheap oscillators


@dataclass(frozen=True)
class Shot:
    """One image to send, and what to write under its picture."""

    path: Path
    label: str
    settings: Scenario


def rows() -> list[list[Shot]]:
    """What is sent, one row of the summary picture each: rising rank, then rising SNR at one CBR. Raises
    HscError without samples.
    """
    photographs, digits = samples.photographs()[:PHOTOGRAPHS], samples.digits()[:DIGITS]
    found = [_rising_rank(path, PHOTO_RANKS) for path in photographs]
    found.append(
        [
            Shot(photographs[0], f"{snr:g} dB, {_mcs(snr)}", _settings(snr, cbr=SNR_CBR, mcs=_mcs(snr)))
            for snr in SNRS_DB
        ]
    )
    return [*found, *(_rising_rank(path, DIGIT_RANKS) for path in digits)]


def _rising_rank(path: Path, ranks: tuple[int, ...]) -> list[Shot]:
    return [
        Shot(
            path,
            f"k = {k}" if k else "SR alone, k = 0",
            _settings(SNR_DB, codec_options={"rank": k, "cr": "projection"}),
        )
        for k in ranks
    ]


def _settings(snr_db: float, **changes: object) -> Scenario:
    return replace(Scenario(snr_db=snr_db, cfo=CFO, sfo_ppm=SFO_PPM), **changes)


def _mcs(snr_db: float) -> str:
    return best_for(snr_db, MCS_MARGIN_DB).name


def run(out: Path, runner: Runner | None = None) -> int:
    """Send everything, print the table, write the pictures, metrics.json and summary.png to `out`. Returns
    the exit status.

    Raises HscError when GNU Radio, samples or weights are missing, or `out` cannot be written.
    """
    if runner is None:
        from .send import transmit as runner
    plan = rows()
    make_folder(out)
    records: list[Record] = []
    tiles: list[list[pictures.Tile]] = []
    with progress_bar() as bar:
        task = bar.add_task("sending", total=sum(len(row) for row in plan))
        for number, row in enumerate(plan):
            original = load(row[0].path)
            tiles.append([pictures.Tile(original.pixels, "original", row[0].path.stem)])
            for note in original.notes:
                bar.console.print(
                    f"gr-hsc: {original.path.name}: {note}", markup=False, highlight=False, soft_wrap=True
                )
            for shot, outcome, entry in _send_row(row, original, runner):
                records.append(entry)
                tiles[-1].append(_tile(shot, outcome))
                if outcome.received is not None:
                    save_picture(
                        picture(outcome.received),
                        out / f"{number + 1}_{shot.path.stem}_{_slug(shot.label)}.png",
                    )
                bar.update(task, advance=1, description=f"{shot.path.stem}, {shot.label}")
    heading = (
        f"HSC over OFDM with CFO and clock offset: rank k rising at {SNR_DB:g} dB; third row: SNR rising at "
        "CBR 1/6"
    )
    save_picture(pictures.grid(tiles, tile_height=200, heading=heading), out / "summary.png")
    write_text(out / "metrics.json", json.dumps(records, indent=2, allow_nan=False) + "\n")
    print_table(
        table(records, f"HSC over OFDM, AWGN, CFO of {CFO:g} subcarriers, clocks {SFO_PPM:g} ppm apart")
    )
    click.echo(
        f"look at {out / 'summary.png'}: each row is an image, from what the semantic part alone gives to "
        "what arrives with more"
    )
    return 0 if all(entry["error"] is None for entry in records) else 1


def _send_row(
    row: list[Shot], loaded: SourceImage, runner: Runner
) -> Iterator[tuple[Shot, Transmitted, Record]]:
    for shot in row:
        outcome = runner(loaded.pixels, shot.settings)
        yield shot, outcome, record(f"{shot.path.stem}, {shot.label}", shot.settings, outcome, loaded.notes)


def _tile(shot: Shot, outcome: Transmitted) -> pictures.Tile:
    cbr = outcome.ledger.cbr(outcome.sent.shape)
    if outcome.received is None:
        return pictures.Tile(None, shot.label, f"CBR {cbr:.3f}")
    psnr = metrics.psnr_db(outcome.received, outcome.sent)
    return pictures.Tile(outcome.received, shot.label, f"{pictures.quality(psnr)}, CBR {cbr:.3f}")


def _slug(label: str) -> str:
    return "".join(c for c in label.replace(" = ", "").replace(" ", "_") if c.isalnum() or c in "_-")
