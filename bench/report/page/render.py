"""Render a page as one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from bench.analysis.matryoshka import with_projection
from bench.analysis.text_table import Table
from bench.harmless import shown_lines
from bench.report.advised import Advised
from bench.report.at_size import at_size
from bench.report.growing import growing
from bench.report.page.build import Folder
from bench.report.page.document import Document

_SCRIPTS = (
    "decide",
    "data",
    "state",
    "verdict",
    "tables",
    "filters",
    "explorer",
    "tip",
    "figures",
    "export",
    "page",
)
"""In the order in which they are loaded."""
_ASSETS = resources.files("bench.report.page") / "assets"


@dataclass(frozen=True)
class Shown:
    """A results folder, and what `advise` left in it."""

    folder: Folder
    advice: Advised | None = None


@dataclass(frozen=True)
class Part:
    """One dataset with one encoder, as a notebook shows it above the explorer."""

    title: str
    size: str
    lines: list[str]
    """The recommendation, as sentences."""
    table: Table | None


def render(shown: list[Shown], data: Document, embedded: bool = False) -> str:
    """Return the page of results folders as HTML; `data` is that of `build.document` for them.

    An `embedded` page has the answer and the explorer alone, to stand in a notebook.
    """
    folders = [
        _context(each, result.model_dump(include={"name", "provenance", "cautions"}))
        for each, result in zip(shown, data.results, strict=True)
    ]
    return _template("page.html").render(
        title=", ".join(dict.fromkeys(group.title for r in data.results for group in r.groups)),
        folders=folders,
        css=Markup(_asset("page.css")),  # nosec B704 # a file of this package
        embedded=embedded,
        data=packed(data.model_dump_json(exclude_none=False)),
        vega=_vega(),
        scripts=[Markup(_own(name)) for name in _SCRIPTS],  # nosec B704 # files of this package
    )


def render_notebook(title: str, parts: list[Part], page: str) -> str:
    """Return what a notebook shows as HTML: answers and tables, and a page in a frame of its own.

    The frame keeps the scripts of `page` and those of the notebook apart.
    """
    return _template("notebook.html").render(title=title, parts=parts, page=page)


def packed(text: str) -> str:
    """Return a text as one that HTML leaves alone: gzip, base64."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _context(shown: Shown, given: dict[str, Any]) -> dict[str, Any]:
    """Return what the template shows of one folder before any script runs."""
    found, projected = shown.folder.found, shown.folder.projected
    return given | {
        "advice": shown.advice,
        "recommendations": found.recommendations,
        "sections": [
            replace(section, matryoshka=with_projection(section.matryoshka, projected))
            if section.matryoshka
            else section
            for section in found.sections
        ],
        "at_size": [at_size(section.frame, projected) for section in found.sections],
        "side_by_side": found.side_by_side(),
        "growing": growing(found.frame, found.recommendations),
    }


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    return environment.from_string(_asset(name))


def _harmless(value: Any) -> Any:
    """Return what a template shows: text from outside without signs that act."""
    return shown_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one packed script, which sets ``vegaEmbed``."""
    # Its stub asks for the snippet that may be left out.
    return packed(f"(() => {{{vl_convert.javascript_bundle()}}})();")  # type: ignore[call-arg]


def _own(script: str) -> str:
    """Return a script of this package, which cannot end its element early."""
    text = _asset(f"{script}.js")
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def render_index(folders: list[tuple[str, Folder]]) -> str:
    """Return the index of several pages as HTML: name, data, and the recommendation of each."""
    return _template("index.html").render(
        css=Markup(_asset("page.css")),  # nosec B704 # a file of this package
        pages=[
            {
                "name": name,
                "sections": folder.found.sections,
                "chosen": folder.found.recommendations,
            }
            for name, folder in folders
        ],
    )
