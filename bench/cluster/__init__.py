"""A run on a Ray cluster: the same trials and the same quality, by the machines of many nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.cluster.executor import RayExecutor

__all__ = ["RayExecutor", "connected"]


@contextmanager
def connected(address: str | None = None) -> Iterator[RayExecutor]:
    """Yield an executor on the Ray cluster at `address`, and leave the cluster at the end.

    Without an address that is the cluster in ``RAY_ADDRESS``, or one of this machine alone. Raises
    NotInstalled without the extra ``ray``, UsageError if no cluster answers or none of its nodes
    may time.
    """
    executor = RayExecutor(address)
    try:
        yield executor
    finally:
        executor.close()
