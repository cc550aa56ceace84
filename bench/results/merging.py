"""Results folders put together: shards of a study, or runs of it on several machines.

The folders that are merged are read and never changed. A merge into an existing folder adds to it;
done again it changes nothing, and neither the order of the folders nor merging some of them first
makes a difference. A merge that is killed is completed by the same command.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bench.errors import DamagedFile, UsageError
from bench.files import whole
from bench.results.locking import LOCK, only_writer
from bench.results.rows import moments, oldest_first
from bench.results.shards import Record, read_records, study_key, write_records
from bench.results.store import RANKED, TASKS, Store
from bench.results.streaming import rows_of, write_rows
from bench.results.tables import QUERIES, TRIALS, files
from bench.results.texts import merge_texts
from bench.study.reader import STUDIES

_COLUMNS = [
    "trial_id",
    "status",
    "started_at",
    "dataset",
    "dataset_fingerprint",
    "backend",
    "library_versions",
    "machine",
    "process_speedup",
    "error",
    "build_seconds",
    "latency_ms_p50",
]


@dataclass(frozen=True)
class Missing:
    """Trials of one shard that no folder has."""

    study: str
    shard: str
    trials: dict[str, int]
    """Number by backend."""

    def line(self) -> str:
        """Return what is missing in one line."""
        parts = ", ".join(f"{backend} {count}" for backend, count in sorted(self.trials.items()))
        total = sum(self.trials.values())
        return f"missing: {total} trials of shard {self.shard} of {self.study} ({parts})"


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    folder: Path
    added: int
    """Trials that the folder lacked, or had an older measurement of."""
    machines: dict[str, int]
    """Trials of each machine, the one that figures show last."""
    missing: tuple[Missing, ...] | None
    """None if no folder says that it is a shard."""

    def lines(self) -> list[str]:
        """Return what a person reads."""
        total = sum(self.machines.values())
        lines = [f"{self.folder} holds {total} trials, {self.added} of them from this merge"]
        lines += [f"{count} trials of {machine}" for machine, count in self.machines.items()]
        if len(self.machines) > 1:
            lines.append("figures and tables show one machine at a time: the last of these")
        if self.missing is None:
            lines.append("what is missing is not known: no folder is of a shard")
        else:
            lines += [each.line() for each in self.missing] or ["no shard is missing"]
        return lines

    def record(self) -> dict[str, Any]:
        """Return what a program reads."""
        return asdict(self)


@dataclass(frozen=True)
class _Source:
    folder: Path
    studies: dict[str, dict[str, Any]]
    trials: pd.DataFrame
    """`_COLUMNS`, a row per trial, oldest first."""
    records: list[Record]


def merge(folders: Sequence[str | Path], out: str | Path, any_versions: bool = False) -> Merged:
    """Merge results folders of the same study into `out`.

    Of a trial in several folders one that ended ok counts, else the newest. Rows of several
    machines stay apart. Raises UsageError, before anything is written, if the studies, the data or
    the encoders' vectors differ, if libraries have different versions (unless `any_versions`), or
    if a folder is being written or is no results folder; DamagedFile.
    """
    target = Path(out)
    with ExitStack() as stack:
        places = {Path(folder).resolve(): Path(folder) for folder in folders}
        places.pop(target.resolve(), None)
        held = [target] if (target / STUDIES).is_dir() or files(target, "trials") else []
        if not (held or places):
            raise UsageError(f"nothing to merge into {target}: name other results folders")
        for folder in places.values():
            if (folder / LOCK).exists():
                # One that cannot be written, such as a copy kept read-only, has no writer.
                with suppress(OSError):
                    stack.enter_context(only_writer(folder, "leave it out"))
        try:
            if held:
                stack.enter_context(only_writer(target))
            sources = [_opened(folder) for folder in (*held, *places.values())]
            _check(sources, any_versions)
            store = Store(target)
            if not held:
                stack.enter_context(only_writer(target))
                if files(target, "trials"):
                    raise UsageError(f"{target} has come into being meanwhile: merge again")
            return _merged(sources, target, store)
        except OSError as error:
            raise UsageError(
                f"{target} cannot be written ({error.strerror or error}); the folders that are "
                "merged are as they were: free some space and merge again"
            ) from error


def _opened(folder: Path) -> _Source:
    """Read what tells whether a folder fits to others."""
    studies = {}
    for path in sorted((folder / STUDIES).glob("[!.]*.toml")):
        try:
            studies[path.stem] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DamagedFile(f"{path} is no study: {error}") from error
    if not studies:
        raise UsageError(f"{folder} is no results folder of `run`: it has no {STUDIES}/NAME.toml")
    rows = [table.select(_COLUMNS) for table in rows_of(folder, "trials")]
    trials = pa.concat_tables([TRIALS.empty_table().select(_COLUMNS), *rows]).to_pandas()
    return _Source(folder, studies, oldest_first(trials), read_records(folder))


def _check(sources: Sequence[_Source], any_versions: bool) -> None:
    """Raise UsageError unless the folders are of the same study, data and versions."""
    one = sources[0]
    for other in sources[1:]:
        where = f"in {one.folder} and {other.folder}"
        if one.studies.keys() != other.studies.keys():
            names = (" and ".join(each.studies) or "no study" for each in (one, other))
            raise UsageError(f"not the same study {where}: {', '.join(names)}")
        for name, table in one.studies.items():
            changed = other.studies[name]
            for key in sorted(table.keys() | changed.keys()):
                if table.get(key) != changed.get(key):
                    raise UsageError(f"the study '{name}' is not the same {where}: see its {key}")
    for name, values in _differing(sources, _fingerprints):
        raise UsageError(f"the dataset '{name}' is not the same: {values}; use the same data")
    for name, values in _differing(sources, _encoded):
        raise UsageError(
            f"the vectors of {name} are not the same: {values}; use the same model and the same "
            "version of its library"
        )
    if not any_versions:
        for name, values in _differing(sources, _versions):
            raise UsageError(
                f"{name} is not the same version: {values}; install one, or keep the trials of "
                "both with --any-versions"
            )


def _differing(
    sources: Sequence[_Source], facts: Callable[[_Source], dict[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield each fact on which two folders differ, with its values and the folders."""
    known: dict[str, tuple[str, Path]] = {}
    for source in sources:
        for name, value in facts(source).items():
            first, folder = known.setdefault(name, (value, source.folder))
            if first != value:
                yield name, f"{first} in {folder}, {value} in {source.folder}"


def _fingerprints(source: _Source) -> dict[str, str]:
    """Return the fingerprint of each dataset, of its newest trial."""
    rows = source.trials[["dataset", "dataset_fingerprint"]].dropna()
    return dict(rows.itertuples(index=False))


def _encoded(source: _Source) -> dict[str, str]:
    """Return the key of each set of embeddings, of the newest shard."""
    ordered = sorted(source.records, key=lambda record: record.at)
    return {name: key for record in ordered for name, key in record.sets.items()}


def _versions(source: _Source) -> dict[str, str]:
    """Return the version of each library behind each backend, of its newest trial."""
    found: dict[str, str] = {}
    # What is not installed has no version.
    rows = source.trials[source.trials["status"] != "skipped"]
    rows = rows[["backend", "library_versions"]].dropna().drop_duplicates(keep="last")
    for backend, text in rows.itertuples(index=False):
        try:
            libraries = json.loads(text).items()
        except (ValueError, AttributeError) as error:
            raise DamagedFile(
                f"{source.folder}: library_versions of {backend} are no JSON object: {text}"
            ) from error
        found |= {f"{library} of {backend}": str(version) for library, version in libraries}
    return found


def _merged(sources: Sequence[_Source], target: Path, store: Store) -> Merged:
    store.gather()
    trials = _counted(sources)
    own = [set(trials["trial_id"][trials["source"] == i]) for i in range(len(sources))]
    added = 0
    for source, ids in zip(sources, own, strict=True):
        if source.folder == target:
            continue
        added += len(ids)
        _copy(source.folder / RANKED, target / RANKED, {f"{i}.parquet" for i in ids})
    folders = [source.folder for source in sources]
    if folders[0] != target:
        # All at once: a folder with some of its studies is not of the same ones.
        staging = target / f".{STUDIES}.new"
        shutil.rmtree(staging, ignore_errors=True)
        _copy(folders[0] / STUDIES, staging, {f"{name}.toml" for name in sources[0].studies})
        staging.rename(target / STUDIES)
    merge_texts(folders, target)
    _merge_tasks(folders, target)
    if added:
        # In this order: without its row a trial does not count as measured.
        for kind, schema in (("queries", QUERIES), ("trials", TRIALS)):
            parts: Iterable[pa.Table] = chain.from_iterable(
                map(rows_of, folders, repeat(kind), own)
            )
            if kind == "trials":
                parts = [_in_order(pa.concat_tables(parts), trials["trial_id"])]
            write_rows(target / f"{kind}.parquet", schema, parts)
    records = [record for source in sources for record in source.records]
    write_records(target, records)
    return Merged(
        folder=target,
        added=added,
        machines=_machines(trials),
        missing=_missing(sources[0].studies, records, set(trials["trial_id"])),
    )


def _in_order(rows: pa.Table, trial_ids: pd.Series) -> pa.Table:
    """Return the rows of trials in the order of `trial_ids`: the last ones are the newest."""
    places = pc.index_in(pa.array(trial_ids, pa.string()), rows["trial_id"].combine_chunks())
    return rows.take(places)


def _counted(sources: Sequence[_Source]) -> pd.DataFrame:
    """Return the row of each trial that counts, with the number of its `source`.

    One that ended ok comes before one that did not, then the newest, then the one that more
    processes measured. Two that began in the same moment differ in how they ended or in what was
    measured. Of equals, that of the first folder: a merge done again copies nothing.
    """
    by = ["ok", "moment", "started_at", "processes", "status", "error", "build_seconds"]
    rows = pd.concat([source.trials.assign(source=i) for i, source in enumerate(sources)])
    rows = oldest_first(rows).reset_index(drop=True)
    order = rows.assign(
        ok=rows["status"] == "ok",
        moment=moments(rows),
        processes=[0 if found is None else len(found) for found in rows["process_speedup"]],
        first=-rows["source"],
    ).sort_values([*by, "latency_ms_p50", "first"], na_position="first")
    return rows.loc[sorted(order.drop_duplicates("trial_id", keep="last").index)]


def _machines(trials: pd.DataFrame) -> dict[str, int]:
    """Return how many trials each machine has, the one of the newest trial last."""
    counts = Counter(trials["machine"].fillna(""))
    newest_first = dict.fromkeys(reversed(trials["machine"].fillna("").tolist()))
    return {machine: counts[machine] for machine in reversed(newest_first)}


def _copy(source: Path, target: Path, names: Collection[str]) -> None:
    """Copy the files of a folder that have one of these names; the folder may be missing."""
    for path in sorted(source.glob("*")):
        if path.name in names:
            target.mkdir(exist_ok=True)
            with whole(target / path.name) as partial:
                shutil.copyfile(path, partial)


def _merge_tasks(folders: Sequence[Path], target: Path) -> None:
    """Write what the pieces of all runs took, each once, in the order of their ends."""
    tasks: dict[str, float] = {}
    for path in (folder / TASKS for folder in folders):
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            # A run that was killed may have left half a line.
            with suppress(ValueError, KeyError, TypeError):
                task = json.loads(line)
                tasks[line] = float(task["begun"] + task["seconds"])
    if tasks:
        with whole(target / TASKS) as partial:
            lines = sorted(tasks, key=lambda line: (tasks[line], line))
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _missing(
    studies: dict[str, dict[str, Any]], records: Sequence[Record], there: set[str]
) -> tuple[Missing, ...] | None:
    """Return what no folder has of each study, by shard; None if none is measured in shards."""
    deals = [
        _missing_of(deal, there)
        for table in studies.values()
        for deal in _deals([r for r in records if r.study_key == study_key(table)])
    ]
    return tuple(chain.from_iterable(deals)) if deals else None


def _deals(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records of each number of shards that a study was dealt into."""
    for of in sorted({len(record.deal) for record in records}):
        yield [record for record in records if len(record.deal) == of]


def _missing_of(records: Sequence[Record], there: set[str]) -> Iterator[Missing]:
    """Yield what is missing of each shard; begun on several machines, of where most is there."""
    one = records[0]
    for number, dealt in enumerate(one.deal, 1):
        lacking = [
            {backend: sum(i not in there for i in ids) for backend, ids in record.trials.items()}
            for record in records
            if record.number == number
        ]
        least = min(lacking or [dealt], key=lambda found: sum(found.values()))
        if least := {backend: count for backend, count in least.items() if count}:
            yield Missing(one.study, f"{number}/{len(one.deal)}", least)
