"""Nested parts of a corpus, to see how an index grows: encoded once, relevant documents kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

import filelock
import numpy as np

from bench.datasets._ids import store_ids
from bench.embeddings import IDS, META, Embeddings, open_embeddings
from bench.embeddings.encoding import digest
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
    kept, name = _kept(found, size), f"{found.dataset}{PART}{size}"
    asked = hashlib.sha256("\0".join(found.query_ids).encode()).hexdigest()
    key = digest(_LAYOUT, found.key, str(size), asked)
    sets = found.folder.parent
    matrices = sets.parent / "matrices"
    with filelock.FileLock(sets.parent / f"{key}.lock"):
        if not (sets / key / META).exists():
            (sets / key).mkdir(parents=True, exist_ok=True)
            with whole(matrices / f"{key}.npy") as partial:
                rows = np.lib.format.open_memmap(partial, "w+", np.float32, (size, found.full_dim))
                for start in range(0, size, _ROWS):
                    rows[start : start + _ROWS] = found.corpus[kept[start : start + _ROWS]]
                rows.flush()
            with whole(matrices / f"{key}q.npy") as partial:
                np.save(partial, found.queries)
            with whole(sets / key / IDS) as partial:
                store_ids(partial, found.doc_ids.at(kept).to_pylist())
            with whole(sets / key / META) as partial:
                partial.write_text(json.dumps(_meta(found, kept, key)), encoding="utf-8")
    return replace(open_embeddings(sets / key), dataset=name, encoder=found.encoder)


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


def _meta(found: Embeddings, kept: np.ndarray, key: str) -> dict[str, object]:
    place = {str(old): str(new) for new, old in enumerate(kept.tolist())}
    qrels = None
    if found.qrels is not None:
        qrels = {
            query: {place.get(d, f"?{d.lstrip('?')}"): grade for d, grade in grades.items()}
            for query, grades in found.qrels.items()
        }
    own = None
    if found.own is not None:
        own = np.where(found.own < 0, -1, np.searchsorted(kept, found.own)).tolist()
    note = f"{len(kept):,} of {len(found.corpus):,} documents, all relevant ones among them"
    return {
        "corpus": key,
        "queries": f"{key}q",
        "unit": found.unit,
        "notes": [*found.notes, note],
        "truth": False,
        "dataset": found.dataset,
        "dataset_fingerprint": digest(found.dataset_fingerprint, str(len(kept))),
        "synthetic": found.synthetic,
        "query_ids": found.query_ids,
        "qrels": qrels,
        "own": own,
        "groups": found.groups,
        "sample_texts": list(found.sample_texts),
        "query_texts": list(found.query_texts),
    }
