"""Figures of the contrastive loss: they hold the numbers that they were given."""

import numpy as np
import pandas as pd
import pytest
from figures import contrastive_loss as figures

from cellclr_lib import plots


def test_similarity_matrices_keep_cells_in_order_and_share_one_scale():
    generator = np.random.default_rng(0)
    squares = {name: generator.uniform(-0.4, 1, (4, 4)) for name in ("untrained", "trained")}
    moas = ["DMSO", "DMSO", "Epithelial", "DNA damage"]
    figure = figures.similarity_matrices(squares, moas, ["same name"] * 4)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    for trace, square in zip(maps, squares.values(), strict=True):
        np.testing.assert_allclose(trace.z, square, rtol=1e-6)
        assert len(set(trace.x)) == 4 and list(trace.x) == list(trace.y)  # equal names stay four categories
    assert [a.text for a in figure.layout.annotations] == ["untrained", "trained"]
    assert figure.layout.coloraxis.cmin == min(square.min() for square in squares.values())
    strips = [shape for shape in figure.layout.shapes if shape.xref == "x" and shape.y1 - shape.y0 >= 1]
    assert [(s.y0, s.y1, s.fillcolor) for s in strips] == [
        (-0.5, 1.5, plots.moa_colour("DMSO")),
        (1.5, 2.5, plots.moa_colour("Epithelial")),
        (2.5, 3.5, plots.moa_colour("DNA damage")),
    ]
    assert [t.name for t in figure.data if t.type == "scatter"] == ["DMSO", "Epithelial", "DNA damage"]


def test_similarity_matrices_refuse_a_matrix_of_other_cells():
    with pytest.raises(ValueError, match=r"'trained' has shape \(3, 3\), expected \(4, 4\)"):
        figures.similarity_matrices({"trained": np.eye(3)}, ["DMSO"] * 4)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_push_weights_are_the_softmax_hardest_first(order):
    cosines, temperature = np.array([0.9, 0.4, -0.2])[order], 0.5
    share = np.exp(np.array([0.9, 0.4, -0.2]) / temperature)
    share = 100 * share / share.sum()
    points, line = figures.push_weights(cosines, [temperature]).data
    np.testing.assert_allclose(points.x, [0.9, 0.4, -0.2])
    np.testing.assert_allclose(points.y, share)
    np.testing.assert_allclose(line.x, [1, 2, 3])
    np.testing.assert_allclose(line.y, share.cumsum())
    assert points.name == line.name == "T = 0.5"


def test_push_weights_stay_finite_where_the_exponential_overflows():
    figure = figures.push_weights(np.array([1.0, 0.5]), [0.0001])
    assert np.isfinite(np.concatenate([trace.y for trace in figure.data])).all()
    assert figure.data[0].y[0] == pytest.approx(100)


def test_push_weights_take_no_more_temperatures_than_there_are_colours():
    with pytest.raises(ValueError, match="shorter"):
        figures.push_weights(np.array([1.0, 0.5]), [0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.fixture
def rows_of_cells():
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 3, 16, 16), dtype=np.uint8)
    captions = [["query", "60 %", "40 %"], ["query", "70 %", "30 %"]]
    moas = [["DMSO", "Epithelial", ""], ["DNA damage", "DNA damage", "DMSO"]]
    return images, captions, moas


def test_hardest_negatives_frame_the_marked_and_name_all(rows_of_cells):
    images, captions, moas = rows_of_cells
    marked = [[False, False, False], [False, True, False]]
    figure = figures.hardest_negatives(images, captions, moas, marked, [["a", "b", "c"], ["d", "e", "f"]])
    (frame,) = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    hover = figure.data[-1]
    assert list(hover.text) == ["a", "b", "c", "d", "e", "f"]
    inside = [
        text
        for text, x, y in zip(hover.text, hover.x, hover.y, strict=True)
        if frame.x0 < x < frame.x1 and frame.y0 < y < frame.y1
    ]
    assert inside == ["e"]
    above = [a.text for a in figure.layout.annotations if a.text.startswith('<span style="color:#')]
    assert [text.split("</span> ")[1] for text in above] == [c for row in captions for c in row]
    flat = [moa for row in moas for moa in row]
    assert [plots.moa_colour(moa) in text for moa, text in zip(flat, above, strict=True)] == [True] * 6
    text = " ".join(a.text for a in figure.layout.annotations)
    assert "32 px" in text and all(channel in text for channel in ("dna", "tubulin", "actin"))


def test_hardest_negatives_do_not_change_their_input(rows_of_cells):
    images, captions, moas = rows_of_cells
    before = images.copy()
    figures.hardest_negatives(images, captions, moas, np.zeros((2, 3), bool))
    np.testing.assert_array_equal(images, before)


def test_push_enrichment_draws_ratio_and_range_in_order_of_temperature():
    table = pd.DataFrame({
        "who": ["week", "week", "treatment"], "temperature": [0.5, 0.1, 0.1],
        "ratio": [1.2, 2.0, 7.0], "low": [1.1, 1.5, 4.0], "high": [1.5, 3.0, 9.0],
    })  # fmt: skip
    week, treatment = figures.push_enrichment(table).data
    assert (week.name, treatment.name) == ("week", "treatment")
    np.testing.assert_allclose(week.x, [0.1, 0.5])
    np.testing.assert_allclose(week.y, [2.0, 1.2])
    np.testing.assert_allclose(week.error_y.array, [1.0, 0.3])
    np.testing.assert_allclose(week.error_y.arrayminus, [0.5, 0.1])


def test_notes_on_logarithmic_axes_stand_at_their_line():
    table = pd.DataFrame({"who": ["a"], "temperature": [1.0], "ratio": [2.0], "low": [2.0], "high": [2.0]})
    figure = figures.push_enrichment(table)
    (line,), (note,) = figure.layout.shapes, figure.layout.annotations
    assert note.text == "chance" and 10**note.y == line.y0 == 1


def test_circle_walk_shows_every_step_of_the_slider():
    steps, pairs = 50, 4
    path = np.linspace(0, 1, steps)[:, None, None] * np.arange(1.0, pairs + 1) + np.zeros((1, 2, 1))
    path[:, 1] += 0.1  # second views
    groups = ["a", "a", "b", "b"]
    figure = figures.circle_walk({0.1: path, 2.0: -path}, groups, frames=6)
    slider = figure.layout.sliders[0]
    labels = [int(step.label) for step in slider.steps]
    assert labels[0] == 0 and labels[-1] == steps - 1 and labels == sorted(set(labels))
    assert slider.active == len(labels) - 1
    moved, traces = slider.steps[-1].args
    assert [figure.data[t].name for t in traces] == ["a", "b", "a", "b"]
    for x, y, trace in zip(moved["x"], moved["y"], traces, strict=True):
        assert (tuple(x), tuple(y)) == (figure.data[trace].x, figure.data[trace].y)  # it starts at the end
    first = moved["x"][0]
    np.testing.assert_allclose(first[:2], np.cos(path[-1, :, 0]), atol=1e-3)
    assert first[2] is None and len(first) == 6
    np.testing.assert_allclose(slider.steps[0].args[0]["y"][3][:2], np.sin(-path[0, :, 2]), atol=1e-3)
