"""The names of encoders in a study: read, written, refused, and short enough for a figure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.encoders._names import (
    check_name,
    cut,
    in_words,
    is_whole_model,
    of_role,
    paired,
    split_layers,
    with_arguments,
)
from bench.errors import UsageError

MODELS = st.from_regex(r"(st|mteb):[a-zA-Z0-9./_-]+|wordllama", fullmatch=True)
DEPTHS = st.none() | st.integers(1, 99)


@settings(derandomize=True, database=None)
@given(MODELS, DEPTHS, MODELS, DEPTHS)
def test_a_name_says_what_it_was_made_of(documents, layers, queries, fewer):
    one, other = cut(documents, layers), cut(queries, fewer)
    spec = paired(one, other)
    assert (of_role(spec, "document"), of_role(spec, "query")) == (one, other)
    assert (split_layers(one), split_layers(other)) == ((documents, layers), (queries, fewer))
    assert with_arguments(spec, str) == spec
    assert is_whole_model(spec) == (one == other and layers is None)
    check_name(spec)


def test_only_the_models_of_a_name_are_changed():
    changed = with_arguments("st:a/b+layers=2+query=wordllama", lambda path: f"/at/{path}")
    assert changed == "st:/at/a/b+layers=2+query=wordllama"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("st:a+query=", "write DOCUMENTS+query=QUERIES"),
        ("+query=st:a", "write DOCUMENTS+query=QUERIES"),
        ("st:a+query=st:b+query=st:c", "write DOCUMENTS+query=QUERIES"),
        ("st:a+layers=two", "'two' is not a whole number from 1"),
        ("st:a+layers=0", "'0' is not a whole number from 1"),
        ("st:a+query=st:b+layers=-1", "'-1' is not a whole number from 1"),
    ],
)
def test_what_is_no_name(name, message):
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wordllama", "wordllama"),
        ("st:a/b/MiniLM", "MiniLM"),
        ("st:a/b/MiniLM+layers=1", "MiniLM, 1 layer"),
        ("st:a/M+query=st:a/M+layers=3", "M; queries: 3 layers"),
        ("st:a/M+layers=2+query=st:a/M", "M, 2 layers; queries: all layers"),
        ("st:a/M+layers=2+query=st:b/N", "M, 2 layers; queries: N"),
    ],
)
def test_a_figure_names_an_encoder_in_few_words(name, words):
    assert in_words(name) == words
