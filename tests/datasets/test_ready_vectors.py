"""Ready vectors: accepted formats, and files that are refused rather than misread."""

import contextlib
import sys
from datetime import datetime

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.datasets import _hdf5
from bench.embeddings import embed
from bench.errors import DataError, UsageError

VECTORS = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)


def load(path, split="test"):
    return embed(f"vectors:{path}", split=split, progress=False)


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
    assert (list(data.query_ids), data.qrels) == (["x", "z"], {"x": {"0": 2}, "z": {"2": 1}})
    np.testing.assert_array_equal(data.queries, VECTORS[[0, 2]])
    assert data.own is None
    assert isinstance(data.corpus, np.memmap)


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
    assert load(tmp_path / "c#2").corpus.shape == (10, 4)


@pytest.mark.parametrize("distance", ["angular", np.bytes_("angular"), "dot"])
def test_hdf5_of_a_metric_that_is_measured_here(tmp_path, distance):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"] = VECTORS.astype(np.float16), VECTORS[:2]
        file.attrs["distance"] = distance
    data = load(tmp_path / "x.hdf5")
    assert data.corpus.dtype == data.queries.dtype == np.float32
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
    np.testing.assert_array_equal(load(one).corpus, VECTORS)
    two = parquet(tmp_path / "two.parquet", emb=vectors, small=list(VECTORS[:, :2]))
    assert load(f"{two}#small").corpus.shape == (10, 2)
    for path, message in (
        (two, "#COLUMN; columns of lists: emb, small"),
        (f"{two}#no", "called 'no'"),
        (parquet(tmp_path / "tags.parquet", tags=[["a"]]), "#COLUMN; columns of lists: tags"),
        (
            parquet(tmp_path / "empty.parquet", emb=pa.array([], pa.list_(pa.float32()))),
            "'emb' is empty",
        ),
        (parquet(tmp_path / "uneven.parquet", emb=[[1.0], [1.0, 2.0]]), "have different lengths"),
        (
            parquet(tmp_path / "hole.parquet", emb=[[1.0, 2.0], [None, 1.0]]),
            "1 documents contain NaN.*: 1",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            load(path)


def test_fvecs_that_are_cut_off(tmp_path):
    whole = np.hstack([np.full((10, 1), 4, "<i4").view("<f4"), VECTORS]).astype("<f4").tobytes()
    for cut in (whole[:-4], whole[:-2], whole + b"x", b""):
        (tmp_path / "x.fvecs").write_bytes(cut)
        with pytest.raises(UsageError, match=r"not an \.fvecs file"):
            load(tmp_path / "x.fvecs")


@pytest.mark.filterwarnings("error")
def test_very_long_vectors(tmp_path):
    np.save(tmp_path / "corpus.npy", VECTORS * np.float32(1e25))
    assert any("e+2" in note for note in load(tmp_path).notes), (
        "the note has their length, not 'inf'"
    )
    np.save(tmp_path / "corpus.npy", VECTORS.astype(np.float64) * 1e60)
    with pytest.raises(
        UsageError, match="10 documents contain NaN or infinite numbers: 0, 1, 2, …"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ids", "message"),
    [("a\nb\n", "2 document ids for 10 vectors"), ("a\n" * 10, "more than once")],
)
def test_ids_that_do_not_fit(tmp_path, ids, message):
    np.save(tmp_path / "corpus.npy", VECTORS)
    (tmp_path / "corpus_ids.txt").write_text(ids)
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


def test_the_sample_that_asks_is_seeded(tmp_path):
    np.save(tmp_path / "corpus.npy", np.random.default_rng(1).standard_normal((1500, 3)))
    one, two = load(tmp_path), load(tmp_path)
    np.testing.assert_array_equal(one.own, two.own)
    assert (len(set(one.own.tolist())), one.own.dtype) == (1000, np.int64)
    assert list(one.query_ids) == [one.doc_ids[i] for i in one.own]
    assert one.dataset_fingerprint == two.dataset_fingerprint


def test_ready_vectors_of_bge_large(shared_beir):
    path = shared_beir("cranfield").parents[1] / "vectors" / "web-bible-bge-large"
    if not path.is_dir():
        pytest.skip("needs the vectors in ../shared/data/vectors/web-bible-bge-large")
    data = load(path)
    assert data.corpus.shape == (3124, 1024)
    assert len(set(data.doc_ids)) == 3124
    assert not any("unit length" in note for note in data.notes)


def npy(path, header):
    """Write an array file with a header as it is given, and 160 bytes of data."""
    text = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(160))
    return path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("descr", "shape", "message"),
    [
        ("'<f4'", "(10, 4), (", "is not an array file"),
        ("'<f4'", "(True, 4)", "is not an array file"),
        ("'<f4'", "(-1, 4)", "is not an array file"),
        ("'<f4'", "(1000000000000, 4)", "is not an array file.*larger|greater than file size"),
        ("'<f4'", f"({2**62}, {2**62})", "is not an array file"),
        ("'<f4'", f"({10**30}, 0)", "is not an array file"),
        ("'|S0'", "(1000000000000, 4)", "must be an array of numbers"),
        ("'<m8[s]'", "(5, 4)", "must be an array of numbers"),
        ("'|O'", "(5, 4)", "holds Python objects"),
    ],
)
def test_array_files_whose_header_is_damaged_or_claims_too_much(tmp_path, descr, shape, message):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    with pytest.raises(DataError, match=message):
        load(npy(tmp_path / "x.npy", header))


def test_parquet_with_a_damaged_page(tmp_path):
    path = parquet(tmp_path / "x.parquet", emb=list(VECTORS))
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as parquet"):
        load(path)


def test_parquet_whose_footer_is_damaged_in_any_byte_ends_nothing(tmp_path):
    whole = parquet(tmp_path / "x.parquet", emb=list(VECTORS)).read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    for position in range(len(whole) - 8 - footer, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        (tmp_path / "x.parquet").write_bytes(damaged)
        with contextlib.suppress(DataError):
            load(tmp_path / "x.parquet")


def test_parquet_with_ids_that_are_no_text_or_no_time(tmp_path):
    noise = pa.array([b"\xff\xfe"] * 10).view(pa.string())
    far = pa.array([2**62] * 10).view(pa.timestamp("us"))
    for name, ids in (("text", noise), ("time", far)):
        with pytest.raises(DataError, match=rf"{name}\.parquet"):
            load(parquet(tmp_path / f"{name}.parquet", id=ids, emb=list(VECTORS)))
    days = [datetime(2026, 1, day + 1) for day in range(10)]
    assert load(parquet(tmp_path / "x.parquet", id=days, emb=list(VECTORS))).doc_ids[0] == str(
        days[0]
    )


def test_parquet_columns_of_one_name_or_of_lists_of_texts(tmp_path):
    twice = pa.table([pa.array(list(VECTORS)), pa.array(list(VECTORS))], names=["emb", "emb"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="several columns called 'emb'"):
        load(f"{tmp_path / 'twice.parquet'}#emb")
    path = parquet(tmp_path / "tags.parquet", tags=[["a"]], emb=[[1.0]])
    with pytest.raises(DataError, match="lists in 'tags' hold string"):
        load(f"{path}#tags")


@pytest.mark.parametrize(
    ("most", "message"),
    [(100_000, "claims 200000 rows, which a file"), (250_000, "take more than 250000")],
)
def test_parquet_that_claims_more_than_its_file_can_hold(tmp_path, monkeypatch, most, message):
    path = parquet(tmp_path / "x.parquet", emb=list(np.zeros((200_000, 4), np.float32)))
    monkeypatch.setattr("bench.parquet._ALWAYS_FINE", 0)
    monkeypatch.setattr("bench.parquet._MOST_INFLATED", most / path.stat().st_size)
    with pytest.raises(DataError, match=rf"x\.parquet .* {message}"):
        load(path)


def test_hdf5_that_claims_more_than_its_file_can_hold(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", (2**40, 100), np.float32, chunks=(1000, 100))
    with pytest.raises(DataError, match="more than a file of its size can hold"):
        load(tmp_path / "x.hdf5")


@pytest.mark.parametrize("array", [np.ones(3), ["text"], np.ones((2, 2), complex), np.ones((0, 4))])
def test_hdf5_whose_array_is_no_table_of_numbers(tmp_path, array):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"] = array
    with pytest.raises(DataError, match=r"x\.hdf5: 'train'"):
        load(tmp_path / "x.hdf5")


def test_hdf5_of_many_blocks_and_of_chunks(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", data=VECTORS, chunks=(3, 2), compression="gzip")
        file["test"] = VECTORS[:3]
    monkeypatch.setattr(_hdf5, "_BLOCK_BYTES", 16)
    data = load(tmp_path / "x.hdf5")
    np.testing.assert_array_equal(data.corpus, VECTORS)
    np.testing.assert_array_equal(data.queries, VECTORS[:3])
    assert isinstance(data.corpus, np.memmap)


@pytest.mark.parametrize("hangs", ["describe", "copy"])
def test_hdf5_that_hangs_the_library_is_given_up_on(tmp_path, monkeypatch, hangs):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("train", (10, 4), np.float32, chunks=(10, 4))
    command = _hdf5._command
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(
        _hdf5, "_command", lambda path, *task: sleeping if hangs in task else command(path, *task)
    )
    monkeypatch.setattr(_hdf5, f"{hangs.upper()}_SECONDS", 1.0)
    with pytest.raises(DataError, match=r"x\.hdf5 is damaged.* not read within 1 s"):
        load(tmp_path / "x.hdf5")


def test_hdf5_that_crashes_the_library_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.hdf5").write_bytes(b"")
    (tmp_path / "crash").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "crash").chmod(0o755)
    monkeypatch.setattr(_hdf5.sys, "executable", str(tmp_path / "crash"))
    with pytest.raises(DataError, match=r"x\.hdf5 is damaged.*SIGSEGV"):
        load(tmp_path / "x.hdf5")


@pytest.mark.filterwarnings("error")
def test_fvecs_of_the_largest_width(tmp_path):
    (tmp_path / "x.fvecs").write_bytes(np.full(10, 2**31 - 1, "<i4").tobytes())
    with pytest.raises(DataError, match=r"not an \.fvecs file"):
        load(tmp_path / "x.fvecs")
