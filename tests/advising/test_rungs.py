"""The index that is built to fall back on: in the widest gap, as sure as can be, near its middle."""

import pytest

from bench.advising import decision
from bench.advising.candidates import Candidate, Cell
from bench.advising.evidence import ALL, Kept
from bench.advising.rungs import Prospect, between, sure_scan

SURE, SURER = Kept(1.0, 0.98, 1.02), Kept(1.0, 0.99, 1.01)


def prospect(dim, value, searched=SURE, backend="faiss-flat", shortlist=0):
    cell = Cell(f"{dim}", "pca", "", dim, "int8", shortlist)
    candidate = Candidate(cell, backend, "int8", "", "memory" if shortlist else "")
    return Prospect(candidate, value, searched, 0.97)


def sequence_of(*values):
    """Return a sequence from dear to cheap, of which the dearest keeps all by definition."""
    shown = [ALL, *[SURE] * (len(values) - 1)]
    return [
        decision.Promising(str(i), v, s) for i, (v, s) in enumerate(zip(values, shown, strict=True))
    ]


@pytest.mark.parametrize(
    ("values", "offered", "expected"),
    [
        ((1000, 100, 2), [(8, 15), (16, 300)], 8),  # 2 to 100 is wider than 100 to 1,000
        ((1000, 100, 2), [(16, 300)], 16),  # nothing fits the widest
        ((1000, 2), [(8, 3), (16, 40), (32, 600)], 16),  # near the middle
        ((1000, 800, 700), [(8, 900)], None),  # near enough already
        ((1000, 100), [(8, 50), (16, 103), (32, 970)], None),  # outside, or too near an end
    ],
)
def test_the_widest_gap_gets_what_lies_in_its_middle(values, offered, expected):
    found = between(sequence_of(*values), [prospect(*each) for each in offered], lambda _: 0.97)
    assert (found and found.cell.dim) == expected


def test_exhaustive_search_comes_before_the_surer_and_that_before_the_nearer():
    index = prospect(8, 45, SURER, "faiss-ivf")
    surer, nearer = prospect(16, 90, SURER), prospect(32, 45)
    for offered, expected in ([index, surer, nearer], surer), ([index, nearer], nearer):
        assert between(sequence_of(1000, 2), offered, lambda _: 0.97) == expected.candidate


def test_the_sure_scan_is_the_cheapest_exhaustive_one_that_will_be_confirmed():
    index = prospect(8, 2, SURER, "faiss-ivf")
    doubtful = prospect(16, 4, Kept(1.0, 0.975, 1.025))
    sure, dearer = prospect(32, 8, SURER), prospect(64, 16, SURER)
    rescored = prospect(24, 6, SURER, shortlist=20)
    assert sure_scan([index, dearer, doubtful, sure, rescored]) == [sure.candidate]
    assert sure_scan([index, doubtful, rescored]) == []


def test_an_index_less_sure_than_the_cheaper_end_is_no_help_but_exhaustive_search_is():
    for backend, helps in (("faiss-ivf", False), ("faiss-flat", True)):
        doubtful = prospect(16, 45, Kept(0.98, 0.96, 1.0), backend)
        found = between(sequence_of(1000, 2), [doubtful], lambda _: 0.97)
        assert found == (doubtful.candidate if helps else None)
