"""Tables of a paper: escaped, whole, and with the numbers of the summary."""

import re

import pytest

from bench.analysis.summary import summarise
from bench.analysis.text_table import Table
from bench.report.paper_tables import escape, latex, markdown, paper_tables, write_tables

TABLE = Table(
    "50% of a_b & c – $5",
    ("name", "keeps % [95 %]"),
    [("x_1 {a}|b", "1.0 [0.9, 1.1]"), ("[odd] 100 % #2", "–"), (r"~^\ <> ×≤", "“q”…")],
)


@pytest.fixture(scope="module")
def found(measured):
    return summarise(measured)


def is_escaped(text):
    """Return whether no sign of LaTeX's is left bare in a cell."""
    bare = re.sub(r"\\([&%$#_{}])|\\[a-z]+\{\}|\$(\\[a-z]+|[<>|−-])\$", "", text)
    return not set(bare) & set("&%$#_{}~^\\<>|")


@pytest.mark.parametrize("text", [TABLE.title, *(cell for row in TABLE.rows for cell in row)])
def test_no_sign_of_latex_is_left_bare(text):
    assert is_escaped(escape(text))
    assert escape("64 B") == "64 B"


def test_a_latex_table_has_balanced_environments_and_as_many_cells_per_row():
    text = latex(TABLE, "tab:one")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(TABLE.rows)
    assert all(len(re.findall(r"(?<!\\)&", row)) == 1 for row in rows)
    # A bracket after the end of a row would be read as a length.
    assert not any(row.strip().startswith("[") for row in rows)
    assert r"\label{tab:one}" in text
    assert r"\begin{tabular}{lr}" in text
    wide = Table("t", tuple("abcde"), [tuple("12345")])
    assert r"\begin{table*}" in latex(wide)


def test_a_markdown_table_has_as_many_cells_per_row():
    text = markdown(TABLE)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(TABLE.rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
    assert text.startswith(r"**50% of a\_b & c")


def test_the_tables_hold_the_numbers_measured_with_their_intervals(found, measured):
    files = paper_tables(found)
    assert list(files) == ["quality_by_dimension", "by_bytes", "recommended", "front"]
    (section,) = found.sections
    dims = files["quality_by_dimension"][0]
    exact = section.frame.query("backend == 'exact' and reducer == 'truncate'").set_index("dim")
    for row in dims.rows:
        own = exact.loc[int(row[0])]
        bounds = (own[f"ndcg_at_10{side}"] for side in ("", "_low", "_high"))
        assert row[1] == "{:.3f} [{:.3f}, {:.3f}]".format(*bounds)
    others = files["quality_by_dimension"][1]
    assert all("[" in cell for row in others.rows for cell in row[1:])
    (chosen,) = files["recommended"]
    decision = found.recommendations[0]
    assert chosen.rows[-1][0] == decision.configuration
    assert chosen.rows[-1][1].startswith(f"{decision.trial['ndcg_at_10']:.3f} [")
    (front,) = files["front"]
    assert 1 < len(front.rows) <= 12
    assert {len(row) for row in front.rows} == {len(front.headings)}


def test_files_are_written_for_both_and_the_same_each_time(found, tmp_path):
    one, two = write_tables(found, tmp_path / "a"), write_tables(found, tmp_path / "b")
    assert {path.suffix for path in one} == {".md", ".tex"}
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    for path in one:
        if path.suffix == ".tex":
            assert path.read_text(encoding="utf-8").startswith("% \\usepackage{booktabs}")
