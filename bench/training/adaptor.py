"""Train an adaptor: the Matryoshka objective on frozen embeddings, for models trained without it.

An adaptor maps full vectors so that each prefix of the result is a good embedding; see
`bench.training.fitting` for how it is fitted and `bench.reducers.adaptor` for how it is applied.
Needs the extra ``train``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.datasets import load_dataset
from bench.embeddings import Embeddings, embed
from bench.errors import MissingSplit, UsageError
from bench.libraries import extra
from bench.quality.intervals import Bootstrap
from bench.reducers import Reducer
from bench.reducers.adaptor import Adaptor, save_adaptor, save_dense
from bench.reducers.pca import Pca
from bench.training.fitting import (
    FORMS,
    LOSSES,
    NEEDS_RANKING,
    Fit,
    Settings,
    powers_of_two,
    unit_first,
)
from bench.training.held_out import FIDELITY, OF_PASSAGES, Split

_ANCHOR_OF_FEW_PAIRS = 0.015


@dataclass(frozen=True)
class Trained:
    """Result of a training."""

    folder: Path
    dimensions: list[int]
    measure: str
    """``"nDCG@10"`` on held-out pairs. Without pairs: ``"nDCG@10 of passages"`` or
    ``"fidelity@10"`` of held-out documents."""
    curves: dict[str, list[float]]
    """Held-out quality of `truncate`, `pca` and `adaptor` at each of `dimensions`."""
    better: list[bool]
    """Whether the adaptor beats both truncation and PCA at each dimension: the lower bounds of both
    paired intervals are above zero."""
    steps: int
    seconds: float

    def lines(self) -> list[str]:
        """Return the summary, one sentence per line."""
        lines = [
            f"Trained for {self.steps} steps in {self.seconds:.0f} s. "
            f"{self.measure} on held-out data:"
        ]
        for i, d in enumerate(self.dimensions):
            values = "  ".join(f"{name} {curve[i]:.3f}" for name, curve in self.curves.items())
            lines.append(f"{d:>5} d  {values}")
        verdicts = zip(self.dimensions, self.better, strict=True)
        if worse := [str(d) for d, better in verdicts if not better]:
            lines.append(
                f"NOT significantly better than both truncation and PCA at {', '.join(worse)} d: "
                "the recommendation skips the adaptor there."
            )
        else:
            lines.append("Significantly better than truncation and PCA at every dimension.")
        if self.measure == OF_PASSAGES:
            lines.append(
                "Evaluated on passages, not on real queries. "
                "Measure this adaptor in a study before using it."
            )
        return lines


def train(
    dataset: str,
    encoder: str,
    out: str | Path,
    settings: Settings | None = None,
    *,
    dense: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Trained:
    """Train an adaptor on the training split of `dataset`, encoded by `encoder`, into folder `out`.

    Dataset and encoder are named as in a study; `encoder` is empty for ready vectors. `dense` is a
    folder for the linear map as a module of sentence-transformers (see `save_dense`). `progress`
    receives one line per evaluation. Raises UsageError on bad input.
    Source: Kusupati et al. 2022 (the loss over prefixes); Yoon et al., Matryoshka-Adaptor, 2024;
    Oord et al. 2018 (InfoNCE).
    """
    settings = settings or Settings()
    if settings.form not in FORMS:
        raise UsageError(f"--form is one of {', '.join(FORMS)}, not '{settings.form}'")
    if settings.loss and settings.loss not in LOSSES:
        raise UsageError(f"--loss is one of {', '.join(LOSSES)}, not '{settings.loss}'")
    if dense is not None and settings.form != "linear":
        raise UsageError("--dense needs --form linear: a Dense module holds a linear map only")
    extra("torch", "training", "train")
    data = _training_data(dataset, encoder, settings.loss)
    settings = _with_defaults(settings, data, dataset, encoder)
    split = Split(data, settings.seed)
    if settings.uses_ranking and encoder and settings.passages:
        documents = load_dataset(dataset, "test" if data.qrels is None else "train").documents
        if documents is not None:
            alone = settings.loss == "passages"
            split.add_passages(documents, encoder, settings.passages, settings.seed, alone)
    if settings.anchor is None:
        few_pairs = settings.loss == "infonce" and not len(split.owners)
        settings = replace(settings, anchor=_ANCHOR_OF_FEW_PAIRS if few_pairs else 0.0)

    begun = time.monotonic()
    pca = Pca()
    pca.fit(data.corpus)
    fit = Fit(data, split, pca.axes, settings)
    steps = fit.run(settings.steps, progress or (lambda _: None))
    adaptor, dimensions = fit.adaptor(), list(settings.dimensions)
    measure, curves, better = _compare(split, adaptor, pca, dimensions)
    seconds = time.monotonic() - begun
    save_adaptor(
        Path(out),
        adaptor.arrays,
        {
            "encoder": encoder,
            "dataset": dataset,
            "dataset_fingerprint": data.dataset_fingerprint,
            "full_dim": data.full_dim,
            "form": settings.form,
            "loss": settings.loss,
            "dimensions": dimensions,
            "weights": list(settings.weights),
            "steps": steps,
            "batch": settings.batch,
            "learning_rate": settings.learning_rate,
            "anchor": settings.anchor,
            "passages": len(split.owners),
            "seed": settings.seed,
            "measure": measure,
            "held_out": {name: [round(v, 6) for v in curve] for name, curve in curves.items()},
            "better": better,
        },
    )
    if dense is not None:
        save_dense(adaptor, Path(dense))
    return Trained(Path(out), dimensions, measure, curves, better, steps, seconds)


def _training_data(dataset: str, encoder: str, loss: str) -> Embeddings:
    """Return the training split. Without one, return the corpus only, unless `loss` needs pairs."""
    try:
        return embed(dataset, encoder, split="train")
    except MissingSplit:
        if loss == "infonce":
            raise
        return replace(embed(dataset, encoder), qrels=None)


def _with_defaults(settings: Settings, data: Embeddings, dataset: str, encoder: str) -> Settings:
    """Return `settings` with every default filled in but the anchor's; raises UsageError."""
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


def _compare(
    split: Split, adaptor: Adaptor, pca: Reducer, dimensions: list[int]
) -> tuple[str, dict[str, list[float]], list[bool]]:
    """Compare with truncation and PCA at each dimension on data that training never saw."""
    held = split.held_pairs or split.held_passages
    maps = {"truncate": lambda block: block, "pca": pca.map, "adaptor": adaptor.map}
    values = {
        name: split.by_query(unit_first(map_), dimensions, held) for name, map_ in maps.items()
    }
    bootstrap = Bootstrap(len(values["adaptor"][dimensions[0]]))
    better = [
        all(
            bootstrap.mean(values["adaptor"][d] - values[other][d])[1] > 0
            for other in ("truncate", "pca")
        )
        for d in dimensions
    ]
    curves = {
        name: [float(by_dimension[d].mean()) for d in dimensions]
        for name, by_dimension in values.items()
    }
    return held.measure if held else FIDELITY, curves, better
