"""A study in slices, each of one index: the smallest part that a fresh process measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.encoders._names import with_arguments
from bench.registry import split_name
from bench.study.plan import Trial, parameters, plan
from bench.study.schema import Study

_OWN_KEYS = ("dataset", "encoder", "dimensions", "k", "queries", "corpus_sizes", "seed")
_LIMITS = ("timeout_seconds", "memory_gib")


@dataclass(frozen=True)
class Slice:
    """One index of a study with all its searches, or the exact pass."""

    label: str
    table: dict[str, Any]
    """A study file as TOML holds it."""


def slices(study: Study, reducers: bool = True, quick: bool = False) -> list[Slice]:
    """Return the exact pass, then one slice per index.

    A slice times each query once and builds each index once: repeats come with further processes.
    `reducers`: let the exact pass search with all of the study's reducers, not truncation alone.
    `quick`: one index per backend alone, the one in the middle of the study's.
    """
    whole = study.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    common = {key: whole[key] for key in ("name", *_OWN_KEYS, *_LIMITS) if key in whole}
    common |= {"repeats": 1, "subsets": 0}
    exact = {**common, "threads": study.threads[:1]}
    if reducers and "reducers" in whole:
        exact["reducers"] = whole["reducers"]
    groups: dict[Any, list[Trial]] = {}
    for trial in plan(study):
        groups.setdefault(trial.build_key, []).append(trial)
    found = [Slice("exact search", exact)]
    for trials in _few(groups.values()) if quick else groups.values():
        one = trials[0]
        table = {
            **common,
            "threads": [one.threads],
            "configurations": [_configuration(trial) for trial in trials],
        }
        found.append(Slice(" ".join(filter(None, [one.backend, f"{one.dim} d"])), table))
    return found


def reachable(study: Study, sources: Sequence[Path]) -> Study:
    """Return the study with paths that one of `sources` lacks made absolute.

    A work tree holds what is committed; data that is not are found where they are.
    """

    def found(path: str) -> str:
        if all((source / path).exists() for source in sources) or not Path(path).exists():
            return path
        return str(Path(path).resolve())

    def dataset(name: str) -> str:
        kind, path = split_name(name)
        return f"{kind}:{found(path)}" if path else name

    changed = {
        "dataset": list(map(dataset, study.dataset)),
        "encoder": [name and with_arguments(name, found) for name in study.encoder],
    }
    return study.model_copy(update=changed)


def _few(groups: Iterable[list[Trial]]) -> list[list[Trial]]:
    by_backend: dict[str, list[list[Trial]]] = {}
    for trials in groups:
        by_backend.setdefault(trials[0].backend, []).append(trials)
    return [each[len(each) // 2] for each in by_backend.values()]


def _configuration(trial: Trial) -> dict[str, Any]:
    """Return the table of ``[[configurations]]`` that expands to this trial."""
    reducer = {"name": trial.reducer, **parameters(trial.reducer_params)}
    table: dict[str, Any] = {
        "backend": trial.backend,
        "reducer": reducer if len(reducer) > 1 else trial.reducer,
        "precision": trial.precision,
        "dimensions": [trial.dim],
        "build": parameters(trial.build_params),
        "search": parameters(trial.search_params),
    }
    if trial.stages:
        table["stages"] = {"native": False, **parameters(trial.stages)}
    if trial.clients > 1:
        table["clients"] = trial.clients
    if trial.arrival:
        table["arrivals"] = [trial.arrival]
    return table
