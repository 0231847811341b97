"""Find the nucleus in the centre of a crop by Otsu's threshold."""

import numpy as np
from scipy import ndimage

_IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
_IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)


def find_nucleus(dna):
    """Masks of the nucleus nearest to the middle and of all other objects.

    Parameters
    ----------
    dna : (N, H, W) float array

    Returns
    -------
    nucleus : (N, H, W) bool array, holes filled
    others : (N, H, W) int array, 0 outside other objects
    """
    smooth = _box(dna, 1)
    objects, _ = ndimage.label(smooth > _otsu(smooth)[:, None, None], structure=_IN_PLANE)
    centre = _distance_to_centre(dna.shape[1:])
    at = np.where(objects > 0, centre, np.inf).reshape(len(dna), -1).argmin(axis=1)
    label = objects.reshape(len(dna), -1)[np.arange(len(dna)), at]
    nucleus = (objects == label[:, None, None]) & (objects > 0)
    holes, count = ndimage.label(~nucleus, structure=_IN_PLANE)
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (holes[:, 0], holes[:, -1], holes[:, :, 0], holes[:, :, -1]):
        outside[edge] = True
    nucleus = nucleus | ~(outside[holes] | nucleus)
    return nucleus, np.where(nucleus, 0, objects)


def _otsu(images, bins=64):
    """Threshold of each image (N,) that parts its values into two classes best (Otsu 1979)."""
    n = len(images)
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    width = np.where(high > low, high - low, 1) / bins
    level = np.minimum((images - low[:, None, None]) / width[:, None, None], bins - 1).astype(np.intp)
    level += np.arange(n)[:, None, None] * bins
    share = np.bincount(level.ravel(), minlength=n * bins).reshape(n, bins) / images[0].size
    below, moment = share.cumsum(axis=1), (share * np.arange(bins)).cumsum(axis=1)
    between = _divide((moment[:, -1:] * below - moment) ** 2, below * (1 - below))
    return low + (between[:, :-1].argmax(axis=1) + 1) * width


def _box(x, radius):
    size = [1] * (x.ndim - 2) + [2 * radius + 1] * 2
    return ndimage.uniform_filter(x, size, mode="nearest")


def _distance_to_centre(shape):
    row, column = np.indices(shape)
    return np.hypot(row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2)


def _divide(a, b):
    """a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros(a.shape, dtype=np.result_type(a, b, np.float32)), where=b != 0)
