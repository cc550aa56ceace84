"""All trials of a study: a child process an index, time-outs, memory limits, resumption.

Each child measures one index's trials and reports every one as it ends. If it crashes, hangs or takes too much memory,
the trial that it was at gets that status, and a fresh child goes on with the rest.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import psutil

from bench import machine
from bench.backends import get_backend
from bench.embeddings import Embeddings, embed
from bench.errors import UsageError
from bench.libraries import versions, without_secrets
from bench.measuring.prepared import exact_path
from bench.measuring.progress import Progress
from bench.measuring.supervisor import GRACE_SECONDS, Child
from bench.reducers import Reducer, get_reducer
from bench.results.rows import pareto
from bench.results.rows import timed as timed_rows
from bench.results.store import Store, load, load_queries
from bench.study.plan import EXACT, EXACT_DEPTH, Trial, exact_reducers, parameters, plan
from bench.study.reader import load_study
from bench.study.schema import GRID, PARETO, SHORTLIST, Study

BUDGET_SECONDS = 5.0
"""No further repeat of a trial's timed queries is begun after this long."""


@dataclass(frozen=True)
class _Machine:
    name: str
    cores: list[int]
    bandwidth: float
    memory_limit: float


def run(
    study: str | Path | Study,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    progress: bool = True,
    retry: bool = False,
) -> pd.DataFrame:
    """Measure every trial of a study that the results folder does not hold yet; return the folder's trials.

    `study` is a study file, the name of one that ships, or a Study. `out` defaults to ``results/NAME``. A trial is held
    already when its configuration, data, library versions and machine are the same; `retry` measures again those that
    did not end ok. Raises UsageError on bad input, before anything is measured.
    """
    if not isinstance(study, Study):
        study = load_study(study, overrides)
    store = Store(out or Path("results") / study.name)
    lock = filelock.FileLock(store.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise UsageError(
            f"{store.folder} is being written by another run; wait for it or choose another --out"
        ) from error
    with lock:
        _Run(study, store, progress, retry).go()
    return load(store.folder)


class _Run:
    def __init__(self, study: Study, store: Store, progress: bool, retry: bool) -> None:
        self.study, self.store, self.show = study, store, progress
        done = store.done()
        # What a search for the front left out was not measured, should now the whole grid be asked for.
        again = {"pruned"} if study.sweep == GRID else set()
        self.done = {
            trial_id
            for trial_id, status in done.items()
            if status == "ok" or not (retry or status in again)
        }
        self.rivals: dict[str, list[dict[str, Any]]] = {}
        limit = (
            study.memory_gib * 2**30 if study.memory_gib else 0.8 * psutil.virtual_memory().total
        )
        self.machine = _Machine(machine.description(), machine.usable_cores(), 0.0, limit)
        if max(study.threads) > len(self.machine.cores):
            raise UsageError(
                f"threads = {max(study.threads)}, but this process may use {len(self.machine.cores)} cores: name fewer threads"
            )

    def go(self) -> None:
        timed = plan(self.study)
        for trial in timed:
            shortlist = parameters(trial.stages).get(SHORTLIST)
            if shortlist is not None and shortlist < trial.k:
                raise UsageError(
                    f"stages: a shortlist of {shortlist} cannot give k = {trial.k} results"
                )
        sets = [self._embed(d, e) for d in self.study.dataset for e in self.study.encoder]
        for embeddings in sets:
            self._check(embeddings)
        work = [self._set_work(embeddings, timed) for embeddings in sets]
        missing = sum(len(trials) for set_work in work for _, trials in set_work)
        with Progress(
            missing, held=sum(self._total(timed) for _ in sets) - missing, show=self.show
        ) as self.progress:
            if missing:
                for embeddings, set_work in zip(sets, work, strict=True):
                    self._measure(embeddings, set_work)
        self.store.gather()

    # ------------------------------------------------------------------------------------------------- what there is to do

    def _embed(self, dataset: str, encoder: str | None) -> Embeddings:
        return embed(
            dataset,
            encoder,
            max_queries=self.study.queries,
            seed=self.study.seed,
            progress=self.show,
        )

    def _check(self, embeddings: Embeddings) -> None:
        named = embeddings.dataset + (f" with {embeddings.encoder}" if embeddings.encoder else "")
        for d in sorted(
            {
                *self.study.dimensions,
                *(d for c in self.study.configurations for d in c.dimensions or []),
            }
        ):
            if d > embeddings.full_dim:
                raise UsageError(
                    f"dimension {d} is outside 1…{embeddings.full_dim}, the full dimension of {named}"
                )
        searchable = len(embeddings.corpus) - (embeddings.own is not None)
        for d in (
            d for c in self.study.configurations if c.stages for d in c.stages.dimension or []
        ):
            if d > embeddings.full_dim:
                raise UsageError(
                    f"stages: dimension {d} is outside 1…{embeddings.full_dim}, the full dimension of {named}"
                )
        for reducer, reducer_params in exact_reducers(self.study):
            self._reducer(embeddings, reducer, reducer_params).check(embeddings.full_dim)
        for k in self.study.k:
            if k > searchable:
                raise UsageError(f"k = {k}, but {named} has only {searchable} documents to find")

    def _reducer(self, embeddings: Embeddings, name: str, reducer_params: str) -> Reducer:
        return get_reducer(name)(embeddings.encoder, **parameters(reducer_params))

    def _total(self, timed: list[Trial]) -> int:
        return len(timed) + len(self._exact_dimensions()) * len(exact_reducers(self.study))

    def _exact_dimensions(self) -> list[int]:
        return sorted(
            {
                *self.study.dimensions,
                *(d for c in self.study.configurations for d in c.dimensions or []),
            }
        )

    def _set_work(
        self, embeddings: Embeddings, timed: list[Trial]
    ) -> list[tuple[Trial, dict[str, Trial]]]:
        """Return the missing trials by id: first those of the exact pass, a reducer each, then those of each index."""
        searchable = len(embeddings.corpus) - (embeddings.own is not None)
        dimensions = sorted({*self._exact_dimensions(), embeddings.full_dim})
        groups: dict[Any, dict[str, Trial]] = {}
        for reducer, reducer_params in exact_reducers(self.study):
            for dim in dimensions:
                trial = Trial(
                    reducer,
                    reducer_params,
                    dim,
                    "float32",
                    EXACT,
                    "",
                    "",
                    "",
                    min(EXACT_DEPTH, searchable),
                    self.study.threads[0],
                )
                groups.setdefault((reducer, reducer_params), {})[self._id(embeddings, trial)] = (
                    trial
                )
        for trial in timed:
            groups.setdefault(trial.build_key, {})[self._id(embeddings, trial)] = trial
        missing = []
        for trials in groups.values():
            left = {
                trial_id: trial for trial_id, trial in trials.items() if trial_id not in self.done
            }
            if left:
                missing.append((next(iter(left.values())), left))
        return missing

    def _id(self, embeddings: Embeddings, trial: Trial) -> str:
        key = {
            **asdict(trial),
            "embeddings": embeddings.key,
            "dataset": embeddings.dataset,
            "encoder": embeddings.encoder,
            "queries": self.study.queries,
            "seed": self.study.seed,
            "repeats": self.study.repeats,
            "versions": _versions(trial),
            "machine": self.machine.name,
            "reducer_identity": self._reducer(
                embeddings, trial.reducer, trial.reducer_params
            ).identity,
        }
        return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()

    # ---------------------------------------------------------------------------------------------------------- measuring

    def _measure(self, embeddings: Embeddings, work: list[tuple[Trial, dict[str, Trial]]]) -> None:
        if not work:
            return
        depth = max(
            [
                EXACT_DEPTH,
                *self.study.k,
                *(s for c in self.study.configurations if c.stages for s in c.stages.shortlist),
            ]
        )
        searchable = len(embeddings.corpus) - (embeddings.own is not None)
        base = {
            "embeddings": str(embeddings.folder),
            "encoder": embeddings.encoder,
            "max_queries": self.study.queries,
            "seed": self.study.seed,
            "repeats": self.study.repeats,
            "budget_seconds": BUDGET_SECONDS,
            "dimensions": sorted({*self._exact_dimensions(), embeddings.full_dim}),
            "depth": min(depth, searchable),
        }
        plain = {**base, "reducer": "truncate", "reducer_params": "", "reducer_identity": ""}
        base["exact_full"] = str(exact_path(embeddings.folder, plain))
        # Everything is scored against exact search at the full dimension, so that comes first, measured before or not.
        exact = dict.fromkeys([("truncate", ""), *((t.reducer, t.reducer_params) for t, _ in work)])
        rows = {(t.reducer, t.reducer_params): trials for t, trials in work if t.backend == EXACT}
        job: dict[str, Any]
        for reducer, reducer_params in exact:
            identity = self._reducer(embeddings, reducer, reducer_params).identity
            job = {
                **base, "kind": "exact", "reducer": reducer, "reducer_params": reducer_params, "reducer_identity": identity
            }  # fmt: skip
            trials = rows.get((reducer, reducer_params), {})
            if trials or not exact_path(embeddings.folder, job).exists():
                error = self._job(
                    embeddings, job, trials, self.machine.cores, f"exact search, {reducer}"
                )
                if not exact_path(embeddings.folder, job).exists():
                    raise UsageError(
                        f"exact search with {reducer} on {embeddings.dataset} did not end, so nothing can be scored: {error}"
                    )
        timed = [(t, trials) for t, trials in work if t.backend != EXACT]
        if not timed:
            return
        encode_ms = self._encode_ms(embeddings)
        self._measure_bandwidth()
        for first, trials in timed:
            backend = get_backend(first.backend)
            if not backend.available():
                for trial_id, trial in trials.items():
                    self._add(
                        embeddings,
                        trial,
                        {
                            "trial_id": trial_id,
                            "status": "skipped",
                            "error": f"not installed: {backend.install}",
                        },
                    )
                continue
            job = {
                **base,
                "kind": "build",
                **asdict(first),
                "reducer_identity": self._reducer(
                    embeddings, first.reducer, first.reducer_params
                ).identity,
                "sweep": self.study.sweep,
                "rivals": self._front(embeddings),
                "bandwidth": self.machine.bandwidth,
                "machine_cores": self.machine.cores,
                "encode_ms_p50": encode_ms,
            }
            job["exact"] = str(exact_path(embeddings.folder, job))
            cores = self.machine.cores[-first.threads :]
            self._job(
                embeddings,
                job,
                trials,
                cores,
                f"{first.backend} {first.dim} d {first.build_params}".strip(),
            )

    def _front(self, embeddings: Embeddings) -> list[dict[str, Any]]:
        """Return what was measured on these embeddings and is beaten by nothing: the rivals of what is still to come."""
        if self.study.sweep != PARETO:
            return []
        if embeddings.key not in self.rivals:
            self.rivals[embeddings.key] = []
            trials = load(self.store.folder) if self.done else None
            if trials is not None:
                held = timed_rows(trials[trials["trial_id"].isin(self.done)])
                held = held[
                    (held["dataset"] == embeddings.dataset)
                    & (held["encoder"] == embeddings.encoder)
                ]
                queries = dict(list(load_queries(self.store.folder).groupby("trial_id")))
                for _, row in held.iterrows():
                    self._rival(
                        embeddings,
                        dict(row),
                        queries[row["trial_id"]].set_index("query_id").loc[embeddings.query_ids],
                    )
        rivals = self.rivals[embeddings.key]
        frame = pd.DataFrame([{**r, "quality": np.mean(r["by_query"])} for r in rivals])
        return (
            [rivals[i] for i in frame.index[pareto(frame, ["quality"], ["ms", "bytes"])]]
            if rivals
            else []
        )

    def _rival(
        self, embeddings: Embeddings, row: dict[str, Any], queries: Mapping[str, Any]
    ) -> None:
        by_query = list(queries["ndcg_at_10" if embeddings.qrels is not None else "fidelity_at_10"])
        # What does not tell its size cannot be held against what does.
        if None not in by_query and pd.notna(row["bytes_per_vector"]):
            self.rivals[embeddings.key].append(
                {
                    "by_query": by_query,
                    "ms": row["latency_ms_p50"],
                    "bytes": row["bytes_per_vector"],
                }
            )

    def _encode_ms(self, embeddings: Embeddings) -> float | None:
        if not embeddings.encoder or not embeddings.sample_texts:
            return None
        job = {
            "kind": "encode",
            "encoder": embeddings.encoder,
            "texts": embeddings.sample_texts,
            "budget_seconds": BUDGET_SECONDS,
        }
        event = self._single(job, "encoding of a query")
        return event.get("encode_ms_p50")

    def _measure_bandwidth(self) -> None:
        if not self.machine.bandwidth:
            event = self._single({"kind": "bandwidth"}, "memory bandwidth")
            self.machine = replace(self.machine, bandwidth=event.get("bandwidth", 0.0))

    def _single(self, job: dict[str, Any], what: str) -> dict[str, Any]:
        """Run a job that has one event and belongs to no trial; an empty event where it failed."""
        self.progress.now(what)
        cores = self.machine.cores[-self.study.threads[0] :]
        with Child(
            job, cores, self.study.timeout_seconds + GRACE_SECONDS, self.machine.memory_limit
        ) as child:
            return next(iter(child.events()), {})

    def _job(
        self,
        embeddings: Embeddings,
        job: dict[str, Any],
        trials: dict[str, Trial],
        cores: list[int],
        what: str,
    ) -> str:
        """Run the trials in a child; where it ends early, note that against the trial under way and go on with the rest.

        Returns the last child's error, empty when all went well.
        """
        left = dict(trials)
        while True:
            self.progress.now(what)
            job["trials"] = [
                {"trial_id": trial_id, **asdict(trial)} for trial_id, trial in left.items()
            ]
            under_way, built, again = "", False, False
            with Child(job, cores, self.study.timeout_seconds, self.machine.memory_limit) as child:
                for event in child.events():
                    if event["event"] == "built":
                        built = True
                    elif event["event"] == "start":
                        under_way = event["trial_id"]
                    elif event["event"] == "again":
                        again = True
                    else:
                        self._add(
                            embeddings,
                            left.pop(event["row"]["trial_id"]),
                            event["row"],
                            event["queries"],
                        )
            if not left:
                return child.error
            if again:
                continue
            status, error = child.status, child.error
            if status == "ok":
                status, error = "crashed", "the library ended the process by itself"
            # What ended the build would end it again for each trial; what ended a search is that trial's own.
            failed = [under_way or next(iter(left))] if built else list(left)
            for trial_id in failed:
                self._add(
                    embeddings,
                    left.pop(trial_id),
                    {"trial_id": trial_id, "status": status, "error": error},
                )
            if not left:
                return error

    def _add(
        self,
        embeddings: Embeddings,
        trial: Trial,
        row: dict[str, Any],
        queries: dict[str, Any] | None = None,
    ) -> None:
        if row.get("error"):
            row = {**row, "error": without_secrets(row["error"])}
        described = {
            **asdict(trial),
            "study": self.study.name,
            "dataset": embeddings.dataset,
            "dataset_fingerprint": embeddings.dataset_fingerprint,
            "synthetic": embeddings.synthetic,
            "encoder": embeddings.encoder,
            "n_corpus": len(embeddings.corpus),
            "n_queries": len(embeddings.query_ids),
            "full_dim": embeddings.full_dim,
            "library_versions": json.dumps(_versions(trial) | self._server(row), sort_keys=True),
            "machine": self.machine.name,
            "notes": "\n".join(embeddings.notes),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        rankings = None
        if queries is not None and embeddings.key in self.rivals and trial.clients == 1:
            self._rival(embeddings, row, queries)
        if queries is not None:
            ids = embeddings.doc_ids
            rankings = [[ids[i] for i in found if i >= 0] for found in queries.pop("found")]
        self.store.add({**described, **row}, queries, rankings)
        self.progress.finished(row["status"])

    @staticmethod
    def _server(row: dict[str, Any]) -> dict[str, str]:
        name, _, version = row.get("server", "").partition(" ")
        return {name: version} if name else {}


def _versions(trial: Trial) -> dict[str, str]:
    """Return the versions that a trial's figures depend on."""
    return versions(
        "numpy", "faiss", *([] if trial.backend == EXACT else [get_backend(trial.backend).module])
    )
