"""What the terminal prints."""

import io

from rich.console import Console

from bench.analysis.summary import summary_of
from bench.analysis.tables import (
    dimension_table,
    truncation,
)
from bench.report.terminal import as_records, show
from bench.results.store import load_queries


def test_show_prints_the_numbers_and_what_was_left_out(frame):
    frame.loc[frame.index[-1], ["status", "error", "latency_ms_p50"]] = [
        "crashed",
        "ended by [SIGABRT]",
        None,
    ]
    text = io.StringIO()
    found = summary_of(frame, load_queries("nowhere"), other_machines=["another machine"])
    show(found, Console(file=text, width=120))
    printed = text.getvalue()
    for dim, row in truncation(dimension_table(frame)).iterrows():
        assert f"{dim}" in printed
        assert f"{row['quality']:.3f}" in printed
    assert "ended by [SIGABRT]" in printed
    assert "another machine" in printed
    assert len(as_records(frame)) == len(frame)
