"""What an index takes at another number of documents: bytes, build time and latency, fitted.

Times grow by a power of the number of documents. The power of each backend is fitted to rows that
differ in nothing but the size of the corpus (`corpus_sizes` in a study). Where no such rows are, it
is assumed: exhaustive search reads everything, and a graph or cells a little more with every
document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.backends import backends
from bench.embeddings.smaller import whole_dataset
from bench.results.rows import timed
from bench.results.schema import CONFIGURATION

LATENCY, BUILD = "latency_ms_p50", "build_seconds"
_ASSUMED = {LATENCY: (1.0, 0.3), BUILD: (1.0, 1.08)}
"""Power of n if the search is exhaustive, and if it is not."""
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

    def at(self, value: float, n: float, documents: float) -> float:
        """Return the figure at `documents` from its `value` at `n`."""
        return float(value * (documents / n) ** self.power)


def growth(frame: pd.DataFrame | None, column: str = LATENCY) -> dict[str, Growth]:
    """Return how `column`, `LATENCY` or `BUILD`, grows by backend; assumed without a `frame`."""
    if frame is None:
        return {
            name: Growth(_ASSUMED[column][0 if backend.exact else 1], float("nan"), ())
            for name, backend in backends().items()
        }
    rows = timed(frame)
    rows = rows.assign(base=rows["dataset"].map(whole_dataset)).dropna(subset=[column])
    rows = rows[rows[column] > 0]
    found = growth(None, column)
    for name, backend in backends().items():
        found[name] = _fitted(rows[rows["backend"] == name], column) or found[name]
        if backend.exact:
            # A small corpus hides what a query costs besides; a larger one is read through.
            found[name] = replace(found[name], power=max(1.0, found[name].power))
    return found


def _fitted(rows: pd.DataFrame, column: str) -> Growth | None:
    """Fit one power to all configurations measured at two sizes or more; None without any."""
    setting = ["base", *_SETTING]
    alike = rows.groupby(setting, dropna=False)["n_corpus"].transform("nunique") > 1
    rows = rows[alike]
    if rows.empty:
        return None
    sizes = tuple(sorted(rows["n_corpus"].unique().tolist()))
    power, left = _power(rows, column)
    error = float(np.sqrt(np.mean(left**2)))
    if len(sizes) > 2:
        earlier = rows[rows["n_corpus"] < sizes[-1]]
        last = rows[rows["n_corpus"] == sizes[-1]]
        error = _missed(earlier, last, column)
    return Growth(power, error, sizes)


def _power(rows: pd.DataFrame, column: str) -> tuple[float, np.ndarray]:
    """Return the common power, and what it leaves of each row's logarithm."""
    keys = rows[["base", *_SETTING]].astype(str).agg("|".join, axis=1)
    x, y = np.log(rows["n_corpus"].to_numpy(float)), np.log(rows[column].to_numpy(float))
    # A constant of its own for each configuration.
    x = x - pd.Series(x).groupby(keys.to_numpy()).transform("mean").to_numpy()
    y = y - pd.Series(y).groupby(keys.to_numpy()).transform("mean").to_numpy()
    power = float((x * y).sum() / (x**2).sum()) if (x**2).sum() > 0 else 0.0
    return power, y - power * x


def _missed(earlier: pd.DataFrame, last: pd.DataFrame, column: str) -> float:
    """Return how far the largest size lies from what the smaller ones foretell, in logarithms."""
    power, _ = _power(earlier, column)
    setting = ["base", *_SETTING]
    joined = last.fillna("").merge(earlier.fillna(""), on=setting, suffixes=("", "_before"))
    if joined.empty:
        return float("nan")
    newest = joined.sort_values("n_corpus_before").groupby(setting, dropna=False).tail(1)
    foretold = (
        newest[f"{column}_before"].astype(float)
        * (newest["n_corpus"] / newest["n_corpus_before"]).astype(float) ** power
    )
    return float(np.sqrt(np.mean(np.log(newest[column].astype(float) / foretold) ** 2)))


def at_size(
    rows: pd.DataFrame, documents: float, grown: Mapping[str, Mapping[str, Growth]]
) -> pd.DataFrame:
    """Return timed rows with their times and sizes at another number of documents.

    `grown` maps `LATENCY` and `BUILD` to what `growth` found. Bytes per vector stay; the memory of
    all vectors grows in proportion. Speed-ups are dropped: they are of the measured size.
    """
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
    times = [c for c in rows if c.startswith(("latency_ms_p", "end_to_end"))]
    found = rows.copy()
    found[times] = found[times].mul(factor[LATENCY], axis=0)
    found[BUILD] = found[BUILD] * factor[BUILD]
    for column in ("index_bytes", "memory_bytes", "disk_bytes", "peak_memory_bytes"):
        found[column] = found[column] * (documents / n)
    faster = [c for c in rows if c.startswith("speedup_vs_exact")]
    found[faster] = np.nan
    found["n_corpus"] = documents
    return found


def sizing_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how bytes, build time and latency of each index grow, with what the fits leave.

    Columns: backend, precision, build_params, bytes_per_code_byte, bytes_beyond, bytes_error (in
    bytes per vector, root mean square), and for latency and build the power of n, its error (a
    share) and the sizes that it rests on. Bytes per vector are those of the index alone.
    """
    rows = timed(frame)
    rows = rows[rows["bytes_per_vector"].notna() & rows["component_bits"].notna()]
    rows = rows[rows["stages"].fillna("") == ""]
    grown = {column: growth(frame, column) for column in (LATENCY, BUILD)}
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
