"""The work of a study on one embeddings set: trials, their ids, keys of exact results."""

from __future__ import annotations

import hashlib
import json
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.backends import get_backend
from bench.backends.precisions import FLOAT32
from bench.embeddings.sets import Embeddings
from bench.embeddings.training import SPLITS, embed_training
from bench.errors import MissingSplit, StudyError
from bench.libraries import versions
from bench.measuring import mapped
from bench.measuring.bm25 import PARAMETERS
from bench.measuring.jobs import BuildJob, Data, ExactKey
from bench.measuring.prepared import ExactResults
from bench.measuring.texts import text_libraries
from bench.reducers import PLAIN, Reducer, get_reducer
from bench.registry import whole_dataset
from bench.study.plan import (
    BM25,
    EXACT,
    EXACT_DEPTH,
    Trial,
    canonical,
    exact_reducers,
    index_class,
    parameters,
    plan,
)
from bench.study.schema import BISECT, PARETO, Study

BUDGET_SECONDS = 5.0
"""No further repeat of a trial's timed queries begins after this long."""


class Workload:
    """The trials of a study on one embeddings set."""

    def __init__(self, study: Study, embeddings: Embeddings, machine: str) -> None:
        self.study = study
        self.embeddings = embeddings
        self.machine = machine
        self.data = Data(
            folder=embeddings.folder,
            encoder=embeddings.encoder,
            max_queries=study.queries,
            seed=study.seed,
            dataset=embeddings.dataset,
        )
        self.dimensions = tuple(sorted({*study.all_dimensions, embeddings.full_dim}))
        deepest = max([EXACT_DEPTH, *study.k, *study.shortlists])
        self.depth = min(deepest, embeddings.n_searchable)
        # Many trials share each of these, and a version or a key is read from files.
        self.reducer = cache(self._new_reducer)
        self._key = cache(self._new_key)
        self._versions = cache(versions_of)
        self._index_key = cache(_index_key)
        self._exact_results = lru_cache(1)(lambda *pair: ExactResults(self.exact_key(*pair)))

    def check(self) -> None:
        """Raise StudyError if the study does not fit these embeddings."""
        full, name = self.embeddings.full_dim, self.embeddings.dataset
        named = f"{name} with {self.embeddings.encoder}" if self.embeddings.encoder else name
        for where, dimensions in (
            ("", self.study.all_dimensions),
            ("stages: ", self.study.stage_dimensions),
        ):
            for d in dimensions:
                if d > full:
                    raise StudyError(
                        f"{where}dimension {d} is outside 1…{full}, the full dimension of {named}"
                    )
        for k in self.study.k:
            if k > self.embeddings.n_searchable:
                found = self.embeddings.n_searchable
                raise StudyError(f"k = {k}, but {named} has only {found} documents to find")
        if self.study.reads_texts and not self._has_texts:
            raise StudyError(
                f"stages: fusion and rerank read texts in the order of the whole corpus, which "
                f"{named} does not offer: take a dataset of texts, without corpus_sizes and order"
            )
        for reducer, params in exact_reducers(self.study):
            self.reducer(reducer, params).check(full)
            self._key(reducer, params)

    @property
    def _has_texts(self) -> bool:
        """Whether the dataset's texts are those of the vectors, in their order.

        Ready vectors have none, a part of a corpus has none of its own, and an order moves them.
        """
        name = self.embeddings.dataset
        is_whole = whole_dataset(name) == name and self.study.order is None
        return bool(self.embeddings.encoder) and is_whole

    def _new_reducer(self, name: str, params: str) -> Reducer:
        """Return a reducer that is not fitted yet."""
        return get_reducer(name)(self.embeddings.encoder, **parameters(params))

    def _new_key(self, name: str, params: str) -> str:
        """Return `Reducer.key`, with the digest of the training queries where they are needed."""
        key = self.reducer(name, params).key
        training = self._training(name)
        return key if training is None else f"{key}-{training.name}"

    def _training(self, name: str) -> Path | None:
        """Return the folder of the training queries' embeddings if the reducer needs them.

        None for a set that is not encoded yet. Raises StudyError if there are none.
        """
        if not get_reducer(name).needs_queries or not self.embeddings.key:
            return None
        try:
            return self._training_set.folder
        except MissingSplit as error:
            needed = f"learns from the queries of a split {' or '.join(SPLITS)}"
            raise StudyError(f"reducer '{name}' {needed}: {error}") from error

    @cached_property
    def _training_set(self) -> Embeddings:
        return embed_training(self.embeddings.dataset, self.embeddings.encoder)

    def exact_key(self, reducer: str, params: str) -> ExactKey:
        """Return the key of a reducer's exact results on this set."""
        return ExactKey(
            data=self.data,
            reducer=reducer,
            reducer_params=params,
            reducer_key=self._key(reducer, params),
            training=self._training(reducer),
            dimensions=self.dimensions,
            depth=self.depth,
        )

    @property
    def full_key(self) -> ExactKey:
        """Key of plain truncation, whose full dimension every trial is compared with."""
        return self.exact_key(PLAIN, "")

    @property
    def is_small(self) -> bool:
        """Whether a worker holds the vectors in memory of its own."""
        return mapped.is_small(*self.embeddings.corpus.shape)

    @property
    def measure(self) -> str:
        """The column of the queries table that configurations are compared by."""
        return "ndcg_at_10" if self.embeddings.qrels is not None else "fidelity_at_10"

    @cached_property
    def groups(self) -> list[dict[str, Trial]]:
        """All trials by id: one group per reducer of the exact pass, then one per index."""
        groups: dict[Any, dict[str, Trial]] = {}
        depth = min(EXACT_DEPTH, self.embeddings.n_searchable)
        for reducer, params in exact_reducers(self.study):
            for dim in self.dimensions:
                trial = Trial(
                    reducer=reducer,
                    reducer_params=params,
                    dim=dim,
                    precision=FLOAT32.name,
                    backend=EXACT,
                    build_params="",
                    search_params="",
                    stages="",
                    k=depth,
                    threads=self.study.threads[0],
                )
                groups.setdefault((reducer, params), {})[self._id(trial)] = trial
        # Without judgements there is nothing that BM25 could show.
        if self._has_texts and self.embeddings.qrels is not None:
            bm25 = Trial(
                reducer="",
                reducer_params="",
                dim=0,
                precision="",
                backend=BM25,
                build_params=canonical(PARAMETERS),
                search_params="",
                stages="",
                k=depth,
                threads=self.study.threads[0],
            )
            groups[BM25] = {self._id(bm25): bm25}
        for trial in plan(self.study):
            pair = trial.reducer, trial.reducer_params
            key = pair if trial.backend == EXACT else trial.build_key
            groups.setdefault(key, {})[self._id(trial)] = trial
        return list(groups.values())

    @cached_property
    def own(self) -> list[dict[str, Trial]]:
        """Those of `groups` that are measured here: all, unless `shards.take` leaves some out."""
        return self.groups

    def _id(self, trial: Trial) -> str:
        key = {
            **vars(trial),
            "embeddings": self.embeddings.key,
            "dataset": self.embeddings.dataset,
            "encoder": self.embeddings.encoder,
            "queries": self.study.queries,
            "seed": self.study.seed,
            "repeats": self.study.repeats,
            "processes": self.study.processes,
            "versions": self._versions(trial.backend, trial.stages),
            "machine": self.machine,
            "reducer_key": "",
        }
        if index := self._index_key(trial.backend, trial.build_params):
            key["index"] = index
        if trial.backend != BM25:
            key["reducer_key"] = self._key(trial.reducer, trial.reducer_params)
        if trial.is_exact_pass and trial.reducer == PLAIN:
            key["subsets"] = self.study.subsets
        text = json.dumps(key, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

    def build_job(self, group: dict[str, Trial], cores: list[int], bandwidth: float) -> BuildJob:
        """Return the job that measures the trials over one index.

        `cores` are all that may be used; `bandwidth` is that of one thread, bytes per second.
        """
        trial, study = first(group), self.study
        return BuildJob(
            cores=cores[-trial.threads :],
            exact=self.exact_key(trial.reducer, trial.reducer_params),
            full=self.full_key,
            trials=group,
            repeats=study.repeats,
            budget_seconds=BUDGET_SECONDS,
            pareto=study.sweep == PARETO,
            keep=study.keep if study.sweep == BISECT else None,
            rivals=[],
            bandwidth=bandwidth,
            machine_cores=cores,
            encode_ms_p50=None,
        )

    def exact_ids(self, trial: Trial) -> np.ndarray:
        """Return what the exact pass found for one of its trials, (q, k) int64."""
        return self._exact_results(trial.reducer, trial.reducer_params).ids(trial.dim)[:, : trial.k]

    def named(self, ids: np.ndarray) -> pa.ListArray:
        """Return the ids of the documents at positions (q, k), -1 pads, by query."""
        kept = ids >= 0
        ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        names = self.embeddings.doc_ids.at(ids[kept])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names)

    def columns(self, trial: Trial, server: str = "") -> dict[str, Any]:
        """Return the columns of a trial's row that were known before it was measured."""
        name, _, version = server.partition(" ")
        found = self._versions(trial.backend, trial.stages) | ({name: version} if name else {})
        notes, kind = list(self.embeddings.notes), ""
        if trial.backend != BM25:
            reducer = self.reducer(trial.reducer, trial.reducer_params)
            notes, kind = [*notes, reducer.note], reducer.kind
        return {
            **vars(trial),
            "study": self.study.name,
            "dataset": self.embeddings.dataset,
            "dataset_fingerprint": self.embeddings.dataset_fingerprint,
            "synthetic": self.embeddings.synthetic,
            "encoder": self.embeddings.encoder,
            "n_corpus": len(self.embeddings.corpus),
            "n_queries": len(self.embeddings.query_ids),
            "n_groups": self._n_groups,
            "full_dim": self.embeddings.full_dim,
            "reducer_kind": kind,
            "component_bits": _bits(trial),
            "library_versions": json.dumps(found, sort_keys=True),
            "machine": self.machine,
            "notes": "\n".join(note for note in notes if note),
        }

    @cached_property
    def _n_groups(self) -> int | None:
        groups = self.embeddings.groups
        return None if groups is None else len(set(groups))


def first(group: dict[str, Trial]) -> Trial:
    """Return any trial of a group; those over one index share what it is built from."""
    return next(iter(group.values()))


def versions_of(backend: str, stages: str = "") -> dict[str, str]:
    """Return the versions that the figures of a backend's trials with these stages depend on."""
    if backend == BM25:
        return versions("numpy", "bm25s")
    library = [] if backend == EXACT else [get_backend(backend).module]
    return versions("numpy", "faiss", *library, *text_libraries(parameters(stages)))


def _index_key(backend: str, params: str) -> str:
    """Return what an index depends on besides its parameters, as the backend says."""
    if backend in (EXACT, BM25):
        return ""
    cls = get_backend(backend)
    return cls.identity({**{n: v[0] for n, v in cls.build_grid.items()}, **parameters(params)})


def _bits(trial: Trial) -> float | None:
    """Return the bits per component of a trial's vectors; None if the index decides."""
    if trial.backend == BM25:
        return None
    return index_class(trial.backend).precision_of(trial.precision).bits
