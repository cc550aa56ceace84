"""Documents by one encoder and queries by another: vectors, cache, doubts, code."""

import json

import numpy as np
import pytest

from bench import registry
from bench.embeddings import embed, encode_texts, outline
from bench.embeddings.shared_space import doubt
from bench.encoders import Encoder, code_of, get_encoder
from bench.encoders._pair import joined
from bench.errors import UsageError
from bench.source import Code
from bench.study.reader import load_study


class Letters(Encoder):
    """Counts of letters, so that texts with common letters are near; loads and texts are counted."""

    name = "letters"
    cuts = True
    loaded: dict[str, int]
    encoded: list[tuple[str, str, int]]

    def __init__(self, argument=""):
        self.argument = argument
        type(self).loaded[argument] = type(self).loaded.get(argument, 0) + 1

    @property
    def dimension(self):
        return 32 if self.argument.startswith("narrow") else 64

    @property
    def identity(self):
        return f"letters {self.argument}"

    def encode_full(self, texts, role):
        type(self).encoded.append((self.argument, role, len(texts)))
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        shift = 29 if self.argument == "elsewhere" else 0
        for row, text in enumerate(texts):
            for letter in text.lower():
                vectors[row, (ord(letter) + shift) % self.dimension] += 1
        return vectors - (0 if shift else vectors.mean())

    @classmethod
    def code(cls, argument):
        return Code(CODE, ("import zlib",), ("letters",), {"MODEL_NAME": argument})


CODE = '''
def crc(text):
    """Return a number; MODEL_NAME in a string stays."""
    return zlib.crc32(text.encode())


# The model of the name.
MODEL = crc(MODEL_NAME)


def encode(texts, role):
    """Return the vectors of texts."""
    return [(MODEL, text.encode(), role) for text in texts]
'''


@pytest.fixture
def letters(monkeypatch):
    class Fresh(Letters):
        loaded = {}
        encoded = []

    found = registry.get
    monkeypatch.setattr(
        registry, "get", lambda f, base, n: Fresh if n == "letters" else found(f, base, n)
    )
    return Fresh


def test_each_role_has_its_own_encoder_and_only_what_is_needed_is_loaded(letters):
    pair = get_encoder("letters:large+query=letters:small")
    texts = ["a river", "apples"]
    query = pair.encode_full(texts, "query")
    assert letters.loaded == {"small": 1}
    np.testing.assert_array_equal(query, get_encoder("letters:small").encode_full(texts, "query"))
    pair.encode(texts)
    assert [(argument, role) for argument, role, _ in letters.encoded] == [
        ("small", "query"),
        ("small", "query"),
        ("large", "document"),
    ]
    assert pair.dimension == 64
    assert pair.identity != get_encoder("letters:small+query=letters:large").identity


def test_the_documents_of_a_model_are_encoded_once_for_all_its_partners(
    letters, text_folder, tmp_path
):
    dataset = f"beir:{text_folder}"
    alone = embed(dataset, "letters:large", cache=tmp_path)
    pair = embed(dataset, "letters:large+query=letters:small", cache=tmp_path)
    other = embed(dataset, "letters:large+query=letters:tiny", cache=tmp_path)
    assert [each for each in letters.encoded if each[1] == "document"] == [
        ("large", "document", 60)
    ]
    assert len({alone.key, pair.key, other.key}) == 3
    assert pair.encoder == "letters:large+query=letters:small"
    np.testing.assert_array_equal(alone.corpus, pair.corpus)


def test_texts_outside_a_dataset_are_encoded_by_the_encoder_of_their_role(letters):
    encode_texts("letters:large+query=letters:small", ["a question"], "query", progress=False)
    assert letters.encoded == [("small", "query", 1)]


@pytest.mark.parametrize("made", [embed, outline])
def test_dimensions_that_differ_are_no_shared_space(letters, text_folder, made):
    with pytest.raises(UsageError, match="documents have 64 dimensions and queries 32") as error:
        made(f"beir:{text_folder}", "letters:large+query=letters:narrow")
    assert len(str(error.value).splitlines()) == 1


def test_encoders_that_share_no_space_are_doubted(letters, text_folder, tmp_path):
    dataset = f"beir:{text_folder}"
    apart = embed(dataset, "letters:large+query=letters:elsewhere", cache=tmp_path)
    assert [note for note in apart.notes if "may not share a space" in note]
    for same in ("letters:large", "letters:large+query=letters:small"):
        found = embed(dataset, same, cache=tmp_path)
        assert not [note for note in found.notes if "may not share a space" in note]


def test_the_doubt_is_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((200, 16)).astype(np.float32)
    related = corpus[:50] + 2 * rng.standard_normal((50, 16)).astype(np.float32)
    chance = rng.standard_normal((50, 16)).astype(np.float32)
    ids = [str(query) for query in range(50)]
    qrels = {query: {query: 1, "?gone": 1} for query in ids}
    assert doubt(related, corpus, ids, qrels) == ""
    said = doubt(chance, corpus, ids, qrels)
    similar = chance @ corpus.T / np.linalg.norm(corpus, axis=1)
    area = np.mean([np.mean(row[i] > np.delete(row, i)) for i, row in enumerate(similar)])
    shown = int(said.partition("% of comparisons")[0].rpartition(" ")[2])
    assert abs(shown / 100 - area) < 0.05
    assert doubt(chance, corpus, ids, {}) == ""


def test_what_cannot_be_done_with_a_pair_or_a_depth_is_one_line(letters):
    with pytest.raises(UsageError, match="two models: train one of them"):
        get_encoder("letters:large+query=letters:small").trainable()
    with pytest.raises(UsageError, match="'wordllama' cannot be cut after 2 layers"):
        get_encoder("wordllama+layers=2")
    with pytest.raises(UsageError, match="no encoder is called 'wordlama'"):
        get_encoder("st:a+query=wordlama").encode_full(["a"], "query")


# ------------------------------------------------------------------------------------- the code


def test_the_code_of_a_pair_is_that_of_both(letters):
    alone = [run(code_of(f"letters:{name}")) for name in ("large", "small")]
    code = code_of("letters:large+query=letters:small")
    encode = run(code)
    assert encode(["a"], "document") == alone[0](["a"], "document")
    assert encode(["a"], "query") == alone[1](["a"], "query") != alone[0](["a"], "query")
    assert code.constants == {"DOCUMENT_MODEL_NAME": "large", "QUERY_MODEL_NAME": "small"}
    assert code.text.count("def crc(") == 1, "what both define alike stands once"
    assert code.text.count("# The model of the name.") == 2
    assert "MODEL_NAME in a string stays" in code.text
    assert code.requirements == ("letters",)


def test_names_that_differ_in_meaning_are_told_apart():
    one = Code("def half(x):\n    return x / 2\n\n\ndef encode(texts, role):\n    return half(1)\n")
    two = Code(
        "def half(x):\n    return x // 2\n\n\ndef encode(texts, role):\n    return half(1)\n"
    )
    encode = run(joined(one, two))
    assert (encode([], "document"), encode([], "query")) == (0.5, 0)


def run(code, **names):
    """Return the function `encode` of a program with this code, and `names` besides."""
    constants = "\n".join(f"{name} = {json.dumps(v)}" for name, v in code.constants.items())
    exec("\n".join([*code.imports, constants, code.text]), names)
    return names["encode"]


# ---------------------------------------------------------------------------------- in a study

STUDY = """
name = "pairs"
dataset = "pydoc"
dimensions = 16
encoder = {encoder}
"""


@pytest.mark.parametrize(
    ("encoder", "names"),
    [
        ('"wordllama"', ["wordllama"]),
        ('{ name = "st:a", layers = [2, 4] }', ["st:a+layers=2", "st:a+layers=4"]),
        ('["wordllama", { name = ["st:a", "st:b"] }]', ["wordllama", "st:a", "st:b"]),
        ('{ name = "st:a", query = ["st:a", "st:b"] }', ["st:a", "st:a+query=st:b"]),
        (
            '{ name = ["st:a", "st:b"], query_layers = 2 }',
            ["st:a+query=st:a+layers=2", "st:b+query=st:b+layers=2"],
        ),
        (
            '{ name = "st:a", layers = [2, 3], query_layers = [2, 3] }',
            [
                "st:a+layers=2",
                "st:a+layers=2+query=st:a+layers=3",
                "st:a+layers=3+query=st:a+layers=2",
                "st:a+layers=3",
            ],
        ),
        ('["st:a+layers=2", { name = "st:a", layers = 2 }]', ["st:a+layers=2"]),
    ],
)
def test_a_study_sweeps_models_depths_and_models_of_the_queries(tmp_path, encoder, names):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(encoder=encoder))
    assert load_study(path).encoder == names


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ('{ name = "st:a", layer = 2 }', "unknown key 'encoder.layer'; did you mean 'layers'"),
        ("{ layers = 2 }", "the key 'encoder.name' is missing"),
        ('{ name = "st:a", layers = 0 }', "encoder.layers = 0: input should be greater"),
        ('[{ name = "st:a", layers = "x" }]', "encoder.layers = 'x'"),
        ('"st:a+layers=x"', "'x' is not a whole number"),
        ('{ name = "st:a+query=st:b", query = "st:c" }', "one name for each"),
        ("[1]", "encoder"),
    ],
)
def test_a_bad_encoder_is_one_line(tmp_path, encoder, message):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(encoder=encoder))
    with pytest.raises(UsageError) as error:
        load_study(path)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
