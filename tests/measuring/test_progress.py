"""The progress of a run: how many are left and the best so far, on standard error."""

import io

import pytest
from rich.console import Console

from bench.measuring.best import Best
from bench.measuring.progress import Progress
from bench.study.plan import Trial


def trial(dim=64, **given):
    usual = {"reducer": "truncate", "reducer_params": "", "precision": "float32"}
    usual |= {"backend": "faiss-hnsw", "build_params": "", "search_params": '{"ef": 16}'}
    return Trial(**(usual | {"stages": "", "k": 10, "threads": 1} | given), dim=dim)


def row(low=0.99, size=100.0, latency=1.0, **given):
    usual = {"dataset": "d", "encoder": "e", "status": "ok", "caution": ""}
    figures = {"bytes_per_vector": size, "latency_ms_p50": latency}
    return usual | figures | {"retained_ndcg_at_10_low": low} | given


def test_the_best_is_the_smallest_then_the_fastest_that_keeps_enough():
    best = Best()
    for dim, found in ((1, row(low=0.97, size=1)), (2, row()), (3, row(latency=0.5))):
        best.offer(found, trial(dim))
    assert best.text == "cheapest so far that keeps 98%: faiss-hnsw 3 d ef=16, 100 B, 0.500 ms"
    best.offer(row(size=50, latency=9), trial(4, precision="int8"))
    assert "faiss-hnsw 4 d int8 ef=16, 50 B" in best.text
    best.offer(row(size=60, latency=0.1), trial(5))
    assert "faiss-hnsw 4 d int8" in best.text


@pytest.mark.parametrize(
    ("found", "of"),
    [
        (row(status="crashed"), trial()),
        (row(caution="no better"), trial()),
        (row(latency=None), trial()),
        (row(), trial(clients=4)),
        (row(), trial(arrival=0.5)),
        (row(low=None), trial()),
        (row(low=0.9799), trial()),
    ],
)
def test_what_is_no_candidate_is_never_the_best(found, of):
    best = Best()
    best.offer(found, of)
    assert best.text == ""


def test_without_judgements_fidelity_counts_and_each_dataset_has_its_own_best():
    best = Best()
    best.offer(row(low=None, fidelity_at_10_low=0.985, size=4), trial())
    assert "4 B" in best.text
    best.offer(row(low=0.5, dataset="other"), trial())
    assert best.text == ""


def test_a_tenth_of_the_trials_is_a_line_with_the_best_so_far_on_standard_error(capsys):
    with Progress(10, held=0, show=True) as progress:
        progress.now("faiss-hnsw 64 d")
        progress.finished(row(), trial())
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 of 10 trials: 1 ok; cheapest so far that keeps 98%: faiss-hnsw 64 d" in err


def test_a_terminal_shows_what_runs_how_many_are_left_and_the_best(monkeypatch):
    text = io.StringIO()
    progress = Progress(8, held=0, show=True)
    progress.now("faiss-hnsw 64 d [x]")
    progress.finished(row(), trial())
    Console(file=text, width=80).print(progress.bar.get_renderable())
    lines = text.getvalue().splitlines()
    assert "faiss-hnsw 64 d [x]" in lines[0]
    assert "1 of 8" in lines[0]
    assert "7 left" in lines[0]
    assert lines[1].startswith("cheapest so far that keeps 98%: faiss-hnsw 64 d ef=16")
    assert max(map(len, lines)) <= 80
