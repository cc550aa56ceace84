"""Which files belong to a set of ready vectors: the rules are in ``README.md`` of this folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.datasets._arrays import ARRAYS
from bench.datasets._files import few
from bench.datasets._stream import VectorStream, chained
from bench.datasets._tables import table_stream
from bench.errors import DataError, UsageError, near_miss

HDF5 = (".hdf5", ".h5")
_TABLES = (".parquet", ".arrow")
_SUFFIXES = (*ARRAYS, *_TABLES)
_TRUTH_SUFFIXES = (".ibin", ".ivecs", ".npy")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")
_QUERIES = r"quer(?:y|ies)"
_TRUTH = r"(?:groundtruth|gt)"
_OPTIONS = re.compile(r"\?(?=(?:queries|truth)=)")


@dataclass(frozen=True)
class Spec:
    """What a study names: ``PATH[#COLUMN][?queries=PATH[#COLUMN]][&truth=PATH]``."""

    path: Path
    column: str
    queries: str = ""
    truth: str = ""


@dataclass(frozen=True)
class Beside:
    """The files that belong to a corpus."""

    queries: list[Path]
    truth: list[Path]
    """Possible files of ground truth: used if it is one."""


def parse(argument: str) -> Spec:
    """Read the argument of ``vectors:``; raises UsageError for an unknown option."""
    location, *rest = _OPTIONS.split(argument, maxsplit=1)
    options: dict[str, str] = {}
    for option in rest[0].split("&") if rest else ():
        name, _, value = option.partition("=")
        if name not in ("queries", "truth"):
            raise UsageError(
                f"vectors:{argument}: there is no option '{name}'"
                f"{near_miss(name, ('queries', 'truth'))}"
            )
        options[name] = value
    path, column = _column(location)
    return Spec(path, column, **options)


def _column(location: str) -> tuple[Path, str]:
    """Split ``path#column``; the path itself may hold a ``#``."""
    path, hash_, column = location.rpartition("#")
    return (Path(path), column) if hash_ and not Path(location).exists() else (Path(location), "")


def open_part(
    location: str | Path | Sequence[Path], what: str, column: str = ""
) -> tuple[VectorStream, Callable[[], Iterator[str]] | None]:
    """Return the vectors of a file, of a pattern or of several files, and a reader of their ids.

    `what` names them in messages. Raises DataError or UsageError for files that hold no vectors.
    """
    if isinstance(location, str):
        path, column = _column(location)
        return open_part(path, what, column)
    files = matching(location) if isinstance(location, Path) else list(location)
    suffix = suffix_of(files[0])
    if suffix in _PICKLES:
        raise DataError(
            f"{files[0]} looks like a pickle, which can run code when loaded: "
            "save the array as .npy instead"
        )
    if others := [file for file in files if suffix_of(file) != suffix]:
        raise DataError(f"{files[0]} and {others[0]} are of different formats; name one of them")
    if suffix in _TABLES:
        return table_stream(files, column)
    if suffix not in ARRAYS:
        raise UsageError(
            f"{files[0]}: vectors must be a folder, or a file of {', '.join((*_SUFFIXES, *HDF5))}"
        )
    if column:
        raise UsageError(f"{files[0]} has no columns: leave out '#{column}'")
    return chained([ARRAYS[suffix](file, suffix, what) for file in files]), None


def matching(path: Path) -> list[Path]:
    """Return a file, or the files of a folder or a pattern with ``*``, in natural order.

    Raises DataError if there is none.
    """
    if path.is_file():
        return [path]
    found: list[Path] = []
    if path.is_dir():
        found = _of_one_set(path, _vector_files(path))
    elif "*" in path.name:
        found = sorted(path.parent.glob(path.name), key=_natural)
    if not found:
        raise DataError(f"vectors:{path}: there is no such file or folder")
    return found


def corpus_files(folder: Path) -> list[Path]:
    """Return the files of the corpus in a folder; raises DataError if there is none."""
    files = _vector_files(folder)
    named = _part_of(folder, files, "corpus")
    if not named:
        named = _of_one_set(
            folder, [file for file in files if not _is(file, _QUERIES) and not _is(file, _TRUTH)]
        )
    if not named:
        raise DataError(
            f"{folder / 'corpus.npy'} is missing; a folder of vectors contains corpus.npy, or "
            "files of another format, and optionally queries.npy"
        )
    return named


def in_folder(folder: Path) -> Beside:
    """Return the files in a folder that belong to its corpus."""
    files = _vector_files(folder)
    truth = [file for file in _files(folder) if _is(file, _TRUTH) and _may_be_truth(file)]
    return Beside(_part_of(folder, files, _QUERIES), truth)


def beside(base: Path, named: bool) -> Beside:
    """Return the files beside a corpus file.

    Raises DataError for several files of queries, unless the queries are `named` anyway.
    """
    stem = _stem(base)
    marked = re.fullmatch(r"(|.*[-_.])(?:base|learn)(|[-_.].*)", stem, re.IGNORECASE)
    start, rest = marked.groups() if marked else ("", "")
    before = re.escape(start) if marked else re.escape(stem) + "[-_.]"
    files = [file for file in _files(base.parent) if file != base]
    queries = [
        file
        for file in files
        if _is(file, before + _QUERIES) and suffix_of(file) == suffix_of(base)
    ]
    if len(queries) > 1 and not named:
        raise DataError(
            f"{base}: there are several files of queries ({few([f.name for f in queries])}); "
            f"name one as vectors:{base}?queries=PATH"
        )
    truth = [file for file in files if _is(file, before + _TRUTH) and _may_be_truth(file)]
    alike = [file for file in truth if rest and f"{rest}." in f".{_stem(file)}."]
    return Beside(queries, alike or truth)


def _part_of(folder: Path, files: list[Path], pattern: str) -> list[Path]:
    """Return the file called `pattern`, or its shards, or the files of a folder of that name."""
    whole = [file for file in files if re.fullmatch(pattern, _stem(file), re.IGNORECASE)]
    if found := whole or [file for file in files if _is(file, pattern)]:
        return found
    for inner in _entries(folder):
        if inner.is_dir() and re.fullmatch(pattern, inner.name):
            return _of_one_set(inner, _vector_files(inner))
    return []


def _of_one_set(folder: Path, files: list[Path]) -> list[Path]:
    """Return `files` if they are shards of one set: the names agree up to their first number."""
    starts = {re.split(r"[-_.]?\d", file.name)[0] if len(files) > 1 else "": file for file in files}
    if len(starts) > 1:
        start = next(iter(starts))
        raise DataError(
            f"{folder} holds several sets of vectors ({few([f.name for f in starts.values()])}); "
            f"name one, for example as {folder}/{start}*"
        )
    return files


def _is(file: Path, pattern: str) -> bool:
    """Return whether a name begins with `pattern` as a word."""
    return re.match(rf"{pattern}(?![a-z])", file.name, re.IGNORECASE) is not None


def _may_be_truth(file: Path) -> bool:
    return file.suffix.lower() in _TRUTH_SUFFIXES


def _vector_files(folder: Path) -> list[Path]:
    return [file for file in _files(folder) if suffix_of(file) in _SUFFIXES]


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_file()]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order ``part-2`` before ``part-10``."""
    return [
        (int(each), "") if each.isdecimal() else (-1, each)
        for each in re.split(r"(\d{1,18})", path.name)
    ]


def suffix_of(path: Path) -> str:
    """Return the suffix; that of ``base.1B.fbin.crop_nb_10000000`` of big-ann is ``.fbin``."""
    return Path(_uncropped(path)).suffix.lower()


def _stem(path: Path) -> str:
    return Path(_uncropped(path)).stem


def _uncropped(path: Path) -> str:
    return re.sub(r"\.crop_nb_\d+$", "", path.name)
