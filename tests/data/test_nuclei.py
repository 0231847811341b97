"""Nuclei: found where they are, whatever the magnification, and not where they are not."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.draw import disk, ellipse
from skimage.io import imread
from skimage.measure import regionprops

from cellclr_lib.data import find_nuclei, segment_nuclei


def field_of(places, radius, shape=(300, 320), noise=3, seed=0):
    """Bright discs of one radius on a noisy background, uint16."""
    image = np.full(shape, 100.0)
    for centre in places:
        image[disk(centre, radius, shape=shape)] = 900
    return np.random.default_rng(seed).normal(image, noise).clip(0).astype(np.uint16)


@pytest.mark.parametrize("radius", [5, 9, 16, 30])
def test_finds_discs_of_any_size(radius):
    places = [(row, column) for row in (60, 150, 240) for column in (50, 160, 270)]
    found = find_nuclei(field_of(places, radius))
    assert found.shape == (9, 2)
    assert cdist(found, places).min(axis=1).max() < 0.5


def test_parts_touching_nuclei():
    image = np.full((120, 160), 50, np.uint16)
    for column in (50, 82, 114):
        image[ellipse(60, column, 14, 17)] = 800  # 34 px wide, 32 px apart: they overlap
    found = find_nuclei(image)
    np.testing.assert_allclose(found[np.argsort(found[:, 1])], [(60, 50), (60, 82), (60, 114)], atol=2)


def test_border_nuclei_count():
    assert len(find_nuclei(field_of([(0, 100), (150, 319), (150, 150)], 14))) == 3


def test_independent_of_offset_and_gain():
    image = field_of([(80, 80), (200, 220)], 14)
    np.testing.assert_allclose(find_nuclei(image * 16 + 2000), find_nuclei(image), atol=0.01)


def test_nothing_in_noise_or_in_a_flat_image():
    noise = np.random.default_rng(0).poisson(200, (256, 256)).astype(np.uint16)
    for image in (noise, np.full((64, 64), 7, np.uint8), np.zeros((10, 10), np.uint16)):
        assert find_nuclei(image).shape == (0, 2)


def test_labels_count_from_one():
    labels = segment_nuclei(field_of([(80, 80), (200, 220)], 14))
    assert set(np.unique(labels)) == {0, 1, 2} and labels.shape == (300, 320)


@pytest.mark.parametrize("bad", [np.zeros((3, 5, 5), np.uint16), np.zeros((5, 5))])
def test_refuses_what_is_no_image(bad):
    with pytest.raises(ValueError, match="uint8 or uint16"):
        find_nuclei(bad)


@pytest.mark.real
@pytest.mark.slow
def test_against_masks_drawn_by_hand(real_dsb2018):
    """F1 of centres on the half of the images on which no constant was chosen (odd positions)."""
    hits = found_in_all = true_in_all = 0
    for path in sorted((real_dsb2018 / "images").glob("*.png"))[1::2]:
        nuclei = regionprops(imread(real_dsb2018 / "labels" / path.name))
        truth = np.array([nucleus.centroid for nucleus in nuclei])
        found = find_nuclei(imread(path))
        limit = np.median([nucleus.equivalent_diameter_area for nucleus in nuclei]) / 2
        distance = cdist(found, truth)
        pairs = linear_sum_assignment(np.where(distance <= limit, distance, 1e6))
        hits += (distance[pairs] <= limit).sum()
        found_in_all, true_in_all = found_in_all + len(found), true_in_all + len(truth)
    assert 2 * hits / (found_in_all + true_in_all) >= 0.90


@pytest.mark.real
def test_a_known_nucleus_of_the_real_screen(real_screen):
    fields = real_screen.fields.query("plate == 'Week2_24381' and well == 'B02' and site == 2")
    found = find_nuclei(real_screen.load_field(fields.iloc[0])[0])
    assert np.hypot(*(found - (603, 1165)).T).min() < 6
