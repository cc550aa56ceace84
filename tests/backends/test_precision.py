"""How components are stored, against codecs of numpy and of faiss."""

import faiss
import numpy as np
import pytest

from bench.backends import get_backend
from bench.backends._faiss import train_alone
from bench.vectors import normalise


@pytest.fixture(scope="module", params=[8, 50, 96])
def data(request):
    rng = np.random.default_rng(0)
    scale = np.linspace(2, 0.2, request.param)
    corpus, queries = (
        normalise(rng.standard_normal((n, request.param)) * scale + 0.1) for n in (1500, 30)
    )
    return corpus, queries


def searched(precision, corpus, queries, name="faiss-flat", k=10, **settings):
    backend = get_backend(name)(precision)
    backend.build(corpus, **settings.pop("build", {}))
    if settings:
        backend.configure(**settings)
    return backend.search(queries, k)


def shared(found, scores, k=10):
    """Share of places whose score is among the k best; equal scores are as good as each other."""
    own = np.take_along_axis(scores, found, axis=1)
    bar = -np.sort(-scores, axis=1)[:, k - 1 : k]
    return (own >= bar - 1e-5 * np.abs(bar)).mean()


def test_float16_is_numpy_s(data):
    corpus, queries = data
    assert (
        shared(
            searched("float16", corpus, queries),
            queries @ corpus.astype(np.float16).astype(np.float32).T,
        )
        == 1
    )


def test_bfloat16_keeps_the_upper_half_of_float32(data):
    corpus, queries = data
    rounded = ((corpus.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)
    assert shared(searched("bfloat16", corpus, queries), queries @ rounded.T) == 1


def test_int8_is_the_product_of_whole_numbers(data):
    corpus, queries = data
    low, high = corpus.min(axis=0), corpus.max(axis=0)
    step = (high - low) / 254
    codes = np.clip(np.rint((corpus - (low + high) / 2) / step), -127, 127).astype(np.int64)
    folded = queries * step
    rounded = np.rint(folded * (127 / np.abs(folded).max(axis=1, keepdims=True))).astype(np.int64)
    assert shared(searched("int8", corpus, queries), (rounded @ codes.T).astype(np.float64)) == 1


def test_int8_clips_what_lies_outside_the_corpus_s_range_instead_of_wrapping(data):
    corpus, queries = data
    outside = np.concatenate([queries, 50 * queries])
    found = searched("int8", corpus, outside)
    np.testing.assert_array_equal(found[: len(queries)], found[len(queries) :])


def test_int4_is_faiss_s_codec(data):
    corpus, queries = data
    codec = faiss.IndexScalarQuantizer(
        corpus.shape[1], faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT
    )
    codec.sq.rangestat, codec.sq.rangestat_arg = faiss.ScalarQuantizer.RS_meanstd, 2.5
    train_alone(codec, corpus)
    decoded = codec.sa_decode(codec.sa_encode(corpus))
    assert shared(searched("int4", corpus, queries), queries @ decoded.T) == 1


def test_binary_is_the_hamming_distance_of_signs(data):
    corpus, queries = data
    distance = ((queries > 0)[:, None] != (corpus > 0)[None]).sum(axis=2)
    assert shared(searched("binary", corpus, queries), -distance.astype(np.float64)) == 1


def test_asymmetric_binary_scores_the_query_itself_against_signs(data):
    corpus, queries = data
    scores = queries @ np.where(corpus > 0, 1, -1).astype(np.float32).T
    found = searched("binary_asymmetric", corpus, queries)
    # The look-up tables are rounded to 8 bits, so near-ties may be ordered differently.
    own, bar = np.take_along_axis(scores, found, axis=1), -np.sort(-scores, axis=1)[:, 9:10]
    assert (own >= bar - 0.02 * np.abs(queries).sum(axis=1, keepdims=True)).all()
    symmetric = searched("binary", corpus, queries)
    exact = np.argsort(-(queries @ corpus.T), axis=1)[:, :10]
    kept = [
        np.mean([len(set(a) & set(b)) for a, b in zip(f.tolist(), exact.tolist(), strict=True)])
        for f in (found, symmetric)
    ]
    assert kept[0] > kept[1]


@pytest.mark.parametrize(
    "precision", ["float32", "float16", "bfloat16", "int8", "int4", "binary", "binary_asymmetric"]
)
def test_what_codes_stand_for_orders_documents_as_the_search_does(data, precision):
    corpus, queries = data
    backend = get_backend("faiss-flat")(precision)
    backend.build(corpus)
    scores = backend.compared(queries) @ backend.stored(corpus).T
    ordered = np.take_along_axis(scores, backend.search(queries, 300), axis=1)
    # Ties may be found in any order; look-up tables of asymmetric search are rounded to 8 bits.
    slack = 0.02 * np.abs(queries).sum(axis=1).max() if precision == "binary_asymmetric" else 1e-4
    assert (ordered >= -np.sort(-scores, axis=1)[:, :300] - slack).all()
    assert np.ptp(scores, axis=1).min() > 10 * slack


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int8", "int4", "binary"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("faiss-ivf", {"build": {"lists_per_sqrt_n": 1.0}, "nprobe": 1000}),
        ("faiss-hnsw", {"build": {"M": 16, "ef_construction": 100}, "ef": 400}),
    ],
)
def test_an_index_searched_in_full_finds_what_its_precision_allows(data, precision, name, settings):
    corpus, queries = data
    settings = {**settings, "build": dict(settings["build"])}
    found, flat = (
        searched(precision, corpus, queries, name, **settings),
        searched(precision, corpus, queries),
    )
    if precision == "binary":
        distance = ((queries > 0)[:, None] != (corpus > 0)[None]).sum(axis=2).astype(np.float64)
        if (
            corpus.shape[1] > 8
        ):  # at 8 d thousands of documents share 256 codes, and a graph loses its way among copies
            assert shared(found, -distance) >= 0.9
        return
    same = np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), flat.tolist(), strict=True)]
    )
    # faiss's int8 in lists and graphs keeps the query in float32, exhaustive search rounds it.
    assert same >= (0.9 if precision == "int8" else 0.95)
