"""Passwords and keys are read from the environment and stay there."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from bench.errors import StudyError
from bench.study.reader import load_study

SECRET, KEY = "hunter2-zq81", "k3y-9f27-bw"
SERVERS = {
    "pgvector-hnsw": ("MATRYOSHKA_BENCH_POSTGRES", f"postgresql://me:{SECRET}@127.0.0.1:9/db"),
    "qdrant": ("MATRYOSHKA_BENCH_QDRANT", f"http://me:{SECRET}@127.0.0.1:9"),
    "elasticsearch": ("MATRYOSHKA_BENCH_ELASTICSEARCH", f"http://me:{SECRET}@127.0.0.1:9"),
    "weaviate": ("MATRYOSHKA_BENCH_WEAVIATE", f"http://me:{SECRET}@127.0.0.1:9"),
    "milvus": ("MATRYOSHKA_BENCH_MILVUS", f"http://me:{SECRET}@127.0.0.1:9"),
}
KEYS = (
    "MATRYOSHKA_BENCH_QDRANT_KEY",
    "MATRYOSHKA_BENCH_WEAVIATE_KEY",
    "MATRYOSHKA_BENCH_MILVUS_KEY",
)


def watched(command, environment, seen):
    """Run a command, and add the command lines of it and its children to `seen` as it goes."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    ended = threading.Event()

    def look():
        while not ended.is_set():
            try:
                root = psutil.Process(process.pid)
                for each in [root, *root.children(recursive=True)]:
                    seen.add(" ".join(each.cmdline()))
            except psutil.Error:
                pass
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        told, _ = process.communicate(timeout=300)
    finally:
        ended.set()
        watcher.join()
    return process.returncode, told


@pytest.mark.slow
@pytest.mark.needs_databases
def test_no_secret_is_in_a_row_a_log_an_error_a_page_or_a_process_list(tmp_path):
    from bench.backends import backends

    names = [name for name in SERVERS if name in backends()]
    assert len(names) == len(SERVERS)
    tables = "".join(f'[[configurations]]\nbackend = "{name}"\n' for name in names)
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "s"\ndataset = "synthetic:n=200,d=8,q=20"\ndimensions = [8]\nrepeats = 1\nsubsets = 0\n{tables}'
    )
    environment = os.environ | dict(SERVERS.values()) | dict.fromkeys(KEYS, KEY)
    bench, out, seen = [sys.executable, "-m", "bench"], tmp_path / "results", set()
    told = ""
    for verb in (["run", study, "--out", out], ["show", out, "--csv"], ["report", out]):
        status, said = watched([*bench, *map(str, verb)], environment, seen)
        assert status == 0, said
        told += said
    assert "127.0.0.1" in told or "refused" in told  # the errors do tell what failed
    assert any("bench.measuring.worker" in line or "-m" in line for line in seen)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    import pyarrow.parquet as pq

    for path in files:
        if path.suffix == ".parquet":
            files[path] = repr(pq.read_table(path).to_pylist()).encode()
    for secret in (SECRET, KEY):
        assert secret not in told
        assert not [line for line in seen if secret in line]
        assert not [path for path, text in files.items() if secret.encode() in text]


@pytest.mark.parametrize(
    "line", ['password = "x"', 'url = "http://me:x@host"', 'api_key = "x"', 'key = "x"']
)
def test_a_study_has_no_place_for_a_secret(line, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(f'name = "s"\ndataset = "pydoc"\ndimensions = [8]\n{line}\n')
    with pytest.raises(StudyError, match="unknown key"):
        load_study(study)


def test_the_text_of_the_environment_is_written_nowhere():
    import ast
    from pathlib import Path

    import bench

    for path in Path(bench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and any("environ" in ast.unparse(a) for a in node.args):
                name = ast.unparse(node.func)
                assert name.split(".")[-1] not in (
                    "print",
                    "dumps",
                    "write",
                    "write_text",
                    "log",
                ), path
