"""Training gives better maps, is reproducible, and reports where it fails to improve.

It never sees the test queries.
"""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from bench.analysis.recommendation import recommend
from bench.cli import commands
from bench.errors import DataError, UsageError
from bench.exact.one_pass import exact_topk
from bench.measuring.runner import run
from bench.quality.intervals import Bounds
from bench.quality.measures import relevance
from bench.reducers.adaptor import Adaptor
from bench.results.store import load_queries
from bench.vectors import normalise

pytestmark = pytest.mark.needs_torch

D = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ready vectors with their meaning in 8 hidden directions, under noise elsewhere.

    A map can find these directions, a prefix cannot.
    """
    path, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    n, n_queries = 2000, 1200
    mixing = np.linalg.qr(rng.standard_normal((D, D)))[0]
    meaning, scale = rng.standard_normal((n, 8)), np.r_[np.ones(8), np.linspace(0.5, 1.3, D - 8)]
    asked = rng.choice(n, n_queries, replace=False)

    def vectors(rows):
        hidden = np.concatenate(
            [
                meaning[rows] + 0.15 * rng.standard_normal((len(rows), 8)),
                rng.standard_normal((len(rows), D - 8)),
            ],
            1,
        )
        return (hidden * scale @ mixing).astype(np.float32)

    np.save(path / "corpus.npy", vectors(np.arange(n)))
    np.save(path / "queries.npy", vectors(asked))
    (path / "qrels").mkdir()
    for split, rows in (("train", range(900)), ("test", range(900, n_queries))):
        lines = "".join(f"{row}\t{asked[row]}\t1\n" for row in rows)
        (path / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return path


def trained(folder, out, **chosen):
    from bench.training.adaptor import train
    from bench.training.fitting import Settings

    defaults = {"steps": 200, "batch": 128, "learning_rate": 5e-3, "dimensions": [8, 16, D]}
    named = {name: chosen.pop(name) for name in ("dense", "own_corpus") if name in chosen}
    return train(f"vectors:{folder}", "", out, Settings(**{**defaults, **chosen}), **named)


@pytest.fixture(scope="module")
def linear(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("linear")
    return trained(folder, out, form="linear", anchor=0.0, dense=out / "dense")


def test_a_learned_map_finds_what_a_prefix_loses(folder, linear):
    assert linear.better == [True, True, True]
    corpus, queries = (np.load(folder / f"{name}.npy") for name in ("corpus", "queries"))
    judged = [
        line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    ]
    rows, qrels = [int(q) for q, _, _ in judged], {q: {d: 1} for q, d, _ in judged}
    adaptor = Adaptor(path=str(linear.folder))
    quality = {
        name: relevance(
            exact_topk(queries[rows], corpus, [8], 10, transform=transform)[8][0],
            list(qrels),
            qrels,
            10,
        )["ndcg_at_10"].mean()
        for name, transform in (
            ("plain", None),
            ("adaptor", lambda block: adaptor.map(normalise(block))),
        )
    }
    assert quality["adaptor"] > quality["plain"] + 0.2


def test_the_same_seed_gives_the_same_map(folder, tmp_path):
    first, second, other = (
        trained(folder, tmp_path / str(i), steps=10, seed=seed) for i, seed in enumerate((3, 3, 4))
    )
    arrays = [Adaptor(path=str(t.folder)).arrays for t in (first, second, other)]
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])
    assert not np.array_equal(arrays[0]["linear"], arrays[2]["linear"])


@pytest.mark.parametrize("loss", ["kl", "l2", "cosine", "topk"])
def test_without_labels_a_prefix_comes_nearer_to_the_full_vector(folder, tmp_path, loss):
    found = trained(folder, tmp_path, loss=loss, form="linear", steps=30, anchor=0.0)
    assert json.loads((tmp_path / "adaptor.json").read_text())["loss"] == loss
    assert np.isfinite(found.curves["adaptor"]).all()
    # It starts as uncentred PCA, which cannot improve similarities at the full dimension.
    assert found.curves["adaptor"][-1] >= found.curves["truncate"][-1] - 0.05


def test_the_residual_starts_as_the_linear_map_and_learns(folder, tmp_path):
    assert trained(folder, tmp_path, form="residual", anchor=0.0).better[0]
    assert set(Adaptor(path=str(tmp_path)).arrays) == {"linear", "hidden", "hidden_bias", "output"}


def test_nothing_that_is_held_out_is_trained_on(folder):
    from bench.embeddings import embed
    from bench.training.held_out import Split

    data = embed(f"vectors:{folder}", None, split="train")
    split = Split(data, 0)
    held = set(map(int, split.own))
    assert held.isdisjoint(split.documents)
    assert held.isdisjoint(split.targets)
    assert {data.query_ids[row] for row in split.rows}.isdisjoint(split.held_pairs.ids)
    test = {
        line.split("\t")[0] for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    }
    assert {data.query_ids[row] for row in split.rows}.isdisjoint(test)


def asked_for(folder):
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    return {int(line.split("\t")[1]) for line in lines}


def test_the_documents_of_the_test_queries_are_left_out(folder):
    from bench.embeddings import embed
    from bench.training.held_out import Split, asked_documents

    data = embed(f"vectors:{folder}", None, split="train")
    hidden, asked = asked_documents(f"vectors:{folder}", data.doc_ids), asked_for(folder)
    assert set(np.flatnonzero(hidden).tolist()) == asked
    split = Split(data, 0, hidden)
    for positions in (split.documents, split.targets, split.own, split.held_documents):
        assert len(positions)
        assert asked.isdisjoint(positions.tolist())
    assert len(split.documents) + len(split.held_documents) + len(asked) == len(data.corpus)


def test_passages_of_hidden_documents_are_left_out(text_folder):
    from bench.embeddings import embed
    from bench.training.held_out import Split, asked_documents

    dataset = f"beir:{text_folder}"
    data = embed(dataset, "wordllama")
    hidden = asked_documents(dataset, data.doc_ids)
    assert hidden.sum() == 24
    split = Split(data, 0, hidden)
    texts = ["The first sentence tells something here. The second one says more of it."] * 60
    split.add_passages(texts, "wordllama", 1000, 0, alone=True)
    assert len(split.owners)
    assert not hidden[split.owners].any()
    assert not hidden[[int(owner) for q in split.held_passages.qrels.values() for owner in q]].any()
    assert not len(split.rows)


def test_what_an_adaptor_saw_is_written_and_said(folder, linear, tmp_path):
    own = trained(folder, tmp_path, form="linear", steps=2, own_corpus=True)
    metas = [json.loads((t.folder / "adaptor.json").read_text()) for t in (linear, own)]
    assert [meta["saw_test_documents"] for meta in metas] == [False, True]
    assert [meta["documents_left_out"] for meta in metas] == [len(asked_for(folder)), 0]
    assert Adaptor(path=str(linear.folder)).note == ""
    assert "on a corpus one has" in Adaptor(path=str(tmp_path)).note
    assert any("the corpus" in line or "a corpus you have" in line for line in own.lines())


def test_the_verdict_is_not_given_on_what_chose_the_checkpoint(folder):
    from bench.embeddings import embed
    from bench.training.held_out import CHOOSING, JUDGING, Split

    split = Split(embed(f"vectors:{folder}", None, split="train"), 0)
    halves = [split.held_pairs.half(which) for which in (CHOOSING, JUDGING)]
    assert set(halves[0].ids).isdisjoint(halves[1].ids)
    assert set(halves[0].ids) | set(halves[1].ids) == set(split.held_pairs.ids)
    assert [len(half.ids) for half in halves] == [len(half.vectors) for half in halves]
    documents = [max(int(d) for q in h.ids for d in h.qrels[q]) for h in halves[:1]]
    assert documents[0] <= min(int(d) for q in halves[1].ids for d in halves[1].qrels[q])
    values = [split.by_query(lambda v: v, [8], None, half)[8] for half in (CHOOSING, JUDGING)]
    assert sum(map(len, values)) == len(split.own)


def test_the_guard_asks_for_a_bound_above_every_untrained_map(folder, monkeypatch):
    from bench.embeddings import embed
    from bench.training import adaptor as module
    from bench.training.fitting import Settings

    data = embed(f"vectors:{folder}", None, split="train")
    nothing = np.zeros(len(data.corpus), bool)
    chosen = Settings(form="linear", steps=5, batch=64, dimensions=[8, 16, D])
    found = module.learn(data, None, chosen, nothing)
    whitened = module.Pca(whiten=True)
    whitened.fit(data.corpus)
    same = Adaptor.of({"linear": whitened.axes})
    found = module.Learned(same, found.split, found.settings, 5)
    _, curves, better = module._compare(found, data)
    assert curves["adaptor"] == pytest.approx(curves["pca_whitened"])
    assert better == [False] * 3, "no better than itself, whatever truncation does"
    of_pairs = []

    def differences(self, own, others):
        of_pairs.append(own.shape)
        low = np.array([[0.1, 0.1, 0.1], [0.1, -0.1, 0.1], [0.1, 0.1, 0.0]]).ravel()
        return Bounds(low, low, low, 2.0)

    monkeypatch.setattr(module.Bootstrap, "differences", differences)
    assert module._compare(found, data)[2] == [True, False, False]
    assert [shape[0] for shape in of_pairs] == [9], "three maps at three dimensions are one family"


def test_an_adaptor_in_a_study_and_a_recommendation_that_heeds_its_training(
    folder, linear, tmp_path
):
    meta = json.loads((linear.folder / "adaptor.json").read_text())
    doubtful = tmp_path / "doubtful"
    doubtful.mkdir()
    (doubtful / "adaptor.safetensors").write_bytes(
        (linear.folder / "adaptor.safetensors").read_bytes()
    )
    (doubtful / "adaptor.json").write_text(json.dumps({**meta, "better": [False, False, False]}))
    frames = {}
    for name, path in (("sure", linear.folder), ("doubtful", doubtful)):
        (tmp_path / "study.toml").write_text(
            f'name = "s"\ndataset = "vectors:{folder}"\ndimensions = [8, {D}]\nrepeats = 1\n'
            f'[[configurations]]\nbackend = "faiss-flat"\n'
            f'reducer = ["truncate", "adaptor:{path}"]\n'
        )
        frames[name] = run(tmp_path / "study.toml", tmp_path / name / "out", progress=False)
        assert (frames[name]["status"] == "ok").all()
    sure, doubt = (
        recommend(frame, load_queries(tmp_path / name / "out"), 0.9)[0]
        for name, frame in frames.items()
    )
    assert sure.trial["reducer"] == "adaptor"
    assert sure.trial["dim"] == 8
    assert doubt.trial["reducer"] == "truncate"
    cautions = [
        set(frame.loc[frame["reducer"] == "adaptor", "caution"]) for frame in frames.values()
    ]
    assert cautions[0] == {""}
    assert all(
        "not significantly better than truncation, PCA and whitened PCA" in caution
        for caution in cautions[1]
    )
    # Truncation is the same in both runs; other weights make another reducer.
    ids = [set(frame.loc[frame["reducer"] == "truncate", "trial_id"]) for frame in frames.values()]
    assert ids[0] == ids[1]


def test_the_summary_lists_dimensions_without_a_gain(folder, tmp_path):
    found = trained(folder, tmp_path, steps=1, learning_rate=1e-6, form="linear")
    assert not all(found.better)
    assert any(
        line.startswith("NOT significantly better than truncation, PCA and whitened PCA at")
        for line in found.lines()
    )


def test_a_linear_map_becomes_a_dense_module_of_sentence_transformers(linear):
    import torch
    from sentence_transformers import models

    dense = models.Dense.load(str(linear.folder / "dense"))
    vectors = np.random.default_rng(1).standard_normal((5, D)).astype(np.float32)
    found = (
        dense({"sentence_embedding": torch.tensor(vectors)})["sentence_embedding"].detach().numpy()
    )
    np.testing.assert_allclose(found, Adaptor(path=str(linear.folder)).map(vectors), atol=1e-4)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"loss": "mse"}, "--loss is one of"),
        ({"form": "deep"}, "--form is one of"),
        ({"dimensions": [8, 64]}, "dimension 64 is outside 1…32"),
        ({"weights": [1.0]}, "1 weights for 3 dimensions"),
        ({"form": "residual", "dense": "x"}, "--dense needs --form linear"),
    ],
)
def test_bad_choices_are_reported_in_one_line(folder, tmp_path, chosen, message):
    with pytest.raises(UsageError, match=message):
        trained(folder, tmp_path, **chosen)


def test_the_command_line_trains(folder, tmp_path):
    asked = [
        "train",
        f"vectors:{folder}",
        "",
        "--out",
        str(tmp_path),
        "--steps",
        "20",
        "--batch",
        "64",
        "--dimensions",
        "8,32",
        "--quiet",
    ]
    found = CliRunner().invoke(commands, asked)
    assert found.exit_code == 0, found.output
    assert "8 d  truncate" in found.output
    wrong = CliRunner().invoke(commands, [*asked[:-3], "--dimensions", "8,x"])
    assert wrong.exit_code == 2
    assert "not a list of comma-separated numbers" in wrong.output


def test_passages_are_prose_of_their_documents():
    from bench.training.passages import passages

    documents = [
        "Short one.\n\nThe lazy dog jumps over nothing. It sleeps all day long instead.",
        "x = 1; y[2] = 3 + 4 * (5 - 6)",
    ]
    texts, owners = passages(documents, 10, 0)
    assert texts == ["The lazy dog jumps over nothing.", "It sleeps all day long instead."]
    assert owners.tolist() == [0, 0]
    assert len(passages(documents * 50, 7, 0)[0]) == 7
    assert passages(documents * 50, 7, 0)[0] == passages(documents * 50, 7, 0)[0]


def test_passages_train_an_adaptor_without_labels(text_folder, tmp_path):
    from bench.training.adaptor import train
    from bench.training.fitting import Settings
    from bench.training.held_out import OF_PASSAGES

    dataset = f"beir:{text_folder}"
    settings = Settings(loss="passages", form="linear", steps=5, dimensions=[16, 256])
    found = train(dataset, "wordllama", tmp_path, settings)
    assert json.loads((tmp_path / "adaptor.json").read_text())["passages"] > 1
    assert found.measure == OF_PASSAGES
    assert "Evaluated on passages, not on real queries." in found.lines()[-1]
    bare = tmp_path / "bare"
    shutil.copytree(text_folder, bare)
    (bare / "corpus.jsonl").write_text(
        "".join(
            json.dumps({**json.loads(line), "text": "1 2 3"}) + "\n"
            for line in (bare / "corpus.jsonl").read_text().splitlines()
        )
    )
    with pytest.raises(UsageError, match="nothing can be learned"):
        train(f"beir:{bare}", "wordllama", tmp_path / "none", Settings(loss="passages"))
    with pytest.raises(UsageError, match="reads documents"):
        train(dataset, "wordllama", tmp_path, Settings(loss="passages", passages=0))


def test_a_model_of_texts_is_trained_and_named_in_a_study(text_folder, tmp_path):
    from bench import get_encoder
    from bench.training.model import train_model

    # The collection has few queries, so the test split replaces the training split.
    (text_folder / "qrels" / "train.tsv").write_text(
        (text_folder / "qrels" / "test.tsv").read_text()
    )
    lines = train_model(
        f"beir:{text_folder}",
        "wordllama",
        tmp_path / "model",
        steps=5,
        batch=8,
        dimensions=[16, 256],
        own_corpus=True,
    )
    assert lines[-1].endswith(f'encoder = "st:{tmp_path / "model"}".')
    plain, model = get_encoder("wordllama"), get_encoder(f"st:{tmp_path / 'model'}")
    assert model.dimension == plain.dimension
    vectors = [encoder.encode(["an old apple", "a bridge"]) for encoder in (plain, model)]
    assert not np.allclose(*vectors)
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.5


def test_an_encoder_that_cannot_be_trained_is_named():
    from bench.encoders import Encoder

    class Fixed(Encoder):
        name, dimension, identity = "fixed", 1, ""

        def __init__(self, argument=""):
            pass

        def encode_full(self, texts, role):
            raise NotImplementedError

    with pytest.raises(UsageError, match=r"'fixed' cannot be trained; st:.* and wordllama can"):
        Fixed().trainable()


def test_judgements_that_are_broken_are_not_taken_for_none(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    judgements = tmp_path / "data" / "qrels" / "train.tsv"
    judgements.write_text(judgements.read_text() + "900\tmany\n")
    with pytest.raises(DataError, match=r"train\.tsv:902: 2 fields"):
        trained(tmp_path / "data", tmp_path / "out", steps=2)
    judgements.unlink()
    found = trained(tmp_path / "data", tmp_path / "out", form="linear", steps=2)
    assert found.measure == "fidelity@10"
