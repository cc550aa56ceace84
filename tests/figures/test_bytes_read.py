"""The figure of bytes read, and the column behind it."""

import numpy as np
import pytest

from bench.errors import NothingToShow
from bench.figures import figures
from bench.results.rows import timed, two_stage


def test_bytes_read_shows_the_front_of_each_method_and_what_exact_search_finds(frame):
    (axes,) = figures()["bytes_read"].draw(frame).axes
    rows = timed(frame)
    flat = rows[(rows["backend"] == "faiss-flat") & (rows["precision"] == "float32")]
    for several in (False, True):
        own = flat[two_stage(flat) == several]
        (line,) = [
            line
            for line in axes.lines
            if line.get_label() == "faiss-flat" + ", several stages" * several
        ]
        pairs = own[["bytes_read", "ndcg_at_10"]].to_numpy()
        front = {
            (read, quality)
            for read, quality in pairs
            if not any(r <= read and q >= quality and (r, q) != (read, quality) for r, q in pairs)
        }
        assert set(zip(*line.get_data(), strict=True)) == front
    exact = frame[(frame["backend"] == "exact") & (frame["dim"] == 32)]
    whole = exact.loc[exact["reducer"] == "truncate", "ndcg_at_10"].iloc[0]
    assert whole in [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    with pytest.raises(NothingToShow, match="bytes"):
        figures()["bytes_read"].draw(frame.assign(bytes_read=np.nan))


def test_the_bytes_of_a_search_are_those_of_its_vectors_and_of_later_stages(frame):
    rows = timed(frame)
    flat = rows[(rows["backend"] == "faiss-flat") & (rows["reducer"] == "truncate")]
    for _, row in flat.iterrows():
        bits = {"float32": 32, "int8": 8, "binary": 1}[row["precision"]]
        more = 30 * 32 * 4 if row["stages"] else 0
        assert row["bytes_read"] == 600 * -(-row["dim"] * bits // 8) + more
