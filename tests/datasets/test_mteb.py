"""MTEB tasks: their contents, and the errors of unusable ones."""

import sys
from types import SimpleNamespace

import pytest

from bench.datasets import load_dataset
from bench.errors import UsageError


def table(*rows):
    from datasets import Dataset

    return Dataset.from_list(list(rows))


def data(corpus=("a", "b"), queries=("q",), qrels=None, top_ranked=None):
    return {
        "corpus": table(*({"id": i, "title": "", "text": "" if i == "b" else "x"} for i in corpus)),
        "queries": table(*({"id": i, "text": "?"} for i in queries)),
        "relevant_docs": qrels or {"q": {"a": 1}},
        "top_ranked": top_ranked,
    }


@pytest.fixture
def use(monkeypatch):
    """Return a function that replaces mteb, which is slow to import, by one with a given task."""

    def put(dataset=None, fails=None):
        def load_data():
            if fails:
                raise fails

        task = SimpleNamespace(
            metadata=SimpleNamespace(type="Retrieval"),
            dataset=dataset,
            load_data=load_data,
            convert_v1_dataset_format_to_v2=lambda num_proc: None,
        )
        monkeypatch.setitem(sys.modules, "mteb", SimpleNamespace(get_task=lambda name: task))
        return task

    return put


@pytest.mark.needs_mteb
def test_subsets_and_splits(use):
    use({"en": {"test": data()}, "de": {"test": data(corpus=("a", "b", "c"))}})
    assert len(load_dataset("mteb:T/de").doc_ids) == 3
    for spec, split, message in (
        ("mteb:T", "test", "mteb:T/SUBSET: en, de"),
        ("mteb:T/fr", "test", "no subset 'fr'"),
        ("mteb:T/en", "dev", "no split 'dev'; there are: test"),
    ):
        with pytest.raises(UsageError, match=message):
            load_dataset(spec, split)


@pytest.mark.needs_mteb
def test_empty_documents_and_foreign_judgements_are_noted(use):
    use({"default": {"test": data(qrels={"q": {"a": 1, "gone": 1}, "stranger": {"a": 1}})}})
    notes = load_dataset("mteb:T").notes
    assert "1 documents are empty" in notes
    assert any("1 documents that are not in the corpus: gone" in note for note in notes)
    assert any("1 unknown queries: stranger" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": ("a", "b", "a")}, "1 document ids occur more than once: a"),
        ({"queries": ("q", "q")}, "1 query ids occur more than once: q"),
        ({"qrels": {"q": {"a": 0}}}, "no query has a relevant document"),
        ({"top_ranked": {"q": ["a"]}}, "reranks given candidates"),
    ],
)
@pytest.mark.needs_mteb
def test_tasks_that_cannot_be_scored(use, change, message):
    use({"default": {"test": data(**change)}})
    with pytest.raises(UsageError, match=message):
        load_dataset("mteb:T")


@pytest.mark.parametrize(
    ("fails", "message"),
    [(ConnectionError("no hub\nat all"), "not in mteb's cache: no hub$"), (OSError(), "OSError$")],
)
def test_a_hub_that_is_not_there_is_one_line(use, fails, message):
    use(fails=fails)
    with pytest.raises(UsageError, match=message):
        load_dataset("mteb:T")


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(UsageError, match=r"pip install 'matryoshka-bench\[mteb\]'"):
        load_dataset("mteb:T")


@pytest.mark.needs_mteb
def test_a_task_that_is_not_retrieval():
    with pytest.raises(UsageError, match="of type Classification; a retrieval task is needed"):
        load_dataset("mteb:Banking77Classification")


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.needs_mteb
def test_a_query_that_is_a_document_is_excluded_if_the_task_asks_for_it(use, ignored):
    task = use({"default": {"test": data(corpus=("a", "q"))}})
    task.ignore_identical_ids = ignored
    own = load_dataset("mteb:T").own
    assert (own.tolist() if own is not None else None) == ([1] if ignored else None)
