"""Models of MTEB, through its own loader."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.encoders import Encoder, Role
from bench.encoders._trust import only_trusted_code
from bench.errors import UsageError
from bench.libraries import extra
from bench.source import Code


class MtebEncoder(Encoder):
    """A model loaded by ``mteb.get_model``, with the prompts that MTEB uses for retrieval.

    Source: Muennighoff et al. 2023.
    """

    name = "mteb"
    usage = "mteb:NAME"
    summary = "any model that mteb.get_model knows (extra mteb)"

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise UsageError("encoder 'mteb' needs a model: mteb:NAME")
        library: Any = extra("mteb", f"encoder 'mteb:{argument}'")
        try:
            with only_trusted_code(argument):
                self._model = library.get_model(argument)
        except Exception as error:  # loaders raise any error of the model's library
            raise UsageError(
                f"encoder 'mteb:{argument}' cannot be loaded: {str(error).splitlines()[0]}"
            ) from error
        self._argument = argument
        self._dimension = int(self.encode_full(["dimension"], "document").shape[1])

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def identity(self) -> str:
        meta = self._model.mteb_model_meta
        return f"mteb {importlib.metadata.version('mteb')} {meta.name} {meta.revision}"

    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        rows: Any = [
            {"text": text, "title": "", "body": text}
            if role == "document"
            else {"text": text, "query": text}
            for text in texts
        ]
        vectors = self._model.encode(
            DataLoader(Dataset.from_list(rows), batch_size=self.batch_size),
            task_metadata=_retrieval_metadata(),
            hf_split="test",
            hf_subset="default",
            prompt_type=PromptType.query if role == "query" else PromptType.document,
        )
        return np.asarray(vectors, dtype=np.float32)

    @classmethod
    def code(cls, argument: str) -> Code:
        imports = (
            "import mteb",
            "from datasets import Dataset",
            "from mteb.types import PromptType",
            "from torch.utils.data import DataLoader",
        )
        return Code(_CODE, imports, ("mteb",), {"MODEL_NAME": argument})


def _retrieval_metadata() -> Any:
    """Return the metadata of an English retrieval task, by which MTEB chooses prompts."""
    import mteb

    return mteb.get_task("SciFact").metadata


_CODE = '''
MODEL = mteb.get_model(MODEL_NAME)
TASK = mteb.get_task("SciFact").metadata  # of retrieval, by which mteb chooses the prompts


def encode(texts, role):
    """Return the vectors of texts, (n, D) float32; the role is "query" or "document"."""
    if role == "query":
        prompt, rows = PromptType.query, [{"text": text, "query": text} for text in texts]
    else:
        prompt = PromptType.document
        rows = [{"text": text, "title": "", "body": text} for text in texts]
    vectors = MODEL.encode(
        DataLoader(Dataset.from_list(rows), batch_size=256),
        task_metadata=TASK,
        hf_split="test",
        hf_subset="default",
        prompt_type=prompt,
    )
    return np.asarray(vectors, dtype=np.float32)
'''
