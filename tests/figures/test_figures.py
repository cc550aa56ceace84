"""Figures draw what the table says, each backend in one colour."""

import re
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from bench import registry
from bench.analysis.palette import BACKENDS
from bench.analysis.tables import dimension_table, stored, subset_band, truncation
from bench.backends import backends
from bench.errors import NothingToShow, UsageError
from bench.figures import draw_all, figures, ranks, save_all
from bench.figures._style import backend_look, reducer_look
from bench.projection import dimension_needed, project_folder
from bench.reducers import reducers
from bench.results.rows import loads, timed, two_stage
from tests.parts import with_parts

STRANGERS = ("my-index", "your-index")


@pytest.fixture
def frame(frame):
    """The measured trials, with rows as of a server under load, so that every figure has data."""
    one = timed(frame).iloc[0]
    loads = [
        {**one, "clients": n, "qps": 900.0 * n, "latency_ms_p99": 0.5 * n, "trial_id": f"load-{n}"}
        for n in (2, 4)
    ]
    return pd.concat([frame, pd.DataFrame(loads)], ignore_index=True)


def with_backends(frame, *names):
    """Return the frame with the trials of faiss-flat repeated as those of other backends."""
    own = frame[frame["backend"] == "faiss-flat"]
    return pd.concat([frame, *(own.assign(backend=name) for name in names)], ignore_index=True)


def shown(figure):
    """Return the panels of a figure."""
    return [a for a in figure.axes if a.axison and a.get_label() != "<colorbar>"]


def words(figure):
    """Return the texts of a figure, without the numbers of its axes."""
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    return [text for text in texts if text.get_text().strip()]


def looks_of(drawn, names):
    """Return the colours and markers drawn for each of `names`, by the first word of the label."""
    found = {name: set() for name in names}
    for figure in drawn.values():
        for axes in shown(figure):
            for line in axes.lines:
                name = str(line.get_label()).split()[0].rstrip(",")
                if name in found:
                    found[name].add((mpl.colors.to_hex(line.get_color()), line.get_marker()))
    return found


def test_every_axis_has_a_label(frame):
    for figure in draw_all(frame).values():
        for axes in shown(figure):
            assert axes.get_xlabel()
            assert axes.get_ylabel() or axes.get_yticklabels()


def test_every_figure_has_a_place_and_a_plain_caption(frame, measured):
    grown = with_parts(frame)
    drawn = draw_all(
        grown, projected=project_folder(measured, grown), queries=ranks(measured, grown)
    )
    # That of encoders needs two of them: tests/figures/test_encoders.py.
    assert list(drawn) == [name for name in figures() if name != "encoders"]
    for module in figures().values():
        for sentence in re.split(r"(?<=[.:]) ", module.CAPTION):
            assert len(sentence.split()) <= 25, sentence


def test_figures_of_other_sizes_show_what_was_projected_solid_within_the_corpus(frame, measured):
    projected = project_folder(measured, frame)
    drawn = draw_all(frame, projected=projected)
    lines = drawn["quality_vs_documents"].axes[0].lines
    own = projected[(projected["reducer"] == "truncate") & (projected["refused"] == "")]
    for dim, part in own.groupby("dim"):
        (line,) = [line for line in lines if line.get_label() == f"{dim} d"]
        assert line.get_linestyle() == "-"
        np.testing.assert_array_equal(line.get_xdata(), [100, 300, 600])
        np.testing.assert_array_equal(line.get_ydata(), part["quality"])
    needed = dimension_needed(projected).query("reducer == 'truncate'")
    (line,) = [
        line
        for line in drawn["dimension_vs_documents"].axes[0].lines
        if line.get_label() == "truncation"
    ]
    np.testing.assert_array_equal(line.get_ydata(), needed["dim"])
    assert "quality_vs_documents" not in draw_all(frame)


def test_smaller_parts_of_a_corpus_have_no_panels_but_show_how_an_index_grows(frame):
    grown = with_parts(frame, latency={"faiss-hnsw": 0.3, "faiss-flat": 1.0})
    plainly, drawn = draw_all(frame), draw_all(grown)
    assert set(drawn) - set(plainly) == {"crossover"}
    for name, figure in plainly.items():
        assert len(shown(drawn[name])) == len(shown(figure)), name


def test_the_crossover_shows_the_fastest_good_search_and_where_it_begins_to_win(frame):
    grown = with_parts(frame, latency={"faiss-hnsw": 0.3, "faiss-flat": 1.0})
    scan = (grown["backend"] == "faiss-flat") & (grown["stages"] == "")
    grown.loc[scan, "latency_ms_p50"] = 1e-3 * grown["n_corpus"]
    index = grown["backend"] == "faiss-hnsw"
    grown.loc[index, "latency_ms_p50"] = 0.04 * grown["n_corpus"] ** 0.3
    grown.loc[index, "ann_recall_at_10"] = 1.0
    drawn = draw_all(grown)["crossover"]
    panels = shown(drawn)
    assert [axes.get_title().split()[0] for axes in panels] == ["4", "8", "16", "32"]
    for axes in panels:
        lines = {line.get_label(): line for line in axes.lines}
        sizes = np.array([100, 200, 600])
        np.testing.assert_array_equal(lines["faiss-hnsw"].get_xdata(), sizes)
        np.testing.assert_allclose(lines["faiss-hnsw"].get_ydata(), 0.04 * sizes**0.3)
        ring = next(line for line in axes.lines if line.get_markersize() > 10)
        np.testing.assert_allclose(ring.get_xdata(), [40 ** (1 / 0.7)])
        assert "190" in [text.get_text() for text in axes.texts]
    few = grown.assign(ann_recall_at_10=grown["ann_recall_at_10"].where(~index, 0.5))
    with pytest.raises(NothingToShow, match="corpus_sizes"):
        figures()["crossover"].draw(few)


def test_the_cost_is_that_of_memory_disk_and_processors_at_the_example_prices(frame):
    grown = with_parts(frame, latency={"faiss-hnsw": 0.3, "faiss-flat": 1.0})
    (axes,) = shown(draw_all(grown)["cost_vs_documents"])
    (line,) = [line for line in axes.lines if line.get_label().startswith("faiss-flat 32 d (")]
    rows = timed(frame).query("backend == 'faiss-flat' and dim == 32 and precision == 'float32'")
    (row,) = [row for _, row in rows.iterrows() if not row["stages"] and row["clients"] == 1]
    documents = np.asarray(line.get_xdata(), dtype=float)
    memory = 3.5 * documents * row["bytes_per_vector"] / 2**30
    busy = 10 * row["latency_ms_p50"] / 1e3 * documents / 600
    np.testing.assert_allclose(line.get_ydata(), memory + busy / 0.5 * 0.04 * 730)
    assert documents[0] == 100
    assert documents[-1] == 1e8
    assert len(axes.lines) == 5 + 1  # and the size measured


def test_figures_show_the_values_of_the_table(frame):
    drawn = draw_all(frame)
    kept = drawn["precision_heatmap"].axes[0].images[0].get_array()
    table = stored(frame).query("variant == 'truncate'")
    assert kept.shape == (table["precision"].nunique(), table["dim"].nunique())
    np.testing.assert_allclose(kept[0], table.query("precision == 'float32'")["retained"])
    line = drawn["quality_vs_dimension"].axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), truncation(dimension_table(frame))["quality"])
    load = drawn["load"].axes[0].lines[0]
    np.testing.assert_allclose(
        load.get_ydata(), loads(frame).sort_values("clients")["latency_ms_p99"]
    )
    points = drawn["quality_vs_latency"].axes[0].lines
    seen = sorted(x for line in points if line.get_linestyle() == "None" for x in line.get_xdata())
    np.testing.assert_allclose(seen, sorted(timed(frame)["latency_ms_p50"]))


def test_the_stacked_losses_add_up_to_the_total(frame):
    axes = draw_all(frame)["loss"].axes[0]
    widths: dict[float, float] = {}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        widths[place] = widths.get(place, 0) + bar.get_width()
    totals = dict(zip(axes.lines[0].get_ydata(), axes.lines[0].get_xdata(), strict=True))
    assert widths == pytest.approx(totals)
    rows = timed(frame)
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == full_dim")[
        "ndcg_at_10"
    ].item()
    total = rows["loss_dimension"] + rows["loss_precision"] + rows["loss_search"]
    np.testing.assert_allclose(total, full - rows["ndcg_at_10"], atol=1e-12)


def test_a_backend_has_one_look_in_every_figure_of_every_study(frame):
    names = {*frame["backend"], "annoy", "hnswlib", *STRANGERS} - {"exact"}
    studies = [
        frame,
        with_backends(frame, "annoy", *STRANGERS),
        with_backends(frame, STRANGERS[1], "hnswlib")[lambda f: f["backend"] != "faiss-hnsw"],
    ]
    found = [looks_of(draw_all(study), names) for study in studies]
    everywhere = {name: set().union(*(each[name] for each in found)) for name in names}
    assert {name: len(looks) for name, looks in everywhere.items()} == dict.fromkeys(names, 1)
    assert len(set.union(*everywhere.values())) == len(names)


def test_a_reducer_has_one_look_in_every_figure(frame):
    drawn = draw_all(frame)
    for name in ("pca", "random subset"):
        looks = {
            (line.get_color(), line.get_marker(), line.get_linestyle(), line.get_fillstyle())
            for figure in drawn.values()
            for axes in shown(figure)
            for line in axes.lines
            if str(line.get_label()).split(",")[0] == name
        }
        assert len(looks) == 1


def test_looks_differ_between_names_and_between_variants():
    known = [tuple(backend_look(name).values()) for name in BACKENDS]
    assert len(set(known)) == len(known)
    assert not set(known) & {tuple(backend_look(name).values()) for name in STRANGERS}
    ours = {name for name, cls in backends().items() if cls.__module__.startswith("bench.")}
    assert len({tuple(backend_look(name).values()) for name in ours}) == len(ours)
    assert len({reducer_look(name)["color"] for name in reducers()}) == len(reducers())
    plain, whitened = reducer_look("pca"), reducer_look("pca whiten")
    assert plain["color"] == whitened["color"]
    assert plain["linestyle"] != whitened["linestyle"]


@pytest.mark.parametrize("width", [6.4, 12.0])
def test_text_is_readable_at_every_width(frame, width):
    for figure in draw_all(with_backends(frame, *BACKENDS[:12]), width).values():
        assert figure.get_figwidth() == width
        sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()]
        assert min(sizes) * 96 / 72 >= 11


def test_nothing_is_drawn_beyond_the_edge_or_over_the_legend(frame):
    for name, figure in draw_all(with_backends(frame, *BACKENDS[:12])).items():
        figure.draw_without_rendering()
        edge = figure.bbox.padded(2)
        for text in words(figure):
            box = text.get_window_extent()
            inside = edge.contains(box.x0, box.y0) and edge.contains(box.x1, box.y1)
            assert inside, (name, text.get_text())
        for legend in figure.legends:
            below = legend.get_window_extent()
            assert all(not below.overlaps(axes.get_window_extent()) for axes in shown(figure))


@pytest.mark.parametrize("letters", range(40, 76, 3))
def test_a_title_of_any_length_stays_within_the_figure(frame, letters):
    draw = figures()["quality_vs_bytes"].draw
    figure = draw(frame.assign(dataset=f"vectors:/{'folder/' * 12}"[:letters]))
    figure.draw_without_rendering()
    edge = figure.bbox.padded(2)
    for axes in shown(figure):
        box = axes.title.get_window_extent()
        assert edge.x0 <= box.x0 < box.x1 <= edge.x1


def test_a_panel_of_a_single_line_is_not_drawn(frame):
    float32 = frame[frame["precision"] == "float32"]
    truncated = frame[frame["reducer"] == "truncate"]
    for study, texts in ((frame, 2), (float32, 1), (truncated, 1)):
        panels = shown(figures()["quality_vs_bytes"].draw(study))
        assert len(panels) == texts
        assert all(len(axes.lines) > 1 for axes in panels)
    with pytest.raises(NothingToShow):
        figures()["quality_vs_bytes"].draw(float32[float32["reducer"] == "truncate"])
    several = frame[(frame["backend"] == "exact") | two_stage(frame)]
    assert [axes.get_title() for axes in shown(figures()["stages"].draw(several))] == [
        "time of the later stages"
    ]


@pytest.mark.slow
def test_files_are_the_same_for_the_same_table(frame, measured, tmp_path):
    grown = with_parts(frame)
    projected = project_folder(measured, grown)
    one, two = (
        save_all(
            grown,
            tmp_path / name,
            projected=projected,
            queries=ranks(measured, grown),
            formats=("png", "svg", "pdf"),
        )
        for name in "ab"
    )
    assert {path.stem for path in one} == set(figures()) - {"encoders"}, "which takes several"
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, two, strict=True))


def test_several_datasets_are_panels_and_synthetic_says_so(frame):
    both = pd.concat(
        [frame, frame.assign(dataset="synthetic:n=5", synthetic=True, ndcg_at_10=np.nan)],
        ignore_index=True,
    )
    axes = draw_all(both)["quality_vs_dimension"].axes
    assert len([a for a in axes if a.axison]) == 2
    assert "speed and scale only" in axes[1].get_title()
    assert "fidelity" in axes[1].get_ylabel()


def test_nothing_measured_is_said(frame):
    with pytest.raises(NothingToShow, match="nothing to draw"):
        draw_all(frame.assign(status="failed"))


def test_a_figure_of_another_package_comes_last_and_its_errors_are_seen(frame, monkeypatch):
    def absent(_):
        raise NothingToShow("no such rows")

    def broken(_):
        raise UsageError("bad input")

    theirs = {"b_map": SimpleNamespace(draw=absent), "a_map": SimpleNamespace(draw=absent)}
    monkeypatch.setattr(registry, "plugged_in", lambda family: theirs)
    assert list(figures())[-2:] == ["a_map", "b_map"]
    assert not set(theirs) & set(draw_all(frame))
    theirs["a_map"].draw = broken
    with pytest.raises(UsageError, match="bad input"):
        draw_all(frame)


def test_bm25_and_the_band_of_random_subsets_stand_beside_truncation(frame):
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == 32")
    words = full.assign(trial_id="words", backend="bm25", dim=0, ndcg_at_10=0.77)
    both = pd.concat([frame, words], ignore_index=True)
    axes = draw_all(both)["quality_vs_dimension"].axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines["BM25"].get_ydata()) == {0.77}
    band = subset_band(both)
    (drawn,) = [part for part in axes.collections if "random subsets" in part.get_label()]
    heights = drawn.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(band["low"].min())
    assert heights.max() == pytest.approx(band["high"].max())


def test_datasets_stand_side_by_side_at_each_dimension(frame):
    large = frame.assign(dataset="large", trial_id=frame["trial_id"] + "-large")
    drawn = figures()["recall_vs_qps"].draw(pd.concat([frame, large], ignore_index=True))
    titles = [axis.get_title() for axis in drawn.axes if axis.get_title()]
    dims = [int(re.search(r"(\d+) dimensions", title)[1]) for title in titles]
    assert dims == sorted([4, 8, 16, 32] * 2)
    assert ["large" in title for title in titles] == [False, True] * 4


def test_a_crowded_panel_draws_points_as_pixels_and_fronts_of_lines(frame, monkeypatch):
    few = draw_all(frame)
    assert not any(line.get_rasterized() for line in few["quality_vs_latency"].axes[0].lines)
    monkeypatch.setattr("bench.figures.quality_vs_latency.MOST_SHAPES", 3)
    monkeypatch.setattr("bench.figures.recall_vs_qps.MOST_SHAPES", 3)
    monkeypatch.setattr("bench.figures._by_dimension.MOST_LINES", 1)
    many = draw_all(frame)
    points = many["quality_vs_latency"].axes[0]
    assert [bool(line.get_rasterized()) for line in points.lines] == [
        line.get_label() != "Pareto front" for line in points.lines
    ]
    rows = timed(frame)
    rows = rows[(rows["reducer"] == "truncate") & ~two_stage(rows)]
    for axis in many["recall_vs_qps"].axes:
        dim, said = axis.get_title().split("\n")
        part = rows[rows["dim"] == int(dim.split()[0])]
        assert said == f"fronts of {len(part):,} points"
        best = part.loc[part["ann_recall_at_10"].idxmax()]
        tops = [line.get_ydata().max() for line in axis.lines]
        assert max(tops) == best["ann_recall_at_10"]
        for line in axis.lines:
            assert (np.diff(line.get_ydata()) <= 0).all()  # ever faster, ever worse
    monkeypatch.setattr("bench.figures.recall_vs_qps.MOST_PANELS", 3)
    cut = figures()["recall_vs_qps"].draw(frame)
    titles = [axis.get_title() for axis in cut.axes if axis.get_title()]
    assert [title.split()[0] for title in titles] == ["4", "16", "32"]  # of 4, 8, 16 and 32
    assert all("one of 3 shown of 4; fronts of" in title for title in titles)
    labels = [text.get_text().replace("\n", " ") for text in words(many["build_vs_dimension"])]
    assert "faiss-hnsw (median over builds)" in labels
