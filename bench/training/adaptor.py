"""Train an adaptor: the Matryoshka objective on frozen embeddings, for models trained without it.

An adaptor maps full vectors so that each prefix of the result is a good embedding; see
`bench.training.fitting` for how it is fitted and `bench.reducers.adaptor` for how it is applied.
Needs the extra ``train``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.datasets import load_dataset
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.errors import MissingSplit, UsageError
from bench.libraries import extra
from bench.quality.intervals import Bootstrap
from bench.reducers.adaptor import Adaptor, save_adaptor, save_dense
from bench.reducers.pca import Pca
from bench.training import codes
from bench.training.fitting import (
    FORMS,
    LOSSES,
    NEEDS_RANKING,
    Fit,
    Settings,
    powers_of_two,
    unit_first,
)
from bench.training.held_out import FIDELITY, JUDGING, OF_PASSAGES, Split, asked_documents

RIVALS = ("truncate", "pca", "pca_whitened")
"""The untrained maps that an adaptor must beat."""
_ANCHOR_OF_FEW_PAIRS = 0.015
_ROTATED = 262_144
"""Most documents that the rotation at the start is fitted on."""


@dataclass(frozen=True)
class Trained:
    """Result of a training."""

    folder: Path
    dimensions: list[int]
    measure: str
    """``"nDCG@10"`` on held-out pairs. Without pairs: ``"nDCG@10 of passages"`` or
    ``"fidelity@10"`` of held-out documents."""
    curves: dict[str, list[float]]
    """Quality of each of `RIVALS` and `adaptor` at each of `dimensions`, on the held-out half that
    chose nothing."""
    better: list[bool]
    """Whether the adaptor beats every one of `RIVALS` at each dimension: one-sided paired tests at
    2.5 %; the bounds hold for all rivals and dimensions at once. At `code`, if it has one."""
    steps: int
    seconds: float
    own_corpus: bool = False
    """Whether it learned from documents that the test queries ask for."""
    code: str = ""
    """The precision it was trained for; empty for float32."""
    curves_at_code: Mapping[str, list[float]] = field(default_factory=dict)
    """As `curves`, with vectors stored at `code`."""

    def lines(self) -> list[str]:
        """Return the summary, one sentence per line."""
        lines = [
            f"Trained for {self.steps} steps in {self.seconds:.0f} s. "
            f"{self.measure} on held-out data:"
        ]
        for code, curves in (("", self.curves), (self.code, self.curves_at_code)):
            for i, d in enumerate(self.dimensions if curves else ()):
                values = "  ".join(f"{name} {curve[i]:.3f}" for name, curve in curves.items())
                lines.append(f"{d:>5} d  {code}{'  ' if code else ''}{values}")
        stored = f" stored as {self.code}" if self.code else ""
        verdicts = zip(self.dimensions, self.better, strict=True)
        if worse := [str(d) for d, better in verdicts if not better]:
            lines.append(
                f"NOT significantly better than truncation, PCA and whitened PCA{stored} at "
                f"{', '.join(worse)} d: the recommendation skips the adaptor there."
            )
        else:
            lines.append(
                f"Significantly better than truncation, PCA and whitened PCA{stored} at every "
                "dimension."
            )
        if self.own_corpus:
            lines.append(
                "It learned from the documents that the test queries ask for: measured on them, it "
                "shows the gain on a corpus you have, not on new documents."
            )
        if self.measure == OF_PASSAGES:
            lines.append(
                "Evaluated on passages, not on real queries. "
                "Measure this adaptor in a study before using it."
            )
        return lines


@dataclass(frozen=True)
class Learned:
    """An adaptor before it is compared or saved."""

    adaptor: Adaptor
    split: Split
    settings: Settings
    """With every default filled in."""
    steps: int


def train(
    dataset: str,
    encoder: str,
    out: str | Path,
    settings: Settings | None = None,
    *,
    own_corpus: bool = False,
    dense: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Trained:
    """Train an adaptor on the training split of `dataset`, encoded by `encoder`, into folder `out`.

    Dataset and encoder are named as in a study; `encoder` is empty for ready vectors. Documents
    that the test split asks for are left out, with their pairs and passages, unless `own_corpus`:
    then the adaptor is fitted to the corpus one has, and a test says nothing of new documents.
    `dense` is a folder for the linear map as a module of sentence-transformers (see `save_dense`).
    `progress` receives one line per evaluation. Raises UsageError on bad input.
    Source: Kusupati et al. 2022 (the loss over prefixes); Yoon et al., Matryoshka-Adaptor, 2024;
    Oord et al. 2018 (InfoNCE).
    """
    settings = settings or Settings()
    if dense is not None and settings.form != "linear":
        raise UsageError("--dense needs --form linear: a Dense module holds a linear map only")
    _check(settings)
    data = _training_data(dataset, encoder, settings.loss)
    hidden = np.zeros(len(data.corpus), bool)
    if not own_corpus:
        hidden = asked_documents(dataset, data.doc_ids)
    documents = None
    if encoder:
        documents = load_dataset(dataset, "test" if data.qrels is None else "train").documents
    begun = time.monotonic()
    found = learn(data, documents, settings, hidden, progress)
    settings, dimensions = found.settings, list(found.settings.dimensions)
    measure, curves, better = _compare(found, data)
    curves_at_code: dict[str, list[float]] = {}
    if settings.code:
        _, curves_at_code, better = _compare(found, data, settings.code)
    seconds = time.monotonic() - begun
    save_adaptor(
        Path(out),
        found.adaptor.arrays,
        {
            "encoder": encoder,
            "dataset": dataset,
            "dataset_fingerprint": data.dataset_fingerprint,
            "saw_test_documents": own_corpus,
            "documents_left_out": int(hidden.sum()),
            "full_dim": data.full_dim,
            "form": settings.form,
            "loss": settings.loss,
            "dimensions": dimensions,
            "weights": list(settings.weights),
            "steps": found.steps,
            "batch": settings.batch,
            "learning_rate": settings.learning_rate,
            "anchor": settings.anchor,
            "passages": len(found.split.owners),
            "sequential": settings.sequential,
            "select": settings.select,
            "memory": settings.memory,
            "code": settings.code,
            "seed": settings.seed,
            "measure": measure,
            "held_out": _rounded(curves),
            "held_out_at_code": _rounded(curves_at_code),
            "better": better,
        },
    )
    if dense is not None:
        save_dense(found.adaptor, Path(dense))
    return Trained(
        Path(out),
        dimensions,
        measure,
        curves,
        better,
        found.steps,
        seconds,
        own_corpus,
        settings.code,
        curves_at_code,
    )


def learn(
    data: Embeddings,
    documents: Iterable[str] | None,
    settings: Settings,
    hidden: np.ndarray,
    progress: Callable[[str], None] | None = None,
) -> Learned:
    """Fit an adaptor to `data`, whose texts are `documents`, without those that are `hidden`.

    `hidden` (n,) bool are documents that training must not know of; see `Split`. Without
    `documents` there are no passages. Raises UsageError on bad settings or too little data.
    """
    _check(settings)
    extra("torch", "training", "train")
    settings = _with_defaults(settings, data)
    split = Split(data, settings.seed, hidden)
    if settings.uses_ranking and settings.passages and documents is not None:
        alone = settings.loss == "passages"
        split.add_passages(documents, data.encoder, settings.passages, settings.seed, alone)
    if settings.anchor is None:
        few_pairs = settings.loss == "infonce" and not len(split.owners)
        settings = replace(settings, anchor=_ANCHOR_OF_FEW_PAIRS if few_pairs else 0.0)
    start = Pca()
    seen = split.documents
    if len(seen) > _ROTATED:
        rng = np.random.default_rng(settings.seed)
        seen = np.sort(rng.choice(seen, _ROTATED, replace=False))
    start.fit(data.corpus[seen])
    fit = Fit(data, split, start.axes, settings)
    steps = fit.run(settings.steps, progress or (lambda _: None))
    return Learned(fit.adaptor(), split, settings, steps)


def _check(settings: Settings) -> None:
    if settings.form not in FORMS:
        raise UsageError(f"--form is one of {', '.join(FORMS)}, not '{settings.form}'")
    if settings.loss and settings.loss not in LOSSES:
        raise UsageError(f"--loss is one of {', '.join(LOSSES)}, not '{settings.loss}'")
    codes.check(settings.code)


def _training_data(dataset: str, encoder: str, loss: str) -> Embeddings:
    """Return the training split. Without one, return the corpus only, unless `loss` needs pairs."""
    try:
        return embed(dataset, encoder, split="train")
    except MissingSplit:
        if loss == "infonce":
            raise
        return replace(embed(dataset, encoder), qrels=None)


def _with_defaults(settings: Settings, data: Embeddings) -> Settings:
    """Return `settings` with every default filled in but the anchor's; raises UsageError."""
    dataset, encoder = data.dataset, data.encoder
    dimensions = sorted(set(settings.dimensions or powers_of_two(data.full_dim)))
    if bad := [d for d in dimensions if not 1 <= d <= data.full_dim]:
        raise UsageError(
            f"dimension {bad[0]} is outside 1…{data.full_dim}, the full dimension of {encoder}"
        )
    weights = list(settings.weights or [1.0] * len(dimensions))
    if len(weights) != len(dimensions):
        raise UsageError(f"{len(weights)} weights for {len(dimensions)} dimensions: give one each")
    loss = settings.loss or ("infonce" if data.qrels is not None else "kl")
    if loss == "infonce" and data.qrels is None:
        raise UsageError(
            f"the loss infonce needs training pairs, but {dataset} has no judgements: use --loss kl"
        )
    if loss == "passages" and not (encoder and settings.passages):
        raise UsageError(
            "the loss passages reads documents: it needs a dataset of texts and --passages above 0"
        )
    batch = settings.batch or (512 if loss in NEEDS_RANKING else 256)
    return replace(settings, loss=loss, dimensions=dimensions, weights=weights, batch=batch)


def _rounded(curves: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(value, 6) for value in curve] for name, curve in curves.items()}


def _compare(
    found: Learned, data: Embeddings, code: str = ""
) -> tuple[str, dict[str, list[float]], list[bool]]:
    """Compare with the untrained maps at each dimension and `code`, on data that chose nothing."""
    split, dimensions = found.split, list(found.settings.dimensions)
    held = split.held_pairs or split.held_passages
    pca, whitened = Pca(), Pca(whiten=True)
    pca.fit(data.corpus)
    whitened.fit(data.corpus)
    maps = {
        "truncate": lambda block: block,
        "pca": pca.map,
        "pca_whitened": whitened.map,
        "adaptor": found.adaptor.map,
    }
    values = {
        name: split.by_query(unit_first(map_), dimensions, held, JUDGING, code)
        for name, map_ in maps.items()
    }
    own, others = (
        np.stack([values[name][d] for d in dimensions for name in names])
        for names in (["adaptor"] * len(RIVALS), RIVALS)
    )
    bounds = Bootstrap(own.shape[1]).differences(own, others)
    least = bounds.low.reshape(len(dimensions), len(RIVALS)).min(axis=1)
    better = [bool(low > 0) for low in least]
    curves = {
        name: [float(by_dimension[d].mean()) for d in dimensions]
        for name, by_dimension in values.items()
    }
    return held.measure if held else FIDELITY, curves, better
