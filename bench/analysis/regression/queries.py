"""How many queries are behind a change of quality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.analysis.regression.findings import Comparison, Finding
from bench.analysis.regression.limits import QUALITY, SAME_VERSIONS_TOLERANCE
from bench.analysis.regression.trials import matched
from bench.errors import UsageError
from bench.results.store import load_quality


def with_queries(
    found: Comparison,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    folders: tuple[Path, Path],
) -> Comparison:
    """Return the comparison with ``3 of 500 queries lost`` where a configuration's quality changed.

    `frames` are the trials of the folders of base and head, of the first pair if there are several.
    What queries found is paired by their ids. A figure that no table holds by query stays as it is.
    """
    changed = [f for f in found.findings if f.figure in QUALITY and f.change]
    if not changed:
        return found
    rows = {trial.name: trial.rows[0] for trial in matched([frames])[0]}
    try:
        tables = [dict(tuple(load_quality(folder).groupby("trial_id"))) for folder in folders]
    except UsageError:  # a baseline may be the table of trials alone
        return found

    def told(finding: Finding) -> Finding:
        pair = rows.get(finding.subject)
        if pair is None or finding not in changed:
            return finding
        both = [table.get(row["trial_id"]) for table, row in zip(tables, pair, strict=True)]
        scores = [
            part.set_index("query_id")[finding.figure]
            for part in both
            if part is not None and finding.figure in part
        ]
        if len(scores) < 2:
            return finding
        base, head = scores
        difference = (head - base).dropna()
        lost, gained = (
            int((sign * difference > SAME_VERSIONS_TOLERANCE).sum()) for sign in (-1, 1)
        )
        more = f", {gained:,} gained" if gained else ""
        return replace(finding, detail=f"{lost:,} of {len(difference):,} queries lost{more}")

    return replace(found, findings=[told(finding) for finding in found.findings])
