"""Find the nucleus in the centre of a crop by Otsu's threshold."""

import numpy as np
from scipy import ndimage

_IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
_IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)


def find_nucleus(dna: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nucleus nearest to the middle of each crop, and all other objects.

    Parameters
    ----------
    dna : (N, H, W) float array

    Returns
    -------
    nucleus : (N, H, W) bool array, holes filled
    others : (N, H, W) int array, 0 outside other objects

    Examples
    --------
    >>> dna = np.zeros((1, 9, 9))
    >>> dna[0, 3:6, 3:6] = 100
    >>> nucleus, others = find_nucleus(dna)
    >>> bool(nucleus[0, 4, 4]), int(others.max())
    (True, 0)
    """
    smooth = box_mean(dna, 1)
    objects, _ = ndimage.label(smooth > _otsu(smooth)[:, None, None], structure=_IN_PLANE)
    centre = distance_to_centre(dna.shape[1:])
    at = np.where(objects > 0, centre, np.inf).reshape(len(dna), -1).argmin(axis=1)
    label = objects.reshape(len(dna), -1)[np.arange(len(dna)), at]
    nucleus = (objects == label[:, None, None]) & (objects > 0)
    holes, count = ndimage.label(~nucleus, structure=_IN_PLANE)
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (holes[:, 0], holes[:, -1], holes[:, :, 0], holes[:, :, -1]):
        outside[edge] = True
    nucleus = nucleus | ~(outside[holes] | nucleus)
    return nucleus, np.where(nucleus, 0, objects)


def _otsu(images: np.ndarray, bins: int = 64) -> np.ndarray:
    """Compute the threshold of each image (N,) that splits its values in two classes (Otsu 1979)."""
    n = len(images)
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    width = np.where(high > low, high - low, 1) / bins
    level = np.minimum((images - low[:, None, None]) / width[:, None, None], bins - 1).astype(np.intp)
    level += np.arange(n)[:, None, None] * bins
    share = np.bincount(level.ravel(), minlength=n * bins).reshape(n, bins) / images[0].size
    below, moment = share.cumsum(axis=1), (share * np.arange(bins)).cumsum(axis=1)
    between = divide((moment[:, -1:] * below - moment) ** 2, below * (1 - below))
    return low + (between[:, :-1].argmax(axis=1) + 1) * width


def box_mean(x: np.ndarray, radius: int) -> np.ndarray:
    """Average over the square of side ``2 radius + 1`` around each pixel."""
    size = [1] * (x.ndim - 2) + [2 * radius + 1] * 2
    mean: np.ndarray = ndimage.uniform_filter(x, size, mode="nearest")
    return mean


def distance_to_centre(shape: tuple[int, ...]) -> np.ndarray:
    """Compute the distance in px of each pixel of a shape (H, W) to the centre."""
    row, column = np.indices(shape)
    distance: np.ndarray = np.hypot(row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2)
    return distance


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide a by b; 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    zeros = np.zeros(a.shape, dtype=np.result_type(a, b, np.float32))
    ratio: np.ndarray = np.divide(a, b, out=zeros, where=b != 0)
    return ratio
