"""The command line: one verb per command."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Any

import click

from bench import __version__
from bench.cli import (
    comparing,
    completing,
    deciding,
    history,
    measuring,
    merging,
    reading,
    showing,
)
from bench.errors import UsageError
from bench.files import UNWRITABLE
from bench.harmless import shown
from bench.libraries import without_secrets


def main() -> None:
    """Run the command line. Bad input prints one line on standard error; exit status 2."""
    # A large table makes millions of objects and no cycles: the collector would take a tenth.
    gc.set_threshold(200_000, 1_000, 1_000)
    try:
        code = commands(standalone_mode=False, prog_name=completing.PROGRAM)
    except UsageError as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        _fail(str(error))
    except OSError as error:
        if error.errno not in UNWRITABLE or "--debug" in sys.argv[1:]:
            raise
        _fail(f"{error.filename or 'the output'}: {error.strerror}")
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
    said = shown(without_secrets(" ".join(message.split())))
    print(f"matryoshka-bench: {said}", file=sys.stderr)
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


for verb in (
    measuring.run_command,
    merging.merge_command,
    deciding.advise_command,
    showing.show_command,
    reading.figures_command,
    reading.report_command,
    reading.recommend_command,
    reading.verdict_command,
    reading.export_command,
    reading.deploy_command,
    measuring.train_command,
    measuring.check_command,
    comparing.compare_command,
    comparing.regress_command,
    comparing.diff_command,
    history.history_command,
    reading.list_command,
    completing.completion_command,
):
    commands.add_command(verb)
