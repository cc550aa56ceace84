"""Ready vectors: what is understood, and what is refused rather than misread."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.datasets import load_dataset
from bench.errors import UsageError

VECTORS = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)


def load(path, split="test"):
    return load_dataset(f"vectors:{path}", split)


@pytest.fixture
def judged(tmp_path):
    np.save(tmp_path / "corpus.npy", VECTORS)
    np.save(tmp_path / "queries.npy", VECTORS[:3])
    (tmp_path / "corpus_ids.txt").write_bytes(
        b"\xef\xbb\xbf" + b"".join(b"d%d\r\n" % i for i in range(10))
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "x"}\n{"_id": "y"}\n{"_id": "z"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nz\td2\t1\nx\td0\t2\ny\td1\t0\n"
    )
    return tmp_path


def test_only_judged_queries_are_kept_with_their_vectors(judged):
    data = load(judged)
    assert (list(data.query_ids), data.qrels) == (["x", "z"], {"x": {"d0": 2}, "z": {"d2": 1}})
    np.testing.assert_array_equal(data.query_vectors, VECTORS[[0, 2]])
    assert data.own is None
    assert isinstance(data.corpus_vectors, np.memmap)


def test_an_unknown_split_is_not_taken_for_no_judgements(judged):
    with pytest.raises(UsageError, match="there are the splits test"):
        load(judged, "dev")


def test_judgements_without_queries_are_not_matched_to_row_numbers(judged):
    for name in ("queries.npy", "queries.jsonl", "corpus_ids.txt"):
        (judged / name).unlink()
    (judged / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n0\t1\t1\n")
    with pytest.raises(UsageError, match=r"no query vectors; add queries\.npy"):
        load(judged)


def test_judgements_beside_the_vectors(judged):
    (judged / "qrels" / "test.tsv").rename(judged / "qrels.tsv")
    (judged / "qrels").rmdir()
    assert list(load(judged).query_ids) == ["x", "z"]


def test_a_path_may_hold_a_hash(tmp_path):
    (tmp_path / "c#2").mkdir()
    np.save(tmp_path / "c#2" / "corpus.npy", VECTORS)
    assert load(tmp_path / "c#2").corpus_vectors.shape == (10, 4)


@pytest.mark.parametrize("distance", ["angular", np.bytes_("angular"), "dot"])
def test_hdf5_of_a_metric_that_is_measured_here(tmp_path, distance):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"] = VECTORS.astype(np.float16), VECTORS[:2]
        file.attrs["distance"] = distance
    data = load(tmp_path / "x.hdf5")
    assert data.corpus_vectors.dtype == data.query_vectors.dtype == np.float32
    assert not any("distance" in note for note in data.notes)


@pytest.mark.parametrize("group", ["train", "other"])
def test_hdf5_without_an_array(tmp_path, group):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_group(group)
    with pytest.raises(UsageError, match="has no array 'train'"):
        load(tmp_path / "x.hdf5")


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_columns(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 4)
    one = parquet(
        tmp_path / "one.parquet", tags=[["a", "b"]] * 10, tokens=[[1, 2]] * 10, emb=vectors
    )
    np.testing.assert_array_equal(load(one).corpus_vectors, VECTORS)
    two = parquet(tmp_path / "two.parquet", emb=vectors, small=list(VECTORS[:, :2]))
    assert load(f"{two}#small").corpus_vectors.shape == (10, 2)
    for path, says in (
        (two, "#COLUMN; columns of lists: emb, small"),
        (f"{two}#no", "called 'no'"),
        (parquet(tmp_path / "tags.parquet", tags=[["a"]]), "#COLUMN; columns of lists: tags"),
        (
            parquet(tmp_path / "empty.parquet", emb=pa.array([], pa.list_(pa.float32()))),
            "'emb' is empty",
        ),
        (parquet(tmp_path / "uneven.parquet", emb=[[1.0], [1.0, 2.0]]), "of different lengths"),
        (
            parquet(tmp_path / "hole.parquet", emb=[[1.0, 2.0], [None, 1.0]]),
            "1 documents hold NaN.*: 1",
        ),
    ):
        with pytest.raises(UsageError, match=says):
            load(path)


def test_fvecs_that_are_cut_off(tmp_path):
    whole = np.hstack([np.full((10, 1), 4, "<i4").view("<f4"), VECTORS]).astype("<f4").tobytes()
    for cut in (whole[:-4], whole[:-2], whole + b"x", b""):
        (tmp_path / "x.fvecs").write_bytes(cut)
        with pytest.raises(UsageError, match=r"no \.fvecs file"):
            load(tmp_path / "x.fvecs")


@pytest.mark.filterwarnings("error")
def test_very_long_vectors(tmp_path):
    np.save(tmp_path / "corpus.npy", VECTORS * np.float32(1e25))
    assert any("e+2" in note for note in load(tmp_path).notes), "their length is told, not 'inf'"
    np.save(tmp_path / "corpus.npy", VECTORS.astype(np.float64) * 1e60)
    with pytest.raises(UsageError, match="10 documents hold NaN or infinite numbers: 0, 1, 2, …"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ids", "says"), [("a\nb\n", "2 document ids for 10 vectors"), ("a\n" * 10, "more than once")]
)
def test_ids_that_do_not_fit(tmp_path, ids, says):
    np.save(tmp_path / "corpus.npy", VECTORS)
    (tmp_path / "corpus_ids.txt").write_text(ids)
    with pytest.raises(UsageError, match=says):
        load(tmp_path)


def test_the_sample_that_asks_is_seeded(tmp_path):
    np.save(tmp_path / "corpus.npy", np.random.default_rng(1).standard_normal((1500, 3)))
    one, two = load(tmp_path), load(tmp_path)
    np.testing.assert_array_equal(one.own, two.own)
    assert (len(set(one.own.tolist())), one.own.dtype) == (1000, np.int64)
    assert list(one.query_ids) == [one.doc_ids[i] for i in one.own]
    assert one.fingerprint == two.fingerprint


def test_ready_vectors_of_bge_large(shared_beir):
    path = shared_beir("cranfield").parents[1] / "vectors" / "web-bible-bge-large"
    if not path.is_dir():
        pytest.skip("needs the vectors in ../shared/data/vectors/web-bible-bge-large")
    data = load(path)
    assert data.corpus_vectors.shape == (3124, 1024)
    assert len(set(data.doc_ids)) == 3124
    assert not any("unit length" in note for note in data.notes)
