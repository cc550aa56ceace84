"""The command line: run, show, figures, report, recommend, export, train, compare, list."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import __version__
from bench.errors import UsageError, near_miss

KINDS = ("datasets", "encoders", "reducers", "backends", "figures", "studies")


class _Numbers(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """Numbers with commas between them."""

    name = "N,N,…"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[float]:
        try:
            return [self.kind(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"'{value}' is not numbers with commas between them", param, ctx)


_folder_type = click.Path(path_type=Path)
_results = click.argument("results", type=_folder_type)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program to read.")
_margin = click.option(
    "--margin",
    type=float,
    default=0.02,
    show_default=True,
    help="Share of the quality that may be lost where a dimension is called non-inferior.",
)
_retain = click.option(
    "--retain",
    type=float,
    default=0.98,
    show_default=True,
    help="Share of the full dimension's quality that must surely be kept.",
)


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit status 2."""
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
        _fail(f"{error.format_message()} (--help lists what there is)")
    except BrokenPipeError:
        # The reader, `head` for one, has had enough; the interpreter would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail("stopped; what was measured is kept, and the same command goes on from there", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> None:
    print(f"matryoshka-bench: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def commands(debug: bool) -> None:
    """Which embedding dimension, precision and vector index to use, measured on your model and your corpus."""


@commands.command("run")
@click.argument("study", metavar="STUDY.toml")
@click.option("--out", type=_folder_type, help="Results folder; the default is results/NAME.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a key of the study."
)
@click.option("--retry", is_flag=True, help="Repeat the trials that did not end ok.")
@click.option("--quiet", is_flag=True, help="Show no progress and no table.")
def _run(
    study: str, out: Path | None, overrides: tuple[str, ...], retry: bool, quiet: bool
) -> None:
    """Measure a study: a TOML file, or the name of one that ships.

    Trials measured before are skipped, so the same command resumes a run that was stopped.
    """
    from bench.measuring.runner import run

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
    """Print what each dimension costs and the Pareto-optimal configurations."""
    from bench.analysis.summary import summarise
    from bench.report.terminal import as_records, show
    from bench.results.store import load

    if as_json:
        _print_json(as_records(load(results)))
    else:
        show(summarise(results, margin=margin))


@commands.command("figures")
@_results
@click.option("--out", type=_folder_type, help="The default is RESULTS/figures.")
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
    """Write one self-contained HTML page: the decision, figures, tables, provenance."""
    from bench.report.page import write_report

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
    help="Worst value allowed in any column of the table, as build_seconds=60.",
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
    """Print the cheapest configuration that keeps the quality asked for, and why not a cheaper one."""
    from bench.analysis.recommendation import recommend
    from bench.results.store import load

    wanted = dict(map(_limit, limits))
    decisions = recommend(load(results), retain, max_p95_ms, max_bytes_per_vector, wanted)
    if as_json:
        _print_json([vars(decision) for decision in decisions])
        return
    for decision in decisions:
        if len(decisions) > 1:
            named = filter(None, [decision.dataset, decision.encoder])
            print(" with ".join(named))
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
@click.option("--out", type=_folder_type, help="RESULTS/FORMAT when left out.")
def _export(results: Path, kind: str, out: Path | None) -> None:
    """Write the results as other tools read them; print how many files, and where."""
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
    help="A linear map of the vectors; one with a small network added; or the model itself.",
)
@click.option(
    "--loss",
    type=click.Choice(["infonce", "passages", "kl", "l2", "cosine", "topk"]),
    help="infonce where there are training pairs, else kl; passages wins more or loses more.",
)
@click.option(
    "--dimensions",
    type=_Numbers(int),
    help="Prefixes trained, as 16,64,256; powers of two when left out.",
)
@click.option("--weights", type=_Numbers(float), help="A weight for each of --dimensions.")
@click.option("--steps", type=click.IntRange(1))
@click.option("--batch", type=click.IntRange(2))
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True))
@click.option(
    "--anchor", type=click.FloatRange(0), help="How firmly an adaptor is held to the PCA rotation."
)
@click.option(
    "--passages",
    type=click.IntRange(0),
    help="Passages of documents that stand beside the pairs; 0 for none.",
)
@click.option(
    "--dense",
    type=_folder_type,
    help="Folder for a linear map as a Dense module of sentence-transformers.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def _train(dataset: str, encoder: str, out: Path, form: str, quiet: bool, **chosen: Any) -> None:
    """Train with the Matryoshka objective on a dataset's training split, and say what it wins on what was held out.

    An adaptor is named in a study as adaptor:OUT, a model as encoder st:OUT.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    progress = None if quiet else (lambda line: print(line, file=sys.stderr))
    if form == "model":
        from bench.training.model import train_model

        if unfit := {"loss", "weights", "anchor", "passages", "dense"} & set(given):
            raise UsageError(
                f"--{min(unfit)} is for adaptors; --form model has the loss of sentence-transformers"
            )
        print("\n".join(train_model(dataset, encoder, out, progress=progress, **given)))
    else:
        from bench.training.adaptor import train

        print(
            "\n".join(train(dataset, encoder, out, form=form, progress=progress, **given).lines())
        )


@commands.command("check")
@click.argument("backend")
@_json
def _check(backend: str, as_json: bool) -> None:
    """Check a backend against the rules that all backends keep; exit status 1 if it breaks one."""
    from bench.backends import get_backend
    from bench.testing import check

    cls = get_backend(backend)
    if not cls.available():
        raise UsageError(f"backend '{backend}' is not installed: {cls.install}")
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
    """Say what got worse since a baseline; exit status 1 when anything did, or is missing."""
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
@click.option("--long", "as_blocks", is_flag=True, help="Print every fact of each.")
@_json
def _list(kind: str, name: str | None, as_blocks: bool, as_json: bool) -> None:
    """List what a study can name, and whether it runs here; with a NAME, every fact of that one."""
    rows = _listing(kind)
    if name is not None:
        known = {row["name"].partition(":")[0]: row for row in rows}
        if name not in known:
            one = "study" if kind == "studies" else kind.removesuffix("s")
            raise UsageError(f"no {one} is called '{name}'{near_miss(name, known)}")
        rows = [known[name]]
    if as_json:
        _print_json(rows)
    elif as_blocks or name is not None or max(len(row["name"]) for row in rows) > _LONGEST_NAME:
        print("\n\n".join(map(_block, rows)))
    else:
        _print_table(rows, _COMPACT.get(kind, tuple(rows[0])))


_COMPACT = {"backends": ("name", "kind", "precisions", "runs here")}
"""Columns of the terminal table, for kinds with too many facts for 80 columns."""
_LONGEST_NAME = 24
"""Longer names leave no room for other columns in a terminal of 80."""


def _print_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("name", "kind", "runs here"), overflow="fold")
    for row in rows:
        # As Text, since rich reads square brackets in a string as markup.
        cells = {column: _plain(row[column]) for column in columns}
        if "runs here" in cells:
            cells["runs here"] = cells["runs here"].partition(":")[0]
        table.add_row(*(Text(cell) for cell in cells.values()))
    Console().print(table)


def _block(row: dict[str, Any]) -> str:
    """Return one thing's name and, indented under it, its facts."""
    width, lines = max(map(len, row)), [row["name"]]
    columns = shutil.get_terminal_size().columns
    for key, value in row.items():
        if key != "name" and (text := _plain(value)):
            first, rest = f"  {key:<{width}}  ", " " * (width + 4)
            lines.append(textwrap.fill(text, columns, initial_indent=first, subsequent_indent=rest))
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """Return a fact as text; parameters as in a study: ``M = [16, 32], seed = [100]``."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} = {json.dumps(values)}" for key, values in value.items())


def _listing(kind: str) -> list[dict[str, Any]]:
    """Return every fact of each member of a kind."""
    if kind == "datasets":
        from bench.datasets import sources

        return [{"name": s.usage, "is": s.summary} for s in sources().values()]
    if kind == "encoders":
        from bench.encoders import encoder_classes

        return [{"name": e.usage, "is": e.summary} for e in encoder_classes().values()]
    if kind == "reducers":
        from bench.reducers import reducers

        return [
            {"name": r.name, "is": r.summary, "parameters": r.grid or ""}
            for r in reducers().values()
        ]
    if kind == "backends":
        from bench.backends import backends

        return [
            {
                "name": b.name,
                "is": b.summary,
                "kind": b.kind,
                "version": b.version(),
                "licence": b.licence,
                "precisions": ", ".join(b.precision_names()),
                "stages": "own" if b.native_stages else "",
                "threads": "starts its own" if b.own_threads else "as requested",
                "runs here": "yes" if b.available() else f"no: {b.install}",
                "build": b.build_grid or "",
                "search": b.search_grid or "",
            }
            for b in backends().values()
        ]
    if kind == "figures":
        from bench.figures import figures as found

        return [{"name": name, "is": module.TITLE} for name, module in found().items()]
    from bench.study.reader import shipped

    return [{"name": name} for name in shipped()]


def _print_json(value: Any) -> None:
    print(json.dumps(_finite(value), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return a value with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
