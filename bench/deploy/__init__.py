"""Code that gives a trial's results in a project of one's own, without this package."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.deploy.assembling import MAP_FILE, Program, check, pinned, versions_of
from bench.embeddings import outline
from bench.embeddings.sets import Embeddings
from bench.embeddings.training import embed_training, unscored
from bench.errors import UsageError
from bench.results.store import load


def code_of(row: Mapping[str, Any]) -> str:
    """Return the text of ``search.py`` for a row of the trials table; needs no data.

    Raises UsageError if the row is of no measured index, or a part of it does not offer its code.
    """
    check(row)
    return Program(row).text


def deploy(results: str | Path, trial_id: str, out: str | Path) -> Path:
    """Write ``search.py``, its ``requirements.txt`` and the reducer's map; return the first's path.

    `trial_id` may be a prefix that fits one trial. A fitted map is fitted again on the embeddings
    in the cache. Raises UsageError as `code_of` does, if no single trial fits, if the embeddings
    are gone or `out` cannot be written.
    """
    row = _row(results, trial_id)
    check(row)
    program, out = Program(row), Path(out)
    files = {"search.py": program.text, "requirements.txt": _requirements(program)}
    arrays = _map(program) if program.reads_map else {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
        if arrays:
            _save(arrays, out / MAP_FILE)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}") from error
    return out / "search.py"


def _row(results: str | Path, trial_id: str) -> Mapping[str, Any]:
    frame = load(results, all_machines=True)
    found = frame[frame["trial_id"].str.startswith(trial_id)]
    if found.empty:
        raise UsageError(f"{results} has no trial '{trial_id}'")
    if len(found) > 1:
        some = ", ".join(found["trial_id"].iloc[:3])
        raise UsageError(f"'{trial_id}' fits {len(found)} trials ({some} …): give more of the id")
    row: Mapping[str, Any] = found.iloc[0].to_dict()
    return row


def _requirements(program: Program) -> str:
    """Pin the versions of the row; the row lacks the encoder's, so take the installed one's."""
    known = {}
    for name in program.requirements:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[name] = importlib.metadata.version(name.partition("[")[0])
    return pinned(program.requirements, known | versions_of(program.row))


def _map(program: Program) -> dict[str, np.ndarray]:
    """Return the arrays that the program reads, float32 or whole numbers, contiguous."""
    reducer, text = program.reducer, program.text
    if reducer.fitted != ():
        embeddings = _embeddings(program)
        if reducer.needs_queries:
            trained = embed_training(embeddings.dataset, embeddings.encoder)
            reducer.queries = unscored(trained.queries, embeddings.queries)
        reducer.fit(embeddings.corpus)
    read = {n: a for n, a in reducer.code_arrays().items() if f'MAP["{n}"]' in text}
    return {
        name: np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else None)
        for name, array in read.items()
    }


def _embeddings(program: Program) -> Embeddings:
    """Return the embeddings of the row from the cache."""
    row = program.row
    found = outline(row["dataset"], program.encoder_name or None)
    if not found.key or found.dataset_fingerprint != row["dataset_fingerprint"]:
        raise UsageError(
            f"the embeddings of trial {row['trial_id']} are no longer in the cache, and "
            f"'{row['reducer']}' is fitted on them: run its study again"
        )
    return found


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(arrays, path)
    path.chmod(0o644)  # the library makes it private to its owner
