"""What people read of a comparison: the terminal, Markdown and JUnit XML, all in the same words."""

from __future__ import annotations

from bench.report.regression.junit import comparison_junit
from bench.report.regression.markdown import MARKER, comparison_markdown
from bench.report.regression.terminal import show_comparison

__all__ = ["MARKER", "comparison_junit", "comparison_markdown", "show_comparison"]
