"""A comparison as people read it: in the terminal, in Markdown, as JUnit XML and JSON."""

import io
import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.regression import Comparison, Ended, Finding, compare
from bench.report.regression import (
    MARKER,
    comparison_junit,
    comparison_markdown,
    show_comparison,
)
from bench.report.regression.phrases import change, headline, limit, value

NAN = math.nan
HOSTILE = 'a|b <script>alert(1)</script> `c` [x](http://e) **d** @octocat #1 $x$ & "q" \x00\x1b[31m\ud800\n# h'


def printed(found, width=100, **given):
    text = io.StringIO()
    show_comparison(found, Console(file=text, width=width), **given)
    return text.getvalue()


def pooled(backend, figure="latency_ms_p50", answer="same", by=0.0, n=6, **given):
    """Return a finding of a backend, its interval three per cent to both sides."""
    usual = {"base": 0.1, "head": 0.1 * (1 + by), "low": by - 0.03, "high": by + 0.03, "limit": 0.1}
    return Finding(backend, figure, answer, change=by, **(usual | given), configurations=n)


def single(backend, i, figure="ndcg_at_10", answer="same", by=0.0, **given):
    """Return a finding of one configuration that is exact."""
    usual = {"base": 0.5, "head": 0.5 + by, "low": NAN, "high": NAN, "limit": 0.0}
    name = f"{backend} {i} d"
    return Finding(name, figure, answer, change=by, backend=backend, **(usual | given))


def comparison(*findings, ended=(), pairs=5, **given):
    usual = {"base": "main (fa7036a2b)", "head": "working tree", "machine": "Xeon, 4 cores"}
    kept = {"compared": 22, "pairs": pairs, "findings": findings, "ended": ended}
    return Comparison(**(usual | kept | given))


ENDED = (
    Ended("faiss-ivf 8 d", "ok", "absent"),
    Ended("annoy 8 d", "ok", "skipped", "annoy is not installed"),
    Ended("faiss-pq 8 d", "ok", "crashed", "ended by [SIGABRT]"),
    Ended("faiss-sq 8 d", "absent", "ok"),
    Ended("faiss-lsh 8 d", "timeout", "ok"),
)
REGRESSED = comparison(
    pooled("faiss-hnsw", by=0.173, answer="regressed"),
    *(
        single("faiss-hnsw", i, "latency_ms_p50", "regressed", 0.18, low=0.1, high=0.2, limit=0.1)
        for i in (8, 16)
    ),
    *(single("faiss-ivf", i, answer="regressed", by=-i / 1000) for i in range(1, 7)),
    single("faiss-flat", 8, "bytes_per_vector", "improved", -0.5, base=64.0, head=32.0, limit=0.01),
    pooled("annoy", "latency_ms_p95", "cannot tell", 0.2, more_pairs=7, limit=0.25),
    pooled("annoy", "build_seconds", by=0.1, limit=0.3),
    *(single("annoy", i, "recall_at_10") for i in range(3)),
    ended=ENDED,
    notes=["a [note] of which to know"],
    versions={"faiss-cpu": ("1.9", "1.10"), "new": ("", "2")},
)
UNSURE = comparison(
    pooled("annoy", answer="cannot tell", by=0.04, more_pairs=7),
    pooled("annoy", "batch_qps", "cannot tell", -0.04, more_pairs=2, limit=0.3),
)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (REGRESSED, "REGRESSED: 2 figures of 2 backends, 3 configurations lost"),
        (comparison(ended=ENDED[:1]), "REGRESSED: 1 configuration lost"),
        (comparison(pooled("a")), "same: 22 configurations, 5 process pairs"),
        (
            comparison(pooled("a", answer="improved", by=-0.2), pairs=0),
            "same: 22 configurations, measured at other times; 1 figure of 1 backend improved",
        ),
        (UNSURE, "CANNOT TELL: 2 figures of 1 backend; about 7 more pairs would tell"),
        (
            comparison(pooled("a", answer="cannot tell", more_pairs=200)),
            "CANNOT TELL: 1 figure of 1 backend; at least 200 more pairs would tell",
        ),
        (
            comparison(pooled("a", answer="cannot tell"), pairs=0),
            "CANNOT TELL: 1 figure of 1 backend",
        ),
    ],
)
def test_the_verdict_in_words_comes_first(found, says):
    assert headline(found) == says
    assert printed(found).splitlines()[0] == says
    assert comparison_markdown(found).splitlines()[:3] == [MARKER, "", f"## {says}"]


@pytest.mark.parametrize(
    ("finding", "changed", "limited"),
    [
        (pooled("a", by=0.173), "+17.3 % [+14.3, +20.3]", "10 %"),
        (pooled("a", by=-0.001), "−0.1 % [−3.1, +2.9]", "10 %"),
        (pooled("a", by=0.0001, low=-0.0001, high=0.02), "0.0 % [0.0, +2.0]", "10 %"),
        (pooled("a", by=20.0), "+2,000 % [+1,997, +2,003]", "10 %"),
        (pooled("a", low=0.0, high=0.0), "0 %", "10 %"),
        (single("a", 1, by=-0.0052), "−0.0052", "0"),
        (single("a", 1, by=-0.00002), "−2e-05", "0"),
        (single("a", 1, by=-0.01, low=-0.02, high=-0.005), "−0.0100 [−0.0200, −0.0050]", "0"),
        (single("a", 1, "disk_bytes", by=math.inf, limit=0.01), "from 0", "1 %"),
        (single("a", 1, by=NAN), "–", "0"),
    ],
)
def test_a_change_has_its_sign_its_unit_and_its_interval(finding, changed, limited):
    assert (change(finding), limit(finding)) == (changed, limited)


def test_a_value_has_three_digits_and_quality_four_decimals():
    of = pooled("a")
    assert [value(of, x) for x in (0.03456, 12.34, 999.6, 12345.6, 0.0, NAN)] == [
        *("0.0346", "12.3", "1,000", "12,346", "0", "–"),
    ]
    assert value(single("a", 1), 0.123456) == "0.1235"


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("found", [REGRESSED, UNSURE, comparison()], ids=["worse", "unsure", "no"])
def test_no_line_is_wider_than_the_terminal(found, width):
    text = printed(found, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    for each in found.findings:
        if each.configurations > 1 and each.change:
            assert change(each) in text


def test_all_that_happened_is_said_once():
    text = printed(REGRESSED, 140)
    parts = re.split(r"\n\n", text)
    assert parts[0].splitlines()[1:] == [
        "base      main (fa7036a2b)",
        "head      working tree",
        "measured  22 configurations, 5 process pairs",
        "machine   Xeon, 4 cores",
        "versions  faiss-cpu 1.9 → 1.10, new none → 2",
    ]
    worse = next(part for part in parts if part.startswith("regressed"))
    assert [re.split("  +", line)[0] for line in worse.splitlines()[1:]] == [
        "faiss-ivf, largest of all 6",
        "faiss-hnsw, median of 6",
    ]
    assert "0.1 → 0.117" in worse
    better = next(part for part in parts if part.startswith("improved"))
    assert re.search("faiss-flat 8 d  bytes per vector +−50.0 % +1 % +64 → 32", better)
    unsure = next(part for part in parts if part.startswith("cannot tell"))
    assert unsure.splitlines()[1].split()[-1] == "7"
    for says in (
        "missing in the head (1):\n  faiss-ivf 8 d\n",
        "newly skipped (1):\n  annoy 8 d: ok → skipped: annoy is not installed\n",
        "failed in the head (1):\n  faiss-pq 8 d: ok → crashed: ended by [SIGABRT]\n",
        "new in the head (1):\n  faiss-sq 8 d\n",
        "ok again (1):\n  faiss-lsh 8 d: timeout → ok\n",
        "no change that counts in any configuration: recall@10\n",
        "note: a [note] of which to know",
    ):
        assert says in text


def test_the_three_largest_changes_lead_and_each_is_one_of_its_kind():
    for text in (printed(REGRESSED, 140), comparison_markdown(REGRESSED)):
        lines = [line for line in text.splitlines() if line.strip()]
        start = next(i for i, line in enumerate(lines) if "largest changes" in line)
        start += lines[start + 1].startswith("| ---")
        subjects = (
            "faiss-ivf, largest of all 6",
            "faiss-hnsw, median of 6",
            "faiss-flat 8 d",
        )
        for line, subject in zip(lines[start + 1 :], subjects, strict=False):
            assert subject in line
        # The sixth configuration of six lost most.
        assert "−0.0060" in lines[start + 1]
        assert "annoy" not in lines[start + 4].split("  ")[0]


def test_a_backend_is_named_where_all_its_configurations_agree_and_only_there():
    some = [single("faiss-ivf", i, answer="regressed", by=-0.01) for i in range(2)]
    rest = [single("faiss-ivf", i) for i in range(2, 6)]
    text = printed(comparison(*some, *rest), 140)
    worse = text.split("\n\n")[2].splitlines()
    assert [line.split("  ")[0] for line in worse] == [
        "regressed",
        "faiss-ivf 0 d",
        "faiss-ivf 1 d",
    ]
    assert re.search(r"faiss-ivf, largest of all 6 .* regressed in 2 of 6", text)
    every = [replace(each, answer="regressed", change=-0.01) for each in (*some, *rest)]
    text = printed(comparison(*every), 140)
    assert re.search(r"faiss-ivf, all 6 +nDCG@10 +−0.0100", text)
    assert "d  nDCG" not in text
    # One of the tested configurations, whose mean does not show it.
    alone = single("annoy", 1, answer="regressed", by=-0.01, low=-0.02, high=-0.005)
    text = printed(comparison(pooled("annoy", "ndcg_at_10", limit=0.0), alone), 140)
    assert re.search(r"annoy, median of 6 .* regressed in 1 of 6", text)
    assert "annoy 1 d  nDCG@10  −0.0100 [−0.0200, −0.0050]" in text


def test_a_figure_that_the_head_lacks_comes_first_and_says_so():
    lost = single("faiss-ivf", 8, answer="regressed", by=NAN, detail="the head has no such figure")
    found = comparison(pooled("faiss-ivf", by=5.0, answer="regressed"), lost)
    assert found.largest[0] is lost
    line = printed(found, 140).split("\n\n")[1].splitlines()[1]
    assert line.startswith("faiss-ivf 8 d: the head has no such figure  nDCG@10")
    assert "nDCG@10 was 0.5000; the head has no such figure" in comparison_junit(found)


def test_a_long_list_is_cut_and_says_how_many_more():
    found = comparison(*(single(f"b{i}", 1, answer="regressed", by=-0.1) for i in range(20)))
    assert "… 12 more" in printed(found)
    assert "… " not in printed(found, most=0)


def test_planted_changes_of_a_folder_are_read_in_every_form(frame):
    head = frame.copy()
    rows = (head["backend"] == "faiss-hnsw") & head["ndcg_at_10"].notna()
    head.loc[rows, "ndcg_at_10"] -= 0.05
    for column in ("speedup_vs_exact", "speedup_vs_exact_low", "speedup_vs_exact_high"):
        head.loc[head["backend"] == "faiss-flat", column] /= 20
    found = compare(frame, head.drop(index=head.index[head["backend"] == "exact"][0]))
    assert headline(found).endswith("figures of 2 backends, 1 configuration lost")
    for text in (printed(found, 80), comparison_markdown(found)):
        assert re.search(rf"faiss-hnsw, .*all\s+{rows.sum()}", text)
        assert "−0.0500" in text
        assert "faiss-flat, median of" in text
        assert "−95.0 %" in text
        assert "missing in the head" in text.lower()
    suite = {each.get("name"): each for each in Xml.fromstring(comparison_junit(found))}
    assert suite["nDCG@10"].get("failures") == str(rows.sum())
    assert suite["trials"].get("failures") == "1"


def test_junit_counts_what_it_holds_and_every_case_is_of_one_configuration():
    root = Xml.fromstring(comparison_junit(REGRESSED))
    assert root.tag == "testsuites"
    for suite in (root, *root):
        cases = [*suite.iter("testcase")]
        assert {"name", "tests", "failures", "skipped", "errors", "time"} <= set(suite.keys())
        assert int(suite.get("tests")) == len(cases) > 0
        assert int(suite.get("failures")) == len([*suite.iter("failure")])
        assert int(suite.get("skipped")) == len([*suite.iter("skipped")])
        assert all({"name", "classname", "time"} == set(case.keys()) for case in cases)
    assert int(root.get("tests")) == len(REGRESSED.findings) + len(ENDED)
    regressed = REGRESSED.of("regressed")
    assert int(root.get("failures")) == len(regressed) + sum(e.is_regression for e in ENDED)
    (skipped,) = root.iter("skipped")
    assert "about 7 more pairs would tell" in skipped.get("message")
    messages = [each.get("message") for each in root.iter("failure")]
    assert "p50 ms +17.3 % [+14.3, +20.3], 0.1 → 0.117; the limit is 10 %" in messages
    assert "annoy 8 d: ok → skipped: annoy is not installed" in messages
    assert Xml.fromstring(comparison_junit(comparison())).get("tests") == "0"


def hostile():
    return replace(
        REGRESSED,
        base=HOSTILE,
        head=HOSTILE,
        machine=HOSTILE,
        notes=[HOSTILE],
        versions={HOSTILE: (HOSTILE, "")},
        findings=[replace(f, subject=HOSTILE, detail=HOSTILE) for f in REGRESSED.findings],
        ended=[Ended(HOSTILE, "ok", "crashed", HOSTILE), Ended(HOSTILE, "absent", "ok")],
    )


def test_no_name_breaks_the_xml_or_the_terminal():
    root = Xml.fromstring(comparison_junit(hostile()))
    assert next(root.iter("testcase")).get("name").startswith("a|b <script>")
    text = printed(hostile(), 80)
    assert text.isprintable() is False
    assert set(text) - {"\n"} == {each for each in text if each.isprintable()}
    assert max(map(cell_len, text.splitlines())) <= 80


def test_no_name_forms_markup_or_calls_anyone():
    text = comparison_markdown(hostile(), "https://host/a b)(c/1?x=<i>")
    text.encode()
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    kinds = [child for token in tokens for child in (token, *(token.children or ()))]
    links = [each.attrs["href"] for each in kinds if each.type == "link_open"]
    assert links == ["https://host/a%20b%29%28c/1?x=%3Ci%3E"]
    assert not {"em_open", "strong_open", "code_inline", "image"} & {each.type for each in kinds}
    assert [each.tag for each in kinds if each.type == "heading_open"] == ["h2"]
    html = {each.content for each in kinds if each.type == "html_inline"}
    assert html <= {"<!-- -->"}
    blocks = " ".join(each.content for each in kinds if each.type == "html_block")
    assert "script" not in blocks
    assert not re.search(r"(?<!\w)@\w", text)
    widths = {
        len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")
    }
    assert widths == {6}


@pytest.mark.parametrize("name", ["a backend", "@x|" * 400], ids=["plain", "long"])
def test_markdown_stays_below_what_github_takes_and_says_what_it_leaves_out(name):
    answers = ("regressed", "improved", "cannot tell", "same")
    found = comparison(
        *(
            pooled(f"{i} {name}", by=0.2 + i / 1000, answer=answers[i % 4], detail=name)
            for i in range(2000)
        ),
        ended=[Ended(f"{i} {name}", "ok", "failed", name) for i in range(2000)],
        notes=[name] * 100,
        base=name,
        head=name,
        machine=name,
        versions={f"{i} {name}": (name, name) for i in range(100)},
    )
    text = comparison_markdown(found)
    assert len(text) <= 60_000
    assert re.search(r"\d[\d,]+ more are left out here\.", text)
    assert text.count("<details") == text.count("</details>") == 5
    small = comparison_markdown(REGRESSED)
    assert "left out" not in small


def test_the_address_of_the_run_is_linked():
    text = comparison_markdown(REGRESSED, "https://github.com/a/b/actions/runs/1")
    assert "[the run](https://github.com/a/b/actions/runs/1)" in text
    assert "the run" not in comparison_markdown(REGRESSED)


def test_json_is_strict_and_holds_everything():
    found = replace(REGRESSED, findings=[*REGRESSED.findings, single("a", 1, by=math.inf)])
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["verdict"] == "regressed"
    assert record["ok"] is False
    assert record["findings"][-1]["change"] is None
    assert record["findings"][-1]["low"] is None
    assert record["findings"][0]["change"] == 0.173
    assert record["versions"]["faiss-cpu"] == ["1.9", "1.10"]


def test_every_key_of_the_json_is_in_the_readme():
    text = (Path(__file__).parents[2] / "bench" / "report" / "README.md").read_text("utf-8")
    for cls in (Comparison, Finding, Ended):
        for each in fields(cls):
            assert f"`{each.name}`" in text, each.name


def test_figures_of_two_thousand_configurations_are_printed_at_once():
    rng = np.random.default_rng(0)
    found = comparison(
        *(
            single(f"b{i % 40}", i, answer="regressed" if by < -0.02 else "same", by=by)
            for i, by in enumerate(rng.normal(0, 0.01, 2000).tolist())
        )
    )
    assert "… " in printed(found, 80)
    assert len(printed(found, 80).splitlines()) < 80
