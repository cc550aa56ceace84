"""Parts of a corpus of any sizes: nested, whole where nothing is left out, never without an answer."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.embeddings.smaller import _kept
from bench.errors import StudyError

any_sizes = settings(max_examples=80, deadline=None, derandomize=True, database=None)


@st.composite
def corpora(draw):
    """Draw what a part is chosen by: the number of documents, the relevant and the own ones."""
    n = draw(st.integers(2, 200))
    relevant = draw(st.lists(st.integers(0, n - 1), max_size=20))
    own = draw(st.none() | st.lists(st.integers(-1, n - 1), max_size=20))
    pairs = np.zeros(len(relevant), np.int64), np.array(relevant, np.int64)
    return SimpleNamespace(
        corpus=np.empty((n, 1)),
        relevant_pairs=lambda: pairs,
        own=None if own is None else np.array(own, np.int64),
        dataset="d",
    )


@any_sizes
@given(found=corpora(), draw=st.data())
def test_parts_are_nested_of_their_size_and_keep_what_is_asked_for(found, draw):
    n = len(found.corpus)
    needed = set(found.relevant_pairs()[1].tolist())
    needed |= set() if found.own is None else set(found.own[found.own >= 0].tolist())
    sizes = sorted(draw.draw(st.lists(st.integers(1, n), min_size=2, max_size=3)))
    larger = set(range(n))
    for size in reversed(sizes):
        if size < len(needed):
            with pytest.raises(StudyError, match="corpus_sizes"):
                _kept(found, size)
            continue
        kept = _kept(found, size)
        assert len(kept) == size
        assert (np.diff(kept) > 0).all()
        assert needed <= set(kept.tolist()) <= larger
        larger = set(kept.tolist())
