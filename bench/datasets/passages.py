"""Passages that ask for their document: what stands in where there are no queries."""

from __future__ import annotations

from bench.datasets import Dataset, Source, _sampled
from bench.datasets._files import Fingerprint
from bench.errors import DataError, UsageError

NOTE = (
    "the queries are stand-ins: one passage of each of {count:,} sampled documents, which is taken "
    "out of it and whose only answer it is. They cannot tell how well users' own words find a "
    "document, nor of several relevant ones, and they overrate whitened maps; what they choose may "
    "keep some points less than they say"
)


class Passages(Source):
    """One passage of each sampled document as a query, and that document as its answer.

    The passage is taken out of the document, where it would be found word by word. The documents
    are those of any dataset of texts; its own queries and judgements are not looked at. Source:
    Lee et al. 2019 (the inverse cloze task).
    """

    name = "passages"
    usage = "passages:[N:]DATASET"
    summary = (
        "a stand-in for queries and judgements: a passage of each of 1,000 (N) documents of "
        "DATASET asks for the rest of it"
    )

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        count, spec = _sampled.parsed(cls.name, argument, split)
        return drawn(argument, spec, count)


def drawn(argument: str, spec: str, count: int, *, whole: bool = False) -> Dataset:
    """Return the dataset of `count` passages of the documents of `spec`, a seeded sample.

    `whole` leaves the passages in their documents. Raises UsageError for ready vectors, DataError
    if no document has the eight words that it takes.
    """
    data = _sampled.base(spec)
    if data.documents is None:
        raise UsageError(
            f"passages:{argument}: '{spec}' has ready vectors, of which there are no passages; "
            f"documents:{argument} needs no text"
        )
    asked, rest = _sampled.passages(data.documents, count)
    if not asked:
        raise DataError(
            f"passages:{argument}: no document has eight words or more, half of which could ask "
            f"for the rest; measure documents:{argument}"
        )
    fingerprint = Fingerprint("passages", data.fingerprint, "whole" if whole else "taken out")
    fingerprint.add(*(f"{position} {text}" for position, text in asked.items()))
    ids = [data.doc_ids[position] for position in asked]
    return Dataset(
        name=f"passages:{argument}",
        fingerprint=fingerprint.hex(),
        doc_ids=data.doc_ids,
        query_ids=ids,
        documents=data.documents if whole else _sampled.Without(data.documents, rest),
        queries=list(asked.values()),
        qrels={each: {each: 1} for each in ids},
        notes=(NOTE.format(count=len(asked)), *data.notes),
    )
