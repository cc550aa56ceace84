"""Growth of times and bytes: made rows give back the powers that they were made with."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.money import load_prices
from bench.analysis.serving import sizing
from bench.analysis.sizing import (
    BUILD,
    LATENCY,
    at_size,
    bytes_text,
    digits,
    growth,
    growths,
    outgrown,
    seconds_text,
    sizing_table,
)
from bench.results.rows import timed, two_stage
from tests.parts import with_parts


def test_made_rows_give_back_their_powers(frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.37}, build=1.21)
    found = growth(made)
    assert found["faiss-hnsw"].power == pytest.approx(0.37)
    assert found["faiss-hnsw"].sizes == (100, 200, 600)
    assert found["faiss-hnsw"].error == pytest.approx(0, abs=1e-9)
    assert found["faiss-hnsw"].at(2.0, 600, 6_000) == pytest.approx(2 * 10**0.37)
    assert growth(made, BUILD)["faiss-hnsw"].power == pytest.approx(1.21)


def test_the_residual_is_that_of_the_largest_size_foretold_by_the_others(frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.4})
    largest = (made["n_corpus"] == 600) & made["latency_ms_p50"].notna()
    made.loc[largest, "latency_ms_p50"] *= 2
    found = growth(made)["faiss-hnsw"]
    assert found.error == pytest.approx(np.log(2))
    assert found.basis == (
        "fitted from 100 to 600 documents, where the largest is 100% off what the others foretell"
    )
    two = growth(made[made["n_corpus"] != 100])["faiss-hnsw"]
    assert two.power == pytest.approx(0.4 + np.log(2) / np.log(3))
    assert two.error == pytest.approx(0, abs=1e-9)
    assert "which leaves 0%" in two.basis


@pytest.mark.parametrize("power", [0.5, 1.4])
def test_exhaustive_search_grows_like_the_corpus_and_nothing_shrinks(frame, power):
    rows = frame.assign(bandwidth_fraction=np.nan)
    made = with_parts(rows, latency={"faiss-hnsw": -0.2, "faiss-flat": power}, build=1.2)
    found = growth(made)
    assert found["faiss-flat"].power == 1
    assert found["faiss-hnsw"].power == 0
    # From 200 to 600 documents the scan took 3 ** power times as long; with the power 1 it is 3.
    assert found["faiss-flat"].error == pytest.approx(abs(power - 1) * np.log(3))
    assert growth(made, BUILD)["faiss-flat"].power == pytest.approx(1.2)


def test_a_scan_that_outgrows_a_cache_takes_as_long_as_memory_does(frame):
    rows = timed(frame).assign(bandwidth_fraction=2.5, dim=64, component_bits=32)
    n, scans = rows["n_corpus"].iloc[0], rows["backend"] == "faiss-flat"
    assert scans.any()
    assert not scans.all()
    fits = 32 * 2**20 / 256
    for documents, times in ((n, 1.0), (fits, 1.0), (2 * fits, 1.75), (1e4 * fits, 2.5)):
        found = outgrown(rows, documents)
        np.testing.assert_allclose(found, np.where(scans, times, 1.0), rtol=1e-3)
    slow = rows.assign(bandwidth_fraction=[None if i % 2 else 0.3 for i in range(len(rows))])
    assert (outgrown(slow, 2 * fits) == 1).all()
    grown = growths(frame)
    there = [at_size(each, 2 * fits, grown) for each in (rows, slow)]
    own = (rows[LATENCY] - rows["rescore_ms_p50"].fillna(0)) * (2 * fits / n)
    np.testing.assert_allclose((there[0][LATENCY] - there[1][LATENCY])[scans], 0.75 * own[scans])
    row = rows[scans].iloc[0]
    assert sizing(row, 2 * fits, grown, load_prices()).latency_ms_p50 == pytest.approx(
        there[0].loc[row.name, LATENCY]
    )


def test_without_parts_the_power_is_assumed_even_of_a_backend_that_is_not_here(frame):
    rows = timed(frame)
    stranger = rows[rows["backend"] == "faiss-hnsw"].assign(backend="my-index")
    found = growth(pd.concat([frame, stranger]))
    assert {own.basis for own in found.values()} == {"assumed"}
    assert found["my-index"].power == found["faiss-hnsw"].power
    assert found["faiss-flat"].power == 1 > found["faiss-hnsw"].power


def test_figures_at_another_size_follow_the_powers_and_a_rescore_takes_as_long(frame):
    made = with_parts(frame, latency={"faiss-hnsw": 0.37, "faiss-flat": 1.0}, build=1.1)
    rows = timed(frame).assign(encode_ms_p50=0.2, bandwidth_fraction=np.nan)
    rows["end_to_end_ms_p50"] = 0.2 + rows["latency_ms_p50"]
    found = at_size(rows, 60_000, growths(made))
    power = rows["backend"].map({"faiss-hnsw": 0.37, "faiss-flat": 1.0})
    rescored = rows["rescore_ms_p50"].fillna(0)
    expected = (rows[LATENCY] - rescored) * 100**power + rescored
    np.testing.assert_allclose(found[LATENCY], expected)
    assert two_stage(rows).any()
    np.testing.assert_allclose(found["end_to_end_ms_p50"], 0.2 + expected)
    np.testing.assert_allclose(found[BUILD], rows[BUILD] * 100**1.1)
    np.testing.assert_array_equal(found["bytes_per_vector"], rows["bytes_per_vector"])
    np.testing.assert_allclose(found["index_bytes"], rows["index_bytes"] * 100.0)
    single = ~two_stage(rows)
    np.testing.assert_allclose(found["qps"][single], (rows["qps"] / 100**power)[single])
    assert found["speedup_vs_exact"].isna().all()
    assert (found["n_corpus"] == 60_000).all()


def test_bytes_are_fitted_over_dimensions(frame):
    rows = timed(frame).assign(build_params="")
    rows = rows[(rows["backend"] == "faiss-flat") & ~two_stage(rows)]
    code = rows["dim"] * rows["component_bits"] / 8
    off = np.where(rows["dim"] == 4, 3.0, 0.0)
    table = sizing_table(rows.assign(bytes_per_vector=1.5 * code + 10)).set_index("precision")
    assert table.loc["float32", "bytes_per_code_byte"] == pytest.approx(1.5)
    assert table.loc["float32", "bytes_beyond"] == pytest.approx(10)
    assert table.loc["float32", "bytes_error"] == pytest.approx(0, abs=1e-9)
    assert table.loc["float32", "latency_sizes"] == "assumed"
    missed = sizing_table(rows.assign(bytes_per_vector=1.5 * code + 10 + off))
    assert (missed["bytes_error"] > 0.1).all()


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (bytes_text, 900, "900 bytes"),
        (bytes_text, 20_480_000_000, "19.1 GiB"),
        (bytes_text, 5000 * 2**40, "5,000 TiB"),
        (seconds_text, 0.0123, "0.012 s"),
        (seconds_text, 89, "89 s"),
        (seconds_text, 120, "2 minutes"),
        (seconds_text, 7200, "2 hours"),
        (seconds_text, 10 * 86_400, "10 days"),
        (digits, 0.15512, "0.155"),
        (digits, 2120.44, "2,120"),
    ],
)
def test_figures_in_words(text, value, words):
    assert text(value) == words
