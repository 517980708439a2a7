"""The example of docs/adding-a-codec.md works as printed: one module and one registry line."""

import re
import sys
import types

import numpy as np
from gnuradio.hsc import codecs, modem
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.message import Link
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.packets import ReceivedPacket, split
from support import ROOT

PAGE = ROOT / "docs" / "adding-a-codec.md"


def test_example_codec_crosses_the_packets(monkeypatch):
    source = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0]
    module = types.ModuleType("thumbnail")
    module.__package__ = codecs.__name__
    exec(compile(source, "thumbnail.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, f"{codecs.__name__}.thumbnail", module)
    monkeypatch.setitem(registry._MODULES, "thumbnail", (200, "thumbnail:ThumbnailCodec"))

    image = np.kron(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5, np.ones((8, 8, 1), np.uint8))
    codec = registry.create("thumbnail")
    packets = split(modem.modulate(codec.encode(image, Link(mcs="QPSK-1/2")), 1))
    arrived = [
        ReceivedPacket(p.header, p.symbols, np.full(len(p.symbols), 0.01, np.float32), 20.0) for p in packets
    ]
    received = modem.demodulate(join(arrived))
    assert received.codec == "thumbnail" and received.digital[0].complete
    assert np.abs(codec.decode(received).image.astype(int) - image).mean() < 30
