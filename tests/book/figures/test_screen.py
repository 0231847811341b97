"""Dose series, contrasts and fields side by side: the right pixels under the right names."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from figures import screen as figures
from PIL import Image

SIZE = 24


def picture(source):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(int)


def titles(figure):
    return [annotation.text for annotation in figure.layout.annotations]


@pytest.fixture
def cells():
    """Five DMSO cells on the compound's plate, DMSO elsewhere, and two doses whose DNA gets brighter."""
    rows = [("p1", "DMSO", 0.0, "control")] * 5 + [("p2", "DMSO", 0.0, "control")] * 5
    rows += [("p1", "drug", 10.0, "treatment")] * 3 + [("p1", "drug", 0.1, "treatment")] * 2
    rows += [("p1", "drug", 0.1, "positive_control")] * 2
    table = pd.DataFrame(rows, columns=["plate", "compound", "concentration_um", "role"])
    dna = np.repeat([0, 255, 200, 90, 255], [5, 5, 3, 2, 2])
    images = np.zeros((len(table), 3, SIZE, SIZE), np.uint8)
    images[:, 0] = dna[:, None, None]
    return images, table


def test_dose_series_rises_from_dmso_of_the_same_plates(cells):
    images, table = cells
    figure = figures.dose_series(images, table, "drug", cells=3)
    assert [title for title in titles(figure) if "■" not in title and "px" not in title] == ["DMSO", "0.1", "10"]
    menu = figure.layout.updatemenus[0].buttons
    assert [button.label for button in menu] == ["merged", "dna", "tubulin", "actin"]
    grey = picture(menu[1].args[0]["images[0].source"])
    assert grey.shape == (figures.STRIP_PX + 3 * SIZE, 3 * SIZE, 3)
    tiles = grey[figures.STRIP_PX :].reshape(3, SIZE, 3, SIZE, 3)[:, 6:-6, :, 6:-6].mean(axis=(1, 3, 4))
    assert (tiles[:, 0] < 20).all(), "DMSO of another plate is bright and must not be shown"
    assert (tiles[:2, 1] > 80).all() and (tiles[:2, 1] < 190).all() and tiles[2, 1] < 5, "two cells, then nothing"
    assert (tiles[:, 2] > 230).all()


def test_dose_series_draws_by_seed_and_names_unknown_compounds(cells):
    images, table = cells
    noisy = images + np.random.default_rng(0).integers(0, 20, images.shape, dtype=np.uint8)
    sources = [
        figures.dose_series(noisy, table, "drug", cells=2, seed=s).layout.images[0].source for s in (0, 0, 1)
    ]
    assert sources[0] == sources[1] != sources[2]
    with pytest.raises(ValueError, match="no treated cell of 'durg': there are drug"):
        figures.dose_series(images, table, "durg")


@pytest.fixture
def field():
    generator = np.random.default_rng(0)
    image = generator.integers(500, 4000, (3, 40, 50)).astype(np.uint16)
    image[:, 0, 0] = 60000
    return image


def test_contrast_moves_the_white_point_and_leaves_the_values_alone(field):
    before = field.copy()
    figure = figures.contrast(field, whites=(50, 99.7, 100))
    np.testing.assert_array_equal(field, before)
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["50", "99.7", "100"] and slider.active == 1
    assert figure.layout.images[0].source == slider.steps[1].args[0]["images[0].source"]
    brightness = [picture(step.args[0]["images[0].source"]).mean() for step in slider.steps]
    assert brightness[0] > brightness[1] + 20 and brightness[1] > brightness[2] + 20

    bars = figure.layout.shapes[-3:]
    for c, bar in enumerate(bars):
        np.testing.assert_allclose((bar.x0, bar.x1), np.log10(np.percentile(field[c], (1, 99.7))))
    index = len(figure.layout.shapes) - 2  # of the bar of tubulin
    change = slider.steps[2].args[0]
    np.testing.assert_allclose(change[f"shapes[{index}].x1"], np.log10(field[1].max()))
    np.testing.assert_allclose(change[f"shapes[{index}].x0"], bars[1].x0)


def test_contrast_names_every_panel_and_counts_every_pixel(field):
    figure = figures.contrast(field)
    text = titles(figure)
    assert text[:4] == ["dna", "tubulin", "actin", "merged"] and text[4] == "64 px"
    histograms = figure.data[-3:]
    assert [trace.name for trace in histograms] == ["dna", "tubulin", "actin"]
    for trace in histograms:
        assert np.sum(trace.y) == pytest.approx(1)


def test_contrast_of_two_stains_and_of_an_empty_field():
    figure = figures.contrast(np.zeros((2, 30, 30), np.uint16), channels=("dna", "tubulin"))
    assert titles(figure)[:3] == ["dna", "tubulin", "merged"]
    assert picture(figure.layout.images[0].source).max() < 5  # WebP is not exact


def test_fields_side_by_side_share_one_contrast(field):
    dim = field // 4
    figure = figures.beside([field, dim], ["bright", "dim"])
    assert titles(figure)[:2] == ["bright", "dim"]
    both = picture(figure.layout.images[0].source)[figures.STRIP_PX :]
    assert both.shape == (40, 2 * 50 + figures.GAP_PX, 3)
    assert both[:, :50].mean() > 1.5 * both[:, -50:].mean()
    with pytest.raises(ValueError, match="2 images and 1 titles"):
        figures.beside([field, dim], ["bright"])
