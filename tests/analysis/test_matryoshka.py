"""Is it a Matryoshka model: the verdict, its numbers and its words."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

import bench
from bench.analysis.certainty import Certainty
from bench.analysis.matryoshka import IN_PART, NOT_SHOWN, UNKNOWN, YES, verdict, with_projection
from bench.analysis.published import published
from bench.analysis.worth import found_steps, steps
from bench.errors import NothingToShow
from bench.results.store import load_queries
from tests.experiments.trained_dimensions import model, steps_of


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    """Results on vectors whose first coordinates matter most, the last ones least."""
    folder, rng = tmp_path_factory.mktemp("ordered"), np.random.default_rng(0)
    spread = np.linspace(2, 0.1, 32) ** 2
    corpus = (rng.standard_normal((400, 32)) * spread).astype(np.float32)
    asked = rng.choice(400, 150, replace=False)
    queries = corpus[asked] + rng.standard_normal((150, 32)).astype(np.float32)
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", queries.astype(np.float32))
    (folder / "qrels").mkdir()
    lines = "".join(f"{q}\t{d}\t1\n" for q, d in enumerate(asked))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    study = f"""
        name = "ordered"
        dataset = "vectors:{folder}"
        dimensions = [4, 8, 16, 24, 32]
        reducers = ["truncate", "pca", "trailing"]
        repeats = 1
        [[configurations]]
        backend = "faiss-flat"
        dimensions = [32]
    """
    (folder / "study.toml").write_text(study)
    bench.run(folder / "study.toml", folder / "results", progress=False)
    return folder / "results"


@pytest.fixture
def answer(ordered):
    (found,) = verdict(bench.load(ordered), load_queries(ordered))
    return found


def test_an_ordered_model_is_one(answer):
    assert answer.word == YES
    assert answer.sentence.startswith("At 400 documents truncation to 4, 8")
    assert "better than chance" in answer.sentence
    last = next(line for line in answer.reasons if line.startswith("Against the last as many"))
    assert "better at 4, 8, 16 and 24 d" in last
    assert "luck of those coordinates" in last


def test_words_are_holms_over_the_ranks(ordered, answer):
    frame = bench.load(ordered)
    rows = frame[(frame["backend"] == "exact") & (frame["reducer"] == "truncate")]
    rows = rows[rows["dim"] < 32].set_index("dim").sort_index()
    shown = multipletests(rows["subsets_p_better"], alpha=0.05, method="holm")[0]
    assert (answer.table["against_subsets"] == "better").tolist() == shown.tolist()


def test_differences_are_paired_by_query_and_bounded_at_once(ordered, answer):
    frame, queries = bench.load(ordered), load_queries(ordered)
    held = Certainty(frame, queries)
    exact = frame[frame["backend"] == "exact"].set_index(["reducer", "dim"])["trial_id"]
    for reducer in ("pca", "trailing"):
        for dim in (4, 8, 16, 24):
            row = answer.table.loc[dim]
            trials = exact["truncate", dim], exact[reducer, dim]
            one, other = (
                queries[queries["trial_id"] == t].set_index("query_id")["ndcg_at_10"]
                for t in trials
            )
            assert row[f"{reducer}_difference"] == pytest.approx((one - other).mean())
            alone = held.differences([trials])
            assert row[f"{reducer}_low"] <= alone.low[0] + 1e-9
            assert row[f"{reducer}_high"] >= alone.high[0] - 1e-9


def test_the_words_follow_the_ranks(ordered):
    frame, queries = bench.load(ordered), load_queries(ordered)
    is_ranked = frame["subsets"].notna()

    def asked(values):
        changed = frame.copy()
        changed.loc[is_ranked, "subsets_p_better"] = changed.loc[is_ranked, "dim"].map(values)
        return verdict(changed, queries)[0]

    none = asked({4: 0.3, 8: 0.2, 16: 0.16, 24: 0.5})
    assert none.word == NOT_SHOWN
    assert "at any of 4, 8, 16 and 24 d (the least p = .16 is at 16 d" in none.sentence
    some = asked({4: 0.16, 8: 0.005, 16: 0.005, 24: 0.005})
    assert some.word == IN_PART
    assert "truncation to 8, 16 and 24 d is better than chance (p ≤ .005)" in some.sentence
    assert "at 4 d it is not shown to be (p = .16;" in some.sentence
    unranked = frame.copy()
    unranked.loc[:, "subsets"] = np.nan
    (unknown,) = verdict(unranked, queries)
    assert unknown.word == UNKNOWN
    assert unknown.steps == []


def test_a_prefix_is_worth_as_many_random_coordinates_as_reach_its_quality():
    dims, median, spread = np.array([10, 20, 30, 40]), np.array([0.1, 0.2, 0.3, 0.4]), 0.01
    quality = np.array([0.15, 0.22, 0.28, 0.4])
    found = found_steps(dims, quality, median, np.array([spread] * 3 + [0]))
    assert [round(step.worth) for step in found] == [15, 22, 28]
    assert [round(step.before, 2) for step in found] == [1.5, 0.7, 0.6]
    assert [round(step.after, 2) for step in found] == [0.7, 0.6, 1.2]
    assert [step.shown for step in found] == [True, False, False]
    rng = np.random.default_rng(0)
    noise = np.column_stack([spread * rng.standard_normal((100_000, 3)), np.zeros(100_000)])
    worth = np.array([np.interp(row, median, dims) for row in quality + noise])
    per = np.diff(worth, axis=1, prepend=0) / 10
    sd = (per[:, 0] - per[:, 1]).std()
    assert found[0].p_value == pytest.approx(norm.sf(0.8 / sd), rel=0.1)
    plain = found_steps(dims, median, median, np.array([spread] * 3 + [0]))
    assert [round(step.before, 2) for step in plain] == [1, 1, 1]
    assert not any(step.shown for step in plain)


@pytest.mark.slow
def test_the_trained_dimension_of_a_known_model_is_found_and_no_other():
    shown = {seed: [s.dim for s in steps_of(*model((16,), seed)) if s.shown] for seed in range(3)}
    assert list(shown.values()) == [[16]] * 3
    assert not any(s.shown for s in steps_of(*model((), 0)))


def test_without_an_exact_pass_at_the_full_dimension_nothing_is_said_of_steps(ordered):
    frame = bench.load(ordered)
    assert len(steps(frame)) == 4
    assert steps(frame[~((frame["backend"] == "exact") & (frame["dim"] == 32))]) == []


def projected(rows, answer):
    columns = ["reducer", "reducer_params", "dim", "documents", "kept", "kept_low", "kept_high"]
    named = {"dataset": answer.dataset, "encoder": answer.encoder, "precision": "float32"}
    return pd.DataFrame(rows, columns=columns).assign(refused="", **named)


def test_the_second_sentence_is_of_the_size_projected(answer):
    assert answer.projected == ""
    rows = [
        ("truncate", "", 4, 400, 0.9, 0.9, 0.9),
        ("truncate", "", 4, 4000, 0.5, 0.45, 0.55),
        ("truncate", "", 8, 4000, 0.8, 0.75, 0.85),
        ("pca", "{}", 4, 4000, 0.7, 0.65, 0.75),
        ("pca", "{}", 8, 4000, 0.6, 0.55, 0.65),
        ("pca", '{"whiten": true}', 8, 4000, 0.9, 0.89, 0.91),
    ]
    text = with_projection(answer, projected(rows, answer)).projected
    assert text == (
        "At 4,000 documents, 10 times as many as measured, truncation is expected to keep "
        "4 d 50% [45%, 55%], 8 d 80% [75%, 85%]; against PCA its bounds lie above it at 8 d and "
        "below it at 4 d."
    )
    for changed in ({"refused": "too far"}, {"dataset": "another"}, {"precision": "binary"}):
        other = projected(rows, answer).assign(**changed)
        assert with_projection(answer, other) == answer
    assert with_projection(answer, None) == answer


def test_published_curves_name_their_source_and_keep_shares():
    for curve in published():
        assert all((curve.source, curve.read, curve.metric))
        assert max(curve.kept) == max(curve.scores)
        assert curve.kept[max(curve.scores)] == 1
        assert list(curve.scores) == sorted(curve.scores, reverse=True)
    nomic = next(curve for curve in published() if curve.model.startswith("nomic"))
    assert nomic.kept[64] == pytest.approx(56.10 / 62.28)
    assert nomic.is_of("st:nomic-ai/nomic-embed-text-v1.5")
    assert not nomic.is_of("wordllama")


def test_synthetic_vectors_have_no_verdict(ordered):
    frame = bench.load(ordered).assign(synthetic=True)
    with pytest.raises(NothingToShow, match="no verdict"):
        verdict(frame, load_queries(ordered))


def test_the_command_and_the_page_say_what_the_function_says(ordered, answer):
    def run(*arguments):
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert answer.sentence in run("verdict", str(ordered))
    (found,) = json.loads(run("verdict", str(ordered), "--json"))
    assert found["matryoshka"] == "yes"
    assert [row["dim"] for row in found["dimensions"]] == [4, 8, 16, 24]
    page = bench.write_report(ordered).read_text(encoding="utf-8")
    assert "Is it a Matryoshka model? yes" in page
    assert answer.sentence in page
    assert "trailing, [95 %]" in page
    assert "nomic-embed-text-v1.5" in page


def test_smaller_parts_of_a_corpus_have_no_verdict_of_their_own(frame, measured):
    queries = load_queries(measured)
    part = frame.assign(dataset=frame["dataset"] + "@300", n_corpus=300)
    whole = verdict(frame, queries)
    both = verdict(pd.concat([frame, part], ignore_index=True), queries)
    assert [each.dataset for each in both] == [each.dataset for each in whole]
