"""Precisions by their bits: codes against the formulas of their papers, and each index of them."""

import faiss
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from bench.backends import get_backend
from bench.backends._exhaustive import Exhaustive
from bench.codes import FLAT, HNSW, IVF, recipes
from bench.codes.table import BY_NAME, CODINGS, in_brief, precision_order, unkernelled
from bench.codes.unkernelled import (
    NORMAL_ENDS,
    OptimisedScalar,
    RoundedQueries,
    encoded,
    loss,
    packed,
    places,
    unpacked,
)
from bench.errors import UsageError
from bench.measuring.untimed import ranks_found
from bench.vectors import normalise

D = 24
LEARNT = ("pq_", "opq_")
"""Learn for long; a corpus of few vectors is enough for them."""
CHEAP = [c for c in CODINGS if c.shapes and not c.name.startswith(LEARNT)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    scale = np.linspace(2, 0.3, D)
    return tuple(normalise(rng.standard_normal((n, D)) * scale + 0.1) for n in (700, 20))


def built(name, corpus, backend="faiss-flat", configure=None, **build):
    index = (Exhaustive if backend == "exact" else get_backend(backend))(name)
    index.build(corpus, **build)
    if configure:
        index.configure(**configure)
    return index


def overlap(found, wanted):
    pairs = zip(found.tolist(), wanted.tolist(), strict=True)
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs])


def nearest(scores, k=10):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


# ------------------------------------------------------------------------------ every index of it


@pytest.mark.parametrize("coding", CHEAP, ids=lambda coding: coding.name)
def test_more_of_an_index_is_searched_until_it_finds_what_all_codes_give(coding, data, tmp_path):
    corpus, queries = data
    flat = built(coding.name, corpus)
    found = flat.search(queries, 10)
    assert overlap(found, nearest(queries @ corpus.T)) >= coding.precision.recall_floor
    flat.save(tmp_path)
    again = get_backend("faiss-flat")(coding.name, D)
    again.restore(tmp_path)
    np.testing.assert_array_equal(again.search(queries, 10), found)
    if IVF in coding.shapes:
        cells = built(coding.name, corpus, "faiss-ivf", {"nprobe": 999}, lists_per_sqrt_n=1.0)
        if coding.by_cell:
            np.testing.assert_array_equal(cells.exhaustive(queries, 10), cells.search(queries, 10))
        else:
            assert cells.exhaustive(queries, 10) is None
            # Look-up tables of four-bit codes are rounded, and signs tie.
            assert overlap(cells.search(queries, 10), found) >= (0.8 if coding.turn else 0.9)
    if HNSW in coding.shapes:
        graph = built(coding.name, corpus, "faiss-hnsw", {"ef": 500}, M=16, ef_construction=100)
        assert overlap(graph.search(queries, 10), found) >= (0.6 if coding.turn else 0.9)


@pytest.mark.parametrize("name", ["rabitq_8bit", "eden_8bit", "turboquant_8bit", "uniform_8bit"])
def test_a_fine_code_finds_as_much_in_few_cells_as_no_code(name):
    # Clusters of unequal tightness: cells by distance from their means would find less.
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((30, 40))

    def drawn(n):
        tight = centres[rng.integers(30, size=n)] * rng.uniform(0, 2, (n, 1))
        return normalise(tight + 0.7 * rng.standard_normal((n, 40)))

    corpus, queries = drawn(3000), drawn(100)
    true = nearest(queries @ corpus.T)
    found = [
        overlap(
            built(each, corpus, "faiss-ivf", {"nprobe": 3}, lists_per_sqrt_n=1.0).search(
                queries, 10
            ),
            true,
        )
        for each in ("float32", name)
    ]
    assert 0.8 < found[0] < 1
    assert found[1] >= found[0] - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pq_halfbit", "opq_1bit", "opq_2bit"])
def test_product_codes_are_the_same_in_every_index_but_for_their_training(name, data):
    corpus, queries = data
    true = nearest(queries @ corpus.T)
    for backend, configure, build in (
        ("faiss-flat", None, {}),
        ("faiss-ivf", {"nprobe": 999}, {"lists_per_sqrt_n": 1.0}),
        ("faiss-hnsw", {"ef": 500}, {"M": 16, "ef_construction": 100}),
    ):
        found = built(name, corpus, backend, configure, **build).search(queries, 10)
        assert overlap(found, true) >= 0.15


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("name", ["uniform_2bit", "percentile_4bit", "float8_e4m3", "binary_itq"])
def test_a_corpus_of_a_few_vectors_is_found_whole(name, n, data):
    found = built(name, data[0][:n]).search(data[1], 8)
    assert (np.sort(found[:, :n], axis=1) == np.arange(n)).all()
    assert (found[:, n:] == -1).all()


@pytest.mark.parametrize(
    "name", ["rabitq_1bit", "rabitq_3bit", "turboquant_2bit", "osq_1bit", "ternary"]
)
def test_ranks_are_those_of_the_search_s_own_order(name, data):
    corpus, queries = data
    index = built(name, corpus, "exact")
    order = index.search(queries, len(corpus))
    rows, documents = np.repeat(np.arange(20), 3), np.arange(60) * 11
    own = np.where(np.arange(20) % 2, order[:, 0], -1)
    place = np.argsort(order, axis=1)[rows, documents]
    expected = place + 1 - ((own[rows] >= 0) & (place > 0))
    found = ranks_found(index.search, queries, len(corpus), (rows, documents), own)
    is_own = own[rows] == documents
    np.testing.assert_array_equal(found[~is_own], expected[~is_own])


# ------------------------------------------------------------------------- formulas of the papers


def test_rabitq_of_one_bit_is_the_unbiased_estimate_of_its_paper(data):
    corpus, queries = data
    rotation = recipes.rotation_of(D)
    rows, asked = rotation.apply(corpus), rotation.apply(queries)
    centre = rows.mean(axis=0)
    residual = rows - centre
    length = np.linalg.norm(residual, axis=1)
    signs = np.where(residual > 0, 1, -1) / np.sqrt(D)
    aligned = (residual * signs).sum(axis=1) / length
    estimate = (asked - centre) @ signs.T * (length / aligned) + rows @ centre
    index = recipes.rabitq(corpus, 1)  # the query is not rounded
    index.add(corpus)
    scores = scores_of(index, queries)
    # The constant that belongs to a query alone does not matter.
    shift = scores - estimate
    assert np.ptp(shift, axis=1).max() < 1e-4


def test_the_error_of_rabitq_is_unbiased_and_falls_with_the_root_of_the_dimension():
    errors = []
    for d in (64, 256):
        rng = np.random.default_rng(1)
        corpus, queries = (normalise(rng.standard_normal((n, d))) for n in (2000, 30))
        scores = faiss_scores(built("rabitq_1bit", corpus), queries)
        error = scores - queries @ corpus.T
        error -= np.median(error, axis=1, keepdims=True)
        assert abs(error.mean()) < 3 * error.std() / np.sqrt(error.size) + 0.002
        errors.append(error.std())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)


def faiss_scores(backend, queries):
    """Return the scores of all documents, (q, n), in the order of ids."""
    return scores_of(backend.index, queries)


def scores_of(index, queries):
    """Do as `faiss_scores` of an index of faiss."""
    scores, ids = index.search(queries, index.ntotal)
    found = np.empty_like(scores)
    np.put_along_axis(found, ids, scores, axis=1)
    return found


def lloyd_max(levels):
    """Return the levels of least squared error for the standard normal distribution, ascending."""
    points = stats.norm.ppf((np.arange(levels) + 0.5) / levels)
    for _ in range(300):
        edges = np.concatenate([[-np.inf], (points[1:] + points[:-1]) / 2, [np.inf]])
        mass, density = np.diff(stats.norm.cdf(edges)), stats.norm.pdf(edges)
        points = -np.diff(density) / mass
    return points


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_turboquant_has_the_levels_of_lloyd_and_max(bits):
    d = 512
    corpus = normalise(np.random.default_rng(0).standard_normal((200, d)))
    backend = built(f"turboquant_{bits}bit", corpus)
    codes = recipes.inner(backend.index)
    turned = recipes.rotation_of(d).apply(corpus)
    stored = np.unique(codes.sa_decode(codes.sa_encode(turned)))
    assert len(stored) == 2**bits
    np.testing.assert_allclose(stored * np.sqrt(d), lloyd_max(2**bits), atol=0.03)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_eden_scales_the_levels_so_that_its_estimate_is_unbiased(bits):
    d = 128
    rng = np.random.default_rng(0)
    corpus, queries = (normalise(rng.standard_normal((n, d))) for n in (1500, 20))
    scores = faiss_scores(built(f"eden_{bits}bit", corpus), queries)
    true = queries @ corpus.T
    slope = (scores * true).sum() / (true * true).sum()
    assert slope == pytest.approx(1, abs=0.06)
    centred = recipes.rotation_of(d).apply(corpus)
    centred = centred - centred.mean(axis=0)
    levels = lloyd_max(2**bits)
    scaled = centred / np.linalg.norm(centred, axis=1, keepdims=True) * np.sqrt(d)
    coded = levels[np.abs(scaled[:, :, None] - levels).argmin(axis=2)]
    scale = (centred**2).sum(axis=1) / (centred * coded).sum(axis=1)
    asked = recipes.rotation_of(d).apply(queries)
    estimate = asked @ (coded * scale[:, None]).T
    assert overlap(nearest(scores), nearest(estimate)) >= 0.85


# ------------------------------------------------------------------------------------------ grids


@pytest.mark.parametrize("name", ["uniform_3bit", "percentile_2bit", "percentile_6bit", "ternary"])
def test_a_grid_scores_the_nearest_levels(name, data):
    corpus, queries = data
    if name == "ternary":
        stored = recipes.to_ternary(corpus)
        assert (np.abs(stored).sum(axis=1) == round(0.54 * D)).all()
    else:
        bits = BY_NAME[name].precision.bits
        at = (np.arange(2**bits) + 0.5) / 2**bits
        low, high = corpus.min(axis=0), corpus.max(axis=0)
        levels = low + at[:, None] * (high - low)
        if name.startswith("percentile"):
            levels = np.quantile(corpus, at, axis=0)
        closest = np.abs(corpus[:, None] - levels[None]).argmin(axis=1)
        stored = np.take_along_axis(levels, closest, axis=0)
    found = built(name, corpus).search(queries, 10)
    # Look-up tables of four bits in one code are rounded.
    assert overlap(found, nearest(queries @ stored.T)) >= (0.85 if "2bit" in name else 0.99)


@pytest.mark.parametrize(
    ("exponent", "most", "count"), [(4, 448, 253), (5, 57344, 247)], ids=["e4m3", "e5m2"]
)
def test_float8_has_the_values_of_its_formats(exponent, most, count):
    values = recipes.float8_values(exponent, 7 - exponent)
    assert values.max() == most
    assert len(np.unique(values)) == count
    smallest = values[values > 0].min()
    assert smallest == 2.0 ** ((2 - 2 ** (exponent - 1)) - (7 - exponent))
    numbers = pytest.importorskip("ml_dtypes")
    kind = numbers.float8_e4m3fn if exponent == 4 else numbers.float8_e5m2
    own = np.arange(256, dtype=np.uint8).view(kind).astype(np.float64)
    np.testing.assert_array_equal(np.unique(own[np.isfinite(own)]), np.unique(values))


def test_the_share_of_ternary_components_turns_normal_vectors_least():
    def lost(threshold):
        return -stats.norm.pdf(threshold) / np.sqrt(stats.norm.sf(threshold))

    best = optimize.minimize_scalar(lost, bounds=(0, 2), method="bounded").x
    assert 2 * stats.norm.sf(best) == pytest.approx(0.54, abs=0.005)


def test_itq_is_a_rotation_that_loses_less_than_a_random_one_and_no_more_than_faiss(data):
    corpus, _ = data
    centred = corpus - corpus.mean(axis=0)

    def lost(matrix):
        turned = centred @ matrix
        return (np.abs(turned) - 1).__pow__(2).sum()

    matrix, threshold = recipes.itq_turn(corpus)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(D), atol=1e-5)
    np.testing.assert_allclose(threshold, corpus.mean(axis=0) @ matrix, atol=1e-6)
    reference = faiss.ITQMatrix(D)
    reference.train(centred)
    theirs = faiss.vector_to_array(reference.A).reshape(D, D).T
    assert lost(matrix) < lost(recipes.random_turn(corpus)[0])
    assert lost(matrix) <= 1.005 * lost(theirs)


# ------------------------------------------------------------------------------ without a kernel


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_first_interval_of_osq_is_the_best_for_the_normal_distribution(bits):
    def squared(half):
        levels = np.linspace(-half, half, 2**bits)
        edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        cdf, pdf = stats.norm.cdf(edges), stats.norm.pdf(edges)
        moment = np.clip(edges, -99, 99) * pdf  # nothing is left of the density at the ends
        return float(
            (np.diff(cdf) * (1 + levels**2) - np.diff(moment) + 2 * levels * np.diff(pdf)).sum()
        )

    direct = integrate.quad(lambda x: (abs(x) - 0.7) ** 2 * stats.norm.pdf(x), -9, 9)[0]
    if bits == 1:
        assert squared(0.7) == pytest.approx(direct)
    best = optimize.minimize_scalar(squared, bounds=(0.3, 5), method="bounded").x
    assert NORMAL_ENDS[bits - 1] == pytest.approx(best, abs=0.006)


@pytest.mark.parametrize("bits", range(1, 9))
def test_osq_reaches_the_error_that_lucene_asks_of_it(bits):
    """Lucene's own test: 32 vectors of 16 uniform components, a mean error of at most 2^-bits."""
    vectors = np.random.default_rng(0).random((32, 16))
    centred = vectors - vectors.mean(axis=0)
    _, ends = encoded(centred, bits)
    decoded = ends[:, :1] + places(centred, ends, bits) * (ends[:, 1:] - ends[:, :1])
    assert np.abs(decoded - centred).mean(axis=1).max() <= 2.0**-bits


@pytest.mark.parametrize("bits", [1, 2])
def test_the_optimiser_of_osq_loses_less_than_its_start_and_than_the_whole_range(bits):
    centred = np.random.default_rng(0).standard_normal((200, 96))
    _, ends = encoded(centred, bits)
    deviation = centred.std(axis=1)[:, None] * np.array([-1, 1]) * NORMAL_ENDS[bits - 1]
    start = centred.mean(axis=1)[:, None] + deviation
    whole = np.stack([centred.min(axis=1), centred.max(axis=1)], axis=1)
    reached = loss(centred, ends, bits)
    assert (reached <= loss(centred, np.clip(start, whole[:, :1], whole[:, 1:]), bits)).all()
    assert reached.mean() < loss(centred, whole, bits).mean()
    # No interval near by is better by much: both ends were moved to where the loss is least.
    found = optimize.minimize(
        lambda each: loss(centred[:1], each[None], bits)[0], ends[0], method="Nelder-Mead"
    )
    assert reached[0] <= 1.3 * found.fun


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_osq_scores_are_the_products_of_what_its_codes_stand_for(bits, data):
    corpus, queries = data
    index = OptimisedScalar(bits)
    index.add(corpus)
    centre = corpus.mean(axis=0)
    low, high = index.ends[:, :1], index.ends[:, 1:]
    codes = unpacked(index.codes, bits, D)
    np.testing.assert_array_equal(packed(codes, bits), index.codes)
    stored = low + codes * ((high - low) / (2**bits - 1))
    asked, ends = encoded(queries - centre, max(bits, 4))
    step = (ends[:, 1:] - ends[:, :1]) / (2 ** max(bits, 4) - 1)
    scores = (ends[:, :1] + asked * step) @ stored.T + corpus @ centre
    found = np.concatenate([block for _, block in index.blocks(queries)], axis=1)
    np.testing.assert_allclose(found, scores, atol=2e-5)
    assert index.size_bytes() == 700 * (D * bits / 8 + 12 + index.sums.itemsize) + 4 * D


@pytest.mark.parametrize("bits", [4, 8])
def test_rounded_queries_score_whole_numbers_against_signs(bits, data):
    corpus, queries = data
    index = RoundedQueries(bits)
    index.add(corpus)
    whole = index.rounded(queries)
    assert np.abs(whole).max() == 2 ** (bits - 1) - 1
    scores = whole @ np.where(corpus > 0, 1, -1).T
    np.testing.assert_array_equal(index.search(queries, 10), nearest(scores))
    assert index.size_bytes() == 700 * D / 8


# -------------------------------------------------------------------------------- what is offered


def test_what_has_no_kernel_is_refused_by_an_index_in_one_clear_line():
    for precision in unkernelled():
        with pytest.raises(UsageError, match="is for backend 'exact' alone: no kernel timed"):
            get_backend("faiss-flat").precision_of(precision.name)
        assert Exhaustive.precision_of(precision.name) == precision


def test_no_graph_is_offered_of_codes_that_end_the_process():
    names = get_backend("faiss-hnsw").precision_names()
    assert not [name for name in names if name.startswith(("eden", "turboquant_qjl"))]
    assert {c.name for c in CODINGS if FLAT in c.shapes} < set(
        get_backend("faiss-flat").precision_names()
    )


def test_precisions_are_sorted_and_listed_in_brief():
    names = ["their_own", "osq_1bit", "rabitq_2bit", "binary", "float32"]
    assert sorted(names, key=precision_order) == [
        "float32", "binary", "rabitq_2bit", "osq_1bit", "their_own"
    ]  # fmt: skip
    assert in_brief(["float32", "rabitq_2bit"]) == "float32, 1 by their bits"
    assert in_brief(["float32"]) == "float32"
