"""The two-stage search against a plain numpy one."""

import numpy as np

from bench.backends.faiss_flat import FaissFlat
from bench.stages import TwoStage, rescore
from bench.vectors import truncate


def test_two_stages_find_what_plain_numpy_finds():
    rng = np.random.default_rng(0)
    corpus, queries = (truncate(rng.standard_normal((n, 48), dtype=np.float32), 48) for n in (800, 25))
    low_corpus, low_queries = truncate(corpus, 12), truncate(queries, 12)
    backend = FaissFlat()
    backend.build(low_corpus)
    found = TwoStage(backend, corpus, 40).search(low_queries, queries, 10)
    for row in range(25):
        shortlist = np.argsort(-(low_corpus @ low_queries[row]), kind="stable")[:40]
        best = shortlist[np.argsort(-(corpus[shortlist] @ queries[row]), kind="stable")[:10]]
        np.testing.assert_array_equal(found[row], best)


def test_padding_stays_last():
    vectors = np.eye(3, dtype=np.float32)
    found = rescore(np.array([[2, -1, 0, -1]]), vectors, np.array([[1.0, 0, 0]], np.float32), 4)
    np.testing.assert_array_equal(found, [[0, 2, -1, -1]])
