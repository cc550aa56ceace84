"""Every installed backend follows the rules; each is checked in a separate process."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bench as bench_package
from bench.backends import REFERENCE, UnsupportedDimension, backends, cells, get_backend
from bench.backends.precisions import FLOAT32
from bench.cli import commands
from bench.codes.table import BY_NAME
from bench.errors import UsageError
from bench.measuring.runner import run
from bench.testing import RULES, check, check_each, rules
from tests.conftest import of_backend

SLOW = ("pynndescent", "adanns-ivf-opq", "annoy", "faiss-pq", "faiss-hnsw")
"""Compile themselves or learn for long."""


def kind(name, precision):
    """Return the parameters of one backend at one precision; each is free to run beside any other.

    The fast suite checks the default precision, and every precision of the reference.
    """
    cls, label = get_backend(name), f"{name}-{precision}"
    marks = [*of_backend(cls), pytest.mark.xdist_group(label)]
    default = precision == cls.precision_names()[0] or name == REFERENCE
    if name in SLOW or not default:
        marks.append(pytest.mark.slow)
    return pytest.param(name, precision, id=label, marks=marks)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        kind(name, precision)
        for name, cls in backends().items()
        for precision in cls.precision_names()
        if precision not in BY_NAME
    ],
)
def test_a_backend_keeps_the_rules(name, precision):
    failed = [r for r in check(name, precision) if not r.ok]
    assert not [f"{r.rule}: {r.detail}" for r in failed]


SOME = ["rabitq_2bit", "eden_2bit", "turboquant_1bit", "uniform_2bit", "binary_centred"]
MORE = ["rabitq_query4", "turboquant_qjl_2bit", "percentile_3bit", "binary_rotated"]
IN_GRAPHS = ["rabitq_1bit", "turboquant_2bit", "percentile_2bit", "binary_median"]


@pytest.mark.parametrize(
    ("name", "precisions"),
    [
        pytest.param(REFERENCE, SOME, marks=pytest.mark.xdist_group("coded-1")),
        pytest.param(REFERENCE, MORE, marks=[pytest.mark.slow, pytest.mark.xdist_group("coded-2")]),
        pytest.param("faiss-ivf", SOME, marks=[pytest.mark.slow]),
        pytest.param("faiss-hnsw", IN_GRAPHS, marks=[pytest.mark.slow]),
    ],
)
def test_codes_of_some_bits_keep_the_rules(name, precisions):
    for precision, results in check_each(name, precisions).items():
        assert not [f"{precision}: {r.rule}: {r.detail}" for r in results if not r.ok]


THIRD_PARTY = """
import numpy as np
from bench.backends import Backend, padded
from bench.backends.precisions import FLOAT32, Precision

class Brute(Backend):
    "Every product, by numpy, of vectors rounded to tenths if the precision is `tenths`."
    name = "brute"
    module = "numpy"
    install = "pip install numpy"
    summary = "exhaustive, numpy"
    precisions = (FLOAT32, Precision("tenths", bits=5, recall_floor=0.3))
    exact = True
    def build(self, vectors):
        self.vectors = np.round(vectors, 1) if self.precision == "tenths" else vectors
    def search(self, queries, k):
        return padded(np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")[:, :k], k)
    def size_bytes(self):
        return self.vectors.nbytes

class Shuffled(Brute):
    "Finds the right ones, worst first."
    name = "shuffled"
    precisions = (FLOAT32,)
    def search(self, queries, k):
        return np.ascontiguousarray(super().search(queries, k)[:, ::-1])

class Leaky(Brute):
    "Never gives its memory back."
    name = "leaky"
    precisions = (FLOAT32,)
    kept = []
    def build(self, vectors):
        super().build(vectors)
        self.kept.append(np.concatenate([vectors, vectors]))
"""
TEXT_PRECISION = """
from brute_backend import Brute

class Old(Brute):
    name = "old"
    precisions = ("float32",)
"""


def packaged(folder, source, **classes):
    """Write another package of one module into `folder`, found by its entry points alone."""
    module = "_and_".join(classes) + "_backend"
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    points = "".join(f"{name} = {module}:{cls}\n" for name, cls in classes.items())
    (info / "entry_points.txt").write_text(f"[matryoshka_bench.backends]\n{points}")


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    packaged(tmp_path, THIRD_PARTY, brute="Brute", shuffled="Shuffled", leaky="Leaky")
    (tmp_path / "brute_backend.py").write_text(
        "from brute_and_shuffled_and_leaky_backend import Brute\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def bench(*arguments):
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_backend_of_another_package_is_checked_listed_and_swept(
    third_party, vector_folder, tmp_path
):
    listed = CliRunner().invoke(commands, ["list", "backends", "--json"])
    assert "brute" in {row["name"] for row in json.loads(listed.output)}
    (tmp_path / "study.toml").write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [8, 20]\nrepeats = 1\n'
        '[[configurations]]\nbackend = "brute"\nprecision = ["float32", "tenths"]\n'
    )
    frame = run(tmp_path / "study.toml", tmp_path / "out", progress=False)
    swept = frame[frame["backend"] == "brute"]
    assert list(swept["status"]) == ["ok"] * 4
    assert dict(zip(swept["precision"], swept["component_bits"], strict=True)) == {
        "float32": 32,
        "tenths": 5,
    }
    assert swept.groupby("precision")["ann_recall_at_10"].mean()["float32"] == 1


def test_a_precision_of_another_package_has_its_own_floor(third_party):
    for precision in ("float32", "tenths"):
        assert not [r for r in check("brute", precision) if not r.ok]


@pytest.mark.parametrize("optimise", ["", "1", "2"])
def test_a_broken_backend_fails_the_check_under_optimised_python_too(
    third_party, monkeypatch, optimise
):
    monkeypatch.setenv("PYTHONOPTIMIZE", optimise)
    done = bench("check", "shuffled", "--json")
    assert done.returncode == 1, done.stderr
    results = json.loads(done.stdout)["float32"]
    assert len(results) == len(RULES)
    wrong = {r["rule"]: r["detail"] for r in results if not r["ok"]}
    assert wrong["best_comes_first_and_nothing_twice"] == "a better id comes after a worse one"


def test_a_backend_that_keeps_its_memory_fails_the_check(third_party):
    assert [r.rule for r in check("leaky", "float32") if not r.ok] == ["memory_comes_back"]


def test_a_backend_that_ends_its_process_fails_the_check(third_party):
    results = check("no-such-backend", "float32")
    assert [r.rule for r in results] == ["process"]
    assert "no backend is called 'no-such-backend'" in results[0].detail


def test_precisions_that_are_plain_text_are_one_clear_line(third_party):
    packaged(third_party, TEXT_PRECISION, old="Old")
    done = bench("list", "backends")
    assert done.returncode == 2
    assert done.stderr == (
        "matryoshka-bench: backend 'old': 'float32' in `precisions` is not a Precision"
        " of bench.backends.precisions\n"
    )


def test_an_unknown_precision_is_named_with_the_near_miss():
    with pytest.raises(UsageError, match="'faiss-flat' has no precision 'int9'; did you mean"):
        get_backend("faiss-flat").precision_of("int9")


def test_every_label_and_dimension_parameter_is_one_of_a_grid():
    for name, cls in backends().items():
        grids = {**cls.build_grid, **cls.search_grid}
        assert set(cls.label_parameters) <= set(grids), name
        assert set(cls.dimension_parameters) <= set(cls.build_grid), name
        swept = {parameter for parameter, values in grids.items() if len(values) > 1}
        assert swept - {"ef_construction"} <= set(cls.label_parameters), name


def test_the_reference_is_exact_and_needs_no_extra():
    assert get_backend(REFERENCE).exact
    assert get_backend(REFERENCE).available()


@pytest.mark.parametrize(
    ("n", "per_sqrt_n", "expected"), [(0, 1, 1), (5, 9.0, 5), (10_000, 2, 200)]
)
def test_cells_lie_between_one_and_the_number_of_vectors(n, per_sqrt_n, expected):
    assert cells(n, per_sqrt_n) == expected


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("faiss-pq", {"components_per_code": 2}),
        ("faiss-refine", {"components_per_code": 4}),
        ("adanns-ivf", {"coarse_dimension": 16, "lists_per_sqrt_n": 1.0}),
    ],
)
def test_a_dimension_that_does_not_fit_has_an_error_of_its_own(name, build):
    with pytest.raises(UnsupportedDimension, match=r"= (2|4|16) (does not divide|is above)"):
        get_backend(name)().build(np.eye(5, dtype=np.float32), **build)


def test_no_index_is_ever_unpickled():
    for file in Path(bench_package.__file__).parent.rglob("*.py"):
        assert "pickle.load" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize("growing", [10, 100])
def test_memory_that_stops_growing_is_no_leak(monkeypatch, growing):
    used = iter([10 * 2**20 * min(i, growing) for i in range(100)])
    monkeypatch.setattr(rules, "_used_after_one", lambda *_: next(used))
    with nullcontext() if growing == 10 else pytest.raises(rules.Broken, match=r"\+10\.0 MiB"):
        rules.memory_comes_back(get_backend("faiss-flat"), FLOAT32)
