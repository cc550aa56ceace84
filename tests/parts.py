"""Rows as of smaller parts of a corpus, made from measured ones: they grow by known powers."""

import pandas as pd

from bench.results.rows import timed


def with_parts(frame, sizes=(100, 200), latency=None, build=1.1):
    """Return `frame` with its timed rows at smaller `sizes` of its corpus.

    `latency` maps a backend to the power of its latency, 0.5 unless named.
    """
    rows = timed(frame)
    parts = [frame]
    for n in sizes:
        share = n / rows["n_corpus"]
        part = rows.assign(
            dataset=rows["dataset"] + f"@{n}",
            trial_id=rows["trial_id"] + f"-{n}",
            n_corpus=n,
            build_seconds=rows["build_seconds"] * share**build,
        )
        powers = rows["backend"].map(latency or {}).astype(float).fillna(0.5)
        for column in ("latency_ms_p50", "latency_ms_p95"):
            part[column] = rows[column] * share**powers
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
