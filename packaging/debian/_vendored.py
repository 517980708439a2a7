"""Debian's package: Python packages that Debian lacks, or has too old, lie in /usr/lib/gr-hsc.

They come first in the search path of a process that imports gnuradio.hsc, and in no other's: a .pth file
would give them to every Python program of the system. Which they are, and why: packaging/debian/vendored.txt.
"""

import sys

sys.path.insert(0, "/usr/lib/gr-hsc")
