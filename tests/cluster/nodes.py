"""A Ray cluster on this machine whose nodes can be killed."""

import contextlib
import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
_STORE_BYTES = 200 * 2**20


class LocalCluster:
    """A head, where the run is, and nodes with one processor each that may time."""

    def __init__(self, folder, nodes):
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.ray = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
            },
        )
        self.nodes = []
        while len(self.nodes) < nodes:
            self.add()

    @property
    def address(self):
        return self.ray.address

    def add(self, cache=None):
        """Start a node with a cache of its own, as a machine that shares no folder has."""
        if cache is None:
            cache = self.folder / f"cache-{len(list(self.folder.glob('cache-*')))}"
            cache.mkdir(parents=True)
        self.nodes.append(
            self.ray.add_node(
                num_cpus=1,
                resources={"whole_node": 1},
                object_store_memory=_STORE_BYTES,
                env_vars={"MATRYOSHKA_BENCH_CACHE": str(cache)},
            )
        )

    def refill(self, count):
        """Start nodes until there are `count`."""
        while len(self.nodes) < count:
            self.add()

    def kill(self, identity):
        """Kill the node whose id begins with `identity`, with all its processes."""
        node = next(node for node in self.nodes if node.node_id.startswith(identity))
        self.nodes.remove(node)
        self.ray.remove_node(node, allow_graceful=False)

    def close(self):
        import ray

        ray.shutdown()
        with contextlib.suppress(Exception):  # nodes that were killed
            self.ray.shutdown()
