"""Every backend that is installed keeps the rules; each is checked in a process of its own."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from bench.backends import backends
from bench.cli import commands
from bench.measuring.runner import run
from bench.testing import conformance

SLOW = ("pynndescent",)
"""Compile themselves for minutes."""

KINDS = [
    (name, precision)
    for name, cls in backends().items()
    if cls.available()
    for precision in cls.precisions
]


@pytest.fixture(scope="module")
def checked(request):
    """The checks of all that was selected, a process each, two at a time: most of each is one library on one thread."""
    kinds = [
        i.callspec.params
        for i in request.session.items
        if i.name.startswith("test_a_backend_keeps_the_rules")
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {
            (k["name"], k["precision"]): pool.submit(conformance, k["name"], k["precision"])
            for k in kinds
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param(*kind, id="-".join(kind), marks=[pytest.mark.slow] if kind[0] in SLOW else [])
        for kind in KINDS
    ],
)
def test_a_backend_keeps_the_rules(name, precision, checked):
    failed = [
        f"{check.name}: {check.told}" for check in checked[name, precision].result() if not check.ok
    ]
    assert not failed


THIRD_PARTY = '''
import numpy as np
from bench.backends import Backend, padded

class Brute(Backend):
    """Every product, by numpy."""
    name = "brute"
    module = "numpy"
    install = "pip install numpy"
    summary = "exhaustive, numpy"
    exact = True
    def build(self, vectors):
        self.vectors = vectors
    def search(self, queries, k):
        return padded(np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")[:, :k], k)
    def size_bytes(self):
        return self.vectors.nbytes

class Shuffled(Brute):
    """Finds the right ones, worst first."""
    name = "shuffled"
    def search(self, queries, k):
        return np.ascontiguousarray(super().search(queries, k)[:, ::-1])
'''


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """Another package, found by its entry points alone."""
    info = tmp_path / "brute-1.0.dist-info"
    info.mkdir()
    (tmp_path / "brute_backend.py").write_text(THIRD_PARTY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brute\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[matryoshka_bench.backends]\nbrute = brute_backend:Brute\nshuffled = brute_backend:Shuffled\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_backend_of_another_package_is_checked_listed_and_swept(
    third_party, vector_folder, tmp_path
):
    assert all(check.ok for check in conformance("brute", "float32"))
    wrong = {check.name for check in conformance("shuffled", "float32") if not check.ok}
    assert "best_comes_first_and_nothing_twice" in wrong
    listed = CliRunner().invoke(commands, ["list", "backends", "--json"])
    assert "brute" in {row["name"] for row in json.loads(listed.output)}
    (tmp_path / "study.toml").write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [8, 20]\nrepeats = 1\n[[configurations]]\nbackend = "brute"\n'
    )
    frame = run(tmp_path / "study.toml", tmp_path / "out", progress=False)
    swept = frame[frame["backend"] == "brute"]
    assert list(swept["status"]) == ["ok", "ok"]
    assert swept["ann_recall_at_10"].tolist() == [1.0, 1.0]


def test_a_backend_that_ends_its_process_fails_the_check(third_party, monkeypatch):
    found = conformance("no-such-backend", "float32")
    assert [check.name for check in found] == ["process"]
    assert "no backend is called 'no-such-backend'" in found[0].told
