"""Figures of chapter 7: what is drawn is what was given, and what cannot be drawn is refused."""

import numpy as np
import pandas as pd
import pytest
from figures import postprocessing as figures

from cellclr_lib import plots


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_features_that_vary_together_lie_side_by_side(generator):
    blocks = np.array([0, 1, 0, 1, 2, 0, 2, 1])
    causes = generator.normal(size=(500, 3))
    rows = causes[:, blocks] * np.array([1, -1, 1, 1, 1, -1, 1, 1]) + 0.1 * generator.normal(size=(500, 8))
    order = figures.by_similarity(np.cov(rows.T))
    assert sorted(order) == list(range(8))
    assert (np.diff(blocks[order]) != 0).sum() == 2


def test_order_bears_a_feature_that_never_varies():
    assert sorted(figures.by_similarity(np.diag([1.0, 0.0, 2.0]))) == [0, 1, 2]


def test_covariances_are_drawn_in_steps_of_a_hundredth_and_clipped():
    matrix = np.array([[2.0, -0.254], [-0.254, 0.5]])
    before = matrix.copy()
    figure = figures.control_covariances({"a": matrix, "b": -matrix}, limit=1.0)
    np.testing.assert_array_equal(figure.data[0].z, [[100, -25], [-25, 50]])
    np.testing.assert_array_equal(figure.data[1].z, [[-100, 25], [25, -50]])
    assert [note.text for note in figure.layout.annotations] == ["a", "b"]
    np.testing.assert_array_equal(matrix, before)


def test_spectrum_shows_what_whitening_leaves():
    dmso = np.array([9.0, 1.0, 0.0])
    figure = figures.control_spectrum(dmso, np.array([10.0, 5.0, 1.0]), 1.0, [0.5, 1.0])
    traces = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(traces["λ = 1"].y, [0.9, 0.5, 0])
    np.testing.assert_allclose(traces["λ = 0.5"].y, [9 / 9.5, 1 / 1.5, 0])
    np.testing.assert_allclose(traces["treated wells"].y, [10, 5, 1])
    assert (np.asarray(traces["DMSO wells"].y) > 0).all()  # the axis is logarithmic
    assert figure.layout.shapes[0].y0 == 1.0


def test_every_control_is_on_every_map_in_the_colour_of_its_week(generator):
    weeks = ["Week10", "Week2", "Week2", "Week1"]
    maps = {"raw": generator.normal(size=(4, 2)), "TVN": generator.normal(size=(4, 2))}
    figure = figures.control_maps(maps, weeks, list("abcd"))
    assert [t.name for t in figure.data if t.showlegend] == ["Week1", "Week2", "Week10"]
    second = [t for t in figure.data if t.name == "Week2"]
    np.testing.assert_allclose(second[1].x, maps["TVN"][1:3, 0], rtol=1e-6)
    assert list(second[0].text) == ["b", "c"]
    assert second[0].marker.color == second[1].marker.color
    assert len({(t.marker.color, t.marker.symbol) for t in figure.data}) == 3


def test_a_map_of_other_wells_is_refused():
    with pytest.raises(ValueError, match=r"'raw' has shape \(3, 2\); expected \(4, 2\)"):
        figures.control_maps({"raw": np.zeros((3, 2))}, ["Week1"] * 4, ["x"] * 4)


def test_week_told_draws_points_and_their_mean():
    table = pd.DataFrame({"post": ["z"] * 2 + ["TVN"] * 2, "wells": "fit", "told": [0.4, 0.6, 0.1, 0.1]})
    table = pd.concat([table, table.assign(wells="other", told=[0.5, 0.5, 0.2, 0.4])])
    figure = figures.week_accuracy(table, 0.1)
    mean = {trace.name: trace for trace in figure.data if "seed" not in trace.name}
    np.testing.assert_allclose(mean["fit"].x, [50, 10])
    np.testing.assert_allclose(mean["other"].x, [50, 30])
    np.testing.assert_allclose(figure.data[1].x, [40, 60, 10, 10])
    assert list(figure.layout.yaxis.ticktext) == ["z", "TVN"]
    assert figure.data[0].y[0] > figure.data[0].y[1]  # the first row on top
    assert figure.layout.shapes[0].x0 == pytest.approx(10)


COLOURS = {"NSC": "#111111", "NSCB": "#222222"}


def path_table():
    rows = [
        {"panel": panel, "x": x, "series": series, "score": 0.5 + i / 10, "low": 0.4, "high": 0.9}
        for panel in ("a", "b")
        for series in COLOURS
        for i, x in enumerate((0.01, 1.0, np.inf))
    ]
    return pd.DataFrame(rows)


def test_infinity_lies_beyond_the_largest_number():
    figure = plots.score_path(path_table(), "λ", COLOURS)
    line = next(t for t in figure.data if t.name == "NSC")
    np.testing.assert_allclose(line.x, [0.01, 1, 10])
    np.testing.assert_allclose(line.y, [50, 60, 70])
    assert list(line.text) == ["0.01", "1", "∞"]
    assert list(figure.layout.xaxis.ticktext) == ["10<sup>-2</sup>", "1", "∞"]
    assert list(figure.layout.xaxis.tickvals) == [0.01, 1, 10]
    bands = [t for t in figure.data if t.fill == "toself"]
    assert len(bands) == 4
    np.testing.assert_allclose(bands[0].y, [90, 90, 90, 40, 40, 40])


def test_repeated_fits_are_points_on_a_line_of_means():
    table = pd.DataFrame({"panel": "p", "series": "NSC", "x": [5, 5, 50], "score": [0.2, 0.4, 0.9]})
    before = table.copy()
    figure = plots.score_path(table, "wells", COLOURS, marks={"p": (7, "features")})
    points, line = (next(t for t in figure.data if t.mode == mode) for mode in ("markers", "lines+markers"))
    np.testing.assert_allclose(points.y, [20, 40, 90])
    np.testing.assert_allclose(line.y, [30, 90])
    assert figure.layout.shapes[0].x0 == 7
    (label,) = [note for note in figure.layout.annotations if note.text == "features"]
    assert label.x == pytest.approx(np.log10(7))  # or the axis would run to 10⁷
    pd.testing.assert_frame_equal(table, before)


def test_gains_are_paired_by_seed():
    rows = [
        {"method": "simclr", "seed": seed, "post": post, "nsc": nsc, "nscb": nscb}
        for seed, post, nsc, nscb in [
            (0, "none", 0.5, 0.4), (1, "none", 0.7, 0.6), (0, "tvn", 0.6, 0.4), (1, "tvn", 0.6, 0.65),
        ]
    ]  # fmt: skip
    scores = pd.DataFrame(rows)
    for metric in ("nsc", "nscb", "drop"):
        for end in ("", "_low", "_high", "_total"):
            scores[metric + end] = scores.get(metric + end, 0.0)
    figure = figures.post_gains(scores)
    np.testing.assert_allclose(figure.data[0].x, [0], atol=1e-9)
    np.testing.assert_allclose(figure.data[1].x, [10, -10])
    np.testing.assert_allclose(figure.data[3].x, [0, 5], atol=1e-9)
    assert list(figure.layout.yaxis.ticktext) == ["SimCLR, TVN"]


def test_sketch_keeps_wells_apart_by_kind(generator):
    dmso, treated, kind = generator.normal(size=(9, 2)), generator.normal(size=(6, 2)), np.array([-1, 1] * 3)
    figure = figures.whitening_sketch({"raw": (dmso, treated, kind), "white": (2 * dmso, 2 * treated, kind)})
    first = {trace.name: trace for trace in figure.data[:3]}
    np.testing.assert_array_equal(first["DMSO"].y, dmso[:, 1])
    np.testing.assert_array_equal(first["mechanism B"].x, treated[kind == 1, 0])
    assert figure.layout.yaxis2.scaleanchor == "x2"  # one scale for both features
