"""A folder in the BEIR layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.datasets import Dataset, Source
from bench.datasets._files import (
    Fingerprint,
    distinct,
    find_qrels,
    first_line,
    json_lines,
    own_documents,
    quoted,
    read_qrels,
    scored_queries,
    text_lines,
)
from bench.errors import DataError, NoQueries


class Beir(Source):
    """``corpus.jsonl``, ``queries.jsonl`` and graded ``qrels/SPLIT.tsv``.

    Without ``qrels/``, all queries are scored by fidelity. ``meta.json`` may name where queries and
    judgements come from. If every scored query has a ``group`` in ``queries.jsonl``, the intervals
    resample the groups. Source: Thakur et al., BEIR, 2021.
    """

    name = "beir"
    usage = "beir:PATH"
    summary = "a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        folder = _folder(argument)
        queries_path, qrels_path = folder / "queries.jsonl", folder / "qrels"
        if not queries_path.exists() and not qrels_path.exists() and cls.documents(argument):
            raise NoQueries(
                f"beir:{argument} has documents alone, without queries.jsonl: measure the stand-in "
                f"passages:beir:{argument}, or documents:beir:{argument} for documents of few words"
            )
        judged = qrels_path.exists() or split != "test"
        if judged:
            qrels_path = find_qrels(folder, split)
        fingerprint = Fingerprint("beir")
        corpus, doc_ids, notes = _corpus(folder, fingerprint)
        queries, group_of = [], {}
        for query_id, entry in json_lines(queries_path):
            queries.append((query_id, _field(entry, "text", queries_path, query_id)))
            group_of[query_id] = _group(entry, queries_path, query_id)
        if not queries:
            raise DataError(f"{queries_path}: there are no queries")
        distinct([query_id for query_id, _ in queries], queries_path, "query")
        texts = dict(queries)
        asked, qrels = list(texts), None
        if judged:
            read = read_qrels(qrels_path)
            qrels, more = scored_queries(read, doc_ids, asked, str(qrels_path))
            asked, notes = list(qrels), [*more, *notes]
        else:
            notes.append(_NO_JUDGEMENTS)
        for query_id in asked:
            fingerprint.add(query_id, texts[query_id])
        if qrels is not None:
            fingerprint.add_qrels(qrels)
        own, more = own_documents(
            asked, _themselves(corpus, {q: texts[q] for q in asked}, set(doc_ids))
        )
        if own is not None:
            fingerprint.add("own documents are left out")
        groups = [group_of[query_id] for query_id in asked]
        grouped = all(groups)
        if grouped:
            fingerprint.add("groups", *groups)
        made = _made(folder / "meta.json")
        if made:
            fingerprint.add("made", *made)
        return Dataset(
            name=f"beir:{argument}",
            fingerprint=fingerprint.hex(),
            doc_ids=doc_ids,
            query_ids=asked,
            documents=corpus,
            queries=[texts[query_id] for query_id in asked],
            qrels=qrels,
            own=own,
            groups=groups if grouped else None,
            notes=(*made, *notes, *more),
        )

    @classmethod
    def documents(cls, argument: str) -> Dataset:
        """Read ``corpus.jsonl`` alone."""
        fingerprint = Fingerprint("beir, documents alone")
        corpus, doc_ids, notes = _corpus(_folder(argument), fingerprint)
        return Dataset(
            name=f"beir:{argument}",
            fingerprint=fingerprint.hex(),
            doc_ids=doc_ids,
            query_ids=[],
            documents=corpus,
            notes=tuple(notes),
        )


_NO_JUDGEMENTS = (
    "there are no judgements: quality is fidelity to exact search at the full dimension"
)


def _folder(argument: str) -> Path:
    folder = Path(argument)
    if not argument or not folder.is_dir():
        raise DataError(
            f"beir:{argument}: there is no such folder; "
            "it should contain corpus.jsonl, queries.jsonl and qrels/"
        )
    return folder


def _corpus(folder: Path, fingerprint: Fingerprint) -> tuple[_Documents, list[str], list[str]]:
    """Return the texts, their ids and notes on them; add them to `fingerprint`."""
    corpus = _Documents(folder / "corpus.jsonl")
    doc_ids, empty = [], 0
    for doc_id, text in corpus.entries():
        doc_ids.append(doc_id)
        empty += not text
        fingerprint.add(doc_id, text)
    if not doc_ids:
        raise DataError(f"{corpus.path}: the corpus is empty")
    distinct(doc_ids, corpus.path, "document")
    return corpus, doc_ids, [f"{empty} documents are empty"] if empty else []


def _made(path: Path) -> list[str]:
    """Return a note for each of ``queries`` and ``judgements`` that ``meta.json`` has a source of.

    Raises DataError for a file that is not a JSON object.
    """
    if not path.is_file():
        return []
    try:
        meta = json.loads("".join(text_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {first_line(error)}") from error
    if not isinstance(meta, dict):
        raise DataError(f'{path}: it must be an object, as in {{"queries": "a log"}}')
    # Other files of this name count them here.
    named = {key: meta.get(key) for key in ("queries", "judgements")}
    return [
        f"source of the {key}, as its meta.json says: {' '.join(value.split())}"
        for key, value in named.items()
        if isinstance(value, str) and value.strip()
    ]


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
