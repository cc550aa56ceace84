"""What comes from strangers, made harmless: texts that are shown, names that become paths.

A name in a study, a table or a data file is anyone's. Signs in it could move a terminal's cursor,
turn the reading direction of what follows, or name a file outside the folder.
"""

from __future__ import annotations

import re

CONTROLS = (
    "\x00-\x1f\x7f-\x9f"  # of terminals and printers, among them escape and its 8-bit form
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # of the reading direction
    "\u2028\u2029"  # ends of lines
)
"""Signs that act instead of being shown, as a class of a regular expression holds them."""
_CONTROL = re.compile(f"[{CONTROLS}\ud800-\udfff]")
_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)


def shown(text: str) -> str:
    """Return text on one line; each sign that would act is an escape, as ``\\x1b``."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(_escaped, text)


def shown_lines(text: str) -> str:
    """Return what `shown` does of each line, the ends of lines as they are."""
    return "\n".join(map(shown, text.split("\n")))


def is_name(text: str) -> bool:
    """Return whether text can be the name of a file: letters, digits, single dots, ``_``, ``-``."""
    return _NAME.fullmatch(text) is not None


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return " " if sign.isspace() else sign.encode("unicode_escape").decode()
