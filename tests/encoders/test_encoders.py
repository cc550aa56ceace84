"""sentence-transformers and MTEB, on a real model that comes in a package."""

import numpy as np
import pytest

from bench.encoders import get_encoder
from bench.errors import UsageError

TEXTS = ["where is the river", "a castle on a hill", "apples"]


@pytest.mark.needs_torch
def test_st_gives_what_sentence_transformers_gives(minilm):
    import sentence_transformers as library

    encoder = get_encoder(f"st:{minilm}")
    expected = library.SentenceTransformer(str(minilm)).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
    assert encoder.dimension == 384
    short = library.SentenceTransformer(str(minilm), truncate_dim=64).encode(
        TEXTS, normalize_embeddings=True
    )
    np.testing.assert_allclose(encoder.encode(TEXTS, dimension=64), short, atol=1e-5)
    assert get_encoder(f"st:{minilm}").identity == encoder.identity


@pytest.mark.needs_mteb
@pytest.mark.needs_torch
def test_mteb_gives_what_the_model_gives(minilm, monkeypatch):
    import mteb
    import sentence_transformers as library

    monkeypatch.setattr(
        mteb, "get_model", lambda name: mteb.SentenceTransformerEncoderWrapper(str(minilm))
    )
    encoder = get_encoder("mteb:local")
    expected = library.SentenceTransformer(str(minilm)).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode(TEXTS, role="query"), expected, atol=1e-5)


@pytest.mark.needs_torch
def test_a_model_that_is_not_there(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="cannot be loaded"):
        get_encoder("st:no-such/model-anywhere")


@pytest.mark.parametrize("name", ["st:x", "mteb:x"])
def test_a_missing_extra_is_one_line_that_says_what_to_type(name, monkeypatch):
    monkeypatch.setitem(
        __import__("sys").modules,
        {"st": "sentence_transformers", "mteb": "mteb"}[name.split(":")[0]],
        None,
    )
    with pytest.raises(UsageError, match=r"pip install 'matryoshka-bench\[mteb\]'"):
        get_encoder(name)


@pytest.mark.parametrize("name", ["st", "mteb", "wordllama:64"])
def test_arguments_that_are_missing_or_too_many(name):
    with pytest.raises(UsageError):
        get_encoder(name)
