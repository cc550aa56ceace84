"""The search for the Pareto front: it drops dominated configurations, and no others."""

import numpy as np
import pytest

from bench.backends import get_backend
from bench.measuring import jobs
from bench.measuring.pruning import LEAST, MARGIN, Rival, prune
from bench.measuring.rivals import undominated
from bench.measuring.runner import run
from bench.results.store import load

N = 400


def made(qualities, seed=0):
    """Queries of uneven difficulty; a configuration of quality q answers those easier than q."""
    difficulty = np.random.default_rng(seed).random(N)
    values = {name: (difficulty < quality).astype(float) for name, quality in qualities.items()}
    asked = {name: [] for name in qualities}

    def candidate(name):
        def answer(rows):
            asked[name] += list(rows)
            return values[name][rows]

        return answer

    return values, asked, {name: candidate(name) for name in qualities}


def test_dominated_configurations_are_dropped_early_and_the_front_stays():
    _, asked, candidates = made({"fast": 0.6, "good": 0.9, "slow": 0.3, "equal but slow": 0.9})
    costs = {"fast": (1.0, 10), "good": (4.0, 10), "slow": (5.0, 10), "equal but slow": (9.0, 10)}
    dropped = prune(candidates, costs, [], N, seed=0)
    assert set(dropped) == {"slow", "equal but slow"}
    assert dropped["slow"].queries == max(LEAST, N // 8)
    assert "after 50 queries" in dropped["slow"].reason
    assert dropped["equal but slow"].queries == N
    # No query is asked twice, and a dropped one is asked no more.
    assert all(len(rows) == len(set(rows)) for rows in asked.values())
    assert len(asked["slow"]) == 50
    assert len(asked["good"]) == N


@pytest.mark.parametrize(
    ("costs", "why"),
    [
        ({"a": (1.0, 10), "b": (1.0 * MARGIN - 0.01, 10)}, "within the margin of rough times"),
        ({"a": (1.0, 20), "b": (9.0, 10)}, "fewer bytes"),
    ],
)
def test_a_better_time_or_fewer_bytes_saves_it(costs, why):
    _, _, candidates = made({"a": 0.8, "b": 0.8})
    assert prune(candidates, costs, [], N, seed=0) == {}, why


def test_a_better_quality_saves_it_however_small():
    _, _, candidates = made({"a": 0.80, "b": 0.81})
    assert prune(candidates, {"a": (1.0, 10), "b": (9.0, 10)}, [], N, seed=0) == {}


def test_earlier_rivals_dominate_new_candidates():
    values, _, candidates = made({"a": 0.8, "b": 0.5})
    rival = Rival(values["a"], 1.0, 10)
    dropped = prune({"b": candidates["b"]}, {"b": (2.0, 10)}, [rival], N, seed=0)
    assert set(dropped) == {"b"}
    assert prune({"b": candidates["b"]}, {"b": (1.1, 10)}, [rival], N, seed=0) == {}


def test_few_equal_queries_are_no_proof_of_equality():
    _, _, candidates = made({"a": 0.8, "b": 0.8})
    dropped = prune(candidates, {"a": (1.0, 10), "b": (9.0, 10)}, [], N, seed=0)
    assert dropped["b"].queries == N


def test_too_few_queries_decide_nothing():
    _, _, candidates = made({"a": 0.8, "b": 0.5})
    assert prune(candidates, {"a": (1.0, 1), "b": (9.0, 9)}, [], LEAST - 1, seed=0) == {}


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.skipif(
    not get_backend("annoy").available(), reason="needs annoy, which needs a C++ compiler"
)
def test_a_sweep_for_the_front_leaves_rows_behind_and_a_grid_measures_them(vector_folder, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        f"""
        name = "front"
        dataset = "vectors:{vector_folder}"
        dimensions = [8, 32]
        reducers = ["truncate"]
        repeats = 1
        sweep = "pareto"
        [[configurations]]
        backend = "faiss-ivf"
        search = {{ nprobe = [1, 24] }}
        [[configurations]]
        backend = "annoy"
        build = {{ n_trees = 100 }}
        search = {{ search_k = [100, 200000, 400000] }}
        """
    )
    out = tmp_path / "out"
    frame = run(study, out, progress=False)
    pruned = frame[frame["status"] == "pruned"]
    # The forest has fewer than 200,000 nodes, so 400,000 find no more; times may save a few.
    assert len(pruned)
    assert pruned["error"].str.contains("not timed: after 40 queries").all()
    assert pruned["latency_ms_p50"].isna().all()
    assert len(frame) == 2 + 2 * 2 + 2 * 3
    again = run(study, out, progress=False)
    assert sorted(again["started_at"]) == sorted(frame["started_at"])
    grid = run(study, out, ['sweep="grid"'], progress=False)
    assert set(grid["status"]) == {"ok"}
    assert len(load(out)) == len(frame)


@pytest.mark.slow
def test_rivals_are_read_back_when_a_sweep_for_the_front_resumes(vector_folder, tmp_path):
    def written(backends):
        study = tmp_path / "study.toml"
        study.write_text(
            f"""
            name = "front"
            dataset = "vectors:{vector_folder}"
            dimensions = [32]
            repeats = 1
            sweep = "pareto"
            {backends}
            """
        )
        return study

    flat = '[[configurations]]\nbackend = "faiss-flat"\n'
    forest = (
        '[[configurations]]\nbackend = "annoy"\nbuild = { n_trees = 100 }\n'
        "search = { search_k = 400000 }\n"
    )
    first = run(written(flat), tmp_path / "out", progress=False)
    assert "pruned" not in set(first["status"])
    both = run(written(flat + forest), tmp_path / "out", progress=False).set_index("backend")
    # Searching the whole forest is slower and larger than a scan of 600 vectors, and finds no more.
    assert both.loc["annoy", "status"] == "pruned"


def test_undominated_is_the_definition():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (40, 3)).astype(float)
    rivals = [jobs.Rival(by_query=[q, q], ms=ms, bytes=size) for q, ms, size in values]
    kept = undominated(rivals)
    for rival, (q, ms, size) in zip(rivals, values, strict=True):
        dominated = any(
            a >= q and b <= ms and c <= size and (a, b, c) != (q, ms, size) for a, b, c in values
        )
        assert (rival in kept) == (not dominated)
