"""Names, ids and files that a stranger wrote stay inside their folder."""

import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.datasets import load_dataset
from bench.deploy import deploy
from bench.errors import DamagedFile, DataError, StudyError, UsageError
from bench.harmless import is_name
from bench.interop.export import export_mteb, export_trec
from bench.report.advised import advised
from bench.results.store import Store, load, load_rankings
from bench.study.reader import load_study
from tests.security.hostile import rewritten

OUTSIDE = [
    "../x", "../../etc/passwd", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "a..b", "x\0y", "x\ny",
    "x\x1b[2J", "-rf", "a\\b", "~root", "x" * 300, "é", "a b", "\u202ex", "con:aux",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE, ids=ascii)
def test_what_could_leave_a_folder_is_no_name(name):
    assert not is_name(name)


@pytest.mark.parametrize("name", ["0a1b2c", "quickstart", "my_study-2.1", "A"])
def test_a_plain_name_is_one(name):
    assert is_name(name)


@pytest.mark.parametrize("name", [each for each in OUTSIDE if "\0" not in each], ids=ascii)
def test_a_study_cannot_name_a_folder_elsewhere(name, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(f'name = {json.dumps(name)}\ndataset = "pydoc"\ndimensions = [8]\n')
    with pytest.raises(StudyError):
        load_study(study)


@pytest.mark.parametrize("key", ["dataset", "encoder"])
@pytest.mark.parametrize(
    "sign", ["\\u001b[2J", "\\u009b2J", "\\u202e", "\\u2066", "\\u200f", "\\u0000"]
)
def test_a_study_cannot_name_data_with_signs_that_act(key, sign, tmp_path):
    names = {"dataset": "beir:x", "encoder": "st:x"} | {key: f"beir:{sign}"}
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "s"\ndimensions = [8]\ndataset = "{names["dataset"]}"\nencoder = "{names["encoder"]}"\n'
    )
    with pytest.raises(StudyError, match="control or direction sign"):
        load_study(study)


@pytest.mark.parametrize("trial_id", ["../../secret", "/etc/passwd", "", "..", "a/b"])
def test_rankings_are_read_and_written_inside_the_folder_alone(trial_id, tmp_path):
    inside = tmp_path / "results" / "deep"
    inside.mkdir(parents=True)
    pq.write_table(pa.table({"query_id": ["q"], "doc_ids": [["d"]]}), tmp_path / "secret.parquet")
    with pytest.raises(UsageError, match="no id of a trial"):
        load_rankings(inside, trial_id)
    with pytest.raises(UsageError, match="no id of a trial"):
        Store(inside).add({"trial_id": trial_id}, {"query_id": ["q"]}, [["d"]])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results", "secret.parquet"]


def test_a_table_with_an_id_that_is_a_path_is_refused_by_every_reader(measured, tmp_path):
    folder = rewritten(measured, tmp_path / "results", trial_id="/../../x")
    for read in (load, lambda path: Store(path).done(), lambda path: Store(path).rows()):
        with pytest.raises(DamagedFile, match="is no id of a trial"):
            read(folder)
    with pytest.raises(DamagedFile, match="is no id of a trial"):
        deploy(folder, "x", tmp_path / "out")


def test_exports_write_inside_the_folder_whatever_dataset_and_encoder_are_called(
    measured, tmp_path
):
    folder = rewritten(
        measured, tmp_path / "results", dataset="/../../../x/..", encoder="/../../../y"
    )
    frame = load(folder)
    out = tmp_path / "deep" / "er" / "out"
    for path in [*export_mteb(frame, out), *export_trec(frame, folder, out)]:
        assert path.resolve().is_relative_to(out.resolve())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "results"]


def test_a_page_shows_the_code_of_its_own_folder_alone(tmp_path):
    (tmp_path / "secret").write_text("a private key")
    folder = tmp_path / "results"
    folder.mkdir()
    for code in ("../secret", str(tmp_path / "secret"), "link"):
        if code == "link":
            (folder / "link").symlink_to(tmp_path / "secret")
        advice = {"dataset": "d", "encoder": "e", "sentences": [], "code": code}
        (folder / "advice.json").write_text(json.dumps(advice))
        with pytest.raises(DamagedFile, match="outside the folder"):
            advised(folder)


def test_a_split_is_the_name_of_a_file_in_its_folder(text_folder):
    for split in ("../qrels/test", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(UsageError, match="not the name of a split"):
            load_dataset(f"beir:{text_folder}", split)


def other_files(kind, folder):
    """Write an HDF5 file whose array lies in another file."""
    with h5py.File(folder / "other.h5", "w") as file:
        file["corpus"] = np.eye(8, dtype=np.float32)
    (folder / "secret").write_bytes(b"a private key".ljust(8 * 8 * 4, b"."))
    with h5py.File(folder / "given.hdf5", "w") as file:
        file["train"] = np.eye(8, dtype=np.float32)
        file["queries"] = file["test"] = np.eye(8, dtype=np.float32)
        del file["train"]
        if kind == "link":
            file["train"] = h5py.ExternalLink("other.h5", "corpus")
        elif kind == "link behind a link":
            file["door"] = h5py.ExternalLink("other.h5", "/")
            file["train"] = h5py.SoftLink("/door/corpus")
        elif kind == "raw":
            file.create_dataset("train", (8, 8), "f4", external=[("secret", 0, 256)])
        else:
            layout = h5py.VirtualLayout((8, 8), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "corpus", (8, 8))
            file.create_virtual_dataset("train", layout)
    return folder / "given.hdf5"


@pytest.mark.parametrize("kind", ["link", "link behind a link", "raw", "virtual"])
def test_an_hdf5_file_that_reads_another_file_is_refused(kind, tmp_path):
    path = other_files(kind, tmp_path)
    with pytest.raises(DataError, match="lies in another file"):
        load_dataset(f"vectors:{path}")
