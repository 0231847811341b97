"""What a learned representation has to beat: hand-made features, pixels, and an encoder that never learned.

Explained in chapter 6, evaluation.
"""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from cellclr_lib.learning.handmade import crop_features, feature_names

__all__ = ["feature_names", "handmade_features", "pixel_pca", "untrained_encoder"]

_BATCH = 64  # crops measured at a time


def handmade_features(images, channels=None, workers=None, progress=False):
    """Intensity, shape, texture, granularity, radial distribution and correlation of every crop.

    Parameters
    ----------
    images : (N, C, H, W) uint8, uint16 or float array
        May be memory-mapped.
    channels : sequence of C str, optional
        Their names. The one named "dna" shows the nuclei; without names, or none of that name, the first.
    workers : int, optional
        Threads; the work is done outside the interpreter lock. Default: the processors this process may use.
    progress : bool
        Show a bar.

    Returns
    -------
    (N, F) float32 array
        Columns as in ``feature_names(channels)``; the same for any number of workers.

    Raises
    ------
    ValueError
        If `images` is not (N, C, H, W), or there are not C names.
    """
    _check(images)
    channels = list(range(images.shape[1]) if channels is None else channels)
    if len(channels) != images.shape[1]:
        raise ValueError(f"channels are {channels}, but images has {images.shape[1]}; expected one name each")
    nuclei = channels.index("dna") if "dna" in channels else 0
    workers = workers or joblib.cpu_count()
    starts = range(0, len(images), _BATCH)
    out = np.empty((len(images), len(feature_names(channels))), dtype=np.float32)

    def measure(start):
        out[start : start + _BATCH] = crop_features(np.asarray(images[start : start + _BATCH]), nuclei)

    with ThreadPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(measure, starts), total=len(starts), desc="hand-made", disable=not progress):
            pass
    return out


def pixel_pca(images, n_components=50, seed=0, side_px=16, fit_on=10_000):
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
    _check(images)
    step = max(1, round(min(images.shape[2:]) / side_px))
    small = np.concatenate([_shrunk(images[i : i + 1024], step) for i in range(0, len(images), 1024)])
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(small))[:fit_on])
    pca = PCA(min(n_components, *small[chosen].shape), svd_solver="covariance_eigh")
    return pca.fit(small[chosen]).transform(small).astype(np.float32)


def untrained_encoder(images, name="small", seed=0, input_px=None, **options):
    """Features of an encoder with random weights: what architecture alone gives.

    Parameters
    ----------
    images : (N, C, H, W) uint8 or uint16 array
    name : str
        See `cellclr_lib.learning.build_encoder`.
    seed : int
        Of the weights.
    input_px : int, optional
        Larger crops are averaged down to this side.
    **options
        Passed on to `cellclr_lib.learning.embed_images`.

    Returns
    -------
    (N, D) float32 array
    """
    import torch

    from cellclr_lib.learning.embed import embed_images
    from cellclr_lib.learning.model import build_encoder
    from cellclr_lib.learning.pixels import read_shrunk

    _check(images)
    with torch.random.fork_rng(devices=[]):  # leaves the global state as it was
        torch.manual_seed(seed)
        encoder = build_encoder(name, channels=images.shape[1])
    # Channels are brought to mean 0 and deviation 1, as training does, so that only the weights are untrained.
    rows = np.unique(np.linspace(0, len(images) - 1, 1000).astype(int))
    some = read_shrunk(images, torch.from_numpy(rows), input_px)
    encoder.set_statistics(some.mean((0, 2, 3)), some.std((0, 2, 3)))
    return embed_images(encoder, images, input_px, **options)


def _check(images):
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images has the shape {images.shape}; expected (N, C, H, W) with N > 0")


def _shrunk(images, step):
    """Means of `step` × `step` squares, as (N, pixels) float32; a remainder at the border is cut off."""
    n, channels, height, width = images.shape
    rows, columns = height // step, width // step
    squares = images[:, :, : rows * step, : columns * step].reshape(n, channels, rows, step, columns, step)
    return squares.mean(axis=(3, 5), dtype=np.float32).reshape(n, -1)
