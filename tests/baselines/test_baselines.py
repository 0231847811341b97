"""Baselines: order, reproducibility, and what they score on real cells."""

import numpy as np
import pytest

from cellclr_lib.baselines.handcrafted import feature_names, handcrafted_features
from cellclr_lib.baselines.pixel_pca import pixel_pca_features
from cellclr_lib.baselines.untrained import untrained_features


@pytest.fixture(scope="module")
def crops():
    """150 (2, 48, 48) uint8 crops."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 80, (150, 2, 48, 48), dtype=np.uint8)
    images[:, :, 14:34, 14:34] += generator.integers(50, 150, (150, 2, 1, 1), dtype=np.uint8)
    return images


def test_handcrafted_features_keep_the_order_for_any_number_of_workers(crops):
    one = handcrafted_features(crops, workers=1)
    assert one.shape == (150, len(feature_names(("a", "b")))) and one.dtype == np.float32
    np.testing.assert_array_equal(handcrafted_features(crops, workers=3), one)
    order = np.random.default_rng(1).permutation(150)
    np.testing.assert_allclose(handcrafted_features(crops[order]), one[order], rtol=1e-3, atol=1e-4)


def test_the_channel_named_dna_shows_the_nuclei(crops):
    shape = [i for i, name in enumerate(feature_names(("a", "b"))) if "Shape" in name]
    turned = np.ascontiguousarray(crops[:, ::-1])
    np.testing.assert_array_equal(
        handcrafted_features(turned, channels=("actin", "dna"))[:, shape],
        handcrafted_features(crops, channels=("dna", "actin"))[:, shape],
    )
    with pytest.raises(ValueError, match="expected one name each"):
        handcrafted_features(crops, channels=("dna",))


def test_handcrafted_features_read_a_memory_map(crops, tmp_path):
    np.save(tmp_path / "images.npy", crops)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(handcrafted_features(mapped), handcrafted_features(crops))


def test_pixel_pca_is_the_decomposition_of_small_crops(crops):
    feats = pixel_pca_features(crops, n_components=5, side_px=12)
    small = np.array(
        [
            [
                [[channel[r : r + 4, c : c + 4].mean() for c in range(0, 48, 4)] for r in range(0, 48, 4)]
                for channel in crop
            ]
            for crop in crops
        ]
    ).reshape(150, -1)
    centred = small - small.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :5] * singular[:5]
    np.testing.assert_allclose(feats @ feats.T, expected @ expected.T, atol=1e-3 * singular[0] ** 2)


def test_pixel_pca_is_reproducible_and_bounded(crops):
    first = pixel_pca_features(crops, n_components=8, seed=3)
    np.testing.assert_array_equal(first, pixel_pca_features(crops, n_components=8, seed=3))
    assert pixel_pca_features(crops[:7], n_components=50).shape == (7, 7)
    assert pixel_pca_features(crops, n_components=8, fit_on=20).shape == (150, 8)
    odd = crops[:, :, :45, :47]  # a size that does not divide
    assert pixel_pca_features(odd, n_components=8).shape == (150, 8)


def test_untrained_encoder_depends_on_its_seed_alone(crops):
    import torch

    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = untrained_features(crops[:8], seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.shape[0] == 8 and np.isfinite(first).all()
    np.testing.assert_allclose(untrained_features(crops[:8], seed=1), first, rtol=1e-4, atol=1e-5)
    assert not np.allclose(untrained_features(crops[:8], seed=2), first, atol=1e-3)
    brighter = crops[:8].astype(np.uint16) * 50 + 300  # channels are normalised, so gain and offset do not matter
    np.testing.assert_allclose(
        untrained_features(brighter, seed=1, precision="fp32"),
        untrained_features(crops[:8], seed=1, precision="fp32"),
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("baseline", [handcrafted_features, pixel_pca_features, untrained_features])
def test_wrong_shapes_are_refused(baseline, crops):
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\)"):
        baseline(crops[0])
    with pytest.raises(ValueError, match="N > 0"):
        baseline(crops[:0])


@pytest.mark.real
def test_handcrafted_features_on_real_cells(real_bbbc021):
    """Known figure to beat: throwaway features found 43.7 % on these crops, taxol's controls included."""
    import pandas as pd

    from cellclr_lib.annotations import read_annotations
    from cellclr_lib.profiles import ZScore, aggregate_treatments, aggregate_wells, nsc, nscb

    images = np.load(real_bbbc021 / "crops.npz")["images"]
    rows = pd.read_csv(real_bbbc021 / "crops.csv")[["plate", "well"]]
    known = read_annotations(real_bbbc021 / "BBBC021_v1_image.csv", real_bbbc021 / "BBBC021_v1_moa.csv")
    meta = rows.merge(known.drop_duplicates(["plate", "well"]).drop(columns="site"), how="left")
    few = (meta["role"] != "positive_control").to_numpy()
    meta, feats = aggregate_wells(meta[few], handcrafted_features(images[few]))
    profiles = aggregate_treatments(meta, ZScore("all").fit_transform(meta, feats))
    assert nsc(*profiles).total == 103 and nsc(*profiles).correct >= 45
    assert nscb(*profiles).total == 92 and nscb(*profiles).correct >= 35
