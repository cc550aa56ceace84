"""Packages with plug-ins that tests install, and the command that runs a study with them."""

import os
import sys


def command(path, out):
    return [sys.executable, "-m", "bench", "run", str(path), "--out", str(out), "--quiet"]


def install(package, monkeypatch, name, family, classes):
    """Make another package with entry points of one family; its module is written by the caller."""
    info = package / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{point} = {name}:{cls}\n" for point, cls in classes.items())
    (info / "entry_points.txt").write_text(f"[matryoshka_bench.{family}]\n{points}")
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(package))
