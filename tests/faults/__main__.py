"""``python -m tests.faults``: hit runs with every kind of fault, and print the counts."""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable

from tests.faults import cluster, disks, kills, power, week
from tests.faults.ground import Budget, Counts, Lost

FAULTS: dict[str, Callable[[Budget, random.Random], Counts]] = {
    "runner": kills.runner,
    "runner-with-server": kills.runner_with_server,
    "worker": kills.worker,
    "postgres": kills.postgres,
    "clients": kills.clients,
    "ray-worker": cluster.ray_worker,
    "ray-node": cluster.ray_node,
    "ray-head": cluster.ray_head,
    "power-results": power.results,
    "power-cache": power.cache,
    "writes": disks.writes,
    "small-disk": disks.small_disk,
    "read-only": disks.read_only,
    "week": week.week,
}


def main() -> int:
    """Run the named faults; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(FAULTS))
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, over all names")
    parser.add_argument("--operations", type=float, default=math.inf, help="most faults of a name")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - FAULTS.keys():
        parser.error(f"no fault is called {', '.join(sorted(unknown))}")
    names = chosen.names or list(FAULTS)
    share = 60 * chosen.minutes / len(names)
    print(f"{'fault':<20}{'faults':>8}{'trials checked':>16}{'lost':>6}{'seconds':>9}")
    lost = 0
    for name in names:
        begun = time.monotonic()
        budget = Budget(begun + share, chosen.operations)
        try:
            counts = FAULTS[name](budget, random.Random(f"{chosen.seed} {name}"))
        except Lost as error:
            counts = Counts(lost=[str(error)])
        lost += len(counts.lost)
        line = f"{name:<20}{counts.faults:>8}{counts.trials:>16}{len(counts.lost):>6}"
        print(f"{line}{time.monotonic() - begun:>9.0f}", flush=True)
        for error in counts.lost:
            print(error, flush=True)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
