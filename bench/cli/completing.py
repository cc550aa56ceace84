"""Completion of a shell: the verb that prints its script, and the values that it offers.

A key press waits for this, so only what a value needs is imported, and never a table read.
"""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

PROGRAM = "matryoshka-bench"
_VARIABLE = "_MATRYOSHKA_BENCH_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, studies, backends and columns.

    In ~/.bashrc: eval "$(matryoshka-bench completion bash)". In ~/.zshrc: the same with zsh. For
    fish, write it to ~/.config/fish/completions/matryoshka-bench.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(ctx.find_root().command, {}, PROGRAM, _VARIABLE).source())


def complete_study(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the studies that ship; files if none begins like that."""
    from bench.study.reader import shipped

    return _beginning(incomplete, shipped()) or [CompletionItem(incomplete, type="file")]


def complete_backend(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of backends."""
    from bench.backends import backends

    return _beginning(incomplete, backends())


def complete_member(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the KIND given before."""
    from bench.report.listing import names

    return _beginning(incomplete, names(ctx.params["kind"])) if ctx.params.get("kind") else []


def complete_columns(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return columns for the last of comma-separated names, each after what stands before it."""
    before, comma, last = incomplete.rpartition(",")
    sign = "-" * last.startswith("-")
    offered = (f"{before}{comma}{sign}{name}" for name in ("label", "pareto", *_columns()))
    return _beginning(incomplete, offered)


def complete_limit(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return columns, each with the ``=`` of a limit."""
    return _beginning(incomplete, (f"{name}=" for name in _columns()))


def complete_figure(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the figures that a history follows."""
    from bench.results.schema import COLUMNS

    return _beginning(incomplete, (column.name for column in COLUMNS.values() if column.history))


def _columns() -> Iterable[str]:
    from bench.results.derived import ALL_COLUMNS

    return ALL_COLUMNS


def _beginning(incomplete: str, offered: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in offered if name.startswith(incomplete)]
