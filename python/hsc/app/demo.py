"""`demo`: the sample photographs and digits over the OFDM flowgraph, and one picture of it all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import click

from .. import metrics
from ..evaluation import pictures
from ..images.files import load, picture
from ..phy.mcs import best_for
from . import samples
from .group import EXIT_FAILED
from .link import Runner, Scenario, Transmitted, record
from .report import Record, make_folder, print_table, progress_bar, save_picture, table, tell, write_text

# Images of each kind.
PHOTOGRAPHS, DIGITS = 2, 3
# What is sent at rising rank: Es/N0 [dB] and ranks of the CR; 28 is the full rank of a digit.
SNR_DB = 12.0
PHOTO_RANKS = (0, 8, 32, 128)
DIGIT_RANKS = (0, 2, 6, 28)
# What is sent at rising Es/N0 [dB], at one CBR.
SNRS_DB = (0.0, 6.0, 12.0, 20.0)
SNR_CBR = 1 / 6
# Es/N0 over the threshold of a MCS [dB]. Chosen by trial.
MCS_MARGIN_DB = 1.5
# Offsets as between two cheap oscillators, [subcarriers] and [ppm].
CFO, SFO_PPM = 2.5, 10.0
# Height of a picture in the summary [pixels].
_TILE_HEIGHT = 200


@dataclass(frozen=True)
class Shot:
    """One image to send, and what to write under its picture."""

    path: Path
    label: str
    scenario: Scenario


def rows() -> list[list[Shot]]:
    """What is sent, one row of the summary picture each: rising rank, then rising SNR at one CBR. Raises
    HscError without samples.
    """
    photographs, digits = samples.photographs()[:PHOTOGRAPHS], samples.digits()[:DIGITS]
    return [
        *(_rising_rank(path, PHOTO_RANKS) for path in photographs),
        _rising_snr(photographs[0]),
        *(_rising_rank(path, DIGIT_RANKS) for path in digits),
    ]


def _rising_rank(path: Path, ranks: tuple[int, ...]) -> list[Shot]:
    return [
        Shot(
            path,
            f"k = {k}" if k else "SR alone, k = 0",
            _scenario(SNR_DB, codec_options={"rank": k, "cr": "projection"}),
        )
        for k in ranks
    ]


def _rising_snr(path: Path) -> list[Shot]:
    mcs = {snr: best_for(snr, MCS_MARGIN_DB).name for snr in SNRS_DB}
    return [Shot(path, f"{s:g} dB, {mcs[s]}", _scenario(s, cbr=SNR_CBR, mcs=mcs[s])) for s in SNRS_DB]


def _scenario(snr_db: float, **changes: object) -> Scenario:
    return replace(Scenario(snr_db=snr_db, cfo=CFO, sfo_ppm=SFO_PPM), **changes)


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
        for number, row in enumerate(plan, 1):
            original = load(row[0].path)
            for note in original.notes:
                tell(bar, f"{original.path.name}: {note}")
            tiles.append([pictures.Tile(original.pixels, "original", row[0].path.stem)])
            for shot in row:
                outcome = runner(original.pixels, shot.scenario)
                name = f"{shot.path.stem}, {shot.label}"
                records.append(record(name, shot.scenario, outcome, original.notes))
                tiles[-1].append(_tile(shot, outcome))
                if outcome.received is not None:
                    file = f"{number}_{shot.path.stem}_{_slug(shot.label)}.png"
                    save_picture(picture(outcome.received), out / file)
                bar.update(task, advance=1, description=name)
    _report(records, tiles, out)
    return EXIT_FAILED if any(entry["error"] for entry in records) else 0


def _report(records: list[Record], tiles: list[list[pictures.Tile]], out: Path) -> None:
    heading = (
        f"HSC over OFDM with CFO and clock offset: rank k rising at {SNR_DB:g} dB; "
        "third row: SNR rising at CBR 1/6"
    )
    save_picture(pictures.grid(tiles, tile_height=_TILE_HEIGHT, heading=heading), out / "summary.png")
    write_text(out / "metrics.json", json.dumps(records, indent=2, allow_nan=False) + "\n")
    title = f"HSC over OFDM, AWGN, CFO of {CFO:g} subcarriers, clocks {SFO_PPM:g} ppm apart"
    print_table(table(records, title))
    click.echo(
        f"look at {out / 'summary.png'}: each row is an image, from what the semantic part alone gives to "
        "what arrives with more"
    )


def _tile(shot: Shot, outcome: Transmitted) -> pictures.Tile:
    cbr = outcome.ledger.cbr(outcome.sent.shape)
    if outcome.received is None:
        return pictures.Tile(None, shot.label, f"CBR {cbr:.3f}")
    psnr = metrics.psnr_db(outcome.received, outcome.sent)
    return pictures.Tile(outcome.received, shot.label, f"{pictures.quality(psnr)}, CBR {cbr:.3f}")


def _slug(label: str) -> str:
    return "".join(c for c in label.replace(" = ", "").replace(" ", "_") if c.isalnum() or c in "_-")
