"""A stall is seen in an open loop and hidden in a closed one.

Promise tested: with `arrivals`, latency runs from the moment a query was due. A stand-in server
answers in 1 ms and stalls for 100 ms every 2 s. One client in a closed loop meets a stall with one
query and asks nothing meanwhile; at a fixed rate, every query due during the stall waits for it.

``python -m tests.experiments.open_loop [--seconds 12]``
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from bench import machine
from bench.backends import SERVER, Backend
from bench.measuring.clients import Arrivals, Ask, Load, under_load

SERVICE, STALL, EVERY = 0.001, 0.1, 2.0
SHARES = (0.3, 0.5, 0.7)


class Stalling(Backend):
    """Answers after `SERVICE`; stalls for `STALL` at the beginning of every `EVERY` seconds."""

    name = "stalling"
    kind = SERVER
    module = "numpy"

    def build(self, vectors):
        self.n = len(vectors)

    def configure(self):
        pass

    def reconnect(self):
        pass

    def search(self, queries, k):
        since = time.monotonic() % EVERY
        if since < STALL:
            time.sleep(STALL - since)
        time.sleep(SERVICE)
        return np.zeros((len(queries), k), np.int64)

    def size_bytes(self):
        return 0


def printed(name: str, load: Load) -> None:
    p50, p95, p99 = np.percentile(load.nanoseconds / 1e6, [50, 95, 99])
    print(
        f"{name:24} {len(load.nanoseconds):7,} {load.qps:7.0f} {p50:8.2f} {p95:8.2f} {p99:8.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0)
    seconds = parser.parse_args().seconds
    server = Stalling()
    server.build(np.zeros((10, 4), np.float32))
    ask = Ask(server, {}, np.zeros((10, 4), np.float32), 3, None, machine.usable_cores())
    print(
        f"service {SERVICE * 1e3:g} ms, a stall of {STALL * 1e3:g} ms every {EVERY:g} s, 1 client"
    )
    print(f"{'loop':24} {'queries':>7} {'QPS':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}")
    closed = under_load(ask, 1, seconds)
    printed("closed", closed)
    for share in SHARES:
        arrivals = Arrivals(share * closed.qps, seed=0)
        printed(f"open, {share:.0%} of its QPS", under_load(ask, 1, seconds, arrivals))


if __name__ == "__main__":
    main()
