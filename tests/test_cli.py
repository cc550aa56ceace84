"""The command line: every command, and one line for bad input."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import commands
from bench.cli.options import BUDGET, COUNT, SIZE
from bench.errors import UsageError
from bench.figures import figures


def bench(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def inside(*arguments):
    """Return the standard output of a command that is run in this process."""
    result = CliRunner().invoke(commands, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_commands_end_to_end(measured, tmp_path):
    assert "Pareto-optimal" in bench("show", measured).stdout
    records = json.loads(bench("show", measured, "--json").stdout)
    assert any(record["pareto"] for record in records)
    assert json.loads(bench("recommend", measured, "--json", "--retain", "0.5").stdout)[0][
        "trial_id"
    ]
    paths = bench("figures", measured, "--out", tmp_path / "f").stdout.splitlines()
    tables = {"quality_by_dimension", "by_bytes", "recommended", "front"}
    assert {Path(path).stem for path in paths} - tables <= set(figures())
    assert {Path(path).name for path in paths} >= {"front.md", "front.tex"}
    written = {path for path in (tmp_path / "f").rglob("*") if path.is_file()}
    assert {Path(path) for path in paths} == written != set()
    assert (measured / "report.html").samefile(bench("report", measured).stdout.strip())
    assert re.match("same: |CANNOT TELL: ", bench("compare", measured, measured).stdout)
    assert json.loads(bench("list", "backends", "--json").stdout)


def test_trials_are_chosen_sorted_and_printed_in_five_forms(measured):
    from bench.results.store import load

    frame = load(measured)
    chosen = ("--where", 'backend == "faiss-flat" and dim <= 8', "--sort", "-dim,trial_id")
    rows = frame[(frame["backend"] == "faiss-flat") & (frame["dim"] <= 8)]
    rows = rows.sort_values(["dim", "trial_id"], ascending=[False, True])
    columns = ("--columns", "trial_id,dim")
    found = json.loads(inside("show", measured, *chosen, "--json", *columns))
    assert found == rows[["trial_id", "dim"]].to_dict("records") != []
    whole = json.loads(inside("show", measured, *chosen, "--json"))
    assert [each["trial_id"] for each in whole] == list(rows["trial_id"])
    assert {"label", "pareto", *frame} == set(whole[0])
    lines = inside("show", measured, *chosen, "--csv", *columns).splitlines()
    assert lines == ["trial_id,dim", *(f"{i},{d}" for i, d in rows[["trial_id", "dim"]].to_numpy())]
    table = inside("show", measured, *chosen, *columns)
    assert all(trial in table for trial in rows["trial_id"])
    assert f"{len(rows)} of {len(frame)} trials, by -dim, trial_id" in table
    assert inside("show", measured, *chosen, "--markdown").count("\n") == len(rows) + 2
    assert "\\toprule" in inside("show", measured, *chosen, "--latex")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--where", "dimm<8"], "did you mean 'dim'"),
        (["--where", "dim.x"], "not allowed"),
        (["--sort", "-latency_p50"], "no column is called 'latency_p50'"),
        (["--columns", "dim,,k"], "not a list of comma-separated columns"),
        (["--columns", "precison", "--csv"], "did you mean 'precision'"),
    ],
)
def test_a_selection_that_means_nothing_is_named(measured, arguments, says):
    result = CliRunner().invoke(commands, ["show", str(measured), *arguments])
    error = result.exception
    message = result.stderr if isinstance(error, SystemExit) else str(error)
    assert isinstance(error, SystemExit | UsageError)
    assert says in message


def test_a_selection_that_means_nothing_is_one_line_and_exit_status_2(measured):
    error = bench("show", measured, "--where", "dim.x == 3", code=2).stderr
    assert "'dim.x' is not allowed" in error
    assert len(error.strip().splitlines()) == 1


def test_diff_tells_what_changed_and_judges_nothing(measured):
    assert "nothing differs" in bench("diff", measured, measured).stdout
    found = json.loads(inside("diff", measured, measured, "--json"))
    assert found["nothing"] is True
    assert found["only_a"] == found["only_b"] == []


def test_a_history_grows_and_tells_what_changed(measured, tmp_path):
    path = tmp_path / "h.parquet"
    add = ["history", "add", measured, "--history", path, "--commit", "v1", "--date", "2026-01-01"]
    assert "trials added for commit v1" in bench(*add).stdout
    assert "nothing added, all" in bench(*add).stdout
    show = ["history", "show", "--history", path]
    text = inside(*show)
    assert "no change found" in text
    assert "cannot be judged yet" in text
    found = json.loads(inside(*show, "--json", "--figure", "ndcg_at_10"))
    assert found["commits"] == [{"commit": "v1", "date": "2026-01-01T00:00:00+00:00"}]
    assert found["changes"] == []
    assert found["series"] > 0
    fewer = json.loads(inside(*show, "--json", "--where", 'backend == "faiss-hnsw" and dim < 9'))
    assert 0 < fewer["series"] < json.loads(inside(*show, "--json"))["series"]
    drawn = inside(*show, "--figure", "latency_ms_p50", "--out", tmp_path / "f")
    assert str(tmp_path / "f" / "history_latency_ms_p50.png") in drawn


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "--history", "none.parquet"], "there is no history none.parquet"),
        (["show", "--history", "{measured}/trials.parquet"], "is no history"),
        (["show", "--history", "{h}", "--figure", "latency_ms_p5"], "did you mean 'latency_ms_p"),
        (["show", "--history", "{h}", "--where", "bakend == 'x'"], "did you mean 'backend'"),
        (["show", "--history", "{h}", "--where", "dim > 99999"], "no row of"),
        (["show", "--history", "{h}", "--rows", "-1"], "Invalid value for '--rows'"),
        (["add", "no-such-folder", "--commit", "x"], "no results folder"),
        (["add", "{measured}", "--commit", "--x"], "is not the name of a commit"),
        (["add", "{measured}", "--commit", "x", "--date", "soon"], "is not an ISO 8601 date"),
    ],
)
def test_bad_input_of_a_history_is_one_line(measured, tmp_path, arguments, says):
    from bench.commits import Commit
    from bench.results.history import add

    path = tmp_path / "h.parquet"
    add(measured, Commit("x", "2026-01-01T00:00:00+00:00", None), path)
    given = [text.format(measured=measured, h=path) for text in arguments]
    error = bench("history", *given, code=2).stderr
    assert says in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(shell):
    text = bench("completion", shell).stdout
    assert "matryoshka-bench" in text
    assert f"_MATRYOSHKA_BENCH_COMPLETE={shell}_complete" in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("show x --sort latency_ms_p5", "latency_ms_p50"),
        ("show x --columns dim,-preci", "dim,-precision"),
        ("show x --columns end_to", "end_to_end_ms_p50"),
        ("recommend x --limit build_s", "build_seconds="),
        ("run quick", "quickstart"),
        ("check faiss-h", "faiss-hnsw"),
        ("list back", "backends"),
        ("list studies reg", "regress"),
        ("list figures los", "loss"),
        ("dif", "diff"),
        ("history show --figure latency_ms_p5", "latency_ms_p50"),
    ],
)
def test_a_shell_is_offered_what_a_value_may_be(words, offered):
    asked = f"matryoshka-bench {words}"
    environment = {
        "COMP_WORDS": asked,
        "COMP_CWORD": str(len(words.split())),
        "_MATRYOSHKA_BENCH_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert f"plain,{offered}" in done.stdout.splitlines()
    # A key press waits for it: what is slow to import is left out.
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"pandas", "matplotlib", "faiss", "torch", "scipy"} & loaded


def test_standard_output_holds_the_answer_alone(measured, tmp_path):
    study = measured.parent / "study.toml"
    again = bench("run", study, "--out", measured)
    assert again.stdout.lstrip().startswith("vectors:")
    assert "measured already" in again.stderr
    assert "measured already" not in again.stdout
    for verb in (
        ["verdict", measured],
        ["compare", measured, measured],
        ["diff", measured, measured],
    ):
        assert json.loads(inside(*verb, "--json"))
    exported = inside("export", measured, "--format", "trec", "--out", tmp_path / "t")
    assert exported.endswith(f" files in {tmp_path / 't'}\n")
    assert exported.count("\n") == 1


def test_what_a_library_prints_goes_to_standard_error(capsys):
    from bench.cli.options import answer_alone

    with answer_alone():
        print("noise")
    print("answer")
    assert capsys.readouterr() == ("answer\n", "noise\n")


@pytest.fixture
def worse(frame, tmp_path):
    """A results folder whose configurations have all lost quality."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bench.results.tables import TRIALS

    lost = frame.assign(ndcg_at_10=np.maximum(frame["ndcg_at_10"] - 0.1, 0))
    pq.write_table(
        pa.Table.from_pandas(lost, schema=TRIALS, preserve_index=False).replace_schema_metadata(
            TRIALS.metadata
        ),
        tmp_path / "trials.parquet",
    )
    return tmp_path


def test_a_regression_is_exit_status_1_and_its_files_are_written(measured, worse):
    files = [worse / "new" / name for name in ("gate.md", "gate.xml")]
    options = ("--markdown", files[0], "--junit", files[1])
    text = bench("compare", measured, worse, *options, "--strict", code=1).stdout
    assert text.startswith("REGRESSED: 1 figure of ")
    assert str(worse) in text.replace("\n", "")
    assert "## REGRESSED" in files[0].read_text(encoding="utf-8")
    assert int(ElementTree.parse(files[1]).getroot().get("failures")) > 0


def test_a_file_that_cannot_be_written_is_one_line_and_the_verdict_is_printed(measured, worse):
    path = worse / "trials.parquet" / "gate.md"
    done = bench("compare", measured, worse, "--markdown", path, code=2)
    assert f"{path} cannot be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout.startswith("REGRESSED")
    assert "is a directory" in bench("compare", "a", "b", "--junit", worse, code=2).stderr


def test_the_summary_of_a_step_gets_the_markdown_and_the_address_of_the_run(
    measured, worse, monkeypatch
):
    summary = worse / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    result = CliRunner().invoke(commands, ["compare", str(measured), str(worse), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "regressed"
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- matryoshka-bench gate -->\n")
    assert "(https://github.com/a/b/actions/runs/7)" in text


@pytest.mark.parametrize(
    ("answer", "strict", "status"),
    [
        ("same", True, 0),
        ("improved", True, 0),
        ("cannot tell", False, 0),
        ("cannot tell", True, 3),
        ("regressed", False, 1),
        ("regressed", True, 1),
    ],
)
def test_strictly_what_cannot_be_told_is_exit_status_3(answer, strict, status, capsys):
    from bench.analysis.regression import Comparison, Finding
    from bench.cli.telling import Telling, tell

    one = Finding("annoy", "latency_ms_p50", answer, 1.0, 1.2, 0.2, 0.1, 0.3, 0.1)
    found = Comparison("base", "head", compared=1, pairs=5, findings=[one])
    ended = contextlib.nullcontext() if not status else pytest.raises(click.exceptions.Exit)
    with ended as raised:
        tell(found, Telling(strict=strict))
    assert (raised.value.exit_code if status else 0) == status
    assert "annoy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "no-such-study"], "not a study file"),
        (["run", "quickstart", "--set", "dimensions=0"], "dimensions = 0"),
        (["run", "quickstart", "--set", "dataset=pydok"], "did you mean 'pydoc'"),
        (["show", "no-such-folder"], "no results folder"),
        (["recommend", "no-such-folder"], "no results folder"),
        (
            ["recommend", "x", "--max-memory", "32 parsec"],
            "'32 parsec' is not a size such as 32GiB",
        ),
        (["recommend", "x", "--documents", "0.5"], "'0.5' is not a number of documents"),
        (["advise", "pydoc", "--budget", "1s"], "'1s' measures nothing: give 10 s"),
        (["shwo", "x"], "No such command"),
        (["list", "backend"], "is not one of"),
        (["compare", "a"], "takes two results folders"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, says, tmp_path):
    error = bench(
        *arguments, *(["--out", tmp_path / "o"] if arguments[0] == "run" else []), code=2
    ).stderr
    assert says in error
    assert len(error.strip().splitlines()) == 1


def test_debug_shows_the_traceback_of_an_error():
    command = [sys.executable, "-m", "bench", "--debug", "show", "no-such-folder"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("matryoshka-bench: there is no results folder")


def test_a_reader_that_stops_early_is_no_error(measured):
    show = [sys.executable, "-m", "bench", "show", str(measured), "--json"]
    process = subprocess.Popen(show, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_any_column_can_be_limited_measured_or_derived(measured):
    limits = ("--limit", "bytes_per_vector=70", "--limit", "build_seconds=60")
    (found,) = json.loads(bench("recommend", measured, "--retain", "0.1", *limits, "--json").stdout)
    assert found["trial"]["bytes_per_vector"] <= 70
    wrong = bench("recommend", measured, "--limit", "bytes_per_vektor=70", code=2).stderr
    assert "did you mean 'bytes_per_vector'" in wrong
    assert "takes COLUMN=VALUE" in bench("recommend", measured, "--limit", "x", code=2).stderr


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "32GiB", 32 * 2**30),
        (SIZE, "1.5 MB", 1_500_000),
        (SIZE, "1e9", 1e9),
        (BUDGET, "10m", 600),
        (BUDGET, "1.5h", 5400),
        (BUDGET, "90", 90),
        (COUNT, "20e6", 20_000_000),
        (COUNT, "1,000", 1000),
    ],
)
def test_sizes_times_and_counts_are_read_as_people_write_them(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SIZE, "32 parsec"),
        (SIZE, "-1GiB"),
        (SIZE, "0"),
        (SIZE, "1.2.3GiB"),
        (BUDGET, "soon"),
        (BUDGET, "1s"),
        (COUNT, "many"),
        (COUNT, "0.5"),
        (COUNT, "nan"),
    ],
)
def test_what_cannot_be_read_is_named(kind, text):
    with pytest.raises(click.BadParameter, match=text):
        kind(text)


def test_recommend_sizes_and_prices_what_it_will_serve(measured, tmp_path):
    prices = tmp_path / "mine.toml"
    prices.write_text(
        'name = "mine"\ndate = "2026-01-02"\ncurrency = "€"\n'
        "memory_gib_month = 2.0\ndisk_gib_month = 0.25\nvcpu_hour = 0.1\n"
    )
    options = ("--documents", "6e4", "--max-memory", "1GiB", "--prices", prices, "--qps", "5")
    (found,) = json.loads(bench("recommend", measured, *options, "--json").stdout)
    assert found["sizing"]["documents"] == 60_000
    assert found["sizing"]["currency"] == "€"
    assert found["sizing"]["queries_per_second"] == 5
    text = bench("recommend", measured, *options).stdout
    assert all(sentence in text for sentence in found["sizing"]["sentences"])
    prices.write_text('name = "mine"')
    error = bench("recommend", measured, "--prices", prices, code=2).stderr
    assert "mine.toml: date" in error
    assert len(error.strip().splitlines()) == 1
