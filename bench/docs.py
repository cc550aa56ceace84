"""Tables and the gallery of the documentation, generated from the code.

`cog` writes the tables into the READMEs. They depend on the code alone, not on which extras are
installed or on their versions.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import registry
from bench.analysis.regression.limits import LIMITS, SUITE
from bench.backends import DATABASE, LIBRARY, SERVER, Backend
from bench.backends._servers import Server
from bench.codes import ALL, Coding
from bench.codes.table import CODINGS, in_brief, numbered
from bench.report.listing import listing
from bench.report.page.document import Document
from bench.results.columns import Column
from bench.results.derived import ALL_COLUMNS, DERIVED
from bench.results.history import HISTORY_COLUMNS
from bench.results.schema import (
    HISTORY,
    QUERY_COLUMNS,
    RANKING_COLUMNS,
    STATUSES,
    TEXT_COLUMNS,
    TRIAL_COLUMNS,
)
from bench.study.schema import Study


def backends_table() -> str:
    """Return the backends of this package as Markdown: libraries and databases, then servers."""
    found = registry.found("backends", Backend).values()
    ours = [cls for cls in found if cls.__module__.startswith("bench.backends.")]
    rows: dict[str, list[tuple[str, ...]]] = {LIBRARY: [], DATABASE: [], SERVER: []}
    for cls in ours:
        pip = re.sub(r"[,(].*", "", cls.install).removeprefix("pip install").strip()
        facts = (f"`{cls.name}`", cls.licence, in_brief(cls.precision_names()))
        rescore = "yes" if cls.native_stages else ""
        if issubclass(cls, Server):
            rows[SERVER].append((*facts, rescore, f"`{cls.variable}`", f"`{pip}`"))
        else:
            rows[cls.kind].append((*facts, cls.kind, rescore, f"`{pip}`"))
    first = ("name", "licence", "precisions")
    here = markdown_table(
        (*first, "kind", "own rescore", "pip install"), rows[LIBRARY] + rows[DATABASE]
    )
    servers = markdown_table((*first, "own rescore", "URL in", "pip install"), rows[SERVER])
    return f"{here}Servers:\n{servers}"


def precisions_table() -> str:
    """Return the precisions with codes of their own as Markdown, a row for each family."""
    families: dict[str, list[Coding]] = {}
    for coding in CODINGS:
        families.setdefault(coding.family, []).append(coding)
    rows = []
    for members in families.values():
        names = numbered([coding.name for coding in members])
        bits = [f"{coding.precision.bits:g}" for coding in members]
        first = members[0]
        shapes = ["yes" if shape in first.shapes else "" for shape in ALL]
        named = ", ".join(f"`{name}`" for name in names)
        facts = named, ", ".join(dict.fromkeys(bits)), first.what, first.source
        rows.append((*facts, *shapes))
    columns = ("name", "bits", "what is stored", "source", "flat", "IVF", "HNSW")
    return markdown_table(columns, rows)


def columns_tables() -> str:
    """Return every column of the tables as Markdown, one table per group."""
    parts = []
    for group, title in _GROUPS.items():
        columns = [c for c in (*TRIAL_COLUMNS, *_DERIVED) if c.group == group]
        parts.append(f"\n### {title}\n{_columns(columns)}")
    parts.append(f"\n### `queries.parquet`: one row per trial and query\n{_columns(QUERY_COLUMNS)}")
    parts.append(f"\n### `rankings/TRIAL.parquet`: one row per query\n{_columns(RANKING_COLUMNS)}")
    parts.append(f"\n### `texts.parquet`: one row per query\n{_columns(TEXT_COLUMNS)}")
    title = "`history.parquet`: one row per commit, trial and figure"
    parts.append(f"\n### {title}\n{_columns(HISTORY_COLUMNS)}")
    return "".join(parts)


def statuses_table() -> str:
    """Return every status of a trial as a Markdown table."""
    return markdown_table(("status", "meaning"), [(f"`{s}`", m) for s, m in STATUSES.items()])


def history_table() -> str:
    """Return what each version of the tables added, as a Markdown table."""
    rows = [(str(version), added) for version, added in HISTORY.items()]
    return markdown_table(("version", "what it added"), rows)


def storage_table(dataset: str, models: Sequence[str]) -> str:
    """Return the best vector of each size on a dataset, a column per model, as a Markdown table.

    It is read from ``results/storage.md``, which `tests.experiments.storage` writes.
    """
    text = STORAGE_FILE.read_text(encoding="utf-8")
    part = text.partition(f"per vector: {dataset}**")[2].partition("**")[0]
    cells: dict[str, dict[str, str]] = {}
    for line in part.splitlines():
        model, size, quality, _, dim, stored, reducer = (line.split("|")[1:-1] + [""] * 7)[:7]
        if model.strip() in models:
            way = [f"{dim.strip()} d", stored.strip(), reducer.strip()]
            found = cells.setdefault(size.strip(), {})
            found[model.strip()] = f"{quality.strip()}, {', '.join(filter(None, way))}"
    rows = [(size, *(found.get(model, "–") for model in models)) for size, found in cells.items()]
    return markdown_table(("bytes", *models), rows)


def limits_table() -> str:
    """Return the limits of the gate as a Markdown table."""
    decided = {"quality": "exactly, or over builds", "noisy": "over pairs", "fixed": "as measured"}
    rows = []
    for name, limit in LIMITS.items():
        column = ALL_COLUMNS.get(name)
        meaning = SUITE[name] if column is None else column.meaning
        margin = f"{limit.margin:.0%}" if limit.kind != "quality" else "none"
        rows.append((f"`{name}`", margin, decided[limit.kind], meaning))
    return markdown_table(("figure", "limit", "decided", "meaning"), rows)


def studies_table() -> str:
    """Return the studies that ship, with their size, as a Markdown table."""
    rows = [(f"`{row['name']}`", *[*row.values()][1:]) for row in listing("studies")]
    return markdown_table(("study", "timed", "dimensions", "dataset"), rows)


def gallery() -> str:
    """Return a page of the figures in ``results/figures``: title, caption and image of each.

    They stand in reading order, those of the quick start first.
    """
    from bench.figures import figures

    known = figures()
    parts = [_GALLERY_HEAD]
    for folder, (title, text) in _GALLERIES.items():
        parts.append(f"## {title}\n\n{textwrap.fill(text, 110)}\n")
        there = {path.stem for path in (RESULTS / folder).glob("*.png")}
        for name in [*(n for n in known if n in there), *sorted(there - known.keys())]:
            heading = getattr(known.get(name), "TITLE", name)
            caption = textwrap.fill(getattr(known.get(name), "CAPTION", ""), 110)
            image = f"![{heading}]({folder}/{name}.png)"
            parts.append(f"### {heading}\n\n{image}\n\n{caption}".rstrip() + "\n")
    return "\n".join([*parts, _gate()])


def _gate() -> str:
    """Return what is kept of the gate: its error rates, one comparison, what the suite costs."""
    names = {"rates": "error-rates.md", "compared": "comparison.txt", "suite": "suite.md"}
    kept = {key: (GATE / name).read_text(encoding="utf-8") for key, name in names.items()}
    return _GATE_TEXT.format(**{key: text.strip() for key, text in kept.items()})


def study_schema() -> str:
    """Return the JSON schema of study files, for completion in editors."""
    schema = Study.model_json_schema(mode="validation")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


def page_schema() -> str:
    """Return the JSON schema of a page's data (`bench.report.page.document`)."""
    schema = Document.model_json_schema(mode="serialization")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


_DIALECT = "https://json-schema.org/draft/2020-12/schema"
RESULTS = Path(__file__).parents[1] / "results"
GALLERY_FILE = RESULTS / "README.md"
GATE = RESULTS / "gate"
STORAGE_FILE = RESULTS / "storage.md"
_GALLERY_HEAD = """# Figures

`make figures` draws them and writes this page.
[How to read them](../README.md#how-to-read-the-figures).
`matryoshka-bench figures DIR` draws those of your own results, also for a paper or slides.
"""
_GALLERIES = {
    "figures": (
        "The quick start",
        "WordLlama on the documentation of Python and of its packages, four indexes. "
        "The same numbers as [tables](figures/tables) in Markdown and LaTeX.",
    ),
    "figures/design-space": (
        "The design space",
        "The same vectors, more precisions and searches in several stages.",
    ),
}
"""Folders of figures, each with its title and what was measured."""
_GATE_TEXT = """## The gate

`make regress` compares a change with its base in five process pairs. How often it errs was
counted on pairs of the same code, measured round after round on this machine:

```sh
python -m tests.experiments.gate_pairs alone          # nothing else runs
python -m tests.experiments.gate_pairs loaded --load  # products of matrices on the second core
python -m tests.experiments.gate_pairs used           # meanwhile tests, lint and another gate ran
python -m tests.experiments.gate alone loaded used --out results/gate
```

*False alarms* are comparisons of the same code that end with “regressed”: of consecutive rounds,
which overlap, each as it is and with the sides swapped; and of rounds drawn at random. *p50
undecided* are those where the median latency of a backend cannot be told. `1.3×` is how often a
backend is found whose searches spin until they took 1.3 times as long; “computed” are slower by
exactly that. Five rounds of one factor make one comparison of five pairs per backend.

{rates}

More pairs find smaller losses. The figure is of the same rounds, with the times of one backend of
the head multiplied:

![Share of slower backends found, against the number of process pairs](gate/power.png)

### Two versions of faiss

```text
{compared}
```

### What the suite costs

`python -m tests.benchmarks.suite` compares the suite with what it stands on. `regress` watches the
import, the exact pass, the study and the largest worker of the change and its base.

{suite}
"""
SCHEMA_FILE = Path(__file__).parent / "study" / "study.schema.json"
PAGE_SCHEMA_FILE = Path(__file__).parent / "report" / "page.schema.json"
_GROUPS = {
    "identity": "Identity",
    "configuration": "Configuration",
    "data": "Data",
    "quality": "Quality",
    "time": "Time",
    "memory": "Size",
    "provenance": "Provenance",
}
_DERIVED = tuple(derived.column for derived in DERIVED)


def _columns(columns: Iterable[Column]) -> str:
    rows = []
    for column in columns:
        name = f"`{column.name}`" + (" ± interval" if column.interval else "")
        kind = "derived" if column in _DERIVED else column.type
        rows.append((name, kind, column.meaning, column.better or "", str(column.since)))
    return markdown_table(("column", "type", "meaning", "better", "since"), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, with an empty line before and after it."""
    lines = [header, ["---"] * len(header), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"\n{table}\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(study_schema(), encoding="utf-8")
    PAGE_SCHEMA_FILE.write_text(page_schema(), encoding="utf-8")
    GALLERY_FILE.write_text(gallery(), encoding="utf-8")
