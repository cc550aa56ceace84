"""A retrieval task of MTEB made from a BEIR folder, without a hub."""

import json

import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.model_meta import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from mteb.types import PromptType


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
            corpus = [
                {"id": x["_id"], "title": x.get("title", ""), "text": x["text"]}
                for x in lines["corpus"]
            ]
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


class LocalModel:
    """An encoder of ours as MTEB takes a model, at one dimension."""

    def __init__(self, encoder, dimension):
        self.encoder, self.dimension = encoder, dimension
        self.mteb_model_meta = ModelMeta.create_empty({"name": "local/model", "revision": "1"})

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        texts = [text for batch in inputs for text in batch["text"]]
        return self.encoder.encode(
            texts, self.dimension, "query" if prompt_type == PromptType.query else "document"
        )

    def similarity(self, a, b):
        return cos_sim(a, b)

    def similarity_pairwise(self, a, b):
        return pairwise_cos_sim(a, b)


def mteb_scores(model, folder):
    """Return what `mteb.evaluate` finds on `folder`, by MTEB's own names."""
    results = mteb.evaluate(
        model,
        local_task(folder),
        cache=None,
        overwrite_strategy="always",
        show_progress_bar=False,
        raise_error=True,
    )
    return results.task_results[0].scores["test"][0]
