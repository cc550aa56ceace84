"""`list` is readable in a terminal of 80 columns, and complete as JSON."""

import json

import pytest
from click.testing import CliRunner

from bench.backends import backends
from bench.cli import commands
from bench.codes.table import in_brief
from bench.report.listing import KINDS, listing, names
from bench.study.plan import EXACT, plan
from bench.study.reader import load_study

WIDTH = 80


def listed(*arguments):
    result = CliRunner().invoke(commands, ["list", *arguments], env={"COLUMNS": str(WIDTH)})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [(), ("--long",)])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(kind, form):
    shown = listed(kind, *form)
    assert max(map(len, shown.splitlines())) <= WIDTH
    rows = json.loads(listed(kind, "--json"))
    words = set(shown.split())
    for row in rows:
        assert row["name"] in words
        if kind != "backends" or form:  # their table has no room for it
            assert set(str(row.get("is", "")).split()) <= words
    lines = [line for line in shown.splitlines() if line.strip()]
    assert len(lines) <= (16 if form else 3) * len(rows) + 1


def test_the_table_of_backends_has_one_or_two_lines_each():
    shown = listed("backends")
    lines = shown.splitlines()
    assert lines[0].split() == ["name", "kind", "precisions", "runs", "here"]
    assert len(lines) - 1 < 1.5 * len(backends())
    for name, cls in backends().items():
        row = next(line for line in lines if line.startswith(f"{name} ")).split()
        assert row[:3] == [name, cls.kind, row[2]]
        assert row[2].rstrip(",") == cls.precision_names()[0]
        assert row[-1] == ("yes" if cls.available() else "no")
        brief = in_brief(cls.precision_names()).replace(",", " ").split()
        assert set(brief) <= set(shown.replace(",", " ").split())


def test_a_wide_terminal_also_says_what_each_backend_is():
    wide = CliRunner().invoke(commands, ["list", "backends"], env={"COLUMNS": "160"}).output
    assert wide.splitlines()[0].split() == ["name", "is", "kind", "precisions", "runs", "here"]
    assert "exhaustive (faiss IndexFlatIP" in wide
    assert max(map(len, wide.splitlines())) <= 160


def test_studies_say_what_they_time():
    rows = {row["name"]: row for row in json.loads(listed("studies", "--json"))}
    study = load_study("regress")
    trials = [trial for trial in plan(study) if trial.backend != EXACT]
    assert rows["regress"]["timed"].startswith(f"{len(trials)} configurations of ")
    assert rows["regress"]["dimensions"] == ", ".join(map(str, study.all_dimensions))
    assert rows["regress"]["timed"] in listed("studies")


def test_a_single_fact_stands_without_its_name():
    assert "\n  any MTEB retrieval task" in listed("datasets", "mteb")


def test_one_backend_is_shown_with_every_fact():
    shown = listed("backends", "faiss-hnsw")
    (row,) = json.loads(listed("backends", "faiss-hnsw", "--json"))
    assert shown.startswith("faiss-hnsw\n")
    for key, value in row.items():
        if value and key != "name":
            assert f"\n  {key} " in shown
    assert "ef = [16, 32, 64, 128, 256, 512]" in shown


def test_a_dataset_is_found_by_what_stands_before_the_colon():
    assert listed("datasets", "mteb").startswith("mteb:TASK[/SUBSET]\n")


def test_an_unknown_name_is_offered_the_near_miss():
    result = CliRunner().invoke(commands, ["list", "studies", "quickstrat"])
    assert "no study is called 'quickstrat'; did you mean 'quickstart'" in str(result.exception)


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_that_a_shell_completes_are_those_listed(kind):
    assert sorted(names(kind)) == sorted(row["name"].partition(":")[0] for row in listing(kind))
