"""What the site is made of besides docs/*.md: each module makes pages from the repository, as pure functions.

Nothing here needs Sphinx: `build.py` hands the pages to it.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # of the checkout
