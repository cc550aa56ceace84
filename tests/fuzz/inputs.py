"""Targets that read what users bring: studies, datasets, vectors, price lists, addresses.

A `read` returns if it accepts its input. It asserts the guarantees that the rest of the suite
relies on, so that accepted nonsense counts as a failure too.
"""

from __future__ import annotations

import json
import random
import tempfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.analysis.money import load_prices
from bench.datasets import Dataset, load_dataset
from bench.embeddings import embed
from bench.gate.environments import requirements
from bench.reducers.adaptor import Adaptor, save_adaptor
from bench.study.plan import exact_reducers, plan
from bench.study.reader import load_study
from tests.fuzz.target import Target

N, D = 24, 4
F32 = pa.float32()


# ---------------------------------------------------------------------------------- the samples


def _vectors(rows: int = N) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, D)).astype(np.float32)


def _study(folder: Path, rng: random.Random) -> None:
    (folder / "study.toml").write_text(
        """name = "sample"
dataset = ["pydoc", "beir:corpus"]
encoder = "wordllama"
dimensions = [16, 32]
reducers = ["truncate", { name = "random_subset", seed = [0, 1] }]
k = 10
timeout_seconds = 60.5

[[configurations]]
backend = ["faiss-flat", "faiss-hnsw"]
precision = "float32"

[[configurations]]
backend = "faiss-hnsw"
reducer = "pca"
build = { M = [8, 16] }
search = { ef = [10, 20] }
stages = { shortlist = [20, 50], funnel = false }
dimensions = [8]
"""
    )


def _read_study(folder: Path) -> None:
    study = load_study(folder / "study.toml")
    assert exact_reducers(study)
    plan(study)


def _overrides(folder: Path, rng: random.Random) -> None:
    (folder / "set.txt").write_text(
        "dimensions = [8, 16]\nreducers=['pca', 'truncate']\nk=5\nsweep = \"pareto\"\nname=other\n"
        "queries = 20\nmemory_gib=1.5\nconfigurations=[{ backend = 'faiss-flat' }]\norder=1\n"
    )


def _read_overrides(folder: Path) -> None:
    plan(load_study("quickstart", _text(folder / "set.txt").splitlines()))


def _text(path: Path) -> str:
    """Return what a user would type: any bytes but NUL, nothing where the file is gone."""
    data = path.read_bytes().replace(b"\0", b"") if path.is_file() else b""
    return data.decode(errors="surrogateescape")


def _beir(folder: Path, rng: random.Random) -> None:
    corpus = [
        {"_id": f"d{i}", "title": "T" * (i % 2), "text": f"document {i} – ü"} for i in range(N)
    ]
    corpus[3]["_id"] = "q3"  # a query that is also a document
    corpus[3]["text"] = "what is 3"
    queries = [
        {"_id": f"q{i}", "text": f"what is {i}", "metadata": {"year": 1990 + i}} for i in range(8)
    ]
    _write_lines(folder / "corpus.jsonl", corpus)
    _write_lines(folder / "queries.jsonl", queries)
    (folder / "meta.json").write_text('{"queries": "a log", "judgements": "a model", "x": [1]}')
    _qrels(folder, rng)


def _write_lines(path: Path, entries: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _qrels(folder: Path, rng: random.Random) -> None:
    (folder / "qrels").mkdir()
    if rng.random() < 0.5:
        text = "query-id\tcorpus-id\tscore\n" + "".join(
            f"q{i}\td{2 * i}\t{i % 3}\n" for i in range(8)
        )
    else:
        text = "".join(f"q{i} 0 d{2 * i} 1\n" for i in range(8))
    (folder / "qrels" / "test.tsv").write_text(text)


def _read_beir(folder: Path) -> None:
    data = load_dataset(f"beir:{folder}")
    assert data.documents is not None
    assert data.queries is not None
    texts = [*data.documents, *data.queries, *data.doc_ids, *data.query_ids]
    for text in texts:
        text.encode()
    assert len(texts) == 2 * (len(data.doc_ids) + len(data.query_ids))
    _check_qrels(data)


def _check_qrels(data: Dataset) -> None:
    assert data.qrels is not None
    assert list(data.qrels) == list(data.query_ids)
    assert all(
        type(g) is int and abs(g) < 2**31 for grades in data.qrels.values() for g in grades.values()
    )


def _numpy(folder: Path, rng: random.Random) -> None:
    kind = rng.choice(("<f4", "<f4", "<f2", ">f8", "|i1"))
    array = (10 * _vectors()).astype(kind)
    np.save(folder / "corpus.npy", np.asfortranarray(array) if rng.random() < 0.3 else array)
    np.save(folder / "queries.npy", _vectors(8))
    (folder / "corpus_ids.txt").write_text("".join(f"d{i}\n" for i in range(N)))
    _write_lines(folder / "queries.jsonl", [{"_id": f"q{i}"} for i in range(8)])
    if rng.random() < 0.5:
        _qrels(folder, rng)


def _hdf5(folder: Path, rng: random.Random) -> None:
    stored = rng.choice(
        ({}, {}, {"chunks": (8, 2)}, {"chunks": (8, D), "compression": "gzip", "fletcher32": True})
    )
    with h5py.File(folder / "x.hdf5", "w", libver=rng.choice(("earliest", "latest"))) as file:
        file.create_dataset("train", data=_vectors(), **stored)
        file.create_dataset("test", data=_vectors(8))
        file.create_dataset("neighbors", data=np.zeros((8, 3), np.int32))
        file.attrs["distance"] = rng.choice(("angular", np.bytes_("angular"), "euclidean"))


def _fvecs(folder: Path, rng: random.Random) -> None:
    for name, rows in (("x_base", N), ("x_query", 8)):
        widths = np.full((rows, 1), D, "<i4").view("<f4")
        (folder / f"{name}.fvecs").write_bytes(
            np.hstack([widths, _vectors(rows)]).astype("<f4").tobytes()
        )


def _texmex(folder: Path, rng: random.Random) -> None:
    for name, rows in (("base", N), ("query", 8)):
        lengths = np.full((rows, 1), D, "<i4").view("u1")
        numbers = (20 * np.abs(_vectors(rows))).astype("u1") + np.uint8(1)
        (folder / f"x_{name}.bvecs").write_bytes(np.hstack([lengths, numbers]).tobytes())
    nearest = np.hstack([np.full((8, 1), 3), np.tile(np.arange(3), (8, 1))])
    (folder / "x_groundtruth.ivecs").write_bytes(nearest.astype("<i4").tobytes())


def _named(folder: Path, rng: random.Random) -> None:
    _parquet(folder, random.Random(0))
    np.save(folder / "truth.npy", np.tile(np.arange(3), (8, 1)))
    np.save(folder / "q.npy", _vectors(8))
    (folder / "name.txt").write_text("x.parquet#emb?queries=q.npy&truth=truth.npy")


def _read_named(folder: Path) -> None:
    text = _text(folder / "name.txt")
    for file in ("q.npy", "truth.npy"):
        text = text.replace(file, str(folder / file))
    _read_vectors(text, folder)


def _parquet(folder: Path, rng: random.Random) -> None:
    flat = pa.array(_vectors().ravel())
    vectors = rng.choice((pa.FixedSizeListArray.from_arrays(flat, D), pa.array(list(_vectors()))))
    ids = rng.choice(
        ([f"d{i}" for i in range(N)], list(range(N)), pa.array(range(N), pa.timestamp("s")))
    )
    pq.write_table(
        pa.table({"id": ids, "emb": vectors, "note": ["x"] * N}),
        folder / "x.parquet",
        compression=rng.choice(("none", "snappy", "zstd", "gzip")),
        data_page_version=rng.choice(("1.0", "2.0")),
        use_dictionary=rng.random() < 0.5,
        write_page_checksum=rng.random() < 0.2,
    )


def _arrow(folder: Path, rng: random.Random) -> None:
    vectors = rng.choice((pa.array(list(_vectors())), pa.array(list(_vectors()), pa.list_(F32, D))))
    table = pa.table({"id": [f"d{i}" for i in range(N)], "emb": vectors})
    opener = rng.choice((pa.ipc.new_file, pa.ipc.new_stream))
    packed = pa.ipc.IpcWriteOptions(compression=rng.choice((None, None, "lz4")))
    with opener(str(folder / "x.arrow"), table.schema, options=packed) as writer:
        writer.write_table(table, max_chunksize=10)


def _fbin(folder: Path, rng: random.Random) -> None:
    suffix, kind = rng.choice((("fbin", np.float32), ("u8bin", np.uint8), ("i8bin", np.int8)))
    for name, rows in (("base.1M", N), ("query", 8)):
        data = (9 * np.abs(_vectors(rows))).astype(kind) + kind(1)
        header = np.array(data.shape, "<u4").tobytes()
        (folder / f"{name}.{suffix}").write_bytes(header + data.tobytes())
    nearest = np.tile(np.arange(3, dtype="<i4"), (8, 1))
    (folder / "gt.ibin").write_bytes(np.array([8, 3], "<u4").tobytes() + nearest.tobytes())


def _read_vectors(name: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as cache:
        data = embed(f"vectors:{folder / name}", cache=Path(cache), progress=False)
        for vectors, ids in ((data.corpus, data.doc_ids), (data.queries, data.query_ids)):
            assert vectors.dtype == np.float32
            assert vectors.shape == (len(ids), data.full_dim)
            assert np.isfinite(vectors).all()
            assert all(isinstance(i, str) for i in ids)
        assert data.truth is None or data.truth.shape[0] == len(data.queries)
        if data.qrels is not None:
            assert list(data.qrels) == data.query_ids


def _adaptor(folder: Path, rng: random.Random) -> None:
    shapes = {"linear": (D, D)}
    if rng.random() < 0.5:
        shapes |= {"hidden": (D, 6), "hidden_bias": (6,), "output": (6, D)}
    weights = np.random.default_rng(0)
    arrays = {
        name: weights.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    save_adaptor(folder, arrays, {"full_dim": D, "dimensions": [2, D], "better": [True, False]})


def _read_adaptor(folder: Path) -> None:
    adaptor = Adaptor(path=str(folder))
    adaptor.check(D)
    adaptor.fit(_vectors())
    assert isinstance(adaptor.caution(3), str)
    with np.errstate(over="ignore", invalid="ignore"):
        assert adaptor.map(_vectors()).shape == (N, D)


def _prices(folder: Path, rng: random.Random) -> None:
    (folder / "prices.toml").write_text(
        'name = "ours"\ndate = "2026-10-01"\ncurrency = "€"\nmemory_gib_month = 3.5\n'
        "disk_gib_month = 0.1\nvcpu_hour = 0.04\nutilisation = 0.5\n"
    )


def _read_prices(folder: Path) -> None:
    prices = load_prices(folder / "prices.toml")
    assert np.isfinite([prices.memory_gib_month, prices.disk_gib_month, prices.vcpu_hour]).all()


def _revision(folder: Path, rng: random.Random) -> None:
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["faiss-cpu>=1.9", "numpy>=2.0"]\n'
    )
    (folder / ".constraints.txt").write_text("numpy==2.1.0\n")


def _read_revision(folder: Path) -> None:
    assert all(isinstance(each, str) for each in requirements(folder, folder / "none"))


INPUTS = {
    "study": Target(_study, _read_study),
    "overrides": Target(_overrides, _read_overrides, named=("quickstart", "--set")),
    "beir": Target(_beir, _read_beir),
    "qrels": Target(_beir, _read_beir, only="test.tsv"),
    "npy": Target(_numpy, partial(_read_vectors, ""), share=0.5),
    "npy-header": Target(_numpy, partial(_read_vectors, ""), only="*.npy", share=0.5),
    "ids": Target(_numpy, partial(_read_vectors, ""), only="corpus_ids.txt", share=0.3),
    "hdf5": Target(_hdf5, partial(_read_vectors, "x.hdf5"), share=0.03),
    "fvecs": Target(_fvecs, partial(_read_vectors, "x_base.fvecs"), share=0.7),
    "bvecs-ivecs": Target(_texmex, partial(_read_vectors, "x_base.bvecs"), share=0.3),
    "big-ann": Target(_fbin, partial(_read_vectors, ""), share=0.3),
    "arrow": Target(_arrow, partial(_read_vectors, "x.arrow")),
    "parquet": Target(_parquet, partial(_read_vectors, "x.parquet")),
    "name": Target(_named, _read_named, only="name.txt", named=(" ",), share=0.3),
    "truth": Target(_named, _read_named, only="truth.npy", share=0.5),
    "adaptor": Target(_adaptor, _read_adaptor),
    "prices": Target(_prices, _read_prices),
    "revision": Target(_revision, _read_revision),
}
