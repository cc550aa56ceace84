"""A power loss at any moment: nothing that was finished is lost, and no file is unreadable."""

import random

import pytest

from bench import files
from bench.results import store
from tests.faults import power
from tests.faults.ground import Budget, Lost

BUDGET = Budget(0.0, 1)


@pytest.mark.slow
def test_no_loss_of_power_takes_a_finished_trial():
    assert power.results(BUDGET, random.Random(0)).faults > 100


def test_after_no_loss_of_power_does_the_cache_give_other_vectors():
    assert power.cache(BUDGET, random.Random(0)).faults > 10


def test_the_model_sees_a_rename_that_nothing_makes_durable(monkeypatch):
    monkeypatch.setattr(files, "sync_folder", lambda folder: None)
    with pytest.raises(Lost, match=r"takes|has no queries"):
        power.results(BUDGET, random.Random(0))


def test_the_model_sees_parts_that_go_before_the_table_that_holds_them(monkeypatch):
    gather = store.Store.gather

    def early(self):
        for part in list(self.parts.glob("*.parquet"))[:1]:
            part.unlink()
        gather(self)

    monkeypatch.setattr(store.Store, "gather", early)
    with pytest.raises(Lost, match=r"takes|has no queries"):
        power.results(BUDGET, random.Random(0))
