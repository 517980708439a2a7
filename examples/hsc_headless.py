#!/usr/bin/env python3
"""Images over a simulated OFDM link, without a GUI: the flowgraph of hsc_image_link.grc in a few lines.

python hsc_headless.py --snr 10 --rank 40 --out received images/kitten.jpg
"""

import argparse
import sys

from gnuradio import channels, gr, hsc
from gnuradio.hsc.errors import HscError


class ImageLink(gr.top_block):
    """Image Source - HSC Transmitter - Channel Model - HSC Receiver - Quality Meter - Image Sink; ends after
    the last image.
    """

    def __init__(self, files: list[str], snr_db: float, rank: int, cfo: float, out: str) -> None:
        gr.top_block.__init__(self, "HSC image link")
        self.source = hsc.image_source(files, in_flight=2)
        self.transmitter = hsc.hsc_transmitter(rank=rank, cr="projection", continuous=False)
        self.channel = channels.channel_model(
            10 ** (-snr_db / 20), cfo / 64, 1.0, [0.97, 0, 0.2j, 0, 0, -0.13]
        )
        self.receiver, self.sink = hsc.hsc_receiver(), hsc.image_sink(out)
        self.meter = hsc.quality_meter(perceptual=["lpips_alex"])
        self.connect(self.transmitter, self.channel, self.receiver)
        self.msg_connect(self.source, "images", self.transmitter, "images")
        self.msg_connect(self.transmitter, "sent", self.source, "next")
        self.msg_connect(self.source, "images", self.meter, "reference")
        self.msg_connect(self.receiver, "images", self.meter, "received")
        self.msg_connect(self.meter, "images", self.sink, "images")


def main() -> int:
    """Run the link and print what arrived. Returns 1 when an image could not be read, or did not arrive."""
    parser = argparse.ArgumentParser(description="Send images over a simulated OFDM link with HSC.")
    parser.add_argument(
        "files", nargs="*", default=["images"], help="files, folders or patterns; default: the sample images"
    )
    parser.add_argument(
        "--snr", type=float, default=10.0, metavar="DB", help="Es/N0 of a carrier (default: %(default)s)"
    )
    parser.add_argument(
        "--rank",
        type=int,
        default=20,
        metavar="K",
        help="rank of the CR, 0 sends the SR alone (default: %(default)s)",
    )
    parser.add_argument(
        "--cfo",
        type=float,
        default=0.5,
        metavar="CARRIERS",
        help="carrier frequency offset (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        default="hsc_received",
        metavar="FOLDER",
        help="where to write PNG files (default: %(default)s)",
    )
    given = parser.parse_args()
    try:
        link = ImageLink(given.files, given.snr, given.rank, given.cfo, given.out)
    except HscError as error:
        parser.error(str(error))
    link.run()
    for quality in link.meter.results.values():
        similarity = "" if quality.ms_ssim is None else f"   MS-SSIM {quality.ms_ssim:.4f}"
        distance = "" if quality.lpips_alex is None else f"   LPIPS (Alex) {quality.lpips_alex:.3f}"
        print(f"{quality.name:20}   PSNR {quality.psnr_db:5.2f} dB{similarity}{distance}")
    read, written = link.source.counters, link.sink.counters
    return int(read["errors"] > 0 or not 0 < read["sent"] <= written["written"])


if __name__ == "__main__":
    sys.exit(main())
