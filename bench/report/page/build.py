"""Compose the data of a page from results folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.advising.plan import PLAN
from bench.analysis.at_size import AtSize
from bench.analysis.money import load_prices
from bench.analysis.palette import backend_colour, precision_colour, reducer_colour
from bench.analysis.recommendation import RETAIN
from bench.analysis.serving import QUERIES_PER_SECOND
from bench.analysis.sizing import BUILD, CACHE_BYTES, LATENCY, growths
from bench.analysis.summary import Section, Summary
from bench.backends import exhaustive_backends
from bench.deploy import code_of
from bench.errors import UsageError
from bench.reducers import PREFIX
from bench.report.page.charts import Source, charts
from bench.report.page.document import Document, Group, Growth, Result
from bench.report.page.lost import lost_queries, ranks_of
from bench.report.page.runs import VECTOR, runs_of
from bench.results.rows import exhaustive_rows, quality_of, timed
from bench.results.schema import NOT_TIMED
from bench.results.store import load_relevant
from bench.results.texts import load_texts
from bench.study.plan import parameters
from bench.study.reader import STUDIES

MOST_PROGRAMS = 300
"""Programs that a page carries; the command that writes one stands for the others."""
_SIZES = [step * 10**decade for decade in range(3, 9) for step in (1, 2, 5)] + [10**9]


@dataclass(frozen=True)
class Folder:
    """A results folder that has been read."""

    path: Path
    found: Summary
    projected: pd.DataFrame
    """That of `bench.projection.project_folder`."""
    retain: float = RETAIN
    """Share of the full dimension's quality to keep at first."""


def document(folders: Iterable[Folder], with_texts: bool = True) -> Document:
    """Return the data of a page. `with_texts` includes the texts of the queries lost."""
    results = [_result(folder, with_texts) for folder in folders]
    return Document(results=results, colours=_colours(results))


def _result(folder: Folder, with_texts: bool) -> Result:
    found = folder.found
    frame, sections = found.frame, found.sections
    at = [_at_size(section, folder.path) for section in sections]
    runs, factors = runs_of(sections, at)
    grown = growths(frame)
    groups = []
    for section, sizes, own in zip(sections, at, factors, strict=True):
        part = section.frame
        ranks = ranks_of(part, folder.path)
        texts = load_texts(folder.path, section.dataset) if with_texts else {}
        title = " with ".join(filter(None, [section.dataset, section.encoder]))
        groups.append(
            Group(
                dataset=section.dataset,
                encoder=section.encoder,
                title=title,
                size=section.size,
                n_corpus=int(part["n_corpus"].max()),
                full_dim=int(part["full_dim"].max()),
                quality=quality_of(part).label,
                units=section.units,
                among=len(timed(part)),
                sizes=sizes.sizes,
                factors=own,
                refused=_refused(part, sizes),
                growth={
                    name: Growth(
                        latency=grown[LATENCY][name].power,
                        build=grown[BUILD][name].power,
                        latency_sizes=list(grown[LATENCY][name].sizes),
                        scans=name in exhaustive_backends(),
                    )
                    for name in timed(part)["backend"].unique()
                },
                lost=lost_queries(part, section.certainty, ranks, texts),
                charts=charts(Source(part, folder.projected, ranks)),
            )
        )
    return Result(
        name=folder.path.absolute().name,
        retain=folder.retain,
        prices=load_prices(),
        queries_per_second=QUERIES_PER_SECOND,
        cache_bytes=CACHE_BYTES,
        groups=groups,
        runs=runs,
        programs=_programs(found, runs.texts["trial_id"].values),
        studies=_studies(folder.path),
        provenance=provenance(frame),
        cautions=_cautions(found),
    )


def _at_size(section: Section, folder: Path) -> AtSize:
    """Return what carries the quality of the timed rows over to other numbers of documents."""
    frame = section.frame
    exhaustive = exhaustive_rows(frame)
    own, vector = timed(frame), ["reducer", "reducer_params", "dim"]
    asked = pd.MultiIndex.from_frame(own[vector].astype(str))
    needed = pd.MultiIndex.from_frame(exhaustive[vector].astype(str)).isin(asked)
    full = (exhaustive["reducer_kind"] == PREFIX) & (exhaustive["dim"] == exhaustive["full_dim"])
    exhaustive = exhaustive[needed | full]
    measured = int(frame["n_corpus"].max())
    ranks = load_relevant(folder, exhaustive["trial_id"])
    return AtSize(pd.concat([own, exhaustive]), ranks, sorted({measured, *_SIZES}))


def _refused(frame: pd.DataFrame, at: AtSize) -> list[str]:
    """Return why nothing is said of some timed rows, for each size; empty if something is."""
    unlike = {AtSize.alike(row): row for row in timed(frame)[VECTOR].to_dict("records")}
    reasons = ([at.change(row, n).refused for row in unlike.values()] for n in at.sizes)
    return [next(filter(None, each), "") for each in reasons]


def _programs(found: Summary, shown: Iterable[str]) -> dict[str, str]:
    """Return the code of the rows that are most likely to be chosen, by trial."""
    programs: dict[str, str] = {}
    shown = set(shown)
    for section in found.sections:
        rows = timed(section.frame)
        rows = rows[rows["trial_id"].isin(shown)].assign(low=section.kept["low"])
        rows = rows.sort_values("low", ascending=False).dropna(subset="low")
        sure = rows[rows["low"] >= 0.5]
        first = [sure.nsmallest(100, c) for c in ("bytes_per_vector", "latency_ms_p50")]
        likely = pd.concat([*first, sure.head(100)]).drop_duplicates("trial_id")
        for row in likely.to_dict("records"):
            if len(programs) >= MOST_PROGRAMS:
                break
            try:
                programs[row["trial_id"]] = code_of(row)
            except UsageError:
                continue  # a backend or reducer without code
    return programs


def _studies(folder: Path) -> dict[str, str]:
    paths = [folder / PLAN, *sorted((folder / STUDIES).glob("*.toml"))]
    return {p.name: p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()}


def provenance(frame: pd.DataFrame) -> dict[str, str]:
    """Return where the numbers come from, in words."""
    versions: dict[str, str] = {}
    for text in frame["library_versions"].dropna().unique():
        versions |= parameters(text)
    started = frame["started_at"].dropna()
    prints = frame.groupby("dataset", sort=False)["dataset_fingerprint"].first()
    return {
        "study": ", ".join(frame["study"].dropna().unique()),
        "machine": "; ".join(frame["machine"].dropna().unique()),
        "threads": ", ".join(str(t) for t in sorted(frame["threads"].dropna().unique())),
        "libraries": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        "datasets": ", ".join(f"{name} ({print_})" for name, print_ in prints.items()),
        "measured": f"{started.min()} to {started.max()}" if len(started) else "",
    }


def _cautions(found: Summary) -> list[str]:
    """Return what went wrong or was left out, in words."""
    frame = found.frame
    lines = [
        f"Left out: trials measured on another machine ({machine})."
        for machine in found.other_machines
    ]
    failed = frame[~frame["status"].isin(["ok", *NOT_TIMED])]
    for (status, backend), part in failed.groupby(["status", "backend"], sort=False):
        what = "configuration" if len(part) == 1 else "configurations"
        why = part["error"].dropna().iloc[0] if part["error"].notna().any() else ""
        lines.append(f"{len(part)} {what} of {backend}: {status.replace('_', ' ')}: {why}")
    for text in dict.fromkeys(frame["caution"].dropna()):
        if text:
            lines.append(f"Not recommended: {text}")
    return lines


def _colours(results: list[Result]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    pick = {"backend": backend_colour, "reducer": reducer_colour, "precision": precision_colour}
    for kind, colour in pick.items():
        names = {name for each in results for name in each.runs.texts[kind].values}
        found[kind] = {name: colour(name) for name in sorted(names)}
    return found
