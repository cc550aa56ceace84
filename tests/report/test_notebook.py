"""`Results`: the tables of a folder, and what it shows in a notebook that is run and exported."""

import html
import json
import re
import subprocess
import sys

import pandas as pd
import pytest

import bench
from bench.analysis.labels import labels
from bench.analysis.tables import front, worth_showing
from bench.report.notebook import MOST_OF_FRONT
from bench.results.rows import timed
from bench.results.store import load, load_queries
from tests.report.test_browser import luminance

FRAME = "iframe[title^='Explorer of']"


def in_browser(test):
    """Mark a test for where the page's own run, so that their results are measured once."""
    return pytest.mark.xdist_group("browser")(pytest.mark.needs_browser(test))


LONGEST_OUTPUT = 2_000_000
"""Bytes that one output may add to a notebook."""
OFFLINE = [
    f"--HTMLExporter.{name}=data:text/javascript," for name in ("require_js_url", "mathjax_url")
]
"""The template of nbconvert asks a CDN for these two; nothing else here may ask for anything."""


@pytest.fixture(scope="module")
def results(measured):
    return bench.Results(measured)


def test_the_tables_are_those_of_load(results, measured):
    pd.testing.assert_frame_equal(results.trials, load(measured))
    pd.testing.assert_frame_equal(results.queries, load_queries(measured))
    assert results.folder == measured
    assert results.other_machines == []
    assert bench.Results(measured / "trials.parquet").folder == measured


def test_it_recommends_as_recommend_does(results, measured):
    asked = {"retain": 0.8, "objective": "latency", "documents": 2_000}
    expected = bench.recommend(load(measured), load_queries(measured), **asked)
    assert [each.lines() for each in results.recommend(**asked)] == [e.lines() for e in expected]
    (own,), (read,) = results.summary.recommendations, bench.summarise(measured).recommendations
    assert own.lines() == read.lines()
    assert results.summary is results.summary


def test_the_front_is_undominated(results):
    rows, found = timed(results.trials), results.front()
    assert len(found)
    assert list(found.columns) == list(results.trials.columns)
    costs = rows[["latency_ms_p50", "bytes_per_vector"]].assign(worse=-rows["ndcg_at_10"])
    for i, own in costs.iterrows():
        beaten = ((costs <= own).all(axis=1) & (costs < own).any(axis=1)).any()
        assert beaten != (i in found.index)


def test_it_says_in_a_few_lines_what_was_measured(results):
    text = repr(results)
    assert f"{len(results.trials)} trials" in text
    assert "600 documents, 40 queries, 32 dimensions" in text
    assert "nan" not in text
    assert len(text.splitlines()) == 3


def test_a_folder_without_trials_is_refused(tmp_path):
    with pytest.raises(bench.UsageError, match="no measured trial"):
        bench.Results(tmp_path)
    with pytest.raises(bench.UsageError, match="no results folder"):
        bench.Results(tmp_path / "nowhere")


def test_the_whole_page_is_saved(results, tmp_path):
    path = results.save_page(tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    assert '<body class="embedded">' not in path.read_text("utf-8")


def test_an_output_is_whole_and_not_too_long(results):
    shown = results._repr_html_()
    assert len(json.dumps(shown)) < LONGEST_OUTPUT
    assert results.recommend()[0].why in html.unescape(shown)
    (page,) = re.findall(r'srcdoc="([^"]*)"', shown)
    page = html.unescape(page)
    assert '<body class="embedded">' in page
    for text in (shown.replace("srcdoc=", ""), page):
        assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)""", text)
        assert not re.search(r"@import|url\(", text)


def test_quality_without_times_is_shown_too(measured):
    found = bench.Results(measured)
    found.trials = found.trials[found.trials["backend"] == "exact"].reset_index(drop=True)
    shown = found._repr_html_()
    assert "What a dimension costs" in shown
    assert found.front().empty


HOSTILE = "</iframe></td><script>parent.broken=1</script><img src=x onerror=parent.broken=1>\"'>"


@in_browser
def test_names_out_of_data_are_text(chromium, answers, tmp_path):
    found = bench.Results(answers)
    found.trials = found.trials.assign(dataset=HOSTILE, encoder=HOSTILE, study=HOSTILE)
    path = tmp_path / "hostile.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{found._repr_html_()}", "utf-8")
    page, frame, seen = opened(chromium, path)
    assert HOSTILE in page.inner_text(".matryoshka-bench")
    assert HOSTILE in repr(found)
    frame.locator("#rows button.pin").first.click()
    frame.wait_for_function("state.pins.length === 1")
    assert HOSTILE in frame.inner_text("#pins")
    for place in (page, frame):
        assert place.evaluate("window.broken") is None
        assert place.locator("img").count() == 0
    assert page.locator("iframe").count() == 1
    page.context.close()
    assert not seen


@pytest.fixture(scope="module")
def notebook(answers, tmp_path_factory):
    """A notebook that shows `answers`, run by nbconvert."""
    import nbformat

    folder = tmp_path_factory.mktemp("notebook")
    code = f"import bench\nresults = bench.Results({str(answers)!r})\nprint(results)\nresults"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(book, folder / "results.ipynb")
    nbconvert(folder / "results.ipynb", "--to=notebook", "--execute", "--inplace")
    return folder / "results.ipynb"


def nbconvert(*arguments):
    """Run nbconvert; in a process of its own, whose warnings are no part of these tests."""
    command = [sys.executable, "-m", "nbconvert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def exported(notebook, theme):
    path = notebook.with_name(f"{theme}.html")
    nbconvert(notebook, "--to=html", f"--HTMLExporter.theme={theme}", f"--output={path}", *OFFLINE)
    return path


@pytest.fixture(scope="module")
def light(notebook):
    return exported(notebook, "light")


def opened(chromium, path, **settings):
    """Return a page, the frame of its explorer, and what they complain of or ask for."""
    page = chromium.new_context(viewport={"width": 1280, "height": 1400}, **settings).new_page()
    page.set_default_timeout(10_000)
    seen = []
    page.on("console", lambda m: seen.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    own = ("file:", "data:", "blob:", "about:")
    page.on("request", lambda r: None if r.url.startswith(own) else seen.append(r.url))
    page.goto(path.as_uri())
    frame = page.query_selector(FRAME).content_frame()
    frame.wait_for_function("document.body.dataset.ready")
    return page, frame, seen


@in_browser
@pytest.mark.needs_notebook
def test_in_an_exported_notebook_the_explorer_draws_filters_and_decides(chromium, light, answers):
    page, frame, seen = opened(chromium, light)
    rows = timed(load(answers))
    points = "plotted.view.data('points').length"
    assert frame.evaluate(points) == len(rows)
    assert frame.locator("#plot svg path[aria-label^=faiss]").count() == len(rows)
    frame.click("#legend button:has-text('faiss-hnsw')")
    left = int((rows["backend"] == "faiss-hnsw").sum())
    frame.wait_for_function(f"{points} === {left}")
    before = frame.inner_text("#answer")
    frame.fill("#keep-number", "60")
    frame.wait_for_function("state.settings.retain === 0.6")
    assert frame.inner_text("#answer") != before
    with page.expect_download() as download:
        frame.click("#csv")
    assert download.value.suggested_filename.endswith(".csv")
    page.context.close()
    assert not seen


@in_browser
@pytest.mark.needs_notebook
def test_there_it_is_the_answer_and_the_explorer_alone(chromium, light):
    page, frame, seen = opened(chromium, light)
    visible = [each for each in frame.locator("section").all() if each.is_visible()]
    assert [each.get_attribute("id") for each in visible] == ["verdict", "explorer"]
    assert frame.locator("nav").is_hidden()
    assert frame.locator("#link").is_hidden()
    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()
    assert not seen


@in_browser
@pytest.mark.needs_notebook
def test_there_the_table_has_the_values_of_the_frame(chromium, light, answers):
    page, _, seen = opened(chromium, light)
    frame = load(answers)
    assert bench.recommend(frame, load_queries(answers))[0].why in page.inner_text("body")
    cells = [
        row.locator("th, td").all_inner_texts()
        for row in page.locator(".matryoshka-bench table tr").all()
    ]
    assert len(cells) == 1 + MOST_OF_FRONT
    best = worth_showing(front(frame)).assign(label=labels(frame)).set_index("label")
    bounds = ("", "_low", "_high")
    columns = {
        "nDCG@10": (["ndcg_at_10"], 1, 0.000501),
        "keeps % [95 %]": ([f"retained_ndcg_at_10{end}" for end in bounds], 100, 0.0501),
        "p50 ms": ([f"latency_ms_p50{end}" for end in bounds], 1, 0.000501),
        "bytes": (["bytes_per_vector"], 1, 0.501),
    }
    for name, *texts in cells[1:]:
        shown = dict(zip(cells[0][1:], texts, strict=True))
        for head, (names, times, digits) in columns.items():
            found = [float(x.replace(",", "")) for x in re.findall(r"[\d.,]*\d", shown[head])]
            expected = [times * best.loc[name, column] for column in names]
            assert found == pytest.approx(expected, abs=digits), (name, head)
    page.context.close()
    assert not seen


@in_browser
@pytest.mark.needs_notebook
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_table_can_be_read_on_a_light_and_on_a_dark_notebook(theme, chromium, notebook):
    page, frame, seen = opened(chromium, exported(notebook, theme), color_scheme=theme)
    of = "s => getComputedStyle(document.querySelector(s))"
    back = luminance(page.evaluate(f"({of})('body').backgroundColor"))
    inner = luminance(frame.evaluate(f"({of})('body').backgroundColor"))
    for place in ("td", "thead th", "caption", "p"):
        text = luminance(page.evaluate(f"({of})('.matryoshka-bench {place}').color"))
        assert (max(back, text) + 0.05) / (min(back, text) + 0.05) > 4.5, place
    assert (back > 0.5) == (inner > 0.5) == (theme == "light")
    page.context.close()
    assert not seen
