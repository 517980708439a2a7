"""Hybrid semantic image transmission on the air: analog symbols and digital bits in one OFDM air interface.

Sub-modules and the GNU Radio blocks are attributes that load when they are first used, so that
``from gnuradio import hsc; hsc.ofdm_receiver(...)`` works in a flowgraph and everything but `blocks` and `app` works without
GNU Radio.
"""

import importlib
import importlib.util

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """A sub-module, or a block class of `blocks` (PEP 562)."""
    if not name.startswith("_"):
        # Sub-modules first: `from hsc import metrics` must not load the blocks, which need GNU Radio.
        if importlib.util.find_spec(f"{__name__}.{name}") is not None:
            return importlib.import_module(f".{name}", __name__)
        blocks = importlib.import_module(".blocks", __name__)
        if hasattr(blocks, name):
            return getattr(blocks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    try:
        blocks = importlib.import_module(".blocks", __name__).__all__
    except ImportError:  # no GNU Radio here
        blocks = []
    return sorted({*globals(), *blocks})
