"""Names from strangers: what acts in a terminal, a page, a table or a program is shown, not done."""

import subprocess
import sys

import pytest

from tests.security.hostile import HOSTILE, acting, rewritten

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
    ["figures"],
    ["report"],
    ["report", "--json"],
    ["export", "--format", "mteb"],
    ["export", "--format", "trec"],
]


def bench(*arguments, **options):
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, measured):
    named = dict.fromkeys(["dataset", "encoder", "machine", "error", "library_versions"], HOSTILE)
    del named["library_versions"]
    return rewritten(measured, tmp_path_factory.mktemp("stranger") / "results", **named)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_prints_or_writes_a_sign_that_acts(verb, stranger):
    done = bench(verb[0], stranger, *verb[1:])
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not acting(done.stdout + done.stderr)
    written = [
        p for p in stranger.rglob("*") if p.suffix in (".html", ".md", ".tex", ".svg", ".json")
    ]
    for path in written:
        assert not acting(path.read_text()), path
