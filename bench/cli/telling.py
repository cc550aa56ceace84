"""How every verb with a verdict tells it: on the terminal, in files, by the exit status."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import json_option, print_json
from bench.errors import UsageError

if TYPE_CHECKING:  # a key press that completes a word waits for what is imported
    from bench.analysis.regression import Comparison

REGRESSED, CANNOT_TELL = 1, 3
"""Exit statuses."""
_FILE = click.Path(path_type=Path, dir_okay=False, writable=True)
_SUMMARY = "GITHUB_STEP_SUMMARY"
_OPTIONS = (
    click.option("--markdown", type=_FILE, help="Write Markdown for a pull request."),
    click.option("--junit", type=_FILE, help="Write JUnit XML."),
    click.option("--strict", is_flag=True, help="Exit status 3 if something cannot be told."),
    json_option,
)


@dataclass(frozen=True)
class Telling:
    """Where a verdict goes, as the options say."""

    markdown: Path | None = None
    junit: Path | None = None
    strict: bool = False
    as_json: bool = False


def telling_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `tell` to a command, which gets them as its argument `telling`."""

    @functools.wraps(command)
    def told(
        *given: Any,
        markdown: Path | None,
        junit: Path | None,
        strict: bool,
        as_json: bool,
        **named: Any,
    ) -> None:
        command(*given, telling=Telling(markdown, junit, strict, as_json), **named)

    for option in reversed(_OPTIONS):
        option(told)
    return told


def tell(found: Comparison, telling: Telling) -> None:
    """Print a comparison, write its files, end with exit status 1 or 3 if that is the verdict.

    In GitHub Actions the Markdown is added to the summary of the step too. Raises UsageError if a
    file cannot be written; the verdict is printed all the same.
    """
    from bench.report.regression import show_comparison

    try:
        _write(found, telling)
    finally:
        if telling.as_json:
            print_json(found.record())
        else:
            show_comparison(found)
    if not found.ok:
        raise click.exceptions.Exit(REGRESSED)
    if telling.strict and found.verdict == "cannot tell":
        raise click.exceptions.Exit(CANNOT_TELL)


def _write(found: Comparison, telling: Telling) -> None:
    from bench.report.regression import comparison_junit, comparison_markdown

    summary = os.environ.get(_SUMMARY)
    if telling.junit:
        _put(telling.junit, comparison_junit(found))
    if telling.markdown or summary:
        text = comparison_markdown(found, _run())
        if telling.markdown:
            _put(telling.markdown, text)
        if summary:
            _put(Path(summary), text, "a")


def _put(path: Path, text: str, mode: str = "w") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _run() -> str | None:
    """Return the address of the run in GitHub Actions; None elsewhere."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (os.environ.get(name) for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None
