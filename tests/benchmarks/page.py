"""Print the size of a page, the time to write it, and the time until it answers, by rows.

    python -m tests.benchmarks.page [RESULTS …]

Without RESULTS, tables of 184, 5,000 and 50,000 rows are made from one measured study. The time
until it answers is from the start of the navigation until every control works; the time until all
is drawn is beside it. Headless Chromium, the median of five loads from disk.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measuring.runner import run
from bench.report.writing import write_report
from bench.results.rows import timed
from bench.results.store import load, load_queries

ROWS = (184, 5_000, 50_000)
_STUDY = """
name = "page"
dataset = "pydoc"
encoder = "wordllama"
queries = 200
dimensions = [16, 32, 64, 128, 256]
repeats = 1
subsets = 19
[[configurations]]
backend = ["faiss-flat", "faiss-hnsw", "faiss-ivf"]
"""


def enlarged(source: Path, target: Path, rows: int) -> Path:
    """Write a results folder of `rows` rows: those of `source`, repeated with other figures."""
    frame = pq.read_table(source / "trials.parquet").to_pandas()
    queries, rng = load_queries(source), np.random.default_rng(0)
    own = timed(load(source))["trial_id"]
    again = frame[frame["trial_id"].isin(own)]
    parts, more = [frame], [queries]
    while sum(map(len, parts)) < rows:
        number = len(parts)
        part = again.head(rows - sum(map(len, parts)))
        slower = rng.lognormal(0.1, 0.4, len(part))
        parts.append(
            part.assign(
                trial_id=part["trial_id"] + f"-{number}",
                build_params=[f'{{"copy": {number}, "row": {i}}}' for i in range(len(part))],
                latency_ms_p50=part["latency_ms_p50"] * slower,
                latency_ms_p95=part["latency_ms_p95"] * slower,
                bytes_per_vector=part["bytes_per_vector"] * rng.lognormal(0, 0.2, len(part)),
            )
        )
        held = queries[queries["trial_id"].isin(part["trial_id"])]
        more.append(held.assign(trial_id=held["trial_id"] + f"-{number}"))
    target.mkdir()
    for name, tables in (("trials", parts), ("queries", more)):
        schema = pq.read_schema(source / f"{name}.parquet")
        table = pa.Table.from_pandas(pd.concat(tables), schema=schema, preserve_index=False)
        pq.write_table(table, target / f"{name}.parquet", compression="zstd")
    return target


def measure(page: Path, loads: int = 5) -> tuple[float, float]:
    """Return the median times until a page answers and until all is drawn, ms."""
    from playwright.sync_api import sync_playwright

    ready, drawn = [], []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for _ in range(loads):
            opened = browser.new_page()
            opened.goto(page.as_uri())
            opened.wait_for_function("document.body.dataset.drawn === 'yes'")
            drawn.append(opened.evaluate("performance.now()"))
            ready.append(float(opened.evaluate("document.body.dataset.ready")))
            opened.close()
        browser.close()
    return statistics.median(ready), statistics.median(drawn)


def main(given: list[str]) -> None:
    """Print a line per results folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [Path(path) for path in given]
        if not sources:
            (folder / "page.toml").write_text(_STUDY)
            run(folder / "page.toml", folder / "measured", progress=False)
            sources = [enlarged(folder / "measured", folder / str(n), n) for n in ROWS]
        print("| rows | size, MB | written in, s | answers after, ms | all drawn after, ms |")
        print("| --- | --- | --- | --- | --- |")
        for source in sources:
            begun = time.perf_counter()
            page = write_report(source, folder / "page.html")
            seconds = time.perf_counter() - begun
            ready, drawn = measure(page)
            size = page.stat().st_size / 1e6
            print(
                f"| {len(load(source)):,} | {size:.2f} | {seconds:.1f} | {ready:.0f} | {drawn:.0f} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
