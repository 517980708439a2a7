"""`python -m gnuradio.hsc.app`: the command line behind ./gr-hsc."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="gr-hsc")
