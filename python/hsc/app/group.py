"""The command group that turns errors into one line, and what exit statuses mean."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from ..errors import HscError
from ..files import printable

# Of an image nothing arrived, a radio has vanished, or a check has found something.
EXIT_FAILED = 1
# What the user can mend.
EXIT_BAD_INPUT = 2
# As shells have it for a program that SIGINT has ended: 128 + 2.
EXIT_INTERRUPTED = 130
# click before 8.2, which Debian 13 has, knows no such error: it prints the help by itself.
_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())


class OneLineErrors(click.Group):
    """A command group that reports what the user can mend as one line on stderr, with exit status 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
        except HscError as error:
            _leave(str(error), EXIT_BAD_INPUT)
        except _NO_ARGUMENTS as error:
            click.echo(error.ctx.get_help())
            sys.exit(EXIT_BAD_INPUT)
        except click.UsageError as error:
            where = f"{error.ctx.command_path} --help" if error.ctx else "--help"
            _leave(f"{error.format_message()} (see {where})", EXIT_BAD_INPUT)
        except click.ClickException as error:
            _leave(error.format_message(), EXIT_BAD_INPUT)
        except (click.Abort, KeyboardInterrupt):
            _leave("interrupted", EXIT_INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)


def _leave(message: str, status: int) -> NoReturn:
    click.echo(f"gr-hsc: {printable(' '.join(message.split()))}", err=True)
    sys.exit(status)
