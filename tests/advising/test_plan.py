"""What is measured without a clock, and how figures are compared in words."""

import pandas as pd
import pytest

from bench.advising.advice import speed_as, times_as
from bench.advising.evidence import ALL, Kept
from bench.advising.plan import untimed_tables

KEPT = {
    "full": ALL,
    "lucky": Kept(1.1, 1.0, 1.2),
    "luckier": Kept(1.2, 1.1, 1.3),
    "short": Kept(0.5, 0.4, 0.6),
    "shorter": Kept(0.4, 0.3, 0.5),
    "shortest": Kept(0.3, 0.2, 0.4),
}


class Searched:
    def searched(self, trial_id):
        return KEPT[trial_id]


def rows():
    return pd.DataFrame(
        {
            "trial_id": list(KEPT),
            "reducer": ["truncate", "pca", "adaptor"] * 2,
            "reducer_params": "",
            "dim": [64] * 3 + [8] * 3,
            "full_dim": 64,
        }
    )


@pytest.mark.parametrize(
    ("is_large", "alone", "rescored"),
    [
        (False, ["truncate", "adaptor"], [("truncate", 8), ("pca", 8)]),
        (True, ["truncate"], [("truncate", 8)]),
    ],
)
def test_codes_of_the_uncut_vectors_are_measured_whatever_seems_better(is_large, alone, rescored):
    found = untimed_tables(rows(), Searched(), 0.95, is_large)
    plain = [table for table in found if "stages" not in table]
    assert [table["reducer"] for table in plain] == alone
    assert {table["dimensions"] for table in plain} == {64}
    staged = [(table["reducer"], table["dimensions"]) for table in found if "stages" in table]
    assert staged == [(reducer, 64) for reducer in alone] + rescored
    assert found == plain + found[len(plain) :]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (2.0, 1.0, "2 times as fast"),
        (1.0, 4.0, "4 times as slow"),
        (1.0, 1.03, "about as fast"),
        (1e4, 1.0, "10,000 times as fast"),
    ],
)
def test_speeds_in_words(first, second, words):
    assert speed_as(first, second) == words


def test_equal_sizes_have_their_own_words():
    assert times_as(1024, 1024, "less", "more", "as much") == "as much"
    assert times_as(1024, 64, "less", "more", "as much") == "16 times less"
