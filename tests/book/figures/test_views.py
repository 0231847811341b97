"""Figures of views: pictures in their place, shares and scores as given, menus that switch what they name."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from figures import views as figures
from PIL import Image


def picture_of(figure):
    """The sheet of a figure as (H, W, 4)."""
    data = base64.b64decode(figure.layout.images[0].source.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_grid_puts_every_picture_in_its_row_group_and_column():
    """One bright picture among dark ones is found where row, group and column say, and nowhere else."""
    side = 24
    pictures = np.zeros((2, 3, 2, 3, side, side), np.uint8)
    pictures[1, 2, 0] = 200
    before = pictures.copy()
    figure = figures.view_grid(pictures, ["crop", "blur"], ["DMSO", "a", "b"])
    sheet = picture_of(figure)
    row_px, group_px = side + figures.STRIP_PX, 2 * side + figures.GAP_PX
    assert sheet.shape[:2] == (figures.STRIP_PX + 2 * row_px, 3 * group_px - figures.GAP_PX)
    middle = {
        (r, g, k): sheet[
            2 * figures.STRIP_PX + r * row_px + side // 2, g * group_px + k * side + side // 2, :3
        ].max()
        for r, g, k in np.ndindex(2, 3, 2)
    }
    assert [place for place, value in middle.items() if value > 100] == [(1, 2, 0)]
    np.testing.assert_array_equal(pictures, before)
    text = [annotation.text for annotation in figure.layout.annotations]
    assert {"crop", "blur", "<b>DMSO</b>", "32 px"} <= set(text) and "tubulin" in " ".join(text)


def test_grid_wants_a_title_for_every_row_and_group():
    with pytest.raises(ValueError, match="3 rows, 1 groups"):
        figures.view_grid(np.zeros((2, 1, 1, 3, 8, 8), np.uint8), ["a", "b", "c"], ["x"])


@pytest.fixture
def shares():
    return pd.DataFrame(
        [(v, n, s) for v, s0 in (("none", 0.9), ("all", 0.04)) for n in ("three", "six") for s in (s0, s0 + 0.02)],
        columns=["views", "numbers", "share"],
    )


def test_matches_draw_every_batch_and_the_mean(shares):
    figure = figures.view_matches(shares, chance=0.01)
    points, label, mean = figure.data[:3]
    np.testing.assert_allclose(points.x, [90, 92, 4, 6])
    np.testing.assert_allclose(mean.x, [91, 5])
    assert [text.strip() for text in label.text] == ["91", "5.0"]
    np.testing.assert_allclose(label.x, [90, 6], err_msg="beside the points")
    assert list(mean.customdata[:, 1]) == ["91", "5"], "times chance"
    ticks = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert ticks["none"] > ticks["all"], "the first setting is on top"
    rows = np.array([ticks["none"], ticks["none"], ticks["all"], ticks["all"]])
    assert (np.abs(np.array(points.y) - rows) < 0.5).all(), "beside the tick of its row"
    assert figure.layout.shapes[0].x0 == pytest.approx(1), "chance, in per cent"


def test_agreement_shows_the_table():
    table = pd.DataFrame([[1.0, -0.1], [0.5, 0.2]], index=["none", "crop"], columns=["area", "DNA, mean"])
    figure = figures.view_agreement(table)
    np.testing.assert_array_equal(figure.data[0].z, table)
    assert list(figure.data[0].x) == ["area", "DNA, mean"] and figure.layout.yaxis.autorange == "reversed"
