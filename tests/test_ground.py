"""The ground: complete files, hidden secrets, the machine, plug-ins that are looked up once."""

import gc
import importlib.metadata
import os
import sys

import numpy as np
import pytest

from bench import machine, registry
from bench.backends import Backend, get_backend
from bench.files import whole
from bench.libraries import installed, versions, without_secrets


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "table.parquet"
    with whole(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt):
        killed(path)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def killed(path):
    with whole(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def test_passwords_and_keys_leave_no_trace(monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_QDRANT_KEY", "s3cr3t")
    monkeypatch.setenv("MATRYOSHKA_BENCH_EMPTY_KEY", "")
    text = "https://me:hunter2@host:6333 refused the key s3cr3t; postgresql://u:p@h/db too"
    shown = without_secrets(text)
    assert not any(secret in shown for secret in ("hunter2", "s3cr3t", "u:p"))
    assert "host:6333" in shown


def test_versions_name_python_this_package_and_the_distribution_of_a_module():
    found = versions("faiss")
    assert found["faiss-cpu"] == importlib.metadata.version("faiss-cpu")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "matryoshka-bench" in found
    assert installed("no_such_module_anywhere") == {}


def test_unique_memory_grows_by_what_is_held_and_comes_back():
    gc.collect()  # what other tests left must not go while this one counts
    before = machine.unique_bytes()
    held = np.ones(8_000_000)
    grown = machine.unique_bytes() - before
    assert held.nbytes * 0.95 < grown < held.nbytes * 1.3
    del held
    assert machine.unique_bytes() - before < 8_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reports a peak")
def test_the_peak_remembers_what_is_gone():
    machine.reset_peak()
    before = machine.peak_bytes()
    np.ones(8_000_000).sum()
    assert machine.peak_bytes() - before > 50_000_000


def test_a_thread_reads_a_plausible_number_of_bytes_per_second():
    assert 1e8 < machine.memory_bandwidth(megabytes=16, repeats=2) < 1e13


def test_every_thread_pool_is_held_by_a_variable():
    environment = machine.thread_environment(3)
    assert {environment[name] for name in machine.THREAD_VARIABLES} == {"3"}
    assert "OMP_NUM_THREADS" in environment


def test_the_machine_has_a_name_and_cores():
    assert f"{len(machine.usable_cores())} cores" in machine.description()
    assert set(machine.usable_cores()) == os.sched_getaffinity(0)


def nodes(folder, **lists):
    """Make a folder as Linux lists NUMA nodes in."""
    for name, text in lists.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "cpulist").write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"node0": "0-3", "node1": "4-7"}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"node0": "0-1,4-5", "node1": "2-3,6-7"}, [0, 1, 4, 5, 2, 3, 6, 7]),
        ({"node0": "0-4", "node1": "5-7"}, [5, 6, 7, 0, 1, 2, 3, 4]),
        ({"node0": "0-7"}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"node0": "", "node1": "0-7"}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"node2": "4-7,64-90", "node10": "0-3,30"}, [4, 5, 6, 7, 0, 1, 2, 3]),
        ({"node0": "not a list", "nodes": "1"}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_last_cores_lie_on_one_numa_node_if_they_fit(tmp_path, monkeypatch, lists, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert machine.usable_cores(nodes(tmp_path / "sys", **lists)) == expected


def test_a_process_that_may_use_a_part_of_each_node_gets_the_larger_part(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 6})
    assert machine.usable_cores(nodes(tmp_path, node0="0-3", node1="4-7")) == [6, 0, 1, 2]


def test_a_name_is_looked_up_without_scanning_what_is_installed(monkeypatch):
    get_backend("faiss-flat")
    monkeypatch.setattr(registry, "entry_points", lambda **_: pytest.fail("scanned again"))
    assert registry.found("backends", Backend)["faiss-flat"] is get_backend("faiss-flat")
