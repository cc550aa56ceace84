"""Code of the stages that read texts, for the programs that `deploy` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.measuring.bm25 import PARAMETERS
from bench.measuring.texts import RANK_CONSTANT
from bench.source import Code, Deployment, written
from bench.study.schema import FUSION, RERANK


def reading(stages: Mapping[str, Any], deployment: Deployment) -> Code:
    """Return the code of the stages that read texts.

    Its text defines `index_corpus` and `answer` on top of `index_vectors` and `nearest`.
    """
    fused, reranker = FUSION in stages, stages.get(RERANK)
    text = written(_READING, deployment, fused=fused, reranked=bool(reranker), bm25=PARAMETERS)
    imports = ["import bm25s"] if fused else []
    imports += ["from sentence_transformers import CrossEncoder"] if reranker else []
    packages = (["bm25s"] if fused else []) + (["sentence-transformers"] if reranker else [])
    constants = {"RANK_CONSTANT": RANK_CONSTANT, "RERANKER": reranker}
    return Code(text, tuple(imports), tuple(packages), constants)


_READING = '''\
{% if reranked %}
READER = CrossEncoder(RERANKER)


{% endif %}
{% if fused %}
def index_words(texts):
    """Return an index of the words of texts, for BM25."""
    index = bm25s.BM25({% for name, value in bm25.items() %}{{ name }}={{ value | tojson }}\
{{ ", " if not loop.last }}{% endfor %})
    words = bm25s.tokenize(texts, stopwords="en", show_progress=False)
    index.index(words, show_progress=False)
    return index


def by_words(index, query, k):
    """Return the ids of the k texts with the best words for a query, best first."""
    options = {"stopwords": "en", "return_ids": False, "show_progress": False}
    tokens = bm25s.tokenize([query], **options)[0]
    known = [token for token in tokens if token in index.vocab_dict]
    scores = index.get_scores(known) if known else np.zeros(0)
    best = np.argsort(-scores, kind="stable")[:k]
    return best[scores[best] > 0]


def fused(lists, k):
    """Return the k best ids of several ranked lists by the sum of reciprocal ranks."""
    scores = {}
    for ids in lists:
        for rank, i in enumerate(ids, 1):
            scores[i] = scores.get(i, 0) + 1 / (RANK_CONSTANT + rank)
    return sorted(scores, key=scores.get, reverse=True)[:k]


{% endif %}
{% if reranked %}
def read(query, texts, ids):
    """Return ids in the order of a model that reads each text beside the query."""
    pairs = [(query, texts[i]) for i in ids]
    scores = READER.predict(pairs, show_progress_bar=False) if pairs else np.zeros(0)
    return [ids[i] for i in np.argsort(-scores, kind="stable")]


{% endif %}
def index_corpus(vectors, texts):
    """Return what `answer` searches: an index of vectors, and of their texts."""
    return index_vectors(vectors){{ ", index_words(texts)" if fused }}{{ ", texts" if reranked }}


def answer(index, vectors, queries, k=K):
    """Return the best documents of each query, by its vector and its text: (q, k) int64."""
    index{{ ", words" if fused }}{{ ", texts" if reranked }} = index
    rows = []
    for query, ids in zip(queries, nearest(index, vectors, SHORTLIST), strict=True):
        ids = ids[ids >= 0]
{% if fused %}
        ids = fused([ids, by_words(words, query, SHORTLIST)], SHORTLIST)
{% endif %}
{% if reranked %}
        ids = read(query, texts, ids)
{% endif %}
        rows.append(ids[:k])
    return padded(rows, k)
'''
