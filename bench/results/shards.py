"""Which shards of a study a results folder holds, so that `merge` can say what is missing.

``shards/KEY.json`` is of one shard on one machine with its libraries: the trials it has, and how
many each shard has. Measured again with other versions, a shard has other trials and another file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import DamagedFile
from bench.files import whole
from bench.study.reader import as_table
from bench.study.schema import Study

SHARDS = "shards"
"""Folder of the records in a results folder."""


@dataclass(frozen=True)
class Record:
    """One shard of a study, as it was begun on one machine."""

    study: str
    study_key: str
    """Digest of the study's content (`study_key`)."""
    number: int
    """Of the shard, from 1."""
    deal: list[dict[str, int]]
    """Of each shard, the trials by backend."""
    trials: dict[str, list[str]]
    """Ids of this shard's trials, by backend."""
    sets: dict[str, str]
    """Dataset and encoder → key of their embeddings."""
    at: str
    """When it was last begun, ISO 8601 in UTC."""

    @property
    def shard(self) -> str:
        """The shard as ``run --shard`` takes it."""
        return f"{self.number}/{len(self.deal)}"

    @property
    def name(self) -> str:
        """Name of its file: equal for the same trials of the same shard."""
        return f"{_digest([self.study_key, self.shard, self.trials])}.json"


def study_key(table: dict[str, Any]) -> str:
    """Return a digest of a study's content, as `bench.study.reader.as_table` returns it."""
    return _digest(table)


def begun(
    study: Study,
    number: int,
    deal: list[dict[str, int]],
    trials: dict[str, list[str]],
    sets: dict[str, str],
) -> Record:
    """Return the record of a shard that begins now; see `Record` for what is given."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Record(study.name, study_key(as_table(study)), number, deal, trials, sets, at)


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """Write records into a results folder; of the same shard and trials the newest is kept.

    Raises OSError if the disk is full, DamagedFile for an earlier record that cannot be read.
    """
    held = {record.name: record for record in read_records(folder)}
    for record in sorted(records, key=lambda record: record.at):
        if record.name in held and held[record.name].at >= record.at:
            continue
        (folder / SHARDS).mkdir(exist_ok=True)
        with whole(folder / SHARDS / record.name) as partial:
            partial.write_text(json.dumps(asdict(record)), encoding="utf-8")


def read_records(folder: Path) -> list[Record]:
    """Return the records of a results folder; raises DamagedFile."""
    return [_read(path) for path in sorted((folder / SHARDS).glob("[!.]*.json"))]


_RECORD = TypeAdapter(Record)


def _read(path: Path) -> Record:
    try:
        record = _RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DamagedFile(f"{path} is no record of a shard; delete it: {error}") from error
    if not 1 <= record.number <= len(record.deal):
        raise DamagedFile(f"{path} is no record of a shard; delete it")
    return record


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
