"""`python -m hsc.training RECIPE`."""

import sys

from ..streams import Streams
from .cli import cli

streams = Streams()
try:
    cli(prog_name="python -m hsc.training")
except SystemExit as end:
    sys.exit(streams.close(end.code))
