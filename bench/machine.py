"""The machine: cores, threads, memory, and a description by which runs are comparable."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import psutil


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its `parent` dies, even by SIGKILL.

    So no orphan keeps measuring. Exits at once if another process is the parent by now.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def is_running(pid: int) -> bool:
    """Return whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def unique_bytes(besides: Path | None = None) -> int:
    """Return free memory to the system, then return this process's unique set size (USS), bytes.

    Pages of files under `besides` do not count.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    if besides is None or not _SMAPS.exists():
        return int(psutil.Process().memory_full_info().uss)
    own = str(besides.resolve()) + os.sep
    mappings = (pages for _, path, pages in _mappings() if not path.startswith(own))
    return sum(pages["Private_Clean"] + pages["Private_Dirty"] for pages in mappings)


def huge_bytes(address: int) -> int:
    """Return how much of the mapping at `address` lies in huge pages, bytes; 0 if unknown."""
    for addresses, _, pages in _mappings() if _SMAPS.exists() else ():
        if address in addresses:
            return pages["AnonHugePages"] + pages.get("FilePmdMapped", 0)
    return 0


_SMAPS = Path("/proc/self/smaps")


def _mappings() -> Iterator[tuple[range, str, dict[str, int]]]:
    """Yield the addresses, the file and the memory, bytes by kind, of each mapping."""
    addresses, path, pages = range(0), "", dict[str, int]()
    for line in _SMAPS.read_text(errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if fields[-1] == "kB":
            pages[fields[0].rstrip(":")] = int(fields[1]) * 1024
        elif "-" in fields[0]:
            if pages:
                yield addresses, path, pages
            first, _, last = fields[0].partition("-")
            addresses, pages = range(int(first, 16), int(last, 16)), {}
            path = fields[5] if len(fields) > 5 else ""
    if pages:
        yield addresses, path, pages


def reset_peak() -> None:
    """Reset the peak of the resident set size, if the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int | None:
    """Return the peak resident set size since `reset_peak`, bytes; None if unknown."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def pages_from_disk() -> int:
    """Return how many pages this process has waited for to be read from disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def threads_running() -> int:
    """Return how many threads this process has."""
    return int(psutil.Process().num_threads())


def memory_bandwidth(megabytes: int = 256, repeats: int = 5) -> float:
    """Return the memory bandwidth of one reading thread, bytes per second, the best of `repeats`.

    A dot product reads two arrays far larger than any cache and writes nothing. Source: the read
    kernel of STREAM.
    """
    count = megabytes * 1_000_000 // 8
    left, right = np.ones(count, np.float32), np.ones(count, np.float32)
    best = float("inf")
    for _ in range(repeats):
        before = time.perf_counter_ns()
        np.dot(left, right)
        best = min(best, (time.perf_counter_ns() - before) / 1e9)
    return (left.nbytes + right.nbytes) / best


def pin(cores: Sequence[int]) -> None:
    """Keep this process and its children on `cores`, if the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))


_NODES = Path("/sys/devices/system/node")


def usable_cores(nodes: Path = _NODES) -> list[int]:
    """Return the processors that this process may use, those of one NUMA node side by side.

    The node with the most is last: the last N, which a worker of N threads is pinned to, lie on one
    node if they fit on any. `nodes` is the folder in which Linux lists them. Where there is none,
    the processors are in the order of their numbers.
    """
    usable = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )
    node_of = dict.fromkeys(usable, 0)
    for folder in nodes.glob("node[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            listed = _listed((folder / "cpulist").read_text())
            node_of |= dict.fromkeys(listed & set(usable), int(folder.name.removeprefix("node")))
    # Memory needs no policy of its own. Linux places a page on the node of the core that writes it
    # first, and a worker is pinned before it reads or builds anything. Only a file that another
    # process has read already may lie on another node.
    sizes = Counter(node_of.values())
    return sorted(usable, key=lambda core: (sizes[node_of[core]], node_of[core], core))


def _listed(text: str) -> set[int]:
    """Return the numbers in a list such as ``0-3,8``."""
    ends = [part.partition("-") for part in text.strip().split(",") if part]
    return {n for first, _, last in ends for n in range(int(first), int(last or first) + 1)}


def description() -> str:
    """Return processor, usable cores, memory and system in one line; equal if times compare."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
        )
    except OSError:
        pass
    processor = model or platform.processor() or platform.machine()
    memory = round(psutil.virtual_memory().total / 2**30)
    system = f"{platform.system()} {platform.machine()}"
    return f"{processor}, {len(usable_cores())} cores, {memory} GiB, {system}"


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit every thread pool to `threads`.

    They must be set before a library is loaded.
    """
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false"}


_TUNABLES, _THRESHOLD = "GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_"
_THRESHOLD_BYTES = "131072"


def malloc_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that give each large block a mapping of its own, in huge pages.

    `environment` is what they are added to; a value that the user set there wins. Empty where the C
    library is not glibc, which alone reads them. They must be set before a process starts. Two
    copies of one index are equally fast with them, and up to 15 % apart without: one may lie in
    huge pages that something else left behind, the other not.
    """
    if platform.libc_ver()[0] != "glibc":
        return {}
    given = [each for each in environment.get(_TUNABLES, "").split(":") if each]
    names = {each.partition("=")[0] for each in given}
    found = {}
    if _THRESHOLD not in environment and "glibc.malloc.mmap_threshold" not in names:
        found[_THRESHOLD] = _THRESHOLD_BYTES
    if "glibc.malloc.hugetlb" not in names:
        found[_TUNABLES] = ":".join([*given, "glibc.malloc.hugetlb=1"])
    return found


def allocator() -> str:
    """Return how this process was told to allocate memory, as a row records it."""
    names = (_THRESHOLD, _TUNABLES, "LD_PRELOAD")
    settings = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    with contextlib.suppress(OSError):
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
        settings.append(f"transparent_hugepage={text.partition('[')[2].partition(']')[0]}")
    return " ".join(settings)


_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL_CACHE_BYTES = 32 * 2**20
_MOST_EVICTED_BYTES = 256 * 2**20


def cache_bytes(folder: Path = _CACHES) -> int:
    """Return the size of the processor's second and third level caches, bytes.

    A usual size where the system does not tell.
    """
    total = 0
    for cache in folder.glob("index*"):
        with contextlib.suppress(OSError, ValueError):
            size = (cache / "size").read_text().strip()
            if int((cache / "level").read_text()) > 1:
                total += int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]]
    return total or _USUAL_CACHE_BYTES


class CacheEviction:
    """Empties the processor's caches of what others read."""

    def __init__(self) -> None:
        """Allocate a buffer of twice the caches' size, at most 256 MiB."""
        size = min(2 * cache_bytes(), _MOST_EVICTED_BYTES)
        self._buffer = np.ones(size // 4, np.float32)

    def __call__(self) -> None:
        """Read the whole buffer once."""
        np.dot(self._buffer, self._buffer)
