"""The clock with a time that the test sets: the work that is counted, and its order."""

import gc

import numpy as np
import pytest

from bench.measuring.clock import (
    PAIRED_MOST,
    PAIRED_ROUNDS,
    WARM_UP,
    paired_speedup,
    time_queries,
)

MS = 1_000_000


class Time:
    """A clock that advances only when the test takes time."""

    def __init__(self):
        self.now = 0
        self.calls = []

    def __call__(self):
        return self.now

    def search(self, name, *milliseconds):
        """Return a search that takes the given times, in turn and for ever."""
        asked = []

        def run(position):
            self.calls.append((name, position))
            self.now += int(milliseconds[len(asked) % len(milliseconds)] * MS)
            asked.append(position)
            return np.array([[position]])

        run.asked = asked
        return run

    def pause(self, milliseconds):
        self.calls.append(("before", None))
        self.now += milliseconds * MS


def test_every_repeat_counts_and_results_are_those_of_the_first():
    clock = Time()
    n, repeats = WARM_UP, 3
    search = clock.search("a", *[1] * WARM_UP, *[1] * n, *[5] * n, *[9] * n)
    found = time_queries(search, n, repeats, 1e9, clock=clock)
    np.testing.assert_array_equal(found.nanoseconds, np.repeat([[1], [5], [9]], n, axis=1) * MS)
    assert [int(ids[0, 0]) for ids in found.results] == list(range(n))


def test_only_the_search_is_inside_the_clock():
    clock = Time()
    search = clock.search("a", 2)
    found = time_queries(search, 4, 2, 1e9, before=lambda: clock.pause(100), clock=clock)
    assert (found.nanoseconds == 2 * MS).all()
    timed = clock.calls[4:]
    assert [name for name, _ in timed] == ["before", "a"] * 8


def test_the_warm_up_is_not_counted():
    clock = Time()
    search = clock.search("a", *[50] * WARM_UP, *[1] * 200)
    found = time_queries(search, 200, 1, 1e9, clock=clock)
    assert len(search.asked) == WARM_UP + 200
    assert (found.nanoseconds == MS).all()


@pytest.mark.parametrize(("budget", "expected"), [(0.0, 1), (0.35, 4), (10.0, 5)])
def test_no_repeat_begins_after_the_budget_is_spent(budget, expected):
    clock = Time()
    found = time_queries(clock.search("a", 10), 10, 5, budget, clock=clock)
    assert len(found.nanoseconds) == expected


def test_garbage_collection_waits_and_comes_back_after_an_error():
    seen = []

    def search(position):
        seen.append(gc.isenabled())
        if len(seen) > 5:
            raise RuntimeError("no such query")
        return np.zeros((1, 1))

    with pytest.raises(RuntimeError, match="no such query"):
        time_queries(search, 5, 1, 1e9)
    assert seen == [True] * 5 + [False]
    assert gc.isenabled()


def test_the_ratio_of_each_round_is_that_of_the_times():
    clock = Time()
    ratios = paired_speedup(clock.search("a", 2), clock.search("r", 6), 40, 0, clock=clock)
    assert ratios.tolist() == [3.0] * PAIRED_ROUNDS


def test_the_side_that_begins_alternates_and_both_answer_the_same_queries():
    clock = Time()
    paired_speedup(clock.search("a", 2), clock.search("r", 2), 40, 0, clock=clock)
    size = 10  # 20 ms of 2 ms each
    blocks = clock.calls[2:]
    assert len(blocks) == PAIRED_ROUNDS * 2 * (size + 1)
    begins = []
    for i in range(0, len(blocks), 2 * (size + 1)):
        first, second = blocks[i : i + size + 1], blocks[i + size + 1 : i + 2 * (size + 1)]
        begins.append(first[0][0])
        assert [position for _, position in first] == [position for _, position in second]
        assert first[0][1] == first[1][1], "the first query warms the caches"
        assert len({name for name, _ in first}) == 1
    assert begins == [("r", "a")[i % 2] for i in range(PAIRED_ROUNDS)]


def test_a_slow_first_query_of_a_block_is_not_counted():
    clock = Time()
    n = PAIRED_MOST
    cold = clock.search("a", 100, *[1] * n)
    ratios = paired_speedup(cold, clock.search("r", 1), 1000, 0, clock=clock)
    assert ratios.tolist() == [1.0] * PAIRED_ROUNDS


def test_what_is_called_before_a_query_is_outside_the_ratio():
    clock = Time()
    search, reference = clock.search("a", 2), clock.search("r", 4)
    ratios = paired_speedup(search, reference, 40, 0, lambda: clock.pause(50), clock=clock)
    assert ratios.tolist() == [2.0] * PAIRED_ROUNDS
    assert ("before", None) in clock.calls


def test_a_search_against_itself_is_exactly_one():
    clock = Time()
    search = clock.search("a", 1, 3, 7)
    assert paired_speedup(search, search, 40, 0, clock=clock).tolist() == [1.0] * PAIRED_ROUNDS
