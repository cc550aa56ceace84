"""The page shows the numbers of the table and needs nothing from outside."""

import html
import re

import pandas as pd
import pytest

from bench.analysis.labels import labels
from bench.analysis.sizing import sizing_table
from bench.analysis.summary import summary_of
from bench.analysis.tables import curves, dimension_table, front, truncation, worth_showing
from bench.figures import draw_all
from bench.projection import project_folder
from bench.report.at_size import at_size
from bench.report.drawing import FIGURE_WIDTH, figures_of
from bench.report.page import MOST_TRIALS, render
from bench.report.writing import write_report
from bench.results.rows import exact_rows, timed
from bench.results.store import load_queries
from tests.parts import with_parts


@pytest.fixture
def page(frame):
    return page_of(summary_of(frame, load_queries("nowhere")))


def page_of(found):
    return render(found, figures_of(found.frame))


def table_of(page, title):
    """Return the cells of the table under the heading that begins with `title`, heads first."""
    found = re.search(rf"<h3>{re.escape(title)}.*?</h3>.*?<table>(.*?)</table>", page, re.DOTALL)
    assert found, title
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [[html.unescape(c) for c in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


def numbers(cell):
    """Return the numbers of a cell: of ``0.344 [0.320, 0.368]`` three."""
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*(?<!,)", cell)]


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
            digits = 0.0501 if "%" in head and "keeps" in head else 0.000501
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
        for head, (column, digits) in columns.items():
            assert numbers(shown[head])[0] == pytest.approx(trial[column], abs=digits), head
        kept = [100 * trial[f"retained_ndcg_at_10{end}"] for end in ("", "_low", "_high")]
        assert numbers(shown["keeps % [95 %]"]) == pytest.approx(kept, abs=0.0501)


def test_every_trial_is_listed_once(frame, page):
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    listed = re.findall(r"<td>([^<]*)</td></tr>", body)
    assert sorted(listed) == sorted(frame["trial_id"])


def test_the_page_is_whole_and_safe(frame):
    hostile = frame.assign(dataset="<script>alert(1)</script>")
    page = page_of(summary_of(hostile, load_queries("nowhere")))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert not re.search(r'(src|href)\s*=\s*"(https?:)?//', page)
    assert not re.search(r"<(link|img|iframe)\b|<script[^>]+src|@import", page)


def test_the_page_says_what_is_kept_at_other_sizes_and_why_not_beyond(measured, frame):
    projected = project_folder(measured, frame)
    found = at_size(frame, projected)
    assert found.table is None  # too few queries to go on from 600 documents
    assert "40 queries are too few" in found.text
    page = render(summary_of(frame, load_queries("nowhere")), [], projected)
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


def test_growth_and_cost_have_the_values_of_the_fits(frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.37, "faiss-flat": 1.0}, build=1.21)
    found = summary_of(made, load_queries("nowhere"))
    assert [section.dataset for section in found.sections] == [frame["dataset"].iloc[0]]
    page = page_of(found)
    assert page.count("<h2>") == page_of(summary_of(frame, load_queries("nowhere"))).count("<h2>")
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
    heads, *rows = table_of(page_of(found), f"What {decision.configuration} costs at other sizes")
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
    nothing = summary_of(frame[frame["dim"] < 32], load_queries("nowhere"))
    assert "costs at other sizes" not in page_of(nothing)


def test_without_sizes_the_page_says_that_growth_is_assumed(frame, page):
    _, *rows = table_of(page, "How each index grows")
    assert all(cell.endswith(", assumed") for row in rows for cell in row[2:])
    assert "corpus_sizes measures it" in page


def test_every_figure_is_drawn_for_the_width_of_the_page(frame, page):
    assert re.findall(r'<figure id="(\w+)">', page) == list(draw_all(frame))
    widths = {float(w) for w in re.findall(r'<svg[^>]* width="([\d.]+)pt"', page)}
    assert widths == {72 * FIGURE_WIDTH}
    (rem,) = re.findall(r"max-width: (\d+)rem; margin: 0 auto", page)
    padding = 2
    assert min(16 * float(rem), 1200) - 16 * padding >= 96 * FIGURE_WIDTH


def repeated(frame, times):
    """Return the frame with its timed rows repeated, slower and worse each time."""
    rows = timed(frame)
    copies = [
        rows.assign(
            trial_id=rows["trial_id"] + f"-{i}",
            latency_ms_p50=rows["latency_ms_p50"] * (1 + i / times),
            ndcg_at_10=rows["ndcg_at_10"] * (1 - i / times / 10),
            build_params=f'{{"copy": {i}}}',
        )
        for i in range(1, times + 1)
    ]
    return pd.concat([frame, *copies], ignore_index=True)


def test_a_large_table_is_cut_to_the_best_and_says_so(frame):
    large = repeated(frame, 200)
    page = page_of(summary_of(large, load_queries("nowhere")))
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    listed = re.findall(r"<td>([^<]*)</td></tr>", body)
    assert len(large) > MOST_TRIALS >= len(listed) == len(set(listed))
    assert set(front(large)["trial_id"]) <= set(listed)
    assert set(exact_rows(large)["trial_id"]) <= set(listed)
    for _, part in timed(large).groupby(["backend", "dim"]):
        assert part.loc[part["latency_ms_p50"].idxmin(), "trial_id"] in listed
        assert part["ndcg_at_10"].max() in set(part[part["trial_id"].isin(listed)]["ndcg_at_10"])
    assert f"{len(listed):,} of {len(large):,} trials" in page
    assert f"{len(large) - len(listed):,} others are not" in page
    assert len(page.encode()) < 3e6


def test_figures_drawn_beside_are_the_same_page(measured, tmp_path, monkeypatch):
    alone = write_report(measured, tmp_path / "alone.html").read_text()
    monkeypatch.setattr("bench.report.beside.LEAST_TRIALS", 1)
    monkeypatch.setattr("bench.report.drawing.figures_of", None)  # not drawn in this process
    assert write_report(measured, tmp_path / "beside.html").read_text() == alone


def test_if_the_process_beside_fails_the_figures_are_drawn_here(measured, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.report.beside.LEAST_TRIALS", 1)
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert (
        '<figure id="quality_vs_dimension">'
        in write_report(measured, tmp_path / "page.html").read_text()
    )
