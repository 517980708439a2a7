"""What `evaluate over-the-air` makes of lines and files; its processes are those of test_tx_rx.py."""

import json

import numpy as np
import pytest
from gnuradio.hsc.app import samples
from gnuradio.hsc.bench import over_the_air
from gnuradio.hsc.images import files as image_files


def test_digits_and_photographs_come_in_turns_none_too_large(tmp_path):
    paths = [*samples.digits(), *samples.photographs()]
    sources = {path.stem: image_files.load(path).pixels for path in paths}
    files = over_the_air.prepare(sources, tmp_path / "sent")
    shapes = [image_files.load(path).pixels.shape for path in files]
    assert len(files) >= 8
    assert shapes[0::2] == [(28, 28, 1)] * len(shapes[0::2])
    assert shapes[1::2] == [(64, 64, 3)] * len(shapes[1::2])
    large = over_the_air.prepare(sources, tmp_path / "large", 256, digits=False)
    assert [image_files.load(path).pixels.shape for path in large] == [(256, 256, 3)] * len(
        samples.photographs()
    )


def test_shares_and_quality_are_of_the_right_images(tmp_path):
    """Message ids wrap; the second of three images is lost, the third is incomplete and 20 dB off."""
    rng = np.random.default_rng(1)
    sent = [rng.integers(30, 200, (16, 16, 1), np.uint8) for _ in range(3)]
    order = [tmp_path / f"{i}.png" for i in range(3)]
    for path, pixels in zip(order, sent, strict=True):
        image_files.picture(pixels).save(path)
    image_files.picture(sent[0]).save(tmp_path / "a.png")
    image_files.picture((sent[2] + 25).astype(np.uint8)).save(tmp_path / "c.png")
    common = {"error": None, "snr_db": 5.0, "cfo_hz": 100.0}
    lines = [
        {**common, "message_id": 65535, "file": "a.png", "packets": 1, "packets_received": 1},
        {
            **common,
            "message_id": 0,
            "file": None,
            "packets": 2,
            "packets_received": 1,
            "error": "nothing usable",
        },
        {**common, "message_id": 1, "file": "c.png", "packets": 2, "packets_received": 1},
    ]
    (tmp_path / "received.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    got = over_the_air._figures(over_the_air.records(tmp_path), order, 65535, tmp_path)
    assert (
        got["delivered"] == pytest.approx(2 / 3) and got["whole"] == pytest.approx(1 / 3) and got["lost"] == 1
    )
    assert got["worst_psnr_db"] == pytest.approx(20 * np.log10(255 / 25), abs=1e-6)
    assert got["psnr_db"] == pytest.approx((100 + got["worst_psnr_db"]) / 2)
