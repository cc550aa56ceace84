"""How many queries it would take: whether so many show what was asked, as often as is said.

Promise tested: with the number of queries that a verdict names, what was asked is shown in about
four of five new samples. Populations as in `tests.experiments.coverage`; the number is computed from
a first sample of 1,000 queries each time, so its own error is in the result.

``python -m tests.experiments.power [--samples 100]``
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.quality.intervals import POWER, Bootstrap
from tests.experiments.coverage import made

FIRST = 1_000
MOST = 30_000
"""A number beyond this is not tried."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100)
    given = parser.parse_args()
    rng = np.random.default_rng(2)
    print(f"{given.samples} samples each; nominal {POWER:.0%}")
    print(f"{'':48}{'keeps':>8}{'asked':>8}{'queries named':>15}{'shown':>8}")
    for name, values, reference in made():
        if reference is None:
            continue
        share = values.mean() / reference.mean()
        asked = 1 - 1.6 * (1 - share)
        named, shown = [], []
        for seed in range(given.samples):
            first = rng.integers(0, len(values), FIRST)
            bootstrap = Bootstrap(FIRST, seed, resamples=10)
            needed = bootstrap.queries_needed(values[first], reference[first], asked, 1.96)
            if needed is None or needed > MOST:
                continue
            drawn = rng.integers(0, len(values), needed)
            _, low, _ = Bootstrap(needed, seed, resamples=500).ratio(
                values[drawn], reference[drawn]
            )
            named.append(needed)
            shown.append(low >= asked)
        print(f"{name:48}{share:8.1%}{asked:8.1%}{np.median(named):15,.0f}{np.mean(shown):8.0%}")


if __name__ == "__main__":
    main()
