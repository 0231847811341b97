"""Comparing two sets of crops: against one crop at a time, sums written out, and values known in advance."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from cellclr_lib.data import domain_gap
from cellclr_lib.data.central_nucleus import find_nucleus


def noise(n=6, side=20, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 4000, (n, channels, side, side)).astype(np.uint16)


def disc(side, radius, row=None, column=None):
    """Mask of a disc; in the middle if no place is given."""
    middle = (side - 1) / 2
    rows, columns = np.indices((side, side))
    return (
        np.hypot(rows - (middle if row is None else row), columns - (middle if column is None else column))
        <= radius
    )


def test_quantiles_are_those_of_all_pixels_of_a_channel():
    images = noise()
    found = domain_gap.intensity_quantiles(images, (0.0, 0.3, 0.5, 1.0))
    assert found.shape == (3, 4)
    for channel in range(3):
        values = np.sort(images[:, channel].ravel())
        place = 0.3 * (len(values) - 1)
        between = values[int(place)] + (place % 1) * (float(values[int(place) + 1]) - values[int(place)])
        np.testing.assert_allclose(found[channel], [values[0], between, np.median(values), values[-1]])


@pytest.mark.parametrize("radius", [8, 12, 16])
def test_size_and_brightness_of_a_disc_are_known(radius):
    images = np.full((2, 2, 68, 68), 100, np.uint16)
    images[:, 1, disc(68, radius)] = 900
    images[1, 1, disc(68, 6, row=8, column=8)] = 900  # another nucleus is neither measured nor background
    found = domain_gap.nuclei(images[:1], channel=1)
    # The outline is taken on a picture smoothed over 3 px: it may reach half a pixel further.
    assert abs(found["diameter_px"][0] - 2 * radius) < 1.5
    assert found["diameter_px"][0] == pytest.approx(2 * np.sqrt(found["area_px"][0] / np.pi))
    assert 600 < found["intensity"][0] <= 800
    beside = domain_gap.nuclei(images[1:], channel=1)
    assert beside["area_px"][0] == found["area_px"][0] and beside["intensity"][0] == found["intensity"][0]


def test_brightness_of_a_nucleus_written_out():
    images = np.random.default_rng(0).poisson(100, (1, 1, 68, 68))
    images[0, 0, disc(68, 14)] += 400
    (nucleus,), (others,) = find_nucleus(images[:, 0].astype(np.float32))
    values, rest = images[0, 0][nucleus], images[0, 0][~nucleus & (others == 0)]
    found = domain_gap.nuclei(images)
    assert found["area_px"][0] == len(values)
    assert found["intensity"][0] == pytest.approx(sum(values) / len(values) - np.median(rest))


def test_a_brighter_stain_changes_the_brightness_and_not_the_size():
    images = np.full((1, 1, 68, 68), 40, np.uint16)
    images[0, 0, disc(68, 14)] = 200
    once, twice = domain_gap.nuclei(images), domain_gap.nuclei(2 * images)
    assert once["area_px"][0] == twice["area_px"][0]
    assert twice["intensity"][0] == 2 * once["intensity"][0]


def test_a_blank_crop_has_no_nucleus():
    found = domain_gap.nuclei(np.zeros((2, 3, 68, 68), np.uint16))
    assert (found["area_px"] == 0).all() and found[["diameter_px", "intensity"]].isna().all(axis=None)


def slow_spectrum(image):
    """The spectrum of one channel of one crop, every Fourier coefficient as a sum over pixels."""
    side = len(image)
    fade = np.array([0.5 - 0.5 * np.cos(2 * np.pi * i / side) for i in range(side)])
    window = fade[:, None] * fade[None]
    x = (image - (image * window).sum() / window.sum()) * window
    rows, columns = np.indices(image.shape)
    rings = {}
    for v in range(side):
        for u in range(side):
            wave = np.exp(-2j * np.pi * (v * rows + u * columns) / side)
            fv, fu = (k if k <= side / 2 else k - side for k in (v, u))
            rings.setdefault(round(float(np.hypot(fv, fu))), []).append(abs((x * wave).sum()) ** 2)
    mean = sum(map(sum, rings.values())) / (side**2 - 1)
    return [np.mean(rings[k]) / mean for k in range(1, side // 2 + 1)]


@pytest.mark.parametrize("side", [8, 11])
def test_spectrum_is_the_sum_written_out(side):
    images = noise(3, side, 2)
    frequency, power = domain_gap.power_spectrum(images)
    np.testing.assert_allclose(frequency, np.arange(1, side // 2 + 1) / side)
    for channel in range(2):
        slow = np.mean([slow_spectrum(image[channel].astype(float)) for image in images], axis=0)
        np.testing.assert_allclose(power[channel], slow, rtol=1e-9)


def test_spectrum_of_a_wave_lies_at_its_frequency():
    """A Hann window spreads a wave over three coefficients along it, 1/4, 1, 1/4 in power, and as many across."""
    side, k = 64, 10
    wave = 1000 + 300 * np.cos(2 * np.pi * k * np.arange(side) / side)
    images = np.broadcast_to(wave, (1, 1, side, side))
    frequency, power = domain_gap.power_spectrum(images)
    assert frequency[power[0].argmax()] == k / side
    whole = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(whole[:, None], whole))
    members = np.array([(ring == i).sum() for i in (k - 1, k, k + 1)])
    share = power[0, 8:11] * members / (side**2 - 1)
    assert share.sum() == pytest.approx(1, abs=1e-9)
    assert share[1] == pytest.approx(4 / 6, abs=0.01) and share[0] == pytest.approx(1 / 6, abs=0.01)


def test_white_noise_has_a_power_of_one_and_blur_takes_the_fine_detail():
    images = np.random.default_rng(0).normal(1000, 50, (200, 1, 32, 32))
    _, white = domain_gap.power_spectrum(images)
    np.testing.assert_allclose(white[0, 1:], 1, atol=0.05)
    assert 0.5 < white[0, 0] < 1  # beside frequency 0, of which nothing is left
    blurred = images + np.roll(images, 1, 2) + np.roll(images, 1, 3) + np.roll(images, (1, 1), (2, 3))
    _, power = domain_gap.power_spectrum(blurred)
    assert power[0, 0] > 2 and power[0, -1] < 0.7


def test_spectrum_knows_neither_gain_nor_offset():
    images = noise().astype(float)
    np.testing.assert_allclose(
        domain_gap.power_spectrum(images)[1], domain_gap.power_spectrum(7.5 * images + 300)[1], rtol=1e-9
    )


def test_a_blank_crop_adds_no_power():
    images = noise(2).astype(float)
    with_blank = np.concatenate([images, np.full_like(images, 33.3)])
    np.testing.assert_allclose(domain_gap.power_spectrum(with_blank)[1], domain_gap.power_spectrum(images)[1] / 2)


@pytest.mark.parametrize("shape", [(2, 3, 20, 24), (2, 3, 3, 3)])
def test_spectrum_of_other_than_squares_is_refused(shape):
    with pytest.raises(ValueError, match=f"{shape[2]} x {shape[3]} px"):
        domain_gap.power_spectrum(np.ones(shape))


def test_pixel_correlations_crop_by_crop():
    images = noise(300)  # more than one chunk
    found = domain_gap.pixel_correlations(images)
    assert found.shape == (300, 3)
    for i in (0, 255, 256, 299):
        slow = np.corrcoef(images[i].reshape(3, -1))
        np.testing.assert_allclose(found[i], [slow[0, 1], slow[0, 2], slow[1, 2]], atol=1e-12)


def test_pixel_correlations_known_in_advance():
    images = noise(2, channels=4).astype(float)
    images[:, 1], images[:, 2], images[:, 3] = 2 * images[:, 0] + 5, -images[:, 0], 7
    found = domain_gap.pixel_correlations(images)
    np.testing.assert_allclose(found[:, [0, 1, 3]], np.tile([1, -1, -1], (2, 1)))
    assert np.isnan(found[:, [2, 4, 5]]).all()


def test_total_correlations_leave_the_plate_out():
    """Cells equally bright in both stains; a plate with another gain in one of them changes nothing."""
    generator = np.random.default_rng(0)
    light = np.exp(generator.normal(6, 0.3, 400))
    images = np.ones((400, 3, 4, 4)) * light[:, None, None, None]
    images[:, 2] = np.exp(generator.normal(6, 0.3, 400))[:, None, None]
    plates = np.repeat(["a", "b"], 200)
    images[200:, 1] *= 9
    found = domain_gap.total_correlations(images, plates)
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert abs(found[1]) < 0.15 and abs(found[2]) < 0.15
    slow = np.log(images.mean((2, 3)) + 1)
    slow[:200] -= slow[:200].mean(0)
    slow[200:] -= slow[200:].mean(0)
    np.testing.assert_allclose(found, np.corrcoef(slow.T)[[0, 0, 1], [1, 2, 2]])


@pytest.fixture
def two_sets():
    """Two sets of cells on the same ten plates that differ by 1.5 deviations in the second of four features."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 500, 4))
    second[:, 1] += 1.5
    plates = np.resize(np.arange(10), 500)
    return first, second, plates


def test_a_shift_is_told_as_well_as_theory_allows(two_sets):
    """Normal features that differ by d: AUC Φ(d/√2) = 0.856, accuracy Φ(d/2) = 0.773."""
    first, second, plates = two_sets
    auc, accuracy, weights = domain_gap.classify_sets(first, second, plates, plates)
    assert auc == pytest.approx(0.856, abs=0.03) and accuracy == pytest.approx(0.773, abs=0.03)
    assert weights.argmax() == 1 and np.abs(np.delete(weights, 1)).max() < 0.3
    alone = mannwhitneyu(second[:, 1], first[:, 1]).statistic / 500**2
    assert auc == pytest.approx(alone, abs=0.01)


def test_equal_sets_are_not_told_apart(two_sets):
    first, _, plates = two_sets
    auc, accuracy, _ = domain_gap.classify_sets(first[:250], first[250:], plates[:250], plates[250:])
    assert abs(auc - 0.5) < 0.08 and abs(accuracy - 0.5) < 0.08


def test_what_is_peculiar_to_a_plate_does_not_help():
    """Each plate holds cells of one set and has a feature of its own: known plates tell all, new ones nothing."""
    plates = np.repeat(np.arange(20), 30)
    feats = (plates[:, None] == np.arange(20)) * 5.0 + np.random.default_rng(0).normal(size=(600, 20))
    first = plates % 2 == 0
    auc, _, _ = domain_gap.classify_sets(feats[first], feats[~first], plates[first], plates[~first])
    assert auc < 0.65


@pytest.mark.parametrize(
    "measure",
    [
        domain_gap.intensity_quantiles,
        domain_gap.nuclei,
        domain_gap.power_spectrum,
        domain_gap.pixel_correlations,
        lambda images: domain_gap.total_correlations(images, []),
    ],
)
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (3, 8, 8)])
def test_what_is_no_set_of_crops_is_refused(measure, shape):
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\)"):
        measure(np.zeros(shape))


def test_nothing_is_changed_in_place():
    images = noise().astype(float)
    before, plates = images.copy(), pd.Series(["a"] * 6)
    domain_gap.nuclei(images), domain_gap.power_spectrum(images), domain_gap.pixel_correlations(images)
    domain_gap.total_correlations(images, plates)
    np.testing.assert_array_equal(images, before)
