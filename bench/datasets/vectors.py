"""Ready embeddings: NumPy folders, ann-benchmarks HDF5, .fvecs, parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import Dataset, Source
from bench.datasets._files import (
    Fingerprint,
    distinct,
    few,
    find_qrels,
    json_lines,
    read_qrels,
    scored_queries,
    text_lines,
)
from bench.errors import UsageError

SAMPLE = 1_000
"""Documents that ask where there are no queries."""
_BLOCK = 65_536
_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib"}


@dataclass(frozen=True)
class _Read:
    """What a file format gave: queries, ids and judgements are None where it has none."""

    corpus: np.ndarray
    queries: np.ndarray | None = None
    doc_ids: list[str] | None = None
    query_ids: list[str] | None = None
    qrels: dict[str, dict[str, int]] | None = None
    notes: tuple[str, ...] = ()


class Vectors(Source):
    """Vectors that somebody encoded before.

    Without judgements, fidelity to the full dimension is the quality. Without queries, a seeded sample of the documents
    asks, itself left out of its results.
    """

    name = "vectors"
    usage = "vectors:PATH"
    summary = "ready embeddings: a folder of corpus.npy (+ queries.npy, ids, qrels), .hdf5, .fvecs, .parquet"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        path, column = _column(argument)
        read = _read(Path(path), column, split)
        corpus = _float32(read.corpus, f"vectors:{argument}: corpus")
        if read.queries is None and read.qrels is not None:
            # Ids that are mere row numbers would match documents by accident.
            raise UsageError(
                f"{path}: there are judgements but no query vectors; add queries.npy, or remove the judgements"
            )
        queries, own, notes = read.queries, None, list(read.notes)
        doc_ids = _ids(read.doc_ids, corpus, path, "document")
        query_ids = read.query_ids
        if queries is None:
            own = np.sort(
                np.random.default_rng(0).choice(
                    len(corpus), min(SAMPLE, len(corpus)), replace=False
                )
            )
            queries, query_ids = np.asarray(corpus[own]), [doc_ids[i] for i in own]
            notes.append(
                f"there are no queries: a seeded sample of {len(own)} documents asks, each left out of its own results"
            )
        queries = _float32(queries, f"vectors:{argument}: queries")
        query_ids = _ids(query_ids, queries, path, "query")
        if queries.shape[1] != corpus.shape[1]:
            raise UsageError(
                f"vectors:{argument}: corpus vectors have {corpus.shape[1]} dimensions, query vectors {queries.shape[1]}"
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
                "there are no judgements: fidelity to exact search at the full dimension is the quality"
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


# -------------------------------------------------------------------------------------------------------------- the formats


def _column(argument: str) -> tuple[str, str]:
    """Split ``file.parquet#column``; a ``#`` elsewhere belongs to the path."""
    path, _, column = argument.rpartition("#")
    return (path, column) if path.lower().endswith(".parquet") else (argument, "")


def _read(path: Path, column: str, split: str) -> _Read:
    if path.suffix.lower() in _PICKLES:
        raise UsageError(
            f"{path} looks like a pickle, which can run code when it is loaded: save the array as .npy instead"
        )
    if path.is_dir():
        return _read_folder(path, split)
    if not path.is_file():
        raise UsageError(f"vectors:{path}: there is no such file or folder")
    readers = {".npy": _read_array, ".hdf5": _read_hdf5, ".h5": _read_hdf5, ".fvecs": _read_fvecs}
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, column)
    if path.suffix.lower() not in readers:
        raise UsageError(
            f"{path}: vectors come as a folder of .npy files, .npy, .hdf5, .fvecs or .parquet"
        )
    return readers[path.suffix.lower()](path)


def _read_folder(folder: Path, split: str) -> _Read:
    if not (folder / "corpus.npy").is_file():
        raise UsageError(
            f"{folder / 'corpus.npy'} is missing; a folder of vectors holds corpus.npy and, if you like, queries.npy"
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
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        if "object" in str(error).lower() or path.read_bytes()[:1] == b"\x80":
            raise UsageError(
                f"{path} is a pickle or holds Python objects, which can run code when loaded: save a plain float array"
            ) from error
        raise UsageError(f"{path} is no array file: {error}") from error


def _read_hdf5(path: Path) -> _Read:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            train, test = file.get("train"), file.get("test")
            if not isinstance(train, h5py.Dataset) or not isinstance(test, h5py.Dataset | None):
                raise UsageError(
                    f"{path} has no array 'train': an ann-benchmarks file holds train (corpus) and test (queries)"
                )
            metric = file.attrs.get("distance", "angular")
            metric = metric.decode() if isinstance(metric, bytes) else str(metric)
            notes = (
                ()
                if metric in ("angular", "cosine", "dot", "ip")
                else (f"the file is meant for {metric} distance; cosine is measured here",)
            )
            return _Read(train[()], None if test is None else test[()], notes=notes)
    except OSError as error:
        raise UsageError(f"{path} is no HDF5 file: {error}") from error


def _read_fvecs(path: Path) -> _Read:
    stem = path.stem.removesuffix("_base").removesuffix("_learn")
    queries = path.with_name(f"{stem}_query.fvecs")
    return _Read(_fvecs(path), _fvecs(queries) if queries.is_file() and queries != path else None)


def _fvecs(path: Path) -> np.ndarray:
    raw = np.fromfile(path, dtype="<i4")
    if path.stat().st_size % 4 or not len(raw) or raw[0] < 1 or len(raw) % (raw[0] + 1):
        raise UsageError(f"{path} is no .fvecs file: each vector is its width and as many floats")
    rows = raw.reshape(-1, raw[0] + 1)
    if (rows[:, 0] != raw[0]).any():
        raise UsageError(f"{path}: vectors of different widths")
    return rows[:, 1:].copy().view("<f4")


def _read_parquet(path: Path, column: str) -> _Read:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} is no parquet file: {str(error).splitlines()[0]}") from error
    lists = [
        f.name
        for f in schema
        if pa.types.is_list(f.type)
        or pa.types.is_large_list(f.type)
        or pa.types.is_fixed_size_list(f.type)
    ]
    floats = [name for name in lists if pa.types.is_floating(schema.field(name).type.value_type)]
    if not column and len(floats) != 1:
        there = few(lists) if lists else "none"
        raise UsageError(
            f"{path}: name the column of vectors as {path}#COLUMN; columns of lists: {there}"
        )
    column = column or floats[0]
    if column not in lists:
        raise UsageError(
            f"{path} has no column of lists called '{column}'; there are: {few(lists)}"
        )
    id_column = next((name for name in ("_id", "id") if name in schema.names), None)
    table = pq.read_table(
        path, columns=[column, *([id_column] if id_column else [])]
    ).combine_chunks()
    vectors = table[column].combine_chunks()
    if not len(vectors):
        raise UsageError(f"{path}: the column '{column}' is empty")
    widths = set(vectors.value_lengths().to_pylist())
    if len(widths) > 1 or None in widths:
        raise UsageError(f"{path}: the lists in '{column}' are of different lengths or missing")
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return _Read(
        flat.reshape(len(vectors), -1),
        doc_ids=[str(i) for i in table[id_column].to_pylist()] if id_column else None,
    )


# --------------------------------------------------------------------------------------------------------------- the checks


def _float32(vectors: np.ndarray, what: str) -> np.ndarray:
    if (
        vectors.ndim != 2
        or not np.issubdtype(vectors.dtype, np.number)
        or np.issubdtype(vectors.dtype, np.complexfloating)
    ):
        raise UsageError(
            f"{what}: an array of numbers of shape (n, D) is needed, not {vectors.dtype} of shape {vectors.shape}"
        )
    if not len(vectors) or not vectors.shape[1]:
        raise UsageError(f"{what} is empty")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is named as such later
        return vectors if vectors.dtype == np.float32 else vectors.astype(np.float32)


def _ids(ids: list[str] | None, vectors: np.ndarray, path: str, what: str) -> list[str]:
    if ids is None:
        return [str(i) for i in range(len(vectors))]
    if len(ids) != len(vectors):
        raise UsageError(f"{path}: {len(ids)} {what} ids for {len(vectors)} vectors")
    distinct(ids, Path(path), what)
    return ids


def _blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(vectors), _BLOCK):
        yield start, np.ascontiguousarray(vectors[start : start + _BLOCK])


def _look(
    vectors: np.ndarray, ids: Sequence[str], name: str, what: str, fingerprint: Fingerprint
) -> list[str]:
    """Refuse vectors that are no directions; return notes on length and copies; take all into the fingerprint."""
    broken: list[str] = []
    zero: list[str] = []
    longest, shortest, copies = 0.0, np.inf, 0
    seen: set[bytes] = set()
    fingerprint.add(str(vectors.shape))
    for start, block in _blocks(vectors):
        fingerprint.add(block.tobytes())
        broken += [ids[start + i] for i in np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist()]
        zero += [ids[start + i] for i in np.flatnonzero(~block.any(axis=1)).tolist()]
        if what == "document":
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
            longest, shortest = (
                max(longest, float(lengths.max())),
                min(shortest, float(lengths.min())),
            )
            for row in block:
                digest = hashlib.blake2b(row.tobytes(), digest_size=12).digest()
                copies += digest in seen
                seen.add(digest)
    plural = {"document": "documents", "query": "queries"}[what]
    if broken:
        raise UsageError(
            f"{name}: {len(broken)} {plural} hold NaN or infinite numbers: {few(broken)}; remove them"
        )
    if zero:
        raise UsageError(
            f"{name}: {len(zero)} {plural} are all-zero vectors, which have no direction: {few(zero)}; remove them"
        )
    notes = []
    if what == "document" and (longest > 1.01 or shortest < 0.99):
        notes.append(
            f"the input is not of unit length ({shortest:.3g} to {longest:.3g}): it is normalised, cosine is measured"
        )
    if copies:
        notes.append(f"{copies} of {len(vectors)} documents are exact copies of another")
    return notes
