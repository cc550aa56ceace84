"""The keys of a study file and their types."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bench.backends import Backend
from bench.encoders._names import cut, paired
from bench.reducers import PLAIN

SHORTLIST = "shortlist"
DIMENSION = "dimension"
FUNNEL = "funnel"
VECTORS = "vectors"
NATIVE = "native"
FUSION = "fusion"
RERANK = "rerank"
MEMORY, DISK = "memory", "disk"
NOTHING, WORDS = "none", "bm25"
GRID, PARETO, BISECT = "grid", "pareto", "bisect"


def listed(value: Any) -> Any:
    """Return a list as it is, and anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def _listed_values(value: Any) -> Any:
    return {k: listed(v) for k, v in value.items()} if isinstance(value, dict) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ReducerChoice(_Strict):
    """A reducer with parameters: ``{ name = "random_subset", seed = [0, 1] }``."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    name: str
    """Name of the reducer, as ``list reducers`` prints it."""


PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Strings = Annotated[
    list[str],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]
PositiveInts = Annotated[
    list[PositiveInt],
    BeforeValidator(listed, json_schema_input_type=PositiveInt | list[PositiveInt]),
    Field(min_length=1),
]
Share = Annotated[float, Field(gt=0, lt=1)]
Shares = Annotated[
    list[Share],
    BeforeValidator(listed, json_schema_input_type=Share | list[Share]),
]
Flags = Annotated[
    list[bool],
    BeforeValidator(listed, json_schema_input_type=bool | list[bool]),
    Field(min_length=1),
]
Swept = Annotated[
    dict[str, list[Any]], BeforeValidator(_listed_values, json_schema_input_type=dict[str, Any])
]
Reducers = Annotated[
    list[str | ReducerChoice],
    BeforeValidator(listed, json_schema_input_type=str | ReducerChoice | list[str | ReducerChoice]),
    Field(min_length=1),
]
Place = Literal["memory", "disk"]
Places = Annotated[
    list[Place],
    BeforeValidator(listed, json_schema_input_type=Place | list[Place]),
    Field(min_length=1),
]
Fusion = Literal["none", "bm25"]
Fusions = Annotated[
    list[Fusion],
    BeforeValidator(listed, json_schema_input_type=Fusion | list[Fusion]),
    Field(min_length=1),
]


class EncoderChoice(_Strict):
    """An encoder in parts: ``{ name = "st:LARGE", layers = [4, 6], query = "st:SMALL" }``.

    Lists are swept. In the tables each is one name, as ``st:LARGE+layers=4+query=st:SMALL``.
    """

    name: Strings
    """The encoder of the documents, and of the queries unless they have one of their own."""
    layers: PositiveInts | None = None
    """How many of its transformer layers are used, the first ones; all by default."""
    query: Strings | None = None
    """The encoder of the queries, of as many dimensions; the same by default."""
    query_layers: PositiveInts | None = None
    """How many layers of the encoder of the queries are used; all by default."""

    def names(self) -> list[str]:
        """Return the name of each combination, as the tables have it."""
        found = []
        depths = self.layers or (None,)
        for name in self.name:
            for documents in (cut(name, n) for n in depths):
                if self.query is None and self.query_layers is None:
                    found.append(documents)
                    continue
                found += [
                    paired(documents, cut(query, n))
                    for query in self.query or [name]
                    for n in self.query_layers or (None,)
                ]
        return found


def _encoder_names(value: Any) -> Any:
    """Return the names of encoders, with each table in the place of those it stands for."""
    names: list[Any] = []
    for each in listed(value):
        names += EncoderChoice.model_validate(each).names() if isinstance(each, dict) else [each]
    return list(dict.fromkeys(names)) if all(isinstance(n, str | None) for n in names) else names


Encoders = Annotated[
    list[str | None],
    BeforeValidator(
        _encoder_names, json_schema_input_type=str | EncoderChoice | list[str | EncoderChoice]
    ),
]


class Stages(_Strict):
    """Steps after the index's own search. Lists are swept."""

    shortlist: PositiveInts
    """How many candidates the index returns."""
    dimension: PositiveInts | None = None
    """Dimension that the last step scores at; the full one by default."""
    funnel: Flags = [False]
    """Whether to double the dimension and halve the list from step to step."""
    vectors: Places = ["memory"]
    """Location of the vectors to rescore with. On disk, cached pages are dropped per query."""
    native: Flags | None = None
    """Whether the backend rescores by itself. By default both are measured, if it can."""
    fusion: Fusions = ["none"]
    """``bm25`` joins the shortlist with that of BM25, as long, by reciprocal ranks; ``none`` does
    not. With a fusion or a rerank, vectors rescore only if `dimension` or `funnel` asks for it."""
    rerank: Strings = [""]
    """A cross-encoder of sentence-transformers, by name or path, that scores the texts of the
    shortlist last; none by default."""

    def swept(self, backend: type[Backend]) -> list[dict[str, Any]]:
        """Return each combination for `backend`, without default values."""
        native = self.native or ([True, False] if backend.native_stages else [False])
        combined = product(
            {
                SHORTLIST: list(self.shortlist),
                DIMENSION: [*self.dimension] if self.dimension else [None],
                FUNNEL: list(self.funnel),
                VECTORS: list(self.vectors),
                NATIVE: native if backend.native_stages else [False],
                FUSION: list(self.fusion),
                RERANK: list(self.rerank),
            }
        )
        usual = (None, False, MEMORY, NOTHING, "")
        return [
            {key: value for key, value in stages.items() if value not in usual}
            for stages in combined
            if _fits(stages)
        ]


def reads_texts(stages: Mapping[str, Any]) -> bool:
    """Return whether later stages read texts: a fusion with BM25, or a rerank."""
    return stages.get(FUSION, NOTHING) != NOTHING or bool(stages.get(RERANK))


def rescores(stages: Mapping[str, Any]) -> bool:
    """Return whether longer vectors score the shortlist again: always, unless texts do."""
    is_asked = stages.get(DIMENSION) is not None or bool(stages.get(FUNNEL))
    return SHORTLIST in stages and (is_asked or not reads_texts(stages))


def _fits(stages: Mapping[str, Any]) -> bool:
    """Return whether a combination says anything that another does not."""
    if stages[NATIVE]:
        # A backend's own rescore is one step, at the full dimension, from its own storage.
        plain = not stages[FUNNEL] and stages[DIMENSION] is None and stages[VECTORS] == MEMORY
        return plain and not reads_texts(stages)
    return rescores(stages) or stages[VECTORS] == MEMORY


class Configuration(_Strict):
    """One ``[[configurations]]`` table. Lists are swept."""

    backend: Strings
    """Names of backends, as ``list backends`` prints them; or ``exact`` for quality alone: what an
    exhaustive search finds at each precision, not timed."""
    reducer: Reducers = [PLAIN]
    """How vectors are shortened before they are indexed."""
    precision: Strings | None = None
    """How components are stored; the backend's default precision by default."""
    build: Swept = {}
    """Build parameters; by default the backend's own grid."""
    search: Swept = {}
    """Search parameters; by default the backend's own grid."""
    stages: Stages | None = None
    """Later steps of the search; none by default."""
    dimensions: PositiveInts | None = None
    """Dimensions of this table; those of the study by default."""
    clients: PositiveInts = [1]
    """Processes that query a server at once, each as soon as it has its last answer."""
    arrivals: Shares = []
    """Open loop besides: queries arrive at random at these shares of that throughput, as 0.5."""


class Study(_Strict):
    """A study: the measurements and their data."""

    name: str
    """Name of the results folder: letters, digits, '.', '_' and '-'."""
    dataset: Strings
    """Datasets, as ``pydoc`` or ``beir:PATH``."""
    encoder: Encoders = [None]
    """Encoders, as ``wordllama`` or ``st:NAME``; none for ready vectors. A table cuts a model after
    some of its layers, or names another encoder for the queries."""
    dimensions: PositiveInts
    """Dimensions to search at."""
    reducers: Reducers = [PLAIN]
    """Reducers compared on exact search at every dimension."""
    k: PositiveInts = [10]
    """Results per query."""
    threads: PositiveInts = [1]
    """Threads that a library may use."""
    queries: PositiveInt | None = None
    """Size of a seeded sample of the queries; all by default."""
    repeats: PositiveInt = 3
    """How often each query is timed."""
    corpus_sizes: Annotated[
        list[Annotated[float, Field(ge=1)]],
        BeforeValidator(listed, json_schema_input_type=float | list[float]),
    ] = []
    """Numbers of documents to measure with, in nested parts of each corpus that keep the relevant
    documents; the whole corpus by default. The rows of a part name the dataset ``NAME@SIZE``."""
    order: Annotated[int, Field(ge=0, strict=True)] | None = None
    """Seed of a random order that the documents are indexed in, to see how builds of an index
    differ; the dataset's own order by default. BM25 is left out, which no order changes."""
    subsets: Annotated[int, Field(ge=0, strict=True)] = 199
    """Random permutations of the coordinates that truncation is ranked among; 0 for none."""
    processes: PositiveInt = 1
    """Fresh processes that each index is built and timed in; the price is as many times longer.
    The first index of each backend has three at least, to know how far processes differ, unless it
    takes over a minute to build. The figures are the median over the processes."""
    sweep: Literal["grid", "pareto", "bisect"] = "grid"
    """``grid`` times every trial; ``pareto`` skips those that a few queries show dominated;
    ``bisect`` times, over each index, the narrowest searches that keep `keep`."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.98
    """Share of the full dimension's quality that ``bisect`` looks for."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of samples and resamples."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 600.0
    """Time limit per trial, s."""
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    """Memory limit per worker, GiB; 80 % of the machine's by default."""
    configurations: list[Configuration] = []
    """Timed configurations; without any, only the exact pass runs."""

    @property
    def all_dimensions(self) -> list[int]:
        """Every dimension that is searched, ascending."""
        own = (d for c in self.configurations for d in c.dimensions or [])
        return sorted({*self.dimensions, *own})

    @property
    def stage_dimensions(self) -> list[int]:
        """Every dimension named for a later stage, ascending."""
        stages = [c.stages for c in self.configurations if c.stages]
        return sorted({d for s in stages for d in s.dimension or []})

    @property
    def reads_texts(self) -> bool:
        """Whether any search reads texts after its index."""
        stages = [c.stages for c in self.configurations if c.stages]
        return any(s.fusion != [NOTHING] or s.rerank != [""] for s in stages)

    @property
    def shortlists(self) -> list[int]:
        """Every length of a shortlist, ascending."""
        stages = [c.stages for c in self.configurations if c.stages]
        return sorted({n for s in stages for n in s.shortlist})


def product(grid: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return every combination of one value per key."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
