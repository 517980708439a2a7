"""What the figures of DS²C² compare: systems as their users would set them up, and where."""

from __future__ import annotations

from functools import partial

from ...evaluation.plan import Case

# Shares of the packets that are lost, and the mean burst of bursty losses [packets].
LOSSES = (0.0, 0.05, 0.1, 0.16, 0.2, 0.3, 0.4)
BURST = 4.0
# Where losses are compared: that of `CBR` at this SNR, 16QAM-1/2, is half a bit per pixel with everything.
SNR_DB, CBR = 10.0, 1 / 12
# Repair symbols of what nothing is decoded without, for losses of 40 %, of 16 %, and of 5 %. A message of 24
# packets loses a whole number of them, so twice the deviation more than the mean.
FOR_40, FOR_16, FOR_5 = {"repair_share": 0.6}, {"repair_share": 0.3}, {"repair_share": 0.15}
NONE = {"repair_share": 0.0}
PACKET_AXIS = "loss", "share of packets dropped"

# Options say what is sent for losses, so that one message serves every share of them.
_Case = partial(Case, loss=0.0)
OURS = _Case("ds2c2", "ds2c2", FOR_40)
BINARY = _Case("ds2c2, binary", "ds2c2", {"coding": "binary", **FOR_40})
LIC = _Case("lic, repair for 16 %", "lic", FOR_16)
LIC_STOPS = _Case("lic, stops", "lic", {"losses": "stop"})
SEPARATE = _Case("separate HEVC, repair for 16 %", "separate", FOR_16)
SEPARATE_5 = _Case("separate HEVC, repair for 5 %", "separate", FOR_5)
SEPARATE_40 = _Case("separate HEVC, repair for 40 %", "separate", FOR_40)
SYSTEMS = (
    OURS,
    BINARY,
    LIC,
    LIC_STOPS,
    SEPARATE,
    SEPARATE_5,
    SEPARATE_40,
    _Case("separate JPEG2000", "separate", {"source": "jpeg2000", **NONE}),
    _Case("lrisc", "lrisc", FOR_40, {"refiner": False}),
    _Case("hda_deepsc, AMC", "hda_deepsc", {"da_ratio": None, **FOR_40}),
    _Case("hda_hevc, AMC", "hda_hevc", FOR_40),
    _Case("hda_dct", "hda_dct", FOR_40),
    _Case("softcast", "softcast", FOR_40),
    _Case("deepjscc", "deepjscc"),
)
# Whose pictures are shown.
SHOWN = (OURS, BINARY, LIC, SEPARATE)
