"""Compare each learned reducer and code with the claim of its paper, on real collections.

``python -m tests.experiments.reducers pydoc beir:path/to/folder …`` prints nDCG@10 of the test
queries by dimension, once at float32 and once at each code. Sparse codes count active latents. A
collection without a training split trains on ``dev``.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.backends.csr import Csr
from bench.embeddings import embed
from bench.embeddings.training import embed_training, unscored
from bench.exact.one_pass import exact_topk
from bench.quality.measures import relevance
from bench.reducers.adaptor import Adaptor
from bench.reducers.leanvec import LeanVec
from bench.reducers.pca import Pca
from bench.training.adaptor import train
from bench.training.codes import CODES, found_at
from bench.training.csr import train_csr
from bench.training.fitting import Settings
from bench.vectors import normalise

DIMENSIONS = (16, 32, 64, 128)
SMEC = {
    "adaptor": {},
    "adaptor, sequential": {"sequential": True},
    "adaptor, selected": {"select": True},
    "adaptor, memory": {"memory": 2048},
    "adaptor, all three (SMEC)": {"sequential": True, "select": True, "memory": 2048},
}


def main() -> None:
    """Train and print the tables of each collection."""
    parser = argparse.ArgumentParser()
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--encoder", default="wordllama")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--csr-steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    if asked.threads:
        import torch

        torch.set_num_threads(asked.threads)
    for dataset in asked.datasets:
        with tempfile.TemporaryDirectory() as folder:
            _compare(dataset, asked, Path(folder))


def _compare(dataset: str, asked: argparse.Namespace, folder: Path) -> None:
    data = embed(dataset, asked.encoder, progress=False)
    training = embed_training(dataset, asked.encoder)
    source = _with_training(dataset, folder / "data")
    print(
        f"\n{dataset}: {len(data.query_ids):,} test queries, {len(training.query_ids):,} for "
        f"training, {len(data.corpus):,} documents\n"
        f"| float32 | {' | '.join(map(str, DIMENSIONS))} |\n| --- {'| --- ' * len(DIMENSIONS)}|",
        flush=True,
    )
    pca, lean, asking = Pca(), LeanVec(), LeanVec(queries_only=True)
    lean.queries = asking.queries = unscored(training.queries, data.queries)
    maps = {"truncation": lambda block: block}
    for name, reducer in (("PCA", pca), ("leanvec", lean), ("leanvec, queries only", asking)):
        reducer.fit(data.corpus)
        maps[name] = reducer.map
    for name, map_ in maps.items():
        _print(name, _exact(data, map_))
    common = {"batch": asked.batch, "passages": asked.passages, "form": "linear"}
    common |= {"steps": asked.steps, "dimensions": (*DIMENSIONS, data.full_dim)}
    for name, chosen in SMEC.items():
        begun = time.monotonic()
        found = train(source, asked.encoder, folder / "adaptor", Settings(**common, **chosen))
        seconds = time.monotonic() - begun
        # The next training writes over the files.
        maps[name] = Adaptor.of(Adaptor(path=str(found.folder)).arrays).map
        _print(f"{name} ({seconds:.0f} s)", _exact(data, maps[name]))
    train_csr(
        source, asked.encoder, folder / "csr", steps=asked.csr_steps, batch=asked.batch,
        passages=asked.passages, dimensions=DIMENSIONS,
    )  # fmt: skip
    Csr.load()
    for name, path in (("CSR, untrained", ""), ("CSR", str(folder / "csr"))):
        scores, notes = {}, []
        for k in DIMENSIONS:
            index = Csr(dimension=k)
            index.build(normalise(data.corpus), path=path)
            queries = normalise(data.queries)
            begun = time.perf_counter()
            ids = [index.search(query[None], 10)[0] for query in queries]
            took = 1e3 * (time.perf_counter() - begun) / len(queries)
            scores[k] = _score(data, np.stack(ids))
            notes.append(f"{k}: {index.size_bytes() / len(data.corpus):.0f} B, {took:.2f} ms")
        _print(f"{name} ({'; '.join(notes)})", scores)
    for code in CODES:
        print(f"| {code} |" + " |" * len(DIMENSIONS))
        found = train(source, asked.encoder, folder / code, Settings(**common, code=code))
        maps["adaptor, trained for it"] = Adaptor(path=str(found.folder)).map
        for name in ("truncation", "PCA", "adaptor", "adaptor, trained for it"):
            _print(name, _at(code, data, maps[name]))


def _with_training(dataset: str, folder: Path) -> str:
    """Return the dataset, or a copy whose split `train` is `dev` if it has none."""
    kind, _, path = dataset.partition(":")
    if kind != "beir" or (Path(path) / "qrels" / "train.tsv").is_file():
        return dataset
    shutil.copytree(path, folder)
    shutil.copy(folder / "qrels" / "dev.tsv", folder / "qrels" / "train.tsv")
    return f"beir:{folder}"


def _exact(data, map_) -> dict[int, float]:
    found = exact_topk(
        normalise(data.queries), data.corpus, DIMENSIONS, 10, own=data.own,
        transform=lambda block: map_(normalise(block)),
    )  # fmt: skip
    return {d: _score(data, ids) for d, (ids, _) in found.items()}


def _at(code: str, data, map_) -> dict[int, float]:
    found = found_at(
        code, lambda block: map_(normalise(block)), data.queries, data.corpus, DIMENSIONS, 10
    )
    return {d: _score(data, ids) for d, ids in found.items()}


def _score(data, ids: np.ndarray) -> float:
    return float(relevance(ids, data.query_ids, data.qrels, 10)["ndcg_at_10"].mean())


def _print(name: str, scores: dict[int, float]) -> None:
    cells = " | ".join(f"{scores[d]:.3f}".replace("0.", ".", 1) for d in DIMENSIONS)
    print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
