"""What a stranger may put into a name, and results folders that hold it."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SIGNS = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2066\u200f"
MARKUP = "<script>window.broken=1</script><img src=x onerror=alert(1)>[red]a[/x]{{ 7*7 }}"
FORMULAS = "$\\frac{1}{$ \\input{/etc/passwd} `x` [y](http://e) @octocat \"'\\"
HOSTILE = f"{SIGNS}{MARKUP}{FORMULAS}"
ACTING = [
    *map(chr, range(32)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u200e\u200f\u061c\u202d\u202e\u2066\u2067",
]
"""Signs that must reach no terminal and no page, but for the ends of lines."""


def acting(text: str) -> list[str]:
    """Return the signs of a text that would act, the ends of its lines aside."""
    return [repr(sign) for sign in ACTING if sign not in "\n" and sign in text]


def rewritten(results: Path, out: Path, **texts: str) -> Path:
    """Copy a results folder to `out`; `texts` are added to each text of the columns they name."""
    shutil.copytree(results, out)
    path = out / "trials.parquet"
    table = pq.read_table(path)
    for name, text in texts.items():
        held = ["" if value is None else value for value in table[name].to_pylist()]
        column = pa.array([f"{value}{text}" for value in held], pa.string())
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), column
        )
    pq.write_table(table, path)
    return out
