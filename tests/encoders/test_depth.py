"""Models cut after some of their layers, and static models, against transformers and numpy."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import bench
from bench.encoders import code_of, get_encoder
from bench.encoders.st import first_layers
from bench.errors import UsageError
from tests.encoders.test_pairs import run as defined

TEXTS = ["where is the river", "a castle on a hill", "apples"]
pytestmark = pytest.mark.needs_torch


# ------------------------------------------------------------------------------------ the depth


@pytest.mark.parametrize("layers", [1, 4])
def test_a_cut_model_is_the_mean_of_the_states_after_that_layer(minilm, layers):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(minilm)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(minilm)(**tokens, output_hidden_states=True)
    mask = tokens["attention_mask"][..., None].numpy()
    hidden = states.hidden_states[layers].numpy()
    expected = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    encoder = get_encoder(f"st:{minilm}+layers={layers}")
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


def test_the_depth_is_part_of_the_identity_unless_it_is_the_whole_model(minilm):
    identities = [get_encoder(f"st:{minilm}{cut}").identity for cut in ("", "+layers=6")]
    identities += [get_encoder(f"st:{minilm}+layers={n}").identity for n in (2, 3)]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


def test_a_depth_that_the_model_does_not_have(minilm, static):
    with pytest.raises(UsageError, match="has 6 layers: layers = 7 is outside 1…6"):
        get_encoder(f"st:{minilm}+layers=7")
    with pytest.raises(UsageError, match="has no list of layers that could be cut"):
        get_encoder(f"st:{static}+layers=1")


SMALL = {"vocab_size": 30, "pad_token_id": 0}
ARCHITECTURES = {
    "DistilBert": {"dim": 8, "n_heads": 2, "hidden_dim": 8, "n_layers": 3},
    "GPT2": {"n_embd": 8, "n_head": 2, "n_layer": 3, "bos_token_id": 1, "eos_token_id": 1},
    "Roberta": {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8},
    "MPNet": {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8},
    "ModernBert": {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "cls_token_id": 1,
        "sep_token_id": 1,
    },
    "Qwen3": {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "intermediate_size": 8,
    },
    "T5Encoder": {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_heads": 2, "num_layers": 3},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_layers_of_every_usual_architecture_are_found(name):
    import torch
    import transformers

    own = SMALL | ARCHITECTURES[name]
    if not {"n_layers", "n_layer", "num_layers"} & own.keys():
        own["num_hidden_layers"] = 3
    kind = getattr(transformers, f"{name.removesuffix('Encoder')}Config")
    torch.manual_seed(0)
    transformer = getattr(transformers, f"{name}Model")(kind(**own)).eval()
    tokens = torch.tensor([[5, 6, 7, 8]])
    seen = []
    for module in transformer.modules():
        if type(module).__name__ == "ModuleList" and len(module) == 3:
            layers = list(module)
            break
    hooks = [
        layer.register_forward_hook(lambda _, __, out, at=at: seen.append(at))
        for at, layer in enumerate(layers)
    ]
    model = [SimpleNamespace(auto_model=transformer)]
    with torch.no_grad():
        whole = transformer(tokens).last_hidden_state
        assert first_layers(model, 2) is model
        cut = transformer(tokens).last_hidden_state
    assert seen == [0, 1, 2, 0, 1]
    assert cut.shape == whole.shape
    assert not torch.allclose(cut, whole)
    for hook in hooks:
        hook.remove()


def test_a_cut_model_trains_and_stays_cut(minilm, text_folder, tmp_path):
    from bench.training.model import train_model

    shutil.copytree(text_folder, tmp_path / "data")
    (tmp_path / "data/qrels/train.tsv").write_text((text_folder / "qrels/test.tsv").read_text())
    out = tmp_path / "trained"
    train_model(f"beir:{tmp_path / 'data'}", f"st:{minilm}+layers=1", out, steps=1, own_corpus=True)
    with pytest.raises(UsageError, match="has 1 layers"):
        get_encoder(f"st:{out}+layers=2")


# ------------------------------------------------------------------------------- static models

WORDS = ["[UNK]", "where", "is", "the", "river", "a", "castle", "on", "hill", "apples", "red"]


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).standard_normal((len(WORDS), 12)).astype(np.float32)


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    found = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    return found


@pytest.fixture(scope="module")
def static(tmp_path_factory, vectors, tokenizer):
    """A static model as sentence-transformers saves it."""
    import sentence_transformers as library
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    folder = tmp_path_factory.mktemp("static")
    module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    library.SentenceTransformer(modules=[module]).save(str(folder))
    return folder


@pytest.fixture(scope="module")
def model2vec(tmp_path_factory, vectors, tokenizer):
    """The same model as model2vec saves it: without modules.json, the key named otherwise."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("model2vec")
    save_file({"embeddings": vectors}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", ["static", "model2vec"])
def test_a_static_model_is_the_mean_of_the_vectors_of_its_tokens(kind, vectors, request):
    folder = request.getfixturevalue(kind)
    place = {word: at for at, word in enumerate(WORDS)}
    expected = np.stack([vectors[[place[w] for w in text.split()]].mean(axis=0) for text in TEXTS])
    encoder = get_encoder(f"st:{folder}")
    np.testing.assert_allclose(encoder.encode_full(TEXTS, "query"), expected, atol=1e-6)
    assert encoder.dimension == 12
    assert get_encoder(f"st:{folder}").identity == encoder.identity


def test_the_code_of_a_static_or_cut_model_gives_the_same_vectors(static, model2vec, minilm):
    for spec in (
        f"st:{static}",
        f"st:{model2vec}",
        f"st:{minilm}+layers=2",
        f"st:{minilm}+query=st:{minilm}+layers=2",
        f"st:{minilm}+layers=1+query=st:{minilm}+layers=2",
    ):
        code = code_of(spec)
        encode = defined(code, np=np)
        assert code.text.count("first_layers(model") == ("layers" in spec)
        for role in ("document", "query"):
            expected = get_encoder(spec).encode_full(TEXTS, role)
            np.testing.assert_allclose(encode(TEXTS, role), expected, atol=1e-6)


def test_a_folder_that_claims_to_be_of_model2vec_and_is_not(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "model2vec"}')
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be loaded") as error:
        get_encoder(f"st:{tmp_path}")
    assert len(str(error.value).splitlines()) == 1


# ------------------------------------------------------------------------------------ in a study


def test_a_study_compares_depths_pairs_and_static_models(minilm, model2vec, text_folder, tmp_path):
    (tmp_path / "study.toml").write_text(
        f"""
        name = "depths"
        dataset = "beir:{text_folder}"
        dimensions = 8
        subsets = 0
        encoder = ["st:{model2vec}", {{ name = "st:{minilm}", query_layers = [6, 2] }}]
        """
    )
    frame = bench.run(tmp_path / "study.toml", tmp_path / "out", progress=False)
    names = [f"st:{model2vec}", *(f"st:{minilm}+query=st:{minilm}+layers={n}" for n in (6, 2))]
    assert list(frame["encoder"].unique()) == names
    assert (frame["status"] == "ok").all()
    full = frame[frame["dim"] == frame["full_dim"]].set_index("encoder")["ndcg_at_10"]
    # The layers of this model were not trained to be left out.
    assert full[names[1]] > full[names[2]]
