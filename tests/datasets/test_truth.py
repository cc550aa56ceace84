"""Ready ground truth is used where it holds, and what does not hold is said."""

import re

import h5py
import numpy as np
import pytest

from bench.datasets import load_dataset
from bench.embeddings import embed
from bench.errors import DataError
from bench.exact import exact_topk
from bench.measuring import exact_pass
from bench.measuring.exact_pass import run_exact
from bench.measuring.jobs import Data, ExactJob, ExactKey
from bench.measuring.prepared import ExactResults

N, D, Q, K = 500, 16, 40, 30
RNG = np.random.default_rng(0)
CORPUS, QUERIES = (RNG.standard_normal((rows, D)).astype(np.float32) for rows in (N, Q))
COSINES = (QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)) @ (
    CORPUS / np.linalg.norm(CORPUS, axis=1, keepdims=True)
).T
TRUTH = np.argsort(-COSINES, axis=1)[:, :K].astype("<i4")
L2 = np.argsort(((QUERIES[:, None] - CORPUS) ** 2).sum(axis=2), axis=1)[:, :K].astype("<i4")


def fbin(path, vectors):
    path.write_bytes(np.array(vectors.shape, "<u4").tobytes() + vectors.tobytes())


def ibin(path, truth, distances=True):
    tail = np.zeros(truth.shape, "<f4").tobytes() if distances else b""
    path.write_bytes(np.array(truth.shape, "<u4").tobytes() + truth.tobytes() + tail)


@pytest.fixture
def folder(tmp_path):
    fbin(tmp_path / "base.10M.fbin", CORPUS)
    fbin(tmp_path / "query.public.10K.fbin", QUERIES)
    return tmp_path


def found(folder, options=""):
    return embed(
        f"vectors:{folder / 'base.10M.fbin'}{options}", cache=folder / "cache", progress=False
    )


def said(data):
    (note,) = [note for note in data.notes if "ground truth" in note]
    return note


@pytest.mark.parametrize("distances", [True, False])
def test_ground_truth_of_big_ann_is_checked_and_taken(folder, distances):
    ibin(folder / "GT.public.10M.ibin", TRUTH, distances)
    data = found(folder)
    np.testing.assert_array_equal(data.truth, TRUTH)
    assert "agrees with exact search on a sample of 32" in said(data)
    np.testing.assert_array_equal(data.truth, found(folder).truth)


def test_ground_truth_of_texmex(tmp_path):
    for name, array in (
        ("base.fvecs", CORPUS),
        ("query.fvecs", QUERIES),
        ("groundtruth.ivecs", TRUTH),
    ):
        widths = np.full((len(array), 1), array.shape[1], "<i4")
        (tmp_path / f"x_{name}").write_bytes(np.hstack([widths, array.view("<i4")]).tobytes())
    data = embed(f"vectors:{tmp_path / 'x_base.fvecs'}", cache=tmp_path, progress=False)
    np.testing.assert_array_equal(data.truth, TRUTH)


@pytest.mark.parametrize("stored", [{}, {"compression": "gzip"}])
def test_ground_truth_of_ann_benchmarks(tmp_path, stored):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", data=CORPUS, **stored)
        file.create_dataset("test", data=QUERIES, **stored)
        file.create_dataset("neighbors", data=TRUTH, **stored)
    data = embed(f"vectors:{tmp_path / 'x.hdf5'}", cache=tmp_path, progress=False)
    np.testing.assert_array_equal(data.truth, TRUTH)
    np.testing.assert_array_equal(data.corpus, CORPUS)


def test_ground_truth_that_is_named(folder):
    np.save(folder / "mine.npy", TRUTH)
    np.testing.assert_array_equal(found(folder, f"?truth={folder / 'mine.npy'}").truth, TRUTH)
    np.save(folder / "mine.npy", TRUTH.astype(float))
    for name, message in (("mine.npy", "whole numbers"), ("none.ibin", "no such file")):
        with pytest.raises(DataError, match=message):
            load_dataset(f"vectors:{folder / 'base.10M.fbin'}?truth={folder / name}")


def test_ground_truth_of_another_crop_stands_aside(folder):
    ibin(folder / "GT.10M.ibin", TRUTH)
    ibin(folder / "GT.1B.ibin", TRUTH[::-1].copy())
    np.testing.assert_array_equal(found(folder).truth, TRUTH)
    (folder / "GT.10M.ibin").rename(folder / "GT.2M.ibin")
    data = found(folder)
    assert data.truth is None
    assert "there are several (GT.1B.ibin, GT.2M.ibin); name one" in said(data)


@pytest.mark.parametrize(
    ("truth", "why"),
    [
        (L2, "is not used: on .* it is not what exact search by cosine finds"),
        (TRUTH[:, ::-1].copy(), "is not used: on 32 of a sample of 32"),
        (np.where(TRUTH[0, 0] == TRUTH, N, TRUTH), f"documents outside the {N} of the corpus"),
        (np.where(TRUTH[0, 0] == TRUTH, -1, TRUTH), f"documents outside the {N} of the corpus"),
        (np.repeat(TRUTH[:, :1], 3, axis=1), "names a document twice"),
        (TRUTH[:-1], "it has 39 queries instead of 40"),
    ],
)
def test_ground_truth_that_does_not_hold(folder, truth, why):
    ibin(folder / "groundtruth.ibin", truth.astype("<i4"))
    data = found(folder)
    assert data.truth is None
    assert re.search(why, said(data))


def test_a_file_that_is_no_ground_truth(folder):
    (folder / "gt.ibin").write_bytes(b"12345678 and more")
    data = found(folder)
    assert data.truth is None
    assert "no ground truth is used" in said(data)
    assert "is no ground truth of big-ann" in said(data)


def test_equal_neighbours_may_stand_in_any_order(tmp_path):
    fbin(tmp_path / "base.10M.fbin", np.vstack([CORPUS, CORPUS]))
    fbin(tmp_path / "query.fbin", QUERIES)
    both = np.stack([TRUTH + N, TRUTH], axis=2).reshape(Q, -1)
    ibin(tmp_path / "gt.ibin", both.astype("<i4"))
    assert found(tmp_path).truth is not None


def test_a_sample_of_queries_keeps_their_ground_truth(folder):
    ibin(folder / "gt.ibin", TRUTH)
    some = embed(
        f"vectors:{folder / 'base.10M.fbin'}", cache=folder / "cache", max_queries=7, progress=False
    )
    rows = [int(query) for query in some.query_ids]
    assert len(rows) == 7
    np.testing.assert_array_equal(some.truth, TRUTH[rows])


def searched(data, dimensions, depth, monkeypatch):
    """Return the results of the exact pass, and the dimensions that it searched."""
    asked = []

    def counted(queries, corpus, dimensions, *others, **named):
        asked.extend(dimensions)
        return search(queries, corpus, dimensions, *others, **named)

    search = exact_pass.exact_search
    monkeypatch.setattr(exact_pass, "exact_search", counted)
    key = ExactKey(
        data=Data(folder=data.folder, encoder="", max_queries=None, seed=0),
        reducer="truncate",
        reducer_params="{}",
        reducer_key="",
        dimensions=dimensions,
        depth=depth,
    )
    run_exact(ExactJob(cores=[], exact=key, full=key, trials={}), lambda event: None)
    return ExactResults(key), asked


def test_the_exact_pass_is_saved_where_ground_truth_suffices(folder, monkeypatch):
    ibin(folder / "gt.ibin", TRUTH)
    data = found(folder)
    expected = exact_topk(QUERIES, CORPUS, [4, D], K)
    for dimensions, depth, left in (
        ((4, D), K, [4]),
        ((D,), 10, []),
        ((4, D), K + 1, [4, D]),
        ((4,), K, [4]),
    ):
        results, asked = searched(data, dimensions, depth, monkeypatch)
        assert asked == left
        for d in dimensions:
            np.testing.assert_array_equal(results.ids(d)[:, :K], expected[d][0][:, :depth])
        monkeypatch.undo()


def test_with_judgements_the_pass_ranks_at_the_full_dimension_too(tmp_path, monkeypatch):
    fbin(tmp_path / "corpus.fbin", CORPUS)
    fbin(tmp_path / "queries.fbin", QUERIES)
    ibin(tmp_path / "groundtruth.ibin", TRUTH)
    (tmp_path / "qrels.tsv").write_text(f"3\t{TRUTH[3, 5]}\t1\n5\t{TRUTH[5, 0]}\t1\n")
    data = embed(f"vectors:{tmp_path}", cache=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(data.truth, TRUTH[[3, 5]])
    results, asked = searched(data, (4, D), 10, monkeypatch)
    assert asked == [4, D]
    assert results.ranks(D).tolist() == [6, 1]
