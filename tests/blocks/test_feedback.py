"""`tx --feedback` and `rx --feedback`: two processes and a channel, and a way back."""

import pytest
from gnuradio.hsc import metrics
from support.pictures import photo, pixels
from support.processes import ended, free_address, free_endpoint, records


@pytest.mark.gnuradio
def test_images_get_better_when_the_receiver_tells_of_a_good_link(start, tmp_path):
    near, far, back = free_address(), free_address(), free_endpoint()
    picture = photo(tmp_path / "picture.png", 1, side=96)
    start("channel", "--in", near, "--out", far, "--snr", 20).when("channel:")
    receiver = start("rx", "--radio", far, "--out", tmp_path / "out", "--feedback", back)
    receiver.when("listening")
    codec = ("--codec", "separate", "--option", "source=jpeg2000", "--cbr", 0.3)
    sender = start("tx", picture, "--radio", near, "--loop", "--interval", 0.3, "--feedback", back, *codec)
    receiver.when("image_00007")
    assert ended(sender) < 5 and ended(receiver) < 5
    found = [record for record in records(tmp_path / "out") if record["file"]]
    quality = [
        metrics.psnr_db(pixels(tmp_path / "out" / record["file"]), pixels(picture)) for record in found
    ]
    assert all(record["packets_received"] == record["packets"] for record in found)
    assert min(quality[6:]) > quality[0] + 3, quality
