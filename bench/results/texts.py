"""The texts of the queries, kept beside the tables so that a page can show which are lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import DamagedFile
from bench.files import whole, writing
from bench.harmless import shown
from bench.parquet import read_table
from bench.results.schema import TEXT_COLUMNS

TEXTS = "texts.parquet"
"""Their file in a results folder."""
_SCHEMA = pa.schema({column.name: pa.string() for column in TEXT_COLUMNS})


def write_texts(folder: Path, dataset: str, ids: Sequence[str], texts: Sequence[str]) -> None:
    """Add the texts of a dataset's queries to a results folder, in place of earlier ones.

    `texts` may be empty, as those of ready vectors are. Raises UsageError if the disk is full.
    """
    if not texts:
        return
    new = {"dataset": [dataset] * len(ids), "query_id": list(ids), "text": list(texts)}
    tables = [pa.table(new, schema=_SCHEMA)]
    path = folder / TEXTS
    if path.exists():
        held = _read(path)
        if held.filter(pc.equal(held["dataset"], dataset)).equals(tables[0]):
            return
        tables.insert(0, held.filter(pc.not_equal(held["dataset"], dataset)))
    with writing(path), whole(path) as partial:
        pq.write_table(pa.concat_tables(tables), partial, write_page_checksum=True)


def merge_texts(folders: Sequence[Path], out: Path) -> None:
    """Write the texts of several results folders into `out`, each query of a dataset once.

    Raises DamagedFile, OSError if the disk is full.
    """
    paths = [folder / TEXTS for folder in folders]
    tables = [_read(path) for path in paths if path.exists()]
    if not tables:
        return
    # Sorted, so that the order of the folders does not matter.
    rows = pa.concat_tables(tables).to_pandas().sort_values(_SCHEMA.names)
    rows = rows.drop_duplicates(["dataset", "query_id"])
    with whole(out / TEXTS) as partial:
        table = pa.Table.from_pandas(rows, schema=_SCHEMA, preserve_index=False)
        pq.write_table(table, partial, write_page_checksum=True)


def load_texts(folder: str | Path, dataset: str) -> dict[str, str]:
    """Return the text of each query of a dataset by its id, to be shown; empty if none was kept.

    Raises DamagedFile.
    """
    path = Path(folder) / TEXTS
    if not path.exists():
        return {}
    held = _read(path)
    own = held.filter(pc.equal(held["dataset"], dataset))
    texts = (shown(text or "") for text in own["text"].to_pylist())
    return dict(zip(own["query_id"].to_pylist(), texts, strict=True))


def _read(path: Path) -> pa.Table:
    try:
        return read_table(path).select(_SCHEMA.names).cast(_SCHEMA)
    except (ValueError, KeyError, pa.ArrowException) as error:
        raise DamagedFile(f"{path} is damaged; delete it: {error}") from error
