"""Rules that every backend keeps, checked against brute force.

For authors of backends: ``python -m bench check NAME``, or `check` in a test of your own. Each run
is a process of its own, since some libraries cannot be imported together.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench import machine
from bench.libraries import without_secrets
from bench.testing.rules import RULES

__all__ = ["RULES", "Result", "check", "check_each"]

TIMEOUT_SECONDS = 900.0
MARK = "check: "
"""Beginning of a line that holds a result."""


@dataclass(frozen=True)
class Result:
    """How one rule ended for one backend and precision."""

    rule: str
    """Name of the rule's function; ``process`` if the process itself failed."""
    ok: bool
    """True if the rule holds or does not apply."""
    detail: str
    """The observed value, the reason of a failure, or why the rule does not apply."""


def check(name: str, precision: str, timeout: float = TIMEOUT_SECONDS) -> list[Result]:
    """Check a backend at a precision in a new process; one result per rule, in order.

    A crash, or more than `timeout` seconds, is a failed result of the rule ``process``.
    """
    results, ending = _checked(name, [precision], timeout)
    if ending:
        results.append(Result("process", False, ending))
    return [replace(each, detail=without_secrets(each.detail)) for each in results]


def check_each(
    name: str, precisions: Sequence[str], timeout: float = TIMEOUT_SECONDS
) -> dict[str, list[Result]]:
    """Check a backend at several precisions, one after the other in one process, as `check` does.

    Those that the process does not come to the end of are checked again, each in its own.
    """
    results, _ = _checked(name, precisions, timeout * len(precisions))
    whole = len(results) // len(RULES)
    found = {
        precision: [
            replace(each, detail=without_secrets(each.detail))
            for each in results[i * len(RULES) : (i + 1) * len(RULES)]
        ]
        for i, precision in enumerate(precisions[:whole])
    }
    return found | {p: check(name, p, timeout) for p in precisions[whole:]}


def _checked(name: str, precisions: Sequence[str], timeout: float) -> tuple[list[Result], str]:
    """Return the results of a new process, and why it ended early; empty if it did not."""
    command = [sys.executable, "-m", "bench.testing", name, *precisions]
    environment = {**os.environ, **machine.thread_environment(1)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"took longer than {timeout:g} s"
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    results = [Result(**json.loads(line.removeprefix(MARK))) for line in lines]
    if not done.returncode and len(results) == len(RULES) * len(precisions):
        return results, ""
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return results, f"exit status {done.returncode} after {len(results)} rules: {last[0]}"
