"""Ready embeddings: arrays, tables and collections, streamed or mapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from bench.datasets._hdf5 import open_hdf5
from bench.datasets._ids import RowNumbers, spooled
from bench.datasets._layout import (
    HDF5,
    Beside,
    Spec,
    beside,
    corpus_files,
    in_folder,
    matching,
    open_part,
    parse,
    suffix_of,
)
from bench.datasets._stream import VectorStream
from bench.datasets._truth import fitting, read_truth
from bench.errors import DataError

SAMPLE = 1_000
"""Documents used as queries if there are none."""


@dataclass(frozen=True)
class _Read:
    """Contents of a file or folder; None for each part that it does not have."""

    corpus: VectorStream
    queries: VectorStream | None = None
    doc_ids: Sequence[str] | None = None
    query_ids: Sequence[str] | None = None
    qrels: dict[str, dict[str, int]] | None = None
    truth: np.ndarray | None = None
    truth_source: str = ""
    notes: tuple[str, ...] = ()


class Vectors(Source):
    """Vectors that were encoded beforehand.

    Without judgements, the quality is fidelity to exact search at the full dimension. Without
    queries, a seeded sample of the documents serves, each excluded from its own results.
    """

    name = "vectors"
    usage = "vectors:PATH"
    summary = (
        "ready embeddings of any size: .npy, parquet and Arrow (files and folders), .hdf5, "
        ".fvecs, .bvecs, .fbin, .u8bin, .i8bin; queries, ids, qrels and ground truth beside them"
    )

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        spec, name = parse(argument), f"vectors:{argument}"
        read = _read(spec, name, split)
        if read.queries is None and read.qrels is not None:
            # The ids of judgements would match row numbers by accident.
            raise DataError(
                f"{spec.path}: there are judgements but no query vectors; "
                "add queries.npy, or remove the judgements"
            )
        if read.queries is None and spec.truth:
            raise DataError(f"{name}: ground truth needs the queries that it was made for")
        n, notes = len(read.corpus), list(read.notes)
        doc_ids = _ids(read.doc_ids, n, spec.path, "document")
        fingerprint = Fingerprint("vectors")
        fingerprint.add_ids(doc_ids)
        if read.queries is None:
            own = np.sort(np.random.default_rng(0).choice(n, min(SAMPLE, n), replace=False))
            notes += [
                f"there are no queries: a seeded sample of {len(own)} documents serves as queries, "
                "each excluded from its own results",
                _NO_JUDGEMENTS,
            ]
            fingerprint.add(own.tobytes())
            return Dataset(
                name=name,
                fingerprint=fingerprint.hex(),
                doc_ids=doc_ids,
                query_ids=[doc_ids[i] for i in own.tolist()],
                corpus_vectors=read.corpus,
                own=own,
                notes=tuple(notes),
            )
        if read.queries.shape[1] != read.corpus.shape[1]:
            raise DataError(
                f"{name}: corpus vectors have {read.corpus.shape[1]} dimensions, "
                f"query vectors {read.queries.shape[1]}"
            )
        queries = read.queries.held(f"{name}: the query vectors")
        query_ids = list(_ids(read.query_ids, len(queries), spec.path, "query"))
        truth = None
        if read.truth is not None:
            truth, why = fitting(read.truth, read.truth_source, n, len(queries))
            notes += [why] if why else []
        qrels = None
        if read.qrels is not None:
            qrels, more = scored_queries(read.qrels, doc_ids, query_ids, name)
            position = {query: i for i, query in enumerate(query_ids)}
            kept = [position[query] for query in qrels]
            queries, query_ids = queries[kept], list(qrels)
            truth = None if truth is None else truth[kept]
            notes += more
            fingerprint.add_qrels(qrels)
        else:
            notes.append(_NO_JUDGEMENTS)
        fingerprint.add(str(queries.shape), queries.tobytes())
        fingerprint.add_ids(query_ids)
        return Dataset(
            name=name,
            fingerprint=fingerprint.hex(),
            doc_ids=doc_ids,
            query_ids=query_ids,
            qrels=qrels,
            corpus_vectors=read.corpus,
            query_vectors=queries,
            truth=truth,
            notes=tuple(notes),
        )


_NO_JUDGEMENTS = (
    "there are no judgements: quality is fidelity to exact search at the full dimension"
)


# -------------------------------------------------------------------------------- the formats


def _read(spec: Spec, name: str, split: str) -> _Read:
    path = spec.path
    if path.is_dir():
        read = _read_folder(spec, name, split)
    elif suffix_of(path) in HDF5 and path.is_file():
        read = _read_hdf5(path)
    else:
        files = matching(path)
        corpus, ids = open_part(files, f"{name}: corpus", spec.column)
        found = beside(path, bool(spec.queries)) if files == [path] else Beside([], [])
        read = _with(_Read(corpus, doc_ids=None if ids is None else spooled(ids())), found, spec)
    if spec.queries:
        queries, ids = open_part(spec.queries, f"{name}: queries")
        read = replace(read, queries=queries, query_ids=None if ids is None else list(ids()))
    if spec.truth:
        read = replace(read, truth=read_truth(Path(spec.truth)), truth_source=spec.truth)
    return read


def _with(read: _Read, found: Beside, spec: Spec) -> _Read:
    """Add the queries and the ground truth found beside a corpus, unless others are named."""
    if found.queries and not spec.queries:
        queries, ids = open_part(found.queries, f"vectors:{spec.path}: queries")
        named = read.query_ids if ids is None else list(ids())
        read = replace(read, queries=queries, query_ids=named)
    if len(found.truth) > 1 and not spec.truth:
        note = (
            f"no ground truth is used: there are several ({few([f.name for f in found.truth])}); "
            f"name one as vectors:{spec.path}?truth=PATH"
        )
        return replace(read, notes=(*read.notes, note))
    # Another file of queries is another set of queries.
    if found.truth and not spec.truth and not spec.queries and read.queries is not None:
        (path,) = found.truth
        try:
            return replace(read, truth=read_truth(path), truth_source=path.name)
        except DataError as error:  # nobody has named the file, so it may be of something else
            return replace(read, notes=(*read.notes, f"no ground truth is used: {error}"))
    return read


def _read_folder(spec: Spec, name: str, split: str) -> _Read:
    folder = spec.path
    qrels = None
    if (folder / "qrels").is_dir():
        qrels = find_qrels(folder, split)
    elif (folder / "qrels.tsv").is_file():
        qrels = folder / "qrels.tsv"
    corpus, ids = open_part(corpus_files(folder), f"{name}: corpus", spec.column)
    read = _Read(
        corpus,
        doc_ids=_folder_ids(folder, "corpus") if ids is None else spooled(ids()),
        query_ids=_folder_ids(folder, "queries"),
        qrels=None if qrels is None else read_qrels(qrels),
    )
    return _with(read, in_folder(folder), spec)


def _folder_ids(folder: Path, stem: str) -> Sequence[str] | None:
    listed, lines = folder / f"{stem}_ids.txt", folder / f"{stem}.jsonl"
    if listed.is_file():
        return spooled(line.rstrip("\r\n") for line in text_lines(listed))
    if lines.is_file():
        return spooled(entry_id for entry_id, _ in json_lines(lines))
    return None


def _read_hdf5(path: Path) -> _Read:
    arrays, metric = open_hdf5(path, ("train", "test", "neighbors"), "distance")
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
    read = _Read(arrays["train"], arrays.get("test"), notes=notes)
    if "neighbors" not in arrays or read.queries is None:
        return read
    truth = np.concatenate(list(arrays["neighbors"].read()))
    return replace(read, truth=truth.astype(np.int64), truth_source="'neighbors'")


# --------------------------------------------------------------------------------- the checks


def _ids(ids: Sequence[str] | None, count: int, path: Path, what: str) -> Sequence[str]:
    if ids is None:
        return RowNumbers(count)
    if len(ids) != count:
        raise DataError(f"{path}: {len(ids)} {what} ids for {count} vectors")
    distinct(ids, path, what)
    return ids
