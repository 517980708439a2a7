"""Hybrid semantic image transmission on the air: analog symbols and digital bits in one OFDM air interface.

Sub-modules and GNU Radio blocks, those of systems too, are attributes that load when they are first used, so
that ``from gnuradio import hsc; hsc.ofdm_receiver(...)`` works in a flowgraph, and everything but blocks and
commands works without GNU Radio. `gnuradio.hsc` is the package's only name: under another its errors would be
other classes.
"""

import importlib
import importlib.util

__version__ = "0.1.0"

if __name__ != "gnuradio.hsc":
    raise ImportError(
        f"this package is gnuradio.hsc, not {__name__}: import it by that name (docs/installation.md)"
    )
# Debian's package brings libraries along that Debian lacks; nothing else has this file (packaging/debian).
if importlib.util.find_spec(f"{__name__}._vendored") is not None:
    importlib.import_module("._vendored", __name__)


def __getattr__(name: str) -> object:
    """A sub-module, a block class of `blocks`, or one of a system (PEP 562)."""
    if not name.startswith("_"):
        # Sub-modules first: `from hsc import metrics` must not load the blocks, which need GNU Radio.
        if importlib.util.find_spec(f"{__name__}.{name}") is not None:
            return importlib.import_module(f".{name}", __name__)
        blocks = importlib.import_module(".blocks", __name__)
        if name in blocks.__all__:
            return getattr(blocks, name)
        if name in (places := blocks.system_blocks()):
            return importlib.import_module(".codecs.system", __name__).load(places[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    try:
        blocks = importlib.import_module(".blocks", __name__).names()
    except ImportError:  # no GNU Radio here
        blocks = ()
    return sorted({*globals(), *blocks})
