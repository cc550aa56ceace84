"""What the tests of the page share: results that project, pages, and a browser."""

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def answers(tmp_path_factory, collection) -> Path:
    """Results of texts, with enough documents and queries to project from."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "study.toml").write_text(
        f"""
        name = "answers"
        dataset = "beir:{collection}"
        encoder = "wordllama"
        dimensions = [32, 128, 256]
        reducers = ["truncate", "pca"]
        repeats = 1
        subsets = 19
        [[configurations]]
        backend = "faiss-flat"
        precision = ["float32", "int8"]
        [[configurations]]
        backend = "faiss-flat"
        reducer = "pca"
        dimensions = [32]
        precision = "binary"
        stages = {{ shortlist = [20, 50], vectors = ["memory", "disk"] }}
        [[configurations]]
        backend = "faiss-hnsw"
        build = {{ M = 8, ef_construction = 40 }}
        search = {{ ef = [10, 40] }}
        [[configurations]]
        backend = "faiss-ivf"
        search = {{ nprobe = [2, 16] }}
        """
    )
    from bench.measuring.runner import run

    run(folder / "study.toml", folder / "results", progress=False)
    return folder / "results"


@pytest.fixture(scope="session")
def lesser(answers, tmp_path_factory) -> Path:
    """Other results: those of `answers` in float32 and in one stage alone."""
    folder = tmp_path_factory.mktemp("lesser")
    table = pq.read_table(answers / "trials.parquet")
    plain = pc.and_(
        pc.equal(table["precision"], "float32"), pc.equal(pc.coalesce(table["stages"], ""), "")
    )
    pq.write_table(table.filter(plain), folder / "trials.parquet")
    (folder / "queries.parquet").symlink_to(answers / "queries.parquet")
    return folder


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; skips, with the reason, where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: make install-all")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page; fails if it complains or asks for anything else."""
    seen, contexts = [], []

    def opened(path: Path, fragment: str = "", **settings):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on(
            "console", lambda m: seen.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: seen.append(str(error)))
        own = ("file:", "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else seen.append(r.url))
        page.goto(f"{path.as_uri()}{fragment}")
        page.wait_for_function("document.body.dataset.drawn === 'yes'")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not seen, "the page complained or asked for something"
