"""A retrieval task of MTEB made from a BEIR folder, without a hub."""

import json

from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata


def local_task(folder):
    """Return a task whose data are those of `folder`."""

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Local",
            description="made by a test",
            dataset={"path": "none", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            reference=None,
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )

        def load_data(self, *args, **kwargs):
            lines = {
                n: [json.loads(x) for x in (folder / f"{n}.jsonl").read_text().splitlines()]
                for n in ("corpus", "queries")
            }
            qrels = {}
            for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
                query, document, grade = line.split("\t")
                qrels.setdefault(query, {})[document] = int(grade)
            corpus = [{"id": x["_id"], "title": x.get("title", ""), "text": x["text"]} for x in lines["corpus"]]
            queries = [{"id": x["_id"], "text": x["text"]} for x in lines["queries"]]
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list(corpus),
                        "queries": Dataset.from_list(queries),
                        "relevant_docs": qrels,
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return Local()
