"""Train the model itself with the Matryoshka objective, using the losses of sentence-transformers.

Works for encoders with `Encoder.trainable` and datasets of texts. The result is a folder that
``st:PATH`` names in a study. Needs the extra ``train``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.datasets import load_dataset
from bench.encoders import get_encoder
from bench.errors import DataError, UsageError
from bench.exact.one_pass import exact_topk
from bench.libraries import extra
from bench.quality.measures import relevance
from bench.training.fitting import powers_of_two, warm_then_cosine
from bench.training.held_out import MEASURE, asked_documents, held_out

_DEPTH = 10


def train_model(
    dataset: str,
    encoder: str,
    out: str | Path,
    *,
    dimensions: Sequence[int] | None = None,
    steps: int = 600,
    batch: int = 256,
    learning_rate: float | None = None,
    seed: int = 0,
    own_corpus: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Train `encoder` on the pairs of `dataset`'s training split and save it in folder `out`.

    The loss is MatryoshkaLoss over `dimensions` (by default powers of two) around a ranking loss;
    the other documents of a batch are the negatives. `learning_rate` defaults to that of
    `Encoder.trainable`. Pairs whose document a test query asks for are left out unless
    `own_corpus`. Returns the summary: nDCG@10 on held-out pairs, before and after.
    Raises UsageError on bad input. Source: Kusupati et al. 2022; MatryoshkaLoss and
    MultipleNegativesRankingLoss of sentence-transformers.
    """
    torch = extra("torch", "training", "train")
    losses = extra("sentence_transformers.losses", "training a model", "train")
    util = extra("sentence_transformers.util", "training a model", "train")
    data = load_dataset(dataset, "train")
    if data.documents is None or data.queries is None or data.qrels is None:
        raise DataError(
            f"dataset '{dataset}' has no pairs of texts to train a model on; "
            "train an adaptor instead, which needs only vectors"
        )
    torch.manual_seed(seed)
    model, default_rate = get_encoder(encoder).trainable()
    full = int(model.encode(["dimension"]).shape[1])
    dimensions = sorted(set(dimensions or powers_of_two(full)))
    if bad := [d for d in dimensions if not 1 <= d <= full]:
        raise UsageError(f"dimension {bad[0]} is outside 1…{full}, the full dimension of {encoder}")

    queries, qrels = data.queries, data.qrels
    documents = list(data.documents)
    position = {doc_id: i for i, doc_id in enumerate(data.doc_ids)}
    hidden = np.zeros(len(documents), bool)
    if not own_corpus:
        hidden = asked_documents(dataset, data.doc_ids)
    held = held_out(len(documents), seed) & ~hidden
    pairs = [
        (i, position[doc_id])
        for i, query_id in enumerate(data.query_ids)
        for doc_id, grade in qrels[query_id].items()
        if grade > 0 and doc_id in position and not hidden[position[doc_id]]
    ]
    touched = {i for i, document in pairs if held[document]}
    train = [pair for pair in pairs if pair[0] not in touched]
    asked = sorted(touched)[:1000]
    if len(train) < 2 or not asked:
        raise DataError(
            f"dataset '{dataset}' has {len(pairs)} training pairs: "
            "too few to train on and to hold some out (pairs of documents that the test queries "
            "ask for are left out unless --own-corpus)"
        )

    def curve() -> list[float]:
        model.eval()
        corpus, asking = (
            model.encode(texts, convert_to_numpy=True, show_progress_bar=False)
            for texts in (documents, [queries[i] for i in asked])
        )
        found = exact_topk(asking, corpus, dimensions, _DEPTH)
        ids = [data.query_ids[i] for i in asked]
        judged = {
            q: {str(position[d]): g for d, g in qrels[q].items() if d in position} for q in ids
        }
        return [
            float(relevance(found[d][0], ids, judged, _DEPTH)["ndcg_at_10"].mean())
            for d in dimensions
        ]

    begun, before = time.monotonic(), curve()
    rng = np.random.default_rng(seed)
    loss = losses.MatryoshkaLoss(
        model, losses.MultipleNegativesRankingLoss(model), dimensions[::-1]
    )
    rate = learning_rate or default_rate
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warm_then_cosine(step, steps)
    )
    model.train()
    for step in range(1, steps + 1):
        chosen = [train[i] for i in rng.choice(len(train), min(batch, len(train)), replace=False)]
        # Pairs with the same document must not be negatives of each other.
        chosen = list({document: (query, document) for query, document in chosen}.values())
        sides = [[queries[i] for i, _ in chosen], [documents[j] for _, j in chosen]]
        value = loss(
            [util.batch_to_device(model.preprocess(texts), model.device) for texts in sides],
            None,
        )
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if progress and step % max(1, steps // 10) == 0:
            progress(f"step {step}: loss {value.item():.3f}")
    after = curve()
    try:
        model.save(str(out), create_model_card=False)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}") from error
    return [
        f"Trained for {steps} steps in {time.monotonic() - begun:.0f} s. "
        f"{MEASURE} on {len(asked)} held-out queries:",
        *(
            f"{d:>5} d  before {b:.3f}  after {a:.3f}"
            for d, b, a in zip(dimensions, before, after, strict=True)
        ),
        f'The model is in {out}. Use it in a study as encoder = "st:{out}".',
    ]
