"""Drive one side of a comparison: a process with its code and libraries, its own cache."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from bench.errors import UsageError
from bench.gate.sides import Side

_LOG = "log.txt"


class Driver:
    """The process that runs studies with one side's code, libraries and cache."""

    def __init__(self, side: Side, folder: Path, usual_cache: bool = False) -> None:
        """Start it; what it finds goes to `folder`. `usual_cache`: share that of all runs."""
        self.side = side
        self.usual_cache = usual_cache
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        read, write = os.pipe()
        code = resources.files("bench.gate").joinpath("driver.py").read_text(encoding="utf-8")
        self.log = (self.folder / _LOG).open("a", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(side.python), "-c", code, str(write)],
            cwd=side.source,
            env=self._variables(),
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            pass_fds=[write],
            text=True,
        )
        os.close(write)
        self.answers = os.fdopen(read, encoding="utf-8")
        about = self._answer()
        self.keys: list[str] = about["keys"]
        self.package: str = about["package"]

    def _variables(self) -> dict[str, str]:
        paths = [str(self.side.source), str(self.side.source / "src")]
        if before := os.environ.get("PYTHONPATH"):
            paths.append(before)
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        if not self.usual_cache:
            # What one side encoded or searched must not stand in for the other's.
            found["MATRYOSHKA_BENCH_CACHE"] = str(self.folder / "cache")
        return found

    def run(self, table: dict[str, Any], pair: int) -> None:
        """Run a study into this side's folder of the pair; raises UsageError if that fails."""
        study = self.folder / "study.toml"
        study.write_text(tomli_w.dumps(table), encoding="utf-8")
        asked = {"study": str(study), "out": str(self.folder / str(pair))}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        self._answer()

    def import_seconds(self) -> float:
        """Return how long a fresh process of this side takes to import the command line, s."""
        begun = time.perf_counter()
        subprocess.run(
            [str(self.side.python), "-c", "import bench.cli"],
            cwd=self.side.source,
            env=self._variables(),
            check=False,
        )
        return time.perf_counter() - begun

    def _answer(self) -> dict[str, Any]:
        line = self.answers.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise UsageError(f"{self.side.name} ({self.side.label}): {answer['error']}")
        return answer

    def _last_words(self) -> str:
        self.process.wait()
        self.log.flush()
        said = (self.folder / _LOG).read_text(encoding="utf-8").strip().splitlines()
        return said[-1] if said else f"ended with status {self.process.returncode}"

    def close(self) -> None:
        """End the process; its results stay."""
        with contextlib.suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.log.close()
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
