"""Git: the commit that results were measured at, and its commands."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.errors import UsageError

SHORT = 7
"""Letters of a commit's name that people read."""


@dataclass(frozen=True)
class Commit:
    """A commit and its place among others."""

    name: str
    """Its hash, or the name that was given where there is no such commit in the repository."""
    date: str
    """When it was committed, ISO 8601 in UTC: commits are in this order."""
    number: int | None
    """Commits up to it, itself included; None where the repository is unknown."""


def commit_of(name: str | None = None, date: str | None = None) -> Commit:
    """Return the commit `name` of the repository around this folder, HEAD by default.

    `date` (ISO 8601) is used in place of its own. A name that no repository knows stays as it is,
    and is of now unless there is a `date`. Raises UsageError if there is neither a name nor a
    repository, or if the name or the date is none.
    """
    if name is not None and not re.fullmatch(r"\w[\w./^~-]*", name):
        raise UsageError(f"'{name}' is not the name of a commit")
    given = None if date is None else _utc(date)
    found = _git("rev-parse", "--verify", "--quiet", f"{name or 'HEAD'}^{{commit}}")
    if found is None:
        if name is None:
            raise UsageError("there is no git commit here: name one with --commit")
        return Commit(name, given or _utc(datetime.now(UTC).isoformat()), None)
    when = given or _utc(_git("show", "--no-patch", "--format=%cI", found) or "")
    return Commit(found, when, int(_git("rev-list", "--count", found) or 0) or None)


def short(name: str) -> str:
    """Return a hash in a few letters; another name as it is."""
    return name[:SHORT] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", name) else name


def git(*arguments: str) -> str:
    """Return what a git command prints; raises UsageError with what it says if it fails."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError("git is not installed, so revisions cannot be read") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"git {arguments[0]} failed"]
        raise UsageError(f"git: {said[-1].removeprefix('fatal: ')}")
    return done.stdout.strip()


def _git(*arguments: str) -> str | None:
    """Return what git prints; None if it fails or is not installed."""
    try:
        return git(*arguments)
    except UsageError:
        return None


def _utc(date: str) -> str:
    try:
        found = datetime.fromisoformat(date)
    except ValueError as error:
        raise UsageError(f"'{date}' is not an ISO 8601 date, such as 2026-11-26T14:00Z") from error
    zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).isoformat(timespec="seconds")
