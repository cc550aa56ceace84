"""Ids of trials: the same for the same measurement, another for anything that changes it."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measuring.workload import Workload
from bench.study.plan import Trial
from bench.study.schema import Study
from tests.study.test_properties import shuffled, studies

any_study = settings(max_examples=25, deadline=None, derandomize=True, database=None)
FLAT = Study(name="s", dataset=["d"], dimensions=[8], configurations=[{"backend": ["faiss-flat"]}])
TRIAL = Trial("truncate", "", 8, "float32", "faiss-flat", "", "", "", 10, 1)


def embeddings(**changed):
    """Return what a workload reads of embeddings of 600 documents at 512 dimensions."""
    values = {
        "folder": Path("none"),
        "key": "k",
        "dataset": "d",
        "encoder": "",
        "full_dim": 512,
        "qrels": None,
        "n_searchable": 600,
        "corpus": np.broadcast_to(np.float32(0), (600, 512)),
    }
    return SimpleNamespace(**values | changed)


def ids(study, machine="m", **changed):
    return {i for group in Workload(study, embeddings(**changed), machine).groups for i in group}


@any_study
@given(table=studies, random=st.randoms(use_true_random=False))
def test_the_same_study_in_another_order_has_the_same_ids(table, random):
    # The exact pass takes the first number of threads, whichever comes first.
    study, other = (Study.model_validate(each) for each in (table, shuffled(table, random)))
    other = other.model_copy(update={"threads": study.threads})
    assert ids(study) == ids(other)


@any_study
@given(table=studies)
def test_no_two_trials_of_a_study_share_an_id(table):
    work = Workload(Study.model_validate(table), embeddings(), "m")
    trials = [trial for group in work.groups for trial in group.values()]
    assert len({i for group in work.groups for i in group}) == len(set(trials))


@pytest.mark.parametrize("name", [field.name for field in fields(Trial)])
def test_each_field_of_a_trial_counts(name):
    work = Workload(FLAT, embeddings(), "m")
    others = {
        "reducer": "pca",
        "precision": "int8",
        "backend": "faiss-hnsw",
        "dim": 4,
        "k": 5,
        "threads": 2,
        "clients": 2,
        "arrival": 0.5,
        "reducer_params": "{}",
    }
    changed = replace(TRIAL, **{name: others.get(name, '{"x": 1}')})
    assert work._id(changed) != work._id(TRIAL)
    assert work._id(replace(TRIAL)) == work._id(TRIAL)


@pytest.mark.parametrize(
    "changed", [{"machine": "n"}, {"key": "l"}, {"dataset": "e"}, {"encoder": "e"}]
)
def test_what_is_measured_on_counts(changed):
    assert ids(FLAT).isdisjoint(ids(FLAT, **changed))


@pytest.mark.parametrize("changed", [{"queries": 5}, {"seed": 1}, {"repeats": 7}, {"processes": 3}])
def test_how_it_is_measured_counts(changed):
    assert ids(FLAT).isdisjoint(ids(FLAT.model_copy(update=changed)))


def test_what_measures_nothing_does_not_count():
    other = {"name": "t", "timeout_seconds": 9.0, "memory_gib": 1.0, "sweep": "pareto"}
    assert ids(FLAT) == ids(FLAT.model_copy(update=other))
