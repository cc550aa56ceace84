"""How a study names an encoder: ``DOCUMENTS+query=QUERIES``, each ``NAME:ARGUMENT+layers=N``.

Both parts are optional, so a plain name is one encoder for both roles, at its full depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bench.errors import UsageError
from bench.registry import split_name

Role = Literal["document", "query"]
ROLES: tuple[Role, Role] = ("document", "query")
QUERY, LAYERS = "+query=", "+layers="


def paired(documents: str, queries: str) -> str:
    """Return the name of the encoder whose documents and queries are encoded by these two."""
    return documents if documents == queries else f"{documents}{QUERY}{queries}"


def of_role(spec: str, role: Role) -> str:
    """Return the name of the encoder of one role; raises UsageError unless `spec` is a name."""
    documents, mark, queries = spec.partition(QUERY)
    if mark and not (documents and queries and QUERY not in queries):
        raise UsageError(f"encoder '{spec}': write DOCUMENTS{QUERY}QUERIES, with one name for each")
    return queries if mark and role == "query" else documents


def cut(name: str, layers: int | None) -> str:
    """Return the name of an encoder cut after so many layers; None leaves it whole."""
    return name if layers is None else f"{name}{LAYERS}{layers}"


def split_layers(name: str) -> tuple[str, int | None]:
    """Split ``"st:model+layers=4"`` into ``("st:model", 4)``; a whole model has None.

    Raises UsageError if the layers are no whole number from 1.
    """
    whole, mark, layers = name.rpartition(LAYERS)
    if not mark:
        return name, None
    if not (layers.isascii() and layers.isdecimal() and int(layers)):
        raise UsageError(f"encoder '{name}': layers = '{layers}' is not a whole number from 1")
    return whole, int(layers)


def with_arguments(spec: str, change: Callable[[str], str]) -> str:
    """Return the name with each model's argument changed, such as a path made absolute."""

    def changed(name: str) -> str:
        whole, layers = split_layers(name)
        kind, argument = split_name(whole)
        return cut(f"{kind}:{change(argument)}", layers) if argument else name

    documents, queries = (changed(of_role(spec, role)) for role in ROLES)
    return paired(documents, queries)


def check_name(spec: str) -> None:
    """Raise UsageError unless `spec` is a name as this module describes; no model is looked for."""
    with_arguments(spec, str)


def is_whole_model(spec: str) -> bool:
    """Return whether one model, none of its layers left out, encodes documents and queries."""
    return QUERY not in spec and LAYERS not in spec


def in_words(spec: str) -> str:
    """Return a name as short as a figure needs it: ``MiniLM, 4 layers; queries: 2 layers``."""
    documents, queries = (_in_words(of_role(spec, role)) for role in ROLES)
    if documents == queries:
        return ", ".join(filter(None, documents))
    # The same model is not named twice.
    same = queries[0] == documents[0]
    other = queries[1] or "all layers" if same else ", ".join(filter(None, queries))
    return f"{', '.join(filter(None, documents))}; queries: {other}"


def _in_words(name: str) -> tuple[str, str]:
    """Return the model and its layers."""
    whole, layers = split_layers(name)
    kind, argument = split_name(whole)
    depth = "" if layers is None else f"{layers} layer{'s' if layers > 1 else ''}"
    return argument.rstrip("/").rpartition("/")[2] or kind, depth
