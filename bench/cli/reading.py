"""The verbs that read results: figures, report, recommend, verdict, export, deploy; list."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.completing import complete_limit, complete_member
from bench.cli.options import (
    FOLDER,
    documents_option,
    json_option,
    margin_option,
    max_memory_option,
    max_p95_option,
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
def figures_command(results: Path, out: Path | None) -> None:
    """Draw every figure as PNG and SVG."""
    from bench.analysis.summary import folder_of
    from bench.figures import save_all
    from bench.projection import project_folder
    from bench.results.store import load

    frame = load(results)
    projected = project_folder(results, frame)
    for path in save_all(frame, out or folder_of(results) / "figures", projected=projected):
        print(path)


@click.command("report")
@results_argument
@retain_option
@margin_option
def report_command(results: Path, retain: float, margin: float) -> None:
    """Write one self-contained HTML page: recommendation, figures, tables, provenance."""
    from bench.report.writing import write_report

    print(write_report(results, retain=retain, margin=margin))


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
