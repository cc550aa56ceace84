"""A folder in the BEIR layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.datasets import Dataset, Source
from bench.datasets._files import (
    Fingerprint,
    distinct,
    find_qrels,
    json_lines,
    own_documents,
    quoted,
    read_qrels,
    scored_queries,
)
from bench.errors import DataError


class Beir(Source):
    """``corpus.jsonl``, ``queries.jsonl`` and graded ``qrels/SPLIT.tsv``.

    If every scored query has a ``group`` in ``queries.jsonl``, the intervals resample the groups.
    Source: Thakur et al., BEIR, 2021.
    """

    name = "beir"
    usage = "beir:PATH"
    summary = "a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        folder = Path(argument)
        if not argument or not folder.is_dir():
            raise DataError(
                f"beir:{argument}: there is no such folder; "
                "it should contain corpus.jsonl, queries.jsonl and qrels/"
            )
        qrels_path = find_qrels(folder, split)
        fingerprint = Fingerprint("beir")
        corpus = _Documents(folder / "corpus.jsonl")
        doc_ids, empty = [], 0
        for doc_id, text in corpus.entries():
            doc_ids.append(doc_id)
            empty += not text
            fingerprint.add(doc_id, text)
        if not doc_ids:
            raise DataError(f"{corpus.path}: the corpus is empty")
        distinct(doc_ids, corpus.path, "document")
        queries_path = folder / "queries.jsonl"
        queries, group_of = [], {}
        for query_id, entry in json_lines(queries_path):
            queries.append((query_id, _field(entry, "text", queries_path, query_id)))
            group_of[query_id] = _group(entry, queries_path, query_id)
        if not queries:
            raise DataError(f"{queries_path}: there are no queries")
        distinct([query_id for query_id, _ in queries], queries_path, "query")
        texts = dict(queries)
        qrels, notes = scored_queries(read_qrels(qrels_path), doc_ids, list(texts), str(qrels_path))
        if empty:
            notes.append(f"{empty} documents are empty")
        for query_id in qrels:
            fingerprint.add(query_id, texts[query_id])
        fingerprint.add_qrels(qrels)
        own, more = own_documents(
            list(qrels), _themselves(corpus, {q: texts[q] for q in qrels}, set(doc_ids))
        )
        if own is not None:
            fingerprint.add("own documents are left out")
        groups = [group_of[query_id] for query_id in qrels]
        grouped = all(groups)
        if grouped:
            fingerprint.add("groups", *groups)
        return Dataset(
            name=f"beir:{argument}",
            fingerprint=fingerprint.hex(),
            doc_ids=doc_ids,
            query_ids=list(qrels),
            documents=corpus,
            queries=[texts[query_id] for query_id in qrels],
            qrels=qrels,
            own=own,
            groups=groups if grouped else None,
            notes=(*notes, *more),
        )


def _themselves(corpus: _Documents, queries: dict[str, str], doc_ids: set[str]) -> dict[str, int]:
    """Return the positions of documents that share id *and* text with a query, as in ArguAna.

    BEIR compares ids only. That is not enough if both queries and documents are numbered from one.
    """
    if doc_ids.isdisjoint(queries):
        return {}
    return {
        doc_id: position
        for position, (doc_id, text) in enumerate(corpus.entries())
        if queries.get(doc_id, "").strip() and text.endswith(queries[doc_id].strip())
    }


class _Documents:
    """Texts of ``corpus.jsonl``, read from disk each time: it may be larger than memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[tuple[str, str]]:
        """Yield (id, text); the text is title and text, as BEIR and MTEB join them."""
        for doc_id, entry in json_lines(self.path):
            title = _field(entry, "title", self.path, doc_id, required=False)
            yield doc_id, f"{title} {_field(entry, 'text', self.path, doc_id)}".strip()

    def __iter__(self) -> Iterator[str]:
        return (text for _, text in self.entries())


def _group(entry: dict[str, Any], path: Path, query_id: str) -> str:
    """Return the field `group` of a query, or of its `metadata`; empty for none."""
    if "group" not in entry and isinstance(entry.get("metadata"), dict):
        entry = entry["metadata"]
    return _field(entry, "group", path, query_id, required=False)


def _field(
    entry: dict[str, Any], name: str, path: Path, entry_id: str, required: bool = True
) -> str:
    value = entry.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise DataError(f'{path}: the "{name}" of {quoted(entry_id)} is missing or not text')
    return value
