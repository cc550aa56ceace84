"""Plug-ins of other packages: fitted once, measured again after a change or on retry."""

import pickle
import subprocess

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.embeddings import embed
from bench.measuring.jobs import Data, ExactKey
from bench.measuring.prepared import fitted_reducer
from bench.measuring.runner import run
from bench.reducers import get_reducer
from bench.reducers.pca import Pca
from tests.measuring.packages import command, install


def test_a_reducer_is_fitted_once_and_its_arrays_are_kept(vector_folder, monkeypatch):
    embeddings = embed(f"vectors:{vector_folder}")
    key = exact_key(embeddings, "pca")
    first = fitted_reducer(key, embeddings)
    monkeypatch.setattr(Pca, "fit", lambda *_: pytest.fail("fitted again"))
    np.testing.assert_array_equal(fitted_reducer(key, embeddings).axes, first.axes)
    kept = key.stem.with_suffix(".reducer.npz")
    for damaged in (kept.read_bytes()[:50], b"", pickle.dumps(first)):
        kept.write_bytes(damaged)
        monkeypatch.undo()
        np.testing.assert_array_equal(fitted_reducer(key, embeddings).axes, first.axes)


def exact_key(embeddings, name):
    return ExactKey(
        data=Data(folder=embeddings.folder, encoder="", max_queries=None, seed=5),
        reducer=name,
        reducer_params="",
        reducer_key=get_reducer(name)().key,
        dimensions=(3,),
        depth=7,
    )


CHANGING = """
import numpy as np
from bench.reducers import Reducer

class Changing(Reducer):
    \"\"\"A permutation of the coordinates.\"\"\"
    name = "changing"
    summary = "a permutation"
    fitted = ("order",)

    def fit(self, corpus):
        self.order = np.arange(corpus.shape[1])[{order}]

    def map(self, vectors):
        return np.ascontiguousarray(vectors[:, self.order])
"""


@pytest.mark.slow
def test_a_changed_reducer_of_another_package_is_fitted_and_searched_again(
    tmp_path, vector_folder, monkeypatch
):
    install(tmp_path / "site", monkeypatch, "changing", "reducers", {"changing": "Changing"})
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [4]\n'
        'reducers = ["changing"]\n'
    )
    quality = {}
    for order in ("::1", "::-1"):
        (tmp_path / "site" / "changing.py").write_text(CHANGING.format(order=order))
        subprocess.run(command(path, tmp_path / "out"), check=True)
        rows = pq.read_table(tmp_path / "out" / "trials.parquet").to_pandas()
        rows = rows[(rows["reducer"] == "changing") & (rows["dim"] == 4)]
        quality[order] = rows.sort_values("started_at")["ndcg_at_10"].tolist()
    assert len(quality["::1"]) == 1
    assert len(quality["::-1"]) == 2
    assert quality["::-1"][0] != quality["::-1"][1]


FLAKY = """
import os
from pathlib import Path
from bench.backends.faiss_flat import FaissFlat

class Flaky(FaissFlat):
    name = "flaky"
    def build(self, vectors):
        if not Path(os.environ["MENDED"]).exists():
            raise RuntimeError("not today")
        super().build(vectors)
"""


@pytest.mark.slow
def test_retry_repeats_what_did_not_end_ok_and_nothing_else(tmp_path, vector_folder, monkeypatch):
    install(tmp_path / "site", monkeypatch, "flaky", "backends", {"flaky": "Flaky"})
    (tmp_path / "site" / "flaky.py").write_text(FLAKY)
    monkeypatch.setenv("MENDED", str(tmp_path / "mended"))
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [8]\nrepeats = 1\n'
        '[[configurations]]\nbackend = ["faiss-flat", "flaky"]\n'
    )
    out = tmp_path / "out"
    first = run(path, out, progress=False).set_index("backend")
    assert first.loc["flaky", "status"] == "failed"
    (tmp_path / "mended").touch()
    same = run(path, out, progress=False).set_index("backend")
    assert same.loc["flaky", "status"] == "failed", "without --retry a failure is a result"
    again = run(path, out, progress=False, retry=True).set_index("backend")
    assert again.loc["flaky", "status"] == "ok"
    assert again.loc["faiss-flat", "started_at"] == first.loc["faiss-flat", "started_at"]
