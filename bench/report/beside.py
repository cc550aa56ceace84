"""Draw the figures of a large results folder in a process of their own, beside the tables."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

from bench.parquet import count_rows

LEAST_TRIALS = 5_000
"""With fewer trials the start of a process takes longer than it saves."""


class Beside:
    """A process that draws the figures of a page; use it as a context."""

    def __init__(self, results: Path) -> None:
        """Start it if `results`, a folder or its table of trials, is large."""
        self._process = None
        trials = results / "trials.parquet" if results.is_dir() else results
        if _is_large(trials):
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(trials)], stdout=subprocess.PIPE
            )

    def __enter__(self) -> Beside:
        return self

    def figures(self) -> list[dict[str, str]] | None:
        """Wait for the figures of `bench.report.drawing`; None if it drew none."""
        if self._process is None:
            return None
        found, _ = self._process.communicate()
        if self._process.returncode:
            return None
        drawn: list[dict[str, str]] = json.loads(found)
        return drawn

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


def _is_large(trials: Path) -> bool:
    try:
        return count_rows(trials) >= LEAST_TRIALS
    except (OSError, ValueError):  # absent or damaged, which reading it will say
        return False


def _main(trials: str) -> None:
    gc.disable()  # it ends before it could run out of memory
    from bench.projection import project_folder
    from bench.report.drawing import figures_of
    from bench.results.store import load

    frame = load(trials)
    print(json.dumps(figures_of(frame, projected=project_folder(trials, frame))))


if __name__ == "__main__":
    _main(sys.argv[1])
