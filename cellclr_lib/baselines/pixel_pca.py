"""Compute principal components of the crops themselves. Explained in chapter 6, *evaluation*."""

import numpy as np
from sklearn.decomposition import PCA

from cellclr_lib.baselines.images import check_images

VERSION = 1  # raise it when the same cells and seed give other features


def pixel_pca_features(images, n_components=50, seed=0, side_px=16, fit_on=10_000):
    """Principal components of the crops themselves, made smaller.

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
    """
    check_images(images)
    step = max(1, round(min(images.shape[2:]) / side_px))
    small = np.concatenate([_shrunk(images[i : i + 1024], step) for i in range(0, len(images), 1024)])
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(small))[:fit_on])
    pca = PCA(min(n_components, *small[chosen].shape), svd_solver="covariance_eigh")
    return pca.fit(small[chosen]).transform(small).astype(np.float32)


def _shrunk(images, step):
    """Means of `step` × `step` squares, as (N, pixels) float32; a remainder at the border is cut off."""
    n, channels, height, width = images.shape
    rows, columns = height // step, width // step
    squares = images[:, :, : rows * step, : columns * step].reshape(n, channels, rows, step, columns, step)
    return squares.mean(axis=(3, 5), dtype=np.float32).reshape(n, -1)
