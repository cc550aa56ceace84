"""The verb that measures in order to decide: advise."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import (
    BUDGET,
    FOLDER,
    answer_alone,
    documents_option,
    executor_at,
    executor_options,
    json_option,
    max_memory_option,
    max_p95_option,
    objective_option,
    prices_option,
    print_json,
)


@click.command("advise")
@click.argument("dataset")
@click.argument("encoder", required=False)
@click.option(
    "--keep",
    type=float,
    default=0.98,
    show_default=True,
    help="Least share of the full dimension's quality.",
)
@objective_option
@max_p95_option
@max_memory_option
@documents_option
@click.option("--qps", type=float, default=10.0, show_default=True, help="Queries per second.")
@click.option(
    "--budget", type=BUDGET, default="10m", show_default=True, help="Time that it may take."
)
@click.option(
    "--backends",
    metavar="NAME,…",
    help="Indexes to try; all for every library installed.  [default: those of the core]",
)
@prices_option
@click.option("--out", type=FOLDER, help="Results folder.  [default: results/advise-…]")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@executor_options
@json_option
def advise_command(
    dataset: str,
    encoder: str | None,
    keep: float,
    objective: str,
    max_p95_ms: float | None,
    max_memory: float | None,
    documents: int | None,
    qps: float,
    budget: float,
    backends: str | None,
    prices: Path | None,
    out: Path | None,
    quiet: bool,
    place: str,
    address: str | None,
    as_json: bool,
) -> None:
    """Find the configuration to deploy for a dataset and an encoder, without a study file.

    A third of the queries find it, the others confirm it. The same command resumes, and a larger
    --budget searches on.
    """
    from bench.advising import advise
    from bench.advising.wanted import Wanted

    wanted = Wanted(
        keep=keep,
        objective=objective,  # type: ignore[arg-type]  # click has checked it
        max_p95_ms=max_p95_ms,
        max_memory=max_memory,
        documents=documents,
        queries_per_second=qps,
    )
    names = [name.strip() for name in backends.split(",")] if backends else None
    with answer_alone(), executor_at(place, address) as executor:
        found = advise(
            dataset,
            encoder,
            wanted,
            out=out,
            backends=names,
            seconds=budget,
            prices=prices,
            progress=not quiet,
            executor=executor,
        )
    if as_json:
        print_json(found.to_json())
    else:
        print("\n".join(found.lines()))
