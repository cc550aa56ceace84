"""Other corpora from one that is encoded: nested parts of it, and other orders of its documents.

Parts show how an index grows, and keep the relevant documents. Orders show how builds differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np

from bench.datasets._ids import store_ids
from bench.embeddings.encoding import digest
from bench.embeddings.ingest import unwritable
from bench.embeddings.sets import IDS, Embeddings, is_whole, open_embeddings, write_meta
from bench.errors import StudyError
from bench.files import whole
from bench.registry import PART

_LAYOUT = "1"
_ROWS = 65_536


def sizes(found: Embeddings, wanted: Iterable[float]) -> list[Embeddings]:
    """Return the parts of a corpus with so many documents, ascending; `found` itself for all.

    A size of the whole corpus or more is the whole. Raises StudyError for a size that cannot hold
    the documents that the queries ask for.
    """
    n = len(found.corpus)
    listed = sorted({min(n, int(size)) for size in wanted})
    return [found if size == n else smaller(found, size) for size in listed] or [found]


def smaller(found: Embeddings, size: int) -> Embeddings:
    """Return a seeded part of the corpus of `size` documents, relevant ones first, kept on disk.

    Parts are nested: a smaller one lies within a larger one. Ranks in it are those of a corpus that
    lost documents at random, but none that is relevant to a query of `found`.
    """
    kept = _kept(found, size)
    asked = hashlib.sha256("\0".join(found.query_ids).encode()).hexdigest()
    note = f"{len(kept):,} of {len(found.corpus):,} documents, all relevant ones among them"
    part = _stored(found, kept, digest(_LAYOUT, found.key, str(size), asked), note)
    fingerprint = digest(found.dataset_fingerprint, str(size))
    return replace(part, dataset=f"{found.dataset}{PART}{size}", dataset_fingerprint=fingerprint)


def reordered(found: Embeddings, seed: int) -> Embeddings:
    """Return the same corpus with its documents in a random order, kept on disk.

    Name and fingerprint stay: the texts are the same.
    """
    order = np.random.default_rng(seed).permutation(len(found.corpus))
    asked = hashlib.sha256("\0".join(found.query_ids).encode()).hexdigest()
    key = digest(_LAYOUT, found.key, "order", str(seed), asked)
    return _stored(found, order, key, f"documents in a random order, seed {seed}")


def _stored(found: Embeddings, kept: np.ndarray, key: str, note: str) -> Embeddings:
    """Return the embeddings of the documents at positions `kept`, in that order, kept on disk."""
    sets = found.folder.parent
    with filelock.FileLock(sets.parent / f"{key}.lock"):
        if not is_whole(sets / key):
            try:
                _write(sets / key, found, kept, note)
            except OSError as error:
                raise unwritable(sets.parent, error) from error
    return replace(open_embeddings(sets / key), dataset=found.dataset, encoder=found.encoder)


def _write(folder: Path, found: Embeddings, kept: np.ndarray, note: str) -> None:
    key, matrices = folder.name, folder.parent.parent / "matrices"
    folder.mkdir(parents=True, exist_ok=True)
    shape = len(kept), found.full_dim
    with whole(matrices / f"{key}.npy") as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        # Not through a map: on a full disk that ends the process.
        for start in range(0, len(kept), _ROWS):
            file.write(np.ascontiguousarray(found.corpus[kept[start : start + _ROWS]]).data)
    with whole(matrices / f"{key}q.npy") as partial:
        np.save(partial, found.queries)
    with whole(folder / IDS) as partial:
        store_ids(partial, found.doc_ids.at(kept).to_pylist())
    write_meta(folder, _meta(found, kept, key, note))


def _kept(found: Embeddings, size: int) -> np.ndarray:
    """Return the positions of the documents that are kept, ascending (size,) int64."""
    needed = np.unique(found.relevant_pairs()[1])
    if found.own is not None:
        needed = np.union1d(needed, found.own[found.own >= 0])
    if len(needed) > size:
        raise StudyError(
            f"corpus_sizes: {size:,} documents cannot hold the {len(needed):,} that the queries of "
            f"{found.dataset} ask for: name a larger size, or fewer queries"
        )
    others = np.setdiff1d(np.arange(len(found.corpus)), needed, assume_unique=True)
    drawn = np.random.default_rng(0).permutation(others)[: size - len(needed)]
    return np.sort(np.concatenate([needed, drawn]))


def _meta(found: Embeddings, kept: np.ndarray, key: str, note: str) -> dict[str, object]:
    place = {str(old): str(new) for new, old in enumerate(kept.tolist())}
    qrels = None
    if found.qrels is not None:
        qrels = {
            query: {place.get(d, f"?{d.lstrip('?')}"): grade for d, grade in grades.items()}
            for query, grades in found.qrels.items()
        }
    own = None
    if found.own is not None:
        places = np.full(len(found.corpus) + 1, -1)  # the last is of a query that is no document
        places[kept] = np.arange(len(kept))
        own = places[found.own].tolist()
    return {
        "corpus": key,
        "queries": f"{key}q",
        "unit": found.unit,
        "notes": [*found.notes, note],
        "truth": False,
        "dataset": found.dataset,
        "dataset_fingerprint": found.dataset_fingerprint,
        "synthetic": found.synthetic,
        "query_ids": found.query_ids,
        "qrels": qrels,
        "own": own,
        "groups": found.groups,
        "sample_texts": list(found.sample_texts),
        "sample_documents": list(found.sample_documents),
        "query_texts": list(found.query_texts),
    }
