"""What git, pip and Python are given: no option and no code comes out of a name."""

import ast
import json

import pytest

from bench.commits import commit_of
from bench.deploy import code_of
from bench.deploy.assembling import pinned
from bench.errors import UsageError
from bench.gate.environments import environment
from bench.gate.sides import Wanted, prepared
from bench.report.trials import as_csv
from tests.gate.test_sides import repository  # noqa: F401  (a fixture)
from tests.security.hostile import HOSTILE

CODE = '"""\nimport os; os.system("touch owned")\n"""\\'


def timed(frame):
    rows = frame[(frame["backend"] == "faiss-hnsw") & (frame["status"] == "ok")]
    return rows.iloc[0].to_dict()


def calls(text):
    return {
        ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
    }


@pytest.mark.parametrize(
    "name", [HOSTILE, CODE, "'+__import__('os').system('x')+'", "{{ 7*7 }}{% x %}"]
)
def test_a_program_holds_names_as_texts_and_never_as_code(name, frame):
    row = timed(frame)
    honest = calls(code_of(row | {"encoder": "st:model"}))
    text = code_of(row | {"dataset": name, "encoder": f"st:{name}"})
    assert calls(text) == honest
    constants = {
        node.targets[0].id: node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
    }
    assert ast.literal_eval(constants["MODEL_NAME"]) == name


@pytest.mark.parametrize(
    "changed",
    [
        {"backend": "no-such; import os"},
        {"precision": "float32'); import os"},
        {"build_params": json.dumps({"M": "__import__('os')", "ef_construction": 200})},
        {"build_params": json.dumps({"M = 1\nimport os": 16, "ef_construction": 200})},
        {"search_params": json.dumps({"ef": "1; DROP TABLE items"})},
        {"reducer": "no-such", "reducer_params": "{}"},
    ],
    ids=str,
)
def test_a_row_that_no_study_could_ask_for_becomes_no_program(changed, frame):
    with pytest.raises(UsageError):
        code_of(timed(frame) | changed)


@pytest.mark.parametrize(
    "version", ["1.0\n--index-url=http://e", "1.0 --hash=x", "@ file:///e", "", "1;x"]
)
def test_a_version_from_a_table_is_no_option_of_pip(version):
    with pytest.raises(UsageError, match="is no version of numpy"):
        pinned(["numpy"], {"numpy": version})
    assert pinned(["numpy"], {"numpy": "2.1.0rc1+cpu"}) == "numpy==2.1.0rc1+cpu\n"


@pytest.mark.parametrize(
    "revision", ["-x", "--upload-pack=touch owned", "--output=x", "--git-dir=/etc"]
)
def test_a_revision_is_no_option_of_git(revision, repository, tmp_path):  # noqa: F811
    with (
        pytest.raises(UsageError, match="is no revision: git would read it as an option"),
        prepared(Wanted(revision), Wanted("."), tmp_path / "out"),
    ):
        pass
    with pytest.raises(UsageError, match="is not the name of a commit"):
        commit_of(revision)


@pytest.mark.parametrize("package", ["--index-url=http://e", "-r/etc/passwd", " -e .", "--pre"])
def test_a_package_is_no_option_of_pip(package, repository, tmp_path):  # noqa: F811
    with (
        pytest.raises(UsageError, match="is no package: pip would read it as an option"),
        prepared(Wanted("main", (package,)), Wanted("."), tmp_path / "out"),
    ):
        pass


def test_requirements_come_from_the_repository_alone(repository, tmp_path):  # noqa: F811
    (tmp_path / "evil.txt").write_text("--index-url=http://e\n")
    for name in ("../evil.txt", str(tmp_path / "evil.txt")):
        with (
            pytest.raises(UsageError, match="is outside the repository"),
            prepared(Wanted("."), Wanted("."), tmp_path / "out", name),
        ):
            pass


def test_a_failing_pip_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError) as caught:
        environment([f"no\x1b[2J{tmp_path}/such"], "base")
    assert len(str(caught.value).splitlines()) == 1
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_a_text_in_csv_is_no_formula(sign, frame):
    frame["dataset"] = f'{sign}cmd|"/C calc"!A0'
    text = as_csv(frame[["dataset", "loss_search"]])
    assert all(line.startswith("\"'" + sign) for line in text.splitlines()[1:])
    numbers = as_csv(frame[["loss_search"]])
    assert "'" not in numbers
