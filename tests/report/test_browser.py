"""The page in a real browser: it decides as `recommend` does, filters, pins, exports, and travels."""

import csv
import json
import math
import random
import re
from itertools import pairwise

import pandas as pd
import pytest

from bench import recommend
from bench.analysis.money import load_prices
from bench.measuring.runner import run
from bench.report.writing import report_data, write_pages, write_report
from bench.results.rows import pareto, timed
from bench.results.store import load, load_queries
from bench.results.texts import load_texts

pytestmark = [pytest.mark.needs_browser, pytest.mark.xdist_group("browser")]
SETTINGS = 100


@pytest.fixture(scope="module")
def page_file(answers, tmp_path_factory):
    return write_report(answers, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def page(visit, page_file):
    return visit(page_file)


def chosen(page):
    """Return the trial that the page recommends; None if nothing fits."""
    return page.evaluate(
        "(() => { const f = decide(result, state.g, state.settings).chosen;"
        " return f && result.text('trial_id', f.i); })()"
    )


def drawn(page):
    """Return the marks of the explorer, as the chart holds them, and those of its front."""
    return page.evaluate("plotted.view.data('points')"), page.evaluate("plotted.view.data('front')")


def settings_of(seed, sizes, frame):
    """Return what a reader may ask for, as the page's settings and as arguments of `recommend`."""
    draw = random.Random(seed)
    rows = timed(frame)
    limits = {
        name: float(rows[column].quantile(draw.random())) if draw.random() < 0.6 else None
        for name, column in (("p95", "latency_ms_p95"), ("bytes", "bytes_per_vector"))
    }
    documents = draw.choice(sizes) if draw.random() < 0.6 else sizes[0]
    memory = None
    if draw.random() < 0.3:
        memory = documents * float(rows["bytes_per_vector"].quantile(draw.random()))
    prices = load_prices().model_copy(
        update={
            "memory_gib_month": draw.choice([0.5, 3.5, 20.0]),
            "vcpu_hour": draw.choice([0.01, 0.04]),
        }
    )
    retain = draw.choice([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
    objective, qps = draw.choice(["memory", "latency", "cost"]), draw.choice([1.0, 10.0, 2000.0])
    asked = {
        "retain": retain,
        "objective": objective,
        "documents": documents,
        "qps": qps,
        "prices": prices.model_dump(),
        "p95": limits["p95"],
        "bytes": limits["bytes"],
        "memory": memory,
    }
    arguments = {
        "retain": retain,
        "objective": objective,
        "documents": documents,
        "queries_per_second": qps,
        "prices": prices,
        "max_p95_ms": limits["p95"],
        "max_bytes_per_vector": limits["bytes"],
        "max_memory": memory,
    }
    return asked, arguments


DECIDE = """asked => asked.map(each => {
  const settings = { ...each };
  for (const name of ["p95", "bytes", "memory"]) settings[name] = each[name] ?? Infinity;
  const found = decide(result, 0, settings);
  return found.chosen && result.text("trial_id", found.chosen.i);
})"""


@pytest.mark.slow
def test_the_page_decides_as_recommend_does_for_a_hundred_settings(page, answers):
    frame, queries = load(answers), load_queries(answers)
    n = int(frame["n_corpus"].max())
    sizes = page.evaluate("result.groups[0].sizes")
    near = [n, *(s for s in sizes if s in (1_000, 5_000, 20_000, 100_000, 1_000_000))]
    asked, arguments = zip(*(settings_of(i, near, frame) for i in range(SETTINGS)), strict=True)
    found = page.evaluate(DECIDE, list(asked))
    expected = [recommend(frame, queries, **each)[0].trial_id for each in arguments]
    assert found == expected
    assert len(set(expected)) > 6, "the settings must lead to different answers"
    assert None in expected


def test_the_first_answer_is_the_sentence_of_recommend(page, answers):
    frame = load(answers)
    decision = recommend(frame, load_queries(answers))[0]
    assert page.inner_text("#answer .lead") == decision.why
    code = page.text_content("#program")
    assert "def " in code
    assert "import bench" not in code
    assert page.locator("#program-note").is_hidden() != ("map.safetensors" in code)


def test_the_slider_moves_the_answer_the_ranking_and_the_address(page):
    before = page.inner_text("#answer")
    first = chosen(page)
    page.fill("#keep", "60")
    page.wait_for_function("location.hash.includes('retain=0.6')")
    assert chosen(page) != first
    assert page.inner_text("#answer") != before
    assert page.input_value("#keep-number") == "60"
    assert (
        page.locator("#ranking tbody tr")
        .first.inner_text()
        .startswith(
            page.evaluate("result.text('label', decide(result, 0, state.settings).chosen.i)")
        )
    )
    bold = page.evaluate("plotted.view.data('points').filter(p => p.opacity > 0.9).length")
    assert f"{bold} of" in page.inner_text("#ranking-title")
    page.click("#reset")
    page.wait_for_function("location.hash === ''")
    assert chosen(page) == first


def test_limits_prices_and_load_move_the_cost_and_the_answer(page):
    page.select_option("#objective", "cost")
    cheap = page.inner_text("#answer")
    page.click("summary:has-text('Prices')")
    page.fill("#memory_gib_month", "3000")
    page.wait_for_function("location.hash.includes('memory_gib_month=3000')")
    assert page.inner_text("#answer") != cheap
    page.fill("#p95", "0.000001")
    page.wait_for_function(
        "document.querySelector('#answer').textContent.includes('No configuration')"
    )
    assert "p95 of at most 0.000001 ms" in page.inner_text("#answer")
    assert page.locator("#program-part").is_hidden()


def test_a_filter_leaves_its_rows_and_the_front_follows(page, answers):
    rows = timed(load(answers))
    page.click("#facets summary:has-text('precision')")
    for name in ("float32", "int8"):
        page.uncheck(f"#facets input[name=precision][value={name}]")
    page.wait_for_function("location.hash.includes('only_precision')")
    points, front = drawn(page)
    left = rows[rows["precision"] == "binary"]
    assert len(points) == len(left)
    best = left[pareto(left, ["ndcg_at_10"], ["latency_ms_p50"])]
    assert len(front) == len(best)
    assert sorted(p["y"] for p in front) == pytest.approx(sorted(best["ndcg_at_10"]), rel=1e-5)
    assert [p["y"] for p in front] == sorted(p["y"] for p in front)


def test_the_legend_isolates_and_brings_back(page, answers):
    total = len(timed(load(answers)))
    page.click("#legend button:has-text('faiss-hnsw')")
    page.wait_for_function("location.hash.includes('only_backend')")
    points, _ = drawn(page)
    assert 0 < len(points) == (timed(load(answers))["backend"] == "faiss-hnsw").sum()
    pressed = page.get_attribute("#legend button:has-text('faiss-flat')", "aria-pressed")
    assert pressed == "false"
    page.click("#legend button:has-text('faiss-hnsw')")
    page.wait_for_function("!location.hash.includes('only_backend')")
    assert len(drawn(page)[0]) == total


def test_any_two_axes_and_what_a_mark_says(page):
    page.select_option("#x", "per_month")
    page.select_option("#y", "latency_ms_p95")
    page.wait_for_function(
        "plotted.view.data('points').length > 0 && location.hash.includes('y=latency_ms_p95')"
    )
    page.wait_for_function(
        "document.querySelector('#plot svg').textContent.includes('cost per month')"
    )
    mark = page.locator("#plot svg path[aria-label^=faiss]").last
    mark.hover()
    page.wait_for_selector("#tip:not([hidden])")
    text = page.inner_text("#tip")
    for word in ("backend", "dimension", "precision", "p95, ms", "bytes per vector", "trial"):
        assert word in text
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_up_to_four_are_pinned_and_compared(page):
    for _ in range(5):
        page.locator("#rows button.pin[aria-pressed=false]").first.click()
    page.wait_for_function("state.pins.length === 4")
    assert page.locator("#pins thead th").count() == 4
    held = page.evaluate("state.pins")
    assert page.locator("#pins tbody tr:last-child td").all_inner_texts() == held
    page.locator("#pins thead button").first.click()
    page.wait_for_function("state.pins.length === 3")
    point = page.locator("#plot svg path[aria-label^=faiss]").first
    point.click(force=True)
    page.wait_for_function("state.pins.length !== 3")


def test_the_keyboard_walks_along_the_front_and_pins(page):
    page.focus("#plot-part")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert re.match(r"2 of \d+ on the front: faiss", page.text_content("#said"))
    page.keyboard.press("Enter")
    page.wait_for_function("state.pins.length === 1")
    second = page.evaluate("plotted.front[1].i")
    assert page.evaluate("state.pins[0]") == page.evaluate(f"result.text('trial_id', {second})")


def test_a_link_brings_back_the_whole_view(visit, page, page_file):
    page.fill("#keep-number", "83.5")
    page.select_option("#objective", "latency")
    page.select_option("#documents", "20000")
    page.select_option("#x", "bytes_per_vector")
    page.select_option("#colour", "precision")
    page.click("#legend button:has-text('int8')")
    page.locator("#rows button.pin").first.click()
    page.select_option("#lost-dim", "32")
    page.wait_for_function("location.hash.includes('lost=32') && location.hash.includes('pins')")
    fragment = page.evaluate("location.hash")
    other = visit(page_file, fragment)
    same = "JSON.stringify([state.settings, state.filters, state.pins, state.x, state.y, state.colour, state.lost])"
    assert other.evaluate(same) == page.evaluate(same)
    assert other.inner_text("#answer") == page.inner_text("#answer")
    assert other.evaluate("location.hash") == fragment


def test_a_link_that_makes_no_sense_shows_the_page_as_at_first(visit, page, page_file):
    broken = "#results=9&group=x&retain=7&objective=luck&documents=3&x=nothing&only_backend=[oops&pins=a,b&lost=5"
    other = visit(page_file, broken)
    assert other.inner_text("#answer") == page.inner_text("#answer")


def test_the_csv_holds_the_rows_that_are_shown(page, answers, tmp_path):
    page.click("#legend button:has-text('faiss-ivf')")
    page.wait_for_function("location.hash.includes('only_backend')")
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "rows.csv")
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text("utf-8").splitlines()))
    own = timed(load(answers)).query("backend == 'faiss-ivf'").set_index("trial_id")
    assert {row["trial_id"] for row in rows} == set(own.index)
    for row in rows:
        trial = own.loc[row["trial_id"]]
        for column in ("latency_ms_p50", "bytes_per_vector", "ann_recall_at_10"):
            assert float(row[column]) == pytest.approx(trial[column], rel=1e-5)
        assert float(row["memory_bytes_of_all"]) == pytest.approx(
            trial["bytes_per_vector"] * trial["n_corpus"], rel=1e-5
        )


@pytest.mark.parametrize(("kind", "begin"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_the_view_is_saved_as_a_picture(kind, begin, page, tmp_path):
    with page.expect_download() as download:
        page.click(f"#{kind}")
    download.value.save_as(tmp_path / "picture")
    content = (tmp_path / "picture").read_bytes()
    assert content.startswith(begin)
    assert b"currentColor" not in content
    assert len(content) > 5_000


def test_the_data_and_the_study_are_saved(page, answers, tmp_path):
    with page.expect_download() as download:
        page.click("#json")
    download.value.save_as(tmp_path / "page.json")
    saved = json.loads((tmp_path / "page.json").read_text())
    assert saved == json.loads(report_data([answers]).model_dump_json())
    with page.expect_download() as download:
        page.click("#studies button")
    download.value.save_as(tmp_path / "study.toml")
    assert 'name = "answers"' in (tmp_path / "study.toml").read_text()


def test_the_code_is_copied(chromium, page_file):
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_function("document.body.dataset.ready")
    page.click("#program-part summary")
    page.click("[data-copies=program]")
    page.wait_for_function(
        "document.querySelector('[data-copies=program]').textContent === 'copied'"
    )
    assert page.evaluate("navigator.clipboard.readText()") == page.text_content("#program")
    context.close()


def test_the_queries_lost_are_those_of_the_table(page, answers):
    page.select_option("#lost-dim", "32")
    frame, queries = load(answers), load_queries(answers)
    exact = frame[
        (frame["backend"] == "exact")
        & (frame["reducer"] == "truncate")
        & (frame["precision"] == "float32")
        & (frame["stages"].fillna("") == "")
    ]
    short, full = (
        queries[queries["trial_id"] == exact.loc[exact["dim"] == d, "trial_id"].iloc[0]].set_index(
            "query_id"
        )
        for d in (32, 256)
    )
    change = (short["ndcg_at_10"] - full["ndcg_at_10"]).sort_values()
    cells = page.locator("#lost tbody tr").first.locator("th, td").all_inner_texts()
    texts = load_texts(answers, frame["dataset"].iloc[0])
    worst = [q for q in change.index if math.isclose(change[q], change.iloc[0])]
    assert cells[0] in {texts[q] for q in worst}
    query = next(q for q in worst if texts[q] == cells[0])
    assert cells[1] == f"{full.loc[query, 'first_relevant_rank']:,.0f}"
    assert cells[2] == f"{short.loc[query, 'first_relevant_rank']:,.0f}"
    assert float(cells[3]) == pytest.approx(full.loc[query, "ndcg_at_10"], abs=6e-4)


def test_every_chart_has_its_figures_behind_it(page):
    figures = page.locator("#charts figure")
    assert figures.count() >= 5
    for figure in figures.all():
        assert figure.locator("svg").count() == 1
        figure.locator("summary").click()
        assert figure.locator("table tbody tr").count() > 1
        assert figure.locator("figcaption").inner_text().endswith(".")


HOSTILE = "<script>window.broken=1</script><img src=x onerror=window.broken=1>"


def test_names_out_of_data_are_text(visit, answers, tmp_path, monkeypatch):
    import bench.report.writing as writing

    read = writing.summarise

    def hostile(*args, **kwargs):
        from bench.analysis.summary import summary_of
        from bench.results.store import load_quality

        frame = read(*args, **kwargs).frame.assign(dataset=HOSTILE, study="</script><b>")
        return summary_of(frame, load_quality(answers))

    monkeypatch.setattr(writing, "summarise", hostile)
    monkeypatch.setattr(
        "bench.report.page.build.load_texts",
        lambda *_: dict.fromkeys(load_queries(answers)["query_id"], HOSTILE),
    )
    page = visit(write_report(answers, tmp_path / "hostile.html"))
    assert page.evaluate("window.broken") is None
    assert HOSTILE in page.inner_text("#lost")
    page.focus("#plot-part")
    page.keyboard.press("ArrowRight")
    page.locator("#rows button.pin").first.click()
    assert HOSTILE in page.inner_text("#pins")
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0


def test_a_folder_of_several_results_has_a_switch(visit, answers, lesser, tmp_path):
    for name, source in (("first", answers), ("second", lesser)):
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / "all" / name).symlink_to(source)
    page = visit(write_report(tmp_path / "all"))
    assert (
        page.locator("#switch option").all_inner_texts() == ["first", "second"]
        or page.locator("#switch option").count() == 2
    )
    before = page.inner_text("#answer"), page.inner_text("#findings")
    page.select_option("#switch", "1")
    page.wait_for_function(
        "state.r === 1 && document.querySelectorAll('#charts figure svg').length > 2"
    )
    assert page.inner_text("#answer") != before[0]
    assert page.inner_text("#findings") != before[1]
    assert "results=1" in page.evaluate("location.hash")


def test_an_index_leads_to_a_page_of_each(visit, chromium, answers, lesser, tmp_path):
    (tmp_path / "a").symlink_to(answers)
    (tmp_path / "b").symlink_to(lesser)
    paths = write_pages([tmp_path / "a", tmp_path / "b"], tmp_path / "docs")
    assert len(paths) == 3
    page = chromium.new_page()
    page.goto(paths[0].as_uri())
    for path in paths[1:]:
        link = page.locator(f"a[href='{path.name}']")
        assert link.count() == 1
    why = recommend(load(answers), load_queries(answers))[0].why
    assert why in page.inner_text("main")
    page.click("main a >> nth=0")
    page.wait_for_function("document.body.dataset.ready")
    page.close()


MANY = [
    f"{family}_{bits}bit"
    for family in ("rabitq", "turboquant", "eden", "uniform", "percentile")
    for bits in (2, 3, 4, 8)
    if (family, bits) != ("percentile", 8)
]


def test_many_codes_without_a_clock_are_legible(visit, collection, tmp_path):
    (tmp_path / "study.toml").write_text(
        f"""
        name = "codes"
        dataset = "beir:{collection}"
        encoder = "wordllama"
        dimensions = [32, 256]
        queries = 20
        subsets = 0
        [[configurations]]
        backend = "exact"
        precision = {json.dumps([*MANY, "binary_asymmetric", "opq_halfbit"])}
        """
    )
    run(tmp_path / "study.toml", tmp_path / "out", progress=False)
    page = visit(write_report(tmp_path / "out"))
    assert "Nothing was timed" in page.inner_text("#answer")
    page.wait_for_function("document.body.dataset.drawn")
    cut = page.evaluate(
        """[...document.querySelectorAll("#charts svg")].flatMap((svg) => {
            const edge = svg.getBoundingClientRect().right + 1;
            return [...svg.querySelectorAll("text")]
              .filter((text) => text.getBoundingClientRect().right > edge)
              .map((text) => text.textContent);
        })"""
    )
    assert cut == []
    rows = page.evaluate(
        """[...document.querySelectorAll("[data-chart=dimension_by_bits] svg text")]
            .filter((text) => /^\\d+%$/.test(text.textContent))
            .map((text) => text.getBoundingClientRect().y)"""
    )
    places = sorted({round(y) for y in rows})
    assert len(places) >= len(MANY)
    assert min(b - a for a, b in pairwise(places)) >= 15


def test_a_phone_shows_all_without_scrolling_sideways(visit, page_file):
    page = visit(page_file, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    answer, form = (page.locator(s).bounding_box() for s in ("#answer", "#settings"))
    assert answer["y"] < form["y"], "the verdict comes first"
    for name in ("#copy", "#reset", "#csv", "#legend button"):
        if page.locator(name).count():
            assert page.locator(name).first.bounding_box()["height"] >= 24


def luminance(colour):
    """Return the relative luminance of ``rgb(…)``. Source: WCAG 2.2."""
    parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colours(page):
    """Return the luminance of the page, of its text, and of a chart's labels."""
    of = "s => getComputedStyle(document.querySelector(s))"
    page_colour = page.evaluate(f"({of})('body').backgroundColor")
    text = page.evaluate(f"({of})('body').color")
    label = page.evaluate(f"({of})('#charts svg text').fill")
    return [luminance(c) for c in (page_colour, text, label)]


def test_dark_mode_is_dark_and_print_is_light(visit, page_file):
    page = visit(page_file, color_scheme="dark")
    back, text, label = colours(page)
    assert back < 0.05 < 0.6 < min(text, label)
    of = "s => [...document.querySelectorAll(s)].map(e => getComputedStyle(e)"
    marks = page.evaluate(f"({of}.fill))('#plot path[aria-label^=faiss]')")
    lines = page.evaluate(f"({of}.stroke))('#charts .mark-line path')")
    assert len(marks) > 10 < len(lines)
    # WCAG asks for a contrast of 3 of what a chart draws.
    assert min((luminance(c) + 0.05) / (back + 0.05) for c in [*marks, *lines]) > 3
    page.emulate_media(media="print", color_scheme="dark")
    back, text, label = colours(page)
    assert back > 0.9
    assert max(text, label) < 0.1
    assert page.locator("#answer").is_visible()
    assert page.locator("#settings").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme, visit, page_file):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(page_file, color_scheme=scheme)
    page.locator("#rows button.pin").first.click()
    for each in page.locator("details:not([open]) > summary").all():
        if each.is_visible():
            each.click()
    found = axe.run(page).response["violations"]
    serious = [f for f in found if f["impact"] in ("serious", "critical")]
    assert not serious, [(f["id"], f["nodes"][0]["html"][:200]) for f in serious]


def test_without_a_script_the_answer_is_there(chromium, page_file, answers):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert recommend(load(answers), load_queries(answers))[0].why in page.inner_text("#answer")
    assert page.locator("#curves table").first.is_visible()
    context.close()


def enlarged(frame, times):
    """Return the frame with its timed rows repeated, each time with figures of their own."""
    rows, draw = timed(frame), random.Random(0)
    copies = []
    for i in range(times):
        scale = [draw.lognormvariate(0, 0.5) for _ in range(len(rows))]
        copies.append(
            rows.assign(
                trial_id=rows["trial_id"] + f"-{i}",
                latency_ms_p50=rows["latency_ms_p50"] * scale,
                latency_ms_p95=rows["latency_ms_p95"] * scale,
                build_params=f'{{"copy": {i}}}',
            )
        )
    return pd.concat([frame, *copies], ignore_index=True)
