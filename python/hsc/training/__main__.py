"""`python -m hsc.training RECIPE`."""

import sys

from ..app.train import cli
from ..streams import Streams

streams = Streams()
try:
    cli(prog_name="python -m hsc.training")
except SystemExit as end:
    sys.exit(streams.close(end.code))
