"""Generated vectors: for speed and scale only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.datasets import Dataset, RowNumbers, Source, VectorStream
from bench.datasets._files import Fingerprint
from bench.errors import UsageError, near_miss
from bench.vectors import normalise

NOTE = "synthetic vectors: for speed and scale only; they have no relevance and no prefix structure"
_DEFAULTS = {"n": 10_000, "d": 128, "q": 1_000, "clusters": 100, "seed": 0}
_MOST_HELD = 4 * 2**30
"""Bytes that queries and centres may take: they are held in memory."""
_BLOCK = 2**22
"""Numbers drawn with one generator: another size gives other vectors."""


class Synthetic(Source):
    """A seeded mixture of Gaussians on the unit sphere, queries drawn from the same mixture."""

    name = "synthetic"
    usage = "synthetic:n=10000,d=128,q=1000,clusters=100,seed=0"
    summary = "generated vectors, for speed and scale only"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        values = _parse(argument)
        n, d, seed = values["n"], values["d"], values["seed"]
        centres = np.random.default_rng([seed, 0]).standard_normal(
            (values["clusters"], d), dtype=np.float32
        )
        fingerprint = Fingerprint(
            "synthetic, in blocks", repr(sorted(values.items())), np.__version__
        ).hex()
        return Dataset(
            name=f"synthetic:{argument}",
            fingerprint=fingerprint,
            doc_ids=RowNumbers(n),
            query_ids=list(RowNumbers(values["q"])),
            corpus_vectors=VectorStream(
                (n, d), lambda: _drawn(centres, n, [seed, 1]), fingerprint=fingerprint
            ),
            query_vectors=np.concatenate(list(_drawn(centres, values["q"], [seed, 2]))),
            synthetic=True,
            notes=(NOTE,),
        )


def _drawn(centres: np.ndarray, count: int, seed: list[int]) -> Iterator[np.ndarray]:
    """Yield `count` vectors of unit length, (rows, D) float32, a generator for each block."""
    clusters, d = centres.shape
    rows = max(1, _BLOCK // d)
    for block, start in enumerate(range(0, count, rows)):
        rng = np.random.default_rng([*seed, block])
        here = min(rows, count - start)
        vectors = rng.standard_normal((here, d), dtype=np.float32)
        vectors += centres[rng.integers(clusters, size=here)]
        yield normalise(vectors)


def _parse(argument: str) -> dict[str, int]:
    values = dict(_DEFAULTS)
    for part in filter(None, argument.split(",")):
        key, _, text = part.partition("=")
        if key.strip() not in values:
            raise UsageError(
                f"synthetic: unknown parameter '{key.strip()}'{near_miss(key.strip(), values)}"
            )
        try:
            values[key.strip()] = int(text.replace("_", ""))
        except ValueError as error:
            raise UsageError(
                f"synthetic: {key.strip()} = '{text}' is not a whole number"
            ) from error
    for key, value in values.items():
        if value < (0 if key == "seed" else 1):
            raise UsageError(
                f"synthetic: {key} = {value} must be at least {0 if key == 'seed' else 1}"
            )
    held = values["q"] + values["clusters"]
    if held * values["d"] * 4 > _MOST_HELD:
        raise UsageError(
            f"synthetic: {held} vectors (q + clusters) × {values['d']} would take more than"
            f" {_MOST_HELD >> 30} GiB of memory; ask for fewer or smaller ones"
        )
    return values
