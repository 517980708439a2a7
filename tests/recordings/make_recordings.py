"""Makes the reference recordings of this folder anew: `./gr-hsc python python/run.py
tests/recordings/make_recordings.py`.

Each has the bursts of one image, silence around them, and the impairments of RECORDINGS; samples are ci16_le,
1 MS/s. NAME.png is what the receiver made of it when the recording was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from gnuradio.hsc import modem
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.evaluation.sample_channel import channel
from gnuradio.hsc.images import files
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy import ofdm
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.numerology import preset
from gnuradio.hsc.phy.packets import DEFAULT_PACKET_SYMBOLS, split
from gnuradio.hsc.phy.receiver import BurstReceiver
from gnuradio.hsc.radio import recording

FOLDER = Path(__file__).parent
IMAGES = FOLDER.parents[1] / "examples" / "images"
RATE = 1e6
AMPLITUDE = 0.2  # of full scale: leaves room for the peaks of OFDM
SILENCE = 4000  # samples before and after


@dataclass(frozen=True)
class Made:
    """One recording: what was sent, and what the channel did to it. `square`: a crop of so many pixels from
    the middle.
    """

    image: str
    codec: str
    link: Link
    snr_db: float
    cfo_hz: float
    sfo_ppm: float
    echoes: dict[int, complex]
    square: int | None = None
    packet_symbols: int = DEFAULT_PACKET_SYMBOLS
    numerology: str = "ofdm64"


RECORDINGS = {
    "hsc-digit": Made("digit_4.png", "hsc", Link(snr_db=15), 15, 10_000, 20, {0: 1, 3: 0.5j, 7: -0.32}),
    "separate-photo": Made(
        "parakeet.jpg",
        "separate",
        Link(snr_db=12, mcs="QPSK-3/4", cbr=1 / 3),
        12,
        -23_400,
        -12,
        {0: 1, 2: 0.4},
        48,
        1000,
        "ofdm256",
    ),
}


def image_of(made: Made) -> np.ndarray:
    """uint8 (H, W, C) that was sent."""
    pixels = files.load(IMAGES / made.image).pixels
    if made.square is None:
        return pixels
    top, left = ((side - made.square) // 2 for side in pixels.shape[:2])
    return pixels[top : top + made.square, left : left + made.square]


def samples_of(made: Made, rng: np.random.Generator) -> np.ndarray:
    """complex64 (n,): what the receiver's radio gave."""
    numerology = preset(made.numerology)
    message = registry.create(made.codec).encode(image_of(made), made.link)
    packets = split(modem.modulate(message, 1234, made.packet_symbols))
    gap = np.zeros(700, np.complex64)
    sent = np.concatenate([np.concatenate([gap, ofdm.modulate(p, numerology)]) for p in packets])
    sent = np.concatenate([np.zeros(SILENCE, np.complex64), sent, np.zeros(SILENCE, np.complex64)])
    norm = np.sqrt(sum(abs(g) ** 2 for g in made.echoes.values()))
    taps = {delay: gain / norm for delay, gain in made.echoes.items()}
    cfo = made.cfo_hz / (RATE / numerology.n_fft)
    return AMPLITUDE * channel(sent, numerology, rng, made.snr_db, cfo, made.sfo_ppm, taps)


def write(name: str, made: Made) -> None:
    """Samples and metadata."""
    numerology = preset(made.numerology)
    start = datetime(2026, 11, 21, 12, tzinfo=UTC)
    writer = recording.RecordingWriter(
        FOLDER / name,
        "ci16_le",
        RATE,
        433.92e6,
        "simulated",
        numerology,
        start,
        overwrite=True,
        full_scale=1.0,
    )
    writer.write(samples_of(made, np.random.default_rng(7)).astype(np.complex64))
    stored = np.fromfile(writer.data, "<i2")
    packets = BurstReceiver(numerology).push(
        (stored / np.float32(recording.CI16_FULL_SCALE)).view(np.complex64)
    )
    for received in packets:
        writer.add(received)
    writer.close()
    decoded = registry.create(made.codec).decode(modem.demodulate(join(packets))).image
    files.picture(decoded).save(FOLDER / f"{name}.png")
    print(f"{name}: {writer.data.stat().st_size} bytes, {len(packets)} packets")


if __name__ == "__main__":
    for each, description in RECORDINGS.items():
        write(each, description)
