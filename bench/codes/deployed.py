"""The code of a deployment whose precision has a coding: the recipe itself, and what calls it."""

from __future__ import annotations

import ast
import inspect

from bench.codes import HNSW, IVF, Coding, loaded
from bench.source import Code, Deployment, written


def coded(coding: Coding, shape: str, deployment: Deployment) -> Code:
    """Return the code that indexes by `coding`, in an index of one of its shapes."""

    text = written(_CODE, deployment, **_facts(coding, shape))
    text = f"{_sources(_names(text))}\n{text}"
    return Code(text, ("import faiss",), ("faiss-cpu",), deployment.parameters())


def _facts(coding: Coding, shape: str) -> dict[str, object]:
    given = ["vectors", *(f"{name}={value!r}" for name, value in coding.given.items())]
    if shape == IVF:
        given.append("lists=lists")
    if shape == HNSW:
        given.append("M=M")
    return {
        "coding": coding,
        "shape": shape,
        "arguments": ", ".join(given).replace("'", '"'),
        "core": "index" if coding.turn else "inner(index)",
        "result": "index, matrix, threshold" if coding.turn else "index",
    }


def _sources(called: set[str]) -> str:
    """Return the source of the recipes among `called`, after that of what they call themselves."""
    module = loaded()
    found: dict[str, str] = {}

    def visit(name: str) -> None:
        function = getattr(module, name, None)
        if name in found or not inspect.isfunction(function):
            return
        source = inspect.getsource(function)
        for other in sorted(_names(source) - {name}):
            visit(other)
        found[name] = source

    for name in sorted(called):
        visit(name)
    return "\n\n".join(found.values())


def _names(source: str) -> set[str]:
    """Return the names that a source text reads, without attributes."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
{% if coding.turn %}
    matrix, threshold = {{ coding.turn }}(vectors)
    vectors = packed_signs(turned(vectors, matrix, threshold))
{% endif %}
{% if shape == "ivf" %}
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
{% endif %}
    index = {{ coding.recipe }}({{ arguments }})
{% if shape == "hnsw" %}
    graph = {{ core }}
    graph.hnsw.efConstruction = EF_CONSTRUCTION
{% endif %}
    index.add({{ coding.documents ~ "(vectors)" if coding.documents else "vectors" }})
{% if shape == "ivf" %}
    {{ core }}.nprobe = NPROBE
{% elif shape == "hnsw" %}
{% if coding.is_product %}
    scored_by_product(graph)
{% endif %}
    graph.hnsw.efSearch = EF
{% endif %}
    return {{ result }}


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% if coding.turn %}
    index, matrix, threshold = index
    queries = packed_signs(turned(queries, matrix, threshold))
{% endif %}
    return index.search(queries, k)[1]
'''
