"""Headers that claim more than any file holds, and small files that become large ones.

All are read in one process whose memory is limited to little more than it holds already: whatever
asked for the memory that a header claims would end there for want of memory.
"""

import json
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.arrays import is_archive, mapped_matrix, read_array
from bench.embeddings import embed
from bench.reducers.adaptor import Adaptor, save_adaptor
from bench.results.store import load, load_rankings
from bench.results.texts import load_texts

HUGE = 10**15
LIMIT = 3 * 2**30
"""Bytes that a reader may ask for beyond what its process holds: blocks and batches, no claims."""


def npy(path, shape):
    """Write an array of which the header claims more than follows."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 64)


def vectors(folder, name=""):
    """Read ready vectors as `run` does; a corpus or queries that are not there are sound."""
    for file in ("corpus.npy", "queries.npy"):
        if not (folder / file).exists():
            np.save(folder / file, np.random.default_rng(0).standard_normal((8, 4)).astype("<f4"))
    embed(f"vectors:{folder / name}", cache=folder / "cache", progress=False)


def width_first(name, width):
    return lambda folder: (folder / name).write_bytes(struct.pack("<I", width) + b"\0" * 60)


def counts_first(name, *counts):
    return lambda folder: (folder / name).write_bytes(struct.pack("<II", *counts) + b"\1" * 64)


def hdf5(folder):
    with h5py.File(folder / "x.hdf5", "w") as file:  # chunks that were never written take no room
        file.create_dataset("train", (10**12, 64), "f4", chunks=(1024, 64), compression="gzip")
        file.create_dataset("test", data=np.ones((8, 64), np.float32))


def texts(folder):
    """Write 24 GB of texts in some kilobytes: each row is the same one."""
    same = pa.DictionaryArray.from_arrays(np.zeros(2_000_000, np.int32), ["x" * 4000])
    table = pa.table(dict.fromkeys(("dataset", "query_id", "text"), same))
    pq.write_table(table, folder / "texts.parquet", write_statistics=False)
    assert (folder / "texts.parquet").stat().st_size < 2**17


def lists(folder):
    """Do as `texts` with the lists of a ranking."""
    same = pa.DictionaryArray.from_arrays(np.zeros(2_000_000, np.int32), ["x" * 4000])
    ends = np.arange(0, len(same) + 1, 10, dtype=np.int32)
    table = pa.table({"query_id": ["q"] * 200_000, "doc_ids": pa.ListArray.from_arrays(ends, same)})
    (folder / "rankings").mkdir()
    pq.write_table(table, folder / "rankings" / "a.parquet", write_statistics=False)


def rows(folder):
    """Write a table that claims more rows of nothing than its bytes can hold."""
    pq.write_table(pa.table({"trial_id": pa.nulls(3 * 10**8)}), folder / "trials.parquet")


def arrow(compression):
    """Return a maker of a compressed buffer that says it becomes 10¹⁵ bytes."""

    def make(folder):
        table = pa.table({"emb": pa.array(list(np.ones((512, 4), np.float32)))})
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_file(str(folder / "x.arrow"), table.schema, options=options) as writer:
            writer.write_table(table)
        data, size = (folder / "x.arrow").read_bytes(), struct.pack("<q", 512 * 4 * 4)
        assert size in data
        (folder / "x.arrow").write_bytes(data.replace(size, struct.pack("<q", HUGE)))

    return make


def archive(compression, size):
    """Return a maker of an ``.npz`` of an array of `size` zeros that claims 10¹⁵ rows."""

    def make(folder):
        npy(folder / "member", (HUGE, 4))
        with (folder / "member").open("r+b") as file:
            file.truncate(size)
        with zipfile.ZipFile(folder / "x.npz", "w", compression) as written:
            written.write(folder / "member", "ids_8.npy")

    return make


def unpacked(folder):
    assert is_archive(folder / "x.npz") == ("stored" in folder.name)
    read_array(folder / "x.npz", "ids_8")


def weights(length, shape):
    """Return a maker of an adaptor whose weights claim a shape, in a header of some length."""

    def make(folder):
        meta = {"full_dim": 4, "dimensions": [2, 4], "better": [True, True]}
        save_adaptor(folder, {"linear": np.eye(4, dtype=np.float32)}, meta)
        offsets = [0, 4 * shape[0] * shape[1]]
        header = {"linear": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
        text = json.dumps(header).encode()
        data = struct.pack("<Q", length or len(text)) + text + b"\0" * 64
        (folder / "adaptor.safetensors").write_bytes(data)

    return make


CASES = {
    "npy-rows": (lambda f: npy(f / "corpus.npy", (HUGE, 4)), vectors),
    "npy-overflow": (lambda f: npy(f / "corpus.npy", (2**62, 2**62)), vectors),
    "npy-queries": (lambda f: npy(f / "queries.npy", (HUGE, 4)), vectors),
    "npy-truth": (
        lambda f: npy(f / "t.npy", (HUGE, 4)),
        lambda f: vectors(f, f"?truth={f / 't.npy'}"),
    ),
    "npy-cache": (
        lambda f: npy(f / "m.npy", (HUGE, 4)),
        lambda f: mapped_matrix(f / "m.npy"),
    ),
    "fvecs-2-31": (width_first("x.fvecs", 2**31), lambda f: vectors(f, "x.fvecs")),
    "fvecs-2-31-less-1": (width_first("x.fvecs", 2**31 - 1), lambda f: vectors(f, "x.fvecs")),
    "bvecs": (width_first("x.bvecs", 2**32 - 1), lambda f: vectors(f, "x.bvecs")),
    "fbin": (counts_first("x.fbin", 2**32 - 1, 2**32 - 1), lambda f: vectors(f, "x.fbin")),
    "i8bin": (counts_first("x.i8bin", 2**32 - 1, 16), lambda f: vectors(f, "x.i8bin")),
    "hdf5": (hdf5, lambda f: vectors(f, "x.hdf5")),
    "arrow-lz4": (arrow("lz4"), lambda f: vectors(f, "x.arrow")),
    "arrow-zstd": (arrow("zstd"), lambda f: vectors(f, "x.arrow")),
    "parquet-texts": (texts, lambda f: load_texts(f, "d")),
    "parquet-lists": (lists, lambda f: load_rankings(f, "a")),
    "parquet-rows": (rows, load),
    "npz-stored": (archive(zipfile.ZIP_STORED, 2**20), unpacked),
    "npz-deflated": (archive(zipfile.ZIP_DEFLATED, 2**25), unpacked),
    "weights-rows": (weights(0, [HUGE, 4]), lambda f: Adaptor(path=str(f)).check(4)),
    "weights-header": (weights(2**63 - 1, [4, 4]), lambda f: Adaptor(path=str(f)).check(4)),
}


def _read_all(folder: Path) -> None:
    """Read every case under limited memory; print a line of JSON for each."""
    (folder / "sound").mkdir()
    vectors(folder / "sound")  # compiles what it needs
    limit = psutil.Process().memory_info().vms + LIMIT
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, (_, read) in CASES.items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read(folder / name)
            said = "it was accepted"
        except ValueError as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        print(json.dumps([name, said, grown]), flush=True)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    for name, (make, _) in CASES.items():
        (folder / name).mkdir()
        make(folder / name)
    command = [sys.executable, "-m", "tests.security.test_bombs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: (said, grown) for name, said, grown in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_claims_too_much_is_refused_before_memory_is_asked_for(answers, name):
    said, grown = answers[name]
    assert said.startswith("refused: ")
    # Arrow asks for what a compressed buffer claims, and touches no page of it that it cannot fill.
    assert "alloc" not in said or name.startswith("arrow")
    assert "memory" not in said
    assert grown < 2**30


if __name__ == "__main__":
    _read_all(Path(sys.argv[1]))
