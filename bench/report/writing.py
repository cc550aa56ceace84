"""Write pages of results folders: one page, or a page of each and an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from bench.analysis.non_inferiority import MARGIN
from bench.analysis.recommendation import RETAIN
from bench.analysis.summary import folder_of, summarise
from bench.console import Console
from bench.errors import UsageError
from bench.projection import project_folder
from bench.report.advised import advised
from bench.report.page.build import Folder, document
from bench.report.page.document import Document
from bench.report.page.render import Shown, render, render_index

PAGE = "report.html"


def write_report(
    results: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    retain: float | None = None,
    margin: float | None = None,
    texts: bool = True,
) -> Path:
    """Write one page of results folders and return its path, ``RESULTS/report.html`` by default.

    `results` is a folder, a folder of several, or a list of either; several get a switch. The page
    decides, shows, explores and exports what was measured, and needs no network. `retain` and
    `margin` default to those of `bench.summarise`. `texts` includes the texts of the queries that
    shorter vectors lose. Raises UsageError on bad input and if there is nothing measured.
    """
    given = [results] if isinstance(results, (str, Path)) else list(results)
    with Console(stderr=True).status("reading the tables"):
        folders = _read(given, retain, margin)
        path = Path(out) if out else folder_of(given[0]) / PAGE
        _write(path, _page(folders, document((f for f in folders), texts)))
    return path


def write_pages(
    results: Sequence[str | Path],
    into: str | Path,
    *,
    retain: float | None = None,
    margin: float | None = None,
    texts: bool = True,
) -> list[Path]:
    """Write a page of each results folder into a folder, with an ``index.html``; return the paths.

    Arguments and errors are those of `write_report`.
    """
    with Console(stderr=True).status("reading the tables") as status:
        folders = _read(results, retain, margin)
        names = _names(folders)
        paths = [Path(into) / f"{name}.html" for name in names]
        for folder, path in zip(folders, paths, strict=True):
            status.update(f"writing {escape(path.name)}")
            _write(path, _page([folder], document([folder], texts)))
        index = Path(into) / "index.html"
        _write(index, render_index([*zip(names, folders, strict=True)]))
    return [index, *paths]


def report_data(
    results: Sequence[str | Path],
    *,
    retain: float | None = None,
    margin: float | None = None,
    texts: bool = True,
) -> Document:
    """Return the data of a page; arguments and errors are those of `write_report`."""
    return document(_read(results, retain, margin), texts)


def _read(given: Sequence[str | Path], retain: float | None, margin: float | None) -> list[Folder]:
    retain = RETAIN if retain is None else retain
    folders = []
    for path in [found for each in given for found in _each(Path(each))]:
        summary = summarise(path, retain=retain, margin=MARGIN if margin is None else margin)
        projected = project_folder(path, summary.frame)
        folders.append(Folder(folder_of(path), summary, projected, retain))
    return folders


def _each(path: Path) -> list[Path]:
    """Return a results folder as it is, and the results folders in another folder."""
    if path.is_file() or _is_results(path):
        return [path]
    inner = sorted(child for child in path.glob("*/") if _is_results(child))
    return inner or [path]


def _is_results(path: Path) -> bool:
    return (path / "trials.parquet").is_file() or any((path / "parts").glob("*.trials.parquet"))


def _names(folders: Sequence[Folder]) -> list[str]:
    names = [folder.path.absolute().name for folder in folders]
    if len(set(names)) < len(names):
        raise UsageError(
            "two results folders have the same name: rename one, so that each has a page"
        )
    return names


def _page(folders: Sequence[Folder], data: Document) -> str:
    return render([Shown(folder, advised(folder.path)) for folder in folders], data)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
