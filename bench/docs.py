"""Tables of the documentation, generated from the code. `cog` writes them into the READMEs.

They depend on the code alone, not on which extras are installed or on their versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench import registry
from bench.backends import DATABASE, LIBRARY, SERVER, Backend


def backends_table() -> str:
    """Return the backends of this package as a Markdown table: libraries, databases, servers."""
    kinds = (LIBRARY, DATABASE, SERVER)
    found = registry.found("backends", Backend).values()
    ours = [cls for cls in found if cls.__module__.startswith("bench.backends.")]
    rows = [
        (
            f"`{cls.name}`",
            cls.kind,
            f"`{cls.module}`",
            cls.licence,
            ", ".join(cls.precision_names()),
            "yes" if cls.native_stages else "",
            _with_code(cls.install),
        )
        for cls in sorted(ours, key=lambda cls: kinds.index(cls.kind))
    ]
    header = ("name", "kind", "library", "licence", "precisions", "own rescore", "how to install")
    return markdown_table(header, rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, with an empty line before and after it."""
    lines = [header, ["---"] * len(header), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"\n{table}\n"


def _with_code(install: str) -> str:
    """Return an installation hint with its commands and variables marked as code."""
    return re.sub(r"pip install [^,(]*[^,( ]|MATRYOSHKA_BENCH_\w+", r"`\g<0>`", install)
