"""Labels: short, and no two alike."""

from bench.analysis.labels import label, variant
from bench.analysis.tables import (
    front,
)


def test_choices_of_a_reducer_are_lines_of_their_own():
    assert variant("pca", '{"center": false, "whiten": false}') == "pca"
    assert variant("pca", '{"center": false, "whiten": true}') == "pca whiten"
    assert variant("random_subset", '{"seed": 3}') == "random_subset"
    assert variant("adaptor", '{"path": "some/where/mine"}') == "adaptor mine"


def test_front_and_labels(frame):
    best = front(frame)
    assert best["latency_ms_p50"].is_monotonic_increasing
    assert label(frame[frame["stages"] != ""].iloc[0]) == "faiss-flat 8 d, rescore 30"
    assert {
        label(row) for _, row in frame.query("backend == 'faiss-hnsw' and dim == 8").iterrows()
    } == {
        "faiss-hnsw 8 d, M=8, ef=10",
        "faiss-hnsw 8 d, M=8, ef=40",
    }
