"""The refiner's flags in the command line: every system declares them whose codecs it may stand behind."""

from ..codecs.system import Shorthand
from .options import RefinerOptions

SHORTHANDS = (
    Shorthand("--refine", RefinerOptions, "refiner"),
    Shorthand("--refiner-steps", RefinerOptions, "refiner_steps"),
    Shorthand("--realism", RefinerOptions, "realism"),
)
