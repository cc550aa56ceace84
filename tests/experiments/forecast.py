"""How far what a run foretells is from what it takes.

``python -m tests.experiments.forecast results/quickstart results/pycode`` prints, of the last run of
each folder, the minutes foretold, the minutes taken and their ratio. A run that resumes is foretold
anew, so its parts count from there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.results.store import TASKS


def figures(folder: Path) -> tuple[float, float]:
    """Return the seconds that were foretold, and those that the parts took after that."""
    tasks = [json.loads(line) for line in (folder / TASKS).read_text().splitlines()]
    last = max(i for i, task in enumerate(tasks) if task["task"] == "probes")
    return tasks[last]["forecast_seconds"], sum(task["seconds"] for task in tasks[last + 1 :])


def main() -> None:
    print("| results | foretold | taken | foretold / taken |")
    print("| --- | --- | --- | --- |")
    for name in sys.argv[1:]:
        foretold, taken = figures(Path(name))
        print(f"| {name} | {foretold:.0f} s | {taken:.0f} s | {foretold / taken:.2f} |")


if __name__ == "__main__":
    main()
