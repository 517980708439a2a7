"""`python -m hsc.training RECIPE`."""

from .cli import cli

cli(prog_name="python -m hsc.training")
