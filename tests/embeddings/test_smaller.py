"""Parts of a corpus: nested, with every relevant document, and ranks as in a corpus that shrank."""

import numpy as np
import pytest

from bench.embeddings import embed
from bench.embeddings.smaller import sizes, smaller
from bench.errors import StudyError
from bench.exact import exact_search
from bench.measuring.runner import run
from bench.registry import whole_dataset


@pytest.fixture(scope="module")
def whole(vector_folder):
    return embed(f"vectors:{vector_folder}", progress=False)


def test_parts_are_nested_and_keep_what_is_relevant(whole):
    large, small = smaller(whole, 300), smaller(whole, 100)
    names = [
        set(part.doc_ids.at(np.arange(len(part.corpus))).to_pylist()) for part in (large, small)
    ]
    assert names[1] < names[0]
    for part in (large, small):
        rows, documents = part.relevant_pairs()
        assert len(rows) == len(whole.relevant_pairs()[0])
        held = whole.doc_ids.at(whole.relevant_pairs()[1]).to_pylist()
        assert part.doc_ids.at(documents).to_pylist() == held
        position = {name: i for i, name in enumerate(whole.doc_ids.at(np.arange(600)).to_pylist())}
        rows_of = [position[n] for n in part.doc_ids.at(np.arange(len(part.corpus))).to_pylist()]
        assert (part.corpus == whole.corpus[rows_of]).all()


def test_a_part_finds_what_the_whole_finds_without_the_others(whole):
    part = smaller(whole, 200)
    position = {name: i for i, name in enumerate(whole.doc_ids.at(np.arange(600)).to_pylist())}
    kept = [position[name] for name in part.doc_ids.at(np.arange(200)).to_pylist()]
    ids, _ = exact_search(part.queries, part.corpus, [16], 10).nearest[16]
    every, _ = exact_search(whole.queries, whole.corpus, [16], 600).nearest[16]
    expected = [[d for d in row if d in set(kept)][:10] for row in every.tolist()]
    assert [[kept[i] for i in row] for row in ids.tolist()] == expected


def test_the_same_part_is_read_from_the_cache(whole):
    first = smaller(whole, 150)
    made = (first.folder / "meta.json").stat().st_mtime_ns
    again = smaller(whole, 150)
    assert again.key == first.key != whole.key
    assert (again.folder / "meta.json").stat().st_mtime_ns == made


def test_sizes_are_ascending_and_the_whole_is_itself(whole):
    found = sizes(whole, [1e6, 100, 300, 700])
    assert [len(part.corpus) for part in found] == [100, 300, 600]
    assert found[-1] is whole
    assert sizes(whole, []) == [whole]
    assert found[0].dataset == f"{whole.dataset}@100"
    assert whole_dataset(found[0].dataset) == whole.dataset
    assert whole_dataset("me@home") == "me@home"


def test_a_part_too_small_for_the_relevant_documents_is_refused(whole):
    with pytest.raises(StudyError, match="cannot hold the 40 that the queries"):
        smaller(whole, 20)


def test_a_study_measures_each_size_once(tmp_path, vector_folder):
    (tmp_path / "study.toml").write_text(
        f"""
        name = "sizes"
        dataset = "vectors:{vector_folder}"
        dimensions = [8, 32]
        corpus_sizes = [100, 300, 1e9]
        repeats = 1
        subsets = 0
        [[configurations]]
        backend = "faiss-flat"
        """
    )
    frame = run(tmp_path / "study.toml", tmp_path / "results", progress=False)
    assert (frame["status"] == "ok").all()
    clocked = frame[frame["backend"] == "faiss-flat"]
    assert clocked.groupby("dim")["n_corpus"].apply(sorted).to_dict() == {
        8: [100, 300, 600],
        32: [100, 300, 600],
    }
    quality = frame.query("backend == 'exact' and dim == 8").sort_values("n_corpus")["ndcg_at_10"]
    assert quality.is_monotonic_decreasing
    again = run(tmp_path / "study.toml", tmp_path / "results", progress=False)
    assert set(again["trial_id"]) == set(frame["trial_id"])
