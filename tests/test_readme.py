"""The examples in the READMEs run, and their generated parts are current."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench import docs
from bench.study.plan import plan
from bench.study.reader import load_study
from bench.study.schema import Study

ROOT = Path(__file__).parents[1]
READMES = sorted(
    path
    for path in (
        ROOT / "README.md",
        ROOT / "results" / "README.md",
        *ROOT.glob("bench/**/README.md"),
        *ROOT.glob(".github/**/*.md"),
    )
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLUG_INS = {"backends", "datasets", "encoders", "reducers", "figures"}
"""Their Python blocks are templates, which tests/test_plugins.py installs and runs."""

NEEDS = {"# needs: .*mteb": pytest.mark.needs_mteb, "# needs: .*polars": pytest.mark.needs_frames}


def blocks(language):
    found = []
    for path in READMES:
        if language == "python" and path.parent.name in PLUG_INS:
            continue
        for number, (kind, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
            if kind == language:
                name = path.relative_to(ROOT)
                marks = [mark for need, mark in NEEDS.items() if re.search(need, text)]
                found.append(pytest.param(text, id=f"{name}-{number}", marks=marks))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory, measured):
    """A folder with the files that the commands of the README need."""
    path = tmp_path_factory.mktemp("readme")
    (path / "results").mkdir()
    (path / "results" / "quickstart").symlink_to(measured)
    study = (measured.parent / "study.toml").read_text()
    (path / "quickstart").write_text(study)
    return path


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_block_runs(code, folder, text_folder):
    if "# needs: mteb" in code:
        code = code.replace('mteb.get_model("NAME")', "LocalModel(get_encoder('wordllama'), None)")
        code = code.replace('mteb.get_task("SciFact")', f"local_task(Path({str(text_folder)!r}))")
        code = IMPORTS + code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


IMPORTS = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from bench import get_encoder
from tests.interop.mteb_task import LocalModel, local_task
"""


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_study_shown_is_valid(text, tmp_path):
    table = tomllib.loads(text)
    if "configurations" in table and "name" in table:
        (tmp_path / "study.toml").write_text(text)
        assert plan(load_study(tmp_path / "study.toml"))


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_of_prose_is_too_long_and_every_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    long = [x for x in text.splitlines() if len(x) > 110 and not x.startswith(("|", "!["))]
    assert not long
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), target


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_json_schema_of_studies_is_current():
    assert docs.SCHEMA_FILE.read_text(encoding="utf-8") == docs.study_schema(), "make docs"
    described = Study.model_json_schema()
    for part in (described, *described["$defs"].values()):
        for key, value in part.get("properties", {}).items():
            assert value.get("description"), key


def test_the_gallery_shows_every_figure_there_is_and_is_current():
    text = docs.GALLERY_FILE.read_text(encoding="utf-8")
    assert text == docs.gallery(), "make docs"
    shown = re.findall(r"\]\((figures/[^)]+\.png)\)", text)
    there = {str(p.relative_to(docs.RESULTS)) for p in docs.RESULTS.glob("figures/**/*.png")}
    assert sorted(shown) == sorted(there)


def test_every_column_is_in_the_readme_of_the_tables():
    from bench.results.derived import DERIVED
    from bench.results.schema import TRIAL_COLUMNS

    text = (ROOT / "bench" / "results" / "README.md").read_text(encoding="utf-8")
    for column in (*TRIAL_COLUMNS, *(each.column for each in DERIVED)):
        assert f"| `{column.name}`" in text, "make docs"
