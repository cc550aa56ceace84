"""What several verbs share: arguments, options, JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click


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


def print_json(value: Any) -> None:
    """Print a value on standard output, with null for NaN and infinities."""
    print(json.dumps(_finite(value), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return a value without what JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
