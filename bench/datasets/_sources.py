"""Python sources that are on every machine: the standard library and installed packages.

They are parsed without any import. What is made of them is kept in the cache under the versions.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sysconfig
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from bench.console import Console
from bench.datasets import Dataset
from bench.datasets._files import Fingerprint
from bench.errors import MissingSplit, UsageError
from bench.files import cache_folder, read_checked, write_checked

SPLITS = ("test", "train", "all")
TEST_SHARE = 0.27
"""Share of the modules whose queries form the test split."""

_SKIPPED = {
    "test",
    "tests",
    "testing",
    "site-packages",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "_bundled",
    "_vendor",
    "__pycache__",
}


@dataclass(frozen=True)
class Entry:
    """A document, and the query that asks for it."""

    name: str
    module: str
    sentence: str
    """The query; empty if there is none."""
    text: str


def dataset(name: str, split: str, entries: list[Entry], notes: tuple[str, ...]) -> Dataset:
    """Return the dataset of `entries`: a query is a sentence that no other entry has.

    Train and test queries come from different modules; the corpus has the documents of both.
    """
    sentences = Counter(entry.sentence for entry in entries)
    asked = [
        entry
        for entry in entries
        if entry.sentence and sentences[entry.sentence] == 1 and in_split(entry.module, split)
    ]
    fingerprint = Fingerprint(name, split)
    for entry in entries:
        fingerprint.add(entry.name, entry.sentence, entry.text)
    fingerprint.add(*(entry.name for entry in asked))
    return Dataset(
        name=name,
        fingerprint=fingerprint.hex(),
        doc_ids=[entry.name for entry in entries],
        query_ids=[entry.name for entry in asked],
        documents=[entry.text for entry in entries],
        queries=[entry.sentence for entry in asked],
        qrels={entry.name: {entry.name: 1} for entry in asked},
        groups=[entry.module for entry in asked],
        notes=notes,
    )


def check(dataset: str, argument: str, split: str) -> None:
    """Raise UsageError for an argument, which `dataset` does not take; MissingSplit for a split."""
    if argument:
        raise UsageError(f"dataset '{dataset}' takes no argument, but got '{argument}'")
    if split not in SPLITS:
        splits = f"{', '.join(SPLITS[:-1])} and {SPLITS[-1]}"
        raise MissingSplit(f"dataset '{dataset}' has the splits {splits}, not '{split}'")


def in_split(module: str, split: str) -> bool:
    """Return whether the queries of a module belong to `split`; the same in every dataset."""
    share = int.from_bytes(hashlib.blake2b(module.encode(), digest_size=4).digest(), "big") / 2**32
    return split in ("all", "test" if share < TEST_SHARE else "train")


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed, by name."""
    found = {"Python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def version_note(packages: Sequence[str]) -> str:
    """Return the caveat that the texts depend on the versions, which it names."""
    named = ", ".join(f"{name} {version}" for name, version in versions(packages).items())
    return f"the texts come from {named}; results with other versions are not comparable"


def cached(name: str, layout: str, packages: Sequence[str], make: Callable[[], Any]) -> Any:
    """Return what `make` returns, as JSON holds it: from the cache, keyed by the versions.

    `layout` is to change with what `make` does. Parsing takes many seconds.
    """
    key = json.dumps([layout, versions(packages)]).encode()
    path = cache_folder() / f"{name}-{hashlib.blake2b(key, digest_size=8).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError):
        return read_checked(path)
    made = make()
    with contextlib.suppress(OSError):  # without a cache, the next run parses again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked(path, made)
    return json.loads(json.dumps(made))


def parsed(packages: Sequence[str]) -> Iterator[tuple[str, str, ast.Module]]:
    """Yield (module, source, tree) of each module of Python and `packages` that can be parsed.

    Lines of the source end in a line feed. Shows its progress on a terminal.
    """
    console = Console(stderr=True)
    for module, path in track(
        list(modules(packages)),
        "reading the sources of Python and its packages",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        try:
            source = importlib.util.decode_source(path.read_bytes())
            tree = _tree(source)
        except (SyntaxError, ValueError):
            continue
        yield module, source, tree


def _tree(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def modules(packages: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield (module, file) of the standard library and of the packages.

    Tests and vendored copies are skipped.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    yield from _named(library, sorted(library.rglob("*.py")))
    for package in packages:
        if package not in versions(packages):
            continue
        distribution = importlib.metadata.distribution(package)
        root = Path(str(distribution.locate_file("")))
        listed = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
        yield from _named(
            root, sorted(path for path in listed if path.suffix == ".py" and path.is_file())
        )


def _named(root: Path, paths: list[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        try:
            parts = path.relative_to(root).with_suffix("").parts
        except ValueError:
            continue
        if _SKIPPED.isdisjoint(parts) and not any(
            "-" in part or part.startswith("test_") for part in parts
        ):
            is_package = parts[-1] == "__init__" and len(parts) > 1
            yield ".".join(parts[:-1] if is_package else parts), path
