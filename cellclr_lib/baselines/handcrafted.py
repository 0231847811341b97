"""Compute handcrafted features of single-cell crops, as profiling did before it learned features.

The families are CellProfiler's (Carpenter et al. 2006): intensity, shape of the nucleus, texture, granularity,
radial distribution and correlation of stains. All are computed on whole batches of crops at once. Quarter turns
and flips do not change them (but for a row of pixels that `details` loses where a size is odd), and their number
depends on the channels alone, not on the crop size. Explained in chapter 6, evaluation.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from tqdm import tqdm

from cellclr_lib.baselines.images import check_images
from cellclr_lib.baselines.measurements import (
    OFFSETS_PX,
    OPENINGS_PX,
    QUANTILES,
    RINGS,
    SHAPE,
    TEXTURE,
    ZERNIKE,
    correlation,
    details,
    granularity,
    moments,
    nuclear,
    quantiles,
    radial,
    shape,
    slide,
    texture,
    zernike,
)
from cellclr_lib.data.central_nucleus import box_mean, find_nucleus

VERSION = 1  # raise it when the same cells give other features

_BATCH = 64  # crops measured at a time


def feature_names(channels: Sequence[str] = ("dna", "tubulin", "actin")) -> list[str]:
    """Name the columns of `crop_features`, ``Nuclei_`` or ``Cells_`` first as in CellProfiler.

    Examples
    --------
    >>> feature_names(('dna', 'actin'))[0], len(feature_names(('dna', 'actin')))
    ('Nuclei_Shape_area', 155)
    """
    names = [f"Nuclei_Shape_{name}" for name in SHAPE]
    for channel in channels:
        names += [
            f"Cells_Intensity_{name}_{channel}"
            for name in [f"q{100 * q:g}" for q in QUANTILES] + ["mean", "std", "skewness", "kurtosis"]
        ]
        names += [f"Nuclei_Intensity_{name}_{channel}" for name in ("mean", "std", "ratio", "ratio_ring", "share")]
        names += [f"Cells_Radial_{kind}{ring}_{channel}" for kind in ("mean", "cv") for ring in range(RINGS)]
        names += [f"Cells_Zernike_{n}_{m}_{channel}" for n, m in ZERNIKE]
        names += [f"Cells_Texture_{name}_{px}_{channel}" for px in OFFSETS_PX for name in TEXTURE]
        names += [f"Cells_Granularity_{px}_{channel}" for px in OPENINGS_PX]
        names += [f"Cells_Detail_{2**k}_{channel}" for k in range(4)]
    for i, first in enumerate(channels):
        for second in channels[i + 1 :]:
            names += [f"{part}_Correlation_{first}_{second}" for part in ("Cells", "Nuclei", "Detail")]
    return names


def crop_features(images: np.ndarray, nuclei: int = 0) -> np.ndarray:
    """Measure the handcrafted features of a batch of crops.

    Parameters
    ----------
    images : (N, C, H, W) uint8, uint16 or float array
        The cell to measure has its nucleus in the middle. No value is negative.
    nuclei : int
        Channel that shows the nuclei.

    Returns
    -------
    (N, F) float32 array
        Finite; columns as `feature_names` says. What is undefined (a correlation with a blank channel) is 0.
    """
    pixels = images.astype(np.float32)
    nucleus, others = find_nucleus(pixels[:, nuclei])
    ring = (slide(np.maximum, nucleus, 5) > nucleus) & (others == 0)
    columns = [shape(nucleus, others)]
    for channel in range(images.shape[1]):
        x = pixels[:, channel]
        levels, low, high = quantiles(images[:, channel])
        columns += [
            levels,
            moments(x),
            nuclear(x, nucleus, ring),
            radial(x - low),
            zernike(x - low),
            texture(x, low, high),
            granularity(images[:, channel], low),
            details(x),
        ]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    fine = (pixels - box_mean(pixels, 2)).reshape(flat.shape)
    inside = nucleus.reshape(len(nucleus), -1)
    for i in range(images.shape[1]):
        for j in range(i + 1, images.shape[1]):
            columns += [
                correlation(flat[:, i], flat[:, j]),
                correlation(flat[:, i], flat[:, j], inside),
                correlation(fine[:, i], fine[:, j]),
            ]
    return np.concatenate([c.reshape(len(images), -1) for c in columns], axis=1).astype(np.float32)


def handcrafted_features(
    images: np.ndarray,
    *,
    channels: Sequence[str] | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Measure intensity, shape, texture, granularity, radial distribution and correlation of every crop.

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

    Examples
    --------
    >>> crops = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32), dtype=np.uint8)
    >>> handcrafted_features(crops, channels=("dna", "tubulin", "actin")).shape
    (2, 230)
    """
    check_images(images)
    names = [str(i) for i in range(images.shape[1])] if channels is None else list(channels)
    if len(names) != images.shape[1]:
        raise ValueError(f"channels are {names}, but images has {images.shape[1]}; expected one name each")
    nuclei = names.index("dna") if "dna" in names else 0
    workers = workers or joblib.cpu_count()
    starts = range(0, len(images), _BATCH)
    out = np.empty((len(images), len(feature_names(names))), dtype=np.float32)

    def measure(start: int) -> None:
        out[start : start + _BATCH] = crop_features(np.asarray(images[start : start + _BATCH]), nuclei)

    with ThreadPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(measure, starts), total=len(starts), desc="handcrafted", disable=not progress):
            pass
    return out
