"""What is asked for: sizes, times, counts, and values out of range."""

import pytest

from bench.advising.wanted import Wanted, bytes_of, count_of, seconds_of
from bench.errors import UsageError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (bytes_of, "32GiB", 32 * 2**30),
        (bytes_of, "1.5 MB", 1_500_000),
        (bytes_of, "1e9", 1e9),
        (seconds_of, "10m", 600),
        (seconds_of, "1.5h", 5400),
        (seconds_of, "90", 90),
        (count_of, "20e6", 20_000_000),
        (count_of, "1,000", 1000),
    ],
)
def test_sizes_times_and_counts_are_read_as_people_write_them(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (bytes_of, "32 parsec"),
        (bytes_of, "-1GiB"),
        (bytes_of, "0"),
        (bytes_of, "1.2.3GiB"),
        (seconds_of, "soon"),
        (seconds_of, "1s"),
        (count_of, "many"),
        (count_of, "0.5"),
        (count_of, "nan"),
    ],
)
def test_what_cannot_be_read_is_named(read, text):
    with pytest.raises(UsageError, match=f"{text}|measures nothing"):
        read(text)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"keep": 0}, "--keep"),
        ({"keep": 1.01}, "--keep"),
        ({"objective": "beauty"}, "--objective"),
        ({"max_p95_ms": 0}, "--max-p95-ms"),
        ({"max_memory": -1}, "--max-memory"),
        ({"documents": float("inf")}, "--documents"),
        ({"queries_per_second": 0}, "--qps"),
    ],
)
def test_a_value_out_of_range_names_its_option(given, option):
    with pytest.raises(UsageError, match=option):
        Wanted(**given)
