"""Exact search at every prefix length in one pass over the corpus."""

from bench.exact.one_pass import Exact, exact_search, exact_topk

__all__ = ["Exact", "exact_search", "exact_topk"]
