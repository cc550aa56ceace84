"""Names from strangers: what acts in a terminal, a page, a table or a program is shown, not done."""

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rich.text import Text

from bench.cli import commands
from bench.console import Console
from bench.errors import DamagedFile, UsageError
from bench.harmless import shown, shown_lines
from bench.report.paper_tables import escape
from bench.study.plan import parameters
from tests.collection import write_collection
from tests.security.hostile import HOSTILE, SIGNS, acting, rewritten

VERBS = [
    ["show"],
    ["show", "--columns", "dataset,encoder,machine,error,status"],
    ["show", "--csv"],
    ["show", "--json"],
    ["show", "--markdown"],
    ["show", "--latex"],
    ["recommend"],
    ["recommend", "--json"],
    ["recommend", "--documents", "1000000"],
    ["verdict"],
    pytest.param(["figures", "--format", "svg"], marks=pytest.mark.slow),
    ["report"],
    ["report", "--json"],
    ["export", "--format", "mteb"],
    ["export", "--format", "trec"],
]


def bench(*arguments):
    """Run a verb and return all that it prints; it must end well, or with a verdict."""
    done = CliRunner().invoke(commands, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (0, 1, 3), done.output
    return done.output


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, measured):
    named = dict.fromkeys(["dataset", "encoder", "machine", "error", "notes", "caution"], HOSTILE)
    return rewritten(measured, tmp_path_factory.mktemp("stranger") / "results", **named)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_no_verb_prints_or_writes_a_sign_that_acts(verb, stranger):
    assert not acting(bench(verb[0], stranger, *verb[1:]))
    written = [
        p for p in stranger.rglob("*") if p.suffix in (".html", ".md", ".tex", ".svg", ".json")
    ]
    for path in written:
        assert not acting(path.read_text()), path


def test_the_page_runs_nothing_of_a_name_and_reverses_nothing(stranger, tmp_path):
    page = tmp_path / "page.html"
    bench("report", stranger, "--out", page)
    text = page.read_text()
    assert "<script>window.broken" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;window.broken" in text
    assert "{{ 7*7 }}" in text  # no template is made of it: it would say 49
    for blob in re.findall(r"H4sI[A-Za-z0-9+/=]{200,}", text):
        assert not acting(json_of(gzip.decompress(base64.b64decode(blob)).decode()))


def json_of(text):
    """Return the texts of a JSON value, one a line; what is no JSON, the code of a library, is empty."""
    try:
        return "\n".join(map(str, leaves(json.loads(text))))
    except ValueError:
        return ""


def leaves(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else [value]


def test_a_comparison_is_harmless_in_every_form(stranger, measured, tmp_path):
    files = ["--markdown", tmp_path / "c.md", "--junit", tmp_path / "c.xml"]
    assert not acting(bench("compare", stranger, stranger, *files))
    markdown = (tmp_path / "c.md").read_text()
    assert not acting(markdown)
    assert "<script>" not in markdown
    assert "<img" not in markdown
    assert not re.search(r"(?<!\w)@octocat", markdown)
    assert "](http" not in markdown
    ElementTree.parse(tmp_path / "c.xml")
    assert not acting(bench("diff", stranger, stranger))


def test_parameters_from_a_stranger_are_refused_where_they_would_act(measured, tmp_path):
    odd = rewritten(measured, tmp_path / "r", stages='{"shortlist": "\\u001b[2J"}')
    for text in ("not JSON", "[1]", '{"M": "\\u001b[2J"}', '{"\\u202e": 1}', '{"a": ["\\u009b"]}'):
        with pytest.raises(DamagedFile, match="parameters of a trial are damaged"):
            parameters(text)
    assert parameters('{"path": "donn\\u00e9es"}') == {"path": "données"}
    done = CliRunner().invoke(commands, ["show", str(odd)])
    assert isinstance(done.exception, DamagedFile)


@pytest.mark.slow
def test_figures_draw_a_dollar_sign_and_no_formula(measured, tmp_path):
    odd = dict.fromkeys(["dataset", "reducer", "precision"], "$\\frac{1}{$ _x^2 \\undefined$")
    bench("figures", rewritten(measured, tmp_path / "r", **odd), "--format", "svg")


def test_latex_finds_no_command_in_a_name():
    text = escape("\\input{/etc/passwd} $x$ 50% a_b & c~d^e #1 {}")
    assert "\\input" not in text
    assert not re.search(r"(?<!\\)[$%&#_]", text)


def test_a_history_from_a_stranger_is_harmless(stranger, tmp_path):
    path = tmp_path / "h.parquet"
    add = ["--history", path, "--commit", "v1", "--date", "2026-01-01"]
    bench("history", "add", stranger, *add)
    table = pq.read_table(path)
    for name in ("machine", "dataset", "commit"):
        texts = pa.array([f"{value}{SIGNS}" for value in table[name].to_pylist()], pa.string())
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), texts)
    pq.write_table(table, path)
    assert not acting(bench("history", "show", "--history", path))


def test_a_console_escapes_texts_and_keeps_its_own_colours():
    shown_on = io.StringIO()
    console = Console(file=shown_on, force_terminal=True, color_system="truecolor", width=200)
    console.print(Text(f"name {SIGNS}", "red"), "plain", "[bold]markup[/bold]")
    text = shown_on.getvalue()
    assert "\x1b[31m" in text  # of the style
    assert "name \\x1b]0;owned" in text
    assert not set("\x07\x9b\u202e\u2066\u200f") & set(text)


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("pydoc", "pydoc"),
        ("données 数据 שלום 🙂\u200d", "données 数据 שלום 🙂\u200d"),
        ("a\nb\tc\rd\u2028e\x85f", "a b c d e f"),
        ("\x1b[31m\x9b\x00\x7f", "\\x1b[31m\\x9b\\x00\\x7f"),
        ("\u202egnp.exe\u2066\u200f", "\\u202egnp.exe\\u2066\\u200f"),
        ("\ud800", "\\ud800"),
    ],
)
def test_signs_that_act_are_escapes_and_writing_stays_as_it_is(text, harmless):
    assert shown(text) == harmless
    assert shown(harmless) == harmless
    assert not acting(shown_lines(text))
    assert str(UsageError(f"bad {text}")) == f"bad {harmless}"


def test_an_error_on_the_command_line_is_one_harmless_line(tmp_path):
    for arguments in (["show", f"no{SIGNS}\n\nsuch"], ["run", f"x{SIGNS}"], [f"verb{SIGNS}"]):
        command = [sys.executable, "-m", "bench", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert not acting(done.stderr)


@pytest.mark.slow
def test_ids_texts_and_notes_of_a_data_set_act_nowhere(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write_collection(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for line in lines:
            line["_id"] += "\x1b[2J\u202e"
            line["text"] += SIGNS
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "meta.json").write_text(json.dumps({"queries": SIGNS, "judgements": SIGNS}))
    qrels = folder / "qrels" / "test.tsv"
    head, *rows = qrels.read_text().splitlines()
    fields = [row.split("\t") for row in rows]
    odd = ["\t".join([f"{q}\x1b[2J\u202e", f"{d}\x1b[2J\u202e", grade]) for q, d, grade in fields]
    qrels.write_text("\n".join([head, *odd, f"q{SIGNS}\td{SIGNS}\t1"]) + "\n", encoding="utf-8")
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "s"\ndataset = "beir:{folder}"\nencoder = "wordllama"\ndimensions = [8, 256]\n'
        'repeats = 1\nsubsets = 0\n[[configurations]]\nbackend = "faiss-flat"\n'
    )
    results = tmp_path / "results"
    for verb in (
        ["run", study, "--out", results],
        ["show", results],
        ["report", results],
        ["report", results, "--json"],
    ):
        assert not acting(bench(*verb)), verb
