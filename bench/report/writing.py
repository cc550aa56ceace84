"""Write the page of a results folder."""

from __future__ import annotations

from pathlib import Path

from bench.report.beside import Beside


def write_report(
    results: str | Path,
    out: str | Path | None = None,
    *,
    retain: float | None = None,
    margin: float | None = None,
) -> Path:
    """Write the page of a results folder and return its path, ``RESULTS/report.html`` by default.

    It shows the decision, findings, tables, figures and provenance, and needs no network. `retain`
    and `margin` default to those of `bench.summarise`. Raises UsageError on bad input and if there
    is nothing measured.
    """
    with Beside(Path(results)) as beside:
        # These take a second to import, in which the process beside has begun.
        from rich.console import Console

        from bench.analysis.non_inferiority import MARGIN
        from bench.analysis.recommendation import RETAIN
        from bench.analysis.summary import folder_of, summarise
        from bench.projection import project_folder
        from bench.report.advised import advised
        from bench.report.page import render

        with Console(stderr=True).status("reading the tables") as status:
            found = summarise(
                results,
                retain=RETAIN if retain is None else retain,
                margin=MARGIN if margin is None else margin,
            )
            projected = project_folder(results, found.frame)
            drawn = beside.figures()
            if drawn is None:
                from bench.report.drawing import figures_of

                drawn = figures_of(found.frame, status.update, projected)
            folder = folder_of(results)
            page = render(found, drawn, projected, advised(folder))
            path = Path(out) if out else folder / "report.html"
            path.write_text(page, encoding="utf-8")
    return path
