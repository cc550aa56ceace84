"""The code of a trial runs without the package and finds what the trial found."""

import ast
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import backends as backend_package
from bench import libraries
from bench.backends import Backend, backends, get_backend, padded
from bench.cli import commands
from bench.deploy import code_of, deploy
from bench.deploy.assembling import pinned
from bench.encoders import Encoder
from bench.errors import UsageError
from bench.reducers import Reducer, get_reducer, reducers
from bench.reducers.adaptor import Adaptor, save_adaptor
from bench.results.store import load_rankings
from bench.source import Deployment, written
from bench.vectors import normalise
from tests.backends.test_servers import Lucene, Weaviate, stand_in  # noqa: F401
from tests.conftest import of_backend
from tests.deploy.programs import (
    DIM,
    D,
    compared,
    configurations,
    deployed,
    execute,
    outcomes,
    write_vectors,
)

STAGES = ("", {"shortlist": 30}, {"shortlist": 30, "native": True})


def row(name, precision, **given):
    """Return a row of the trials table as `code_of` reads it."""
    cls = get_backend(name)
    grids = (cls.build_grid, cls.search_grid)
    build, search = ({key: values[0] for key, values in grid.items()} for grid in grids)
    return {
        "trial_id": "0123",
        "status": "ok",
        "dataset": "pydoc",
        "encoder": "",
        "reducer": "truncate",
        "reducer_kind": "prefix",
        "reducer_params": "",
        "backend": name,
        "precision": precision,
        "build_params": json.dumps(build),
        "search_params": json.dumps(search),
        "stages": "",
        "k": 10,
        "threads": 1,
        "dim": DIM,
        "full_dim": D,
        "n_corpus": 1000,
        "library_versions": "{}",
    } | given


def every_row():
    for name, cls in backends().items():
        for precision in deployed(cls):
            for stages in STAGES if cls.native_stages else STAGES[:2]:
                for dim in (DIM, D) if stages == STAGES[2] else (DIM,):
                    text = json.dumps(stages) if stages else ""
                    yield row(name, precision, stages=text, dim=dim)


def test_every_backend_has_code_that_uses_all_that_it_names():
    for each in every_row():
        text, name = code_of(each), f"{each['backend']} {each['precision']} {each['stages']}"
        tree = ast.parse(text)
        read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not _is_stored(n)}
        imported = {
            (alias.asname or alias.name).partition(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        constants = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
        }
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert imported | constants | functions <= read, name
        assert {"build", "search", "index_corpus", "answer", "main"} <= functions, name
        assert "bench" not in imported, name
        assert max(map(len, text.splitlines())) <= 100, name
        given = json.loads(each["build_params"]) | json.loads(each["search_params"])
        for parameter, value in given.items():
            said = parameter.upper() in constants or re.search(rf"\b{value}\b", text)
            assert said or not value, f"{name}: {parameter}"


def _is_stored(node):
    return isinstance(node.ctx, ast.Store)


@pytest.mark.parametrize("n", [80, 200, 1000])
def test_a_small_corpus_has_code_of_its_own(n):
    texts = {name: code_of(row(name, "float32", n_corpus=n)) for name in ("scann", "pynndescent")}
    assert ("brute_force" in texts["scann"]) == (n < 256)
    assert ("argsort" in texts["pynndescent"]) == (n < 100)
    assert ("np.resize" in code_of(row("faiss-ivf-pq", "pq4", n_corpus=n))) == (n < 256)


# --------------------------------------------------------------------------------- what it finds


def test_programs_of_a_study_find_what_its_trials_found(measured, vector_folder, frame, tmp_path):
    rows = frame[(frame["backend"] != "exact") & (frame["dim"] == 8)]
    assert {"int8", "binary", "float32"} <= set(rows["precision"])
    found = outcomes(vector_folder, measured, rows, tmp_path)
    assert any(outcome.row["stages"] for outcome in found)
    assert [outcome.equal for outcome in found] == [1.0] * len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[*of_backend(cls), pytest.mark.xdist_group(f"deploy-{name}")])
        for name, cls in backends().items()
        if cls.available() or "URL of a server" not in cls.install
    ],
)
def test_code_finds_what_the_trial_found(name, tmp_path):
    dataset = write_vectors(tmp_path / "vectors")
    found = compared(dataset, configurations(name), tmp_path)
    assert {outcome.row["precision"] for outcome in found} == set(deployed(get_backend(name)))
    for outcome in found:
        if get_backend(name).deterministic:
            assert outcome.equal == 1, outcome
        else:
            # Levels, k-means or samples are drawn at random. Codes of 16 bits are often equal: two
            # builds of qdrant-edge itself agree in 0.77 to 0.81 of their ids.
            tied = outcome.row["precision"] == "binary"
            assert outcome.overlap >= (0.7 if tied else 0.9), outcome


REDUCERS = """
[[configurations]]
backend = "faiss-hnsw"
reducer = [
  "pca", {{ name = "pca", center = true, whiten = true }}, "random_projection",
  {{ name = "random_subset", seed = 3 }}, "variance_order",
  "adaptor:{linear}", "adaptor:{residual}",
]
build = {{ M = 8, ef_construction = 40 }}
search = {{ ef = 16 }}
[[configurations]]
backend = "faiss-flat"
reducer = ["truncate", "pca"]
dimensions = [4]
stages = {{ shortlist = 60, funnel = [false, true], vectors = ["memory", "disk"], dimension = 24 }}
[[configurations]]
backend = "faiss-flat"
dimensions = [4]
stages = {{ shortlist = 60, funnel = true }}
"""


@pytest.fixture(scope="module")
def adaptors(tmp_path_factory):
    """Folders of a linear adaptor and of one with a residual network, random weights."""
    rng = np.random.default_rng(1)
    shapes = {"linear": (D, D), "hidden": (D, 40), "hidden_bias": (40,), "output": (40, D)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    meta = {"full_dim": D, "dimensions": [D], "better": [True]}
    folders = {name: tmp_path_factory.mktemp(name) for name in ("linear", "residual")}
    save_adaptor(folders["linear"], {"linear": arrays["linear"]}, meta)
    save_adaptor(folders["residual"], arrays, meta)
    return folders


@pytest.mark.slow
def test_code_maps_and_rescores_as_the_trial_did(adaptors, tmp_path):
    dataset = write_vectors(tmp_path / "vectors")
    found = compared(dataset, REDUCERS.format(**adaptors), tmp_path)
    assert len(found) == 7 + 8 + 1
    # A matrix product of all vectors at once rounds otherwise than one of a few, so that equal
    # scores may change places.
    assert min(outcome.overlap for outcome in found) >= 0.99
    assert np.mean([outcome.equal for outcome in found]) >= 0.99


def test_code_of_every_reducer_maps_as_it_does(adaptors):
    vectors = normalise(np.random.default_rng(0).standard_normal((200, D)))
    settings = [(name, {}) for name in reducers() if name != "adaptor"]
    settings += [("adaptor", {"path": str(folder)}) for folder in adaptors.values()]
    settings += [("pca", {"center": True, "whiten": True})]
    for name, parameters in settings:
        reducer = get_reducer(name)(**parameters)
        reducer.queries = vectors[:50] if reducer.needs_queries else None
        reducer.fit(vectors)
        given = {"vectors": vectors, "MAP": reducer.code_arrays(), "np": np}
        mapped = eval(reducer.code(), given)
        np.testing.assert_allclose(mapped, reducer.map(vectors), atol=1e-5, err_msg=name)


# ----------------------------------------------------------------------------------- from texts

STUDY = """
name = "texts"
dataset = "beir:{folder}"
encoder = "{encoder}"
dimensions = [32]
repeats = 1
subsets = 0
[[configurations]]
backend = "faiss-hnsw"
reducer = "pca"
build = {{ M = 16, ef_construction = 40 }}
search = {{ ef = 64 }}
stages = {{ shortlist = 40{more} }}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "more"),
    [
        ("wordllama", ""),
        ("wordllama", ', fusion = "bm25"'),
        pytest.param("st", ', fusion = "bm25", dimension = 64', marks=pytest.mark.needs_torch),
    ],
)
def test_the_program_answers_a_question_as_the_trial_did(
    encoder, more, collection, request, tmp_path
):
    from bench.measuring.runner import run

    if encoder == "st":
        encoder = f"st:{request.getfixturevalue('minilm')}"
    study = tmp_path / "study.toml"
    study.write_text(STUDY.format(folder=collection, encoder=encoder, more=more))
    frame = run(study, tmp_path / "results", progress=False)
    (trial,) = frame.loc[frame["backend"] == "faiss-hnsw", "trial_id"]
    program = deploy(tmp_path / "results", trial, tmp_path / "out")
    ranking = load_rankings(tmp_path / "results", trial).set_index("query_id")["doc_ids"]
    query = json.loads((collection / "queries.jsonl").read_text().splitlines()[0])
    code = "import runpy, sys; sys.modules['bench'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    command = [sys.executable, "-c", code, program, collection / "corpus.jsonl", query["text"]]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = [f"d{line.split()[0]}" for line in done.stdout.splitlines()]
    assert len(set(printed) & set(ranking[query["_id"]])) >= 9
    required = (tmp_path / "out" / "requirements.txt").read_text().split()
    assert f"faiss-cpu=={libraries.installed('faiss')['faiss-cpu']}" in required
    assert {name.partition("==")[0] for name in required} == {
        "faiss-cpu",
        "numpy",
        "safetensors",
        "wordllama" if encoder == "wordllama" else "sentence-transformers",
        *(["bm25s"] if more else []),
    }


# ----------------------------------------------------------------------------------- servers


@pytest.mark.parametrize(
    ("name", "variable", "behaviour"),
    [
        ("elasticsearch", "ELASTICSEARCH_URL", Lucene),
        ("opensearch", "OPENSEARCH_URL", Lucene),
        ("weaviate", "WEAVIATE_URL", Weaviate),
    ],
)
@pytest.mark.extra
def test_code_of_a_server_sends_what_its_backend_sends(
    name,
    variable,
    behaviour,
    stand_in,  # noqa: F811
    vector_folder,
    tmp_path,
):
    pytest.importorskip("requests", reason="needs requests: pip install requests")
    cls, suite = get_backend(name), f"MATRYOSHKA_BENCH_{variable.removesuffix('_URL')}"
    corpus, queries = (np.load(vector_folder / f"{n}.npy")[:30] for n in ("corpus", "queries"))
    for stages in ({"shortlist": 12, "native": True}, {}) if cls.native_stages else ({},):
        each = row(name, "float32", k=5, stages=json.dumps(stages) if stages else "")
        sent = {suite: stand_in(suite, behaviour()), variable: stand_in(variable, behaviour())}
        full, short = normalise(corpus), normalise(normalise(corpus)[:, :DIM])
        vectors = full if stages else short
        backend = cls("float32", DIM, 1)
        backend.build(vectors, **json.loads(each["build_params"]))
        backend.configure(**json.loads(each["search_params"]))
        asked = normalise(queries[:3]) if stages else normalise(normalise(queries[:3])[:, :DIM])
        expected = backend.search_stages(asked, 12, 5) if stages else backend.search(asked, 5)
        (folder := tmp_path / f"native-{bool(stages)}").mkdir()
        (folder / "search.py").write_text(code_of(each))
        np.save(folder / "corpus.npy", corpus)
        np.save(folder / "queries.npy", queries[:3])
        execute(folder / "corpus.npy", folder / "queries.npy", [folder])
        np.testing.assert_array_equal(np.load(folder / "ids.npy"), expected)
        ours, theirs = (_payloads(requests) for requests in sent.values())
        assert theirs == ours


def _payloads(requests):
    """Return what changes or searches an index, without its name, in order."""
    kept = []
    for method, path, body, _ in requests:
        if method == "GET":
            continue
        text = re.sub(r"matryoshka_bench_\w+|items", "NAME", f"{path} {body.decode()}", flags=re.I)
        kept.append((method, text.replace(" ", "").replace("took,", "")))
    # Weaviate takes ef with the schema or later.
    searched = [each for each in kept if "_search" in each[1] or "graphql" in each[1]]
    return searched + sorted(each for each in kept if "_bulk" in each[1] or "batch" in each[1])


@pytest.mark.needs_databases
@pytest.mark.parametrize(
    ("name", "variable", "where"),
    [("qdrant", "QDRANT_URL", ":memory:"), ("milvus", "MILVUS_URL", "milvus.db")],
)
@pytest.mark.parametrize("native", [True, False])
def test_code_of_a_client_runs_without_its_server(
    name, variable, where, native, vector_folder, tmp_path, monkeypatch
):
    """Both imitations search exhaustively, or nearly, so that the ids are those of brute force."""
    monkeypatch.setenv(variable, where)
    stages = json.dumps({"shortlist": 30, "native": True}) if native else ""
    for precision in get_backend(name).precision_names():
        each = row(name, precision, stages=stages)
        (folder := tmp_path / precision).mkdir()
        (folder / "search.py").write_text(code_of(each))
        queries = np.load(vector_folder / "queries.npy")[:5]
        np.save(folder / "asked.npy", queries)
        if name == "milvus" and precision != "float32":
            continue  # Milvus Lite has no such index
        execute(vector_folder / "corpus.npy", folder / "asked.npy", [folder])
        corpus = normalise(np.load(vector_folder / "corpus.npy"))
        prefixes, asked = (normalise(normalise(v)[:, :DIM]) for v in (corpus, queries))
        nearest = np.argsort(-(asked @ prefixes.T), axis=1)[:, : 30 if native else 10]
        if native:
            full = np.take_along_axis(normalise(queries) @ corpus.T, nearest, axis=1)
            nearest = np.take_along_axis(nearest, np.argsort(-full, axis=1)[:, :10], axis=1)
        found = np.load(folder / "ids.npy")
        same = [len(set(a) & set(b)) / 10 for a, b in zip(found, nearest, strict=True)]
        assert np.mean(same) >= 0.95, precision


# ------------------------------------------------------------------------------------ bad input


def test_a_trial_is_named_by_a_prefix_that_fits_one(measured, frame, tmp_path):
    timed = frame[frame["backend"] == "faiss-flat"]["trial_id"].iloc[0]
    program = deploy(measured, timed[:10], tmp_path / "out")
    assert program == tmp_path / "out" / "search.py"
    assert program.read_text().startswith('"""Search as measured: faiss-flat')
    with pytest.raises(UsageError, match=f"'' fits {len(frame)} trials"):
        deploy(measured, "", tmp_path)
    with pytest.raises(UsageError, match="has no trial 'nothing'"):
        deploy(measured, "nothing", tmp_path)
    exact = frame[frame["backend"] == "exact"]["trial_id"].iloc[0]
    with pytest.raises(UsageError, match="is of 'exact', which has no index"):
        deploy(measured, exact, tmp_path)


def test_what_was_not_measured_is_not_deployed():
    with pytest.raises(UsageError, match="is 'skipped': only a measured one"):
        code_of(row("hnswlib", "float32", status="skipped"))


def test_a_map_whose_embeddings_are_gone_is_one_line(
    measured, vector_folder, tmp_path, monkeypatch
):
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bench.results.store import load
    from bench.results.tables import TRIALS

    frame = load(measured)
    chosen = frame[frame["backend"] == "faiss-flat"].iloc[:1].assign(reducer="pca")
    table = pa.Table.from_pandas(pd.DataFrame(chosen), schema=TRIALS, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(TRIALS.metadata), tmp_path / "trials.parquet")
    trial = chosen["trial_id"].iloc[0]
    assert deploy(tmp_path, trial, tmp_path / "out").with_name("map.safetensors").is_file()
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match=r"no longer in the cache, and 'pca' is fitted on them"):
        deploy(tmp_path, trial, tmp_path / "out")
    deploy(measured, trial, tmp_path / "plain")  # truncation needs no map


def test_the_command_prints_the_path_of_the_program(measured, frame, tmp_path):
    trial = frame[frame["backend"] == "faiss-flat"]["trial_id"].iloc[0]
    arguments = ["deploy", str(measured), trial, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    assert Path(done.output.strip()).samefile(tmp_path / "out" / "search.py")
    (tmp_path / "file").write_text("")
    arguments[-1] = str(tmp_path / "file" / "out")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        CliRunner().invoke(commands, arguments, catch_exceptions=False)


def test_a_part_without_code_says_which():
    deployment = Deployment(1, 1, 1, "float32", {}, {}, 1, 1)
    for base, asked, kind in (
        (Backend, lambda cls: cls.code(deployment), "backend"),
        (Encoder, lambda cls: cls.code(""), "encoder"),
        (Reducer, lambda cls: cls.code(cls.__new__(cls)), "reducer"),
    ):
        mine = type("Mine", (base,), {"name": "mine", "__abstractmethods__": frozenset()})
        mine.__abstractmethods__ = frozenset()
        with pytest.raises(UsageError, match=f"{kind} 'mine' does not offer its code"):
            asked(mine)


def test_a_template_that_names_what_nobody_knows_is_an_error():
    import jinja2

    deployment = Deployment(1, 1, 1, "float32", {}, {}, 1, 1)
    with pytest.raises(jinja2.UndefinedError):
        written("{{ unknown }}", deployment)
    assert written("{% if native %}\nx\n{% endif %}\ny\n", deployment) == "y\n"


def test_the_readme_of_backends_has_code_that_finds_what_its_index_finds(tmp_path):
    readme = Path(backend_package.__file__).with_name("README.md").read_text(encoding="utf-8")
    (tmp_path / "landmarks.py").write_text(
        re.search(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[1]
    )
    cls = runpy.run_path(str(tmp_path / "landmarks.py"))["Landmarks"]
    build, search = {"cells_per_sqrt_n": 1.0, "seed": 0}, {"nprobe": 4}
    rng = np.random.default_rng(0)
    vectors, queries = (normalise(rng.standard_normal((n, 8))) for n in (300, 9))
    backend = cls()
    backend.build(vectors, **build)
    backend.configure(**search)
    code = cls.code(Deployment(300, 8, 8, "float32", build, search, 1, 10))
    program = {"np": np, "padded": padded, **code.constants}
    exec(code.text, program)
    index = program["build"](vectors)
    np.testing.assert_array_equal(
        program["search"](index, queries, 10), backend.search(queries, 10)
    )


def test_names_from_a_study_do_not_break_the_program():
    build = json.dumps({"factory": 'Flat"""\\x'})
    text = code_of(row("faiss-factory", "float32", dataset='a"""b\\c', build_params=build))
    program = {"__file__": "search.py", "__name__": "search"}
    exec(text, program)
    assert program["FACTORY"] == 'Flat"""\\x'
    assert "on a'''b/c (1,000 documents)" in " ".join(program["__doc__"].split())


def test_requirements_are_pinned_by_their_plain_name():
    assert pinned(["psycopg[binary]", "faiss-cpu", "x"], {"psycopg": "3", "faiss_cpu": "1"}) == (
        "psycopg[binary]==3\nfaiss-cpu==1\nx\n"
    )


def test_adaptor_weights_are_what_the_program_reads(adaptors):
    found = Adaptor(path=str(adaptors["residual"])).code_arrays()
    assert set(found) == {"linear", "hidden", "hidden_bias", "output"}
    assert Path(adaptors["residual"]).is_dir()
