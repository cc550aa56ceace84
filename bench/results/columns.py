"""What a column is, and the check that a row holds nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import near_miss

Type = Literal["text", "int", "float", "flag", "texts", "ints", "floats"]
Group = Literal[
    "identity", "data", "configuration", "quality", "time", "memory", "provenance", "query"
]
_PYTHON: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "int": (int,),
    "float": (float, int),
    "flag": (bool,),
    "texts": (list,),
    "ints": (list,),
    "floats": (list,),
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: Type
    group: Group
    meaning: str
    """One line for the README and the page's legend, the unit included."""
    since: int = 1
    """Version of the tables that added it."""
    before: Any = None
    """Default in older tables: a constant, a function of the older row, or None for empty."""
    better: Literal["higher", "lower"] | None = None
    interval: bool = False
    """Whether NAME_low and NAME_high, the bounds of its 95 % interval, are columns too."""
    interval_since: int = 0
    """Version that added the bounds, if later than the column."""
    gate: bool = False
    """Whether the regression gate compares it exactly."""
    history: bool = False
    """Whether the history follows it from commit to commit."""
    page: bool = False
    """Whether the page's table of all trials shows it."""
    heading: str = ""
    """Its heading in the table of the Pareto front; not listed if empty."""
    form: str = ".3f"
    """Format of its numbers in that table."""

    def all(self) -> tuple[Column, ...]:
        """Return this column and, if it has an interval, those of the two bounds."""
        if not self.interval:
            return (self,)
        bounds = (("low", "lower"), ("high", "upper"))
        return self, *(
            Column(
                f"{self.name}_{short}",
                "float",
                self.group,
                f"{word} bound of the 95 % interval of `{self.name}`",
                max(self.since, self.interval_since),
            )
            for short, word in bounds
        )

    def earlier(self, older: Any) -> list[Any]:
        """Return its value for each row of an Arrow table that was written before it existed."""
        if callable(self.before):
            return [self.before(row) for row in older.to_pylist()]
        return [self.before] * len(older)


class UndeclaredColumn(ValueError):
    """A row names a column that no table has, or holds a value of the wrong type."""


def checked(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """Return a copy of `row`; raises UndeclaredColumn for an unknown name or a wrong type."""
    known = {column.name: column for column in columns}
    for name, value in row.items():
        if name not in known:
            raise UndeclaredColumn(f"no column is called '{name}'{near_miss(name, known)}")
        wanted = known[name].type
        if value is None:
            continue
        if not isinstance(value, _PYTHON[wanted]) or (
            isinstance(value, bool) and wanted in ("int", "float")
        ):
            raise UndeclaredColumn(
                f"the column '{name}' holds {wanted}, not {type(value).__name__}"
            )
    return dict(row)
