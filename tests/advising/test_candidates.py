"""What could be built, how small and fast it could be, and the table that measures it."""

import pandas as pd
import pytest

from bench.advising.candidates import (
    Candidate,
    Cell,
    Prospects,
    best_first,
    candidates,
    cells,
    ladder,
)
from bench.backends import get_backend
from bench.study.plan import plan
from bench.study.schema import Study

CELL = Cell("id", "pca", '{"center": false, "whiten": true}', 32, "int8", 0)
RESCORED = Cell("id", "truncate", "", 16, "binary", 50)


@pytest.mark.parametrize("name", ["faiss-ivf", "faiss-hnsw", "ngt", "scann", "annoy"])
def test_a_ladder_refines_the_first_parameter_and_holds_the_whole_grid(name):
    backend = get_backend(name)
    found = ladder(backend)
    (first, values), *rest = found.items()
    assert set(backend.search_grid[first]) <= set(values)
    assert values == sorted(set(values))
    assert len(values) > len(backend.search_grid[first])
    assert dict(rest) == dict(list(backend.search_grid.items())[1:])


@pytest.mark.parametrize(
    ("cell", "backend", "place"),
    [(CELL, "faiss-ivf", ""), (RESCORED, "faiss-hnsw", "disk"), (RESCORED, "faiss-flat", "memory")],
)
def test_the_table_of_a_candidate_expands_to_its_own_trials(cell, backend, place):
    for candidate in candidates([cell], [backend], 64):
        if candidate.place != place:
            continue
        study = Study(
            name="x", dataset="pydoc", dimensions=[64], configurations=[candidate.table()]
        )
        trials = plan(study)
        assert trials
        for trial in trials:
            own = trial.backend, trial.precision, trial.build_params, trial.stages
            assert (trial.reducer, trial.reducer_params, trial.dim, *own) == candidate.key


def test_a_backend_is_offered_what_it_can_store():
    found = candidates([CELL], ["faiss-ivf", "faiss-pq", "annoy"], 64)
    assert {c.backend for c in found} == {"faiss-ivf"}
    whole = candidates([Cell("id", "truncate", "", 32, "float32", 0)], ["faiss-pq", "annoy"], 64)
    assert {(c.backend, c.precision) for c in whole} >= {("faiss-pq", "pq"), ("annoy", "float32")}


def row(**given):
    usual = {
        "status": "ok",
        "latency_ms_p50": 1.0,
        "clients": 1,
        "arrival": 0.0,
        "backend": "faiss-hnsw",
        "build_params": '{"M": 16, "ef_construction": 200}',
        "precision": "int8",
        "dim": 64,
        "component_bits": 8.0,
        "bytes_per_vector": 64 + 144.0,
        "stages": "",
        "rescore_ms_p50": float("nan"),
    }
    return usual | given


def test_prospects_are_exact_about_bytes_and_never_slower_than_measured():
    cell = Cell("id", "pca", "", 32, "int8", 0)
    build = '{"M": 16, "ef_construction": 200}'
    candidate = Candidate(cell, "faiss-hnsw", "int8", build, "")
    nothing = Prospects(pd.DataFrame([row(backend="faiss-flat", build_params="")]), 256)
    assert nothing.ms(candidate) < 0.01
    found = Prospects(pd.DataFrame([row()]), 256)
    assert found.bytes(candidate) == 32 + 144
    assert 0.01 < found.ms(candidate) < 1.0


def test_another_build_of_a_backend_adds_no_less_than_one_that_was_measured():
    cell = Cell("id", "pca", "", 32, "binary", 0)
    wider = Candidate(cell, "faiss-hnsw", "binary", '{"M": 32, "ef_construction": 200}', "")
    nothing = Prospects(pd.DataFrame([row(backend="faiss-flat", build_params="")]), 256)
    assert nothing.bytes(wider) == 4
    assert Prospects(pd.DataFrame([row()]), 256).bytes(wider) == 4 + 144
    own = row(build_params=wider.build, bytes_per_vector=64 + 272.0)
    assert Prospects(pd.DataFrame([row(), own]), 256).bytes(wider) == 4 + 272


def test_the_reducers_that_keep_the_most_come_first():
    whitened = {"name": "pca", "whiten": True}
    rows = pd.DataFrame(
        {
            "reducer": ["truncate", "pca", "pca", "truncate", "pca", "pca"],
            "reducer_params": [
                None,
                '{"center": false, "whiten": false}',
                '{"center": false, "whiten": true}',
            ]
            * 2,
        }
    )
    found = best_first(["truncate", "pca", whitened], rows, [0.5, 0.4, 0.9, 1.0, 0.9, 0.9])
    assert found == [whitened, "truncate", "pca"]


def test_what_a_rescore_takes_is_learned_from_any_index():
    rows = [
        row(stages='{"shortlist": 50, "vectors": "disk"}', latency_ms_p50=6.0, rescore_ms_p50=5.0)
    ]
    found = Prospects(pd.DataFrame(rows), 256)
    other = Candidate(RESCORED, "faiss-flat", "binary", "", "disk")
    assert 3.0 < found.ms(other) < 5.0
    assert found.bytes(other) == 2
    assert found.disk(other) == 1024
    held = Candidate(RESCORED, "faiss-flat", "binary", "", "memory")
    assert found.bytes(held) == 2 + 1024
    assert found.disk(held) == 0
    # What was timed between reads from disk says nothing of an index alone.
    cell = Cell("id", "pca", "", 64, "int8", 0)
    alone = Candidate(cell, "faiss-hnsw", "int8", '{"M": 16, "ef_construction": 200}', "")
    assert found.ms(alone) < 0.01


def test_cells_are_the_rows_without_a_clock(frame):
    found = cells(frame)
    exact = frame[frame["backend"] == "exact"]
    assert {c.trial_id for c in found} == set(exact["trial_id"])
