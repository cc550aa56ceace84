"""Ids of documents, of which there may be tens of millions."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

_ROWS = 65_536


class LazyIds(Sequence[str]):
    """Ids that are made or read when they are asked for."""

    def __init__(self, count: int) -> None:
        self._numbers = range(count)

    def __len__(self) -> int:
        """Return the number of ids."""
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return the id at a position, or those of a slice."""
        if isinstance(at, slice):
            return [self._id(position) for position in self._numbers[at]]
        return self._id(self._numbers[at])

    @abstractmethod
    def at(self, positions: np.ndarray) -> pa.Array:
        """Return the ids at many positions, (p,) int64, as an Arrow array of texts."""

    @abstractmethod
    def _id(self, position: int) -> str: ...


class RowNumbers(LazyIds):
    """The ids of documents that have none: ``"0"``, ``"1"``, …"""

    def __iter__(self) -> Iterator[str]:
        """Yield the ids in order."""
        return map(str, self._numbers)

    def at(self, positions: np.ndarray) -> pa.Array:
        """Return the positions as texts."""
        return pa.array(positions).cast(pa.string())

    def _id(self, position: int) -> str:
        return str(position)


class StoredIds(LazyIds):
    """Ids in an Arrow file, memory-mapped."""

    def __init__(self, path: Path) -> None:
        """Map a file of `store_ids`; raises OSError or ValueError if it is cut short."""
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            for batch in batches:
                batch.validate(full=True)  # else an offset of a damaged file is followed anywhere
            self._parts = [batch.column(0) for batch in batches]
        super().__init__(sum(map(len, self._parts)))

    def __iter__(self) -> Iterator[str]:
        """Yield the ids in order."""
        return (each for part in self._parts for each in part.to_pylist())

    def at(self, positions: np.ndarray) -> pa.Array:
        """Read the ids at many positions at once."""
        taken = pa.chunked_array(self._parts).take(pa.array(positions))
        return taken.cast(pa.string()).combine_chunks()

    def _id(self, position: int) -> str:
        part, row = divmod(position, _ROWS)
        return str(self._parts[part][row].as_py())


def store_ids(path: Path, ids: Iterable[str]) -> None:
    """Write ids for `StoredIds`, a block at a time."""
    schema = pa.schema([("id", pa.large_string())])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for block in batches(ids, _ROWS):
            writer.write_batch(pa.record_batch([pa.array(block, pa.large_string())], schema))


def spooled(ids: Iterable[str]) -> StoredIds:
    """Return the ids of a stream, kept in a temporary file."""
    with tempfile.TemporaryDirectory(prefix="matryoshka-bench-") as folder:
        path = Path(folder) / "ids.arrow"
        store_ids(path, ids)
        # Map before the folder is removed: the pages live as long as the ids.
        return StoredIds(path)


def positions(ids: Sequence[str], wanted: Collection[str]) -> dict[str, int]:
    """Return the position of each of the `wanted` ids that there is; the others take no memory."""
    if isinstance(ids, RowNumbers):
        # No longer number than these is among the ids, and int() refuses very long ones.
        numbers = (each for each in wanted if each.isdecimal() and len(each) <= 19)
        return {
            each: int(each) for each in numbers if str(int(each)) == each and int(each) < len(ids)
        }
    wanted = set(wanted)
    return {each: position for position, each in enumerate(ids) if each in wanted}


def batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
