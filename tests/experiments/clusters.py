"""How much wider an interval is when modules are drawn again, instead of queries.

``python -m tests.experiments.clusters``

The promise: pydoc's queries come in modules and those of one module are alike, so the suite
resamples modules. Printed is the standard error with modules drawn over that with queries drawn,
for nDCG@10 and for differences of dimensions and maps; all test queries, seeded.
"""

import numpy as np

from bench.embeddings import embed
from bench.exact.one_pass import exact_topk
from bench.quality.measures import relevance
from bench.reducers.pca import Pca
from bench.vectors import normalise
from tests.experiments.adaptor import ENCODER, Clusters


def main() -> None:
    """Print the table."""
    data = embed("pydoc", ENCODER)
    whitened = Pca(whiten=True)
    whitened.fit(data.corpus)
    quality = {}
    for name, transform in (
        ("truncation", None),
        ("whitened PCA", lambda block: whitened.map(normalise(block))),
    ):
        found = exact_topk(data.queries, data.corpus, [64, 128, 256], 10, transform=transform)
        for d, (ids, _) in found.items():
            quality[name, d] = relevance(ids, data.query_ids, data.qrels, 10)["ndcg_at_10"]
    plain = quality["truncation", 256]
    figures = {
        "nDCG@10, 256 d": plain,
        "128 d − 256 d": quality["truncation", 128] - plain,
        "64 d − 256 d": quality["truncation", 64] - plain,
        "whitened PCA − truncation, 256 d": quality["whitened PCA", 256] - plain,
    }
    modules, queries = Clusters(list(data.groups)), Clusters(data.query_ids)
    sizes = np.sort(modules.sizes)[::-1]
    print(
        f"{len(plain):,} queries in {modules.n} modules; ten have {sizes[:10].sum() / len(plain):.0%}"
    )
    print("| figure | value | s.e., queries drawn | s.e., modules drawn | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, values in figures.items():
        errors = [draw.means(values).std(ddof=1) for draw in (queries, modules)]
        shown = " | ".join(f"{error:.4f}" for error in errors)
        print(f"| {name} | {values.mean():+.3f} | {shown} | {errors[1] / errors[0]:.2f} |")


if __name__ == "__main__":
    main()
