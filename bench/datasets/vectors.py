"""Ready embeddings: NumPy folders, ann-benchmarks HDF5, .fvecs, parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets import Dataset, Source
from bench.datasets._files import (
    Fingerprint,
    distinct,
    few,
    find_qrels,
    first_line,
    json_lines,
    quoted,
    read_qrels,
    scored_queries,
    text_lines,
)
from bench.datasets._hdf5 import read_hdf5
from bench.errors import DataError, UsageError

SAMPLE = 1_000
"""Documents used as queries if there are none."""
_BLOCK = 65_536
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib"}


@dataclass(frozen=True)
class _Read:
    """Contents of a file or folder; None for each part that it does not have."""

    corpus: np.ndarray
    queries: np.ndarray | None = None
    doc_ids: list[str] | None = None
    query_ids: list[str] | None = None
    qrels: dict[str, dict[str, int]] | None = None
    notes: tuple[str, ...] = ()


class Vectors(Source):
    """Vectors that were encoded beforehand.

    Without judgements, the quality is fidelity to exact search at the full dimension. Without
    queries, a seeded sample of the documents serves, each excluded from its own results.
    """

    name = "vectors"
    usage = "vectors:PATH"
    summary = (
        "ready embeddings: a folder of corpus.npy (+ queries.npy, ids, qrels), "
        ".hdf5, .fvecs, .parquet"
    )

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        path, column = _column(argument)
        read = _read(Path(path), column, split)
        corpus = _float32(read.corpus, f"vectors:{argument}: corpus")
        if read.queries is None and read.qrels is not None:
            # The ids of judgements would match row numbers by accident.
            raise DataError(
                f"{path}: there are judgements but no query vectors; "
                "add queries.npy, or remove the judgements"
            )
        queries, own, notes = read.queries, None, list(read.notes)
        doc_ids = _ids(read.doc_ids, corpus, path, "document")
        query_ids = read.query_ids
        if queries is None:
            count = min(SAMPLE, len(corpus))
            own = np.sort(np.random.default_rng(0).choice(len(corpus), count, replace=False))
            queries, query_ids = np.asarray(corpus[own]), [doc_ids[i] for i in own]
            notes.append(
                f"there are no queries: a seeded sample of {len(own)} documents serves as queries, "
                "each excluded from its own results"
            )
        queries = _float32(queries, f"vectors:{argument}: queries")
        query_ids = _ids(query_ids, queries, path, "query")
        if queries.shape[1] != corpus.shape[1]:
            raise DataError(
                f"vectors:{argument}: corpus vectors have {corpus.shape[1]} dimensions, "
                f"query vectors {queries.shape[1]}"
            )
        fingerprint = Fingerprint("vectors")
        notes += _look(corpus, doc_ids, f"vectors:{argument}", "document", fingerprint)
        notes += _look(queries, query_ids, f"vectors:{argument}", "query", fingerprint)
        qrels = None
        if read.qrels is not None:
            qrels, more = scored_queries(read.qrels, doc_ids, query_ids, f"vectors:{argument}")
            position = {query: i for i, query in enumerate(query_ids)}
            queries, query_ids = queries[[position[query] for query in qrels]], list(qrels)
            notes += more
            fingerprint.add_qrels(qrels)
        else:
            notes.append(
                "there are no judgements: quality is fidelity to exact search at the full dimension"
            )
        fingerprint.add(json.dumps([doc_ids, query_ids]))
        return Dataset(
            name=f"vectors:{argument}",
            fingerprint=fingerprint.hex(),
            doc_ids=doc_ids,
            query_ids=query_ids,
            qrels=qrels,
            corpus_vectors=corpus,
            query_vectors=queries,
            own=own,
            notes=tuple(notes),
        )


# -------------------------------------------------------------------------------- the formats


def _column(argument: str) -> tuple[str, str]:
    """Split ``file.parquet#column``; a ``#`` elsewhere belongs to the path."""
    path, _, column = argument.rpartition("#")
    return (path, column) if path.lower().endswith(".parquet") else (argument, "")


def _read(path: Path, column: str, split: str) -> _Read:
    if path.suffix.lower() in _PICKLES:
        raise DataError(
            f"{path} looks like a pickle, which can run code when loaded: "
            "save the array as .npy instead"
        )
    if path.is_dir():
        return _read_folder(path, split)
    if not path.is_file():
        raise DataError(f"vectors:{path}: there is no such file or folder")
    readers = {".npy": _read_array, ".hdf5": _read_hdf5, ".h5": _read_hdf5, ".fvecs": _read_fvecs}
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, column)
    if path.suffix.lower() not in readers:
        raise UsageError(
            f"{path}: vectors must be a folder of .npy files, .npy, .hdf5, .fvecs or .parquet"
        )
    return readers[path.suffix.lower()](path)


def _read_folder(folder: Path, split: str) -> _Read:
    if not (folder / "corpus.npy").is_file():
        raise DataError(
            f"{folder / 'corpus.npy'} is missing; "
            "a folder of vectors contains corpus.npy and optionally queries.npy"
        )
    queries = folder / "queries.npy"
    qrels = None
    if (folder / "qrels").is_dir():
        qrels = find_qrels(folder, split)
    elif (folder / "qrels.tsv").is_file():
        qrels = folder / "qrels.tsv"
    return _Read(
        _npy(folder / "corpus.npy"),
        _npy(queries) if queries.is_file() else None,
        _folder_ids(folder, "corpus"),
        _folder_ids(folder, "queries"),
        None if qrels is None else read_qrels(qrels),
    )


def _folder_ids(folder: Path, stem: str) -> list[str] | None:
    listed, lines = folder / f"{stem}_ids.txt", folder / f"{stem}.jsonl"
    if listed.is_file():
        return [line.rstrip("\r\n") for line in text_lines(listed)]
    if lines.is_file():
        return [entry_id for entry_id, _ in json_lines(lines)]
    return None


def _read_array(path: Path) -> _Read:
    return _Read(_npy(path))


def _npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
        with np.errstate(over="ignore"):  # for shapes too large for any file
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # NumPy parses the header as Python, which can raise any error
        if "object" in str(error).lower() or path.read_bytes()[:1] == b"\x80":
            raise DataError(
                f"{path} is a pickle or holds Python objects, which can run code when loaded: "
                "save a plain float array"
            ) from error
        raise DataError(
            f"{path} is not an array file: {first_line(error)}; save it with numpy.save"
        ) from error


def _read_hdf5(path: Path) -> _Read:
    arrays, metric = read_hdf5(path, ("train", "test"), "distance")
    if "train" not in arrays:
        raise DataError(
            f"{path} has no array 'train': an ann-benchmarks file has train (corpus) "
            "and test (queries)"
        )
    notes = (
        ()
        if metric in (None, "angular", "cosine", "dot", "ip")
        else (f"the file was made for {few([metric])} distance, but cosine is measured",)
    )
    return _Read(arrays["train"], arrays.get("test"), notes=notes)


def _read_fvecs(path: Path) -> _Read:
    stem = path.stem.removesuffix("_base").removesuffix("_learn")
    queries = path.with_name(f"{stem}_query.fvecs")
    return _Read(_fvecs(path), _fvecs(queries) if queries.is_file() and queries != path else None)


def _fvecs(path: Path) -> np.ndarray:
    raw = np.fromfile(path, dtype="<i4")
    width = int(raw[0]) if len(raw) else 0
    if path.stat().st_size % 4 or width < 1 or len(raw) % (width + 1):
        raise DataError(
            f"{path} is not an .fvecs file: each vector is its width and as many floats"
        )
    rows = raw.reshape(-1, width + 1)
    if (rows[:, 0] != width).any():
        raise DataError(f"{path}: the vectors have different widths")
    return rows[:, 1:].copy().view("<f4")


def _read_parquet(path: Path, column: str) -> _Read:
    import pyarrow as pa
    import pyarrow.compute as pc

    from bench.parquet import read_schema, read_table

    schema = _parquet(path, read_schema)
    lists = {
        f.name: f.type.value_type
        for f in schema
        if pa.types.is_list(f.type)
        or pa.types.is_large_list(f.type)
        or pa.types.is_fixed_size_list(f.type)
    }
    floats = [name for name, kind in lists.items() if pa.types.is_floating(kind)]
    if not column and len(floats) != 1:
        raise DataError(
            f"{path}: name the column of vectors as {path}#COLUMN; "
            f"columns of lists: {few(list(lists)) or 'none'}"
        )
    column = column or floats[0]
    if column not in lists:
        raise DataError(
            f"{path} has no column of lists called {quoted(column)}; "
            f"there are: {few(list(lists)) or 'none'}"
        )
    if not (pa.types.is_floating(lists[column]) or pa.types.is_integer(lists[column])):
        raise DataError(f"{path}: the lists in {quoted(column)} hold {lists[column]}, not numbers")
    id_column = next((name for name in ("_id", "id") if name in schema.names), None)
    columns = [column, *([id_column] if id_column else [])]
    if repeated := [name for name in columns if schema.names.count(name) > 1]:
        raise DataError(f"{path} has several columns called {quoted(repeated[0])}; rename them")
    table = _parquet(path, partial(read_table, columns=columns))
    vectors = table[column]
    if not len(vectors):
        raise DataError(f"{path}: the column {quoted(column)} is empty")
    widths = pc.unique(pc.list_value_length(vectors)).to_pylist()
    if len(widths) > 1 or None in widths:
        raise DataError(
            f"{path}: the lists in {quoted(column)} have different lengths or are missing"
        )
    # Chunk by chunk, because one Arrow list array holds at most 2**31 numbers.
    flat = np.concatenate(
        [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in vectors.chunks]
    )
    return _Read(
        flat.reshape(len(vectors), widths[0]),
        doc_ids=_parquet_ids(path, table[id_column]) if id_column else None,
    )


def _parquet_ids(path: Path, ids: Any) -> list[str]:
    try:
        return [str(i) for i in ids.to_pylist()]
    except (ValueError, OverflowError) as error:  # a time outside the calendar
        raise DataError(
            f"{path}: the ids cannot be read: {first_line(error)}; use texts or numbers"
        ) from error


def _parquet(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read as parquet: {error}; write the file again"
        ) from error


# --------------------------------------------------------------------------------- the checks


def _float32(vectors: np.ndarray, what: str) -> np.ndarray:
    if vectors.ndim != 2 or vectors.dtype.kind not in "iuf":
        raise DataError(
            f"{what} must be an array of numbers of shape (n, D), "
            f"not {vectors.dtype} of shape {vectors.shape}"
        )
    if not len(vectors) or not vectors.shape[1]:
        raise DataError(f"{what} is empty")
    with np.errstate(over="ignore"):  # an overflow becomes infinite and is reported later
        return vectors if vectors.dtype == np.float32 else vectors.astype(np.float32)


def _ids(ids: list[str] | None, vectors: np.ndarray, path: str, what: str) -> list[str]:
    if ids is None:
        return [str(i) for i in range(len(vectors))]
    if len(ids) != len(vectors):
        raise DataError(f"{path}: {len(ids)} {what} ids for {len(vectors)} vectors")
    distinct(ids, Path(path), what)
    return ids


def _blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(vectors), _BLOCK):
        yield start, np.ascontiguousarray(vectors[start : start + _BLOCK])


def _look(
    vectors: np.ndarray, ids: Sequence[str], name: str, what: str, fingerprint: Fingerprint
) -> list[str]:
    """Return notes on lengths and copies, and add the vectors to the fingerprint.

    Raises DataError for vectors without a direction: NaN, infinite or all-zero ones.
    """
    broken: list[str] = []
    zero: list[str] = []
    longest, shortest, copies = 0.0, np.inf, 0
    seen: set[bytes] = set()
    fingerprint.add(str(vectors.shape))
    for start, block in _blocks(vectors):
        fingerprint.add(block.tobytes())
        broken += [ids[start + i] for i in np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist()]
        with np.errstate(invalid="ignore"):  # NaN is already in `broken`
            zero += [ids[start + i] for i in np.flatnonzero(~block.any(axis=1)).tolist()]
        if what == "document":
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
            longest = max(longest, float(lengths.max()))
            shortest = min(shortest, float(lengths.min()))
            for row in block:
                digest = hashlib.blake2b(row.tobytes(), digest_size=12).digest()
                copies += digest in seen
                seen.add(digest)
    plural = {"document": "documents", "query": "queries"}[what]
    if broken:
        raise DataError(
            f"{name}: {len(broken)} {plural} contain NaN or infinite numbers: "
            f"{few(broken)}; remove them"
        )
    if zero:
        raise DataError(
            f"{name}: {len(zero)} {plural} are all-zero vectors, which have no direction: "
            f"{few(zero)}; remove them"
        )
    notes = []
    if what == "document" and (longest > 1.01 or shortest < 0.99):
        notes.append(
            f"the vectors are not of unit length ({shortest:.3g} to {longest:.3g}): "
            "they are normalised, so cosine is measured"
        )
    if copies:
        notes.append(f"{copies} of {len(vectors)} documents are exact copies of another")
    return notes
