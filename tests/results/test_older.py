"""Results folders of every schema, as the code of its time wrote them: read, decided on, resumed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import bench
from bench.analysis.summary import summarise
from bench.results.derived import ALL_COLUMNS
from bench.results.schema import SCHEMA_VERSION
from bench.results.store import Store, load, load_queries, load_rankings

OLDER = Path(__file__).with_name("older")
VERSIONS = sorted(path.name for path in OLDER.iterdir())


def data(folder: Path) -> None:
    """Write the vectors that the folders were measured on: 300 × 16, 12 queries."""
    (folder / "qrels").mkdir(parents=True)
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((300, 16)).astype(np.float32)
    corpus *= np.linspace(2, 0.5, 16, dtype=np.float32)
    relevant = rng.choice(300, 12, replace=False)
    queries = corpus[relevant] + 0.6 * rng.standard_normal((12, 16)).astype(np.float32)
    for name, found in (("corpus", corpus), ("queries", queries)):
        np.save(
            folder / f"{name}.npy",
            (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32),
        )
    lines = [f"{query}\t{document}\t1\n" for query, document in enumerate(relevant)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))


def test_there_is_a_folder_of_every_schema():
    assert [int(name) for name in VERSIONS] == list(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_of_an_older_schema_is_read_and_decided_on(version):
    folder = OLDER / version
    written = pq.read_schema(folder / "trials.parquet").metadata[b"matryoshka-bench.schema"]
    assert written == version.encode()
    frame, queries = load(folder), load_queries(folder)
    assert list(frame.columns) == list(ALL_COLUMNS)
    assert sorted(frame["backend"]) == ["exact"] * 2 + ["faiss-flat"] * 2 + ["faiss-hnsw"] * 2
    means = queries.groupby("trial_id")["ndcg_at_10"].mean()
    np.testing.assert_allclose(
        frame.set_index("trial_id")["ndcg_at_10"], means.loc[frame["trial_id"]], atol=1e-12
    )
    for trial_id in frame["trial_id"]:
        kept = load_rankings(folder, trial_id)
        assert kept is None or len(kept) == 12
    assert summarise(folder)
    assert bench.recommend(frame, queries, retain=0.5)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_of_an_older_schema_is_run_on_and_keeps_its_rows(version, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(OLDER / version, out)
    data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    before = Store(out).done()
    study = {"name": "older", "dataset": "vectors:data", "dimensions": [4, 16], "subsets": 0}
    bench.run(bench.study.schema.Study.model_validate(study), out, progress=False)
    after = Store(out).rows()
    assert set(before) < set(after), "other versions of the package measure anew"
    assert pq.read_schema(out / "trials.parquet").metadata[b"matryoshka-bench.schema"] == (
        str(SCHEMA_VERSION).encode()
    )
    quality = {(r["backend"], r["dim"]): r["ndcg_at_10"] for r in after.values()}
    exact = load(OLDER / version).query("backend == 'exact'")
    for _, old in exact.iterrows():
        assert quality["exact", old["dim"]] == pytest.approx(old["ndcg_at_10"], abs=1e-12)
    assert json.loads(after[next(iter(before))]["library_versions"])
