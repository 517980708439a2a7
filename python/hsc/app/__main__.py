"""`python -m gnuradio.hsc.app`: the command line behind ./gr-hsc."""

from .cli import main
from .live import quick_exit

if __name__ == "__main__":
    with quick_exit():
        main(prog_name="gr-hsc")
