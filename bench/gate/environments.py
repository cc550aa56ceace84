"""Environments of a side's own: other versions of some libraries, on top of those installed here.

An environment has what `pip` was asked for, and behind it everything that this interpreter sees. So
two sides differ in those libraries alone, and an environment takes seconds to make.
"""

from __future__ import annotations

import hashlib
import shutil
import site
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

import filelock

from bench.errors import UsageError
from bench.files import cache_folder

_READY = "ready"


def environment(arguments: Sequence[str], what: str) -> Path:
    """Return the interpreter of an environment in which ``pip install ARGUMENTS`` was run.

    Without arguments it is the one that runs this. Environments are kept in the cache folder.
    `what` names the side in an error. Raises UsageError if pip fails.
    """
    if not arguments:
        return Path(sys.executable)
    contents = [Path(a).read_bytes() for a in arguments if Path(a).is_file()]
    asked = repr([sys.executable, sys.version, *arguments, *contents])
    digest = hashlib.blake2b(asked.encode(), digest_size=10).hexdigest()
    folder = cache_folder() / "environments" / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, symlinks=True)
            _see_this_one(folder)
            _pip(python, arguments, what)
            (folder / _READY).touch()
    return python


def requirements(source: Path, here: Path) -> list[str]:
    """Return what pip has to install for another revision of this package; empty if nothing.

    `source` is that revision's folder, `here` the one whose requirements are installed already.
    """
    files = ["pyproject.toml", ".constraints.txt"]
    theirs, ours = ([_text(folder / name) for name in files] for folder in (source, here))
    if theirs == ours or not theirs[0]:
        return []
    pinned = ["--constraint", str(source / files[1])] if theirs[1] else []
    try:
        asked = [*tomllib.loads(theirs[0]).get("project", {}).get("dependencies", [])]
        if options := [each for each in asked if each.lstrip().startswith("-")]:
            raise ValueError(f"'{options[0]}' is no requirement")
        return [*pinned, *asked]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UsageError(f"{source / files[0]} cannot be read: {error}") from error


def _see_this_one(folder: Path) -> None:
    """Let the environment see the packages of this interpreter, behind its own."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = folder / "lib" / version / "site-packages"
    seen = [place for place in site.getsitepackages() if Path(place).is_dir()]
    if site.ENABLE_USER_SITE and Path(site.getusersitepackages()).is_dir():
        seen.append(site.getusersitepackages())
    lines = [f"import site; site.addsitedir({place!r})" for place in seen]
    (own / "seen.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pip(python: Path, arguments: Sequence[str], what: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "install"]
    command += ["--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        why = (said or done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise UsageError(
            f"{what}: pip install {' '.join(arguments)} failed: {why.removeprefix('ERROR: ')}"
        )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
