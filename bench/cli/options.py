"""What several verbs share: arguments, options, JSON."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.measuring.executor import Executor


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
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


_BYTES = {"": 1, "B": 1}
_BYTES |= {f"{p}B": 1000**i for i, p in enumerate(("k", "M", "G", "T"), 1)}
_BYTES |= {f"{p}iB": 1024**i for i, p in enumerate(("K", "M", "G", "T"), 1)}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


class Scaled(click.ParamType):  # type: ignore[type-arg]
    """A number with a unit, as people write it."""

    def __init__(self, name: str, units: dict[str, int], example: str, least: float = 0.0) -> None:
        """`units` maps what may follow the number to what it stands for, in any case."""
        self.name = name
        self._units = {unit.lower(): scale for unit, scale in units.items()}
        self._example = example
        self._least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if not isinstance(value, str):
            return float(value)
        found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", value)
        try:
            number = float(found[1]) * self._units[found[2].lower()] if found else 0.0
        except (KeyError, ValueError):
            number = 0.0
        if not 0 < number < math.inf:
            self.fail(f"'{value}' is not {self._example}", param, ctx)
        if number < self._least:
            self.fail(f"'{value}' measures nothing: give {self._least:g} s", param, ctx)
        return number


class Count(click.ParamType):  # type: ignore[type-arg]
    """A whole number as people write it: ``20000000``, ``20e6`` or ``20,000,000``."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = float(str(value).replace(",", "").replace("_", ""))
        except ValueError:
            number = math.nan
        if not 1 <= number < 1e13 or number != int(number):
            self.fail(f"'{value}' is not a number of documents, such as 20e6", param, ctx)
        return int(number)


class Width(click.ParamType):  # type: ignore[type-arg]
    """The width of a figure: ``column``, ``page`` or inches."""

    name = "column|page|INCHES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from bench.figures import WIDTHS

        try:
            inches = WIDTHS.get(value) or float(value)
        except ValueError:
            inches = math.nan
        if not 2 <= inches <= 40:
            self.fail(f"'{value}' is not column, page or 2 to 40 inches", param, ctx)
        return inches


class Formats(click.ParamType):  # type: ignore[type-arg]
    """Comma-separated formats of figures."""

    name = "png,svg,pdf"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        from bench.figures import FORMATS

        names = [part.strip() for part in str(value).split(",")]
        if unknown := [name for name in names if name not in FORMATS]:
            self.fail(f"'{unknown[0]}' is none of {', '.join(FORMATS)}", param, ctx)
        return list(dict.fromkeys(names))


WIDTH, FORMATS = Width(), Formats()
SIZE = Scaled("SIZE", _BYTES, "a size such as 32GiB")
"""Bytes: ``32GiB``, ``500 MB`` or ``1e9``."""
BUDGET = Scaled("TIME", _SECONDS, "a time such as 10m", least=10.0)
"""Seconds: ``10m``, ``90s``, ``1h`` or ``600``; ten at least."""
COUNT = Count()
FOLDER = click.Path(path_type=Path)
results_argument = click.argument("results", type=FOLDER)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
margin_option = click.option(
    "--margin",
    type=float,
    default=0.02,
    show_default=True,
    help="Largest loss of quality at which a dimension is non-inferior, as a share.",
)
retain_option = click.option(
    "--retain",
    type=float,
    default=0.98,
    show_default=True,
    help="Least share of the full dimension's quality, by the lower bound of its interval.",
)


objective_option = click.option(
    "--objective",
    type=click.Choice(["memory", "latency", "cost"]),
    default="memory",
    show_default=True,
    help="What to minimise: bytes per vector, median latency, or money per month.",
)
max_p95_option = click.option("--max-p95-ms", type=float, help="Highest p95 latency allowed, ms.")
max_memory_option = click.option(
    "--max-memory", type=SIZE, help="Most memory for all documents, as in 32GiB."
)
documents_option = click.option(
    "--documents", type=COUNT, help="Documents that it will serve, as in 20e6."
)
prices_option = click.option(
    "--prices", type=FOLDER, help="Price list, TOML.  [default: an example]"
)


def executor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the work is done."""
    for option in (
        click.option(
            "--address",
            metavar="HOST:PORT",
            help="Ray cluster.  [default: $RAY_ADDRESS, or a new one]",
        ),
        click.option(
            "--executor",
            "place",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Work on this machine, or on the nodes of a Ray cluster.",
        ),
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def executor_at(place: str, address: str | None) -> Iterator[Executor]:
    """Yield the executor that `executor_options` name; raises UsageError if it cannot be had."""
    if place == "local":
        if address:
            raise UsageError("--address is of a Ray cluster: add --executor ray")
        from bench.measuring.executor import Executor

        yield Executor()
    else:
        from bench.cluster import connected

        with connected(address) as executor:
            yield executor


@contextlib.contextmanager
def answer_alone() -> Iterator[None]:
    """Send what libraries print to standard error, so that standard output holds the answer."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(value: Any) -> None:
    """Print a value on standard output, with null for NaN and infinities."""
    from bench.analysis.recommendation import finite

    print(json.dumps(finite(value), indent=2, default=str, allow_nan=False))
