"""Generated vectors: for speed and scale only."""

from __future__ import annotations

import numpy as np

from bench.datasets import Dataset, Source
from bench.datasets._files import Fingerprint
from bench.errors import UsageError, near_miss
from bench.vectors import normalise

NOTE = "synthetic vectors: for speed and scale only; they have no relevance and no prefix structure"
_DEFAULTS = {"n": 10_000, "d": 128, "q": 1_000, "clusters": 100, "seed": 0}
_MOST_BYTES = 16 * 2**30
_BLOCK = 65_536


class Synthetic(Source):
    """A seeded mixture of Gaussians on the unit sphere, queries drawn from the same mixture."""

    name = "synthetic"
    usage = "synthetic:n=10000,d=128,q=1000,clusters=100,seed=0"
    summary = "generated vectors, for speed and scale only"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        values = _parse(argument)
        rng = np.random.default_rng(values["seed"])
        d = values["d"]
        centres = rng.standard_normal((values["clusters"], d), dtype=np.float32)

        def drawn(count: int) -> np.ndarray:
            vectors = rng.standard_normal((count, d), dtype=np.float32)
            cluster = rng.integers(values["clusters"], size=count)
            # In blocks, so that memory stays close to the size of the vectors.
            for start in range(0, count, _BLOCK):
                rows = slice(start, start + _BLOCK)
                vectors[rows] = normalise(vectors[rows] + centres[cluster[rows]])
            return vectors

        return Dataset(
            name=f"synthetic:{argument}",
            fingerprint=Fingerprint(
                "synthetic", repr(sorted(values.items())), np.__version__
            ).hex(),
            doc_ids=_numbers(values["n"]),
            query_ids=_numbers(values["q"]),
            corpus_vectors=drawn(values["n"]),
            query_vectors=drawn(values["q"]),
            synthetic=True,
            notes=(NOTE,),
        )


def _numbers(count: int) -> list[str]:
    return [str(i) for i in range(count)]


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
    rows = values["n"] + values["q"] + values["clusters"]
    if rows * values["d"] * 4 > _MOST_BYTES:
        raise UsageError(
            f"synthetic: {rows} vectors (n + q + clusters) × {values['d']} would take more than"
            f" {_MOST_BYTES >> 30} GiB of memory; ask for fewer or smaller ones"
        )
    return values
