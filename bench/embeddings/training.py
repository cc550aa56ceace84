"""Training queries of a dataset: what a reducer may learn from, besides the corpus."""

from __future__ import annotations

import numpy as np

from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.errors import MissingSplit
from bench.registry import whole_dataset

SPLITS = ("train", "dev")
"""The first of these that a dataset has gives its training queries."""


def embed_training(dataset: str, encoder: str) -> Embeddings:
    """Return the embeddings of the split ``train``, or else ``dev``, of a dataset.

    `dataset` and `encoder` are named as in a study; `encoder` is empty for ready vectors. A part of
    a corpus has the training queries of the whole. Raises MissingSplit if it has neither split.
    """
    whole, problem = whole_dataset(dataset), ""
    for split in SPLITS:
        try:
            return embed(whole, encoder or None, split=split, progress=False)
        except MissingSplit as error:
            problem = problem or str(error)
    raise MissingSplit(problem)


def unscored(training: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Return the rows of `training` (m, D) that are not among the `scored` queries (q, D).

    float32. A query of both splits would let a reducer learn from what it is measured by.
    """
    known = {row.tobytes() for row in np.ascontiguousarray(scored)}
    rows = [row.tobytes() not in known for row in np.ascontiguousarray(training)]
    return np.asarray(training[np.array(rows, bool)])
