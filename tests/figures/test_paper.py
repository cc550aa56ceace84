"""Figures fit a paper's column, its page and slides: sizes, formats, names of lines."""

import struct

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text

from bench.errors import UsageError
from bench.figures import WIDTHS, draw_all, figures, ranks, save_all
from bench.figures._naming import ink, spread
from bench.figures._style import STYLES, panels, styled
from bench.figures._text import inches, wrapped
from bench.projection import project_folder

CASES = [("screen", None), ("paper", WIDTHS["column"]), ("paper", WIDTHS["page"]), ("slides", None)]


def placed(figure):
    """Return the boxes of the texts that a reader reads, in pixels, by text; ticks left out."""
    figure.draw_without_rendering()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    return [(t, Text.get_window_extent(t)) for t in texts if t.get_text().strip()]


@pytest.fixture(scope="module")
def drawn(measured):
    """Figures of the measured folder and the boxes of their texts, by style and width."""
    from bench.results.store import load

    frame = load(measured)
    projected, queries = project_folder(measured, frame), ranks(measured, frame)
    found = {
        (style, width): draw_all(frame, width, None, projected, queries, style)
        for style, width in CASES
    }
    return {
        case: {name: (each, placed(each)) for name, each in drawn.items()}
        for case, drawn in found.items()
    }


@pytest.mark.parametrize(("style", "width"), CASES)
def test_every_text_is_readable_and_within_the_figure(drawn, style, width):
    wide = width or STYLES[style].width
    for name, (figure, boxes) in drawn[style, width].items():
        assert figure.get_figwidth() == pytest.approx(wide), name
        edge = figure.bbox.padded(2)
        for text, box in boxes:
            assert text.get_fontsize() >= STYLES[style].small, name
            inside = edge.contains(box.x0, box.y0) and edge.contains(box.x1, box.y1)
            assert inside, (name, text.get_text())


@pytest.mark.parametrize(("style", "width"), CASES)
def test_names_at_the_ends_of_lines_do_not_overlap(drawn, style, width):
    named = 0
    for name, (figure, boxes) in drawn[style, width].items():
        for axes in figure.axes:
            right = axes.get_window_extent().x1
            own = [box for text, box in boxes if text in axes.texts and box.x0 > right]
            named += len(own)
            for i, one in enumerate(own):
                assert not any(one.overlaps(other) for other in own[:i]), name
    assert named > 5


def test_panels_fold_into_one_column_where_they_would_be_too_narrow(drawn):
    columns = {
        case: drawn[case]["recall_vs_qps"][0].axes[0].get_subplotspec().get_gridspec().ncols
        for case in CASES
    }
    assert columns["paper", WIDTHS["column"]] == 1
    assert columns["paper", WIDTHS["page"]] > 1
    assert columns["screen", None] > 1


def test_a_png_has_the_size_asked_for_and_pdf_and_svg_say_it(frame, tmp_path, monkeypatch):
    chosen = {"quality_vs_dimension": figures()["quality_vs_dimension"]}
    monkeypatch.setattr("bench.figures.figures", lambda: chosen)
    formats = ("png", "svg", "pdf")
    paths = save_all(frame, tmp_path, WIDTHS["column"], style="paper", formats=formats)
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"]
    png, svg, pdf = (path.read_bytes() for path in paths)
    assert struct.unpack(">I", png[16:20])[0] == int(WIDTHS["column"] * STYLES["paper"].dpi)
    assert f'width="{72 * WIDTHS["column"]:g}pt"'.encode() in svg
    assert f"/MediaBox [ 0 0 {72 * WIDTHS['column']:g} ".encode() in pdf
    assert b"/FontFile2" in pdf  # TrueType
    assert b"CreationDate" not in pdf
    again = save_all(frame, tmp_path / "again", WIDTHS["column"], style="paper", formats=formats)
    assert [path.read_bytes() for path in again] == [png, svg, pdf]
    with pytest.raises(UsageError, match="'jpg'"):
        save_all(frame, tmp_path, formats=["jpg"])
    with pytest.raises(UsageError, match="'poster'"):
        draw_all(frame, style="poster")


def test_intervals_are_spread_without_overlap_in_order_and_near_what_is_wanted():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 9))
        wanted, sizes = rng.random(n), rng.uniform(0.02, 0.2, n)
        found = spread(wanted, sizes, 0.0, 1.05)
        if sizes.sum() > 1.05:
            assert found is None
            continue
        order = np.argsort(wanted, kind="stable")
        at, size = np.array(found)[order], sizes[order]
        assert (np.diff(at) >= (size[1:] + size[:-1]) / 2 - 1e-9).all()
        assert at[0] - size[0] / 2 >= -1e-9
        assert at[-1] + size[-1] / 2 <= 1.05 + 1e-9
    assert spread([0.2, 0.8], [0.1, 0.1], 0, 1) == [0.2, 0.8]
    np.testing.assert_allclose(spread([0.5, 0.5], [0.1, 0.1], 0, 1), [0.45, 0.55])
    assert spread([0.5, 0.5], [0.6, 0.6], 0, 1) is None


def test_many_lines_or_long_names_stand_in_a_legend():
    def names(count, letters):
        with mpl.rc_context({"figure.figsize": (8, 8)}), panels(1, at_ends=True) as (figure, axes):
            for i in range(count):
                axes[0].plot([0, 1], [0, i], label=f"{i} " + "word " * letters)
        return len(figure.legends), len(figure.axes[0].texts)

    assert names(4, 1) == (0, 4)
    assert names(8, 1) == (1, 0)
    assert names(4, 40) == (1, 0)


def test_a_line_that_goes_on_is_named_where_it_ends():
    with panels(1, at_ends=True) as (figure, axes):
        axes[0].plot([0, 1], [0, 1], label="a")
        axes[0].plot([1, 2], [1, 0], "--", label="_a")
        axes[0].set_ylim(-1, 1)
    (text,) = figure.axes[0].texts
    assert text.xyann[1] == pytest.approx(0.5)


@pytest.mark.parametrize("colour", ["#fdc627", "#E69F00", "#999999", "#0d0887", "#000000"])
def test_names_are_dark_enough_to_read_on_white(colour):
    rgb = np.array(mpl.colors.to_rgb(ink(colour)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 2.95
    if colour in ("#0d0887", "#000000"):
        assert ink(colour) == colour


def test_a_text_is_wrapped_to_the_room_it_has():
    text = "faiss-flat 64 d adaptor, int4, rescore 20 from disk " + "/a/path/without/any/space" * 3
    for room in (1.0, 2.5):
        lines = wrapped(text, room, 8)
        assert inches(lines, 8) <= room
        assert lines.replace("\n", "").replace(" ", "") == text.replace(" ", "")
    assert wrapped("short", 2, 8) == "short"


def test_a_style_ends_with_its_block():
    with styled("slides"), panels(1) as (figure, _):
        pass
    with panels(1) as (plain, axes):
        assert axes[0].title.get_fontsize() == STYLES["screen"].text
    assert figure.axes[0].title.get_fontsize() == STYLES["slides"].text
    assert plain is not figure
