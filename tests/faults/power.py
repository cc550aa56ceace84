"""Power losses: what the disk may hold at each moment, and whether it can be read.

A disk is free to keep a rename or a removal before the data that was written earlier, and in any
order, until the file or its folder is synced. `Disk` records what a process asks for and builds the
folders that a loss of power could leave at that moment.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from bench.embeddings import embed
from bench.embeddings.smaller import smaller
from bench.results import store as stores
from bench.results.store import Store, load, load_queries, load_rankings
from bench.results.tables import QUERIES
from bench.results.texts import load_texts, write_texts
from tests.faults.ground import Budget, Counts, Lost, site


@dataclass
class _Change:
    """A change of a folder that is not on disk for sure."""

    folder: Path
    links: dict[str, bytes | None]
    """Name → content, None for a folder."""
    gone: tuple[str, ...] = ()


class Disk:
    """What is on disk for sure of the folder `root`, and what may be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sure: dict[Path, bytes | None] = {root: None}
        self.pending: list[_Change] = []
        self.synced: dict[int, bytes] = {}
        """Content that was synced, by the number of the file."""
        self.look: Callable[[], None] = lambda: None
        self.looking = False

    def moment(self) -> None:
        """Look at what the disk may hold now; what is done meanwhile is not recorded."""
        if not self.looking:
            self.looking = True
            self.look()
            self.looking = False

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what this process asks for, and call `look` after each."""
        replace, unlink, mkdir = os.replace, os.unlink, os.mkdir

        def noted_fsync(descriptor: int) -> None:
            if self.looking:
                return
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                for change in [c for c in self.pending if c.folder == path]:
                    _apply(change, self.sure)
                    self.pending.remove(change)
            else:
                self.synced[path.stat().st_ino] = path.read_bytes()
            self.moment()

        def noted_replace(source: str, target: str) -> None:
            number = Path(source).stat().st_ino
            self._forget(Path(target))
            replace(source, target)
            # Nothing of what was not synced need be there: the file is empty then.
            content = self.synced.get(number, b"")
            self._note(Path(target).parent, {Path(target).name: content})

        def noted_unlink(path: str, **keys: int) -> None:
            self._forget(Path(path))
            unlink(path, **keys)
            self._note(Path(path).parent, {}, (Path(path).name,))

        def noted_mkdir(path: str, mode: int = 0o777) -> None:
            mkdir(path, mode)
            self._note(Path(path).parent, {Path(path).name: None})

        with (
            mock.patch("os.fsync", noted_fsync),
            mock.patch("os.replace", noted_replace),
            mock.patch("os.unlink", noted_unlink),
            mock.patch("os.mkdir", noted_mkdir),
        ):
            yield

    def _forget(self, path: Path) -> None:
        if path.exists() and not self.looking:
            self.synced.pop(path.stat().st_ino, None)

    def _note(
        self, folder: Path, links: dict[str, bytes | None], gone: tuple[str, ...] = ()
    ) -> None:
        if not self.looking and (folder == self.root or self.root in folder.parents):
            self.pending.append(_Change(folder, links, gone))
            self.moment()

    def states(self, chance: random.Random) -> Iterator[dict[Path, bytes | None]]:
        """Yield what the disk may hold: no pending change, all, each alone, all but each, and a few
        of the other subsets."""
        every = list(range(len(self.pending)))
        kept = [[], every, *([i] for i in every), *([*every[:i], *every[i + 1 :]] for i in every)]
        kept += [[i for i in every if chance.random() < 0.5] for _ in range(2 if every else 0)]
        for chosen in kept:
            state = dict(self.sure)
            for position in chosen:
                _apply(self.pending[position], state)
            yield state

    def build(self, state: dict[Path, bytes | None], into: Path) -> None:
        """Write a state into a folder; what lies in a folder that is lost is lost with it."""
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        for path, content in sorted(state.items()):
            if path == self.root or any(
                state.get(parent, b"") is not None
                for parent in path.parents
                if self.root in parent.parents
            ):
                continue
            target = into / path.relative_to(self.root)
            if content is None:
                target.mkdir()
            else:
                target.write_bytes(content)


def _apply(change: _Change, state: dict[Path, bytes | None]) -> None:
    state |= {change.folder / name: content for name, content in change.links.items()}
    for name in change.gone:
        state.pop(change.folder / name, None)


def results(budget: Budget, chance: random.Random) -> Counts:
    """Lose power at every moment of two runs that add, join and gather trials."""
    counts = Counts()
    with site() as place, mock.patch.object(stores, "_MOST_PARTS", 3):
        root, copy = place.root / "disk", place.root / "copy"
        root.mkdir()
        disk, finished = Disk(root), dict[str, float]()
        seen = set[object]()

        def look() -> None:
            for state in disk.states(chance):
                key = frozenset(state.items()), frozenset(finished.items())
                if key in seen:
                    continue
                seen.add(key)
                disk.build(state, copy)
                found = _read(copy / "r")
                counts.faults += 1
                counts.trials += len(finished)
                # A row that was measured again may be there already.
                if lost := {i for i, v in finished.items() if found.get(i, -1.0) < v}:
                    raise Lost(f"a loss of power takes {sorted(lost)}")

        disk.look = look
        with disk.recorded():
            for turn in range(2):
                store = Store(root / "r")
                with store.held():
                    write_texts(store.folder, f"d{turn}", ["q"], ["a text"])
                    for number in range(7):
                        name, value = f"t{number + 2 * turn}", turn + 1.0
                        hold = number > 4
                        store.add(_row(name, value), _queries(), [["d1"]], hold=hold)
                        if not hold:
                            finished[name] = value
                    store.flush()
                    finished |= {f"t{number + 2 * turn}": turn + 1.0 for number in (5, 6)}
                    store.gather()
        if load_texts(copy / "r", "d0") != {"q": "a text"}:
            raise Lost("the texts of the queries")
    return counts


def cache(budget: Budget, chance: random.Random) -> Counts:
    """Lose power at every moment of the making of embeddings and of a part of them."""
    counts = Counts()
    with site() as place:
        root, copy = place.root / "disk", place.root / "copy"
        root.mkdir()
        disk = Disk(root)

        def made(folder: Path) -> list[np.ndarray]:
            found = embed(f"vectors:{place.data}", cache=folder / "c", progress=False)
            part = smaller(found, 100)
            return [np.array(each) for each in (found.corpus, found.queries, part.corpus)]

        expected = made(place.root / "whole")
        states = dict[object, dict[Path, bytes | None]]()
        disk.look = lambda: states.update((frozenset(s.items()), s) for s in disk.states(chance))
        with disk.recorded():
            made(root)
        for state in states.values():
            disk.build(state, copy)
            counts.faults += 1
            if not all(map(np.array_equal, made(copy), expected)):
                raise Lost("a loss of power leaves other vectors in the cache")
    return counts


def _read(folder: Path) -> dict[str, float]:
    """Read all of a results folder; return the figure of each trial, by id."""
    if not folder.exists():
        return {}
    rows = Store(folder).rows(["ndcg_at_10"])
    if rows:
        load(folder)
    counted = load_queries(folder).groupby("trial_id").size()
    for name in rows:
        if counted.get(name) != 1 or load_rankings(folder, name) is None:
            raise Lost(f"{name} has no queries or no rankings")
    return {name: row["ndcg_at_10"] for name, row in rows.items()}


def _row(name: str, value: float) -> dict[str, object]:
    same = {"status": "ok", "dataset": "d", "backend": "b", "dim": 8, "k": 10, "machine": "m"}
    return {
        **same,
        "trial_id": name,
        "search_params": name,
        "ndcg_at_10": value,
        "started_at": f"2026-01-01T00:00:0{name[1:]}",
    }


def _queries() -> dict[str, list[object]]:
    filled: dict[str, list[object]] = {name: [0.5] for name in QUERIES.names}
    return (
        filled
        | {"query_id": ["q"], "query_group": ["g"]}
        | {key: [[3]] for key in ("relevant_ranks", "relevant_grades")}
    )
