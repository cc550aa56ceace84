"""How the code of a trial compares with the trial: every backend and precision that runs here.

``python -m tests.experiments.deploy [--backends NAME …]``
"""

import argparse
import tempfile
from pathlib import Path

from bench.analysis.labels import label
from bench.backends import SERVER, backends
from tests.deploy.programs import compared, configurations, write_vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="*", help="all that run here by default")
    names = parser.parse_args().backends or [n for n, c in backends().items() if c.available()]
    print("| trial | server | deterministic | same ids, same order | overlap |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as place:
        dataset = write_vectors(Path(place) / "vectors")
        for name in names:
            cls = backends()[name]
            facts = ["yes" if cls.kind == SERVER else "", "yes" if cls.deterministic else "no"]
            for found in compared(dataset, configurations(name, whole=True), Path(place) / name):
                shares = f"{found.equal:.0%}", f"{found.overlap:.3f}"
                cells = " | ".join([label(found.row), *facts, *shares])
                print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
