"""Near-copies among texts, against brute force."""

import random
import re

import numpy as np
import pytest

from bench.datasets._copies import SHINGLE, near_copies


def brute_force(texts, alike):
    sets = []
    for text in texts:
        words = re.findall(r"\w+|[^\w\s]", text)
        words += [""] * (SHINGLE - len(words))
        sets.append({tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)})
    kept, copies = [], []
    for mine in sets:
        is_copy = any(len(mine & other) >= alike * len(mine | other) for other in kept)
        copies.append(is_copy)
        if not is_copy:
            kept.append(mine)
    return copies


def mutated(words, rng):
    words = list(words)
    for _ in range(rng.randrange(5)):
        words[rng.randrange(len(words))] = rng.choice("abcdefghij")
    return " ".join(words)


@pytest.mark.parametrize("alike", [0.5, 0.8, 1.0])
def test_the_same_copies_as_brute_force(alike):
    rng = random.Random(7)
    originals = [rng.choices("abcdefghij().", k=rng.randrange(3, 60)) for _ in range(40)]
    texts = [mutated(rng.choice(originals), rng) for _ in range(400)]
    found = near_copies(texts, alike)
    assert found.tolist() == brute_force(texts, alike)
    assert 40 < found.sum() < 360, "some are copies, some are not"


def test_white_space_does_not_count_and_the_first_stays():
    texts = ["f(a, b) + c", "other words altogether", "f( a,b )\n   + c"]
    assert near_copies(texts, 0.8).tolist() == [False, False, True]


def test_a_chain_of_small_changes_is_not_swept_away_with_its_ends():
    """What is like a copy, but not like what stays, stays."""
    words = [f"w{i}" for i in range(30)]
    chain = [" ".join(words[i : i + 20]) for i in (0, 2, 4)]
    assert near_copies(chain, 0.75).tolist() == [False, True, False]


@pytest.mark.parametrize("texts", [["", ""], ["a", "a"], ["a b", "a b"]])
def test_texts_shorter_than_a_shingle(texts):
    assert near_copies(texts, 0.8).tolist() == [False, True]


def test_no_text_and_one_text():
    assert near_copies(["a"], 0.8).tolist() == [False]
    assert np.array_equal(near_copies([], 0.8), np.zeros(0, bool))
