"""How the latency of each backend grows with the corpus, measured in nested parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.analysis.sizing import Growth, growth
from bench.backends import get_backend
from bench.errors import UsageError
from bench.reducers import PLAIN
from bench.results.store import load
from bench.study.schema import Study, product

if TYPE_CHECKING:
    from bench.advising.search import Search

FOLDER = "sizes"
"""Folder of its rows, within that of the results: they are of other corpora."""
_PARTS = (9, 3, 1)
"""A ninth, a third and all of the corpus."""
_SHARE = 0.2
"""Most of the time that this may take."""
_QUERIES = 300


def measured_growth(search: Search) -> Mapping[str, Growth]:
    """Return how the latency grows by backend; assumed where there was no time to measure it."""
    n = len(search.embeddings.corpus)
    table: dict[str, Any] = {
        "name": FOLDER,
        "dataset": search.dataset,
        **({"encoder": search.encoder} if search.encoder else {}),
        "dimensions": search.full_dim,
        "queries": min(_QUERIES, len(search.embeddings.query_ids)),
        "subsets": 0,
        "corpus_sizes": [n // part for part in _PARTS],
        "configurations": [_table(name, search.full_dim) for name in search.names],
    }
    deadline = search.begun + search.seconds - search.left + _SHARE * search.measuring
    try:
        study = Study.model_validate(table)
        search.run(study, search.out / FOLDER, deadline=deadline, again=False)
        return growth(load(search.out / FOLDER))
    except UsageError as error:  # a part that cannot hold the relevant documents
        search.say(f"growth is assumed, not measured: {error}")
        return growth(None)


def _table(name: str, dimension: int) -> dict[str, Any]:
    """Return the table of one index of a backend, searched in the middle of its grid."""
    backend = get_backend(name)
    build = next(iter(product(backend.build_grid)), {})
    search = {key: values[len(values) // 2] for key, values in backend.search_grid.items()}
    table: dict[str, Any] = {"backend": name, "reducer": PLAIN, "dimensions": dimension}
    return table | ({"build": build} if build else {}) | ({"search": search} if search else {})
