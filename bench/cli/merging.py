"""The verb that puts results folders together: merge."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import FOLDER, json_option, print_json


@click.command("merge")
@click.argument("folders", metavar="RESULTS...", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder of the merged results.")
@click.option("--any-versions", is_flag=True, help="Merge also what other versions measured.")
@click.option("--strict", is_flag=True, help="Exit status 1 if a trial of a shard is missing.")
@json_option
def merge_command(
    folders: tuple[Path, ...], out: Path, any_versions: bool, strict: bool, as_json: bool
) -> None:
    """Put shards of a study together, or its runs on several machines, and say what is missing.

    The folders stay as they are. They must be of the same study, data and library versions. Of a
    trial in several of them one that ended ok counts, else the newest.
    """
    from bench.results.merging import merge

    merged = merge(folders, out, any_versions)
    if as_json:
        print_json(merged.record())
    else:
        print("\n".join(merged.lines()))
    if strict and merged.missing:
        raise click.exceptions.Exit(1)
