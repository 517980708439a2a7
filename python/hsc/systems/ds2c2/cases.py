"""What the figures of DS²C² compare: systems as their users would set them up, and where."""

from __future__ import annotations

from ...evaluation.plan import Case

# Shares of the packets that are lost, and the mean burst of bursty losses [packets].
LOSSES = (0.0, 0.05, 0.1, 0.16, 0.2, 0.3, 0.4)
BURST = 4.0
# Where losses are compared: that of `CBR` at this SNR, 16QAM-1/2, is half a bit per pixel with everything.
SNR_DB, CBR = 10.0, 1 / 12
# Repair symbols of what nothing is decoded without, for losses of 40 %, of 16 %, and of 5 %. A message of 24
# packets loses a whole number of them, so twice the deviation more than the mean.
FOR_40, FOR_16, FOR_5 = {"repair_share": 0.6}, {"repair_share": 0.3}, {"repair_share": 0.15}
PACKET_AXIS = "loss", "share of packets dropped"

OURS = Case("ds2c2", "ds2c2", FOR_40)
BINARY = Case("ds2c2, binary", "ds2c2", {"coding": "binary", **FOR_40})
LIC = Case("lic, repair for 16 %", "lic", FOR_16)
LIC_STOPS = Case("lic, stops", "lic", {"losses": "stop"})
SEPARATE = Case("separate HEVC, repair for 16 %", "separate", FOR_16)
SEPARATE_5 = Case("separate HEVC, repair for 5 %", "separate", FOR_5)
SYSTEMS = (
    OURS,
    BINARY,
    LIC,
    LIC_STOPS,
    SEPARATE,
    SEPARATE_5,
    Case("separate JPEG2000", "separate", {"source": "jpeg2000"}),
    Case("lrisc", "lrisc", FOR_40, {"refiner": False}),
    Case("hda_deepsc, AMC", "hda_deepsc", {"da_ratio": None, **FOR_40}),
    Case("hda_hevc, AMC", "hda_hevc", FOR_40),
    Case("hda_dct", "hda_dct", FOR_40),
    Case("softcast", "softcast"),
    Case("deepjscc", "deepjscc"),
)
# Whose pictures are shown.
SHOWN = (OURS, BINARY, LIC, SEPARATE)
