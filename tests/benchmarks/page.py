"""Time pages: ``python -m tests.benchmarks.page [--rows 184 5000 50000] [RESULTS …]``.

Prints, for made-up results or those given, the size of the page, the seconds to write it, and how
long a headless Chromium takes from the start of a load from disk until every control works, and
until all charts are drawn: medians of five loads.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.report.writing import write_report
from bench.results.store import load
from tests.benchmarks.large import made_up

LOADS = 5


def loaded(browser: Browser, page: Path) -> tuple[float, float]:
    """Return the time until a page answers, and until all is drawn, ms; median of `LOADS`."""
    ready, drawn = [], []
    for _ in range(LOADS):
        opened = browser.new_page()
        opened.goto(page.as_uri())
        opened.wait_for_function("document.body.dataset.drawn === 'yes'")
        drawn.append(opened.evaluate("performance.now()"))
        ready.append(float(opened.evaluate("document.body.dataset.ready")))
        opened.close()
    return statistics.median(ready), statistics.median(drawn)


def main() -> None:
    """Print a row per results folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", nargs="*", type=Path)
    parser.add_argument("--rows", nargs="*", type=int, default=[184, 5_000, 50_000])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        sources = given.results or [made_up(_new(name, n), n, 100) for n in given.rows]
        print("| rows | MB | written in, s | answers after, ms | all drawn after, ms |")
        print("| --- | --- | --- | --- | --- |")
        for source in sources:
            begun = time.perf_counter()
            page = write_report(source, Path(name) / "page.html")
            seconds, size = time.perf_counter() - begun, page.stat().st_size / 1e6
            ready, drawn = loaded(browser, page)
            rows = len(load(source))
            print(
                f"| {rows:,} | {size:.2f} | {seconds:.1f} | {ready:.0f} | {drawn:.0f} |", flush=True
            )
        browser.close()


def _new(name: str, rows: int) -> Path:
    folder = Path(name) / str(rows)
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
