"""Names of figures in words, as the terminal and the reports say them."""

from __future__ import annotations

import re

from bench.results.derived import ALL_COLUMNS
from bench.results.rows import FIDELITY, NDCG

_WORDS = {
    **{each.column: each.label for each in (NDCG, FIDELITY)},
    # Its heading in a table says recall, which is another figure where both are compared.
    "ann_recall_at_10": "ANN recall@10",
    "mrr_at_10": "MRR@10",
    "batch_qps": "batch QPS",
    "bytes_per_vector": "bytes per vector",
}


def word(column: str) -> str:
    """Return the name of a figure in words: ``p50 ms``, ``nDCG@10``, ``build seconds``."""
    known = ALL_COLUMNS.get(column)
    heading = known.heading if known else ""
    plain = re.sub(r"_at_(\d+)$", r"@\1", column).replace("_", " ")
    return _WORDS.get(column) or heading or plain
