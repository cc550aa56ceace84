"""matryoshka-bench: which embedding dimension, precision and vector index to use.

The package follows the way of the data:

.. code-block:: text

    study/        a TOML file, its keys, and the trials it expands to
    datasets/     corpus, queries, judgements: one file per source
    encoders/     text to vectors: one file per source
    embeddings    encode once, keep, map
    reducers/     D to d dimensions: one file per method
    backends/     one file per ANN library or vector database
    exact/        exact search at every prefix length in one pass
    measuring/    runner, worker processes, clock: trials to rows
    quality/      measures, intervals, scorer
    results/      every column declared once, the tables, which rows are which
    projection/   quality in corpora of other sizes, from the ranks that the exact pass keeps
    analysis/     findings, non-inferiority, recommendation, verdict, change points
    gate/         both sides of a change measured together
    advising/     the search for a configuration, the decision, the answer
    figures/      one file per figure
    deploy/       the code that gives a trial's results without this package
    report/       the page, the terminal and the notebook
    interop/      MTEB, TREC
    training/     adaptors, and models, with the Matryoshka objective
    source        what that code is assembled from
    testing       the rules that every backend keeps
    cli           the command line

Data flow downwards: measuring never imports analysis, analysis never imports the report, and
nothing imports the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench import figures
    from bench.advising import advise
    from bench.analysis.matryoshka import verdict
    from bench.analysis.recommendation import recommend
    from bench.analysis.regression import compare
    from bench.analysis.summary import summarise
    from bench.backends import get_backend
    from bench.datasets import load_dataset
    from bench.encoders import get_encoder
    from bench.errors import UsageError
    from bench.exact import exact_search, exact_topk
    from bench.interop.mteb_index import MtebIndex
    from bench.measuring.runner import run
    from bench.report.notebook import Results
    from bench.report.writing import write_report
    from bench.results.merging import merge
    from bench.results.store import load, load_queries
    from bench.vectors import normalise, truncate

__version__ = "0.1.0"

# Imported on first use: a worker that measures a backend must not carry what it does not need.
_PUBLIC = {
    "truncate": "bench.vectors",
    "normalise": "bench.vectors",
    "load_dataset": "bench.datasets",
    "get_encoder": "bench.encoders",
    "get_backend": "bench.backends",
    "exact_topk": "bench.exact",
    "exact_search": "bench.exact",
    "run": "bench.measuring.runner",
    "merge": "bench.results.merging",
    "load": "bench.results.store",
    "load_queries": "bench.results.store",
    "advise": "bench.advising",
    "recommend": "bench.analysis.recommendation",
    "verdict": "bench.analysis.matryoshka",
    "compare": "bench.analysis.regression",
    "summarise": "bench.analysis.summary",
    "Results": "bench.report.notebook",
    "write_report": "bench.report.writing",
    "figures": "bench.figures",
    "MtebIndex": "bench.interop.mteb_index",
    "UsageError": "bench.errors",
}
__all__ = [
    "MtebIndex",
    "Results",
    "UsageError",
    "__version__",
    "advise",
    "compare",
    "exact_search",
    "exact_topk",
    "figures",
    "get_backend",
    "get_encoder",
    "load",
    "load_dataset",
    "load_queries",
    "merge",
    "normalise",
    "recommend",
    "run",
    "summarise",
    "truncate",
    "verdict",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    module = importlib.import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"bench.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
