"""The templates of the READMEs work as they stand, in packages found by entry point alone."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from bench.backends import backends
from bench.docs import backends_table
from bench.libraries import installed

BENCH = Path(__file__).parents[1] / "bench"
FAMILIES = ("backends", "datasets", "encoders", "reducers", "figures")


def blocks(family: str) -> dict[str, str]:
    """Return the code blocks of a README by language."""
    text = (BENCH / family / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages, one per README: its Python block, and the entry points of its TOML."""
    folder = tmp_path_factory.mktemp("site")
    for family in FAMILIES:
        code = blocks(family)
        ((group, points),) = tomllib.loads(code["toml"])["project"]["entry-points"].items()
        ((name, target),) = points.items()
        (folder / f"{target.partition(':')[0]}.py").write_text(code["python"], encoding="utf-8")
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    return folder


@pytest.fixture(scope="module")
def bench(site):
    """Return a function that runs the command line with the packages installed."""
    path = os.pathsep.join([str(site), str(BENCH.parent)])

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "bench", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )

    return run


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("backends", "landmarks"),
        ("datasets", "faq:FILE"),
        ("encoders", "hashed:DIMENSION"),
        ("reducers", "svd"),
        ("figures", "build_vs_size"),
    ],
)
def test_a_template_is_found_by_its_entry_point(kind, name, bench):
    done = bench("list", kind, "--json")
    assert done.returncode == 0, done.stderr
    assert name in {row["name"] for row in json.loads(done.stdout)}


def test_the_backend_s_template_keeps_every_rule(bench):
    done = bench("check", "landmarks", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(done.stdout)["float32"]
    applied = {r["rule"] for r in results if not r["detail"].startswith("does not apply")}
    assert {"a_saved_index_answers_alike", "wider_finds_no_less", "same_seed_same_result"} < applied


@pytest.mark.slow
def test_all_templates_measure_one_study(bench, tmp_path):
    words = ["apple", "river", "engine", "violin", "planet", "kitchen", "doctor", "bridge"]
    lines = [f"where is the {w}, {v}\tthe {w} of the {v}" for w in words for v in words]
    (tmp_path / "faq.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "study.toml").write_text(
        f"""
        name = "plugins"
        dataset = "faq:{tmp_path}/faq.tsv"
        encoder = "hashed:32"
        dimensions = [8, 32]
        reducers = ["truncate", "svd"]
        repeats = 1
        [[configurations]]
        backend = "landmarks"
        reducer = ["truncate", {{ name = "svd", sample = 50 }}]
        search = {{ nprobe = [1, 64] }}
        """
    )
    out = tmp_path / "results"
    done = bench("run", tmp_path / "study.toml", "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(out / "trials.parquet")
    assert set(frame["status"]) == {"ok"}, frame["error"].tolist()
    timed = frame[frame["backend"] == "landmarks"]
    assert len(timed) == 2 * 2 * 2
    wide = timed[timed["search_params"].str.contains("64")]
    assert wide["ann_recall_at_10"].min() > 0.99
    full = timed[timed["dim"] == 32].groupby("reducer")["ndcg_at_10"].max()
    assert full["svd"] == pytest.approx(full["truncate"], abs=0.02), "a rotation keeps all cosines"
    done = bench("figures", out)
    assert done.returncode == 0, done.stderr
    assert (out / "figures" / "build_vs_size.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('dataset = "faq:nowhere.tsv"', "faq:nowhere.tsv: No such file or directory"),
        ('dataset = "faq:{bad}"', "line 2: not a question, a tab and an answer"),
        ('encoder = "hashed:big"', "hashed takes a dimension, as in hashed:256, not 'big'"),
    ],
)
def test_the_templates_report_bad_input_in_one_line(spec, message, bench, tmp_path):
    (tmp_path / "faq.tsv").write_text("a\tb\n")
    (tmp_path / "bad.tsv").write_text("a\tb\nno tab\n")
    given = {"dataset": f'dataset = "faq:{tmp_path}/faq.tsv"', "encoder": 'encoder = "hashed:8"'}
    given[spec.partition(" ")[0]] = spec.format(bad=tmp_path / "bad.tsv")
    study = ['name = "s"', *given.values(), "dimensions = [8]", "[[configurations]]"]
    (tmp_path / "study.toml").write_text("\n".join([*study, 'backend = "landmarks"']))
    done = bench("run", tmp_path / "study.toml", "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_table_of_backends_is_up_to_date(tmp_path):
    cog = pytest.importorskip("cogapp").Cog()
    text = BENCH / "backends" / "README.md"
    assert cog.main(["cog", "--check", "--verbosity=0", str(text)]) == 0


def test_the_table_of_backends_does_not_depend_on_this_machine(monkeypatch):
    table = backends_table()
    for cls in backends().values():
        monkeypatch.setattr(cls, "available", classmethod(lambda _: False))
        monkeypatch.setattr(cls, "version", classmethod(lambda _: "99"))
    assert backends_table() == table
    for cls in backends().values():
        assert table.count(f"\n| `{cls.name}` |") == 1
        variable = getattr(cls, "variable", "")
        assert variable in table
        version = next(iter(installed(cls.module).values()), "")
        assert not version or f" {version} " not in table
