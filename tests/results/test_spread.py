"""The spread between processes, against simulation."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.results.derived import with_derived
from bench.results.spread import PROCESS_COLUMNS, SPEEDUP, Spread, pooled, widened, with_process
from bench.results.store import load

SD = 0.05


def run_of(rng, indexes=20, several=5, processes=3, sd=SD, trials=1):
    """Trials of one run: the first `several` indexes are measured in more than one process."""
    rows = []
    for index in range(indexes):
        many = processes if index < several else 1
        shared = rng.normal(0, sd, many)
        for trial in range(trials):
            true = 1.0 + index + 0.1 * trial
            row = {
                "dataset": "d", "encoder": "", "n_queries": 9, "reducer": "truncate",
                "reducer_params": "", "dim": index, "precision": "float32", "backend": "b",
                "build_params": "", "threads": 1, "machine": "m", "true": true,
            }  # fmt: skip
            for figure, column in PROCESS_COLUMNS.items():
                found = true * np.exp(shared)
                middle = float(np.median(found))
                row |= {column: list(found), figure: middle}
                row |= {f"{figure}_low": middle * 0.999, f"{figure}_high": middle * 1.001}
            rows.append(row)
    return pd.DataFrame(rows)


def test_the_pooled_spread_is_that_of_the_simulation():
    found = [pooled(run_of(np.random.default_rng(seed)))[SPEEDUP] for seed in range(50)]
    assert {spread.degrees for spread in found} == {5 * 2}
    assert np.mean([s.deviation**2 for s in found]) ** 0.5 == pytest.approx(SD, rel=0.1)


@pytest.mark.parametrize(("indexes", "several", "processes"), [(20, 4, 3), (10, 10, 2)])
def test_an_interval_covers_another_run(indexes, several, processes):
    held = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        one, other = (run_of(rng, indexes, several, processes) for _ in range(2))
        wide = widened(one)
        held.append(other[SPEEDUP].between(wide[f"{SPEEDUP}_low"], wide[f"{SPEEDUP}_high"]).mean())
    assert np.mean(held) >= 0.92
    narrow = [run_of(np.random.default_rng(seed)) for seed in range(2)]
    naive = narrow[1][SPEEDUP].between(narrow[0][f"{SPEEDUP}_low"], narrow[0][f"{SPEEDUP}_high"])
    assert naive.mean() < 0.5


def test_more_processes_make_an_interval_narrower():
    spread = Spread(0.05, 20)
    assert spread.half_width(2) == pytest.approx(spread.half_width(1) / math.sqrt(2))
    assert spread.half_width(8) < spread.half_width(4) < spread.half_width(2)
    assert Spread(0.0, 0).half_width(1) == 0


def test_machines_have_spreads_of_their_own():
    rng = np.random.default_rng(0)
    calm, noisy = run_of(rng, sd=0.001), run_of(rng, sd=0.3).assign(machine="other")
    wide = widened(pd.concat([calm, noisy], ignore_index=True))
    width = np.log(wide[f"{SPEEDUP}_high"] / wide[f"{SPEEDUP}_low"]).groupby(wide["machine"])
    assert width.max()["m"] < 0.02 < width.min()["other"]


def test_one_process_alone_leaves_bounds_as_they_were():
    frame = run_of(np.random.default_rng(0), several=0)
    pd.testing.assert_frame_equal(widened(frame), frame)


def test_a_bound_that_is_lacking_stays_lacking():
    frame = run_of(np.random.default_rng(0))
    frame["latency_ms_p99_high"] = np.nan
    assert widened(frame)["latency_ms_p99_high"].isna().all()


def test_an_older_table_is_read_without_a_spread():
    frame = load(Path(__file__).with_name("older.parquet"))
    assert all(spread.degrees == 0 for spread in pooled(frame).values())
    timed = frame[frame[SPEEDUP].notna()]
    assert (timed[f"{SPEEDUP}_low"] <= timed[SPEEDUP]).all()
    assert (frame["arrival"] == 0).all()
    assert with_derived(frame)[SPEEDUP].equals(frame[SPEEDUP])


def test_a_further_process_moves_the_row_to_the_median():
    def row(value, within):
        found = {}
        for figure, column in PROCESS_COLUMNS.items():
            found |= {figure: value, column: [value]}
            found |= {f"{figure}_low": value / within, f"{figure}_high": value * within}
        return found

    first, second, third = row(4.0, 1.1), row(1.0, 1.2), row(2.0, 1.3)
    both = first | with_process(first, second)
    assert both[SPEEDUP] == 2.5
    assert both["process_speedup"] == [4.0, 1.0]
    all_three = both | with_process(both, third)
    assert all_three[SPEEDUP] == 2.0
    mean = (math.log(1.1) + math.log(1.2) + math.log(1.3)) / 3
    assert all_three[f"{SPEEDUP}_high"] == pytest.approx(2 * math.exp(mean))
    assert all_three[f"{SPEEDUP}_low"] == pytest.approx(2 / math.exp(mean))
    third[f"{SPEEDUP}_high"] = None
    assert (both | with_process(both, third))[f"{SPEEDUP}_high"] is None
