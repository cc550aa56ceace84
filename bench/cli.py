"""The command line: run, show, figures, report, recommend, export, train, check, compare, list."""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bench import __version__
from bench.errors import NotInstalled, UsageError, near_miss
from bench.report.listing import KINDS, listing, print_rows


class _Numbers(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """Comma-separated numbers."""

    name = "N,N,…"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[float]:
        try:
            return [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"'{value}' is not a list of comma-separated numbers", param, ctx)


_folder_type = click.Path(path_type=Path)
_results = click.argument("results", type=_folder_type)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_margin = click.option(
    "--margin",
    type=float,
    default=0.02,
    show_default=True,
    help="Largest loss of quality at which a dimension is non-inferior, as a share.",
)
_retain = click.option(
    "--retain",
    type=float,
    default=0.98,
    show_default=True,
    help="Least share of the full dimension's quality, by the lower bound of its interval.",
)


def main() -> None:
    """Run the command line. Bad input prints one line on standard error; exit status 2."""
    # A large table makes millions of objects and no cycles: the collector would take a tenth.
    gc.set_threshold(200_000, 1_000, 1_000)
    try:
        code = commands(standalone_mode=False, prog_name="matryoshka-bench")
    except UsageError as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(f"{error.format_message()} (see --help)")
    except _ReaderGone:
        # The reader has closed the pipe, as `head` does. Without this line the interpreter would
        # report the error again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail("stopped; results so far are kept. Run the same command to resume", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> None:
    print(f"matryoshka-bench: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


class _ReaderGone(Exception):
    """The reader of standard output has closed the pipe."""


class _Commands(click.Group):
    """Keeps a closed pipe from click, which would end with the status of a regression."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGone from error
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def commands(debug: bool) -> None:
    """Choose an embedding dimension, precision and vector index.

    Everything is measured on your own model and corpus.
    """


@commands.command("run")
@click.argument("study", metavar="STUDY.toml")
@click.option("--out", type=_folder_type, help="Results folder.  [default: results/NAME]")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a key of the study."
)
@click.option("--retry", is_flag=True, help="Repeat the trials whose status is not ok.")
@click.option("--quiet", is_flag=True, help="Show no progress and no table.")
@click.option("--dry-run", is_flag=True, help="Tell what it takes, and measure nothing.")
def _run(
    study: str,
    out: Path | None,
    overrides: tuple[str, ...],
    retry: bool,
    quiet: bool,
    dry_run: bool,
) -> None:
    """Measure a study: a TOML file, or the name of a shipped one.

    Trials measured before are skipped, so the same command resumes an interrupted run.
    """
    from bench.measuring.forecast import dry_run as foretell
    from bench.measuring.runner import run

    if dry_run:
        print("\n".join(foretell(study, out, overrides).lines()))
        return
    frame = run(study, out, overrides, progress=not quiet, retry=retry)
    if not quiet:
        from bench.analysis.summary import summarise
        from bench.report.terminal import show

        show(summarise(out or Path("results") / frame["study"].iloc[-1]))


@commands.command("show")
@_results
@_margin
@_json
def _show(results: Path, margin: float, as_json: bool) -> None:
    """Print the quality at each dimension and the Pareto-optimal configurations."""
    from bench.analysis.summary import summarise
    from bench.report.terminal import as_records, show
    from bench.results.store import load

    if as_json:
        _print_json(as_records(load(results)))
    else:
        show(summarise(results, margin=margin))


@commands.command("figures")
@_results
@click.option("--out", type=_folder_type, help="Folder of the figures.  [default: RESULTS/figures]")
def _figures(results: Path, out: Path | None) -> None:
    """Draw every figure as PNG and SVG."""
    from bench.analysis.summary import folder_of
    from bench.figures import save_all
    from bench.results.store import load

    for path in save_all(load(results), out or folder_of(results) / "figures"):
        print(path)


@commands.command("report")
@_results
@_retain
@_margin
def _report(results: Path, retain: float, margin: float) -> None:
    """Write one self-contained HTML page: recommendation, figures, tables, provenance."""
    from bench.report.writing import write_report

    print(write_report(results, retain=retain, margin=margin))


@commands.command("recommend")
@_results
@_retain
@click.option("--max-p95-ms", type=float, help="Highest p95 latency allowed, ms.")
@click.option("--max-bytes-per-vector", type=float, help="Most bytes per vector allowed.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Worst value allowed in a column of the table, as in build_seconds=60.",
)
@_json
def _recommend(
    results: Path,
    retain: float,
    max_p95_ms: float | None,
    max_bytes_per_vector: float | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the cheapest configuration with enough quality, and why no cheaper one qualifies."""
    from bench.analysis.recommendation import recommend
    from bench.analysis.summary import folder_of
    from bench.results.store import load, load_queries

    wanted, frame = dict(map(_limit, limits)), load(results)
    queries = load_queries(folder_of(results))
    decisions = recommend(frame, queries, retain, max_p95_ms, max_bytes_per_vector, wanted)
    if as_json:
        _print_json([vars(decision) for decision in decisions])
        return
    for decision in decisions:
        if len(decisions) > 1:
            print(" with ".join(filter(None, [decision.dataset, decision.encoder])))
        print("\n".join(decision.lines()))


def _limit(text: str) -> tuple[str, float]:
    column, _, value = text.partition("=")
    try:
        return column, float(value)
    except ValueError as error:
        raise UsageError(f"--limit takes COLUMN=VALUE, not '{text}'") from error


@commands.command("export")
@_results
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mteb", "trec"]),
    required=True,
    help="MTEB result JSON, or TREC runs.",
)
@click.option(
    "--out", type=_folder_type, help="Folder of the exported files.  [default: RESULTS/FORMAT]"
)
def _export(results: Path, kind: str, out: Path | None) -> None:
    """Write the results in the format of another tool."""
    from bench.analysis.summary import folder_of
    from bench.interop.export import export_mteb, export_trec
    from bench.results.store import load

    folder, frame = folder_of(results), load(results)
    target = out or folder / kind
    paths = export_mteb(frame, target) if kind == "mteb" else export_trec(frame, folder, target)
    print(f"{len(paths)} files in {target}")


@commands.command("train")
@click.argument("dataset")
@click.argument("encoder")
@click.option("--out", type=_folder_type, required=True, help="Folder of the adaptor or the model.")
@click.option(
    "--form",
    type=click.Choice(["linear", "residual", "model"]),
    default="linear",
    show_default=True,
    help="Train a linear map of the vectors, one with a small network added, or the model.",
)
@click.option(
    "--loss",
    type=click.Choice(["infonce", "passages", "kl", "l2", "cosine", "topk"]),
    help="Loss of an adaptor.  [default: infonce with training pairs, else kl]",
)
@click.option(
    "--dimensions",
    type=_Numbers(int),
    help="Trained prefixes, as in 16,64,256.  [default: powers of two]",
)
@click.option(
    "--weights", type=_Numbers(float), help="Weight of each of --dimensions.  [default: 1 each]"
)
@click.option("--steps", type=click.IntRange(1))
@click.option("--batch", type=click.IntRange(2))
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True))
@click.option(
    "--anchor", type=click.FloatRange(0), help="Penalty for distance from the PCA rotation."
)
@click.option(
    "--passages",
    type=click.IntRange(0),
    help="Passages of documents used beside the pairs; 0 for none.",
)
@click.option(
    "--own-corpus",
    is_flag=True,
    help="Learn from the documents that the test queries ask for too: fit the corpus you have.",
)
@click.option(
    "--dense",
    type=_folder_type,
    help="Also write a linear map as a Dense module of sentence-transformers here.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def _train(
    dataset: str, encoder: str, out: Path, form: str, own_corpus: bool, quiet: bool, **chosen: Any
) -> None:
    """Train with the Matryoshka objective on a dataset's training split.

    Prints the gain on held-out data. In a study, name an adaptor as the reducer adaptor:OUT, and a
    model as the encoder st:OUT.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    progress = None if quiet else (lambda line: print(line, file=sys.stderr))
    if form == "model":
        from bench.training.model import train_model

        if unfit := {"loss", "weights", "anchor", "passages", "dense"} & set(given):
            raise UsageError(
                f"--{min(unfit)} is for adaptors; "
                "--form model uses the loss of sentence-transformers"
            )
        print(
            "\n".join(
                train_model(
                    dataset, encoder, out, own_corpus=own_corpus, progress=progress, **given
                )
            )
        )
    else:
        from bench.training.adaptor import train
        from bench.training.fitting import Settings

        dense = given.pop("dense", None)
        settings = Settings(form=form, **given)
        trained = train(
            dataset, encoder, out, settings, own_corpus=own_corpus, dense=dense, progress=progress
        )
        print("\n".join(trained.lines()))


@commands.command("check")
@click.argument("backend")
@_json
def _check(backend: str, as_json: bool) -> None:
    """Check a backend against the rules for all backends; exit status 1 if it breaks one."""
    from bench.backends import get_backend
    from bench.testing import check

    cls = get_backend(backend)
    if not cls.available():
        raise NotInstalled(f"backend '{backend}' is not installed: {cls.install}")
    found = {precision: check(backend, precision) for precision in cls.precision_names()}
    if as_json:
        _print_json({precision: [vars(r) for r in results] for precision, results in found.items()})
    else:
        for precision, results in found.items():
            for result in results:
                words = [precision, result.rule.replace("_", " "), result.detail]
                print("ok    " if result.ok else "FAILED", ": ".join(filter(None, words)))
    if not all(result.ok for results in found.values() for result in results):
        raise click.exceptions.Exit(1)


@commands.command("compare")
@click.argument("baseline", type=_folder_type)
@click.argument("head", type=_folder_type)
@_json
def _compare(baseline: Path, head: Path, as_json: bool) -> None:
    """List regressions from a baseline; exit status 1 if there is one or a trial is missing."""
    from bench.analysis.regression import compare
    from bench.results.store import load

    found = compare(load(baseline), load(head))
    if as_json:
        _print_json({"ok": found.ok, **asdict(found)})
    else:
        for title, entries in (
            ("regressions", found.regressions),
            ("missing", found.missing),
            ("improvements", found.improvements),
        ):
            if entries:
                lines = (entry.text for entry in entries)
                print(f"{title} ({len(entries)}):", *lines, sep="\n  ")
        print(*found.notes, sep="\n", end="\n" if found.notes else "")
        verdict = "no regression" if found.ok else "REGRESSION"
        print(f"{found.compared} trials compared: {verdict}")
    if not found.ok:
        raise click.exceptions.Exit(1)


@commands.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False)
@click.option("--long", "as_blocks", is_flag=True, help="Print every fact of each entry.")
@_json
def _list(kind: str, name: str | None, as_blocks: bool, as_json: bool) -> None:
    """List the names that a study can use. With a NAME, print every fact about it."""
    rows = listing(kind)
    if name is not None:
        known = {row["name"].partition(":")[0]: row for row in rows}
        if name not in known:
            singular = "study" if kind == "studies" else kind.removesuffix("s")
            raise UsageError(f"no {singular} is called '{name}'{near_miss(name, known)}")
        rows = [known[name]]
    if as_json:
        _print_json(rows)
    else:
        print_rows(rows, kind, as_blocks or name is not None)


def _print_json(value: Any) -> None:
    print(json.dumps(_finite(value), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return a value with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
