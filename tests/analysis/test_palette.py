"""A name has one colour for ever, which needs no matplotlib."""

import re
import subprocess
import sys

import pytest

from bench.analysis.palette import (
    BACKENDS,
    PRECISIONS,
    REDUCERS,
    backend_colour,
    precision_colour,
    reducer_colour,
)
from bench.backends import backends
from bench.figures import figures
from bench.figures._style import backend_look, precision_look, reducer_look

KNOWN = {
    backend_colour: {
        "faiss-flat": "#0072B2",
        "faiss-hnsw": "#D55E00",
        "faiss-ivf": "#009E73",
        "annoy": "#CC79A7",
        "hnswlib": "#000000",
        "pgvector-hnsw": "#E69F00",
    },
    reducer_colour: {
        "truncate": "#0072B2",
        "adaptor": "#D55E00",
        "adaptor mine": "#D55E00",
        "pca": "#009E73",
        "pca whiten": "#009E73",
        "random_subset": "#CC79A7",
    },
    precision_colour: {"float32": "#0d0887", "int8": "#bc3587", "binary_asymmetric": "#fdc627"},
}


@pytest.mark.parametrize(
    ("colour", "name", "known"),
    [(colour, name, known) for colour, names in KNOWN.items() for name, known in names.items()],
)
def test_the_colour_of_a_name_never_changes(colour, name, known):
    assert colour(name) == known


def test_every_name_has_a_colour_and_strangers_keep_theirs():
    ours = {name for name, cls in backends().items() if cls.__module__.startswith("bench.")}
    assert ours <= set(BACKENDS) | {"exact", "bm25"}
    for colour, names in (
        (backend_colour, BACKENDS),
        (reducer_colour, REDUCERS),
        (precision_colour, PRECISIONS),
    ):
        for name in (*names, "a-stranger"):
            assert re.fullmatch("#[0-9a-fA-F]{6}", colour(name))
        assert colour("a-stranger") == colour("a-stranger")
    assert len({precision_colour(name) for name in PRECISIONS}) == len(PRECISIONS)
    assert len({reducer_colour(name) for name in REDUCERS}) == len(REDUCERS)
    shades = {precision_colour(name) for name in PRECISIONS}
    assert not shades & {backend_colour(name) for name in BACKENDS}


def test_figures_take_their_colours_from_the_palette():
    assert all(backend_look(name)["color"] == backend_colour(name) for name in BACKENDS)
    assert all(reducer_look(name)["color"] == reducer_colour(name) for name in REDUCERS)
    assert all(precision_look(name)["color"] == precision_colour(name) for name in PRECISIONS)


def test_the_palette_needs_no_matplotlib_and_is_no_figure():
    code = "import sys, bench.analysis.palette; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert "palette" not in figures()
