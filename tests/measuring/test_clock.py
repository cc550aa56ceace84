"""The clock with a time that the test sets: the work that is counted, and its order."""

import gc

import numpy as np
import pytest

from bench.measuring.clock import ROUNDS, WARM_UP, time_beside, time_cold, time_queries

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
    quick = [t / 100 for t in [1] * WARM_UP + [1] * n + [5] * n + [9] * n]
    found = time_queries(clock.search("a", *quick), n, repeats, 1e9, clock=clock)
    expected = np.repeat([[1], [5], [9]], n, axis=1) * MS // 100
    np.testing.assert_array_equal(found.nanoseconds, expected)
    assert [int(ids[0, 0]) for ids in found.results] == list(range(n))


def test_only_the_search_is_inside_the_clock():
    clock = Time()
    search = clock.search("a", 2)
    found = time_queries(search, 4, 2, 1e9, before=lambda: clock.pause(100), clock=clock)
    assert (found.nanoseconds == 2 * MS).all()
    assert [name for name, _ in clock.calls[-16:]] == ["before", "a"] * 8


def test_the_warm_up_is_not_counted():
    clock = Time()
    search = clock.search("a", 50, 50, *[1] * 200)
    found = time_queries(search, 200, 1, 1e9, clock=clock)
    assert len(search.asked) == 2 + 200
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
        if len(seen) > WARM_UP:
            raise RuntimeError("no such query")
        return np.zeros((1, 1))

    with pytest.raises(RuntimeError, match="no such query"):
        time_queries(search, 5, 1, 1e9, clock=Time())
    assert seen == [True] * WARM_UP + [False]
    assert gc.isenabled()


def beside(clock, search, reference, n=400, repeats=3, budget=1e9, **more):
    return time_beside(search, reference, n, repeats, budget, clock=clock, **more)


def test_the_ratio_of_each_round_is_that_of_the_times():
    clock = Time()
    found = beside(clock, clock.search("a", 2), clock.search("r", 6))
    assert set(found.speedups.tolist()) == {3.0}
    assert len(found.rounds) >= ROUNDS
    assert (found.nanoseconds == 2 * MS).all()
    assert found.nanoseconds.shape == (3, 400)
    assert [int(ids[0, 0]) for ids in found.results] == list(range(400))


def blocks_of(calls):
    """Split calls at each change of side: one (name, positions) per stretch of one side."""
    found = []
    for name, position in calls:
        if not found or found[-1][0] != name:
            found.append((name, []))
        found[-1][1].append(position)
    return found


def test_each_block_is_warmed_by_a_hundred_other_queries_that_are_not_timed():
    clock = Time()
    fast = 0.01
    search, reference = clock.search("a", fast), clock.search("r", fast)
    found = beside(clock, search, reference, n=1000, repeats=1)
    size = 100
    stretches = blocks_of(clock.calls)
    timed = [(name, asked) for name, asked in stretches if len(asked) >= WARM_UP + 1]
    own = [asked for name, asked in timed if name == "a" and len(asked) >= WARM_UP + size]
    assert len(found.rounds) == ROUNDS
    for asked in own:
        block = asked[-size:]
        before = asked[-size - WARM_UP : -size]
        assert len(block) == len(set(block)) == size
        assert not set(before) & set(block)
        assert len(set(before)) == WARM_UP


def test_a_slow_search_is_warmed_by_two_queries():
    clock = Time()
    beside(clock, clock.search("a", 100), clock.search("r", 100), n=100, repeats=1)
    # A block of twenty with two ahead of it, beside two of the reference with two ahead.
    assert {len(asked) for _, asked in blocks_of(clock.calls)[2:]} <= {22, 4, 44, 8}


def test_the_side_that_begins_alternates_and_both_answer_the_same_queries():
    clock = Time()
    beside(clock, clock.search("a", 20), clock.search("r", 20), n=100, repeats=1)
    stretches = blocks_of(clock.calls)[1:]
    # Five rounds; two blocks of one side follow each other where the order turns round.
    assert [name for name, _ in stretches] == ["r", "a", "r", "a", "r", "a"]
    assert [len(asked) for _, asked in stretches[1:]] == [44, 8, 44, 8, 22]
    first_of_reference, first_of_search = stretches[0][1][-2:], stretches[1][1][2:4]
    assert first_of_reference == first_of_search


def test_what_is_called_before_a_query_is_outside_the_clock():
    clock = Time()
    search, reference = clock.search("a", 2), clock.search("r", 4)
    found = beside(clock, search, reference, before=lambda: clock.pause(50))
    assert set(found.speedups.tolist()) == {2.0}
    assert ("before", None) in clock.calls


@pytest.mark.parametrize(("n", "repeats"), [(1, 1), (7, 3), (101, 2)])
def test_few_queries_are_timed_as_often_as_many(n, repeats):
    clock = Time()
    found = beside(clock, clock.search("a", 3), clock.search("r", 6), n=n, repeats=repeats)
    assert found.nanoseconds.shape == (repeats, n)
    assert set(found.speedups.tolist()) == {2.0}


@pytest.mark.parametrize(("budget", "expected"), [(0.0, 1), (3.5, 4), (100.0, 5)])
def test_the_reference_does_not_spend_the_budget(budget, expected):
    clock = Time()
    search, reference = clock.search("a", 10), clock.search("r", 500)
    found = beside(clock, search, reference, n=100, repeats=5, budget=budget)
    assert len(found.nanoseconds) == expected


def test_a_drift_of_the_machine_does_not_move_the_ratio():
    clock = Time()
    drift = [1 + i / 1000 for i in range(20_000)]

    def slowing(name, milliseconds):
        def run(position):
            clock.now += int(milliseconds * MS * drift[len(clock.calls)])
            clock.calls.append((name, position))
            return np.array([[position]])

        return run

    found = beside(clock, slowing("a", 0.2), slowing("r", 0.4))
    assert np.median(found.speedups) == pytest.approx(2, rel=0.03)
    assert found.nanoseconds.max() > 2 * found.nanoseconds.min()


def test_each_cold_query_comes_right_after_the_caches_were_emptied():
    clock = Time()
    taken = time_cold(
        clock.search("a", 3), 400, lambda: clock.pause(1), 0, lambda: clock.pause(2), clock
    )
    assert (taken == 3 * MS).all()
    assert [name for name, _ in clock.calls] == ["before", "before", "a"] * len(taken)
    positions = [position for name, position in clock.calls if name == "a"]
    assert len(set(positions)) == len(positions)


@pytest.mark.parametrize(("ms", "n", "expected"), [(0.1, 400, 20), (900, 400, 6), (0.1, 3, 3)])
def test_cold_queries_are_few_where_they_are_slow(ms, n, expected):
    clock = Time()
    assert len(time_cold(clock.search("a", ms), n, lambda: None, 0, clock=clock)) == expected
