"""The dimension that keeps a share, at each size of the corpus."""

from __future__ import annotations

import numpy as np
import pandas as pd

_KEYS = ["dataset", "encoder", "reducer", "reducer_params", "precision", "documents"]


def dimension_needed(projected: pd.DataFrame, share: float = 0.98) -> pd.DataFrame:
    """Return the dimension from which on each reducer keeps `share`, at each size.

    `projected` is what `project` returns. One row per dataset, encoder, reducer, its parameters,
    precision and size: ``dim``, interpolated in the logarithm of the dimension between those
    measured, and its bounds ``dim_low`` and ``dim_high``, where the upper and the lower bound of
    the share reach it. A dimension counts only if every longer one measured keeps the share too.
    The smallest dimension measured stands for any below it. NaN where no dimension measured keeps
    it. Refused sizes are left out. ``times_beyond`` as in `projected`.
    """
    known = projected[(projected["refused"] == "") & projected["kept"].notna()]
    found = []
    for key, part in known.groupby(_KEYS, sort=False, dropna=False):
        part = part.drop_duplicates("dim", keep="last").sort_values("dim")
        dims = part["dim"].to_numpy(float)
        bounds = {
            name: _crossing(dims, part[column].to_numpy(float), share)
            for name, column in (
                ("dim", "kept"),
                ("dim_low", "kept_high"),
                ("dim_high", "kept_low"),
            )
        }
        times = part["times_beyond"].iloc[0]
        found.append({**dict(zip(_KEYS, key, strict=True)), **bounds, "times_beyond": times})
    return pd.DataFrame(found, columns=[*_KEYS, "dim", "dim_low", "dim_high", "times_beyond"])


def _crossing(dims: np.ndarray, kept: np.ndarray, share: float) -> float:
    """Return where (d,) `kept` passes `share` for good, by ascending (d,) `dims`; NaN if never."""
    short = np.flatnonzero(~(kept >= share))
    if not len(short):
        return float(dims[0])
    last = int(short[-1])
    if last + 1 == len(dims):
        return float("nan")
    part = (share - kept[last]) / (kept[last + 1] - kept[last])
    return float(2 ** (np.log2(dims[last]) + part * np.log2(dims[last + 1] / dims[last])))
