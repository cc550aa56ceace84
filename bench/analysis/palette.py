"""Name the colour of each backend, reducer and precision, the same in every figure and page.

Nothing here needs matplotlib. Colours are ``#rrggbb``. A name without a place of its own gets a
colour that depends on nothing but the name, so a new backend needs no entry here.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from bench.backends.precisions import USUAL
from bench.codes.table import BY_NAME
from bench.reducers import PLAIN

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe & Ito 2008: colours that differ under every common colour blindness."""
BACKENDS = (
    "faiss-flat",
    "faiss-hnsw",
    "faiss-ivf",
    "annoy",
    "adanns-ivf",
    "adanns-ivf-opq",
    "hnswlib",
    "usearch",
    "faiss-ivf-pq",
    "faiss-ivf-rabitq",
    "voyager",
    "scann",
    "pgvector-hnsw",
    "pgvector-ivfflat",
    "svs-vamana",
    "ngt",
    "faiss-refine",
    "duckdb",
    "sqlite-vec",
    "lancedb",
    "chroma",
    "qdrant-edge",
    "qdrant-local",
    "milvus-lite",
    "pynndescent",
    "faiss-pq",
    "faiss-factory",
    "qdrant",
    "milvus",
    "weaviate",
    "elasticsearch",
    "opensearch",
    "faiss-panorama",
    "faiss-hnsw-panorama",
    "faiss-ivf-panorama",
    "prefix-scan",
    "prefix-hnsw",
    "csr",
)
"""Backends by the place of their colour; append new ones, so that no colour changes.

Names close together are told apart best.
"""
REDUCERS = (
    PLAIN,
    "adaptor",
    "pca",
    "random_subset",
    "random_projection",
    "variance_order",
    "trailing",
    "leanvec",
)
"""Reducers by the place of their colour, as above."""
PRECISIONS = tuple(precision.name for precision in USUAL)
"""Plain numbers and signs by the place of their colour, most bits first."""
STORED = (*PRECISIONS, *BY_NAME)
"""Every precision by its place: that of the codes follows."""
_SHADES = ("#0d0887", "#5502a4", "#8e0ca4", "#bc3587", "#de6164", "#f68f44", "#fdc627")
"""matplotlib's map “plasma” without its pale end: no backend or reducer has a colour of it."""


def backend_colour(name: str) -> str:
    """Return the colour of a backend, ``#rrggbb``.

    Two that are far apart in `BACKENDS` may share one; their markers differ.
    """
    return COLOURS[place(name, BACKENDS) % len(COLOURS)]


def reducer_colour(variant: str) -> str:
    """Return the colour of a reducer's variant, ``#rrggbb``: ``pca whiten`` has that of ``pca``."""
    return COLOURS[place(variant.partition(" ")[0], REDUCERS) % len(COLOURS)]


def precision_colour(name: str) -> str:
    """Return the colour of a precision, ``#rrggbb``; of `PRECISIONS` dark for many bits."""
    return _SHADES[place(name, STORED) % len(_SHADES)]


def place(name: str, declared: Sequence[str]) -> int:
    """Return the place of `name` in `declared`, or a number that depends on the name alone."""
    return declared.index(name) if name in declared else zlib.crc32(name.encode())
