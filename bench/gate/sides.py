"""The two sides of a comparison: a revision or the working tree, with libraries of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.commits import git, short
from bench.errors import UsageError
from bench.gate.environments import environment, requirements

WORKING_TREE = "."
"""Names the working tree as it is, with what is not committed."""
BASE, HEAD = "base", "head"


@dataclass(frozen=True)
class Wanted:
    """What one side is, as it was asked for."""

    revision: str
    """A git revision, or ``.`` for the working tree."""
    packages: tuple[str, ...] = ()
    """Requirements that pip installs for this side, as ``faiss-cpu==1.14.0``."""


@dataclass(frozen=True)
class Side:
    """One side, ready to measure."""

    name: str
    """``base`` or ``head``."""
    label: str
    """What it is, for people: ``main (fa7036a)``."""
    source: Path
    """Folder that its processes run in and import from first."""
    python: Path
    identity: str
    """Changes with the code and the packages."""


@contextmanager
def prepared(
    base: Wanted, head: Wanted, folder: Path, requirements_file: str | None = None
) -> Iterator[tuple[Side, Side]]:
    """Yield both sides: work trees under `folder`, removed afterwards, and environments.

    `requirements_file` is a path within each side's source that pip installs for it. Raises
    UsageError for an unknown revision, outside a git repository, and if pip fails.
    """
    root = _root() if {base.revision, head.revision} != {WORKING_TREE} else Path.cwd()
    commits = [_commit(each.revision) for each in (base, head)]
    with ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            _side(name, wanted, commit, root, folder, requirements_file, stack)
            for name, wanted, commit in zip((BASE, HEAD), (base, head), commits, strict=True)
        )


def _side(
    name: str,
    wanted: Wanted,
    commit: str,
    root: Path,
    folder: Path,
    requirements_file: str | None,
    stack: ExitStack,
) -> Side:
    source = root
    label, identity = "working tree", commit
    if wanted.revision == WORKING_TREE:
        identity = _uncommitted(folder.resolve())
    else:
        source = stack.enter_context(_work_tree(commit, folder.resolve() / f"{name}-source"))
        label = f"{wanted.revision} ({short(commit)})"
        if commit.startswith(wanted.revision):
            label = short(commit)
    theirs = source / "bench"
    if (theirs / "__init__.py").exists() and not (theirs / "measuring").exists():
        raise UsageError(
            f"{label} has a package 'bench' of its own, which hides this one: rename it"
        )
    for package in wanted.packages:
        if package.lstrip().startswith("-"):
            raise UsageError(f"'{package}' is no package: pip would read it as an option")
    asked = [*requirements(source, root), *wanted.packages]
    if requirements_file:
        path = source / requirements_file
        if not path.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{requirements_file} is outside the repository")
        if not path.is_file():
            raise UsageError(f"{label} has no file {requirements_file}")
        asked += ["--requirement", str(path)]
    if wanted.packages:
        label += f" with {', '.join(wanted.packages)}"
    identity = " ".join([identity, *wanted.packages])
    return Side(name, label, source, environment(asked, label), identity)


@contextmanager
def _work_tree(commit: str, folder: Path) -> Iterator[Path]:
    git("worktree", "prune")
    if folder.exists():  # left by a run that was killed
        _remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "--detach", "--force", str(folder), commit)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    git("worktree", "remove", "--force", "--force", str(folder))


def _commit(revision: str) -> str:
    """Return the full name of a revision's commit; empty for the working tree."""
    if revision == WORKING_TREE:
        return ""
    if revision.startswith("-"):
        raise UsageError(f"'{revision}' is no revision: git would read it as an option")
    try:
        return git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except UsageError as error:
        raise UsageError(f"'{revision}' is no revision of this repository") from error


def _uncommitted(ours: Path) -> str:
    """Return a digest of the working tree's code; empty outside a repository.

    Files in `ours`, where the comparison itself writes, do not count: it could not go on after a
    kill.
    """
    try:
        root = _root()
        parts = [git("rev-parse", "HEAD"), git("diff", "HEAD")]
        untracked = git("-C", str(root), "ls-files", "--others", "--exclude-standard", "-z")
    except UsageError:
        return ""
    for name in filter(None, untracked.split("\0")):
        path = root / name
        if not path.is_relative_to(ours):
            parts.append(f"{name} {path.stat().st_mtime_ns if path.exists() else ''}")
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=10).hexdigest()


def _root() -> Path:
    return Path(git("rev-parse", "--show-toplevel"))


def merge_base(branches: Sequence[str] = ("origin/main", "main", "origin/master", "master")) -> str:
    """Return the commit where the working tree's branch left the first of `branches` there is.

    On that branch itself it is the commit before the last, or the last if something is changed
    since. Raises UsageError if there is neither branch nor earlier commit.
    """
    head = git("rev-parse", "HEAD")
    for branch in branches:
        try:
            found = git("merge-base", "HEAD", branch)
        except UsageError:
            continue
        if found != head or git("status", "--porcelain", "--untracked-files=no"):
            return found
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD~1")
    except UsageError as error:
        raise UsageError(
            "there is no earlier commit to compare with: fetch more than one, or name a base"
        ) from error
