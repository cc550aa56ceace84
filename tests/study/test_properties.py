"""Any study: written and read back it is the same, and its plan depends on no order."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.harmless import shown
from bench.study.plan import canonical, parameters, plan
from bench.study.reader import STUDIES, load_study, write_study
from bench.study.schema import Study

any_study = settings(max_examples=60, deadline=None, derandomize=True, database=None)
counts = st.integers(1, 512)


def some(values, least=1):
    """Return a strategy of lists without repetition."""
    return st.lists(values, min_size=least, max_size=3, unique=True)


harmless = st.text(min_size=1, max_size=8).filter(lambda text: shown(text) == text)
"""A study may not hold signs that act where they are shown."""


def of_backend(name, build, search, precisions):
    """Return a strategy of tables of one backend."""
    return st.fixed_dictionaries(
        {"backend": st.just(name)},
        optional={
            "reducer": some(st.sampled_from(["truncate", "pca", "random_projection"])),
            "precision": some(st.sampled_from(precisions)),
            "build": st.fixed_dictionaries({}, optional=dict.fromkeys(build, some(counts))),
            "search": st.fixed_dictionaries({}, optional=dict.fromkeys(search, some(counts))),
            "stages": st.fixed_dictionaries(
                {"shortlist": some(st.integers(100, 500))},
                optional={"dimension": some(counts), "funnel": some(st.booleans())},
            ),
            "dimensions": some(counts),
        },
    )


tables = st.lists(
    of_backend("faiss-flat", [], [], ["float32", "int8", "binary"])
    | of_backend("faiss-hnsw", ["M", "ef_construction"], ["ef"], ["float32", "int8"]),
    max_size=3,
)
studies = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True),
        "dataset": some(harmless),
        "dimensions": some(counts),
        "configurations": tables,
    },
    optional={
        "encoder": some(harmless),
        "reducers": st.lists(
            st.sampled_from(["truncate", "pca"])
            | st.fixed_dictionaries({"name": st.just("random_subset"), "seed": some(counts)}),
            min_size=1,
            max_size=3,
        ),
        "k": some(st.integers(1, 99)),
        "threads": some(st.integers(1, 4)),
        "queries": counts,
        "corpus_sizes": some(st.floats(1, 1e9)),
        "order": st.integers(0, 9),
        "sweep": st.sampled_from(["grid", "pareto", "bisect"]),
        "keep": st.floats(0.01, 1),
        "seed": st.integers(0, 9),
        "timeout_seconds": st.floats(0.1, 1e6),
        "memory_gib": st.floats(0.1, 1e6),
    },
)


@any_study
@given(table=studies)
def test_a_study_that_is_written_is_read_back_as_it_was(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("study")
    study = Study.model_validate(table)
    write_study(study, folder)
    assert load_study(folder / STUDIES / f"{study.name}.toml") == study


@any_study
@given(table=studies)
def test_a_plan_has_no_trial_twice_and_keeps_those_of_an_index_together(table):
    trials = plan(Study.model_validate(table))
    assert len(set(trials)) == len(trials)
    indexes = [key for key, _ in itertools.groupby(trial.build_key for trial in trials)]
    assert len(set(indexes)) == len(indexes)


@any_study
@given(table=studies, random=st.randoms(use_true_random=False))
def test_a_plan_depends_on_no_order_of_keys_tables_or_values(table, random):
    assert set(plan(Study.model_validate(table))) == set(
        plan(Study.model_validate(shuffled(table, random)))
    )


def shuffled(value, random):
    """Return the same keys and values in another order, all the way down."""
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(each, random) for key, each in items}
    if isinstance(value, list):
        return [shuffled(each, random) for each in random.sample(value, len(value))]
    return value


@any_study
@given(
    given_=st.dictionaries(harmless, st.integers() | st.booleans() | harmless),
    random=st.randoms(use_true_random=False),
)
def test_parameters_have_one_text_whatever_their_order(given_, random):
    assert canonical(shuffled(given_, random)) == canonical(given_)
    assert parameters(canonical(given_)) == given_
