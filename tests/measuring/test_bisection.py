"""The narrowest search that keeps enough: few questions, few queries, and the grid's own answer."""

import numpy as np
import pytest

from bench.measuring.bisection import Keeping, bisected, chains, faithful, left_out
from bench.measuring.runner import run
from bench.study.plan import Trial


@pytest.mark.parametrize("first", [0, 1, 7, 19])
def test_bisection_finds_the_first_that_passes_with_few_questions(first):
    asked = []

    def passes(position):
        asked.append(position)
        return position >= first

    assert bisected(0, 20, passes) == first
    assert len(set(asked)) <= 6


def test_bisection_asks_the_widest_first_and_gives_up():
    asked = []
    assert bisected(0, 20, lambda position: asked.append(position)) is None
    assert asked == [19]
    assert bisected(3, 3, lambda position: True) is None


def keeping(n=400, keep=0.95):
    full = np.ones(n)
    return Keeping(full, np.arange(n), None, keep, seed=0)


def quality(lost, n=400, counted=None):
    """Return a search that loses a fixed share of the queries."""
    bad = np.random.default_rng(1).random(n) < lost

    def of(rows):
        if counted is not None:
            counted.append(len(rows))
        return np.where(bad[rows], 0.0, 1.0)

    return of


def test_clear_cases_take_few_queries_and_close_ones_all():
    hopeless, close = [], []
    shown = keeping().test(quality(0.5, counted=hopeless))
    assert sum(hopeless) < 200
    assert max(shown.bounds) < 0.95
    shown = keeping().test(quality(0.05, counted=close))
    assert sum(close) == 400
    assert shown.kept == pytest.approx(0.95, abs=0.03)


def trial(nprobe, stages="", other=1):
    search = f'{{"nprobe": {nprobe}, "z": {other}}}'
    return Trial("truncate", "", 8, "float32", "x", "", search, stages, 10, 1)


def test_chains_differ_in_the_first_parameter_alone():
    trials = {
        f"{n}-{s}-{z}": trial(n, s, z)
        for s in ("", '{"shortlist": 20}')
        for z in (1, 2)
        for n in (1, 2, 4)
    }
    found = chains(trials)
    assert len(found) == 4
    assert all([c.split("-")[0] for c in chain] == ["1", "2", "4"] for chain in found)


def test_the_narrowest_enough_and_one_with_room_are_left():
    chain = [f"w{i}" for i in range(8)]
    lost = [0.5, 0.3, 0.2, 0.1, 0.02, 0.01, 0.0, 0.0]
    qualities = {name: quality(share) for name, share in zip(chain, lost, strict=True)}
    out = left_out(chain, qualities, keeping(keep=0.9))
    kept = [name for name in chain if name not in out]
    assert 1 <= len(kept) <= 2
    assert kept[0] == "w4"
    assert all("not timed" in reason for reason in out.values())


def test_a_chain_that_never_keeps_enough_is_left_out_whole():
    chain = ["a", "b", "c"]
    out = left_out(chain, {name: quality(0.5) for name in chain}, keeping())
    assert set(out) == set(chain)
    assert "keeps" in out["c"]


STUDY = """
name = "bisected"
dataset = "vectors:{folder}"
dimensions = [32]
repeats = 1
subsets = 0
keep = 0.5
sweep = "{sweep}"
[[configurations]]
backend = "faiss-ivf"
search = {{ nprobe = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24] }}
"""


def test_a_bisected_study_times_few_and_a_grid_measures_the_rest(tmp_path, vector_folder):
    for sweep in ("bisect", "grid"):
        text = STUDY.format(folder=vector_folder, sweep=sweep)
        (tmp_path / f"{sweep}.toml").write_text(text)
    some = run(tmp_path / "bisect.toml", tmp_path / "results", progress=False)
    counts = some[some["backend"] == "faiss-ivf"]["status"].value_counts()
    assert counts["ok"] <= 3
    assert counts["passed_over"] == 10 - counts["ok"]
    again = run(tmp_path / "bisect.toml", tmp_path / "results", progress=False)
    assert (again["status"] == some["status"]).all()
    whole = run(tmp_path / "grid.toml", tmp_path / "results", progress=False)
    own = whole[whole["backend"] == "faiss-ivf"]
    assert (own["status"] == "ok").all()
    assert len(own) == 10


def test_a_search_without_a_width_is_timed_whatever_it_keeps():
    assert left_out(["only"], {"only": quality(0.9)}, keeping()) == {}


def test_the_faithful_search_is_the_narrowest_that_finds_what_the_widest_finds():
    rng = np.random.default_rng(0)
    best = np.argsort(rng.random((300, 40)), axis=1)[:, :10]
    asked = []

    def search(missed):
        """Return a search that misses so many of the ten, in each query."""

        def of(rows):
            asked.append(len(rows))
            found = best[rows].copy()
            found[:, 10 - missed :] = 99
            return np.flip(found, axis=1)  # in another order

        return of

    chain = ["a", "b", "c", "d", "e"]
    searches = {name: search(missed) for name, missed in zip(chain, (5, 1, 0, 0, 0), strict=True)}
    assert faithful(chain, searches, np.arange(0, 300, 2)) == "c"
    assert max(asked) <= 150
    hopeless = {name: search(missed) for name, missed in zip(chain, (5, 4, 3, 2, 0), strict=True)}
    assert faithful(chain, hopeless, np.arange(300)) == "e"
    nothing = {name: lambda rows: np.full((len(rows), 10), -1) for name in chain}
    assert faithful(chain, nothing, np.arange(300)) == "a"
