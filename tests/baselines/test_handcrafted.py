"""Handcrafted features against scikit-image, NumPy and geometry, one crop at a time."""

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import opening

from cellclr_lib.baselines import measurements
from cellclr_lib.baselines.handcrafted import crop_features, feature_names
from cellclr_lib.data import central_nucleus
from cellclr_lib.data.central_nucleus import find_nucleus

CHANNELS = ("dna", "tubulin", "actin")


def ellipse(side, major, minor, angle=0.0, centre=(0.0, 0.0)):
    row, column = np.indices((side, side)) - (side - 1) / 2
    row, column = row - centre[0], column - centre[1]
    along, across = (column * np.cos(angle) + row * np.sin(angle), row * np.cos(angle) - column * np.sin(angle))
    return (along / major) ** 2 + (across / minor) ** 2 <= 1


@pytest.fixture
def crops():
    """Six noisy (3, 68, 68) uint16 crops with a nucleus of a different shape each."""
    generator = np.random.default_rng(0)
    images = generator.gamma(2, 60, size=(6, 3, 68, 68))
    for i in range(6):
        images[i, :, ellipse(68, 14 + i, 8 + i, angle=i)] += 1500
        images[i, :2, ellipse(68, 5, 5, centre=(-27, 25))] += 900
    return images.astype(np.uint16)


def column(feats, name, channels=CHANNELS):
    return feats[:, feature_names(channels).index(name)]


@pytest.mark.parametrize("side", [41, 68, 96])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_size_channels_and_type(side, channels, dtype):
    images = np.random.default_rng(1).integers(0, 255, (3, channels, side, side)).astype(dtype)
    feats = crop_features(images)
    names = feature_names(range(channels))
    assert feats.shape == (3, len(names)) and len(set(names)) == len(names) and feats.dtype == np.float32
    assert np.isfinite(feats).all()
    np.testing.assert_allclose(crop_features(images.astype(np.float32)), feats, rtol=2e-3, atol=2e-4)


def test_blank_and_saturated_crops_are_finite():
    images = np.stack([np.zeros((3, 68, 68)), np.full((3, 68, 68), 255)]).astype(np.uint8)
    assert np.isfinite(crop_features(images)).all()


def test_a_crop_does_not_depend_on_its_batch(crops):
    together = crop_features(crops)
    for i in range(len(crops)):
        np.testing.assert_allclose(crop_features(crops[i : i + 1])[0], together[i], rtol=1e-3, atol=1e-4)


def test_features_survive_quarter_turns_and_flips(crops):
    crops = crops[:, :, 2:66, 2:66]  # 64 px halve four times without a rest
    feats = crop_features(crops)
    for turned in (crops[..., ::-1], np.rot90(crops, axes=(2, 3))):
        np.testing.assert_allclose(crop_features(np.ascontiguousarray(turned)), feats, rtol=2e-3, atol=2e-3)


def test_nucleus_is_the_filled_object_in_the_middle(crops):
    dna = crops[:, 0].astype(np.float32)
    dna[:, 32:35, 32:35] = 0  # a hole
    nucleus, others = find_nucleus(dna)
    for i in range(len(crops)):
        truth = ellipse(68, 14 + i, 8 + i, angle=i)
        assert (nucleus[i] & truth).sum() / (nucleus[i] | truth).sum() > 0.9
        assert nucleus[i, 33, 33] and others[i, 6, 58] and not (nucleus[i] & (others[i] > 0)).any()


def test_threshold_is_otsus():
    images = np.random.default_rng(2).gamma(2, 50, (5, 40, 40)).astype(np.float32)
    images[:, 10:20, 10:20] += 400
    for image, threshold in zip(images, central_nucleus._otsu(images), strict=True):
        assert float(threshold) == pytest.approx(threshold_otsu(image, nbins=64), abs=float(np.ptp(image)) / 60)


def test_shape_agrees_with_regionprops(crops):
    feats = crop_features(crops)
    nucleus, _ = find_nucleus(crops[:, 0].astype(np.float32))
    for i, mask in enumerate(nucleus):
        (region,) = regionprops(label(mask))
        found = {name: column(feats, f"Nuclei_Shape_{name}")[i] for name in measurements.SHAPE}
        for name, expected, rel in [
            ("area", region.area, 1e-4),
            ("major", region.axis_major_length, 2e-3),
            ("minor", region.axis_minor_length, 4e-3),
            ("perimeter", region.perimeter, 0.1),
            ("width_max", region.feret_diameter_max, 0.05),
        ]:
            assert np.expm1(found[name]) == pytest.approx(expected, rel=rel), name
        assert found["eccentricity"] == pytest.approx(region.eccentricity, abs=1e-3)
        assert found["solidity"] == pytest.approx(region.solidity, abs=0.04)


def test_solidity_tells_a_notch():
    images = np.zeros((2, 1, 68, 68), dtype=np.uint8)
    images[:, 0, 20:48, 20:48] = 200
    images[1, 0, 20:40, 30:38] = 0
    solidity = column(crop_features(images), "Nuclei_Shape_solidity", ("dna",))
    assert solidity[0] == pytest.approx(1, abs=0.05) and solidity[1] < 0.85


def test_texture_is_haralicks(crops):
    feats = crop_features(crops)
    for i, image in enumerate(crops[:, 1].astype(np.float32)):
        low, high = np.sort(image.ravel())[[round(0.01 * (image.size - 1)), round(0.99 * (image.size - 1))]]
        level = np.clip((image - low) * np.float32(16) / (high - low), 0, 15).astype(np.uint8)
        for px in measurements.OFFSETS_PX:
            # graycomatrix measures along the diagonal, so √2 of the way there
            steps = [(px, 0), (px, np.pi / 2), (px * 2**0.5, np.pi / 4), (px * 2**0.5, 3 * np.pi / 4)]
            counts = sum(graycomatrix(level, [d], [a], 16, symmetric=True) for d, a in steps)
            p = counts / counts.sum()
            found = {
                name: column(feats, f"Cells_Texture_{name}_{px}_tubulin")[i]
                for name in ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
            }
            found["contrast"] = np.expm1(found["contrast"])
            entropy = found.pop("entropy")
            for name, value in found.items():
                assert value == pytest.approx(graycoprops(p, name)[0, 0], rel=1e-3), name
            assert entropy == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), rel=1e-3)


def test_granularity_is_what_openings_remove(crops):
    feats = crop_features(crops)
    for i, image in enumerate(crops[:, 2].astype(float)):
        light = np.maximum(image - np.sort(image.ravel())[round(0.01 * (image.size - 1))], 0)
        squares = [np.ones((2 * r + 1, 2 * r + 1)) for r in measurements.OPENINGS_PX]
        left = [light.sum()] + [opening(light, square).sum() for square in squares]
        for k, px in enumerate(measurements.OPENINGS_PX):
            share = (left[k] - left[k + 1]) / left[0]
            assert column(feats, f"Cells_Granularity_{px}_actin")[i] == pytest.approx(share, abs=2e-3)


def test_intensity_and_correlation_by_hand(crops):
    feats = crop_features(crops)
    nucleus, _ = find_nucleus(crops[:, 0].astype(np.float32))
    for i, image in enumerate(crops.astype(float)):
        inside = image[:, nucleus[i]]
        for name, expected in [
            ("Cells_Intensity_mean_actin", image[2].mean()),
            ("Cells_Intensity_q50_dna", np.median(image[0])),
            ("Nuclei_Intensity_mean_tubulin", inside[1].mean()),
            ("Nuclei_Intensity_std_tubulin", inside[1].std()),
        ]:
            assert np.expm1(column(feats, name)[i]) == pytest.approx(expected, rel=5e-3), name
        for name, pixels in [
            ("Cells_Correlation_dna_actin", image.reshape(3, -1)),
            ("Nuclei_Correlation_dna_actin", inside),
        ]:
            assert column(feats, name)[i] == pytest.approx(np.corrcoef(pixels[0], pixels[2])[0, 1], abs=1e-3)


def test_rings_and_zernike_see_where_the_light_is():
    side = 96
    images = np.zeros((3, 1, side, side), dtype=np.uint8)
    images[0, 0, ellipse(side, 12, 12)] = 200  # a disc in the middle
    images[1, 0, ellipse(side, 44, 44) & ~ellipse(side, 36, 36)] = 200  # a ring outside
    images[2, 0, ellipse(side, 40, 12)] = 200  # a bar
    feats = crop_features(images)
    inner, outer = (column(feats, f"Cells_Radial_mean{k}_0", range(1)) for k in (0, 5))
    assert inner[0] > 5 and outer[0] == 0 and outer[1] > 1 and inner[1] == 0
    two_fold = column(feats, "Cells_Zernike_2_2_0", range(1))
    assert two_fold[2] > 10 * max(two_fold[0], two_fold[1])
    basis = measurements.zernike_basis((201, 201))[:, : len(measurements.ZERNIKE)]
    gram = basis.T @ basis  # orthogonal, as Zernike polynomials are
    scale = np.sqrt(np.diag(gram))
    assert np.abs(gram / np.outer(scale, scale) - np.eye(len(scale))).max() < 0.05
