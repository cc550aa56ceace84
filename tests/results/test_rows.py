"""Which rows of the trials are which."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bench.results.rows import (
    FIDELITY,
    NDCG,
    base_dataset,
    pareto,
    quality_of,
    wholes,
)


def test_parts_of_a_corpus_are_told_from_the_whole_by_their_name_and_size():
    frame = pd.DataFrame(
        [
            ("pydoc", "a", 9000),
            ("pydoc@300", "a", 300),
            ("pydoc@300", "b", 300),
            ("pydoc@900", "b", 900),  # the whole was not measured with this encoder
            ("vectors:x@300", None, 700),  # a folder that is called so
        ],
        columns=["dataset", "encoder", "n_corpus"],
    )
    assert base_dataset(frame).tolist() == ["pydoc"] * 4 + ["vectors:x@300"]
    assert wholes(frame).index.tolist() == [0, 3, 4]
    assert wholes(frame.iloc[[0]]).equals(frame.iloc[[0]])


values = st.one_of(st.integers(0, 4).map(float), st.sampled_from([np.nan, np.inf, -0.0]))


@given(
    st.integers(2, 3).flatmap(lambda n: st.lists(st.tuples(*[values] * n), min_size=1, max_size=40))
)
def test_pareto_is_its_definition(rows):
    """Against every pair of rows, with ties, copies and unknown values."""
    names = ["good", "slow", "big"][: len(rows[0])]
    frame = pd.DataFrame(rows, columns=names, index=range(7, 7 + len(rows)))
    costs = frame.to_numpy() * [-1, 1, 1][: len(names)]
    expected = [
        not np.isnan(own).any()
        and not any(
            (other <= own).all() and ((other < own).any() or j < i) for j, other in enumerate(costs)
        )
        for i, own in enumerate(costs)
    ]
    found = pareto(frame, names[:1], names[1:])
    assert found.tolist() == expected
    assert found.index.equals(frame.index)


def test_a_front_of_which_every_row_is_part_is_found_whole():
    rng = np.random.default_rng(0)
    good = np.sort(rng.random(20_000))
    frame = pd.DataFrame({"good": good, "slow": good, "big": rng.random(20_000)})
    assert pareto(frame, ["good"], ["slow", "big"]).all()


def test_quality_is_fidelity_where_nothing_is_judged(frame):
    assert quality_of(frame) == NDCG
    assert quality_of(frame.assign(ndcg_at_10=np.nan)) == FIDELITY
