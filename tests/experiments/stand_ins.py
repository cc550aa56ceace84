"""What stands in for judgements best: does it lead to the configuration that judgements lead to?

``python -m tests.experiments.stand_ins --data ../shared/data/beir [--encoder wordllama …]``

The promise: the configuration chosen with the stand-in that `bench.datasets.stand_in` names keeps
nearly what was asked by the real judgements. The choice is by quality and size alone: the fewest
bytes per vector among truncation, PCA and whitened PCA, at several dimensions and in float32, int8
and binary, whose quality is at least the share asked of that of all dimensions in float32 (point
estimates, exhaustive search with faiss). Each stand-in chooses; the real nDCG@10 of the choice says
what it is worth. The stand-ins:

- passages: one of each of 1,000 documents, taken out of it (``passages:DATASET``);
- passages left in: the same, where the passage stays in its document;
- documents: 1,000 of them, each without itself, fidelity@10 (``documents:DATASET``);
- queries: the real ones without their judgements, fidelity@10.

With ``--variants`` passages of other kinds choose too: runs of 6 and 10 words, the first 8 and 12.

Beside them, what other judgements would say: half of the real queries choose, the other half judges
(50 seeded halves). So many choices differ although nothing stands in for anything. All is done
twice: with and without whitening among the maps to choose from. Seeded.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import get_backend
from bench.datasets import _sampled, load_dataset
from bench.embeddings import encode_texts
from bench.exact.one_pass import exact_topk
from bench.quality.measures import Judgements, overlap
from bench.quality.scorer import cosines
from bench.reducers.pca import Pca
from bench.reducers.truncate import Truncate
from bench.vectors import normalise, truncate

COLLECTIONS = ("scifact", "cranfield", "cacm", "med", "cosqa", "wordnet-examples")
DOCUMENTS = 10_000
"""Of a larger collection, all judged documents of a thousand queries and a sample of the others."""
SHARES = (0.98, 0.95)
REDUCERS: dict[str, Callable] = {
    "truncation": Truncate,
    "PCA": Pca,
    "whitened PCA": lambda: Pca(whiten=True),
}
PRECISIONS = ("float32", "int8", "binary")
BITS = {"float32": 32, "int8": 8, "binary": 1}
DIMENSIONS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
HALVES = 50
DEPTH = 10
REAL, WHITENED = "judgements", "whitened PCA"
VARIANTS = {
    "6 words": _sampled.run(6),
    "10 words": _sampled.run(10),
    "first 8 words": _sampled.run(8, first=True),
    "first 12 words": _sampled.run(12, first=True),
}


@dataclass(frozen=True)
class Asked:
    """Vectors, queries and what they should find: judgements by position, or None for fidelity."""

    corpus: np.ndarray
    queries: np.ndarray
    qrels: dict[str, dict[str, int]] | None
    own: np.ndarray | None = None


@dataclass(frozen=True)
class Choice:
    """The configuration chosen: its place in the list of them, and its name."""

    place: int
    name: str
    size: float
    """Bytes per vector."""


def main() -> None:
    """Print the table of every encoder, then its summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--only", action="append", default=[], help="a collection, or pydoc")
    parser.add_argument("--variants", action="store_true", help="passages of other kinds too")
    asked = parser.parse_args()
    names = asked.only or [*COLLECTIONS, "pydoc"]
    for encoder in asked.encoder or ["wordllama"]:
        short = Path(encoder.partition(":")[2]).name or encoder
        found: dict[str, list[dict]] = {}
        lines: dict[str, list[str]] = {}
        for name in names:
            data_of = _data_of(name, asked.data, encoder, asked.variants)
            for maps, (line, rows) in _judged(name, data_of).items():
                lines.setdefault(maps, []).extend(line)
                found.setdefault(maps, []).extend(rows)
            print(f"{name} done", file=sys.stderr, flush=True)
        for maps, shown in lines.items():
            columns = [key for key in data_of if key != REAL]
            print(f"\n{short}, {maps}: the choice, share of the real quality kept (bytes)\n")
            print(f"| collection | asked | {REAL} | {' | '.join(columns)} | half of the queries |")
            print(f"| --- | --- {'| --- ' * (len(columns) + 2)}|")
            print("\n".join(shown))
            _summary(found[maps])


def _data_of(name: str, data: Path, encoder: str, variants: bool) -> dict[str, Asked]:
    """Return the collection as the judgements and as each stand-in see it."""
    dataset = load_dataset("pydoc" if name == "pydoc" else f"beir:{data / name}")
    texts, queries, qrels = _nested(dataset)

    def encoded(what: Iterable[str], role: str) -> np.ndarray:
        return np.array(encode_texts(encoder, list(what), role, progress=False))

    corpus, asked = encoded(texts, "document"), encoded(queries, "query")
    own = _sampled.chosen(np.arange(len(texts)), _sampled.SAMPLE)
    data_of = {REAL: Asked(corpus, asked, qrels)}
    kinds = {"passages": _sampled.sentence, **(VARIANTS if variants else {})}
    for kind, span in kinds.items():
        passages, rest = _sampled.passages(texts, _sampled.SAMPLE, span=span)
        positions, shorter = np.array(list(passages)), corpus.copy()
        shorter[positions] = encoded(rest.values(), "document")
        pieces = encoded(passages.values(), "query")
        answers = {str(i): {str(p): 1} for i, p in enumerate(positions.tolist())}
        data_of[kind] = Asked(shorter, pieces, answers)
        if kind == "passages":
            data_of["passages left in"] = Asked(corpus, pieces, answers)
    as_queries = encoded((texts[i] for i in own.tolist()), "query")
    data_of["documents"] = Asked(corpus, as_queries, None, own)
    data_of["queries"] = Asked(corpus, asked, None)
    return data_of


def _judged(name: str, data_of: dict[str, Asked]) -> dict[str, tuple[list[str], list[dict]]]:
    """Return the lines of one collection, and what each stand-in's choice is worth, by maps."""
    full = data_of[REAL].corpus.shape[1]
    configurations = _configurations(full)
    quality = {key: _quality(each, configurations) for key, each in data_of.items()}
    title = f"{name}, {len(data_of[REAL].queries):,} queries"
    unwhitened = [i for i, (reducer, _, _) in enumerate(configurations) if reducer != WHITENED]
    found = {}
    for maps, places in (("all maps", range(len(configurations))), ("unwhitened", unwhitened)):
        among = [configurations[i] for i in places]
        values = {key: each[list(places)] for key, each in quality.items()}
        lines, rows = [], []
        for share in SHARES:
            line, more = _row(among, values, share)
            lines.append(f"| {title} | {share:.0%} | {line} |")
            rows += more
        found[maps] = lines, rows
    return found


def _row(
    configurations: list, quality: dict[str, np.ndarray], share: float
) -> tuple[str, list[dict]]:
    real, rows, full = quality[REAL], [], _full_place(configurations)
    best = _choice(configurations, real.mean(axis=1), share)
    cells = [f"{best.name}, {best.size:.0f} B, {_kept(real, best.place, full):.1%}"]
    for key, values in quality.items():
        if key == REAL:
            continue
        choice = _choice(configurations, values.mean(axis=1), share)
        kept, size = _kept(real, choice.place, full), choice.size / best.size
        same = choice.place == best.place
        rows.append({"stand-in": key, "same": same, "short": share - kept, "bytes": size})
        cells.append("the same" if same else f"{choice.name}, {kept:.1%} ({size:.2g}×)")
    halves = _halves(configurations, real, share, best)
    same = np.mean([row["same"] for row in halves])
    short = np.median([share - row["short"] for row in halves])
    cells.append(f"the same in {same:.0%}, {short:.1%}")
    return " | ".join(cells), rows + halves


def _nested(dataset) -> tuple[list[str], list[str], dict[str, dict[str, int]]]:
    """Return texts, queries and judgements by position of at most `DOCUMENTS` documents."""
    texts, place = list(dataset.documents), {d: i for i, d in enumerate(dataset.doc_ids)}
    queries = list(zip(dataset.query_ids, dataset.queries, strict=True))
    kept = np.arange(len(texts))
    if len(texts) > DOCUMENTS + 1_000:
        rng = np.random.default_rng(0)
        queries = list(islice((queries[i] for i in rng.permutation(len(queries))), 1_000))
        judged = {place[d] for q, _ in queries for d in dataset.qrels[q] if d in place}
        others = rng.permutation(np.setdiff1d(kept, list(judged)))
        kept = np.union1d(list(judged), others[: DOCUMENTS - len(judged)])
    new = {int(old): i for i, old in enumerate(kept)}
    qrels = {
        str(i): {
            str(new.get(place.get(d, -1), f"?{d}")): grade for d, grade in dataset.qrels[q].items()
        }
        for i, (q, _) in enumerate(queries)
    }
    return [texts[i] for i in kept], [text for _, text in queries], qrels


def _configurations(full: int) -> list[tuple[str, int, str]]:
    dims = [d for d in DIMENSIONS if d <= full]
    return list(product(REDUCERS, dims, PRECISIONS))


def _quality(data: Asked, configurations: list[tuple[str, int, str]]) -> np.ndarray:
    """Return the quality of each query with each configuration, (c, q)."""
    queries = normalise(data.queries)
    ids = [str(i) for i in range(len(queries))]
    judged = None if data.qrels is None else Judgements(ids, data.qrels)
    full = data.corpus.shape[1]
    nearest = exact_topk(queries, data.corpus, [full], DEPTH, own=data.own)[full][0]
    truth = cosines(queries, data.corpus, nearest)
    mapped = {}
    for name, make in REDUCERS.items():
        reducer = make()
        reducer.fit(data.corpus)
        mapped[name] = reducer.map(normalise(data.corpus)), reducer.map(queries)
    values = []
    for reducer, dim, precision in configurations:
        vectors, asked = (truncate(side, dim) for side in mapped[reducer])
        found = _search(vectors, asked, precision)
        if data.own is not None:
            found = np.array([_without(row, o) for row, o in zip(found, data.own, strict=True)])
        found = found[:, :DEPTH]
        if judged is not None:
            values.append(judged.relevance(found, DEPTH, ("ndcg_at_10",))["ndcg_at_10"])
        else:
            values.append(overlap(found, cosines(queries, data.corpus, found), truth, DEPTH))
    return np.array(values)


def _search(vectors: np.ndarray, queries: np.ndarray, precision: str) -> np.ndarray:
    """Return the nearest of (n, d) `vectors`, (q, DEPTH + 1)."""
    if precision == "binary":
        # The order of inner products of signs is that of Hamming distances, and far faster here.
        vectors, queries = (
            np.where(side > 0, 1, -1).astype(np.float32) for side in (vectors, queries)
        )
        precision = "float32"
    index = get_backend("faiss-flat")(precision, threads=2)
    index.build(vectors)
    return index.search(queries, DEPTH + 1)


def _without(row: np.ndarray, own: int) -> np.ndarray:
    kept = row[row != own]
    return kept if len(kept) == DEPTH else kept[:DEPTH]


def _choice(configurations: list, means: np.ndarray, share: float) -> Choice:
    """Return the smallest configuration whose mean quality is enough; of equals, the best."""
    least = share * means[_full_place(configurations)]
    enough = [i for i, mean in enumerate(means) if mean >= least]
    size = {i: configurations[i][1] * BITS[configurations[i][2]] / 8 for i in enough}
    best = min(enough, key=lambda i: (size[i], -means[i]))
    reducer, dim, precision = configurations[best]
    return Choice(best, f"{reducer} {dim} d {precision}", size[best])


def _kept(real: np.ndarray, place: int, full: int, queries: Any = slice(None)) -> float:
    """Return the share of the real quality that a configuration keeps, of all in float32."""
    return float(real[place, queries].mean() / real[full, queries].mean())


def _full_place(configurations: list) -> int:
    """Return the place of truncation to all dimensions in float32."""
    full = max(dim for _, dim, _ in configurations)
    return configurations.index(("truncation", full, "float32"))


def _halves(configurations: list, real: np.ndarray, share: float, best: Choice) -> list[dict]:
    rng, rows, full = np.random.default_rng(0), [], _full_place(configurations)
    for _ in range(HALVES):
        order = rng.permutation(real.shape[1])
        one, other = order[: len(order) // 2], order[len(order) // 2 :]
        choice = _choice(configurations, real[:, one].mean(axis=1), share)
        rows.append(
            {
                "stand-in": "half of the queries",
                "same": choice.place == best.place,
                "short": share - _kept(real, choice.place, full, other),
                "bytes": choice.size / best.size,
            }
        )
    return rows


def _summary(rows: list[dict]) -> None:
    print(
        "\n| chosen with | the same | keeps less than asked | short of it, mean | worst |", end=""
    )
    print(" bytes, least | median | most |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for key in dict.fromkeys(row["stand-in"] for row in rows):
        own = [row for row in rows if row["stand-in"] == key]
        short = np.array([row["short"] for row in own])
        sizes = np.array([row["bytes"] for row in own])
        shown = [f"{np.mean([row['same'] for row in own]):.0%}", f"{(short > 1e-9).mean():.0%}"]
        shown += [f"{100 * np.maximum(short, 0).mean():.1f} points", f"{100 * short.max():.1f}"]
        shown += [f"{size:.2g}×" for size in (sizes.min(), np.median(sizes), sizes.max())]
        print(f"| {key} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
