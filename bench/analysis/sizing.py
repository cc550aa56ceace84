"""What an index takes at another number of documents: bytes, build time and latency, fitted.

Times grow by a power of the number of documents. The power of each backend is fitted to rows that
differ in nothing but the size of the corpus (`corpus_sizes` in a study). Where no such rows are, it
is assumed: a graph or cells read a little more with every document. Exhaustive search reads
everything, from memory where the vectors no longer fit into a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from bench.backends import backends, exhaustive_backends
from bench.backends.precisions import FLOAT32
from bench.results.rows import base_dataset, single_stage, timed
from bench.results.schema import CONFIGURATION

LATENCY, BUILD = "latency_ms_p50", "build_seconds"
_ASSUMED = {LATENCY: (1.0, 0.3), BUILD: (1.0, 1.08)}
"""Power of n if the search is exhaustive, and if it is not."""
MOST_FITTED = 2
"""With more sizes, the largest shows how far the fit to the others is off."""
_RANGE = {
    LATENCY: ((1.0, 1.0), (0.0, np.inf)),
    BUILD: ((1.0, np.inf), (0.0, np.inf)),
}
"""Least and greatest power if the search is exhaustive, and if it is not. Exhaustive search reads
everything: that it seems to grow less is what a query costs besides, and more is the end of a
cache, which comes once (`outgrown`). Nothing gets faster with more documents."""
CACHE_BYTES = 32 * 2**20
"""Last-level cache that a thread is taken to have, as on current servers."""
_AS_LATENCY = ("latency_ms_p", "latency_cold_ms_", "server_ms_")
_AS_RATE = ("qps", "batch_qps")
_IN_ALL = ("index_bytes", "memory_bytes", "disk_bytes", "peak_memory_bytes")
_OF_MEASURED_SIZE = ("speedup_vs_exact", "bandwidth_fraction", "bytes_read")
_SETTING = [c for c in CONFIGURATION if c != "dataset"]


@dataclass(frozen=True)
class Growth:
    """How one figure of one backend grows with the number of documents."""

    power: float
    """The figure grows by ``n ** power``."""
    error: float
    """Standard deviation of log(measured / fitted) of the largest size, fitted to the others; of
    the fit itself with two sizes; NaN if the power is assumed."""
    sizes: tuple[int, ...]
    """Numbers of documents that were measured; empty if the power is assumed."""

    @property
    def is_measured(self) -> bool:
        """Whether the power was fitted."""
        return bool(self.sizes)

    @property
    def basis(self) -> str:
        """What the power rests on, in words."""
        if not self.sizes:
            return "assumed"
        missed = f"which leaves {self.missed}"
        if len(self.sizes) > MOST_FITTED:
            missed = f"where the largest is {self.missed} off what the others foretell"
        return f"fitted {self.span}, {missed}"

    @property
    def span(self) -> str:
        """The sizes that were measured, in words."""
        return f"from {self.sizes[0]:,} to {self.sizes[-1]:,} documents"

    @property
    def missed(self) -> str:
        """The error as a share, in words."""
        return f"{np.expm1(self.error):.0%}"

    def at(self, value: float, n: float, documents: float) -> float:
        """Return the figure at `documents` from its `value` at `n`."""
        return float(value * (documents / n) ** self.power)


Bounds: TypeAlias = tuple[float, float]
Growths: TypeAlias = Mapping[str, Mapping[str, Growth]]
"""What `growth` found for `LATENCY` and for `BUILD`."""


def growths(frame: pd.DataFrame) -> Growths:
    """Return how latency and build time grow, by column and backend."""
    return {column: growth(frame, column) for column in (LATENCY, BUILD)}


def growth(frame: pd.DataFrame | None, column: str = LATENCY) -> dict[str, Growth]:
    """Return how `column`, `LATENCY` or `BUILD`, grows by backend; assumed without a `frame`."""
    exact = {name: backend.exact for name, backend in backends().items()}
    if frame is not None:
        # A table may hold a backend that is not installed here.
        exact = {str(name): False for name in timed(frame)["backend"].unique()} | exact
    found = {
        name: Growth(_ASSUMED[column][0 if scans else 1], float("nan"), ())
        for name, scans in exact.items()
    }
    if frame is None:
        return found
    rows = timed(frame)
    rows = rows.assign(base=base_dataset(rows))
    rows = rows[rows[column] > 0]
    for name, part in rows.groupby("backend"):
        bounds = _RANGE[column][0 if exact[str(name)] else 1]
        alone = _fitted(single_stage(part), column, bounds)
        found[str(name)] = alone or _fitted(part, column, bounds) or found[str(name)]
    return found


def _fitted(rows: pd.DataFrame, column: str, bounds: Bounds) -> Growth | None:
    """Fit one power to all configurations measured at two sizes or more; None without any."""
    if rows["n_corpus"].nunique() < MOST_FITTED:
        return None
    rows = rows[rows.groupby(_keys(rows))["n_corpus"].transform("nunique") > 1]
    if rows.empty:
        return None
    sizes = tuple(sorted(rows["n_corpus"].unique().tolist()))
    power, left = _power(rows, column, bounds)
    error = float(np.sqrt(np.mean(left**2)))
    if len(sizes) > MOST_FITTED:
        earlier = rows[rows["n_corpus"] < sizes[-1]]
        last = rows[rows["n_corpus"] == sizes[-1]]
        error = _missed(earlier, last, column, bounds)
    return Growth(power, error, sizes)


def _power(rows: pd.DataFrame, column: str, bounds: Bounds) -> tuple[float, np.ndarray]:
    """Return the common power, within `bounds`, and what it leaves of each row's logarithm."""
    keys = _keys(rows)
    x, y = np.log(rows["n_corpus"].to_numpy(float)), np.log(rows[column].to_numpy(float))
    # A constant of its own for each configuration.
    x = x - pd.Series(x).groupby(keys.to_numpy()).transform("mean").to_numpy()
    y = y - pd.Series(y).groupby(keys.to_numpy()).transform("mean").to_numpy()
    free = float((x * y).sum() / (x**2).sum()) if (x**2).sum() > 0 else 0.0
    power = float(np.clip(free, *bounds))
    return power, y - power * x


def _missed(earlier: pd.DataFrame, last: pd.DataFrame, column: str, bounds: Bounds) -> float:
    """Return how far the largest size lies from what the smaller ones foretell, in logarithms."""
    power, _ = _power(earlier, column, bounds)
    newest = earlier.assign(key=_keys(earlier)).sort_values("n_corpus").groupby("key").last()
    if column == LATENCY:
        newest[column] *= outgrown(newest, last["n_corpus"].iloc[0])
    before = newest[["n_corpus", column]].add_suffix("_before")
    joined = last.assign(key=_keys(last)).join(before, "key")
    joined = joined[joined["n_corpus_before"].notna()]
    if joined.empty:
        return float("nan")
    grown = (joined["n_corpus"] / joined["n_corpus_before"]).astype(float) ** power
    foretold = joined[f"{column}_before"].astype(float) * grown
    return float(np.sqrt(np.mean(np.log(joined[column].astype(float) / foretold) ** 2)))


def _keys(rows: pd.DataFrame) -> pd.Series:
    """Return what differs in nothing but the size of the corpus, text."""
    return rows[["base", *_SETTING]].astype(str).agg("|".join, axis=1)


def at_size(rows: pd.DataFrame, documents: float, grown: Growths) -> pd.DataFrame:
    """Return timed rows with their times, rates and sizes at another number of documents.

    Bytes per vector stay; the memory of all vectors grows in proportion. Encoding and rescoring
    take as long as they did. Speed-ups are dropped: they are of the measured size.
    """
    rescored = rescoring(rows)
    n = rows["n_corpus"].to_numpy(float)
    factor = {
        column: np.array(
            [
                grown[column][backend].at(1.0, size, documents)
                for backend, size in zip(rows["backend"], n, strict=True)
            ]
        )
        for column in (LATENCY, BUILD)
    }
    factor[LATENCY] *= outgrown(rows, documents)
    found = rows.copy()
    for column in rows:
        if column.startswith(_AS_LATENCY):
            found[column] = slowed(rows[column], rescored, factor[LATENCY])
        elif column.startswith(_AS_RATE):
            found[column] = 1e3 / slowed(1e3 / rows[column], rescored, factor[LATENCY])
        elif column in _IN_ALL:
            found[column] = rows[column] * (documents / n)
        elif column.startswith(_OF_MEASURED_SIZE):
            found[column] = np.nan
    found["end_to_end_ms_p50"] += found[LATENCY] - rows[LATENCY]
    found[BUILD] = rows[BUILD] * factor[BUILD]
    found["n_corpus"] = documents
    return found


def outgrown(rows: pd.DataFrame, documents: float) -> np.ndarray:
    """Return how many times as long a scan takes per vector at another number of documents (n,).

    Above 1 if it reads faster than memory delivers: it is in a cache, and what no longer fits there
    is read from memory.
    """
    faster = rows["bandwidth_fraction"].astype(float).fillna(1.0).clip(lower=1.0)
    bits = rows["component_bits"].astype(float).fillna(FLOAT32.bits)
    outside = (1 - CACHE_BYTES / (documents * rows["dim"] * bits / 8)).clip(lower=0.0)
    scans = rows["backend"].isin(exhaustive_backends())
    return np.where(scans, 1 + (faster - 1) * outside, 1.0)


def rescoring(rows: pd.DataFrame) -> pd.Series:
    """Return the time of each row's later stages, ms: it depends on the shortlist alone."""
    return rows["rescore_ms_p50"].fillna(0.0).astype(float)


def slowed(ms: pd.Series, rescored: pd.Series, factor: np.ndarray) -> pd.Series:
    """Return latencies of which all but the rescoring takes `factor` times as long, ms (n,)."""
    return (ms - rescored).clip(lower=0) * factor + np.minimum(rescored, ms)


def bytes_text(count: float) -> str:
    """Return a number of bytes in words, as ``1.22 GiB``."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    for unit in units:
        if abs(count) < 1024 or unit == units[-1]:
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if count >= 1000 else f"{count:,.3g} {unit}"


def seconds_text(seconds: float) -> str:
    """Return a duration in words, as ``34 minutes``."""
    for most, unit in ((90.0, "s"), (60.0, "minutes"), (48.0, "hours")):
        if seconds < most:
            return f"{seconds:.2g} {unit}"
        seconds /= 60 if unit != "hours" else 24
    return f"{seconds:,.0f} days"


def digits(value: float) -> str:
    """Return a number in words, to three digits: ``0.155``, ``2,120``."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def sizing_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how bytes, build time and latency of each index grow, with what the fits leave.

    Columns: backend, precision, build_params, bytes_per_code_byte, bytes_beyond, bytes_error (in
    bytes per vector, root mean square), and for latency and build the power of n, its error (a
    share) and the sizes that it rests on. Bytes per vector are those of the index alone.
    """
    rows = timed(frame)
    rows = rows[rows["bytes_per_vector"].notna() & rows["component_bits"].notna()]
    rows = rows[rows["stages"].fillna("") == ""]
    grown = growths(frame)
    found = []
    keys = ["backend", "precision", "build_params"]
    for (backend, precision, build), part in rows.groupby(keys, dropna=False, sort=False):
        code = (part["dim"] * part["component_bits"] / 8).to_numpy(float)
        size = part["bytes_per_vector"].to_numpy(float)
        slope, beyond = 1.0, float(np.mean(size - code))
        if len(np.unique(code)) > 1:
            slope, beyond = (float(v) for v in np.polyfit(code, size, 1))
        left = size - slope * code - beyond
        row: dict[str, object] = {
            "backend": backend,
            "precision": precision,
            "build_params": build,
            "bytes_per_code_byte": slope,
            "bytes_beyond": beyond,
            "bytes_error": float(np.sqrt(np.mean(left**2))),
        }
        for column, name in ((LATENCY, "latency"), (BUILD, "build")):
            own = grown[column][str(backend)]
            row |= {
                f"{name}_power": own.power,
                f"{name}_error": float(np.expm1(own.error)),
                f"{name}_sizes": ", ".join(f"{size:,}" for size in own.sizes) or "assumed",
            }
        found.append(row)
    return pd.DataFrame(found)
