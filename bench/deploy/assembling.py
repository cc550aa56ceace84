"""Assemble the text of ``search.py`` from what encoder, reducer and backend offer."""

from __future__ import annotations

import ast
import inspect
import json
import pprint
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.analysis.labels import label
from bench.backends import get_backend, packed_signs
from bench.deploy.reading import reading
from bench.encoders import code_of
from bench.errors import UsageError
from bench.harmless import shown
from bench.measuring.stages import steps
from bench.reducers import Reducer, get_reducer
from bench.source import Code, Deployment, Expression, written
from bench.study.plan import BM25, EXACT, parameters
from bench.study.reader import check_parameters
from bench.study.schema import (
    DIMENSION,
    DISK,
    FUNNEL,
    NATIVE,
    SHORTLIST,
    VECTORS,
    reads_texts,
    rescores,
)
from bench.vectors import normalise

MAP_FILE = "map.safetensors"
"""File beside ``search.py`` that holds the reducer's arrays."""
_PADDED = '''\
def padded(rows, k):
    """Return rows of at most k ids as (q, k) int64; -1 fills the short ones."""
    rows = [list(row) for row in rows]
    return np.array([row + [-1] * (k - len(row)) for row in rows], dtype=np.int64)
'''
_IMPORTS = (
    "import json",
    "import sys",
    "from pathlib import Path",
    "import numpy as np",
    "from safetensors.numpy import load_file",
)
_NO_CODE = Code("")


@dataclass(frozen=True)
class Program:
    """The program of one row of the trials table."""

    row: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The text of ``search.py``."""
        body = self._body()
        for name, source in self._helpers().items():
            if name in _names(body):
                body = f"{source}\n\n{body}"
        used = _names(body)
        given = self._constants().items()
        constants = "\n".join(f"{name} = {_literal(v)}" for name, v in given if name in used)
        used |= _names(constants)
        statements = {*_IMPORTS, *(line for part in self._parts for line in part.imports)}
        kept = (each for each in statements if _bound(each) & used)
        return f"{self._about()}\n\n{_sections(kept)}\n\n{constants}\n\n\n{body}"

    @cached_property
    def requirements(self) -> tuple[str, ...]:
        """Distributions that the program imports, without versions, in order."""
        mapped = ("safetensors",) if self.reads_map else ()
        found = {"numpy", *mapped, *(name for part in self._parts for name in part.requirements)}
        return tuple(sorted(found))

    @property
    def reads_map(self) -> bool:
        """Whether it reads `MAP_FILE`."""
        return "MAP[" in self._mapped

    @cached_property
    def reducer(self) -> Reducer:
        """The reducer, not fitted yet."""
        given = parameters(self.row["reducer_params"])
        return get_reducer(self.row["reducer"])(self.encoder_name, **given)

    @property
    def encoder_name(self) -> str:
        """The encoder as the study names it; empty for ready vectors."""
        return _text(self.row["encoder"])

    @cached_property
    def encoder(self) -> Code:
        """Code of the encoder; empty for ready vectors."""
        if not self.encoder_name:
            return _NO_CODE
        return code_of(self.encoder_name)

    @cached_property
    def backend(self) -> Code:
        """Code of the backend."""
        return get_backend(self.row["backend"]).code(self.deployment)

    @cached_property
    def _reading(self) -> Code:
        """Code of the stages that read texts; empty if there are none."""
        texts = reads_texts(self._stages)
        return reading(self._stages, self.deployment) if texts else _NO_CODE

    @property
    def _parts(self) -> tuple[Code, ...]:
        return self.encoder, self.backend, self._reading

    @cached_property
    def deployment(self) -> Deployment:
        """The configuration, as the backend needs to know it."""
        row = self.row
        return Deployment(
            n=int(row["n_corpus"]),
            dimension=int(row["dim"]),
            full_dimension=int(row["full_dim"]),
            precision=row["precision"],
            build=parameters(row["build_params"]),
            search=parameters(row["search_params"]),
            threads=int(row["threads"]),
            asked=self._stages.get(SHORTLIST, int(row["k"])),
            native=bool(self._stages.get(NATIVE)),
        )

    @property
    def _stages(self) -> dict[str, Any]:
        return parameters(self.row["stages"])

    @cached_property
    def _mapped(self) -> str:
        return self.reducer.code()

    def _constants(self) -> dict[str, Any]:
        """Return every constant that the program may use, by name, in the order of their use."""
        own = self.deployment
        last = self._stages.get(DIMENSION, own.full_dimension)
        narrowing = steps(
            {SHORTLIST: own.asked, **self._stages}, own.dimension, last, self.row["k"]
        )
        return {
            **self.encoder.constants,
            "FULL_DIMENSION": own.full_dimension,
            "DIMENSION": own.dimension,
            "RESCORE_DIMENSION": last,
            "K": int(self.row["k"]),
            "SHORTLIST": self._stages.get(SHORTLIST),
            "FUNNEL": [(step.dimension, step.keep) for step in narrowing[:-1]],
            "THREADS": own.threads,
            **self.backend.constants,
            **self._reading.constants,
            "MAP": Expression(f'load_file(Path(__file__).with_name("{MAP_FILE}"))'),
        }

    def _helpers(self) -> dict[str, str]:
        shared = {"packed_signs": packed_signs, "normalise": normalise}
        return {"padded": _PADDED} | {name: inspect.getsource(f) for name, f in shared.items()}

    def _body(self) -> str:
        own, stages = self.deployment, self._stages
        later = rescores(stages) and not own.native
        last = "RESCORE_DIMENSION" if DIMENSION in stages else "FULL_DIMENSION"
        wide = own.native or self.backend.full_width
        return written(
            _FRAME,
            own,
            encode=self.encoder.text.strip("\n"),
            index_code=self.backend.text.strip("\n"),
            expression=self._mapped,
            wide=wide,
            later=later,
            last=last,
            funnel=bool(stages.get(FUNNEL)),
            on_disk=stages.get(VECTORS) == DISK,
            reading=self._reading.text.strip("\n"),
        )

    def _about(self) -> str:
        row = self.row
        vectors = self.encoder_name or f"ready vectors of {row['full_dim']} dimensions"
        measured = (
            ("nDCG@10", row.get("ndcg_at_10"), ".3f"),
            ("ANN recall@10", row.get("ann_recall_at_10"), ".3f"),
            ("p50 ms", row.get("latency_ms_p50"), ".3g"),
            ("bytes per vector", row.get("bytes_per_vector"), ",.0f"),
        )
        figures = (f"{name} {v:{form}}" for name, v, form in measured if v is not None and v == v)
        words = (
            f"Search as measured: {label(row)}.",
            f"Vectors: {vectors}. Trial {row['trial_id']} of matryoshka-bench, on {row['dataset']}"
            f" ({row['n_corpus']:,} documents): {', '.join(figures) or 'no figures'}.",
        )
        # Names come from the study: none may end the docstring, or escape anything in it.
        plain = (shown(text).replace("\\", "/").replace('"', "'") for text in words)
        first, second = (textwrap.fill(text, 97, break_long_words=False) for text in plain)
        return f'"""{first}\n\n{second}\n"""'


def check(row: Mapping[str, Any]) -> None:
    """Raise UsageError unless the row is of an index that was measured, as a study can ask."""
    name = row["trial_id"]
    if row["backend"] in (EXACT, BM25):
        raise UsageError(
            f"trial {name} is of '{row['backend']}', which has no index: name a timed trial"
        )
    if row["status"] != "ok":
        raise UsageError(f"trial {name} is '{row['status']}': only a measured one is deployed")
    # The table may be a stranger's, and what it holds becomes part of a program.
    backend = get_backend(row["backend"])
    backend.precision_of(row["precision"])
    for kind in ("build", "search"):
        given = parameters(row[f"{kind}_params"])
        check_parameters(backend, kind, {key: [value] for key, value in given.items()})


def pinned(names: Collection[str], versions: Mapping[str, str]) -> str:
    """Return the lines of ``requirements.txt``; a distribution without a version is not pinned.

    Raises UsageError for what is no version: pip would read it as an option.
    """
    # A server is no distribution: its version is a text of its own.
    asked = {_plain(name) for name in names}
    known = {_plain(name): version for name, version in versions.items() if _plain(name) in asked}
    for name, version in known.items():
        if not re.fullmatch(r"[0-9A-Za-z.!+_-]+", str(version)):
            raise UsageError(f"{version!r} is no version of {name}")
    lines = (f"{n}=={known[_plain(n)]}" if _plain(n) in known else n for n in names)
    return "".join(f"{line}\n" for line in lines)


def versions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of the libraries behind a row, by distribution."""
    return parameters(row["library_versions"])


def _plain(name: str) -> str:
    """Return the name of a distribution without extras, as they are compared."""
    return name.partition("[")[0].replace("_", "-").lower()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _names(source: str) -> set[str]:
    """Return every name that Python text uses or defines."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _bound(statement: str) -> set[str]:
    """Return the names that an import statement binds."""
    (node,) = ast.parse(statement).body
    assert isinstance(node, ast.Import | ast.ImportFrom)
    return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}


def _sections(statements: Iterable[str]) -> str:
    """Return imports in two sections, the standard library's first, sorted as isort does."""
    sections: dict[bool, list[str]] = {True: [], False: []}
    for statement in sorted(statements, key=lambda text: (text.startswith("from"), text.lower())):
        standard = statement.split()[1].partition(".")[0] in sys.stdlib_module_names
        sections[standard].append(statement)
    return "\n\n".join("\n".join(part) for part in sections.values() if part)


def _literal(value: Any) -> str:
    """Return a constant as Python text, a long string over several lines."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, str):
        lines = "\n" in value and not {'"', "\\"} & set(value)
        return f'"""{value}"""' if lines else json.dumps(value, ensure_ascii=False)
    return pprint.pformat(value, width=88)


_FRAME = '''\
{% if encode %}
{{ encode }}


{% else %}
# The trial's vectors were ready made: bring those of your corpus and your queries.


{% endif %}
def reduce(vectors, dimension=DIMENSION):
    """Return (n, {{ full_dimension }}) vectors at `dimension`, float32, of unit length."""
    vectors = normalise(vectors)
{% if expression == "vectors" %}
    return normalise(vectors[:, :dimension])
{% else %}
    mapped = {{ expression | indent }}
    return normalise(mapped[:, :dimension])
{% endif %}


{{ index_code }}


{% if later %}
def rescore(stored, queries, shortlists, k):
    """Return the k of each shortlist that are nearest by longer vectors, best first."""
    rows = []
    for query, ids in zip(queries, shortlists, strict=True):
        ids = ids[ids >= 0]
{% if funnel %}
        for dimension, keep in [*FUNNEL, ({{ last }}, k)]:
            # Twice the dimension for half of the list.
            scores = normalise(stored[ids, :dimension]) @ query[:dimension]
            ids = ids[np.argsort(-scores, kind="stable")[:keep]]
        rows.append(ids)
{% else %}
        scores = stored[ids] @ query
        rows.append(ids[np.argsort(-scores, kind="stable")[:k]])
{% endif %}
    return padded(rows, k)


{% endif %}
def {{ "index_vectors" if reading else "index_corpus" }}(vectors):
    """Return what is searched: an index of vectors, (n, {{ full_dimension }})."""
{% if not later %}
    return build(reduce(vectors{{ ", FULL_DIMENSION" if wide }}))
{% elif on_disk %}
    np.save("stored.npy", reduce(vectors, {{ last }}))
    stored = np.load("stored.npy", mmap_mode="r", allow_pickle=False)
    return build(reduce(vectors{{ ", FULL_DIMENSION" if wide }})), stored
{% else %}
    index = build(reduce(vectors{{ ", FULL_DIMENSION" if wide }}))
    return index, reduce(vectors, {{ last }})
{% endif %}


def {{ "nearest" if reading else "answer" }}(index, vectors, k=K):
    """Return the documents nearest to each query, (q, {{ full_dimension }}) to (q, k) int64."""
{% if not later %}
    return search(index, reduce(vectors{{ ", FULL_DIMENSION" if wide }}), k)
{% else %}
    index, stored = index
    shortlists = search(index, reduce(vectors{{ ", FULL_DIMENSION" if wide }}), SHORTLIST)
    return rescore(stored, reduce(vectors, {{ last }}), shortlists, k)
{% endif %}


{% if reading %}
{{ reading }}


{% endif %}
{% if encode %}
def main():
    """Index a corpus and print what a query finds: search.py corpus.jsonl "a query"."""
    path, query = sys.argv[1:]
    documents = [json.loads(line) for line in Path(path).open(encoding="utf-8")]
    texts = [f"{each.get('title', '')} {each['text']}".strip() for each in documents]
    index = index_corpus(encode(texts, "document"){{ ", texts" if reading }})
    found = answer(index, encode([query], "query"){{ ", [query]" if reading }})[0]
    for position in found[found >= 0]:
        print(position, texts[position][:80])
{% else %}
def main():
    """Index vectors and print the documents of each query: search.py corpus.npy queries.npy."""
    corpus, queries = (np.load(path, allow_pickle=False) for path in sys.argv[1:])
    print(answer(index_corpus(corpus), queries))
{% endif %}


if __name__ == "__main__":
    main()
'''
