"""Which rows of the trials are which."""

import numpy as np
import pandas as pd

from bench.results.rows import (
    FIDELITY,
    NDCG,
    pareto,
    quality_of,
)


def test_pareto_is_its_definition():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 6, (60, 3)).astype(float), columns=["good", "slow", "big"])
    frame.loc[5, "good"] = np.nan
    found = pareto(frame, ["good"], ["slow", "big"])
    for i, row in frame.iterrows():
        others = frame.drop(index=i).dropna()
        no_worse = (
            (others["good"] >= row["good"])
            & (others["slow"] <= row["slow"])
            & (others["big"] <= row["big"])
        )
        copies = (others == row).all(axis=1)
        earlier_copy = (others.index[copies] < i).any()
        assert found[i] == (
            not row.isna().any() and not (no_worse & ~copies).any() and not earlier_copy
        )


def test_quality_is_fidelity_where_nothing_is_judged(frame):
    assert quality_of(frame) == NDCG
    assert quality_of(frame.assign(ndcg_at_10=np.nan)) == FIDELITY
