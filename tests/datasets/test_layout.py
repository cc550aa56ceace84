"""Which files belong together, by name, in the forms that corpora are published in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.datasets import load_dataset
from bench.embeddings import embed
from bench.errors import DataError, UsageError

CORPUS = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
QUERIES = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)


def load(argument):
    return load_dataset(f"vectors:{argument}")


def taken_in(argument, tmp_path):
    return embed(f"vectors:{argument}", cache=tmp_path / "cache", progress=False)


def header_first(path, vectors):
    path.write_bytes(np.array(vectors.shape, "<u4").tobytes() + vectors.tobytes())
    return path


def width_first(path, vectors):
    widths = np.full((len(vectors), 1), vectors.shape[1], "<i4").view(np.uint8)
    numbers = np.ascontiguousarray(vectors).view(np.uint8)
    path.write_bytes(np.hstack([widths, numbers]).tobytes())
    return path


@pytest.mark.parametrize(
    ("base", "query"),
    [
        ("sift_base.fbin", "sift_query.fbin"),
        ("base.1B.fbin", "query.public.10K.fbin"),
        ("base.1B.fbin.crop_nb_10000000", "query.public.10K.fbin"),
        ("text2image.base.1B.fbin", "text2image.query.fbin"),
        ("x_learn.fbin", "x_query.fbin"),
        ("deep.fbin", "deep_queries.fbin"),
        ("deep.fbin", "deep.Query.fbin"),
    ],
)
def test_queries_are_found_beside_the_corpus(tmp_path, base, query):
    header_first(tmp_path / base, CORPUS)
    header_first(tmp_path / query, QUERIES)
    header_first(tmp_path / "other_query.fbin", QUERIES[:1])
    header_first(tmp_path / "queryless.fbin", QUERIES[:1])
    found = taken_in(tmp_path / base, tmp_path)
    np.testing.assert_array_equal(found.corpus, CORPUS)
    np.testing.assert_array_equal(found.queries, QUERIES)


def test_one_of_several_files_of_queries_has_to_be_named(tmp_path):
    base = header_first(tmp_path / "base.10M.fbin", CORPUS)
    for name in ("public", "heldout"):
        header_first(tmp_path / f"query.{name}.fbin", QUERIES)
    with pytest.raises(
        DataError, match=r"heldout\.fbin, query\.public\.fbin\); name one as .*\?quer"
    ):
        load(base)
    data = load(f"{base}?queries={tmp_path / 'query.public.fbin'}")
    np.testing.assert_array_equal(data.query_vectors, QUERIES)
    with pytest.raises(UsageError, match="no option 'querys'; did you mean 'queries'"):
        load(f"{base}?queries=x&querys=y")


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".fbin", np.float32), (".u8bin", np.uint8), (".i8bin", np.int8)]
)
def test_files_of_big_ann(tmp_path, suffix, kind):
    corpus = (20 * np.abs(CORPUS)).astype(kind) + kind(1)
    base = header_first(tmp_path / f"x{suffix}", corpus)
    found = taken_in(base, tmp_path)
    np.testing.assert_array_equal(found.corpus, corpus.astype(np.float32))
    assert mapped(found, tmp_path) == (kind is np.float32)
    for cut in (base.read_bytes()[:-1], base.read_bytes() + b"x", b"1234"):
        base.write_bytes(cut)
        with pytest.raises(DataError, match=rf"is not an \{suffix} file"):
            load(base)


@pytest.mark.parametrize(("suffix", "kind"), [(".fvecs", np.float32), (".bvecs", np.uint8)])
def test_files_of_texmex(tmp_path, suffix, kind):
    corpus = (20 * np.abs(CORPUS)).astype(kind) + kind(1)
    base = width_first(tmp_path / f"x_base{suffix}", corpus)
    width_first(tmp_path / f"x_query{suffix}", corpus[:3])
    found = taken_in(base, tmp_path)
    np.testing.assert_array_equal(found.corpus, corpus.astype(np.float32))
    np.testing.assert_array_equal(found.queries, corpus[:3].astype(np.float32))
    damaged = bytearray(base.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    base.write_bytes(damaged)
    with pytest.raises(DataError, match="different widths"):
        taken_in(base, tmp_path)


@pytest.mark.parametrize("kind", ["<f2", "<f8", ">f4", "|i1", "fortran", "<f4"])
def test_arrays_of_every_type(tmp_path, kind):
    array = np.asfortranarray(CORPUS) if kind == "fortran" else (9 * CORPUS).astype(kind)
    array[:, 0] = 1
    np.save(tmp_path / "corpus.npy", array)
    found = taken_in(tmp_path, tmp_path)
    np.testing.assert_array_equal(found.corpus, array.astype(np.float32))
    assert mapped(found, tmp_path) == (kind == "<f4")


def mapped(found, tmp_path):
    """Return whether the corpus is read from the user's own file."""
    return tmp_path / "cache" not in Path(found.corpus.filename).parents


def test_shards_are_read_in_natural_order(tmp_path):
    for i, part in enumerate(np.split(CORPUS, 12)):
        np.save(tmp_path / f"corpus_{i}.npy", part)
    np.save(tmp_path / "queries.npy", QUERIES)
    np.testing.assert_array_equal(taken_in(tmp_path, tmp_path).corpus, CORPUS)
    np.save(tmp_path / "corpus_3.npy", QUERIES[:1, :3])
    with pytest.raises(DataError, match=r"corpus_3\.npy has vectors of 3 dimensions.*0\.npy of 4"):
        load(tmp_path)


def tables(folder, writer, name="train", ids=True):
    folder.mkdir(exist_ok=True)
    for i, part in enumerate(np.split(CORPUS, 3)):
        columns = {"emb": list(part), "text": ["a"] * 4}
        if ids:
            columns["_id"] = [f"d{4 * i + j}" for j in range(4)]
        writer(pa.table(columns), folder / f"{name}-{i:05d}-of-00003")


def parquet(table, path):
    pq.write_table(table, f"{path}.parquet")


def arrow(opener):
    def write(table, path):
        with opener(f"{path}.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=3)

    return write


@pytest.mark.parametrize("writer", [parquet, arrow(pa.ipc.new_file), arrow(pa.ipc.new_stream)])
def test_folders_of_tables(tmp_path, writer):
    tables(tmp_path / "dump", writer)
    (tmp_path / "dump" / "state.json").write_text("{}")
    found = taken_in(f"{tmp_path / 'dump'}#emb", tmp_path)
    np.testing.assert_array_equal(found.corpus, CORPUS)
    assert list(found.doc_ids) == [f"d{i}" for i in range(12)]
    assert found.doc_ids[7:9] == ["d7", "d8"]
    tables(tmp_path / "dump", writer, "test")
    with pytest.raises(DataError, match=r"several sets of vectors \(.*name one, for example as"):
        load(tmp_path / "dump")
    again = taken_in(f"{tmp_path / 'dump' / 'train-*'}#emb", tmp_path)
    np.testing.assert_array_equal(again.corpus, CORPUS)
    with pytest.raises(DataError, match="no column of lists called 'no'; there are: emb"):
        load(f"{tmp_path / 'dump' / 'train-*'}#no")


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.int8()])
@pytest.mark.parametrize("lists", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 4)])
def test_lists_of_every_type(tmp_path, kind, lists):
    whole = (9 * CORPUS).round()
    column = pa.array([row.astype(kind.to_pandas_dtype()) for row in whole], lists(kind))
    pq.write_table(pa.table({"emb": column}), tmp_path / "x.parquet", row_group_size=5)
    found = taken_in(f"{tmp_path / 'x.parquet'}#emb", tmp_path)
    np.testing.assert_array_equal(found.corpus, whole)


def test_a_folder_with_tables_queries_and_judgements(tmp_path):
    tables(tmp_path / "corpus", parquet)
    (tmp_path / "queries").mkdir()
    pq.write_table(
        pa.table({"id": [f"q{i}" for i in range(5)], "emb": list(QUERIES)}),
        tmp_path / "queries" / "0.parquet",
    )
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td7\t2\nq3\tgone\t1\n")
    found = taken_in(tmp_path, tmp_path)
    assert found.qrels == {"q3": {"7": 2, "?gone": 1}}
    np.testing.assert_array_equal(found.queries, QUERIES[3:4])


def test_ids_that_occur_in_two_files(tmp_path):
    for i in range(2):
        pq.write_table(
            pa.table({"id": ["a", f"b{i}"], "emb": list(CORPUS[:2])}), tmp_path / f"{i}.parquet"
        )
    with pytest.raises(DataError, match="1 document ids occur more than once: a"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["x.arrow", "x.parquet"])
def test_what_is_no_table(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 and nothing that follows from it PAR1")
    with pytest.raises(DataError, match=rf"{name} cannot be read as (Arrow|parquet)"):
        load(tmp_path / name)


def test_files_that_hold_no_vectors(tmp_path):
    (tmp_path / "x.txt").write_text("1 2 3")
    header_first(tmp_path / "x.fbin", CORPUS)
    with pytest.raises(UsageError, match="vectors must be a folder, or a file of"):
        load(tmp_path / "x.txt")
    with pytest.raises(UsageError, match="has no columns: leave out '#emb'"):
        load(f"{tmp_path / 'x.fbin'}#emb")
    with pytest.raises(DataError, match="there is no such file or folder"):
        load(tmp_path / "none*.fbin")
