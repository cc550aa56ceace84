"""Draw what a few configurations cost per month against the number of documents."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.analysis.money import load_prices
from bench.analysis.recommendation import RETAIN
from bench.analysis.serving import QUERIES_PER_SECOND, sizing
from bench.analysis.sizing import growths
from bench.analysis.tables import evenly, front
from bench.figures._style import (
    backend_look,
    needed,
    panels,
    plain_log,
    set_titles,
    variant_look,
)
from bench.results.rows import groups, pareto, quality_of, timed, wholes

_PRICES = load_prices()
TITLE = "Cost per month against the number of documents"
CAPTION = (
    "Lower is better. "
    f"Shown are configurations that keep {RETAIN:.0%} of the quality among the documents measured; "
    "where few do, the best of the Pareto front follow. "
    "The vertical line is the corpus measured; all else follows from how each index grows. "
    "Larger corpora keep less of the quality. "
    f"Prices are an example of {_PRICES.date}: {_PRICES.currency}{_PRICES.memory_gib_month:.2f} "
    "per GiB of memory and month, "
    f"{_PRICES.currency}{_PRICES.disk_gib_month:.2f} per GiB of disk, "
    f"{_PRICES.currency}{_PRICES.vcpu_hour:.2f} per processor and hour, "
    f"{_PRICES.utilisation:.0%} used."
)
PARTS = True
_MOST = 5
_FIRST, _LAST = 4, 8
"""Powers of ten of the fewest and the most documents."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw a line per configuration, one panel per dataset and encoder.

    Raises NothingToShow if no trial is timed with a known size.
    """
    rows = timed(wholes(frame))
    rows = needed(rows[rows["bytes_per_vector"].notna()], "no timed trial with a known size")
    grown = growths(frame)
    parts = [part for _, part in groups(rows)]
    with panels(len(parts), columns=2, height=4) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            quality, named, seen = quality_of(part), labels(part), Counter[str]()
            n = float(part["n_corpus"].max())
            first = min(_FIRST, int(np.log10(n)))
            sizes = np.logspace(first, _LAST, 2 * (_LAST - first) + 1)
            for i, row in _chosen(part).iterrows():
                costs = [sizing(row, size, grown, _PRICES).per_month for size in sizes]
                backend = str(row["backend"])
                axis.plot(
                    sizes,
                    costs,
                    label=f"{named[i]} (keeps {row[quality.retained]:.0%})",
                    **variant_look(seen[backend]),
                    **backend_look(backend),
                )
                seen[backend] += 1
            axis.axvline(n, color="0.5", lw=0.8)
            plain_log(axis, "x", wide=1)
            plain_log(axis, "y")
            axis.set_xlabel("documents")
            axis.set_ylabel(f"{_PRICES.currency} per month, {QUERIES_PER_SECOND:g} queries/s")
        set_titles(figure, axes, parts)
    return figure


def _chosen(part: pd.DataFrame) -> pd.DataFrame:
    """Return a few configurations that keep enough, the smallest first, then the best others."""
    quality = quality_of(part)
    good = part[part["caution"].fillna("") == ""]
    enough = good[good[quality.retained_low] >= RETAIN]
    enough = enough[pareto(enough, [], ["bytes_per_vector", "latency_ms_p50"])]
    enough = evenly(enough.sort_values("bytes_per_vector", kind="stable"), _MOST)
    others = front(part).drop(enough.index, errors="ignore")
    others = others.sort_values(quality.column, ascending=False, kind="stable")
    return pd.concat([enough, others.head(max(0, _MOST - len(enough)))])
