"""A history: commits and samples, added once, by two processes at once, read back whole."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.commits import Commit, commit_of, short
from bench.errors import DamagedFile, NothingToShow, UsageError
from bench.results.history import FIGURES, HISTORY_COLUMNS, add, load_history
from bench.results.schema import COLUMNS
from bench.results.tables import TRIALS

FIRST = Commit("a" * 40, "2026-01-01T00:00:00+00:00", 1)
SECOND = Commit("b" * 40, "2026-01-02T00:00:00+00:00", 2)


def again(measured, folder, when="2030-01-01"):
    """Write the trials of `measured` as if they were measured later."""
    folder.mkdir()
    table = pq.read_table(measured / "trials.parquet")
    place = table.schema.get_field_index("started_at")
    later = pa.array([f"{when}T{i:06}" for i in range(len(table))])
    pq.write_table(table.set_column(place, "started_at", later), folder / "trials.parquet")
    return folder


def test_each_figure_of_each_trial_is_a_row(measured, frame, tmp_path):
    done = add(measured, FIRST, tmp_path / "deep" / "h.parquet")
    assert done.trials == len(frame)
    rows = load_history(tmp_path / "deep" / "h.parquet")
    assert list(rows) == [column.name for column in HISTORY_COLUMNS]
    assert len(rows) == sum(frame[figure].notna().sum() for figure in FIGURES)
    one = rows[rows["figure"] == "latency_ms_p50"].set_index("trial_id")
    wanted = frame[frame["latency_ms_p50"].notna()].set_index("trial_id")
    for ours, theirs in (("value", ""), ("low", "_low"), ("high", "_high")):
        column = wanted[f"latency_ms_p50{theirs}"].reindex(one.index)
        assert (one[ours] == column).all()
    assert set(rows["commit"]) == {FIRST.name}
    for name in ("machine", "dataset_fingerprint", "library_versions"):
        assert (one[name] == wanted[name].reindex(one.index)).all()


def test_the_same_results_twice_change_nothing(measured, tmp_path):
    path = tmp_path / "h.parquet"
    first = add(measured, FIRST, path)
    before = path.read_bytes()
    second = add(measured, FIRST, path)
    assert (second.trials, second.known) == (0, {FIRST.name: first.trials})
    # A measurement is of one commit, the one that it was first added for.
    assert add(measured, SECOND, path).known == {FIRST.name: first.trials}
    assert path.read_bytes() == before


def test_a_commit_measured_anew_has_a_second_sample(measured, tmp_path):
    path = tmp_path / "h.parquet"
    assert add(measured, FIRST, path).sample == 1
    done = add(again(measured, tmp_path / "again"), FIRST, path)
    assert (done.sample, done.known) == (2, {})
    rows = load_history(path)
    assert rows.groupby(["trial_id", "figure"]).size().eq(2).all()


def test_commits_are_read_in_the_order_of_their_dates(measured, tmp_path):
    path = tmp_path / "h.parquet"
    add(again(measured, tmp_path / "later"), SECOND, path)
    add(measured, FIRST, path)
    assert list(load_history(path)["commit"].unique()) == [FIRST.name, SECOND.name]


def test_two_processes_that_add_at_once_both_add(measured, tmp_path):
    path = tmp_path / "h.parquet"
    folders = [again(measured, tmp_path / str(i), f"203{i}-01-01") for i in range(2)]
    code = (
        "import sys; from pathlib import Path; from bench.commits import Commit;"
        "from bench.results.history import add;"
        "name, folder, path = sys.argv[1:];"
        "add(Path(folder), Commit(name, '2026-01-01T00:00:00+00:00', None), Path(path))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, f"c{i}", str(folder), str(path)])
        for i, folder in enumerate(folders)
    ]
    assert [each.wait() for each in running] == [0, 0]
    assert load_history(path).groupby("commit").size().nunique() == 1
    assert set(load_history(path)["commit"]) == {"c0", "c1"}


def test_what_is_no_history_is_said_in_a_line(measured, tmp_path):
    with pytest.raises(NothingToShow, match="there is no history"):
        load_history(tmp_path / "none.parquet")
    with pytest.raises(UsageError, match="is no history"):
        load_history(measured / "trials.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(DamagedFile, match="damaged or no history"):
        load_history(tmp_path / "text.parquet")
    with pytest.raises(DamagedFile, match="damaged or no history"):
        add(measured, FIRST, tmp_path / "text.parquet")
    assert (tmp_path / "text.parquet").read_text() == "not parquet"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        add(measured, FIRST, tmp_path / "file" / "h.parquet")


def test_a_newer_history_is_not_guessed_at(measured, tmp_path):
    path = tmp_path / "h.parquet"
    add(measured, FIRST, path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"matryoshka-bench.history": b"9"}), path)
    with pytest.raises(UsageError, match="newer matryoshka-bench"):
        load_history(path)


def test_trials_that_failed_have_no_figures(measured, tmp_path):
    folder = tmp_path / "failed"
    folder.mkdir()
    table = pq.read_table(measured / "trials.parquet")
    place = table.schema.get_field_index("status")
    failed = table.set_column(place, "status", pa.array(["failed"] * len(table)))
    pq.write_table(failed.cast(TRIALS), folder / "trials.parquet")
    with pytest.raises(NothingToShow, match="no trial that ended ok"):
        add(folder, FIRST, tmp_path / "h.parquet")
    assert not (tmp_path / "h.parquet").exists()


def test_the_figures_are_declared_columns_with_a_direction():
    assert {"ndcg_at_10", "latency_ms_p50", "build_seconds", "bytes_per_vector"} <= {*FIGURES}
    assert all(COLUMNS[name].better for name in FIGURES)


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@e", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_the_commit_is_head_of_git_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="there is no git commit here: name one with --commit"):
        commit_of()
    elsewhere = commit_of("v1.2", "2026-03-01T12:00+02:00")
    assert elsewhere == Commit("v1.2", "2026-03-01T10:00:00+00:00", None)
    assert commit_of("v1.2").date > "2026"
    git(tmp_path, "init", "--quiet")
    for i in range(2):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", f"c{i}")
    head, first = commit_of(), commit_of("HEAD~1")
    assert (head.number, first.number) == (2, 1)
    assert len(head.name) == 40
    assert commit_of(short(head.name)) == head
    assert head.date >= first.date
    assert commit_of(None, "2020-01-01").date == "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize("name", ["--all", "a b", ""])
def test_what_names_no_commit_is_an_error(name):
    with pytest.raises(UsageError, match="is not the name of a commit"):
        commit_of(name)


def test_a_date_that_is_none_is_an_error():
    with pytest.raises(UsageError, match="'soon' is not an ISO 8601 date"):
        commit_of("x", "soon")
