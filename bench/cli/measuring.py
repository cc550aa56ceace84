"""The verbs that measure or train: run, train, check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.cli.completing import complete_backend, complete_study
from bench.cli.options import (
    FOLDER,
    Numbers,
    answer_alone,
    executor_at,
    executor_options,
    json_option,
    print_json,
)
from bench.errors import NotInstalled, UsageError


@click.command("run")
@click.argument("study", metavar="STUDY.toml", shell_complete=complete_study)
@click.option("--out", type=FOLDER, help="Results folder.  [default: results/NAME]")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a key of the study."
)
@click.option("--retry", is_flag=True, help="Repeat the trials whose status is not ok.")
@click.option("--quiet", is_flag=True, help="Show no progress and no table.")
@click.option(
    "--shard",
    metavar="N/M",
    default="1/1",
    help="Measure one of M parts of the study, to be put together by `merge`.  "
    "[default --out: results/NAME-N-of-M]",
)
@click.option("--dry-run", is_flag=True, help="Tell what it takes, and measure nothing.")
@executor_options
def run_command(
    study: str,
    out: Path | None,
    overrides: tuple[str, ...],
    retry: bool,
    quiet: bool,
    shard: str,
    dry_run: bool,
    place: str,
    address: str | None,
) -> None:
    """Measure a study: a TOML file, or the name of a shipped one.

    Trials measured before are skipped, so the same command resumes an interrupted run.
    """
    from bench.measuring.forecast import dry_run as foretell
    from bench.measuring.runner import run
    from bench.measuring.shards import WHOLE, Shard

    part = Shard.parse(shard)
    pair = part.number, part.of
    if dry_run:
        with answer_alone():
            told = foretell(study, out, overrides, pair)
        print("\n".join(told.lines()))
        return
    with answer_alone(), executor_at(place, address) as executor:
        frame = run(
            study,
            out,
            overrides,
            progress=not quiet,
            retry=retry,
            shard=pair,
            executor=executor,
        )
    if part != WHOLE:
        # A table of some indexes would read like an answer.
        if not quiet:
            held = (
                f"{len(frame)} trials" if len(frame) else "holds no index, so nothing is measured"
            )
            print(f"shard {part}: {held}; `merge` puts the shards together")
    elif not quiet:
        from bench.analysis.summary import summarise
        from bench.report.terminal import show

        show(summarise(out or Path("results") / frame["study"].iloc[-1]))


_OF_ADAPTORS = {"loss", "weights", "anchor", "passages", "dense"}
_OF_ADAPTORS |= {"sequential", "select", "memory", "code"}
"""Options of `train` that are not for the form model."""


@click.command("train")
@click.argument("dataset")
@click.argument("encoder")
@click.option("--out", type=FOLDER, required=True, help="Folder of the adaptor or the model.")
@click.option(
    "--form",
    type=click.Choice(["linear", "residual", "model", "csr"]),
    default="linear",
    show_default=True,
    help="Train a linear map of the vectors, one with a small network added, the model, or sparse "
    "codes for the backend csr.",
)
@click.option(
    "--loss",
    type=click.Choice(["infonce", "passages", "kl", "l2", "cosine", "topk"]),
    help="Loss of an adaptor.  [default: infonce with training pairs, else kl]",
)
@click.option(
    "--dimensions",
    type=Numbers(int),
    help="Trained prefixes, or active latents of csr, as in 16,64,256.  [default: powers of two]",
)
@click.option(
    "--weights", type=Numbers(float), help="Weight of each of --dimensions.  [default: 1 each]"
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
    "--sequential", is_flag=True, help="Train the prefixes one after another, the largest first."
)
@click.option("--latents", type=click.IntRange(2), help="Latents of csr.  [default: 4 D]")
@click.option("--select", is_flag=True, help="Learn which columns of the map a prefix takes.")
@click.option(
    "--memory",
    type=click.IntRange(0),
    help="Documents of earlier steps that each step compares with too.",
)
@click.option(
    "--code",
    type=click.Choice(["binary", "binary_asymmetric", "int4"]),
    help="Train for vectors stored at this precision.  [default: float32]",
)
@click.option(
    "--own-corpus",
    is_flag=True,
    help="Learn from the documents that the test queries ask for too: fit the corpus you have.",
)
@click.option(
    "--dense",
    type=FOLDER,
    help="Also write a linear map as a Dense module of sentence-transformers here.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train_command(
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

        given = {name: value for name, value in given.items() if value is not False}
        if unfit := (_OF_ADAPTORS | {"latents"}) & set(given):
            raise UsageError(
                f"--{min(unfit)} is for adaptors; "
                "--form model uses the loss of sentence-transformers"
            )
        with answer_alone():
            lines = train_model(
                dataset, encoder, out, own_corpus=own_corpus, progress=progress, **given
            )
        print("\n".join(lines))
    elif form == "csr":
        from bench.training.csr import train_csr

        given = {name: value for name, value in given.items() if value is not False}
        if unfit := (_OF_ADAPTORS - {"passages"}) & set(given):
            raise UsageError(f"--{min(unfit)} is for adaptors, not for --form csr")
        with answer_alone():
            lines = train_csr(
                dataset, encoder, out, own_corpus=own_corpus, progress=progress, **given
            )
        print("\n".join(lines))
    else:
        if "latents" in given:
            raise UsageError(f"--latents is for --form csr, not for --form {form}")
        from bench.training.adaptor import train
        from bench.training.fitting import Settings

        dense = given.pop("dense", None)
        settings = Settings(form=form, **given)
        with answer_alone():
            trained = train(
                dataset,
                encoder,
                out,
                settings,
                own_corpus=own_corpus,
                dense=dense,
                progress=progress,
            )
        print("\n".join(trained.lines()))


@click.command("check")
@click.argument("backend", shell_complete=complete_backend)
@json_option
def check_command(backend: str, as_json: bool) -> None:
    """Check a backend against the rules for all backends; exit status 1 if it breaks one."""
    from bench.backends import get_backend
    from bench.testing import check_each

    cls = get_backend(backend)
    if not cls.available():
        raise NotInstalled(f"backend '{backend}' is not installed: {cls.install}")
    found = check_each(backend, cls.precision_names())
    if as_json:
        print_json({precision: [vars(r) for r in results] for precision, results in found.items()})
    else:
        for precision, results in found.items():
            for result in results:
                words = [precision, result.rule.replace("_", " "), result.detail]
                print("ok    " if result.ok else "FAILED", ": ".join(filter(None, words)))
    if not all(result.ok for results in found.values() for result in results):
        raise click.exceptions.Exit(1)
