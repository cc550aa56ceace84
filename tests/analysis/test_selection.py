"""Trials chosen by an expression: what it may hold, and that it runs nothing."""

import pandas as pd
import pytest

from bench.analysis.selection import named, ordered, where
from bench.analysis.tables import front
from bench.errors import UsageError


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("dim <= 8", lambda f: f["dim"] <= 8),
        ("4 < dim <= 16", lambda f: (f["dim"] > 4) & (f["dim"] <= 16)),
        (
            'backend == "faiss-hnsw" and dim != 32',
            lambda f: (f["backend"] == "faiss-hnsw") & (f["dim"] != 32),
        ),
        (
            'not (dim == 8 or precision in ["int8", "binary"])',
            lambda f: ~((f["dim"] == 8) | f["precision"].isin(["int8", "binary"])),
        ),
        ("dim not in (4, 8)", lambda f: ~f["dim"].isin([4, 8])),
        ('"hnsw" in backend', lambda f: f["backend"].str.contains("hnsw")),
        ("latency_ms_p50 * 1000 < 50", lambda f: f["latency_ms_p50"] < 0.05),
        (
            "bytes_per_vector / dim >= 4 - 0",
            lambda f: f["bytes_per_vector"] / f["dim"] >= 4,
        ),
        ("latency_ms_p50 is None", lambda f: f["latency_ms_p50"].isna()),
        ("latency_ms_p50 is not None", lambda f: f["latency_ms_p50"].notna()),
        ("not synthetic", lambda f: ~f["synthetic"].astype(bool)),
        ("pareto", lambda f: f.index.isin(front(f).index)),
        ("True", lambda f: pd.Series(True, index=f.index)),
    ],
)
def test_an_expression_chooses_the_same_rows_as_pandas(frame, expression, same):
    chosen = where(named(frame), expression)
    assert list(chosen.index) == list(frame.index[same(frame)])
    assert expression == "True" or 0 < len(chosen) < len(frame) or "synthetic" in expression


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("dim.real", "'dim.real' is not allowed"),
        ("backend.__class__", "not allowed"),
        ('__import__("os").system("true")', "not allowed"),
        ("(lambda: 1)()", "not allowed"),
        ("dim[0] == 1", "not allowed"),
        ("[x for x in (1, 2)]", "not allowed"),
        ('f"{dim}" == "8"', "not allowed"),
        ("(dim := 3) == 3", "not allowed"),
        ("dim if pareto else 3", "not allowed"),
        ("9 ** 9 ** 9 > dim", "not allowed"),
        ("dim < 8 & dim > 2", "not allowed"),
        ("@dim", "not an expression"),
        ("dim <=", "not an expression"),
        ("import os", "not an expression"),
        ("(" * 500 + "dim" + ")" * 500, "not an expression"),
        ("not " * 5000 + "pareto", "not "),
        ("__builtins__ == 1", "no column is called '__builtins__'"),
        ("dimm == 8", "did you mean 'dim'"),
        ("dim", "'dim' is a number, not a condition"),
        ('dim == "8"', "cannot be compared"),
        ("backend > 3", "cannot be compared"),
        ("process_speedup == 1", "holds lists"),
        ("dim in 3", "needs a list"),
        ("dim in [backend]", "a list holds"),
        ("1 / 0 < dim", "division by zero"),
        ("-backend == 3", "is a text, not a number"),
    ],
)
def test_anything_else_is_refused_in_one_line(frame, expression, says):
    with pytest.raises(UsageError) as error:
        where(named(frame), expression)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_rows_are_sorted_by_several_columns_and_the_unknown_come_last(frame):
    found = ordered(frame, ["-dim", "latency_ms_p50"])
    assert list(found["dim"]) == sorted(frame["dim"], reverse=True)
    times = found[found["dim"] == 32]["latency_ms_p50"]
    known = times.dropna()
    assert list(known) == sorted(known)
    assert times.isna().to_list() == [False] * len(known) + [True] * (len(times) - len(known))
    with pytest.raises(UsageError, match="did you mean 'build_seconds'"):
        ordered(frame, ["-build_second"])
    with pytest.raises(UsageError, match="no order"):
        ordered(frame, ["process_speedup"])


def test_the_front_is_that_of_all_trials_of_each_dataset(frame):
    other = frame.assign(
        dataset="other",
        trial_id=frame["trial_id"] + "x",
        latency_ms_p50=frame["latency_ms_p50"] / 9,
    )
    both = named(pd.concat([frame, other], ignore_index=True))
    marked = both[both["pareto"]]
    assert set(marked["trial_id"]) == {
        *front(frame)["trial_id"],
        *(f"{i}x" for i in front(frame)["trial_id"]),
    }
    assert both["label"].str.len().gt(0).all()
