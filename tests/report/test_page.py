"""The page's data and tables are those of the results; nothing comes from outside."""

import base64
import gzip
import html
import json
import re

import altair as alt
import jsonschema
import numpy as np
import pandas as pd
import pytest
import vl_convert

from bench import recommend
from bench.analysis.at_size import AtSize
from bench.analysis.certainty import Certainty
from bench.analysis.labels import labels
from bench.analysis.sizing import sizing_table
from bench.analysis.summary import summarise, summary_of
from bench.analysis.tables import curves, dimension_table, front, truncation, worth_showing
from bench.docs import PAGE_SCHEMA_FILE, page_schema
from bench.errors import UsageError
from bench.projection import project_folder
from bench.report.at_size import at_size
from bench.report.page.build import Folder, document
from bench.report.page.charts.bars import RANKS
from bench.report.page.thinning import MOST_ROWS, thinned
from bench.report.writing import report_data, write_report
from bench.results.rows import exact_rows, pareto, plain, timed
from bench.results.store import load, load_queries
from tests.pages import page_of
from tests.parts import with_parts


@pytest.fixture(scope="module")
def page(measured):
    return page_of(measured, summarise(measured))


@pytest.fixture(scope="module")
def result(answers):
    (found,) = report_data([answers]).results
    return found


def table_of(page, title):
    """Return the cells of the table under the heading that begins with `title`, heads first."""
    found = re.search(rf"<h3>{re.escape(title)}.*?</h3>.*?<table>(.*?)</table>", page, re.DOTALL)
    assert found, title
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [
        [html.unescape(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
    ]


def numbers(cell):
    """Return the numbers of a cell: of ``0.344 [0.320, 0.368]`` three."""
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*(?<!,)", cell)]


def column(result, name):
    """Return a column of numbers of the page's rows, with NaN for null."""
    return np.array([np.nan if v is None else v for v in result.runs.numbers[name]], dtype=float)


def texts(result, name):
    """Return a column of texts of the page's rows."""
    held = result.runs.texts[name]
    return [held.values[code] for code in held.codes]


# ------------------------------------------------------------------------------- static tables


def test_the_dimension_table_has_the_values_of_the_frame(frame, page):
    (_, *heads), *rows = table_of(page, "What a dimension costs")
    table = dimension_table(frame)
    own, subset = truncation(table), curves(table)["random_subset"]
    assert len(rows) == len(own)
    for dim, *cells in rows:
        row, control = own.loc[int(dim)], subset.loc[int(dim)]
        expected = {
            "truncation [95 %]": [row["quality"], row["low"], row["high"]],
            "keeps % [95 %]": [
                100 * row[name] for name in ("retained", "retained_low", "retained_high")
            ],
            "random subset, least–most": [control["quality"], control["low"], control["high"]],
            "bytes": [row["bytes"]],
        }
        shown = dict(zip(heads, cells, strict=True))
        for head, values in expected.items():
            digits = 0.0501 if "keeps" in head else 0.000501
            assert numbers(shown[head]) == pytest.approx(values, abs=digits), (dim, head)


def test_the_front_has_the_values_of_the_frame(frame, page):
    (_, *heads), *rows = table_of(page, "Pareto-optimal")
    best, named = worth_showing(front(frame)), labels(frame)
    assert [row[0] for row in rows] == list(named[best.index])
    columns = {
        "nDCG@10": ("ndcg_at_10", 0.000501),
        "recall": ("ann_recall_at_10", 0.000501),
        "p50 ms": ("latency_ms_p50", 0.000501),
        "p95 ms": ("latency_ms_p95", 0.000501),
        "QPS": ("qps", 0.501),
        "bytes": ("bytes_per_vector", 0.501),
    }
    for (_, *cells), (_, trial) in zip(rows, best.iterrows(), strict=True):
        shown = dict(zip(heads, cells, strict=True))
        for head, (name, digits) in columns.items():
            assert numbers(shown[head])[0] == pytest.approx(trial[name], abs=digits), head
        kept = [100 * trial[f"retained_ndcg_at_10{end}"] for end in ("", "_low", "_high")]
        assert numbers(shown["keeps % [95 %]"]) == pytest.approx(kept, abs=0.0501)


def test_nothing_comes_from_outside(page):
    assert not re.search(r'(src|href)\s*=\s*"(https?:)?//', page)
    head = page[: page.index("<script")]
    assert not re.search(r"<(img|iframe)\b|<script[^>]+src|@import|url\(", head)
    assert re.findall(r"<link[^>]+>", page) == ['<link rel="icon" href="data:,">']


def test_the_page_says_what_is_kept_at_other_sizes_and_why_not_beyond(measured, frame, page):
    projected = project_folder(measured, frame)
    found = at_size(frame, projected)
    assert found.table is None  # too few queries to go on from 600 documents
    assert "40 queries are too few" in found.text
    assert found.text in page
    larger = projected.assign(documents=projected["documents"] * 100, refused="")
    larger.loc[larger["times_beyond"] > 1, ["kept", "kept_low", "kept_high"]] = 0.5, 0.4, 0.6
    found = at_size(frame, larger)
    assert found.table.headings == (
        "dim",
        *(f"{n} documents" for n in ("10,000", "100,000", "1 million")),
    )
    assert found.table.rows[0][2] == "50.0 [40.0, 60.0]"
    assert "projected" in found.text


def test_growth_and_cost_have_the_values_of_the_fits(measured, frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.37, "faiss-flat": 1.0}, build=1.21)
    found = summary_of(made, load_queries("nowhere"))
    assert [section.dataset for section in found.sections] == [frame["dataset"].iloc[0]]
    page = page_of(measured, found)
    heads, *rows = table_of(page, "How each index grows")
    table = sizing_table(made)
    assert len(rows) == len(table)
    for cells, (_, row) in zip(rows, table.iterrows(), strict=True):
        shown = dict(zip(heads, cells, strict=True))
        assert shown["index"].startswith(f"{row['backend']} {row['precision']}")
        slope, constant, error = numbers(shown["bytes per vector"])
        assert slope == pytest.approx(row["bytes_per_code_byte"], rel=0.01)
        assert constant == pytest.approx(abs(row["bytes_beyond"]), abs=0.051)
        assert error == pytest.approx(row["bytes_error"], abs=0.051)
        power = 0.37 if row["backend"] == "faiss-hnsw" else 1.0
        assert shown["latency grows as"] == f"n^{power:.2f}, 0% off"
        assert shown["build grows as"] == "n^1.21, 0% off"
    assert "Fitted from 100, 200, 600 documents." in page


def test_the_cost_of_the_configuration_chosen_is_that_at_each_size(measured, frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.37, "faiss-flat": 1.0})
    found = summary_of(made, load_queries(measured), retain=0.7)
    (decision,) = found.recommendations
    title = f"What {decision.configuration} costs at other sizes"
    heads, *rows = table_of(page_of(measured, found), title)
    assert [numbers(row[0])[0] for row in rows] == [10_000 * 10**i for i in range(5)]
    for cells in rows:
        shown = dict(zip(heads, cells, strict=True))
        n = numbers(shown["documents"])[0]
        power = 0.37 if decision.trial["backend"] == "faiss-hnsw" else 1.0
        ms = decision.trial["latency_ms_p50"] * (n / 600) ** power
        assert numbers(shown["p50 ms"])[0] == pytest.approx(ms, rel=0.01)
        money = 3.5 * n * decision.trial["bytes_per_vector"] / 2**30
        money += 10 * ms / 1e3 / 0.5 * 0.04 * 730
        assert numbers(shown["$ per month"])[0] == pytest.approx(money, rel=0.01, abs=0.0051)


def test_without_sizes_the_page_says_that_growth_is_assumed(page):
    _, *rows = table_of(page, "How each index grows")
    assert all(cell.endswith(", assumed") for row in rows for cell in row[2:])
    assert "corpus_sizes measures it" in page


# ---------------------------------------------------------------------------------- the data


def test_the_data_of_the_page_are_those_of_its_schema(answers, tmp_path):
    data = report_data([answers])
    page = write_report(answers, tmp_path / "page.html").read_text()
    packed = re.search(r'id="data">([^<]+)</script>', page)[1]
    held = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert held == json.loads(data.model_dump_json())
    jsonschema.validate(held, json.loads(PAGE_SCHEMA_FILE.read_text()))
    assert page_schema() == PAGE_SCHEMA_FILE.read_text(), "make docs writes it"


def test_every_row_has_the_figures_of_its_trial(answers, result):
    frame = load(answers).set_index("trial_id")
    ids = texts(result, "trial_id")
    assert len(ids) == len(set(ids)) == result.runs.total
    rows = frame.loc[ids]
    assert set(timed(load(answers))["trial_id"]) <= set(ids)
    for name in ("latency_ms_p50", "bytes_per_vector", "ann_recall_at_10", "dim", "qps"):
        assert column(result, name) == pytest.approx(
            rows[name].to_numpy(float), rel=1e-5, nan_ok=True
        )
    assert column(result, "quality") == pytest.approx(rows["ndcg_at_10"].to_numpy(float), rel=1e-5)
    assert texts(result, "backend") == rows["backend"].tolist()


def test_the_bounds_of_timed_rows_hold_for_all_at_once(answers, result):
    frame = load(answers)
    kept = Certainty(frame, load_queries(answers)).kept(timed(frame))
    by_trial = kept.set_index(timed(frame)["trial_id"])
    low = dict(zip(texts(result, "trial_id"), column(result, "low"), strict=True))
    assert {t: low[t] for t in by_trial.index} == by_trial["low"].to_dict()


def test_what_is_kept_at_other_sizes_is_what_recommend_uses(answers, result):
    frame, queries = load(answers), load_queries(answers)
    (group,) = result.groups
    assert {1_000, 10_000, 1_000_000, group.n_corpus} <= set(group.sizes)
    places = dict(zip(texts(result, "trial_id"), result.runs.numbers["alike"], strict=True))
    for size in (1_000, 20_000, 10**9):
        at, known = AtSize(frame, queries, size), 0
        for row in timed(frame).to_dict("records"):
            factor = at.change(row).factor
            shown = group.factors[places[row["trial_id"]]][group.sizes.index(size)]
            if factor > 0:
                assert shown == pytest.approx(min(1.0, factor), rel=1e-12)
                known += 1
            else:
                assert shown is None
        assert known


def test_the_queries_that_lose_most_come_first(answers, result):
    (group,) = result.groups
    for dim, lost in group.lost.items():
        assert dim < group.full_dim
        losses = [each.quality - each.quality_short for each in lost]
        assert losses == sorted(losses, reverse=True)
        assert min(losses) > 0
        assert all(each.text for each in lost)
    (without,) = report_data([answers], texts=False).results
    assert not any(each.text for lost in without.groups[0].lost.values() for each in lost)


def test_the_chart_of_ranks_counts_queries(answers, result):
    frame, queries = load(answers), load_queries(answers)
    chart = next(c for c in result.groups[0].charts if c.name == "rank_shift")
    exact = plain(exact_rows(frame))
    for dim, trial in zip(exact["dim"], exact["trial_id"], strict=True):
        ranks = queries.loc[queries["trial_id"] == trial, "first_relevant_rank"]
        bins = pd.cut(ranks, [0, 1, 3, 10, 100, np.inf], labels=[*RANKS])
        shown = {r["series"]: r["share"] for r in chart.rows if r["dim"] == dim}
        expected = bins.value_counts(normalize=True).to_dict()
        assert shown == pytest.approx(expected, rel=1e-5)


def test_every_chart_is_a_specification_that_draws_its_rows(result):
    charts = result.groups[0].charts
    assert len(charts) >= 5
    for chart in charts:
        spec = chart.spec | {"datasets": chart.spec.get("datasets", {}) | {"rows": chart.rows}}
        assert alt.Chart.from_dict(spec | {"width": 400})
        drawn = vl_convert.vegalite_to_svg(json.dumps(spec | {"width": 400}))
        assert drawn.count("<path") > len(chart.rows) / 4
        assert set(chart.headings) <= set(chart.rows[0])
        assert chart.title in chart.spec["description"]


def test_the_codes_are_those_that_deploy_writes(answers, result):
    frame = load(answers)
    decision = recommend(frame, load_queries(answers))[0]
    assert decision.trial_id in result.programs
    assert len(result.programs) >= 5
    for code in result.programs.values():
        compile(code, "search.py", "exec")
        assert "import bench" not in code


def test_the_study_travels_with_the_page(result):
    assert 'name = "answers"' in result.studies["answers.toml"]


# ----------------------------------------------------------------------------- large results


def enlarged(frame, times):
    """Return the trials with the timed ones repeated, each time with figures of their own."""
    rows, rng = timed(frame), np.random.default_rng(0)
    copies = []
    for i in range(times):
        slower = rng.lognormal(0.2, 0.5, len(rows))
        copies.append(
            rows.assign(
                trial_id=rows["trial_id"] + f"-{i}",
                latency_ms_p50=rows["latency_ms_p50"] * slower,
                latency_ms_p95=rows["latency_ms_p95"] * slower,
                bytes_per_vector=rows["bytes_per_vector"] * rng.lognormal(0.1, 0.2, len(rows)),
                search_params=f'{{"copy": {i}}}',
            )
        )
    return pd.concat([frame, *copies], ignore_index=True)


def test_a_large_table_loses_no_front_and_no_recommendation(answers, monkeypatch):
    frame, queries = load(answers), load_queries(answers)
    large = enlarged(frame, 60)
    copied = queries[queries["trial_id"].isin(timed(frame)["trial_id"])]
    more = [copied.assign(trial_id=copied["trial_id"] + f"-{i}") for i in range(60)]
    all_queries = pd.concat([queries, *more], ignore_index=True)
    monkeypatch.setattr("bench.report.page.thinning.MOST_ROWS", 300)
    read = Folder(answers, summary_of(large, all_queries), project_folder(answers, frame))
    (result,) = document([read]).results
    ids = set(texts(result, "trial_id"))
    assert len(large) > 900 > 500 > len(ids)
    assert result.runs.total > len(ids)
    for facet in ("backend", "precision", "dim"):
        for _, part in timed(large).groupby(facet):
            best = part[pareto(part, ["ndcg_at_10"], ["latency_ms_p50", "bytes_per_vector"])]
            assert set(best["trial_id"]) <= ids
    for objective in ("memory", "latency", "cost"):
        for retain in (0.3, 0.8, 0.95):
            for documents in (None, 1_000, 50_000):
                (found,) = recommend(
                    large, all_queries, retain, documents=documents, objective=objective,
                    max_p95_ms=float(timed(large)["latency_ms_p95"].quantile(0.7)),
                )  # fmt: skip
                assert found.trial_id is None or found.trial_id in ids


def test_few_rows_are_all_kept():
    runs = pd.DataFrame({"timed": [1] * 10})
    assert len(thinned(runs, np.zeros((10, 1)))) == 10 < MOST_ROWS


def test_bad_input_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="there is no results folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        write_report(tmp_path)
