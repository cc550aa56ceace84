"""What is asked for: values out of range."""

import pytest

from bench.advising.wanted import Wanted
from bench.errors import UsageError


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
