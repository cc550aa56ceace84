"""The messages between the runner and its workers.

The runner writes one job to a worker's standard input. The worker writes one event per line to a
pipe. Both are JSON of the classes below: an unknown field or a column that no table declares is an
error at the sender, not an empty cell later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from bench.results.columns import checked
from bench.results.schema import COLUMNS
from bench.study.plan import Trial

_EXACT_LAYOUT = 6
"""Version of the files that keep exact results and fitted reducers."""


_PLACES: Any = {"data": {"folder", "encoder", "dataset"}, "training": True}
"""Fields of `ExactKey` that tell where something lies; what lies there is in the other fields."""


class Message(BaseModel):
    """Base of all jobs and events."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ------------------------------------------------------------------------------------------- parts


class Data(Message):
    """The embeddings to measure on, with the sample of their queries."""

    folder: Path
    encoder: str
    """As the study names it; empty for ready vectors."""
    max_queries: int | None
    seed: int
    dataset: str = ""
    """As the study names it, to read texts again; empty if nothing reads them."""


class ExactKey(Message):
    """Everything that exact results and a fitted reducer depend on."""

    data: Data
    reducer: str
    reducer_params: str
    reducer_key: str
    """`Reducer.key`: a digest of the reducer's code and weights, and of its training queries."""
    training: Path | None = None
    """Folder of the embeddings of training queries, for a reducer that needs them."""
    dimensions: tuple[int, ...]
    depth: int

    @property
    def stem(self) -> Path:
        """Path of the files kept for this key, without a suffix."""
        parts = [_EXACT_LAYOUT, self.model_dump_json(exclude=_PLACES)]
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()
        return self.data.folder / "exact" / digest


class Rival(Message):
    """An earlier configuration; a new one must be better in something, or it is dominated."""

    by_query: list[float]
    """Quality of each query, in the order of the queries."""
    ms: float
    bytes: float


Row = Annotated[dict[str, Any], AfterValidator(lambda row: checked(row, COLUMNS.values()))]
"""Some columns of the trials table."""


class QueryRows(Message):
    """Results of one trial per query, one list per column of the queries table."""

    query_id: list[str]
    found: list[list[int]] | None
    """Positions of the documents found, best first; -1 pads. None for the exact pass, whose results
    are kept in a file."""
    ndcg_at_10: list[float] | None = None
    recall_at_10: list[float] | None = None
    first_relevant_rank: list[int] | None = None
    relevant_ranks: list[list[int]] | None = None
    relevant_grades: list[list[int]] | None = None
    fidelity_at_10: list[float] | None = None
    ann_recall_at_10: list[float] | None = None
    latency_ms: list[float] | None = None

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns that are set, without `found`."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in values if name != "found" and value is not None}


# -------------------------------------------------------------------------------------------- jobs


class ExactJob(Message):
    """Search exactly at every dimension with one reducer, and score what was found."""

    kind: Literal["exact"] = "exact"
    cores: list[int]
    exact: ExactKey
    full: ExactKey
    """Key of plain truncation, whose results at the full dimension everything is compared with."""
    trials: dict[str, Trial]
    """By trial id; may be empty, if only the results are needed."""
    subsets: int = 0
    """Random permutations of the coordinates that the reducer is ranked among; 0 for none."""


class Bm25Job(Message):
    """Rank the documents of a text dataset by BM25, and score what was found."""

    kind: Literal["bm25"] = "bm25"
    cores: list[int]
    full: ExactKey
    """Key of plain truncation, whose results at the full dimension BM25 is compared with."""
    trials: dict[str, Trial]
    """One, by trial id."""


class BuildJob(Message):
    """Build one index and measure the trials over it."""

    kind: Literal["build"] = "build"
    cores: list[int]
    exact: ExactKey
    full: ExactKey
    trials: dict[str, Trial]
    """By trial id; all have the same `build_key`."""
    process: int = 0
    """How many processes measured these trials before. From the second on only times are taken, and
    in every other one the reference is built first."""
    repeats: int
    budget_seconds: float
    """No further repeat of the timed queries begins after this long."""
    pareto: bool
    """Whether to leave out trials that a few queries show to be dominated."""
    keep: float | None = None
    """Share of the full dimension's quality to look for by bisection; None to time every width."""
    rivals: list[Rival]
    bandwidth: float
    """Memory bandwidth of one thread, bytes per second; 0 if unknown."""
    machine_cores: list[int]
    """All cores that the clients of a server may use."""
    encode_ms_p50: float | None
    encode_documents_per_second: float | None = None

    @property
    def index(self) -> Trial:
        """Any of the trials: they share reducer, dimension, precision and build parameters."""
        return next(iter(self.trials.values()))


class FitJob(Message):
    """Fit a reducer and keep its arrays."""

    kind: Literal["fit"] = "fit"
    cores: list[int]
    exact: ExactKey


class EncodeJob(Message):
    """Time the encoding of single queries, or of documents together.

    The answer is the median time of a query in ms, or the documents per second.
    """

    kind: Literal["encode"] = "encode"
    cores: list[int]
    encoder: str
    role: Literal["document", "query"]
    texts: list[str]
    budget_seconds: float


class BandwidthJob(Message):
    """Measure the memory bandwidth of one pinned thread; the answer is bytes per second."""

    kind: Literal["bandwidth"] = "bandwidth"
    cores: list[int]


class ProbeJob(Message):
    """Build and search small indexes, to estimate what a study takes; the answer is `Probed`."""

    kind: Literal["probe"] = "probe"
    cores: list[int]
    n: int
    """Documents of the corpus: no probe is larger."""
    full_dim: int
    dimensions: list[int]
    """Dimensions of an exact pass to be timed; none for no pass."""
    indexes: list[Trial]
    searches: list[list[str]]
    """The search parameters to time over each index."""


Job = ExactJob | Bm25Job | BuildJob | FitJob | EncodeJob | BandwidthJob | ProbeJob
JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])

# ------------------------------------------------------------------------------------------ events


class Ready(Message):
    """The index or the exact results are ready; a later error belongs to the trial under way."""

    event: Literal["ready"] = "ready"


class Started(Message):
    """A trial begins."""

    event: Literal["started"] = "started"
    trial_id: str


class Measured(Message):
    """A trial ended; its row has a `status`, and queries if that is ``ok``."""

    event: Literal["measured"] = "measured"
    trial_id: str
    row: Row
    queries: QueryRows | None = None
    server: str = ""
    """Name and version of the server that was queried; empty for what runs in the worker."""


class TimedAgain(Message):
    """A further process timed a trial; `row` holds the columns of its times."""

    event: Literal["timed again"] = "timed again"
    trial_id: str
    row: Row


class ServerGone(Message):
    """The server died; the trials left need a new worker."""

    event: Literal["server gone"] = "server gone"


class Answer(Message):
    """The number that an `EncodeJob` or a `BandwidthJob` asked for."""

    event: Literal["answer"] = "answer"
    value: float


class IndexProbe(Message):
    """What a small index took, at one or two sizes."""

    backend: str
    precision: str
    build_params: str
    dim: int
    sizes: list[int]
    """Vectors indexed; each list below has an entry for each."""
    build_seconds: list[float]
    index_bytes: list[float]
    query_seconds: dict[str, list[float]]
    """Median of a query, by search parameters."""


class Probed(Message):
    """The answer to a `ProbeJob`; an index whose library failed is missing."""

    event: Literal["probed"] = "probed"
    indexes: list[IndexProbe]
    pairs_per_second: float
    """(Query, document) pairs that the exact pass scores; 0 if it was not timed."""
    bandwidth: float
    """Memory bandwidth of one thread, bytes per second."""
    seconds: float
    """What the probes took, without the start of the worker."""


class Progressed(Message):
    """Part of a long task is done."""

    event: Literal["progressed"] = "progressed"
    done: int
    total: int


class Failed(Message):
    """An exception ended the worker."""

    event: Literal["failed"] = "failed"
    status: Literal["failed", "out_of_memory"]
    error: str


Event = Ready | Started | Measured | TimedAgain | ServerGone | Answer | Probed | Progressed | Failed
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
Emit = Callable[[Event], None]


def now() -> str:
    """Return the time in ISO 8601, as tables hold it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
