"""Documents that ask for their neighbours: what stands in where there is not even a passage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.datasets import Dataset, Source, _sampled
from bench.datasets._files import Fingerprint

NOTE = (
    "the queries are stand-ins: {count:,} sampled documents, each excluded from its own results, "
    "and the quality is fidelity to exact search at the full dimension. They cannot tell how good "
    "any result is, nor of queries shorter than documents; what changes only results that nobody "
    "needs counts as a loss"
)


class Documents(Source):
    """Sampled documents as queries, scored by fidelity to exact search at the full dimension.

    Of texts or ready vectors. Texts are encoded as queries are. Its own queries and judgements are
    not looked at.
    """

    name = "documents"
    usage = "documents:[N:]DATASET"
    summary = (
        "a stand-in for queries and judgements: 1,000 (N) documents of DATASET ask for their "
        "neighbours at the full dimension"
    )

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        count, spec = _sampled.parsed(cls.name, argument, split)
        data = _sampled.base(spec)
        own = _sampled.chosen(np.arange(len(data.doc_ids)), count)
        queries = None
        if data.documents is not None:
            texts = dict(_sampled.taken(data.documents, own))
            own = np.array([i for i, text in texts.items() if text.strip()], dtype=np.int64)
            queries = [texts[i] for i in own.tolist()]
        fingerprint = Fingerprint("documents", data.fingerprint)
        fingerprint.add(own.tobytes())
        return replace(
            data,
            name=f"documents:{argument}",
            fingerprint=fingerprint.hex(),
            query_ids=[data.doc_ids[i] for i in own.tolist()],
            queries=queries,
            query_vectors=None,
            qrels=None,
            truth=None,
            groups=None,
            own=own,
            notes=(NOTE.format(count=len(own)), *data.notes),
        )
