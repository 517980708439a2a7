"""Tests import `gnuradio.hsc` from the source tree, or the installed module when HSC_TEST_INSTALLED=1."""

import os
from pathlib import Path

os.environ.setdefault("GR_CONF_CONTROLPORT_ON", "False")

if os.environ.get("HSC_TEST_INSTALLED") != "1":
    import gnuradio

    gnuradio.__path__.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
