"""Figures: right shapes and numbers in, marks out, colours that everybody can tell apart."""

import itertools

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figures import evaluation as evaluation_figures
from figures import fields_to_cells as fields_to_cells_figures
from skimage.color import deltaE_ciede2000, rgb2lab

from cellclr_lib import plots
from cellclr_lib.plots import style

# Machado, Oliveira & Fernandes 2009, severity 1: what people without one kind of cone see (linear RGB).
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour, matrix):
    seen = np.clip(matrix @ linear(colour), 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)[None, None])[0, 0]


def contrast(first, second):
    bright, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (first, second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
def test_mechanisms_can_be_told_apart(sight):
    """The closest two colours are clearly different for every kind of sight, and markers differ in shape."""
    seen = {moa: lab(colour, SIGHT[sight]) for moa, colour in style.MOA_COLOURS.items()}
    close = [pair for pair in itertools.combinations(seen, 2) if deltaE_ciede2000(*map(seen.get, pair)) < 12]
    assert not close
    assert len(set(style.MOA_SYMBOLS.values())) == len(style.MOA_COLOURS) == 13


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
def test_lines_and_outlines_are_readable_on_both_themes(background):
    assert contrast(style.NEUTRAL, background) > 3
    assert all(contrast(colour, background) > 1.4 for colour in style.MOA_COLOURS.values())


def test_unknown_mechanisms_are_grey():
    assert plots.moa_colour("") == plots.moa_colour("something new") == plots.moa_colour("DMSO")


@pytest.fixture
def cells():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (30, 3, 24, 24), dtype=np.uint8)
    table = pd.DataFrame({
        "plate": np.repeat(["Week1_1", "Week2_1", "Week10_1"], 10),
        "batch": np.repeat(["Week1", "Week2", "Week10"], 10),
        "well": ["B02", "C03"] * 15, "moa": np.tile(["DMSO", "Eg5 inhibitors", ""], 10),
        "compound": "x", "concentration_um": 1.0,
    })  # fmt: skip
    return images, table


def test_composite_is_black_where_dark_and_the_stain_s_colour_where_bright():
    images = np.zeros((1, 3, 10, 10), np.uint8)
    images[0, 1, :5] = 200
    merged = plots.composite(images, percentiles=(0, 100))
    assert merged.shape == (1, 10, 10, 3) and merged.dtype == np.uint8
    assert tuple(merged[0, 0, 0]) == plots.compositing.CHANNEL_COLOURS["tubulin"]
    assert not merged[0, 9].any()
    with pytest.raises(ValueError, match="expected"):
        plots.composite(images[:, :2])


def test_sheet_lays_tiles_row_by_row():
    tiles = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    sheet = plots.compositing.sheet(tiles, columns=2)
    assert sheet.shape == (6, 6, 3)
    assert [sheet[2 * (i // 2), 3 * (i % 2), 0] for i in range(6)] == [0, 1, 2, 3, 4, 0]


def test_pictures_carry_scale_key_and_proportions(cells):
    images, table = cells
    figures = [
        plots.montage(images, table["moa"], columns=3),
        plots.pairs(images[:4], images[4:8], ("query", "neighbour")),
        plots.field(
            np.concatenate([images[0]] * 8, axis=-1), pd.DataFrame({"x_px": [10.0], "y_px": [12.0]}),
            pd.DataFrame({"x_px": [1.0], "y_px": [2.0], "reason": ["border"]}), crop_px=8,
        ),
    ]  # fmt: skip
    for figure in figures:
        text = " ".join(a.text for a in figure.layout.annotations)
        assert " px" in text and all(channel in text for channel in ("dna", "tubulin", "actin"))
        assert figure.layout.images[0].source.startswith("data:image/webp")
        assert figure.layout.meta["aspect"] > 0


def test_montage_draws_the_same_cells_for_the_same_seed(cells):
    images, table = cells
    sources = [plots.montage(images, table["moa"], columns=2, seed=s).layout.images[0].source for s in (0, 0, 1)]
    assert sources[0] == sources[1] != sources[2]


def test_embedding_map_offers_every_colouring_and_one_tile_per_cell(cells):
    images, table = cells
    xy = np.random.default_rng(1).normal(size=(30, 2))
    figure = plots.embedding_map(xy, table, images)
    shown = [trace for trace in figure.data if trace.visible]
    assert [trace.name for trace in shown] == ["DMSO", "not annotated", "Eg5 inhibitors"]
    assert sorted(np.concatenate([t.customdata[:, 0] for t in shown])) == list(range(30))
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["colour: mechanism", "colour: week", "colour: plate"]
    weeks = [t.name for t, on in zip(figure.data, buttons[1].args[0]["visible"], strict=True) if on]
    assert weeks == ["Week1", "Week2", "Week10"]
    assert figure.layout.meta["thumbnails"]["source"].startswith("data:image/webp")
    with pytest.raises(ValueError, match="29"):
        plots.embedding_map(xy[:29], table)


def test_plate_map_puts_wells_where_they_are(cells):
    figure = plots.plate_map(cells[1])
    first = figure.data[0]
    assert np.asarray(first.z)[1, 1] == 5 and np.asarray(first.z)[2, 2] == 5
    assert np.nansum(first.z) == 10
    assert [trace.visible for trace in figure.data] == [True, False, False]


@pytest.fixture
def scores():
    rows = []
    for method, seeds in (("handcrafted", 1), ("simclr", 2)):
        for post in ("none", "tvn"):
            for seed in range(seeds):
                row = {"method": method, "post": post, "seed": seed, "nsc_total": 103, "nscb_total": 92}
                for metric, value in (("nsc", 0.8), ("nscb", 0.6), ("drop", 0.2)):
                    value += 0.02 * seed
                    row |= {metric: value, f"{metric}_low": value - 0.1, f"{metric}_high": value + 0.1}
                rows.append(row)
    return pd.DataFrame(rows)


def test_leaders_name_every_entry_that_ties():
    values = pd.Series({"a": 1.0, "b": 3.0, "c": np.nan})
    assert plots.leaders(values) == "b"
    assert plots.leaders(values, spell=str.upper, lowest=True) == "A"
    assert plots.leaders(pd.Series(1, list("ab"))) == "a and b"
    assert plots.leaders(pd.Series(1, list("abc"))) == "a, b and c"
    assert plots.leaders(pd.Series(1, list("abcd"))) == "all 4 alike"
    assert plots.leaders(pd.Series([1, 1, 1, 1, 0])) == "4 of the 5 alike"
    assert plots.leaders(pd.Series([np.nan])) == plots.leaders(pd.Series(dtype=float)) == "none"


def test_a_note_says_why_there_is_nothing_to_draw():
    figure = plots.note("no wrong neighbour: every treatment is right")
    assert [a.text for a in figure.layout.annotations] == ["no wrong neighbour: every treatment is right"]
    assert [shape.type for shape in figure.layout.shapes] == ["rect"]  # a figure without any mark counts as blank


def test_score_table_states_denominators_and_means_over_seeds(scores):
    table = plots.score_table(scores)
    assert list(table["features"]) == ["handcrafted"] * 2 + ["SimCLR"] * 2
    assert list(table["seeds"]) == [1, 1, 2, 2]
    assert list(table.columns[3:5]) == ["NSC of 103, % [95 % interval]", "NSCB of 92, % [95 % interval]"]
    assert table.iloc[2, 3] == "81.0 [71.0, 91.0]"


def test_score_figures_draw_what_the_table_says(scores):
    slope = evaluation_figures.score_slope(scores)
    assert [trace.name for trace in slope.data][2] == "SimCLR, raw"
    np.testing.assert_allclose(slope.data[2].y, [81, 61])
    np.testing.assert_allclose(slope.data[2].error_y.array, [10, 10])
    intervals = plots.score_intervals(scores, {"nsc": 0.06, "nscb": 0.06})
    assert len(intervals.data[1].x) == len(scores)


def test_confusion_and_errors_agree_with_the_neighbours():
    neighbours = pd.DataFrame({
        "compound": ["a", "b", "c"], "concentration_um": [1, 2, 3.5], "moa": ["x", "x", "y"],
        "neighbour_compound": ["b", "c", "a"], "neighbour_concentration_um": [2, 3.5, 1],
        "neighbour_moa": ["x", "y", "x"], "similarity": [0.9, 0.5, 0.7],
    })  # fmt: skip
    counts = pd.crosstab(neighbours["moa"], neighbours["neighbour_moa"])
    np.testing.assert_allclose(plots.confusion(counts).data[0].z, [[0.5, 0.5], [1, 0]])
    errors = evaluation_figures.error_table(neighbours)
    assert list(errors["query"]) == ["c 3.5 µM", "b 2 µM"]
    assert list(errors["cosine"]) == ["0.700", "0.500"]


def test_admissible_neighbours_forbid_compound_and_week():
    meta = pd.DataFrame({
        "compound": ["a", "a", "b", "c"], "concentration_um": [1.0, 2, 1, 1], "moa": "x",
        "batch": [("Week1",), ("Week1",), ("Week1", "Week2"), ("Week3",)],
    })  # fmt: skip
    state = evaluation_figures.admissible_neighbours(meta).data[0].z
    np.testing.assert_array_equal(state, [[2, 2, 1, 0], [2, 2, 1, 0], [1, 1, 2, 0], [0, 0, 0, 2]])


def test_training_curves_skip_what_the_history_lacks():
    history = pd.DataFrame({"epoch": [1, 2], "loss": [5.0, 4.0], "top1": [0.1, 0.2], "retrieval": [np.nan, 0.3]})
    figure = plots.training_curves(history, {"loss": {"guessing": 6.2}})
    assert [trace.name for trace in figure.data] == ["loss", "top1", "retrieval"]
    assert list(figure.data[2].x) == [2]


def test_remaining_figures_are_drawn():
    quantiles = pd.DataFrame({"stage": "before", "channel": ["dna", "tubulin", "actin"], "plate": "p",
                              "low": 1, "median": 2, "high": 3})  # fmt: skip
    for figure in (
        fields_to_cells_figures.rejections(pd.Series({"kept": 90, "border": 10})),
        evaluation_figures.data_ladder({"cells": 1000, "wells": 10}),
        fields_to_cells_figures.intensity_scaling(quantiles),
    ):
        assert isinstance(figure, go.Figure) and len(figure.data)


def test_illumination_shows_mean_light_and_their_ratio():
    typical = np.stack([np.full((4, 6), 1.2), np.full((4, 6), 0.9)])
    light = np.full((2, 4, 6), 1.2)
    figure = fields_to_cells_figures.illumination(typical, light, ("dna", "actin"))
    shown = [float(np.asarray(trace.z).mean()) for trace in figure.data]
    assert shown == pytest.approx([20, 20, 0, -10, 20, -25])
