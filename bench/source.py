"""Source text that a configuration is deployed with: what a family's `code` is given and returns.

The text is plain Python that a person pastes into a project of their own. It reads constants in
capitals, which `bench.deploy` writes above it, and never imports `bench`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Deployment:
    """A configuration that code is wanted for, as a backend needs to know it."""

    n: int
    """Vectors in the corpus of the trial."""
    dimension: int
    full_dimension: int
    precision: str
    build: Mapping[str, Any]
    """Build parameters."""
    search: Mapping[str, Any]
    """Search parameters."""
    threads: int
    asked: int
    """Results that the index is asked for: k, or the shortlist's length."""
    native: bool = False
    """Whether the backend rescores the shortlist itself, with vectors at the full dimension."""

    @property
    def prefixed(self) -> bool:
        """Whether the backend itself needs a prefix to search and full vectors to rescore."""
        return self.native and self.dimension < self.full_dimension

    def parameters(self) -> dict[str, Any]:
        """Return build and search parameters as constants, by their names in capitals."""
        return {name.upper(): value for name, value in {**self.build, **self.search}.items()}


class Expression(str):
    """A constant given as an expression, such as ``os.environ["URL"]``, instead of a value."""


@dataclass(frozen=True)
class Code:
    """Source text of one part of a deployment.

    The text may use, without saying more, the constants `DIMENSION`, `FULL_DIMENSION`, `K`,
    `SHORTLIST` and `THREADS`, numpy as `np`, and the functions `normalise(vectors)`,
    `packed_signs(vectors)` and `padded(rows, k)`. Only what it uses is written.
    """

    text: str
    """Definitions at the top level of a module, without imports."""
    imports: tuple[str, ...] = ()
    """Import statements, one each."""
    requirements: tuple[str, ...] = ()
    """Distributions to install, as pip names them, without versions."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Constants by name, values or `Expression`. Those that the text does not use are left out."""
    full_width: bool = False
    """Of a backend: whether `build` and `search` take vectors at the full dimension."""


def written(template: str, deployment: Deployment, **names: object) -> str:
    """Return a Jinja template filled in with the fields of `deployment`, and `names` besides.

    A line that holds only a ``{% … %}`` leaves nothing behind. Raises jinja2.UndefinedError for an
    unknown name.
    """
    fields = {each.name: getattr(deployment, each.name) for each in dataclasses.fields(deployment)}
    fields |= {"prefixed": deployment.prefixed}
    return str(_compiled(template).render(fields | names))


@cache
def _compiled(template: str) -> Any:
    return _environment().from_string(template)


@cache
def _environment() -> Any:
    # Imported late: a worker that measures a backend writes no code.
    import jinja2

    return jinja2.Environment(  # nosec B701 # what is written is Python, whose values are literals
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
