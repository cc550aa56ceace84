"""A week of use: runs, kills, upgrades, retries, copies and merges drawn at random.

A model holds what each results folder must have after each. Workers are forked instead of started,
with all that they import, so that an operation takes a fraction of a second.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

import bench
from bench.cli import commands
from bench.measuring import workload
from bench.results.store import Store, load
from tests.faults.ground import Budget, Counts, Lost, Run, Site, finished, forked_workers, site

STUDIES: dict[str, dict[str, Any]] = {
    "narrow": {"dimensions": [8]},
    "wide": {"dimensions": [4, 8, 16]},
    "index": {"dimensions": [8], "configurations": [{"backend": "faiss-flat"}]},
    "indexes": {"dimensions": [8, 16], "configurations": [{"backend": "faiss-flat"}]},
    "reducers": {"dimensions": [8], "reducers": ["truncate", "pca", "random_subset"]},
    "quality": {
        "dimensions": [8],
        "configurations": [{"backend": "exact", "precision": ["int8", "binary"]}],
    },
}
VERSIONS = ("1.0", "1.1", "2.0")
OPERATIONS = {
    "run": 30,
    "kill the runner": 25,
    "stop by Ctrl-C": 10,
    "kill a worker": 10,
    "retry": 8,
    "upgrade": 7,
    "copy": 5,
    "merge": 5,
}
"""How often each is drawn, per hundred."""
_MOST_FOLDERS = 6


class Week:
    """Results folders, and what must be in them."""

    def __init__(self, place: Site, chance: random.Random) -> None:
        self.place = place
        self.chance = chance
        self.version = VERSIONS[0]
        self.must: dict[Path, dict[str, float]] = {place.root / "r0": {}}
        """The trials that ended ok of each folder, with their figures."""
        self.known: dict[tuple[str, str], dict[str, float]] = {}
        """What a study finds with a version, undisturbed."""
        self.seconds: dict[str, float] = {}
        self.names = 1
        self._last = place.root / "r0"
        self.done = Counter[str]()
        plain = {"subsets": 0, "corpus_sizes": [], "reducers": ["truncate"], "configurations": []}
        self.studies = {
            name: place.study(f"{name}.toml", **{**plain, **keys}) for name, keys in STUDIES.items()
        }

    def expected(self, study: str) -> dict[str, float]:
        """Return what a study finds with the version of now in a folder of its own."""
        if (study, self.version) not in self.known:
            out, begun = self.place.root / "alone", time.monotonic()
            if error := self.start(study, out).end():
                raise Lost(error)
            self.seconds.setdefault(study, time.monotonic() - begun)
            self.known[study, self.version] = finished(out)
            shutil.rmtree(out)
        return self.known[study, self.version]

    def start(self, study: str, out: Path, retry: bool = False) -> Run:
        """Begin a run of a study, with the version of now."""
        versions, version = workload.versions, self.version

        def call() -> None:
            with (
                forked_workers(),
                mock.patch.object(workload, "versions", lambda *m: versions(*m) | {"lib": version}),
            ):
                bench.run(self.studies[study], out, progress=False, retry=retry, again=False)

        return self.place.start(call)

    def operate(self) -> None:
        """Do something, and check all that must be."""
        what = self.chance.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        out, study = self.chance.choice(list(self.must)), self.chance.choice(list(STUDIES))
        match what:
            case "upgrade":
                self.version = self.chance.choice(VERSIONS)
            case "copy":
                if not out.exists():
                    return
                shutil.copytree(out, self._new())
                self.must[self._last] = dict(self.must[out])
            case "merge":
                if not self._merge():
                    return
            case "run" | "retry":
                self._complete(study, out, retry=what == "retry")
            case _:
                self._disturbed(what, study, out)
        self.done[what] += 1
        for folder in (
            list(self.must) if self.done.total() % 10 == 0 else {out, self._last} & set(self.must)
        ):
            must = self.must[folder]
            found = finished(folder)
            if found != must:
                raise Lost(
                    f"{what}: {folder.name} has {sorted(found)} and must have {sorted(must)}"
                )
        while len(self.must) > _MOST_FOLDERS:
            oldest = next(iter(self.must))
            del self.must[oldest]
            shutil.rmtree(oldest)

    def _new(self) -> Path:
        self._last = self.place.root / f"r{self.names}"
        self.names += 1
        return self._last

    def _complete(self, study: str, out: Path, retry: bool) -> None:
        expected, bad = self.expected(study), _bad(out)
        if error := self.start(study, out, retry).end():
            raise Lost(error)
        # Those that did not end ok are left alone, unless a retry is asked for.
        measured = {i: v for i, v in expected.items() if retry or i not in bad}
        fresh = measured.keys() - self.must[out].keys()
        self.must[out] = self.must[out] | measured
        self.place.check(self.must[out], out)
        if gone := fresh - set(load(out)["trial_id"] if fresh else []):
            raise Lost(f"an older measurement hides a newer one: {sorted(gone)}")

    def _disturbed(self, what: str, study: str, out: Path) -> None:
        expected = self.expected(study)
        run = self.start(study, out)
        time.sleep(self.chance.uniform(0, 1.2 * self.seconds[study]))
        if what == "kill a worker":
            for child in run.children()[:1]:
                try:
                    child.kill()
                except psutil.Error:
                    continue
        else:
            run.kill(signal.SIGKILL if what == "kill the runner" else signal.SIGINT)
        answer = run.end()
        if answer not in ("", "stopped", "killed") and "exact search" not in answer:
            raise Lost(answer)
        found, allowed = finished(out), self.must[out] | expected
        if any(i not in found for i in self.must[out]):
            raise Lost(f"{what}: trials of {out.name} are gone")
        if any(allowed.get(i) != value for i, value in found.items()):
            raise Lost(f"{what}: {out.name} has trials that nobody measured")
        self.must[out] = found

    def _merge(self) -> bool:
        if "merge" not in commands.commands or len(self.must) < 2:
            return False
        first, second = self.chance.sample(list(self.must), 2)
        if not self.must[first] or not self.must[second]:
            return False
        command = [sys.executable, "-m", "bench", "merge", str(first), str(second), "--out"]
        done = subprocess.run([*command, str(self._new())], capture_output=True, text=True)
        if done.returncode == 2 and "Traceback" not in done.stderr:
            shutil.rmtree(self._last, ignore_errors=True)
            return False  # of other versions or studies, which it says
        if done.returncode:
            raise Lost(done.stderr)
        self.must[self._last] = self.must[first] | self.must[second]
        return True


def _bad(out: Path) -> set[str]:
    if not (out / "parts").exists():
        return set()
    return {trial_id for trial_id, status in Store(out).done().items() if status != "ok"}


def week(budget: Budget, chance: random.Random) -> Counts:
    """Do operations until the budget is spent; print how many of each."""
    counts = Counts()
    with site() as place:
        now = Week(place, chance)
        while budget.left(counts.faults):
            now.operate()
            counts.faults += 1
            counts.trials += sum(map(len, now.must.values()))
    print(json.dumps(dict(now.done.most_common())))
    return counts
