"""The two sides: revisions in work trees, packages in environments of their own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.gate.environments import environment, requirements
from bench.gate.sides import Wanted, merge_base, prepared


def git(*arguments):
    own = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two commits on main; the working directory is in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "-b", "main")
    for content in ("one", "two"):
        Path("code.py").write_text(content)
        git("add", "-A")
        git("commit", "-m", content)
    return folder


def test_revisions_are_checked_out_and_removed_again(repository, tmp_path):
    out = tmp_path / "out"
    with prepared(Wanted("main~1"), Wanted("."), out) as (base, head):
        assert (base.source / "code.py").read_text() == "one"
        assert head.source == repository
        assert base.label.startswith("main~1 (")
        assert head.label == "working tree"
        assert base.python == head.python == Path(sys.executable)
        left = base.source
    assert not left.exists()
    with prepared(Wanted("main~1"), Wanted("main"), out) as (base, head):
        assert (head.source / "code.py").read_text() == "two"
        assert base.identity != head.identity


def test_a_work_tree_that_a_kill_left_is_replaced(repository, tmp_path):
    git("worktree", "add", "--detach", str(tmp_path / "out" / "base-source"), "main")
    with prepared(Wanted("main~1"), Wanted("."), tmp_path / "out") as (base, _):
        assert (base.source / "code.py").read_text() == "one"


def test_the_working_tree_changes_with_its_code(repository, tmp_path):
    def identity():
        with prepared(Wanted("main"), Wanted("."), tmp_path / "out") as (_, head):
            return head.identity

    first = identity()
    assert identity() == first
    Path("code.py").write_text("three")
    second = identity()
    Path("new.py").write_text("four")
    assert len({first, second, identity()}) == 3


def test_untracked_code_counts_wherever_one_stands_and_what_a_comparison_writes_does_not(
    repository, monkeypatch
):
    out = repository / "results" / "compare"
    below = repository / "below"
    below.mkdir()
    monkeypatch.chdir(below)

    def identity():
        with prepared(Wanted("main"), Wanted("."), out) as (_, head):
            return head.identity

    first = identity()
    (out / "base" / "0").mkdir(parents=True)
    (out / "base" / "0" / "trials.parquet").write_text("measured")
    assert identity() == first
    (repository / "näw code.py").write_text("three")
    assert identity() != first


def test_unknown_revisions_and_missing_files_are_one_line(repository, tmp_path):
    out = tmp_path / "out"
    with (
        pytest.raises(UsageError, match="'nowhere' is no revision of this repository"),
        prepared(Wanted("nowhere"), Wanted("."), out),
    ):
        pass
    with (
        pytest.raises(UsageError, match=r"has no file requirements\.txt"),
        prepared(Wanted("main"), Wanted("."), out, "requirements.txt"),
    ):
        pass


def test_a_package_of_this_name_is_refused(repository, tmp_path):
    Path("bench").mkdir()
    Path("bench/__init__.py").touch()
    with (
        pytest.raises(UsageError, match="has a package 'bench' of its own"),
        prepared(Wanted("main"), Wanted("."), tmp_path / "out"),
    ):
        pass


def test_outside_a_repository_revisions_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with (
        pytest.raises(UsageError, match="not a git repository"),
        prepared(Wanted("main"), Wanted("."), tmp_path / "out"),
    ):
        pass
    with prepared(Wanted("."), Wanted("."), tmp_path / "out") as (base, _):
        assert base.source == tmp_path


def test_the_base_is_where_the_branch_left_main(repository):
    first, second = (
        subprocess.check_output(["git", "rev-parse", r], text=True).strip()
        for r in ("main~1", "main")
    )
    assert merge_base() == first
    Path("code.py").write_text("changed")
    assert merge_base() == second
    git("checkout", "-b", "branch")
    git("commit", "-am", "three")
    assert merge_base() == second


def wheel(folder, version):
    folder.mkdir(exist_ok=True)
    path = folder / f"mbtiny-{version}-py3-none-any.whl"
    info = f"mbtiny-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mbtiny.py", f"version = {version!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: mbtiny\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_an_environment_has_its_own_version_and_sees_all_else(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    found = {}
    for version in ("1.0", "2.0"):
        python = environment([str(wheel(tmp_path / "wheels", version))], "base")
        code = "import mbtiny, numpy, bench; print(mbtiny.version, numpy.__version__)"
        found[version] = subprocess.check_output([str(python), "-c", code], text=True).split()
        assert (
            environment([str(tmp_path / "wheels" / f"mbtiny-{version}-py3-none-any.whl")], "base")
            == python
        )
    assert [each[0] for each in found.values()] == ["1.0", "2.0"]
    assert found["1.0"][1] == found["2.0"][1]
    assert environment([], "base") == Path(sys.executable)


def test_what_pip_says_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UsageError, match=r"base: pip install mbnone==7 failed: .*mbnone") as caught:
        environment(["mbnone==7"], "base")
    assert "\n" not in str(caught.value)


def test_requirements_of_another_revision(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    assert requirements(there, here) == []
    (there / ".constraints.txt").write_text("numpy==2.0\n")
    assert requirements(there, here) == ["--constraint", str(there / ".constraints.txt"), "numpy"]
    assert requirements(tmp_path, here) == []
