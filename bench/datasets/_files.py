"""Read the files of datasets, JSON lines and judgements, and report broken ones."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.datasets._ids import RowNumbers, batches, positions
from bench.errors import DataError, MissingSplit, UsageError

_MOST = 2**31 - 1
"""The largest absolute grade, because the scorer uses machine integers."""
_IDS = 65_536
"""Ids that are hashed together."""


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (``_id``, object) of each line.

    Raises DataError with file and line for a line that is broken, has no id or is not Unicode.
    """
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {first_line(error)}") from error
        if not isinstance(entry, dict) or type(entry.get("_id")) not in (str, int):
            raise DataError(f'{path}:{number}: each line must be an object with an "_id"')
        if not all(_is_unicode(value) for value in entry.values() if isinstance(value, str)):
            raise DataError(
                f"{path}:{number}: half a surrogate pair (\\ud800 to \\udfff); remove it"
            )
        yield str(entry["_id"]), entry


def _is_unicode(text: str) -> bool:
    """Return whether `text` can be encoded: JSON can escape half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file without its byte-order mark.

    Raises DataError if the file is missing, cannot be read or is not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing")
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}:{number}: not UTF-8: {error.reason}; save it as UTF-8"
                    ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def distinct(ids: Iterable[str], path: Path, what: str) -> None:
    """Raise DataError that names the ids that occur more than once.

    `ids` are iterated twice if hashes occur twice, and take eight bytes each.
    """
    hashes = np.concatenate([np.empty(0, np.uint64), *map(_hashes, batches(ids, _IDS))])
    hashes.sort()
    twice = hashes[1:][hashes[1:] == hashes[:-1]]
    suspects = (
        each
        for block in (batches(ids, _IDS) if len(twice) else ())
        for each, suspect in zip(block, np.isin(_hashes(block), twice).tolist(), strict=True)
        if suspect
    )
    repeated = [entry_id for entry_id, count in Counter(suspects).items() if count > 1]
    if repeated:
        raise DataError(f"{path}: {len(repeated)} {what} ids occur more than once: {few(repeated)}")


def _hashes(ids: list[str]) -> np.ndarray:
    return np.asarray(pd.util.hash_array(np.array(ids, dtype=object), categorize=False))


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements: a header, then ``query-id, corpus-id, score`` or TREC's columns per line.

    Raises DataError with file and line.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(text_lines(path), 1):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not any(fields):
            continue
        if len(fields) == 4:
            fields = [fields[0], *fields[2:]]
        if len(fields) != 3:
            raise DataError(
                f"{path}:{number}: {len(fields)} fields instead of query-id, corpus-id, score"
            )
        query, document, score = fields
        try:
            grade = int(score)
        except ValueError as error:
            if number == 1 and not any(character.isdigit() for character in score):
                continue  # the header
            raise DataError(
                f"{path}:{number}: the score {quoted(score)} is not a whole number"
            ) from error
        if abs(grade) > _MOST:
            raise DataError(f"{path}:{number}: the score {quoted(score)} is too large for a grade")
        qrels.setdefault(query, {})[document] = grade
    return qrels


def find_qrels(folder: Path, split: str) -> Path:
    """Return ``qrels/SPLIT.tsv``; raises MissingSplit that lists the existing splits."""
    if Path(split).name != split:
        raise UsageError(
            f"'{split}' is not the name of a split: use the name of a file in {folder / 'qrels'}"
        )
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        splits = sorted(p.stem for p in (folder / "qrels").glob("*.tsv"))
        hint = f"there are the splits {few(splits)}" if splits else "put the judgements there"
        raise MissingSplit(f"{path} is missing; {hint}")
    return path


def scored_queries(
    qrels: dict[str, dict[str, int]], doc_ids: Sequence[str], query_ids: Sequence[str], name: str
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return the judgements of scored queries, in the order of `query_ids`, and notes on the rest.

    A query is scored if it has a relevant document (grade above 0) in the corpus. Judged documents
    outside the corpus stay and count as relevant but not found, as in trec_eval. Raises DataError
    if no query remains.
    """
    asked = set(query_ids)
    notes = []
    judged = {d for grades in qrels.values() for d in grades}
    known = positions(doc_ids, judged)
    unknown = judged - known.keys()
    if unknown:
        notes.append(
            f"judgements name {len(unknown)} documents that are not in the corpus: "
            f"{few(sorted(unknown))}"
        )
    strangers = [query for query in qrels if query not in asked]
    if strangers:
        notes.append(f"judgements name {len(strangers)} unknown queries: {few(strangers)}")
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
        raise DataError(
            f"{name}: no query has a relevant document in the corpus; "
            "check that the judgements belong to it"
        )
    return kept, notes


def few(names: Sequence[str]) -> str:
    """Return the first three names, for a one-line message."""
    shown = (name if name.isprintable() and len(name) <= 60 else quoted(name) for name in names[:3])
    return ", ".join(shown) + (", …" if len(names) > 3 else "")


def quoted(text: str) -> str:
    """Quote text from a file for a message: on one line, cut off if long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, or the error's name if it has none."""
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )


class Fingerprint:
    """A digest over texts and bytes that depends on their boundaries."""

    def __init__(self, *parts: str) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self.add(*parts)

    def add(self, *parts: str | bytes) -> None:
        """Add `parts`."""
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self._digest.update(len(data).to_bytes(8, "little"))
            self._digest.update(data)

    def add_ids(self, ids: Sequence[str]) -> None:
        """Add ids, a block at a time."""
        if isinstance(ids, RowNumbers):
            self.add("row numbers", str(len(ids)))
        else:
            self.add(*map(json.dumps, batches(ids, _IDS)))

    def add_qrels(self, qrels: dict[str, dict[str, int]]) -> None:
        """Add judgements."""
        self.add(json.dumps(qrels, sort_keys=True))

    def hex(self) -> str:
        """Return the digest."""
        return self._digest.hexdigest()


def own_documents(
    query_ids: Sequence[str], own: Mapping[str, int]
) -> tuple[np.ndarray | None, list[str]]:
    """Return the position of the document that each query is, (q,) int64, and a note.

    `own` maps query ids to positions; other queries get -1. Returns None and no note if
    there are none.
    """
    if not own:
        return None, []
    note = f"{len(own)} queries are documents of the corpus: each is excluded from its own results"
    return np.array([own.get(query, -1) for query in query_ids], dtype=np.int64), [note]
