"""Reading the files that datasets come in: JSON lines, judgements, and what is said of broken ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import UsageError


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (``_id``, object) of each line; raises UsageError naming file and line for one that is broken or has no id."""
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(entry, dict) or type(entry.get("_id")) not in (str, int):
            raise UsageError(f'{path}:{number}: each line must be an object with an "_id"')
        yield str(entry["_id"]), entry


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, a byte-order mark left out; raises UsageError when it is missing or not UTF-8."""
    if not path.is_file():
        raise UsageError(f"{path} is missing")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UsageError(f"{path}:{number}: not UTF-8: {error.reason}") from error


def distinct(ids: Sequence[str], path: Path, what: str) -> None:
    """Raise UsageError that names the ids that occur twice."""
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    twice = list(dict.fromkeys(i for i in ids if i in seen or seen.add(i)))  # type: ignore[func-returns-value]
    raise UsageError(f"{path}: {len(twice)} {what} ids occur more than once: {few(twice)}")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements: a header, then ``query-id, corpus-id, score`` a line, tabs between; also TREC's four columns."""
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(text_lines(path), 1):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not any(fields):
            continue
        if len(fields) == 4:
            fields = [fields[0], *fields[2:]]
        if len(fields) != 3:
            raise UsageError(
                f"{path}:{number}: {len(fields)} fields instead of query-id, corpus-id, score"
            )
        query, document, score = fields
        try:
            grade = int(score)
        except ValueError as error:
            if number == 1 and not any(character.isdigit() for character in score):
                continue  # the header
            raise UsageError(
                f"{path}:{number}: the score '{score}' is not a whole number"
            ) from error
        qrels.setdefault(query, {})[document] = grade
    return qrels


def find_qrels(folder: Path, split: str) -> Path:
    """Return ``qrels/SPLIT.tsv``; raises UsageError that names the splits there are."""
    if Path(split).name != split:
        raise UsageError(
            f"'{split}' is not the name of a split: it names a file in {folder / 'qrels'}"
        )
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        there = sorted(p.stem for p in (folder / "qrels").glob("*.tsv"))
        raise UsageError(
            f"{path} is missing; {f'there are the splits {few(there)}' if there else 'judgements belong there'}"
        )
    return path


def scored_queries(
    qrels: dict[str, dict[str, int]], doc_ids: Sequence[str], query_ids: Sequence[str], name: str
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Keep the judgements of queries that can be scored, in the order of `query_ids`, and say what was left out and why.

    A query is scored when it has a relevant document (grade above 0) in the corpus. Judged documents outside the corpus stay:
    they count as relevant ones that nothing can find, as in trec_eval. Raises UsageError when no query is left.
    """
    known, asked = set(doc_ids), set(query_ids)
    notes = []
    unknown = {d for grades in qrels.values() for d in grades} - known
    if unknown:
        notes.append(
            f"judgements name {len(unknown)} documents that are not in the corpus: {few(sorted(unknown))}"
        )
    strangers = [query for query in qrels if query not in asked]
    if strangers:
        notes.append(
            f"judgements name {len(strangers)} queries that are not there: {few(strangers)}"
        )
    kept = {
        q: qrels[q]
        for q in query_ids
        if any(g > 0 and d in known for d, g in qrels.get(q, {}).items())
    }
    without = sum(1 for q in qrels if q in asked and q not in kept)
    if without:
        notes.append(
            f"{without} queries have no relevant document in the corpus and are not scored"
        )
    if not kept:
        raise UsageError(
            f"{name}: no query has a relevant document in the corpus; check that the judgements belong to it"
        )
    return kept, notes


def few(names: Sequence[str]) -> str:
    """Return the first few names, for a message."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


class Fingerprint:
    """A digest over texts and bytes whose boundaries count."""

    def __init__(self, *parts: str) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self.add(*parts)

    def add(self, *parts: str | bytes) -> None:
        """Take in `parts`."""
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self._digest.update(len(data).to_bytes(8, "little"))
            self._digest.update(data)

    def add_qrels(self, qrels: dict[str, dict[str, int]]) -> None:
        """Take in judgements."""
        self.add(json.dumps(qrels, sort_keys=True))

    def hex(self) -> str:
        """Return the digest."""
        return self._digest.hexdigest()


def own_documents(
    query_ids: Sequence[str], own: Mapping[str, int]
) -> tuple[np.ndarray | None, list[str]]:
    """Return (q,) int64, the position of the document that each query is (`own`, by query id), -1 for none, with a note.

    None where no query is a document.
    """
    if not own:
        return None, []
    note = f"{len(own)} queries are documents of the corpus themselves: each is left out of its own results"
    return np.array([own.get(query, -1) for query in query_ids], dtype=np.int64), [note]
