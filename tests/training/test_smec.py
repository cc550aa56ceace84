"""What SMEC adds to an adaptor, and training for the code that vectors are stored in."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bench.backends.faiss_flat import FaissFlat
from bench.cli import commands
from bench.errors import UsageError
from bench.reducers.adaptor import Adaptor
from bench.training import codes
from bench.training.smec import Memory, Selection, stages
from bench.vectors import normalise
from tests.training.test_adaptor import D, folder, trained  # noqa: F401

pytestmark = pytest.mark.needs_torch


@pytest.fixture(scope="module")
def unit():
    rng = np.random.default_rng(0)
    return normalise(rng.standard_normal((500, 24)) * np.linspace(0.3, 2, 24) + 0.1)


@pytest.mark.parametrize("code", ["binary", "binary_asymmetric"])
def test_the_loss_sees_the_signs_that_the_index_compares(unit, code):
    import torch

    index = FaissFlat(code, 24)
    index.build(unit)
    asked, stored = codes.straight_through(torch, code, torch.tensor(unit[:50]), torch.tensor(unit))
    length = 24**-0.5
    expected = index.compared(unit[:50]) * (length if code == "binary" else 1)
    np.testing.assert_allclose(asked, expected, atol=1e-6)
    np.testing.assert_allclose(stored, index.stored(unit) * length, atol=1e-6)


def test_the_loss_sees_the_levels_that_the_index_stores(unit):
    import faiss
    import torch

    index = FaissFlat("int4", 24)
    index.build(unit)
    low, width = faiss.vector_to_array(index.index.sq.trained).reshape(2, 24)
    found = codes.levels(torch, *map(torch.tensor, (unit, low, width)))
    np.testing.assert_allclose(found, index.stored(unit), atol=1e-6)
    ours = codes.ranges(torch, torch.tensor(unit))
    assert (np.abs(ours[0].numpy() - low) < 0.05 * unit.std(axis=0)).all()
    np.testing.assert_allclose(ours[1], width, rtol=0.02)
    queries, stored = codes.straight_through(torch, "int4", *[torch.tensor(unit)] * 2)
    np.testing.assert_array_equal(queries, unit)
    np.testing.assert_allclose(stored, codes.levels(torch, torch.tensor(unit), *ours), atol=1e-6)


@pytest.mark.parametrize("code", codes.CODES)
def test_the_gradient_passes_straight_through(unit, code):
    import torch

    documents = torch.tensor(unit, requires_grad=True)
    weights = torch.tensor(np.random.default_rng(1).standard_normal(unit.shape).astype(np.float32))
    (codes.straight_through(torch, code, documents, documents)[1] * weights).sum().backward()
    np.testing.assert_array_equal(documents.grad, weights)


@pytest.mark.parametrize("own", [None, np.arange(20)])
def test_what_is_found_at_a_code_is_what_its_signs_order(unit, own):
    found = codes.found_at("binary", lambda block: block, unit[:20], unit, [8, 24], 5, own)
    for d, ids in found.items():
        signs = np.where(unit[:, :d] > 0, 1, -1)
        scores = signs[:20] @ signs.T
        if own is not None:
            assert not (ids == own[:, None]).any()
            scores[np.arange(20), own] = -99
        best = -np.sort(-scores, axis=1)[:, :5]
        np.testing.assert_array_equal(np.take_along_axis(scores, ids, axis=1), best)


def test_a_sequential_training_goes_from_large_to_small_and_freezes_the_rest():
    one, *_ = stages([4, 8, 32], [1.0, 2.0, 3.0], 32, sequential=False)
    assert (one.dimensions, one.weights, one.width) == ([4, 8, 32], [1.0, 2.0, 3.0], 32)
    found = stages([4, 8, 32], [1.0] * 3, 32, sequential=True)
    assert [(s.dimensions, s.width) for s in found] == [([32], 32), ([8], 32), ([4], 8)]


def test_frozen_columns_stay_while_smaller_prefixes_learn(folder, tmp_path):  # noqa: F811
    from bench.embeddings import embed
    from bench.training.adaptor import learn
    from bench.training.fitting import Settings

    data = embed(f"vectors:{folder}", None, split="train")
    seen = []

    def linear(dimensions, steps):
        chosen = Settings(
            form="linear", steps=steps, batch=64, dimensions=dimensions, sequential=True
        )
        hidden = np.zeros(len(data.corpus), bool)
        return learn(data, None, chosen, hidden, seen.append).adaptor.arrays["linear"]

    larger, smaller = linear([16, D], 10), linear([4, 16, D], 15)
    np.testing.assert_array_equal(larger[:, 16:], smaller[:, 16:])
    assert not np.allclose(larger[:, :4], smaller[:, :4])


def test_a_selection_orders_columns_by_what_it_learned():
    import torch

    selection = Selection(torch, 6, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(selection.order(8), np.arange(8))
    vectors = torch.arange(16.0).reshape(2, 8)
    noisy = selection.sample()
    taken = selection.taken(vectors, noisy, 3)
    columns = np.argsort(-noisy.detach().numpy())[:3]
    np.testing.assert_allclose(taken.detach(), vectors[:, columns], rtol=1e-5)
    taken.sum().backward()
    assert selection.logits.grad.abs().sum() > 0
    with torch.no_grad():
        selection.logits[4] = 9.0
    np.testing.assert_array_equal(selection.order(8), [4, 0, 1, 2, 3, 5, 6, 7])


def test_a_memory_keeps_the_newest_and_leaves_out_the_batch():
    memory = Memory(4)
    for batch in ([1, 2], [3, 4], [5, 2]):
        memory.add(np.array(batch))
    assert memory.other_than(np.array([5])).tolist() == [2, 3, 4]
    nothing = Memory(0)
    nothing.add(np.array([1]))
    assert len(nothing.other_than(np.array([2]))) == 0


@pytest.mark.parametrize("loss", ["infonce", "kl"])
def test_every_setting_is_trained_recorded_and_gives_one_map(folder, tmp_path, loss):  # noqa: F811
    chosen = {"sequential": True, "select": True, "memory": 100, "code": "binary"}
    found = trained(folder, tmp_path, form="residual", loss=loss, steps=12, batch=32, **chosen)
    meta = json.loads((tmp_path / "adaptor.json").read_text())
    assert {name: meta[name] for name in chosen} == chosen
    assert set(meta["held_out_at_code"]) == set(meta["held_out"])
    assert meta["better"] == found.better
    assert any("binary  truncate" in line for line in found.lines())
    adaptor = Adaptor(path=str(tmp_path))
    adaptor.check(D)
    assert adaptor.arrays["linear"].shape == (D, D)


def test_a_code_that_cannot_be_trained_for_is_named(folder, tmp_path):  # noqa: F811
    with pytest.raises(UsageError, match="--code is one of binary, binary_asymmetric, int4, not"):
        trained(folder, tmp_path, code="pq")
    asked = ["train", "d", "e", "--out", str(tmp_path), "--form", "model", "--select"]
    done = CliRunner().invoke(commands, asked)
    assert "--select is for adaptors" in str(done.exception)
