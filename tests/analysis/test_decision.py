"""The recommendation and the regression gate."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bench import compare, recommend
from bench.errors import UsageError
from bench.figures import figures
from bench.results.rows import timed


def test_recommends_the_cheapest_whose_lower_bound_holds(frame):
    for retain in (0.3, 0.7, 0.9):
        found = recommend(frame, retain)[0]
        rows = timed(frame)
        fit = rows[rows["retained_ndcg_at_10_low"] >= retain]
        least = fit["bytes_per_vector"].min()
        near = fit[fit["bytes_per_vector"] <= 1.1 * least]
        assert found.trial_id == near.sort_values("latency_ms_p50").iloc[0]["trial_id"]
        cheaper = rows[rows["bytes_per_vector"] < least]
        assert ("Not the next cheaper one" in found.why_not_cheaper) == bool(len(cheaper))


def test_a_server_that_does_not_tell_its_size_is_the_last_choice(frame):
    rows = timed(frame)
    silent = rows.iloc[[0]].assign(
        trial_id="silent", bytes_per_vector=np.nan, retained_ndcg_at_10_low=2.0
    )
    assert recommend(pd.concat([rows, silent]), 0.5)[0].trial_id != "silent"
    only = recommend(silent, 1.0)[0]
    assert only.trial_id == "silent"
    assert "size unknown" in only.why
    assert recommend(silent, 1.0, max_bytes_per_vector=1e9)[0].trial_id is None


def test_limits_are_kept_and_what_cannot_be_is_said(frame):
    slow = timed(frame)["latency_ms_p95"].max() * 2
    assert recommend(frame, 0.5, max_p95_ms=slow)[0].trial_id
    nothing = recommend(frame, 0.5, max_p95_ms=1e-9)[0]
    assert nothing.trial_id is None
    assert "No configuration" in nothing.why
    chosen = recommend(frame, 0.1, max_bytes_per_vector=70)[0]
    assert chosen.trial["bytes_per_vector"] <= 70
    with pytest.raises(UsageError, match="between 0 and 1"):
        recommend(frame, 98)
    with pytest.raises(UsageError, match="no timed trial"):
        recommend(frame[frame["backend"] == "exact"])


def test_the_same_results_are_no_regression(frame):
    found = compare(frame, frame)
    assert found.ok
    assert found.compared == len(frame)


def test_lost_quality_speed_and_trials_are_regressions(frame):
    head = frame.copy()
    i = head.index[head["backend"] == "faiss-hnsw"][0]
    head.loc[i, "ndcg_at_10"] -= 1e-4
    assert len(compare(frame, head).regressions) == 1
    assert compare(frame, head.assign(machine="another")).ok, (
        "another processor may round a graph's edge otherwise"
    )
    head = frame.copy()
    for column in ("speedup_vs_exact", "speedup_vs_exact_low", "speedup_vs_exact_high"):
        head.loc[i, column] /= 20
    assert "the speed of exact search" in compare(frame, head).regressions[0]
    assert len(compare(head, frame).improvements) == 1
    gone = compare(frame, frame.drop(index=i))
    assert len(gone.missing) == 1
    assert not gone.ok
    failed = frame.copy()
    failed.loc[i, "status"] = "crashed"
    assert not compare(frame, failed).ok


def test_other_texts_are_not_compared(frame):
    with pytest.raises(UsageError, match="not the same in both"):
        compare(frame, frame.assign(dataset_fingerprint="other"))
    with pytest.raises(UsageError, match="no configuration in common"):
        compare(frame, frame.assign(dataset="other"))


def bench(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_commands_end_to_end(measured, tmp_path):
    assert "Pareto-optimal" in bench("show", measured).stdout
    records = json.loads(bench("show", measured, "--json").stdout)
    assert any(record["pareto"] for record in records)
    assert json.loads(bench("recommend", measured, "--json", "--retain", "0.5").stdout)[0][
        "trial_id"
    ]
    assert len(bench("figures", measured, "--out", tmp_path / "f").stdout.splitlines()) == 2 * (
        len(figures()) - 1
    )  # none is a server under load
    assert (measured / "report.html").samefile(bench("report", measured).stdout.strip())
    assert "no regression" in bench("compare", measured, measured).stdout
    for kind in ("datasets", "encoders", "reducers", "backends", "figures", "studies"):
        assert json.loads(bench("list", kind, "--json").stdout)


def test_a_regression_is_exit_status_1(measured, tmp_path, frame):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bench.results.store import TRIALS

    worse = frame.assign(ndcg_at_10=np.maximum(frame["ndcg_at_10"] - 0.1, 0))
    pq.write_table(
        pa.Table.from_pandas(worse, schema=TRIALS, preserve_index=False).replace_schema_metadata(
            TRIALS.metadata
        ),
        tmp_path / "trials.parquet",
    )
    assert "REGRESSION" in bench("compare", measured, tmp_path, code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "no-such-study"], "not a study file"),
        (["run", "quickstart", "--set", "dimensions=0"], "dimensions = 0"),
        (["run", "quickstart", "--set", "dataset=pydok"], "did you mean 'pydoc'"),
        (["show", "no-such-folder"], "no results folder"),
        (["recommend", "no-such-folder"], "no results folder"),
        (["shwo", "x"], "No such command"),
        (["list", "backend"], "is not one of"),
        (["compare", "a"], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, message, tmp_path):
    error = bench(
        *arguments, *(["--out", tmp_path / "o"] if arguments[0] == "run" else []), code=2
    ).stderr
    assert message in error
    assert len(error.strip().splitlines()) == 1
