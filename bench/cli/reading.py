"""The verbs that read results: figures, report, recommend, verdict, export, deploy; list."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.completing import complete_limit, complete_member
from bench.cli.options import (
    FOLDER,
    FORMATS,
    WIDTH,
    documents_option,
    json_option,
    margin_option,
    max_memory_option,
    max_p95_option,
    objective_option,
    prices_option,
    print_json,
    results_argument,
    retain_option,
)
from bench.errors import UsageError, near_miss
from bench.report.listing import KINDS, listing, print_rows


@click.command("figures")
@results_argument
@click.option("--out", type=FOLDER, help="Folder of the figures.  [default: RESULTS/figures]")
@click.option(
    "--style",
    type=click.Choice(["screen", "paper", "slides"]),
    default="screen",
    show_default=True,
    help="Sizes of texts and lines.",
)
@click.option(
    "--width",
    type=WIDTH,
    help="Of a paper's column or page, or inches.  [default: 8, paper 3.3, slides 10]",
)
@click.option("--format", "formats", type=FORMATS, default="png,svg", show_default=True)
def figures_command(
    results: Path, out: Path | None, style: str, width: float | None, formats: list[str]
) -> None:
    """Draw every figure; write tables with intervals, for a paper, into the folder `tables`."""
    from bench.analysis.summary import folder_of, summary_of
    from bench.figures import ranks, save_all
    from bench.projection import project_folder
    from bench.report.paper_tables import write_tables
    from bench.results.store import load, load_quality

    frame, folder = load(results), folder_of(results)
    target = out or folder / "figures"
    drawn = save_all(
        frame,
        target,
        width,
        project_folder(results, frame),
        ranks(results, frame),
        style,
        formats,
    )
    found = summary_of(frame, load_quality(folder))
    for path in [*drawn, *write_tables(found, target / "tables")]:
        print(path)


@click.command("report")
@click.argument("results", type=FOLDER, nargs=-1, required=True)
@click.option("--out", type=FOLDER, help="File of the page.  [default: RESULTS/report.html]")
@click.option("--into", type=FOLDER, help="Folder for a page of each, and an index of them.")
@click.option("--no-texts", is_flag=True, help="Leave out the texts of queries.")
@retain_option
@margin_option
@json_option
def report_command(
    results: tuple[Path, ...],
    out: Path | None,
    into: Path | None,
    no_texts: bool,
    retain: float,
    margin: float,
    as_json: bool,
) -> None:
    """Write one self-contained HTML page that answers, explores and exports.

    Several RESULTS, or a folder of several, get one page with a switch. With --into each gets a
    page of its own, and index.html names them. With --json the data of the page are printed;
    bench/report/README.md describes them.
    """
    from bench.report.writing import report_data, write_pages, write_report

    if into is not None and (out is not None or as_json):
        raise UsageError("--into writes pages: leave out --out and --json")
    if as_json:
        click.echo(
            report_data(results, retain=retain, margin=margin, texts=not no_texts).model_dump_json()
        )
    elif into is not None:
        print(
            *write_pages(results, into, retain=retain, margin=margin, texts=not no_texts), sep="\n"
        )
    else:
        print(write_report(results, out, retain=retain, margin=margin, texts=not no_texts))


@click.command("recommend")
@results_argument
@retain_option
@max_p95_option
@click.option("--max-bytes-per-vector", type=float, help="Most bytes per vector allowed.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="COLUMN=VALUE",
    shell_complete=complete_limit,
    help="Worst value allowed in a column of the table, as in build_seconds=60.",
)
@documents_option
@max_memory_option
@prices_option
@click.option("--qps", type=float, help="Queries per second that it will serve.  [default: 10]")
@objective_option
@json_option
def recommend_command(
    results: Path,
    retain: float,
    max_p95_ms: float | None,
    max_bytes_per_vector: float | None,
    limits: tuple[str, ...],
    documents: int | None,
    max_memory: float | None,
    prices: Path | None,
    qps: float | None,
    objective: str,
    as_json: bool,
) -> None:
    """Print the cheapest configuration with enough quality, and why no cheaper one qualifies.

    With --documents all figures and limits are those at that number, and what they rest on is said;
    so is what it costs.
    """
    from bench.analysis.recommendation import recommend
    from bench.analysis.summary import folder_of
    from bench.results.store import load, load_queries

    wanted, frame = dict(map(_limit, limits)), load(results)
    queries = load_queries(folder_of(results))
    decisions = recommend(
        frame,
        queries,
        retain,
        max_p95_ms,
        max_bytes_per_vector,
        wanted,
        documents=documents,
        max_memory=max_memory,
        prices=prices,
        queries_per_second=qps,
        objective=objective,
    )
    if as_json:
        print_json([decision.record() for decision in decisions])
        return
    for decision in decisions:
        if len(decisions) > 1:
            print(" with ".join(filter(None, [decision.dataset, decision.encoder])))
        print("\n".join(decision.lines()))


@click.command("verdict")
@results_argument
@json_option
def verdict_command(results: Path, as_json: bool) -> None:
    """Say whether the model is a Matryoshka model: its prefixes against chance and against PCA."""
    from bench.analysis.matryoshka import beside_text, verdict
    from bench.analysis.summary import folder_of
    from bench.projection import project_folder
    from bench.results.store import load, load_quality

    frame, folder = load(results), folder_of(results)
    answers = verdict(frame, load_quality(folder), project_folder(folder, frame))
    if as_json:
        print_json([answer.record() for answer in answers])
        return
    for answer in answers:
        where = " with ".join(filter(None, [answer.dataset, answer.encoder]))
        print(f"{where}: a Matryoshka model? {answer.word}")
        print("\n".join(answer.lines()))
        kept = answer.table["retained"].dropna()
        shares = " · ".join(f"{dim} d {share:.1%}" for dim, share in kept[::-1].items())
        print("Share kept beside published ones (other benchmarks: compare shapes, not figures):")
        print(f"  here: {shares}")
        for model, metric, shown, source in beside_text(answer.beside):
            print(f"  {model}, {metric}: {shown} ({source})")


def _limit(text: str) -> tuple[str, float]:
    column, _, value = text.partition("=")
    try:
        return column, float(value)
    except ValueError as error:
        raise UsageError(f"--limit takes COLUMN=VALUE, not '{text}'") from error


@click.command("export")
@results_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mteb", "trec"]),
    required=True,
    help="MTEB result JSON, or TREC runs.",
)
@click.option("--out", type=FOLDER, help="Folder of the exported files.  [default: RESULTS/FORMAT]")
def export_command(results: Path, kind: str, out: Path | None) -> None:
    """Write the results in the format of another tool."""
    from bench.analysis.summary import folder_of
    from bench.interop.export import export_mteb, export_trec
    from bench.results.store import load

    folder, frame = folder_of(results), load(results)
    target = out or folder / kind
    paths = export_mteb(frame, target) if kind == "mteb" else export_trec(frame, folder, target)
    print(f"{len(paths)} files in {target}")


@click.command("deploy")
@results_argument
@click.argument("trial_id")
@click.option("--out", type=FOLDER, help="Folder of the code.  [default: RESULTS/deploy/TRIAL_ID]")
def deploy_command(results: Path, trial_id: str, out: Path | None) -> None:
    """Write the code that gives a trial's results without this package.

    TRIAL_ID may be shortened while it fits one trial.
    """
    from bench.analysis.summary import folder_of
    from bench.deploy import deploy

    print(deploy(results, trial_id, out or folder_of(results) / "deploy" / trial_id))


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False, shell_complete=complete_member)
@click.option("--long", "as_blocks", is_flag=True, help="Print every fact of each entry.")
@json_option
def list_command(kind: str, name: str | None, as_blocks: bool, as_json: bool) -> None:
    """List the names that a study can use. With a NAME, print every fact about it."""
    rows = listing(kind)
    if name is not None:
        known = {row["name"].partition(":")[0]: row for row in rows}
        if name not in known:
            singular = "study" if kind == "studies" else kind.removesuffix("s")
            raise UsageError(f"no {singular} is called '{name}'{near_miss(name, known)}")
        rows = [known[name]]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, kind, as_blocks or name is not None)
