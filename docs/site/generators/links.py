"""Links of Markdown files, which are right in the repository, as they have to be on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from .markdown import prose

# A link's target, or a picture's: [text](target "title"). Code between backticks is passed over.
_LINK = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)|(\]\()([^)\s]+)([^)]*\))")
# A link whose text is the name of a Markdown file: on the site its page's title stands there.
_NAMED = re.compile(r"\[[\w./-]+\.md\](?=\([^)]+\.md\))")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|#", re.I)  # another site, or this page


def targets(text: str) -> list[str]:
    """Targets of a page's links and pictures that are files, without what follows `#`."""
    found: list[str] = []

    def note(target: str) -> str:
        found.append(target)
        return target

    _replaced(text, note)
    return found


def moved(text: str, page: str, place: str, place_of: Callable[[str], str]) -> str:
    """A page of the repository as a page of the site. Links that are called as a file get its page's title.

    Args:
        text: Markdown.
        page: its path in the repository.
        place: its path on the site.
        place_of: path of a file or folder in the repository → path on the site.

    Raises:
        KeyError: from `place_of`, where there is no such file.
    """
    here = posixpath.dirname(page)

    def move(target: str) -> str:
        file = posixpath.normpath(posixpath.join(here, target))
        return posixpath.relpath(place_of(file), posixpath.dirname(place) or ".")

    return "".join(
        _NAMED.sub("[]", line) if is_prose else line for line, is_prose in prose(_replaced(text, move))
    )


def _replaced(text: str, instead: Callable[[str], str]) -> str:
    """Every target that is a file replaced."""

    def link(found: re.Match) -> str:
        if found[1] is not None or _ELSEWHERE.match(found[3]):
            return found[0]
        file, mark, anchor = found[3].partition("#")
        return f"{found[2]}{instead(file)}{mark}{anchor}{found[4]}"

    return "".join(_LINK.sub(link, line) if is_prose else line for line, is_prose in prose(text))
