"""Whether the vectors of two encoders lie in one space: what the judged documents show of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.vectors import normalise

_MOST_PAIRS = 1_000
_OTHERS = 20
"""Random documents that each relevant one is compared with."""
_LEAST = 0.6
"""Share of comparisons that a relevant document wins in a shared space; chance is 0.5."""


def doubt(
    queries: np.ndarray,
    corpus: np.ndarray,
    query_ids: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]],
) -> str:
    """Return a note if relevant documents are hardly nearer to their queries than random ones.

    `queries` (q, D) and `corpus` (n, D) are float32; `qrels` has documents by their position. The
    share of pairs of a relevant and a random document that are in the right order is the area under
    the ROC curve (Mann & Whitney 1947); 0.5 is chance. Empty if it is higher than 0.6, or if
    nothing is judged.
    """
    pairs = [
        (row, int(document))
        for row, query in enumerate(query_ids)
        for document, grade in qrels.get(query, {}).items()
        if grade > 0 and document.isdigit()
    ]
    if not pairs:
        return ""
    rng = np.random.default_rng(0)
    rows, documents = np.array(pairs)[rng.permutation(len(pairs))[:_MOST_PAIRS]].T
    others = rng.integers(len(corpus), size=_OTHERS * len(rows))
    asked = normalise(np.asarray(queries[rows]))
    near = (asked * normalise(np.asarray(corpus[documents]))).sum(axis=1).repeat(_OTHERS)
    far = (asked.repeat(_OTHERS, axis=0) * normalise(np.asarray(corpus[others]))).sum(axis=1)
    share = float(np.mean((near > far) + 0.5 * (near == far)))
    if share > _LEAST:
        return ""
    return (
        "queries and documents have encoders of their own that may not share a space: a relevant "
        f"document is nearer than a random one in {share:.0%} of comparisons, and chance is 50%"
    )
