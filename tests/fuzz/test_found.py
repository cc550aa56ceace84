"""What the fuzz has found, each by its smallest input."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.advising.plan import PLAN, earlier_tables
from bench.analysis.money import load_prices
from bench.arrays import mapped_matrix
from bench.datasets._truth import fitting
from bench.embeddings import embed
from bench.embeddings.smaller import smaller
from bench.errors import DamagedFile, UsageError
from bench.files import read_checked, write_checked
from bench.gate.duet import lines, measured_pairs
from bench.gate.environments import requirements
from bench.gate.itself import suite_figures
from bench.libraries import without_secrets
from bench.report.advised import advised
from bench.report.page.build import _studies
from bench.results.store import ADVICE, load
from bench.results.tables import TRIALS
from bench.study.plan import parameters
from bench.study.reader import load_study

DEEP = "[" * 100_000


def refused(read, names, error=UsageError):
    with pytest.raises(error) as caught:
        read()
    assert len(str(caught.value).splitlines()) == 1
    assert str(names) in str(caught.value)


def test_a_column_whose_name_is_no_unicode(tmp_path):
    path = tmp_path / "x.arrow"
    table = pa.table({"emb": pa.array([[1.0]]), "QQQ": [1]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"QQQ", b"\xff\xfe\xfd"))
    refused(lambda: embed(f"vectors:{path}", cache=tmp_path, progress=False), path)


def test_a_key_to_set_that_is_no_unicode():
    refused(lambda: load_study("quickstart", ["\udcff=1"]), "quickstart")


@pytest.mark.parametrize(
    "text", [f"a = {DEEP}", "keep = 'x'", "keep = 0.9\nconfigurations = [{ backend = 1 }]", "\xff"]
)
def test_a_plan_that_is_damaged(tmp_path, text):
    (tmp_path / PLAN).write_bytes(text.encode("latin-1"))
    refused(lambda: earlier_tables(tmp_path, 0.9), tmp_path)


def test_prices_nested_too_deeply(tmp_path):
    (tmp_path / "p.toml").write_text(f"a = {DEEP}")
    refused(lambda: load_prices(tmp_path / "p.toml"), tmp_path)


@pytest.mark.parametrize(
    "text", ["[", "project = 1", f"a = {DEEP}", '[project]\ndependencies = ["--pre"]', "a = '\xff'"]
)
def test_a_revision_whose_requirements_cannot_be_read(tmp_path, text):
    (tmp_path / "pyproject.toml").write_bytes(text.encode("latin-1"))
    if "\xff" in text:  # a text that nobody asks for
        assert requirements(tmp_path, tmp_path / "none") == []
    else:
        refused(lambda: requirements(tmp_path, tmp_path / "none"), tmp_path)


def test_a_study_in_a_results_folder_that_is_no_unicode(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "s.toml").write_bytes(b"\xff")
    assert _studies(tmp_path) == {"s.toml": "\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        "[]",
        '{"dataset": 1, "encoder": "", "code": "", "sentences": []}',
        '{"dataset": "d", "encoder": "", "code": "", "sentences": [1]}',
        '{"dataset": "d", "encoder": "", "code": "../secret", "sentences": []}',
        '{"dataset": "d", "encoder": "", "code": "/etc/hostname", "sentences": []}',
    ],
)
def test_advice_that_is_damaged_or_points_elsewhere(tmp_path, text):
    folder = tmp_path / "r"
    folder.mkdir()
    (tmp_path / "secret").write_text("not for the page")
    (folder / ADVICE).write_text(text)
    refused(lambda: advised(folder), folder, DamagedFile)


@pytest.mark.parametrize("text", ["", "[]", "{}", DEEP, '{"base": {"label": "a"}, "slices": 1}'])
def test_sides_that_are_damaged(tmp_path, text):
    (tmp_path / "sides.json").write_text(text)
    refused(lambda: measured_pairs(tmp_path), tmp_path)


def test_notes_of_a_comparison_that_are_damaged_are_left_out(tmp_path):
    sound = {"pair": 0, "slice": 0, "side": "base", "seconds": 1.0, "imported": 0.1}
    damaged = ["[]", '{"pair": 0}', DEEP, '{"pair": "0", "slice": 0, "side": "", "seconds": 1.0}']
    (tmp_path / "done.jsonl").write_text("\n".join([json.dumps(sound), *damaged]) + "\n")
    assert list(lines(tmp_path)) == [sound]
    for side in ("base", "head"):
        (tmp_path / side / "0").mkdir(parents=True)
        (tmp_path / side / "0" / "tasks.jsonl").write_bytes(b'\xff\n[]\n{"task": "exact"}\n')
    ((base, _),) = suite_figures(tmp_path, [0])
    assert base["worker_bytes"] == base["exact_pass_seconds"] == 0


def test_ground_truth_without_neighbours_is_not_used():
    assert fitting(np.empty((3, 0), np.int64), "t", 5, 3)[0] is None


@pytest.mark.parametrize("text", ["{", "[]", "1", DEEP])
def test_parameters_that_are_none(text):
    refused(lambda: parameters(text), "parameters", DamagedFile)


def test_a_trial_without_a_backend(tmp_path):
    row = {"trial_id": "a", "status": "ok", "dataset": "d", "machine": "m", "started_at": "2026"}
    table = pa.Table.from_pylist([{n: row.get(n) for n in TRIALS.names}], schema=TRIALS)
    pq.write_table(table, tmp_path / "trials.parquet")
    refused(lambda: load(tmp_path), tmp_path, DamagedFile)


def test_a_changed_letter_in_a_kept_description_is_seen(tmp_path):
    write_checked(tmp_path / "m.json", {"grade": 1})
    assert read_checked(tmp_path / "m.json") == {"grade": 1}
    path = tmp_path / "m.json"
    path.write_text(path.read_text().replace("1}", "2}"))
    with pytest.raises(ValueError, match="damaged"):
        read_checked(path)


def test_a_matrix_that_lost_rows_in_its_header_is_seen(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((24, 4), np.float32))
    data = (tmp_path / "m.npy").read_bytes()
    (tmp_path / "m.npy").write_bytes(data.replace(b"(24, 4)", b"(20, 4)"))
    with pytest.raises(ValueError, match="size"):
        mapped_matrix(tmp_path / "m.npy")


@pytest.mark.parametrize("name", ["meta.json", "doc_ids.arrow", "matrix"])
def test_a_part_of_a_corpus_that_is_damaged_is_made_anew(vector_folder, tmp_path, name):
    whole = embed(f"vectors:{vector_folder}", cache=tmp_path, progress=False)
    part = smaller(whole, 100)
    path = part.folder / name
    if name == "matrix":
        path = tmp_path / "matrices" / f"{part.key}.npy"
    corpus = np.array(part.corpus)
    path.write_bytes(path.read_bytes()[:-1])
    again = smaller(whole, 100)
    assert list(again.doc_ids) == list(part.doc_ids)
    assert again.qrels == part.qrels
    np.testing.assert_array_equal(again.corpus, corpus)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://me:hunter/zwiebel@host", "Failed to parse: https://me:hunter/zwiebel@host"),
        ("https://me:hunter@zwiebel@host", "could not resolve zwiebel@host"),
        ("postgresql://me:hunter/zwiebel@host/db", 'invalid integer value "hunter" for "port"'),
        ("host=h password=hunter user=me", "missing = after password=hunter"),
        ("host=h password='hun ter\\'zwiebel' user=me", "near hun ter'zwiebel"),
        ("postgresql:///db?user=me&password=hunter", "invalid URI: /db?user=me&password=hunter"),
        ("https://hunter%2Fzwiebel@host", "401 for hunter/zwiebel"),
        ("me:hunter@host", "no scheme in me:hunter@host"),
        ("https://me:HUNTER@host", "no such host hunter"),
    ],
)
def test_no_part_of_a_password_is_shown(monkeypatch, address, said):
    monkeypatch.setenv("MATRYOSHKA_BENCH_POSTGRES", address)
    shown = without_secrets(said).lower()
    assert not any(part in shown for part in ("hunter", "zwiebel", "hun ter"))


def test_what_is_no_password_is_shown(monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_QDRANT", "https://me:hunter@db.example:6333/path")
    monkeypatch.setenv("MATRYOSHKA_BENCH_MILVUS", "localhost:19530")
    said = "cannot reach db.example:6333/path nor localhost:19530"
    assert without_secrets(said) == said
