"""Every reader takes in a file that is larger than the memory it is allowed."""

import subprocess
import sys

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

D, ROWS, BLOCK = 256, 240_000, 12_000
ALLOWED = 110
"""MiB beyond what a small file of the same kind takes; the vectors take 234."""

# The libraries are loaded, and their pools filled, by a small file of the same kind.
CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from bench.datasets import load_dataset
from bench.embeddings import embed

small, large, cache, allowed, way = sys.argv[1:]
embed(small, cache=Path(cache), progress=False)
status = Path("/proc/self/status").read_text()
taken = int(status.split("VmData:")[1].split()[0]) * 1024
limit = taken + int(allowed) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if way == "whole":
    load_dataset(large).corpus_vectors.held("all of them")
found = embed(large, cache=Path(cache), progress=False)
last = found.corpus[-1]
print(*found.corpus.shape, float(last.sum()))
"""


def block(kind=np.float32):
    vectors = np.random.default_rng(0).standard_normal((BLOCK, D))
    return (20 * vectors).round().clip(-100, 100).astype(kind)


def repeated(path, rows, block, header=b""):
    with path.open("wb") as file:
        file.write(header)
        for _ in range(rows // BLOCK):
            file.write(block)
        file.write(block[: rows % BLOCK])


def npy(kind=np.float32):
    def make(path, rows):
        path = path.with_suffix(".npy")
        array = np.lib.format.open_memmap(path, "w+", kind, (rows, D))
        array[:] = np.resize(block(kind), (rows, D))
        return path

    return make


def fortran(path, rows):
    path = path.with_suffix(".npy")
    array = np.lib.format.open_memmap(path, "w+", np.float32, (rows, D), fortran_order=True)
    array[:] = np.resize(block(), (rows, D))
    return path


def shards(path, rows):
    path.mkdir()
    for shard in range(4):
        npy()(path / f"corpus-{shard:05d}-of-00004", rows // 4)
    return path


def header_first(suffix, kind):
    def make(path, rows):
        path = path.with_suffix(suffix)
        repeated(path, rows, block(kind), np.array([rows, D], "<u4").tobytes())
        return path

    return make


def width_first(suffix, kind):
    def make(path, rows):
        path = path.with_suffix(suffix)
        numbers = block(kind).view(np.uint8)
        widths = np.full((BLOCK, 1), D, "<i4").view(np.uint8)
        repeated(path, rows, np.hstack([widths, numbers]))
        return path

    return make


def lists(rows, kind):
    flat = pa.array(np.resize(block(), rows * D))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, D)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int64) * D)
    return pa.LargeListArray.from_arrays(offsets, flat)


def parquet(kind):
    def make(path, rows):
        path = path.with_suffix(".parquet")
        ids = [f"{path.stem} {i}" for i in range(rows)]
        table = pa.table({"emb": lists(rows, kind), "_id": ids})
        pq.write_table(table, path, row_group_size=rows)
        return path

    return make


def parquet_folder(path, rows):
    path.mkdir()
    for shard in range(4):
        parquet("fixed")(path / f"train-{shard:05d}-of-00004", rows // 4)
    return path


def arrow(opener):
    def make(path, rows):
        path = path.with_suffix(".arrow")
        batch = pa.record_batch({"emb": lists(rows, "large")})
        with opener(str(path), batch.schema) as writer:
            writer.write_batch(batch)
        return path

    return make


def hdf5(**stored):
    def make(path, rows):
        path = path.with_suffix(".hdf5")
        with h5py.File(path, "w") as file:
            array = file.create_dataset("train", (rows, D), np.float32, **stored)
            for start in range(0, rows, BLOCK):
                array[start : start + BLOCK] = block()[: rows - start]
        return path

    return make


READERS = {
    "npy": npy(),
    "npy float16": npy(np.float16),
    "npy float64": npy(np.float64),
    "npy fortran": fortran,
    "npy shards": shards,
    "fbin": header_first(".fbin", np.float32),
    "i8bin": header_first(".i8bin", np.int8),
    "u8bin": header_first(".u8bin", np.uint8),
    "fvecs": width_first(".fvecs", np.float32),
    "bvecs": width_first(".bvecs", np.uint8),
    "parquet": parquet("large"),
    "parquet fixed": parquet("fixed"),
    "parquet folder": parquet_folder,
    "arrow file": arrow(pa.ipc.new_file),
    "arrow stream": arrow(pa.ipc.new_stream),
    "hdf5": hdf5(),
    "hdf5 chunks": hdf5(chunks=(100, D)),
}


def taken_in(small, large, cache, way):
    command = [sys.executable, "-c", CHILD, small, large, str(cache), str(ALLOWED), way]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_larger_than_the_memory_allowed(tmp_path, reader):
    small, large = (
        f"vectors:{READERS[reader](tmp_path / name, rows)}"
        for name, rows in (("small", 400), ("large", ROWS))
    )
    done = taken_in(small, large, tmp_path / "cache", "stream")
    assert done.returncode == 0, done.stderr
    kind = np.uint8 if reader in ("u8bin", "bvecs") else np.int8
    last = {"npy shards": ROWS // 4, "parquet folder": ROWS // 4}.get(reader, ROWS) % BLOCK - 1
    assert done.stdout.split() == [str(ROWS), str(D), str(float(block(kind)[last].sum()))]


def test_generated_vectors_larger_than_the_memory_allowed(tmp_path):
    specs = [f"synthetic:n={rows},d={D},q=10" for rows in (400, ROWS)]
    done = taken_in(*specs, tmp_path, "stream")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == [str(ROWS), str(D)]


def test_a_reader_that_loads_all_of_it_runs_out_of_that_memory(tmp_path):
    make = header_first(".fbin", np.float32)
    small, large = (f"vectors:{make(tmp_path / n, r)}" for n, r in (("s", 400), ("l", ROWS)))
    done = taken_in(small, large, tmp_path / "cache", "whole")
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
