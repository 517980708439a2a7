"""What the figures of LRISC compare: systems as their users would set them up, and where."""

from __future__ import annotations

from functools import partial

from ...evaluation.plan import Case

SNRS_DB = (0, 5, 10, 15, 20)
# One step below and one above those that the networks are compared at.
WIDE_SNRS_DB = (-2, *SNRS_DB, 25)
CBRS = (1 / 48, 1 / 32, 1 / 24, 1 / 16, 1 / 12, 1 / 8)
# Where systems are compared over every SNR with every photograph.
MAIN_CBRS = (1 / 24, 1 / 12)
DESIGN_SNR_DB = 10.0  # where nothing else is on the x axis
LOSSES = (0.0, 0.05, 0.2)  # shares of the packets
STEPS = (1, 2, 4)
REALISM = (0.0, 0.5, 1.0)
# Region of interest: x, y, width, height [pixels]. It lies in the middle part of photographs of 768 × 512 and
# of 512 × 768 alike, and is a tenth of their area.
REGION = (160, 160, 192, 192)
ROI = {"roi": ",".join(map(str, REGION))}
# Names and units of the x axes.
SNR_AXIS = "snr", "mean Es/N0 [dB]"
CBR_AXIS = "cbr", "budget of payload channel uses / (C·H·W)"
LOSS_AXIS = "loss", "share of packets dropped"
# Judged at every point: a second for a photograph of 768 × 512, on one core.
JUDGED = ("lpips_alex", "same_class", "feature_cosine", "colour_shift")
# Judged at few points: VGG16 runs on both images, 10 seconds for each quality.
DEEPLY_JUDGED = (*JUDGED, "lpips_vgg", "dists")
# Distances: less is better.
DISTANCES = ("lpips_alex", "lpips_vgg", "dists")
# Further columns of the results.
ALSO = ("side_share", "decode_seconds")
# The only number of the paper that is known, from its abstract: LPIPS against DeepJSCC, on average [%].
PAPER_LPIPS_PERCENT = -43.3

# Every codec has the LDPC code that its users have: 5G NR, but where it sends nothing digital.
_Case = partial(Case, mcs=None)
REFINED = {"refiner": True}
HEVC = {"source": "hevc"}
LRISC = _Case("lrisc", "lrisc", receiver=REFINED)
UNREFINED = _Case("lrisc without refiner", "lrisc", receiver={"refiner": False})
# The paper's rule for coding lengths, of the values themselves, which have to be sent.
LITERAL = _Case("lrisc, literal lengths", "lrisc", {"lengths": "literal"}, REFINED)
# For a channel that fades while the transmitter knows the mean alone: side information that mostly arrives.
ROBUST_MCS = "nr:QPSK-0.28"
ROBUST = Case(f"lrisc, side information in {ROBUST_MCS}", "lrisc", receiver=REFINED, mcs=ROBUST_MCS)
DEEPJSCC = _Case("deepjscc", "deepjscc")
DEEPJSCC_REFINED = _Case("deepjscc + refiner", "deepjscc", receiver=REFINED)
HDA = _Case("hda_deepsc, AMC", "hda_deepsc", {"da_ratio": None})
HDA_REFINED = _Case("hda_deepsc + refiner", "hda_deepsc", {"da_ratio": None}, REFINED)
SEPARATE = _Case("separate HEVC, AMC", "separate", HEVC)
SEPARATE_REFINED = _Case("separate HEVC + refiner", "separate", HEVC, REFINED)
# Likewise: an MCS that all but the deepest fades let through.
SEPARATE_CAREFUL = _Case("separate HEVC, AMC 8 dB below the mean", "separate", HEVC, stand_off_db=8.0)
SYSTEMS = (
    LRISC,
    UNREFINED,
    LITERAL,
    DEEPJSCC,
    DEEPJSCC_REFINED,
    _Case("deepjscc_q", "deepjscc_q"),
    HDA,
    HDA_REFINED,
    _Case("hda_hevc, AMC", "hda_hevc"),
    SEPARATE,
    SEPARATE_REFINED,
)
RIVALS = (LRISC, UNREFINED, DEEPJSCC, SEPARATE, SEPARATE_REFINED)


def text_of(cbr: float) -> str:
    """A CBR for a label."""
    return f"CBR 1/{round(1 / cbr)}"
