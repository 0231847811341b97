"""Compute principal components of the crops themselves. Explained in chapter 6, *evaluation*."""

import numpy as np
from sklearn.decomposition import PCA

from cellclr_lib.baselines.images import check_images

VERSION = 1  # raise it when the same cells and seed give other features


def pixel_pca_features(
    images: np.ndarray, *, n_components: int = 50, seed: int = 0, side_px: int = 16, fit_on: int = 10_000
) -> np.ndarray:
    """Compute the principal components of the crops themselves, made smaller.

    Parameters
    ----------
    images : (N, C, H, W) uint8, uint16 or float array
    n_components : int
        At most N and the number of small pixels.
    seed : int
        Draws the crops to fit on.
    side_px : int
        Crops are averaged over squares to about this side.
    fit_on : int
        Largest number of crops the components are found on.

    Returns
    -------
    (N, n_components) float32 array

    Examples
    --------
    >>> crops = np.random.default_rng(0).integers(0, 255, (20, 3, 32, 32), dtype=np.uint8)
    >>> pixel_pca_features(crops, n_components=4).shape
    (20, 4)
    """
    check_images(images)
    step = max(1, round(min(images.shape[2:]) / side_px))
    small = np.concatenate([_shrunk(images[i : i + 1024], step) for i in range(0, len(images), 1024)])
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(small))[:fit_on])
    pca = PCA(min(n_components, *small[chosen].shape), svd_solver="covariance_eigh")
    components: np.ndarray = pca.fit(small[chosen]).transform(small).astype(np.float32)
    return components


def _shrunk(images: np.ndarray, step: int) -> np.ndarray:
    """Average `step` × `step` squares to (N, pixels) float32; a remainder at the border is cut off."""
    n, channels, height, width = images.shape
    rows, columns = height // step, width // step
    squares = images[:, :, : rows * step, : columns * step].reshape(n, channels, rows, step, columns, step)
    return squares.mean(axis=(3, 5), dtype=np.float32).reshape(n, -1)
