"""Where an index begins to win: against lines whose crossing is known."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.crossing import crossings
from bench.analysis.tables import plain_trials

SIZES = (100, 200, 600)


def made(frame, scan, index, recall=1.0):
    """Return rows of one dimension: `scan` and `index` map n to ms, `recall` is the index's."""
    rows = plain_trials(frame)
    rows = rows[rows["dim"] == 32]
    one = {
        "faiss-flat": rows[rows["backend"] == "faiss-flat"].iloc[0],
        "faiss-hnsw": rows[rows["backend"] == "faiss-hnsw"].iloc[0],
    }
    found = []
    for n in SIZES:
        name = one["faiss-flat"]["dataset"] + (f"@{n}" if n < SIZES[-1] else "")
        for backend, of in (("faiss-flat", scan), ("faiss-hnsw", index)):
            good = 1.0 if backend == "faiss-flat" else recall(n) if callable(recall) else recall
            values = {"dataset": name, "n_corpus": n, "latency_ms_p50": of(n)}
            found.append({**one[backend], **values, "ann_recall_at_10": good})
    return pd.DataFrame(found)


def only(frame):
    (found,) = crossings(frame)
    return found


def test_it_lies_where_two_powers_meet(frame):
    # 1e-4 n = 0.003 n ** 0.4 where n ** 0.6 = 30
    found = only(made(frame, lambda n: 1e-4 * n, lambda n: 3e-3 * n**0.4))
    assert found.documents == pytest.approx(30 ** (1 / 0.6))
    assert found.ms == pytest.approx(1e-4 * 30 ** (1 / 0.6))
    assert not found.is_beyond
    assert (found.dim, found.backend) == (32, "faiss-hnsw")
    assert "@" not in found.dataset


def test_beyond_the_data_it_follows_what_both_grow_by(frame):
    found = only(made(frame, lambda n: 1e-4 * n, lambda n: 1e-2 * n**0.4))
    assert found.is_beyond
    assert found.documents == pytest.approx(100 ** (1 / 0.6))
    assert found.ms == pytest.approx(1e-4 * found.documents)


def test_an_index_may_win_always_or_never(frame):
    always = only(made(frame, lambda n: 1e-4 * n, lambda n: 1e-3 * n**0.4))
    assert always.always
    assert always.documents == 100
    never = only(made(frame, lambda n: 1e-4 * n, lambda n: 5e-4 * n))
    assert np.isnan(never.documents)
    far = only(made(frame, lambda n: 1e-4 * n, lambda n: 0.3 * n**0.4))
    assert np.isnan(far.documents), "600,000 documents are more than 100 times those measured"


def test_it_must_win_from_there_on(frame):
    noisy = {100: 0.001, 200: 0.03, 600: 0.04}
    found = only(made(frame, lambda n: 1e-4 * n, noisy.get))
    assert 200 < found.documents < 600


def test_a_search_that_finds_little_does_not_count(frame):
    def late(n):
        return 0.99 if n < 600 else 0.9

    found = only(made(frame, lambda n: 1e-4 * n, lambda n: 1e-3 * n**0.4, recall=late))
    assert list(found.index.index) == [100, 200]
    assert np.isnan(found.documents)


def test_one_size_is_no_crossing(frame):
    assert crossings(frame) == []
