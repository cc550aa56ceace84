"""The columns of quality in the table of trials."""

from __future__ import annotations

from bench.quality.measures import MEASURES
from bench.results.columns import Column


def _measure(name: str) -> Column:
    words = {"ndcg": "nDCG", "recall": "Recall", "mrr": "MRR", "map": "MAP"}
    kind, _, depth = name.partition("_at_")
    return Column(
        name,
        "float",
        "quality",
        f"{words[kind]}@{depth}, mean over queries; "
        f"empty if the trial's `k` is below {MEASURES[name]}",
        since=2 if name in ("ndcg_at_1", "ndcg_at_5", "ndcg_at_100", "map_at_100") else 1,
        better="higher",
        interval=True,
        gate=name in ("ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10"),
        history=name == "ndcg_at_10",
        page=True,
    )


def _worst(name: str) -> tuple[Column, Column]:
    return (
        Column(
            f"{name}_worst_tenth",
            "float",
            "quality",
            f"mean of `{name}` over the tenth of the queries where it is lowest",
            since=6,
            better="higher",
            page=True,
            heading="worst tenth" if name == "ann_recall_at_10" else "",
        ),
        Column(
            f"{name}_p5",
            "float",
            "quality",
            f"5th percentile of `{name}` over the queries",
            since=6,
            better="higher",
        ),
    )


QUALITY_COLUMNS = (
    *(_measure(name) for name in MEASURES),
    Column(
        "retained_ndcg_at_10",
        "float",
        "quality",
        "share kept: nDCG@10 over that of exact search at the full dimension, paired by query",
        better="higher",
        interval=True,
        page=True,
    ),
    Column(
        "ann_recall_at_10",
        "float",
        "quality",
        "agreement with exact float32 search at the same dimension and stages; near-ties count",
        better="higher",
        interval=True,
        interval_since=6,
        gate=True,
        history=True,
        page=True,
        heading="recall",
    ),
    *_worst("ann_recall_at_10"),
    Column(
        "fidelity_at_10",
        "float",
        "quality",
        "agreement with exact search at the full dimension; ties and copies as above",
        better="higher",
        interval=True,
        gate=True,
        history=True,
        page=True,
    ),
    *_worst("fidelity_at_10"),
    Column(
        "loss_dimension",
        "float",
        "quality",
        "nDCG@10 lost by the dimension; the three losses add up to that against the full vectors; "
        "empty if texts are read",
        page=True,
    ),
    Column("loss_precision", "float", "quality", "nDCG@10 lost by the precision", page=True),
    Column("loss_search", "float", "quality", "nDCG@10 lost by the index", page=True),
    Column(
        "subsets",
        "int",
        "quality",
        "random permutations of the coordinates that truncation is ranked among (exact pass only)",
        since=6,
    ),
    Column(
        "subsets_quality",
        "float",
        "quality",
        "truncation's nDCG@10 on the queries and documents sampled for that; without judgements, "
        "fidelity@10",
        since=6,
    ),
    Column("subsets_median", "float", "quality", "the same of the random subsets, median", since=6),
    Column("subsets_low", "float", "quality", "2.5th percentile of the random subsets", since=6),
    Column("subsets_high", "float", "quality", "97.5th percentile of the random subsets", since=6),
    Column(
        "subsets_p_better",
        "float",
        "quality",
        "p value of truncation being better than a random subset, by its rank among them",
        since=6,
    ),
    Column("subsets_p_worse", "float", "quality", "p value of its being worse, likewise", since=6),
)
"""Part of ``trials.parquet``, in its order."""
