"""Decisions over process pairs: made-up pairs whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.regression import compare, compare_pairs
from bench.analysis.regression.effects import Estimate, moderated, prior_variance
from bench.analysis.regression.limits import LIMITS, limits
from bench.analysis.regression.queries import with_queries
from bench.errors import UsageError
from bench.results.store import load_queries

NOISE = 0.05


def noisy(frame, rng, spread=NOISE, factor=None):
    """Return the frame as another process would measure it; `factor` by backend slows it."""
    made = frame.copy()
    for column, sign in (("latency_ms_p50", 1), ("latency_ms_p95", 1), ("batch_qps", -1)):
        made[column] *= np.exp(rng.normal(0, spread, len(made)))
        for backend, by in (factor or {}).items():
            made.loc[made["backend"] == backend, column] *= by**sign
    return made


def pairs(frame, rng, count=5, **head):
    return [(noisy(frame, rng), noisy(frame, rng, **head)) for _ in range(count)]


def test_the_same_code_is_the_same(frame):
    rng = np.random.default_rng(0)
    verdicts = [compare_pairs(pairs(frame, rng)).verdict for _ in range(30)]
    assert verdicts.count("regressed") == 0
    assert verdicts.count("same") >= 27


@pytest.mark.parametrize("factor", [1.3, 2.0])
def test_a_slower_backend_is_found_and_no_other_is_blamed(frame, factor):
    rng = np.random.default_rng(1)
    for _ in range(10):
        found = compare_pairs(pairs(frame, rng, factor={"faiss-hnsw": factor}))
        assert found.verdict == "regressed"
        named = {f.subject.split()[0] for f in found.of("regressed")}
        assert named == {"faiss-hnsw"}
        (pooled,) = (
            f
            for f in found.of("regressed")
            if f.figure == "latency_ms_p50" and f.configurations > 1
        )
        assert pooled.low < pooled.change < pooled.high
        assert 1 + pooled.change == pytest.approx(factor, rel=0.1)
        assert found.largest[0].subject.startswith("faiss-hnsw")


def test_a_faster_backend_is_an_improvement(frame):
    found = compare_pairs(pairs(frame, np.random.default_rng(2), factor={"faiss-flat": 0.5}))
    assert found.verdict == "same"
    assert found.ok
    assert any(f.subject == "faiss-flat" for f in found.of("improved"))


def test_more_noise_cannot_tell_and_says_how_many_more_pairs_would(frame):
    rng = np.random.default_rng(3)
    found = compare_pairs(pairs(frame, rng, count=3, spread=0.6))
    assert found.verdict == "cannot tell"
    assert found.ok
    assert found.more_pairs >= 1
    unsure = found.of("cannot tell")
    assert all(f.more_pairs for f in unsure)


def test_one_moment_of_load_is_no_regression(frame):
    rng = np.random.default_rng(4)
    made = pairs(frame, rng)
    head = made[2][1]
    head.loc[head["backend"] == "faiss-hnsw", "latency_ms_p50"] *= 2
    assert compare_pairs(made).verdict != "regressed"


def row_of(frame, backend):
    return frame.index[(frame["backend"] == backend) & frame["latency_ms_p50"].notna()][0]


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("ndcg_at_10", lambda x: x - 0.005),
        ("ann_recall_at_10", lambda x: x - 1 / 5000),
        ("bytes_per_vector", lambda x: x * 1.05),
        ("threads_started", lambda x: x + 1),
    ],
)
@pytest.mark.parametrize("backend", ["faiss-flat", "faiss-hnsw"])
def test_losses_that_are_not_of_time_are_always_found(frame, column, change, backend):
    made = pairs(frame, np.random.default_rng(5))
    for _, head in made:
        i = row_of(frame, backend)
        head.loc[i, column] = change(head.loc[i, column])
    (finding,) = compare_pairs(made).of("regressed")
    assert finding.figure == column
    assert finding.subject.startswith(backend)


def test_random_builds_are_tested_over_their_pairs(frame):
    """Builds that scatter are no regression; the same scatter with a loss is."""
    rng = np.random.default_rng(6)
    rows = frame.index[frame["backend"] == "faiss-hnsw"]
    alarms, found = 0, 0
    for _ in range(20):
        for loss in (0.0, 0.005):
            made = pairs(frame, rng)
            for both in made:
                for side, shift in zip(both, (0, loss), strict=True):
                    side.loc[rows, "ndcg_at_10"] += rng.normal(0, 0.001, len(rows)) - shift
            told = [f for f in compare_pairs(made).of("regressed") if f.figure == "ndcg_at_10"]
            alarms += bool(told) and not loss
            found += bool(told) and bool(loss)
    assert alarms <= 1
    assert found == 20


def test_a_document_lost_in_some_pairs_alone_is_found(frame):
    made = pairs(frame, np.random.default_rng(14))
    i = row_of(frame, "faiss-hnsw")
    for _, head in made[1:3]:
        head.loc[i, "ann_recall_at_10"] -= 1 / 5000
    (finding,) = compare_pairs(made).of("regressed")
    assert finding.figure == "ann_recall_at_10"


def test_an_exhaustive_search_is_compared_exactly_whatever_the_versions(frame):
    made = pairs(frame, np.random.default_rng(7))
    i = row_of(frame, "faiss-flat")
    for n, (_, head) in enumerate(made):
        head["library_versions"] = '{"faiss": "0.1"}'
        head.loc[i, "ndcg_at_10"] -= 5e-4  # near-ties in another order
        if n == 0:
            head.loc[i, "ann_recall_at_10"] -= 2e-4
    (finding,) = compare_pairs(made).of("regressed")
    assert finding.figure == "ann_recall_at_10"


def test_missing_failed_and_new_trials_are_listed(frame):
    i, j = frame.index[-1], row_of(frame, "faiss-hnsw")
    rng = np.random.default_rng(8)
    gone = compare_pairs([(a, b.drop(index=i)) for a, b in pairs(frame, rng)])
    assert not gone.ok
    assert [e.head for e in gone.ended] == ["absent"]
    new = compare_pairs([(a.drop(index=i), b) for a, b in pairs(frame, rng)])
    assert new.ok
    assert [e.base for e in new.ended] == ["absent"]
    failed = pairs(frame, rng)
    failed[1][1].loc[j, "status"] = "crashed"
    found = compare_pairs(failed)
    assert not found.ok
    assert found.ended[0].head == "crashed"
    lost = pairs(frame, rng)
    for _, head in lost:
        head.loc[j, "ndcg_at_10"] = math.nan
    assert "no such figure" in compare_pairs(lost).of("regressed")[0].detail


def test_limits_are_read_and_bad_ones_refused(frame):
    assert limits(["latency_ms_p95=15%"])["latency_ms_p95"].margin == pytest.approx(0.15)
    assert limits(["ndcg_at_10=0.005"])["ndcg_at_10"].margin == pytest.approx(0.005)
    assert set(LIMITS) - set(limits(["build_seconds=off"])) == {"build_seconds"}
    for bad, words in (
        ("latency_ms_p59=1%", "did you mean 'latency_ms_p"),
        ("latency_ms_p95", "is no limit"),
        ("latency_ms_p95=much", "is no limit"),
    ):
        with pytest.raises(UsageError, match=words):
            limits([bad])
    with pytest.raises(UsageError, match="nothing to compare"):
        limits([f"{name}=off" for name in LIMITS])
    rng = np.random.default_rng(9)
    made = [(a, b.assign(ndcg_at_10=b["ndcg_at_10"] - 0.003)) for a, b in pairs(frame, rng)]
    assert not compare_pairs(made).ok
    assert compare_pairs(made, limits(["ndcg_at_10=0.005"])).ok


def test_no_pair_and_other_data_are_refused(frame):
    with pytest.raises(UsageError, match="no whole process pair"):
        compare_pairs([])
    with pytest.raises(UsageError, match="not the same in both"):
        compare_pairs([(frame, frame.assign(dataset_fingerprint="other"))])


def test_two_results_say_what_their_ratios_cannot_see(frame):
    found = compare(frame, frame)
    assert found.ok
    assert "cannot be seen" in found.notes[0]
    slower = frame.copy()
    for column in ("speedup_vs_exact", "speedup_vs_exact_low", "speedup_vs_exact_high"):
        slower.loc[slower["backend"] == "faiss-hnsw", column] /= 3
    assert any(f.subject == "faiss-hnsw" for f in compare(frame, slower).of("regressed"))
    elsewhere = compare(frame, slower.assign(machine="another"))
    assert elsewhere.ok
    assert "speed is not compared" in elsewhere.notes[0]


def test_shrunken_variances_cover():
    """95 % intervals from four pairs hold the truth, whether variances are alike or not."""
    rng = np.random.default_rng(10)
    for prior_degrees in (4.0, math.inf):
        held, widths = [], []
        for _ in range(200):
            scale = 1.0 if math.isinf(prior_degrees) else prior_degrees
            variances = (
                np.ones(22)
                if math.isinf(prior_degrees)
                else scale / rng.chisquare(prior_degrees, 22)
            )
            effects = rng.normal(0, np.sqrt(variances)[:, None], (22, 4))
            for estimate in moderated(effects):
                low, high = estimate.interval()
                held.append(low < 0 < high)
                widths.append(high - low)
        assert 0.93 < np.mean(held) < 0.97
        plain = 2 * stats.t.ppf(0.975, 3) * np.sqrt(np.median(variances) / 4)
        assert np.median(widths) < plain


def test_the_prior_is_found_again():
    rng = np.random.default_rng(11)
    variances = 0.5 * 6 / rng.chisquare(6, 4000) * rng.chisquare(4, 4000) / 4
    degrees, variance = prior_variance(variances, np.full(4000, 4.0))
    assert degrees == pytest.approx(6, rel=0.2)
    assert variance == pytest.approx(0.5, rel=0.1)
    assert prior_variance(np.zeros(5), np.full(5, 4.0)) == (0.0, 0.0)


def test_estimates_agree_with_scipy():
    sample = np.random.default_rng(12).normal(0.1, 1, 9)
    (estimate,) = moderated(sample[None])
    expected = stats.ttest_1samp(sample, 0.0, alternative="greater")
    assert estimate.p_above(0.0) == pytest.approx(expected.pvalue)
    assert estimate.interval() == pytest.approx(
        tuple(stats.ttest_1samp(sample, 0).confidence_interval())
    )
    assert moderated(np.array([[1.0, math.nan]])) == [None]
    zero = Estimate(0.0, 0.0, 4.0, 5)
    assert zero.p_above(0.0) == zero.p_below(0.0) == 1.0
    assert zero.p_below(0.1) == 0.0


def test_more_pairs_would_tell():
    """As many more pairs as it says bring the interval clear of the value, about."""
    estimate = Estimate(0.05, 0.04, 20.0, 5)
    more = estimate.more_pairs(0.1, 0.025)
    error = 0.04 * math.sqrt(5 / (5 + more))
    assert error * stats.t.ppf(0.975, 20) == pytest.approx(0.05, rel=0.1)
    assert Estimate(0.1, 0.04, 20.0, 5).more_pairs(0.1, 0.025) == 200


def test_a_loss_says_how_many_queries_it_is_of(frame, measured, tmp_path):
    queries = load_queries(measured)
    i = row_of(frame, "faiss-flat")
    own = queries.index[queries["trial_id"] == frame.loc[i, "trial_id"]]
    frames, folders = [], []
    for name, scores in (("base", [1, 1, 1, 0.2]), ("head", [0, 0, 0, 1])):
        folder = tmp_path / name
        folder.mkdir()
        queries.loc[own, "ndcg_at_10"] = 0.5
        queries.loc[own[:4], "ndcg_at_10"] = scores
        queries.to_parquet(folder / "queries.parquet")
        made = frame.copy()
        made.loc[i, "ndcg_at_10"] = queries.loc[own, "ndcg_at_10"].mean()
        frames.append(made)
        folders.append(folder)
    base, head = frames
    found = with_queries(compare(base, head), (base, head), tuple(folders))
    (finding,) = found.of("regressed")
    assert finding.detail == f"3 of {len(own)} queries lost, 1 gained"
    nothing = with_queries(compare(base, head), (base, head), (folders[0], tmp_path / "none"))
    assert nothing.of("regressed")[0].detail == ""


def test_the_suite_itself_is_compared(frame):
    rng = np.random.default_rng(13)
    made = pairs(frame, rng)
    suite = [
        ({"import_seconds": a}, {"import_seconds": 2 * b})
        for a, b in 0.3 * np.exp(rng.normal(0, 0.03, (5, 2)))
    ]
    (finding,) = compare_pairs(made, suite=suite).of("regressed")
    assert (finding.subject, finding.figure) == ("the suite", "import_seconds")
    assert compare_pairs(made, suite=suite).compared == compare_pairs(made).compared
