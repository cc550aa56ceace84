"""Documentation search over Python docstrings: real text that is on every machine.

A query is the summary of a docstring, its relevant document the rest of that docstring. They come
from the standard library and the packages pinned by this project, parsed without any import.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import inspect
import json
import platform
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from bench.datasets import Dataset, Source
from bench.datasets._files import Fingerprint
from bench.errors import MissingSplit, UsageError
from bench.files import cache_folder, whole

PACKAGES = ("jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "rich", "scipy")
"""Part of the light core, so that the dataset does not depend on the installed extras."""

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
_LAYOUT = "1"


@dataclass(frozen=True)
class _Entry:
    name: str
    module: str
    summary: str
    rest: str


class Pydoc(Source):
    """About 10,000 docstrings. Train and test queries come from different modules.

    The corpus has the documents of both.
    """

    name = "pydoc"
    usage = "pydoc"
    summary = "documentation search over docstrings of Python and the packages pinned here"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        if argument:
            raise UsageError(f"dataset 'pydoc' takes no argument, but got '{argument}'")
        if split not in ("test", "train", "all"):
            raise MissingSplit(f"dataset 'pydoc' has the splits test, train and all, not '{split}'")
        entries = _distinct(_cached_entries())
        summaries = Counter(entry.summary for entry in entries)
        asked = [
            e for e in entries if summaries[e.summary] == 1 and split in ("all", _split(e.module))
        ]
        versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
        fingerprint = Fingerprint("pydoc", split)
        for entry in entries:
            fingerprint.add(entry.name, entry.summary, entry.rest)
        fingerprint.add(*(entry.name for entry in asked))
        return Dataset(
            name="pydoc",
            fingerprint=fingerprint.hex(),
            doc_ids=[entry.name for entry in entries],
            query_ids=[entry.name for entry in asked],
            documents=[entry.rest for entry in entries],
            queries=[entry.summary for entry in asked],
            qrels={entry.name: {entry.name: 1} for entry in asked},
            groups=[entry.module for entry in asked],
            notes=(
                f"the texts come from {versions}; results with other versions are not comparable",
            ),
        )


def _distinct(entries: list[_Entry]) -> list[_Entry]:
    """Keep the first entry per name and per body, in the order of `entries`.

    Ids must be unique, and a property's setter has its getter's name. An inherited or copied
    docstring would count as a wrong answer although it is relevant.
    """
    named: dict[str, _Entry] = {}
    for entry in entries:
        named.setdefault(entry.name, entry)
    first: dict[str, _Entry] = {}
    for entry in named.values():
        first.setdefault(" ".join(entry.rest.split()), entry)
    return list(first.values())


def _split(module: str) -> str:
    share = int.from_bytes(hashlib.blake2b(module.encode(), digest_size=4).digest(), "big") / 2**32
    return "test" if share < TEST_SHARE else "train"


# ------------------------------------------------------------------------ reading the sources


def _versions() -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _cached_entries() -> list[_Entry]:
    """Return the docstrings, from a cache keyed by the versions: parsing takes many seconds."""
    key = hashlib.blake2b(json.dumps([_LAYOUT, _versions()]).encode(), digest_size=8).hexdigest()
    path = cache_folder() / f"pydoc-{key}.json"
    try:
        return [_Entry(*fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        pass
    entries = sorted(_entries(), key=lambda entry: entry.name)
    with contextlib.suppress(OSError):  # without a cache, the next run parses again
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_text(json.dumps([astuple(entry) for entry in entries]), encoding="utf-8")
    return entries


def _entries() -> Iterator[_Entry]:
    for module, path in _sources():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        yield from _walk(tree, module, module)


def _walk(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str, module: str
) -> Iterator[_Entry]:
    entry = _entry(ast.get_docstring(node, clean=False), name, module)
    if entry:
        yield entry
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in node.body:
        if isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and not child.name.startswith("_"):
            yield from _walk(child, f"{name}.{child.name}", module)


def _entry(docstring: str | None, name: str, module: str) -> _Entry | None:
    head, _, rest = inspect.cleandoc(docstring or "").partition("\n\n")
    summary, rest = " ".join(head.split()), rest.strip()
    if (
        len(summary.split()) < 3
        or len(summary) > 300
        or len(rest) < 40
        or summary in " ".join(rest.split())
    ):
        return None
    return _Entry(name, module, summary, rest)


def _sources() -> Iterator[tuple[str, Path]]:
    """Yield (module, file) of the standard library and the packages.

    Tests and vendored copies are skipped.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    yield from _modules(library, sorted(library.rglob("*.py")))
    for package in PACKAGES:
        distribution = importlib.metadata.distribution(package)
        root = Path(str(distribution.locate_file("")))
        listed = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
        yield from _modules(
            root, sorted(path for path in listed if path.suffix == ".py" and path.is_file())
        )


def _modules(root: Path, paths: list[Path]) -> Iterator[tuple[str, Path]]:
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
