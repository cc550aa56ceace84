"""What the papers claim of codes of few bits, tested on relevance at equal bits and equal bytes.

``python -m tests.experiments.storage RESULTS … [--timed RESULTS] [--out results/storage.md]``

RESULTS are folders of the shipped study `storage`, of one or more datasets and encoders. First
comes the best nDCG@10 in each number of bytes per vector, by dataset and model. Then the choice
between bits and dimensions: the quality of one family of codes by bits per component, at the most
dimensions that fit the bytes; the best bits are those within 1 % of the full quality of the best.
Then each claim, of two ways to store a vector:

- at equal bits: the same dimensions (those of `DIMENSIONS` that both have), the same reducer;
- at equal bytes: the best of each family in 16 to 256 bytes, over its bits and dimensions. What is
  the best is chosen on four fifths of the queries and scored on the last. A model and reducer count
  if they have every code of both families.

A difference is one of nDCG@10, as a share of that of exact search at the full dimension. It is the
mean over these cases and the encoders by query, then over the queries of a dataset, then over
datasets. Its 95 % interval resamples the queries of each dataset, or their groups. The words are
Holm-corrected over all claims.

The model `wordllama-trained` is wordllama after `train DATASET wordllama --form model` on the
dataset's own training split (CoSQA's is `dev`), 600 steps of pydoc's and 200 of the others. A claim
leaves out a dataset whose study lacks a code. Bytes are those that faiss stores: RaBitQ has 8 bytes
of factors per vector at one bit and 20 beyond, EDEN 8, OSQ 13, PQ and TurboQuant none. Rotations
and codebooks, which all vectors share, are left out. `--timed` names results of a quiet machine,
for what the codes cost in time.
"""

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from bench.analysis.by_bytes import best_by_bytes, by_bytes, cross_validated, parts_of
from bench.analysis.certainty import Certainty, holm
from bench.analysis.text_table import Table
from bench.codes.table import BY_NAME
from bench.figures.encoders import TITLE, draw
from bench.quality.intervals import LEVEL, RESAMPLES
from bench.reducers import PLAIN
from bench.report.paper_tables import markdown
from bench.results.rows import exhaustive_rows, groups, timed
from bench.results.store import load_of_last_machine, load_quality

DIMENSIONS = (32, 64, 128, 256, 384)
BYTES = (16, 32, 64, 128, 256)
CROSSED = {"turboquant": ("1", "2", "3", "4", "8"), "pq": ("half", "1", "2", "4")}
"""Families whose bits are compared with dimensions: those that store nothing per vector besides."""
HEAD = [*["# How to store a vector", ""], *(__doc__ or "").splitlines()[2:], ""]
READING = "The bands are of each best alone, which its choice among many flatters."
SPEED_UP = "speed-up against exact search of the full float32 vectors"
TIMES = ("encode_ms_p50", "encode_documents_per_second")
SAME = 0.01
"""Share of the full quality within which a code counts as without loss."""


@dataclass(frozen=True)
class Claim:
    """Two precisions and what is said of them."""

    text: str
    source: str
    pairs: tuple[tuple[str, str], ...]
    """Precisions, the one that is said to win and the other; or families of them."""
    is_lossless: bool = False
    """Whether it is said to equal the other, rather than to win."""
    at_equal_bytes: bool = False
    """Whether `pairs` are families, each at its best in a number of bytes."""


def bits(one: str, other: str, counts: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of two families at each number of bits."""
    return tuple((one.format(n), other.format(n)) for n in counts)


CLAIMS = (
    Claim(
        "RaBitQ finds more than TurboQuant at equal bits", "faiss#4990: 4–53 % more recall",
        bits("rabitq_{}bit", "turboquant_{}bit", (1, 2, 4, 8)),
    ),
    Claim(
        "EDEN finds more than TurboQuant at equal bits", "Vargaftik et al. 2022",
        bits("eden_{}bit", "turboquant_{}bit", (1, 2, 4, 8)),
    ),
    Claim(
        "RaBitQ finds more than EDEN at equal bits", "",
        bits("rabitq_{}bit", "eden_{}bit", (1, 2, 4, 8)),
    ),
    Claim(
        "TurboQuant is better without its correction (QJL)", "pgvector#989",
        bits("turboquant_{}bit", "turboquant_qjl_{}bit", (2, 3, 4)),
    ),
    Claim(
        "OSQ finds more than RaBitQ at equal bits", "Veasey 2024",
        bits("osq_{}bit", "rabitq_{}bit", (1, 2, 4)),
    ),
    Claim(
        "A 4-bit query is as good as a float one, for one bit", "Elasticsearch's BBQ",
        (("rabitq_query4", "rabitq_1bit"), ("binary_query4", "binary_asymmetric")), True,
    ),
    Claim(
        "A float query finds more than its signs, for one bit", "Elasticsearch's BBQ",
        (("binary_asymmetric", "binary"),),
    ),
    Claim(
        "Signs about the mean find more than signs about zero", "remex",
        (("binary_centred", "binary"),),
    ),
    Claim(
        "Signs about the median find more than signs about zero", "Caspari et al. 2025",
        (("binary_median", "binary"),),
    ),
    Claim(
        "A random rotation before the signs helps", "Charikar 2002",
        (("binary_rotated", "binary"),),
    ),
    Claim(
        "ITQ finds more than a random rotation, for signs", "Gong & Lazebnik 2011",
        (("binary_itq", "binary_rotated"),),
    ),
    Claim(
        "RaBitQ finds more than signs with a float query, for one bit", "Gao & Long 2024",
        (("rabitq_1bit", "binary_asymmetric"),),
    ),
    Claim(
        "OPQ finds more than PQ", "Ge et al. 2013",
        (("opq_1bit", "pq_1bit"), ("opq_2bit", "pq_2bit"), ("opq_4bit", "pq_4bit")),
    ),
    Claim(
        "PQ finds more than RaBitQ at equal bits", "BitBudget: .488 against .487 at 128 bytes",
        (("pq_1bit", "rabitq_1bit"), ("pq_2bit", "rabitq_2bit")),
    ),
    Claim(
        "Percentile levels find more than uniform ones", "Caspari et al. 2025",
        bits("percentile_{}bit", "uniform_{}bit", (2, 3, 4)),
    ),
    Claim(
        "Two uniform bits lose nothing", "Caspari et al. 2025",
        (("uniform_2bit", "float32"),), True,
    ),
    Claim(
        "RaBitQ of 4 bits loses nothing", "Gao et al. 2025",
        (("rabitq_4bit", "float32"),), True,
    ),
    Claim(
        "8-bit floats lose nothing", "arXiv 2505.00105: below 0.3 %",
        (("float8_e4m3", "float32"), ("float8_e5m2", "float32")), True,
    ),
    Claim(
        "8-bit floats find more than int8", "arXiv 2505.00105",
        (("float8_e4m3", "int8"),),
    ),
    Claim("int8 loses nothing", "Caspari et al. 2025", (("int8", "float32"),), True),
    Claim(
        "1.6 bits of ternary codes find more than one bit", "arXiv 2506.00528",
        (("ternary", "binary_asymmetric"), ("ternary", "rabitq_1bit")),
    ),
    Claim("RaBitQ finds more than TurboQuant", "", (("rabitq", "turboquant"),), False, True),
    Claim("EDEN finds more than TurboQuant", "", (("eden", "turboquant"),), False, True),
    Claim("PQ finds more than RaBitQ", "", (("pq", "rabitq"),), False, True),
    Claim("PQ finds more than TurboQuant", "", (("pq", "turboquant"),), False, True),
    Claim("OPQ finds more than PQ", "", (("opq", "pq"),), False, True),
    Claim("OSQ finds more than RaBitQ", "", (("osq", "rabitq"),), False, True),
    Claim(
        "Percentile levels find more than TurboQuant", "", (("percentile", "turboquant"),),
        False, True,
    ),
    Claim("int8 finds more than float32", "", (("int8", "float32"),), False, True),
    Claim("int4 finds more than int8", "", (("int4", "int8"),), False, True),
    Claim("TurboQuant finds more than int4", "", (("turboquant", "int4"),), False, True),
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """The trials of one dataset and encoder, and the quality of their queries."""

    dataset: str
    encoder: str
    rows: pd.DataFrame
    certainty: Certainty


def main() -> None:
    """Print the tables as Markdown, or write them with a figure of the encoders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", nargs="+")
    parser.add_argument("--timed", help="results folder of the timed configurations")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sets = [each for folder in asked.results for each in read(folder)]
    tables = [*best(sets), *crossing(sets), *claims(sets)]
    if asked.timed:
        tables += times(read(asked.timed))
    text = "\n".join([*HEAD, *(markdown(table) for table in tables)])
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        picture = asked.out.with_suffix(".png")
        # The encoders may have been timed beside other work, so only bytes are compared.
        untimed = dict.fromkeys(TIMES, np.nan)
        frame = pd.concat([each.rows for each in sets]).assign(**untimed)
        draw(frame).savefig(picture, dpi=110, metadata={"Software": None})
        link = (
            f"\n![{TITLE}]({picture.name})\n\nThe best quality at each number of bytes. {READING}\n"
        )
        asked.out.write_text(text + link, encoding="utf-8")
    else:
        print(text)


def read(folder: str) -> list[Data]:
    """Return what a results folder holds, by dataset and encoder."""
    frame, _ = load_of_last_machine(folder)
    queries = load_quality(folder)
    return [Data(*key, part, Certainty(part, queries)) for key, part in groups(frame)]


def best(sets: list[Data]) -> list[Table]:
    """Return the best stored vectors by bytes, a table per dataset."""
    found: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for each in sets:
        chosen = best_by_bytes(each.rows, each.certainty)
        found.setdefault(each.dataset, []).append((each.encoder, chosen))
    title = "Best nDCG@10 in a number of bytes per vector"
    return [by_bytes(f"{title}: {_short(name)}", own) for name, own in found.items()]


def crossing(sets: list[Data]) -> list[Table]:
    """Return the quality of `CROSSED` families by bytes and bits, the mean over sets.

    The sets are those that have the family's every code at the same dimensions.
    """
    tables = []
    for family, counts in CROSSED.items():
        names = [f"{family}_{count}bit" for count in counts]
        parts = []
        for each in sets:
            rows = exhaustive_rows(each.rows)
            rows = rows[(rows["reducer"] == PLAIN) & rows["precision"].isin(names)]
            dims = rows.groupby("precision")["dim"].agg(frozenset)
            if len(dims) == len(names) and dims.nunique() == 1:
                parts.append(rows)
        rows = []
        for budget in BYTES:
            cells, means = [], {}
            for name, count in zip(names, counts, strict=True):
                own = [part[part["precision"] == name] for part in parts]
                own = [part[part["code_bytes"] <= budget] for part in own]
                if not all(len(part) for part in own):
                    cells.append("–")
                    continue
                last = pd.DataFrame([part.loc[part["dim"].idxmax()] for part in own])
                least, most = last["dim"].min(), last["dim"].max()
                words = f"{least}" if least == most else f"{least}–{most}"
                means[_bits(count)] = kept = last["retained_ndcg_at_10"].mean()
                cells.append(f"{100 * kept:.0f} ({words} d)")
            near = [name for name, kept in means.items() if kept > max(means.values()) - SAME]
            rows.append((f"{budget}", *cells, " or ".join(near)))
        headings = ("bytes", *(f"{_bits(count)} bit" for count in counts), "best bits")
        title = f"Bits or dimensions: {family} of truncated vectors, % of the full nDCG@10 kept"
        tables.append(Table(f"{title}, {len(parts)} datasets and models", headings, rows))
    return tables


def times(sets: list[Data]) -> list[Table]:
    """Return what each code costs in time, by backend and dimension, a table per dataset."""
    tables = []
    for each in sets:
        rows = timed(each.rows).sort_values(["backend", "dim", "latency_ms_p50"])
        cells = [
            (
                *(row.backend, f"{row.dim}", row.precision, search_words(row.search_params)),
                *(f"{row.bytes_per_vector:,.0f}", f"{100 * row.retained_ndcg_at_10:.1f}"),
                *(f"{row.latency_ms_p50:.3f}", f"{row.speedup_vs_exact:.2f}"),
            )
            for row in rows.itertuples()
        ]
        headings = ("backend", "d", "stored as", "search", "bytes", "keeps %", "p50 ms", "speed-up")
        title = f"What the codes cost in time: {_short(each.dataset)}, {each.encoder}"
        tables.append(Table(f"{title}, one thread, {SPEED_UP}", headings, cells))
    return tables


def search_words(parameters: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in json.loads(parameters or "{}").items())


def _bits(count: str) -> str:
    return "½" if count == "half" else count


def claims(sets: list[Data]) -> list[Table]:
    """Return the claims, and what each claim comes to on all sets together, and on each dataset."""
    datasets = list(dict.fromkeys(each.dataset for each in sets))
    names = pd.concat([exhaustive_rows(each.rows)["precision"] for each in sets]).drop_duplicates()
    offered = names.groupby(_family(names)).agg(set)
    drawn = {name: _by_query([s for s in sets if s.dataset == name], offered) for name in datasets}
    found = [_pooled([drawn[name](claim) for name in datasets]) for claim in CLAIMS]
    p_values = np.array([2 * norm.sf(abs(mean) / max(error, 1e-12)) for mean, error, *_ in found])
    rejected = holm(p_values, 1 - LEVEL)
    rows = []
    for claim, (mean, _, low, high, each), is_sure in zip(CLAIMS, found, rejected, strict=True):
        if claim.is_lossless:
            word = "holds" if low > -SAME else "fails" if high < -SAME else "not shown"
        else:
            word = ("holds" if mean > 0 else "fails") if is_sure else "not shown"
        names = ", ".join(dict.fromkeys(" − ".join(sides) for sides in _sides(claim.pairs)))
        where = "bytes" if claim.at_equal_bytes else "bits"
        cells = ["–" if value is None else f"{100 * value:+.1f}" for value in each]
        shown = f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        rows.append((f"{len(rows) + 1}", where, names, *cells, shown, word))
    headings = ("claim", "equal", "rows", *map(_short, datasets), "all [95 %]", "")
    said = [(f"{i}", claim.text, claim.source) for i, claim in enumerate(CLAIMS, 1)]
    return [
        Table("Claims", ("", "claim", "source"), said),
        Table("Claims: difference of nDCG@10, % of the full quality", headings, rows),
    ]


def _by_query(sets: list[Data], offered: pd.Series):
    """Return a function of a claim: its difference by query of one dataset, and their groups.

    `offered` has the names of each family's codes. The function returns None if the dataset does
    not have both sides.
    """

    def of(claim: Claim) -> tuple[np.ndarray, list[str] | None] | None:
        found = []
        for each in sets:
            if claim.at_equal_bytes:
                found += _at_equal_bytes(each, claim, offered)
                continue
            rows = exhaustive_rows(each.rows)
            rows = rows[rows["dim"].isin(DIMENSIONS)]
            keys = ["reducer", "reducer_params", "dim"]
            for one, other in claim.pairs:
                left, right = (
                    rows[rows["precision"] == name].set_index(keys)["trial_id"]
                    for name in (one, other)
                )
                both = left.index.intersection(right.index)
                if len(both):
                    values = each.certainty.values(left[both]) - each.certainty.values(right[both])
                    found.append(values.mean(axis=0) / each.certainty.full.mean())
        return (np.mean(found, axis=0), sets[0].certainty.groups) if found else None

    return of


def _at_equal_bytes(each: Data, claim: Claim, offered: pd.Series) -> list[np.ndarray]:
    """Return the difference by query of two families, each at its best, per number of bytes.

    Only a reducer with every code that `offered` has of both families, at each dimension, counts:
    a family with fewer to choose from would look worse than it is.
    """
    rows = exhaustive_rows(each.rows)
    family, variant = _family(rows["precision"]), [rows["reducer"], rows["reducer_params"]]
    parts, found, dims = parts_of(each.certainty), [], rows["dim"].nunique()
    for names in claim.pairs:
        present = [family.eq(name).groupby(variant).transform("sum") for name in names]
        whole = [
            count == dims * len(offered[name]) for name, count in zip(names, present, strict=True)
        ]
        for budget in BYTES:
            fits = (rows["code_bytes"] <= budget) & whole[0] & whole[1]
            sides = [rows.loc[fits & (family == name), "trial_id"] for name in names]
            if all(len(side) for side in sides):
                left, right = (
                    cross_validated(each.certainty.values(side), parts) for side in sides
                )
                found.append((left - right) / each.certainty.full.mean())
    return found


def _family(precisions: pd.Series) -> pd.Series:
    return precisions.map(lambda name: BY_NAME[name].family if name in BY_NAME else name)


def _pooled(
    parts: list[tuple[np.ndarray, list[str] | None] | None],
) -> tuple[float, float, float, float, list[float | None]]:
    """Return the mean over datasets, its error and bounds, and the mean of each dataset.

    A dataset of which nothing is known is None.
    """
    rng, drawn = np.random.default_rng(0), np.zeros(RESAMPLES)
    known = [part for part in parts if part is not None]
    for values, names in known:
        _, unit = np.unique(names if names else np.arange(len(values)), return_inverse=True)
        sums, counts = np.bincount(unit, values), np.bincount(unit)
        chosen = rng.integers(0, len(sums), (RESAMPLES, len(sums)))
        drawn += sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1) / len(known)
    each = [None if part is None else float(part[0].mean()) for part in parts]
    mean = float(np.mean([value for value in each if value is not None]))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return mean, float(drawn.std()), float(low), float(high), each


def _sides(pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Return the pairs with N for the bits, where several differ by them alone."""
    found = []
    for one, other in pairs:
        left, right = (re.sub(r"_(\d+|half)bit$", "_Nbit", name) for name in (one, other))
        alike = sum(a.startswith(left[:-4]) and b.startswith(right[:-4]) for a, b in pairs) > 1
        found.append((left, right) if alike else (one, other))
    return found


def _short(dataset: str) -> str:
    return dataset.rpartition(":")[2].rpartition("/")[2]


if __name__ == "__main__":
    main()
