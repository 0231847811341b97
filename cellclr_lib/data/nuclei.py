"""Find and outline nuclei in the DNA channel.

The steps are the classical ones (threshold, fill, distance transform, seeded watershed), with one addition that
carries most of the quality: every length is measured in units of the typical nuclear radius, which is read off
the image itself, so one setting serves 20× and 63× objectives alike. The constants were chosen on half of the
images of the 2018 Data Science Bowl and tested on the other half (`tests/data/test_nuclei.py`).
"""

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import regionprops_table
from skimage.segmentation import watershed

NOISE_PX = 1.0  # smoothing before the threshold
THRESHOLD = 0.85  # of Otsu's value: the rim of a nucleus is dimmer than its middle
SMOOTHING = 0.25  # of a radius: removes the bumps of one nucleus from the seed landscape
SEPARATION = 0.5  # of a radius: two seeds are at least this far apart
SMALLEST = 0.25  # of a radius: thinner objects are specks
CONTRAST = 4.0  # nuclei stand out from the background by this many of its standard deviations


def segment_nuclei(dna: np.ndarray) -> np.ndarray:
    """Outline every nucleus of one DNA image.

    Parameters
    ----------
    dna : ndarray, shape (H, W), uint8 or uint16
        One field of view; any background offset, any magnification near 20×.

    Returns
    -------
    labels : ndarray, shape (H, W), int32
        0 is background, nucleus i has the value i, numbered from 1 without gaps. All zero where nothing stands
        out from the noise.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or not unsigned integer.

    Notes
    -----
    Explained in chapter 2, *from fields to cells*.

    Examples
    --------
    >>> dna = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.uint16)
    >>> dna[10:30, 10:30] = dna[40:60, 35:55] = 1000
    >>> int(segment_nuclei(dna).max())
    2
    """
    dna = np.asarray(dna)
    if dna.ndim != 2 or dna.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"the DNA image must be (H, W) uint8 or uint16, not {dna.shape} {dna.dtype}")
    smooth = ndimage.gaussian_filter(dna.astype(np.float32), NOISE_PX)
    smooth = np.maximum(smooth - np.percentile(smooth, 1), 0)
    nothing = np.zeros(dna.shape, np.int32)
    if smooth.max() == 0:
        return nothing
    foreground = smooth > THRESHOLD * threshold_otsu(smooth)
    background = smooth[~foreground]
    if foreground.all() or smooth[foreground].mean() - background.mean() < CONTRAST * background.std():
        return nothing
    foreground = ndimage.binary_fill_holes(foreground)
    depth = ndimage.distance_transform_edt(foreground).astype(np.float32)
    radius = typical_radius(depth)
    if radius is None:
        return nothing
    # Seeds: where it is both deep inside an outline and locally bright. Depth separates nuclei that touch at a
    # waist, brightness those that overlap.
    bright = ndimage.gaussian_filter(smooth, SMOOTHING * radius)
    bright /= np.maximum(ndimage.maximum_filter(bright, int(2 * radius) | 1), np.finfo(np.float32).tiny)
    landscape = np.where(foreground, ndimage.gaussian_filter(depth, SMOOTHING * radius) * bright, 0)
    seeds = peak_local_max(
        landscape, min_distance=max(1, round(SEPARATION * radius)), threshold_abs=0.1, exclude_border=False
    )
    seeds = seeds[depth[tuple(seeds.T)] > SMALLEST * radius]
    markers = nothing
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    labels: np.ndarray = watershed(-landscape, markers, mask=foreground).astype(np.int32)
    return labels


def typical_radius(depth: np.ndarray) -> float | None:
    """Estimate the radius of the nuclei in px from the distance to the background; None if there are none.

    The median over the peaks of `depth`, each weighted by its area, so that specks do not count.
    """
    peaks = peak_local_max(depth, min_distance=3, threshold_abs=2, exclude_border=False)
    if len(peaks) == 0:
        return None
    radii = np.sort(depth[tuple(peaks.T)])
    weight = np.cumsum(radii**2)
    return float(radii[np.searchsorted(weight, weight[-1] / 2)])


def find_nuclei(dna: np.ndarray) -> np.ndarray:
    """Find the centre of every nucleus of one DNA image, those at the border included.

    Parameters
    ----------
    dna : ndarray, shape (H, W), uint8 or uint16

    Returns
    -------
    centres : ndarray, shape (n, 2), float64
        (row, column) of each centre of mass, in px; `crop_cells` takes them as they are.

    Notes
    -----
    Raises as `segment_nuclei`. Explained in chapter 2, *from fields to cells*.

    Examples
    --------
    >>> dna = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.uint16)
    >>> dna[10:31, 20:41] = 1000
    >>> find_nuclei(dna).round().tolist()
    [[20.0, 30.0]]
    """
    shapes = regionprops_table(segment_nuclei(dna), properties=("centroid",))
    return np.column_stack([shapes["centroid-0"], shapes["centroid-1"]]).astype(float).reshape(-1, 2)
