"""Docstrings become pairs of a query and a document."""

import textwrap

import pytest

from bench.datasets import load_dataset
from bench.errors import UsageError

BODY = "This sentence is the rest of a docstring, and is about {}."


def function(name, summary, body, before=""):
    return f'{before}def {name}():\n    """{summary}\n\n    {body}\n    """\n'


def test_a_summary_asks_for_the_rest(source):
    source(m=function("f", "Count the green apples.", BODY.format("apples")))
    data = load_dataset("pydoc", "all")
    assert (list(data.doc_ids), list(data.queries)) == (["m.f"], ["Count the green apples."])
    assert list(data.documents) == [BODY.format("apples")]
    assert data.qrels == {"m.f": {"m.f": 1}}
    assert "Python 3" in data.notes[0]


def test_a_setter_does_not_share_its_getters_id(source):
    getter = function("size", "Tell the present size.", BODY.format("getting"), "@property\n")
    setter = function("size", "Change the present size.", BODY.format("setting"), "@size.setter\n")
    source(m="class C:\n" + textwrap.indent(getter + setter, "    "))
    data = load_dataset("pydoc", "all")
    assert (list(data.doc_ids), list(data.queries)) == (["m.C.size"], ["Tell the present size."])


def test_copies_and_ambiguous_summaries(source):
    source(
        a=function("one", "Do the first thing.", BODY.format("copies")),
        b=function("two", "Do the second thing.", BODY.format("copies")),
        c=function("three", "Do the same thing.", BODY.format("cats")),
        d=function("four", "Do the same thing.", BODY.format("dogs")),
    )
    data = load_dataset("pydoc", "all")
    assert list(data.doc_ids) == ["a.one", "c.three", "d.four"], "the first of two copies stays"
    assert list(data.query_ids) == ["a.one"], "what has two answers is not asked"


def test_an_answer_that_repeats_the_question_is_no_pair(source):
    source(
        m=function(
            "f",
            "Count the green apples.",
            "As said: Count the green apples. And then count them all again.",
        )
        + function("g", "Count the red apples.", BODY.format("red ones"))
    )
    assert list(load_dataset("pydoc", "all").doc_ids) == ["m.g"]


def test_no_module_is_in_both_splits(source):
    source(**{f"m{i}": function("f", f"Do thing number {i}.", BODY.format(i)) for i in range(200)})
    test, train = load_dataset("pydoc"), load_dataset("pydoc", "train")
    assert list(test.doc_ids) == list(train.doc_ids)
    assert len(test.query_ids) + len(train.query_ids) == 200
    assert not set(test.query_ids) & set(train.query_ids)
    assert 35 <= len(test.query_ids) <= 73, "27 % of 200, three standard deviations to each side"
    assert test.fingerprint != train.fingerprint


@pytest.mark.parametrize(
    ("spec", "split", "message"), [("pydoc:x", "test", "no argument"), ("pydoc", "dev", "train")]
)
def test_what_pydoc_does_not_take(spec, split, message):
    with pytest.raises(UsageError, match=message):
        load_dataset(spec, split)


@pytest.mark.slow
def test_the_ids_of_the_real_set_are_unique():
    data = load_dataset("pydoc", "all")
    assert len(set(data.doc_ids)) == len(data.doc_ids)
    assert set(data.query_ids) <= set(data.doc_ids)


def test_the_group_of_a_query_is_its_module(source):
    source(
        m=function("f", "Count the green apples.", BODY.format("apples")),
        n=function("g", "Count the ripe pears.", BODY.format("pears")),
    )
    data = load_dataset("pydoc", "all")
    assert dict(zip(data.query_ids, data.groups, strict=True)) == {"m.f": "m", "n.g": "n"}
