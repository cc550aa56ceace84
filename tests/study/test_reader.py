"""Study files: the trials they expand to, and the errors of bad ones."""

import json

import pytest

from bench.errors import UsageError
from bench.study.plan import exact_reducers, plan
from bench.study.reader import load_study, shipped

BASE = """
name = "s"
dataset = "pydoc"
encoder = "wordllama"
dimensions = [16, 32]
"""


def study(tmp_path, text, *overrides):
    path = tmp_path / "study.toml"
    path.write_text(BASE + text)
    return load_study(path, overrides)


def test_every_list_is_swept_and_the_grid_gives_the_defaults(tmp_path):
    trials = plan(
        study(
            tmp_path,
            '[[configurations]]\nbackend = "faiss-hnsw"\nbuild = { M = [8, 16] }\n'
            "search = { ef = [10, 20, 30] }",
        )
    )
    assert len(trials) == 2 * 2 * 3
    assert {t.build_params for t in trials} == {
        json.dumps({"M": m, "ef_construction": 200}) for m in (8, 16)
    }
    assert {t.precision for t in trials} == {"float32"}


def test_trials_that_share_an_index_are_grouped(tmp_path):
    flat = '[[configurations]]\nbackend = "faiss-flat"\n'
    text = f"{flat}{flat}stages = {{ shortlist = [20, 50] }}"
    trials = plan(study(tmp_path, text))
    assert [(t.dim, t.stages) for t in trials] == [
        (d, s) for d in (16, 32) for s in ("", '{"shortlist": 20}', '{"shortlist": 50}')
    ]


def test_the_same_trial_named_twice_is_one(tmp_path):
    assert len(plan(study(tmp_path, '[[configurations]]\nbackend = "faiss-flat"\n' * 2))) == 2


def test_exact_search_covers_every_reducer_named_anywhere(tmp_path):
    text = 'reducers = { name = "random_subset", seed = [7, 8] }\n'
    text += '[[configurations]]\nbackend = "annoy"\nreducer = "pca"'
    assert exact_reducers(study(tmp_path, text)) == [
        ("truncate", ""),
        ("random_subset", '{"seed": 7}'),
        ("random_subset", '{"seed": 8}'),
        ("pca", '{"center": false, "whiten": false}'),
    ]


def test_set_replaces_a_key(tmp_path):
    assert study(tmp_path, "", "dimensions=[8]", "dataset=beir:x/y").dimensions == [8]
    assert study(tmp_path, "", "dataset=beir:x/y").dataset == ["beir:x/y"]


def test_what_ships_is_valid():
    assert {"quickstart", "regress"} <= set(shipped())
    for name in shipped():
        assert plan(load_study(name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dimensions = 1", "is not TOML"),
        ("[broken", "is not TOML"),
        ("treads = 1", "unknown key 'treads'; did you mean 'threads'"),
        ("k = 0", "k = 0: input should be greater"),
        (
            '[[configurations]]\nbackend = "fais-flat"',
            "no backend is called 'fais-flat'; did you mean 'faiss-flat'",
        ),
        (
            '[[configurations]]\nbackend = "faiss-hnsw"\nsearch = { efs = 1 }',
            "no search parameter 'efs'; did you mean 'ef'",
        ),
        (
            '[[configurations]]\nbackend = "faiss-hnsw"\nsearch = { ef = "x" }',
            "ef = 'x' is not a whole number",
        ),
        (
            '[[configurations]]\nbackend = "faiss-flat"\nprecision = "int9"',
            "no precision 'int9'; did you mean 'int8'",
        ),
        (
            '[[configurations]]\nbackend = "faiss-flat"\nstages = { shortlist = 20, short = 5 }',
            "unknown key 'configurations[1].stages.short'",
        ),
        ('[[configurations]]\nreducer = "pca"', "the key 'configurations[1].backend' is missing"),
        ('reducers = "pac"', "no reducer is called 'pac'; did you mean 'pca'"),
    ],
)
def test_bad_studies_are_reported_in_one_line(tmp_path, text, message):
    with pytest.raises(UsageError) as error:
        study(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dimensions", ["0", "-3", "1.5", '"many"', "[]", "true"])
def test_dimensions_that_are_none(tmp_path, dimensions):
    with pytest.raises(UsageError, match="dimensions"):
        study(tmp_path, "", f"dimensions={dimensions}")


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", ""])
def test_a_name_that_would_leave_its_folder(tmp_path, name):
    with pytest.raises(UsageError, match="becomes a folder"):
        study(tmp_path, "", f"name='{name}'")


def test_a_study_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="quickstart"):
        load_study(tmp_path / "none.toml")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000, "{a=" * 3000], ids=range(3))
def test_numbers_and_nesting_that_no_parser_takes(tmp_path, value):
    with pytest.raises(UsageError, match="is not TOML"):
        study(tmp_path, f"k = {value}")
    with pytest.raises(UsageError, match="k = "):
        study(tmp_path, "", f"k={value}")


def test_every_refusal_names_the_file_on_one_line(tmp_path):
    for text in (
        '[[configurations]]\nbackend = "a\\nb"',
        'reducers = "a\\nb"',
        'reducers = "pca:x"',
        'reducers = { name = "random_subset", seed = "x" }',
        'reducers = { name = "random_subset", seed = 2026-01-01 }',
    ):
        with pytest.raises(UsageError, match=r"study\.toml") as error:
            study(tmp_path, text)
        assert len(str(error.value).splitlines()) == 1


def test_a_path_that_no_system_takes(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_study(tmp_path / ("x" * 5000))


def test_a_study_that_no_machine_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.study.plan._MOST_TRIALS", 99)
    text = f'k = {list(range(1, 51))}\n[[configurations]]\nbackend = "faiss-flat"\n'
    with pytest.raises(UsageError, match="more than 99 trials"):
        plan(study(tmp_path, text))
    monkeypatch.setattr("bench.study.plan._MOST_TRIALS", 100)
    assert len(plan(study(tmp_path, text))) == 100
