"""Permutations are scored as ordinary exact search would, and ranked with truncation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.embeddings.sets import Embeddings
from bench.exact.one_pass import exact_topk
from bench.measuring import subsets
from bench.measuring.jobs import Data, ExactJob, ExactKey
from bench.measuring.runner import run
from bench.measuring.subsets import permutations, ranked, sample
from bench.quality.measures import relevance
from bench.reducers.random_subset import RandomSubset

DIMENSIONS = [3, 8, 20]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((300, 24)).astype(np.float32)
    corpus[50:60] = corpus[40:50]  # copies tie at every dimension
    queries = corpus[40:80] + 0.5 * rng.standard_normal((40, 24)).astype(np.float32)
    grades = ({"7": 0, str(40 + i): 2, str((90 + i) % 300): 1, "?gone": 1} for i in range(40))
    return Embeddings(
        folder=Path(),
        key="",
        dataset="d",
        dataset_fingerprint="",
        encoder="",
        synthetic=False,
        notes=(),
        corpus=corpus,
        unit=False,
        queries=queries,
        query_ids=[f"q{i}" for i in range(40)],
        qrels=dict(zip((f"q{i}" for i in range(40)), grades, strict=True)),
        own=None,
        groups=None,
        sample_texts=(),
    )


def by_search(data, order, own=None):
    found = exact_topk(
        data.queries,
        data.corpus,
        DIMENSIONS,
        10,
        transform=None if order is None else lambda block: np.ascontiguousarray(block[:, order]),
        own=own,
    )
    return [
        relevance(found[d][0], data.query_ids, data.qrels, 10)["ndcg_at_10"].mean()
        for d in DIMENSIONS
    ]


@pytest.mark.parametrize("own", [None, np.arange(100, 140)])
def test_quality_equals_that_of_ordinary_search(data, own):
    data = replace(data, own=own)
    drawn = sample(data, 0)
    assert len(drawn.queries) == 40
    for order in (None, *permutations(24, 3, 0)):
        np.testing.assert_allclose(drawn.quality(DIMENSIONS, order), by_search(data, order, own))


def test_the_reducer_random_subset_gives_the_same(data):
    reducer = RandomSubset(seed=3)
    reducer.fit(data.corpus)
    found = sample(data, 0).quality(DIMENSIONS, reducer.order)
    np.testing.assert_allclose(found, by_search(data, reducer.order))


def test_a_sample_of_queries_and_documents_is_scored_alike(data, monkeypatch):
    monkeypatch.setattr(subsets, "PAIRS", 30)
    monkeypatch.setattr(subsets, "DOCUMENTS", 100)
    drawn = sample(data, 1)
    assert len(drawn.rows) == 30
    assert len(drawn.queries) == 15
    assert 100 <= len(drawn.corpus) <= 130
    asked = [int(np.flatnonzero((data.queries == query).all(axis=1))[0]) for query in drawn.queries]
    for row, document in zip(drawn.rows, drawn.ids, strict=True):
        grades = data.qrels[f"q{asked[row]}"]
        places = np.flatnonzero((data.corpus == drawn.corpus[document]).all(axis=1))
        assert any(grades.get(str(place), 0) > 0 for place in places)


def test_without_judgements_the_ten_nearest_are_relevant(data):
    drawn = sample(replace(data, qrels=None), 0)
    assert drawn.quality([24], None).tolist() == [1.0]
    order = permutations(24, 1, 0)[0]
    full = exact_topk(drawn.queries, drawn.corpus, [24], 10)[24][0]
    short = exact_topk(
        drawn.queries, drawn.corpus, [8], 10, transform=lambda b: np.ascontiguousarray(b[:, order])
    )[8][0]
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(full, short, strict=True)])
    assert drawn.quality([8], order)[0] == pytest.approx(kept)


def test_p_values_are_ranks():
    values = np.array([0.5, *np.linspace(0.1, 0.4, 19)])
    found = ranked(values)
    assert (found["subsets"], found["subsets_p_better"], found["subsets_p_worse"]) == (19, 0.05, 1)
    same = ranked(np.full(20, 0.3))
    assert same["subsets_p_better"] == same["subsets_p_worse"] == 1


def test_only_truncations_rows_hold_them(vector_folder, tmp_path):
    (tmp_path / "s.toml").write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [4, 16, 32]\n'
        'reducers = ["truncate", "pca"]\nsubsets = 39\n'
    )
    frame = run(tmp_path / "s.toml", tmp_path / "out", progress=False)
    held = frame[frame["subsets"].notna()]
    assert (held["reducer"] == "truncate").all()
    assert sorted(held["dim"]) == [4, 16]
    assert (held["subsets_low"] <= held["subsets_median"]).all()
    assert (held["subsets_quality"] - held["ndcg_at_10"]).abs().max() < 1e-9, "all queries fit"
    # Its coordinates are in descending order of variance.
    assert held.set_index("dim").loc[4, "subsets_p_better"] <= 0.05
    none = run(tmp_path / "s.toml", tmp_path / "none", ["subsets=0"], progress=False)
    assert none["subsets"].isna().all()
    again = run(tmp_path / "s.toml", tmp_path / "none", progress=False)
    assert again["subsets"].notna().sum() == 2, "another number is measured anew"


def test_of_many_dimensions_some_at_equal_steps_are_ranked(data, tmp_path, monkeypatch):
    monkeypatch.setattr(subsets, "DIMENSIONS", 3)
    key = ExactKey(
        data=Data(folder=tmp_path, encoder="", max_queries=None, seed=0),
        reducer="truncate",
        reducer_params="",
        reducer_key="",
        dimensions=(2, 4, 6, 8, 10, 24),
        depth=10,
    )
    job = ExactJob(cores=[0], exact=key, full=key, trials={}, subsets=4)
    done = []
    found = subsets.subset_columns(job, data, done.append)
    assert list(found) == [2, 6, 10]
    assert done == [0, 1, 2, 3, 4]
