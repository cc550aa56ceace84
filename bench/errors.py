"""What can go wrong, as a small tree of exceptions.

.. code-block:: text

    UsageError            bad input: one line that says what is wrong and what to do, exit status 2
    ├── StudyError        a study file, its keys or its values
    ├── DataError         a dataset: a broken line, ids that clash, vectors that are not numbers
    │   └── MissingSplit  the dataset has no queries or judgements for the split asked for
    │       └── NoQueries the dataset has documents alone
    ├── NotInstalled      a library that an extra brings
    ├── DamagedFile       a file that this package wrote and that can no longer be read
    └── NothingToShow     a table without the rows that a figure, table or decision needs
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bench.harmless import shown


class UsageError(ValueError):
    """Bad input. The message is one line; commands print it and exit with status 2."""

    def __str__(self) -> str:
        """Return the message on one line, harmless whatever the text that it quotes from a file."""
        return shown(" ".join(super().__str__().splitlines()))


class StudyError(UsageError):
    """A study that cannot be run: not TOML, an unknown key, a value out of range."""


class DataError(UsageError):
    """A dataset that cannot be read or makes no sense; the message names the file and the line."""


class MissingSplit(DataError):
    """The dataset has no such split."""


class NoQueries(MissingSplit):
    """The dataset has documents alone; the message names the stand-in to measure instead."""


class NotInstalled(UsageError):
    """A library is missing; the message has the line that installs it."""


class DamagedFile(UsageError):
    """A results table, a part or an adaptor that is cut short or was written by something else."""


class NothingToShow(UsageError):
    """The table holds no row that this figure, table or decision could be made from."""


def near_miss(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest choice, or all choices if none is close."""
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(choices)}" if choices else ""
