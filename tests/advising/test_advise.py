"""The whole of it: from vectors to an answer, on a corpus whose prefixes are good by construction."""

import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import bench
from bench.advising.plan import PLAN
from bench.advising.search import _AT_ONCE
from bench.advising.wanted import Wanted
from bench.analysis.money import load_prices
from bench.errors import UsageError
from bench.results.store import load
from bench.study.plan import EXACT

SECONDS = 40.0


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A folder of 900 vectors of 32 dimensions whose last half is noise, with 300 queries."""
    folder = tmp_path_factory.mktemp("advised")
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(32) < 16, 1.0, 0.05).astype(np.float32)
    corpus = rng.standard_normal((900, 32)).astype(np.float32) * scale
    queries = corpus[:300] + 0.5 * rng.standard_normal((300, 32)).astype(np.float32) * scale
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", queries)
    (folder / "qrels").mkdir()
    lines = "".join(f"{i}\t{i}\t1\n" for i in range(300))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def asked(vectors, out, seconds=SECONDS):
    return bench.advise(
        f"vectors:{vectors}",
        None,
        Wanted(keep=0.95),
        out=out,
        backends=["faiss-flat", "faiss-ivf"],
        seconds=seconds,
        progress=False,
    )


@pytest.fixture(scope="module")
def advised(vectors, tmp_path_factory):
    """The answer for 95 % of the quality, and its results folder."""
    out = tmp_path_factory.mktemp("out") / "results"
    found = asked(vectors, out)
    return found, out


def test_the_answer_is_small_and_keeps_what_was_asked(advised):
    found, out = advised
    assert found.choice is not None
    assert found.choice.kept.low >= 0.95
    assert found.choice.bytes_per_vector < found.baseline.bytes_per_vector / 4
    assert found.baseline.configuration == "faiss-flat 32 d"
    row = load(out).set_index("trial_id").loc[found.choice.trial_id]
    assert row["latency_ms_p50"] == pytest.approx(found.choice.latency_ms_p50)


def test_the_first_index_of_a_backend_does_not_read_from_disk(advised):
    """Its bytes show that those which do cannot win: each would take many times as long."""
    rows = load(advised[1])
    rows = rows[rows["backend"] == "faiss-ivf"]
    assert len(rows)
    first = rows[rows["started_at"] == rows["started_at"].min()]
    assert not first["stages"].fillna("").str.contains("disk").any()


def test_the_cheaper_one_that_fell_short_is_smaller_and_keeps_less(advised):
    found, out = advised
    other = load(out).set_index("trial_id").loc[found.fell_short.trial_id]
    # A rescore is measured with the vectors in memory; the answer says what it finds from disk.
    held = 4 * 32 if other["stages"] else 0
    size = other["bytes_per_vector"] - held
    assert size < found.choice.bytes_per_vector
    assert f"({size:,.0f} bytes)" in found.fell_short.why
    assert ("from disk" in found.fell_short.configuration) == bool(other["stages"])
    assert found.fell_short.trial_id not in {o.trial_id for o in found.runners_up}


def test_the_sentences_say_what_the_json_says(advised):
    found, out = advised
    text = "\n".join(found.lines())
    assert found.choice.configuration in text
    assert "2.5 %" in text
    kept = json.loads((out / "advice.json").read_text())
    assert kept["choice"]["trial_id"] == found.choice.trial_id
    assert kept["sentences"] == found.lines()
    assert kept["choice"]["trial"]["backend"] == found.choice.trial["backend"]


def test_the_plan_is_a_study_that_measures_the_same_trials_and_what_time_cut_off(advised):
    _, out = advised
    study = tomllib.loads((out / PLAN).read_text())
    assert study["sweep"] == "bisect"
    before = load(out)
    after = bench.run(out / PLAN, out, progress=False)
    assert set(before["trial_id"]) <= set(after["trial_id"])
    # On a busy machine time cuts off the end of what has no clock, and of the last indexes: no more.
    last = [(t["backend"], t["dimensions"]) for t in study["configurations"][-_AT_ONCE:]]
    cut = after[~after["trial_id"].isin(before["trial_id"])]
    assert set(zip(cut["backend"], cut["dim"], strict=True)) - {*last} <= {
        (EXACT, dim) for dim in study["dimensions"]
    }
    again = bench.run(out / PLAN, out, progress=False)
    assert set(again["trial_id"]) == set(after["trial_id"])


def test_the_same_call_again_keeps_what_was_measured_and_answers_the_same(advised, vectors):
    found, out = advised
    before = load(out)
    again = asked(vectors, out, seconds=5)
    after = load(out)
    assert set(before["trial_id"]) <= set(after["trial_id"])
    # Of equals, that is chosen which happens to be timed faster.
    same = pytest.approx(found.choice.bytes_per_vector, rel=0.1)
    assert again.choice.bytes_per_vector == same


def test_a_folder_of_another_share_is_refused(advised, vectors):
    _, out = advised
    with pytest.raises(UsageError, match=r"95\.0% of the quality: choose another --out"):
        bench.advise(f"vectors:{vectors}", None, Wanted(keep=0.5), out=out, progress=False)


def test_limits_that_cannot_be_kept_are_named_with_the_distance(advised, vectors):
    _, out = advised
    found = bench.advise(
        f"vectors:{vectors}",
        None,
        Wanted(keep=0.95, max_memory=100),
        out=out,
        backends=["faiss-flat"],
        seconds=SECONDS,
        progress=False,
    )
    assert found.choice is None
    assert "above the limit of 100 bytes" in found.binding
    assert found.lines()[0].startswith("Nothing measured fits.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "2"], "--keep is a share"),
        (["--budget", "soon"], "'soon' is not a time"),
        (["--max-memory", "much"], "'much' is not a size"),
        (["--documents", "x"], "'x' is not a number of documents"),
        (["--backends", "faiss-flatt"], "did you mean 'faiss-flat'"),
        (["--prices", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, vectors, tmp_path):
    command = [sys.executable, "-m", "bench", "advise", f"vectors:{vectors}", *arguments]
    command += ["--out", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_price_list_without_a_price_is_refused(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text('name = "x"\ndate = "2026-01-01"\nmemory_gib_month = 1\ndisk_gib_month = 1\n')
    with pytest.raises(UsageError, match="vcpu_hour"):
        load_prices(path)


def test_where_the_queries_can_show_nothing_the_full_dimension_is_recommended(vectors, tmp_path):
    found = bench.advise(
        f"vectors:{vectors}",
        None,
        Wanted(keep=0.9999),
        out=tmp_path / "results",
        backends=["faiss-flat"],
        seconds=10,
        progress=False,
    )
    assert found.choice is not None
    assert found.choice.trial_id == found.baseline.trial_id
    assert "compared with" in found.lines()[1]


def test_a_time_that_encoding_uses_up_is_one_clear_line(vectors, tmp_path):
    with pytest.raises(UsageError, match="over before anything was measured; encoded vectors"):
        bench.advise(f"vectors:{vectors}", None, out=tmp_path / "o", seconds=1e-3, progress=False)
