"""`python -m gnuradio.hsc.app`: the command line behind ./gr-hsc."""

from ..home import use_writable_home
from ..streams import Streams


def program() -> None:
    """A whole process: its streams and its home folder made safe, the command, and the end."""
    streams = Streams()
    use_writable_home()
    from .cli import main  # only now: what is imported may print
    from .live import leave

    try:
        main(prog_name="gr-hsc")
    except SystemExit as end:
        leave(streams.close(end.code))


if __name__ == "__main__":
    program()
