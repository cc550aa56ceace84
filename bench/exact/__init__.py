"""Exact search at every prefix length in one pass over the corpus."""

from bench.exact.one_pass import exact_search, exact_topk
from bench.exact.scan import Exact

__all__ = ["Exact", "exact_search", "exact_topk"]
