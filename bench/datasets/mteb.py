"""Retrieval tasks of MTEB, through its own loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.datasets import Dataset, Source
from bench.datasets._files import Fingerprint, distinct, own_documents, scored_queries
from bench.errors import DataError, MissingSplit, UsageError, near_miss
from bench.libraries import extra


class Mteb(Source):
    """Any MTEB retrieval task; offline if mteb's cache has it. Source: Muennighoff et al. 2023."""

    name = "mteb"
    usage = "mteb:TASK[/SUBSET]"
    summary = "any MTEB retrieval task, through mteb's own loader (extra mteb)"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        mteb: Any = extra("mteb", f"dataset 'mteb:{argument}'")
        name, _, subset = argument.partition("/")
        try:
            task = mteb.get_task(name)
        except KeyError as error:
            names = [t.metadata.name for t in mteb.get_tasks(task_types=["Retrieval"])]
            raise UsageError(
                f"mteb has no task '{name}'{near_miss(name, names) if name else ''}"
            ) from error
        if not hasattr(task, "convert_v1_dataset_format_to_v2") or task.metadata.type not in (
            "Retrieval",
            "Reranking",
        ):
            raise UsageError(
                f"mteb:{name} is a task of type {task.metadata.type}; a retrieval task is needed"
            )
        try:
            task.load_data()
            task.convert_v1_dataset_format_to_v2(num_proc=None)
        except Exception as error:  # a hub can raise any type of error
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"mteb:{name} cannot be loaded, and is not in mteb's cache: {why}"
            ) from error
        subsets = list(task.dataset)
        if not subset and len(subsets) > 1:
            raise UsageError(
                f"mteb:{name} has several subsets; name one as mteb:{name}/SUBSET: "
                f"{', '.join(subsets[:10])}"
            )
        subset = subset or subsets[0]
        if subset not in subsets:
            raise UsageError(f"mteb:{name} has no subset '{subset}'{near_miss(subset, subsets)}")
        if split not in task.dataset[subset]:
            raise MissingSplit(
                f"mteb:{name} has no split '{split}'{near_miss(split, task.dataset[subset])}"
            )
        ignored = bool(getattr(task, "ignore_identical_ids", False))
        return _dataset(f"mteb:{argument}", task.dataset[subset][split], ignored)


def _dataset(name: str, data: Any, ignore_identical_ids: bool) -> Dataset:
    doc_ids = [str(i) for i in data["corpus"]["id"]]
    distinct(doc_ids, Path(name), "document")
    distinct([str(i) for i in data["queries"]["id"]], Path(name), "query")
    texts = {str(row["id"]): row["text"] for row in data["queries"]}
    if data.get("top_ranked"):
        raise UsageError(
            f"{name} reranks given candidates; a task that searches the whole corpus is needed"
        )
    judged = {
        q: {d: int(g) for d, g in grades.items()} for q, grades in data["relevant_docs"].items()
    }
    qrels, notes = scored_queries(judged, doc_ids, list(texts), name)
    documents = _Documents(data["corpus"])
    fingerprint = Fingerprint("mteb")
    empty = 0
    for doc_id, text in zip(doc_ids, documents, strict=True):
        empty += not text
        fingerprint.add(doc_id, text)
    if empty:
        notes.append(f"{empty} documents are empty")
    for query in qrels:
        fingerprint.add(query, str(texts[query]))
    fingerprint.add_qrels(qrels)
    own, more = own_documents([], {})
    if ignore_identical_ids:
        positions = {doc_id: i for i, doc_id in enumerate(doc_ids)}
        fingerprint.add("identical ids are left out")
        own, more = own_documents(
            list(qrels), {query: positions[query] for query in qrels if query in positions}
        )
    return Dataset(
        name=name,
        fingerprint=fingerprint.hex(),
        doc_ids=doc_ids,
        query_ids=list(qrels),
        documents=documents,
        queries=[str(texts[query]) for query in qrels],
        qrels=qrels,
        own=own,
        notes=(*notes, *more),
    )


class _Documents:
    """Texts of a task's corpus, read from the table on disk each time.

    Title and text are joined as MTEB joins them.
    """

    def __init__(self, corpus: Any) -> None:
        self._corpus = corpus

    def __iter__(self) -> Any:
        for row in self._corpus:
            yield f"{row.get('title') or ''} {row['text']}".strip()
