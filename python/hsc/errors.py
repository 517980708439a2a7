"""The one exception that a user is meant to see."""


class HscError(Exception):
    """Something the caller can mend: its text is one line that says what is wrong and what to do.

    The command line prints it and exits with status 2; a block logs it, counts it and goes on.
    """
