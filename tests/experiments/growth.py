"""How far off latency and build time are that the smaller parts of a corpus foretell.

``python -m tests.experiments.growth RESULTS … [--most N]`` takes folders of studies with
``corpus_sizes``. The largest size of each is left out, foretold from the others, or from those of
at most N documents, and compared with what was measured.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from bench.analysis.sizing import BUILD, LATENCY, at_size, growths
from bench.results.rows import base_dataset, single_stage, timed
from bench.results.schema import CONFIGURATION
from bench.results.store import load

KEYS = [c for c in CONFIGURATION if c != "dataset"]


def foretold(frame: pd.DataFrame, most: float) -> pd.DataFrame:
    """Return a row per configuration of one dataset: its figures foretold over measured.

    They are foretold from parts of at most `most` documents.
    """
    rows = single_stage(timed(frame))
    rows = rows.assign(key=rows[KEYS].astype(str).agg("|".join, axis=1))
    largest = rows["n_corpus"].max()
    most = min(most, largest - 1)
    earlier, last = rows[rows["n_corpus"] <= most], rows[rows["n_corpus"] == largest]
    grown = growths(frame[frame["n_corpus"] <= most])
    newest = earlier.sort_values("n_corpus").drop_duplicates("key", keep="last")
    newest = newest[newest["key"].isin(last["key"])]
    found = at_size(newest, largest, grown).set_index("key")
    last = last.set_index("key").loc[found.index]
    return pd.DataFrame(
        {
            "backend": last["backend"],
            "times": largest / newest.set_index("key")["n_corpus"],
            "latency": found[LATENCY] / last[LATENCY],
            "build": found[BUILD] / last[BUILD],
            "latency_power": [grown[LATENCY][b].power for b in last["backend"]],
            "build_power": [grown[BUILD][b].power for b in last["backend"]],
        }
    )


def main() -> None:
    """Print a row per results folder, figure and backend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+")
    parser.add_argument("--most", type=float, default=np.inf, help="documents to foretell from")
    options = parser.parse_args()
    print("| dataset | backend | figure | power | times beyond | foretold / measured | 10–90 % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for results in options.results:
        frame = load(results)
        for dataset, part in frame.groupby(base_dataset(frame), sort=False):
            for backend, rows in foretold(part, options.most).groupby("backend"):
                for figure in ("latency", "build"):
                    low, middle, high = np.quantile(rows[figure], [0.1, 0.5, 0.9])
                    print(
                        f"| {dataset} | {backend} | {figure} | {rows[f'{figure}_power'].iloc[0]:.2f} "
                        f"| {rows['times'].median():.3g} | {middle:.2f} | {low:.2f}–{high:.2f} |"
                    )


if __name__ == "__main__":
    main()
