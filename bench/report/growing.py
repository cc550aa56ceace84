"""The page's part on growth: how each index grows, and what the configuration chosen costs then."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.money import load_prices
from bench.analysis.recommendation import Recommendation
from bench.analysis.serving import QUERIES_PER_SECOND, sizing
from bench.analysis.sizing import bytes_text, digits, growths, seconds_text, sizing_table
from bench.analysis.tables import evenly
from bench.analysis.text_table import Table, number
from bench.results.rows import timed
from bench.study.plan import parameters

SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
MOST_ROWS = 60
"""Most indexes that are listed: a sweep of build parameters has hundreds that grow alike."""
_HOW = (
    "Bytes per vector are those of the index: so many times the bytes of the stored components, "
    "and a constant; after ± what the fit leaves (root mean square). Times grow by a power of the "
    "number of documents n; exhaustive search by n itself, and once by how much slower memory is "
    "than a cache that it outgrows. After the power stands by how much the largest corpus is off "
    "what the smaller ones foretell."
)
_ASSUMED = "“Assumed” is a power that was not measured: a study with corpus_sizes measures it."
_COST = (
    "At {qps:g} queries per second. Prices are {name}, {date}: {currency}{memory:.2f} per GiB of "
    "memory and month, {currency}{disk:.2f} per GiB of disk, {currency}{hour:.2f} per processor "
    "and hour, of which {used:.0%} is used. Sizes and times follow the table above. Whether it "
    "still keeps enough there is another question: recommend RESULTS --documents N decides for a "
    "size."
)


@dataclass(frozen=True)
class Growing:
    """How the indexes of a results folder grow, and what the configurations chosen cost then."""

    growth: Table
    how: str
    costs: list[Table]
    how_cost: str


def growing(frame: pd.DataFrame, decisions: list[Recommendation]) -> Growing | None:
    """Return the part of the page; None if nothing is timed.

    `frame` holds all trials, those of smaller parts of a corpus too.
    """
    table = sizing_table(frame)
    if table.empty:
        return None
    return Growing(_growth(table), _how(table), _costs(frame, decisions), _how_cost())


def _growth(table: pd.DataFrame) -> Table:
    shown = evenly(table, MOST_ROWS)
    some = f" ({len(shown)} of {len(table)} shown)" if len(shown) < len(table) else ""
    rows: list[tuple[str, ...]] = [
        (
            _index(row),
            f"{row['bytes_per_code_byte']:.3g} × stored {_constant(row)}",
            _power(row, "latency"),
            _power(row, "build"),
        )
        for _, row in shown.iterrows()
    ]
    headings = ("index", "bytes per vector", "latency grows as", "build grows as")
    return Table(f"How each index grows{some}", headings, rows)


def _index(row: pd.Series) -> str:
    given = [f"{name}={value}" for name, value in parameters(row["build_params"]).items()]
    return ", ".join([f"{row['backend']} {row['precision'].replace('_', ' ')}", *given])


def _constant(row: pd.Series) -> str:
    constant = row["bytes_beyond"]
    return f"{'−' if constant < 0 else '+'} {abs(constant):.1f} ± {row['bytes_error']:.1f}"


def _power(row: pd.Series, name: str) -> str:
    text = f"n^{row[f'{name}_power']:.2f}"
    if row[f"{name}_sizes"] == "assumed":
        return f"{text}, assumed"
    return f"{text}, {row[f'{name}_error']:.0%} off"


def _how(table: pd.DataFrame) -> str:
    sizes = pd.concat([table["latency_sizes"], table["build_sizes"]])
    fitted = [text for text in sizes.unique() if text != "assumed"]
    measured = [f"Fitted from {'; '.join(fitted)} documents."] if fitted else []
    assumed = [_ASSUMED] if (sizes == "assumed").any() else []
    return " ".join([_HOW, *measured, *assumed])


def _costs(frame: pd.DataFrame, decisions: list[Recommendation]) -> list[Table]:
    grown, prices = growths(frame), load_prices()
    rows = timed(frame).drop_duplicates("trial_id", keep="last").set_index("trial_id", drop=False)
    money = f"{prices.currency} per month", f"{prices.currency} per million queries"
    found = []
    for decision in decisions:
        if decision.trial_id not in rows.index:
            continue
        row = rows.loc[decision.trial_id]
        lines: list[tuple[str, ...]] = []
        for size in SIZES:
            own = sizing(row, size, grown, prices)
            lines.append(
                (
                    f"{size:,}",
                    "–" if pd.isna(own.memory_bytes) else bytes_text(own.memory_bytes),
                    bytes_text(own.disk_bytes) if own.disk_bytes else "–",
                    seconds_text(own.build_seconds),
                    digits(own.latency_ms_p50),
                    number(own.per_month, ",.2f"),
                    digits(own.per_million_queries),
                )
            )
        of = f" on {row['dataset']}" if len(decisions) > 1 else ""
        of += f" with {row['encoder']}" if len(decisions) > 1 and row["encoder"] else ""
        headings = ("documents", "memory", "disk", "build", "p50 ms", *money)
        title = f"What {decision.configuration}{of} costs at other sizes"
        found.append(Table(title, headings, lines))
    return found


def _how_cost() -> str:
    prices = load_prices()
    return _COST.format(
        qps=QUERIES_PER_SECOND,
        name=prices.name,
        date=prices.date,
        currency=prices.currency,
        memory=prices.memory_gib_month,
        disk=prices.disk_gib_month,
        hour=prices.vcpu_hour,
        used=prices.utilisation,
    )
