"""What the figures of the HDA-DeepSC paper compare: systems as their users would set them up, and where."""

from __future__ import annotations

from ...evaluation.plan import Case
from ...evaluation.transmission import CAPACITY

CBR = 1 / 6  # of every figure but 6 and 7, section V-C
DESIGN_SNR_DB = 10.0  # where nothing else is on the x axis, section V-D
SNRS_DB = range(0, 21, 5)
DA_RATIOS = (0.2, 0.4, 0.875, 1.5, 3.0)  # section V-E
CBRS = (1 / 24, 1 / 12, 1 / 6)  # figures 6 and 7
STEPS = (10, 20, 30, 40, 50)  # table I
FIXED_MCS = "16QAM-1/2"  # of the separate design without AMC
KEY = bytes(range(32))  # any key: what matters is who has it
LOSSES = (0.0, 0.05, 0.2)  # shares of the packets
# Names and units of the x axes.
SNR_AXIS = "snr", "mean Es/N0 [dB]"
CBR_AXIS = "cbr", "budget of payload channel uses / (C·H·W)"
MIXED_DA = {"da_ratio": DA_RATIOS[0]}
# The paper's receiver has no restorer.
PAPERS = {"restorer": False}
HDA = Case("hda_deepsc, AMC", "hda_deepsc", MIXED_DA, PAPERS)
HDA_CHOSEN = Case("hda_deepsc, ratio chosen, AMC", "hda_deepsc", {"da_ratio": None}, PAPERS)
HDA_ONE_WAY = Case("hda_deepsc, one-way", "hda_deepsc", MIXED_DA, PAPERS, knows="nothing")
SEPARATE = Case("separate HEVC, AMC", "separate", {"source": "hevc"})
SEPARATE_FIXED = Case(
    f"separate HEVC, {FIXED_MCS}", "separate", {"source": "hevc"}, mcs=FIXED_MCS, knows="nothing"
)
BOUND = Case("HEVC at capacity (bound)", CAPACITY, {"source": "hevc"})
SYSTEMS = (
    HDA,
    Case("hda_hevc, AMC", "hda_hevc"),
    Case("deepjscc", "deepjscc"),
    Case("deepjscc_q", "deepjscc_q"),
    Case("hda_dct, AMC", "hda_dct"),
    Case("softcast", "softcast"),
    SEPARATE,
    SEPARATE_FIXED,
    Case("separate JPEG2000, AMC", "separate", {"source": "jpeg2000"}),
    BOUND,
)
GAIN_KNOWN = (
    Case("hda_deepsc, AMC on the gain", "hda_deepsc", MIXED_DA, PAPERS, knows="gain"),
    Case("separate HEVC, AMC on the gain", "separate", {"source": "hevc"}, knows="gain"),
)
# What is best today, with 5G NR LDPC: classical, with a neural post-filter, hybrid; HDA-DeepSC at the paper's
# setting too; and the bounds of the first two.
LIMIT = (
    *(
        Case(label, codec, options, mcs="nr")
        for label, codec, options in (
            ("separate HEVC", "separate", {"source": "hevc"}),
            ("separate HEVC, NNPF", "separate", {"source": "hevc_nnpf"}),
            ("hda_hevc", "hda_hevc", {}),
            ("hda_deepsc, ratio chosen", "hda_deepsc", {"da_ratio": None}),
        )
    ),
    Case("hda_deepsc, DA ratio 0.2, 802.11ad", "hda_deepsc", MIXED_DA),
)
LIMIT_BOUNDS = (BOUND, Case("HEVC, NNPF, at capacity (bound)", CAPACITY, {"source": "hevc_nnpf"}))
# As in the paper, whose decoder knows nothing of the noise; and our receiver, whose decoder is told its
# variance.
UNTOLD = {"informed": False}
DENOISERS = tuple(
    Case(f"{name}{end}", "deepjscc", receiver={**denoiser, **told})
    for told, end in ((UNTOLD, ", decoder not told of the noise"), ({}, ""))
    for name, denoiser in (
        ("no denoiser", {}),
        ("DnCNN", {"denoiser": "dncnn"}),
        ("DiffSDNet", {"denoiser": "diffsdnet"}),
    )
)
