"""Handcrafted features of single-cell crops: what image-based profiling measured before it learned features.

The families are CellProfiler's (Carpenter et al. 2006): intensity, shape of the nucleus, texture, granularity,
radial distribution and correlation of stains. All are computed on whole batches of crops at once. Quarter turns
and flips do not change them (but for a row of pixels that `_details` loses where a size is odd), and their number
depends on the channels alone, not on the crop size. Explained in chapter 6, evaluation.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
from tqdm import tqdm

from cellclr_lib.baselines.images import check_images
from cellclr_lib.data.central_nucleus import _box, _distance_to_centre, _divide, find_nucleus

VERSION = 1  # raise it when the same cells give other features

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RINGS = 6  # annuli of equal width from the centre to the border of the crop
ZERNIKE = [(n, m) for n in range(2, 7) for m in range(n % 2, n + 1, 2)]
LEVELS = 16  # grey levels of the co-occurrence matrices
OFFSETS_PX = (1, 3, 6)  # distances of the paired pixels
OPENINGS_PX = (1, 2, 4, 7, 11)  # half widths of the squares that sift by size
DIRECTIONS = 32  # in which the width of a nucleus is taken

_TEXTURE = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
_SHAPE = (
    "area",
    "major",
    "minor",
    "eccentricity",
    "perimeter",
    "form_factor",
    "solidity",
    "width_max",
    "width_min",
    "width_cv",
    "skewness",
    "off_centre",
    "other_objects",
    "other_area",
)


_BATCH = 64  # crops measured at a time


def feature_names(channels=("dna", "tubulin", "actin")):
    """Names of the columns of `crop_features`, ``Nuclei_`` or ``Cells_`` first as in CellProfiler."""
    names = [f"Nuclei_Shape_{name}" for name in _SHAPE]
    for channel in channels:
        names += [
            f"Cells_Intensity_{name}_{channel}"
            for name in [f"q{100 * q:g}" for q in QUANTILES] + ["mean", "std", "skewness", "kurtosis"]
        ]
        names += [f"Nuclei_Intensity_{name}_{channel}" for name in ("mean", "std", "ratio", "ratio_ring", "share")]
        names += [f"Cells_Radial_{kind}{ring}_{channel}" for kind in ("mean", "cv") for ring in range(RINGS)]
        names += [f"Cells_Zernike_{n}_{m}_{channel}" for n, m in ZERNIKE]
        names += [f"Cells_Texture_{name}_{px}_{channel}" for px in OFFSETS_PX for name in _TEXTURE]
        names += [f"Cells_Granularity_{px}_{channel}" for px in OPENINGS_PX]
        names += [f"Cells_Detail_{2**k}_{channel}" for k in range(4)]
    for i, first in enumerate(channels):
        for second in channels[i + 1 :]:
            names += [f"{part}_Correlation_{first}_{second}" for part in ("Cells", "Nuclei", "Detail")]
    return names


def crop_features(images, nuclei=0):
    """Measure a batch of crops.

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
    ring = (_slide(np.maximum, nucleus, 5) > nucleus) & (others == 0)
    columns = [_shape(nucleus, others)]
    for channel in range(images.shape[1]):
        x = pixels[:, channel]
        quantiles, low, high = _quantiles(images[:, channel])
        columns += [
            quantiles,
            _moments(x),
            _nuclear(x, nucleus, ring),
            _radial(x - low),
            _zernike(x - low),
            _texture(x, low, high),
            _granularity(images[:, channel], low),
            _details(x),
        ]
    flat = pixels.reshape(*pixels.shape[:2], -1)
    fine = (pixels - _box(pixels, 2)).reshape(flat.shape)
    inside = nucleus.reshape(len(nucleus), -1)
    for i in range(images.shape[1]):
        for j in range(i + 1, images.shape[1]):
            columns += [
                _correlation(flat[:, i], flat[:, j]),
                _correlation(flat[:, i], flat[:, j], inside),
                _correlation(fine[:, i], fine[:, j]),
            ]
    return np.concatenate([c.reshape(len(images), -1) for c in columns], axis=1).astype(np.float32)


def _shape(nucleus, others):
    n, height, width = nucleus.shape
    image, row, column = np.nonzero(nucleus)
    area = np.bincount(image, minlength=n).astype(float)

    def mean(values):
        return _divide(np.bincount(image, values, minlength=n), area)

    y, x = row - mean(row)[image], column - mean(column)[image]
    yy, xx, xy = mean(y * y) + 1 / 12, mean(x * x) + 1 / 12, mean(x * y)
    root = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
    major, minor = np.sqrt(8 * (yy + xx + root)), np.sqrt(8 * np.maximum(yy + xx - root, 0))
    off_centre = np.hypot(mean(row) - (height - 1) / 2, mean(column) - (width - 1) / 2) * (area > 0)
    skewness = _divide(np.hypot(mean(x * (x * x + y * y)), mean(y * (x * x + y * y))), (yy + xx) ** 1.5)

    padded = np.pad(nucleus, ((0, 0), (1, 1), (1, 1))).astype(np.int8)
    corners = padded[:, :-1, :-1] + padded[:, 1:, :-1] + padded[:, :-1, 1:] + padded[:, 1:, 1:]
    diagonal = (padded[:, :-1, :-1] == padded[:, 1:, 1:]) & (corners == 2)
    # A 2 x 2 neighbourhood with one or three pixels inside cuts a corner, one with two side by side an edge.
    perimeter = np.select([corners % 2 == 1, diagonal, corners == 2], [math.sqrt(0.5), math.sqrt(2), 1.0])
    perimeter = perimeter.sum(axis=(1, 2))

    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    reach = np.zeros((n, DIRECTIONS))  # support function: how far the nucleus reaches in each direction
    edge = (nucleus & (_slide(np.minimum, nucleus, 1) == 0))[image, row, column]
    edge |= (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    start = np.flatnonzero(np.diff(image[edge], prepend=-1))
    along = np.outer(y[edge], np.sin(angle)) + np.outer(x[edge], np.cos(angle))
    if len(start):
        # Half a pixel reaches beyond its centre by this much in direction of the angle.
        beyond = (np.abs(np.sin(angle)) + np.abs(np.cos(angle))) / 2
        reach[image[edge][start]] = np.maximum.reduceat(along, start) + beyond
    step = 2 * np.pi / DIRECTIONS
    side = (np.roll(reach, 1, axis=1) + np.roll(reach, -1, axis=1) - 2 * reach * math.cos(step)) / math.sin(step)
    convex = (reach * side).sum(axis=1) / 2  # area of the polygon of the tangents
    widths = reach[:, : DIRECTIONS // 2] + reach[:, DIRECTIONS // 2 :]
    return np.stack(
        [
            np.log1p(area),
            np.log1p(major),
            np.log1p(minor),
            np.sqrt(1 - _divide(minor, major) ** 2),
            np.log1p(perimeter),
            _divide(4 * np.pi * area, perimeter**2),
            _divide(area, convex),
            np.log1p(widths.max(axis=1)),
            np.log1p(widths.min(axis=1)),
            _divide(widths.std(axis=1), widths.mean(axis=1)),
            skewness,
            off_centre,
            [len(np.unique(o[o > 0])) for o in others],
            (others > 0).mean(axis=(1, 2)),
        ],
        axis=1,
    )


def _quantiles(x):
    """Logarithms of the quantiles (N, Q), and the darkest and brightest 1 % as (N, 1, 1)."""
    values = np.sort(x.reshape(len(x), -1), axis=1, kind="stable")  # radix sort for integers
    at = np.round(np.array(QUANTILES) * (values.shape[1] - 1)).astype(int)
    chosen = values[:, at].astype(np.float32)
    return np.log1p(chosen), chosen[:, 0, None, None], chosen[:, -1, None, None]


def _moments(x):
    mean, std = x.mean(axis=(1, 2)), x.std(axis=(1, 2))
    z = _divide(x - mean[:, None, None], std[:, None, None])
    square = z * z
    skewness, kurtosis = (square * z).mean(axis=(1, 2)), (square * square).mean(axis=(1, 2))
    return np.stack([np.log1p(mean), np.log1p(std), skewness, np.log1p(kurtosis)], axis=1)


def _nuclear(x, nucleus, ring):
    def mean(values, mask):
        return _divide((values * mask).sum(axis=(1, 2)), mask.sum(axis=(1, 2)))

    inside, outside, around = mean(x, nucleus), mean(x, ~nucleus), mean(x, ring)
    std = np.sqrt(np.maximum(mean((x - inside[:, None, None]) ** 2, nucleus), 0))
    share = _divide((x * nucleus).sum(axis=(1, 2)), x.sum(axis=(1, 2)))
    return np.stack(
        [
            np.log1p(inside),
            np.log1p(std),
            np.log1p(inside) - np.log1p(outside),
            np.log1p(inside) - np.log1p(around),
            share,
        ],
        axis=1,
    )


def _radial(x):
    """Mean of each ring over the mean of the crop, and the coefficient of variation along each ring."""
    rings = _ring_masks(x.shape[1:])
    flat = x.reshape(len(x), -1)
    mean, square = flat @ rings, (flat * flat) @ rings
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return np.concatenate([_divide(mean, flat.mean(axis=1, keepdims=True)), _divide(std, np.abs(mean))], axis=1)


def _zernike(x):
    """Moduli of the Zernike moments of orders 2 to 6, over the total: the rotation-invariant layout."""
    flat = np.maximum(x, 0).reshape(len(x), -1)
    parts = flat @ _zernike_basis(x.shape[1:])
    real, imaginary = parts[:, : len(ZERNIKE)], parts[:, len(ZERNIKE) :]
    return _divide(np.hypot(real, imaginary), flat.sum(axis=1, keepdims=True))


def _texture(x, low, high):
    """Haralick features of the co-occurrence of grey levels, over four directions (Haralick et al. 1973)."""
    n = len(x)
    level = np.clip(_divide((x - low) * LEVELS, high - low), 0, LEVELS - 1).astype(np.int32)
    own = np.arange(n, dtype=np.int32)[:, None, None] * LEVELS**2
    i, j = np.indices((LEVELS, LEVELS)).reshape(2, -1)
    weights = np.stack([(i - j) ** 2, abs(i - j), 1 / (1 + (i - j) ** 2), i * j, i, i**2], axis=1)
    columns = []
    for d in OFFSETS_PX:
        pairs = [
            (level[:, :, d:], level[:, :, :-d]),
            (level[:, d:], level[:, :-d]),
            (level[:, d:, d:], level[:, :-d, :-d]),
            (level[:, d:, :-d], level[:, :-d, d:]),
        ]
        code = np.concatenate([(a * LEVELS + b + own).reshape(-1) for a, b in pairs])
        counts = np.bincount(code, minlength=n * LEVELS**2).reshape(n, LEVELS, LEVELS)
        p = (counts + counts.transpose(0, 2, 1)).reshape(n, -1)
        p = p / p.sum(axis=1, keepdims=True)
        contrast, dissimilarity, homogeneity, product, mean, square = (p @ weights).T
        columns += [
            np.log1p(contrast),
            dissimilarity,
            homogeneity,
            np.sqrt((p**2).sum(axis=1)),
            _divide(product - mean**2, square - mean**2),
            -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1),
        ]
    return np.stack(columns, axis=1)


def _granularity(x, low):
    """Share of the light that an opening with each square removes beyond the one before (granulometry)."""
    opened = [x] + [_slide(np.maximum, _slide(np.minimum, x, r), r) for r in OPENINGS_PX]
    left = [np.maximum(y - low, 0).sum(axis=(1, 2)) for y in opened]
    return np.stack([_divide(a - b, left[0]) for a, b in zip(left[:-1], left[1:], strict=True)], axis=1)


def _details(x):
    """Share of the variance at details of 1, 2, 4 and 8 px: what halving the resolution loses."""
    total = x.var(axis=(1, 2))
    columns = []
    for _ in range(4):
        x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
        coarse = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
        lost = np.maximum(x.var(axis=(1, 2)) - coarse.var(axis=(1, 2)), 0)
        columns.append(np.log1p(1000 * _divide(lost, total)))
        x = coarse
    return np.stack(columns, axis=1)


def _correlation(a, b, mask=None):
    """Pearson correlation of (N, P) rows, over the pixels of `mask` if given."""
    weight = np.ones_like(a) if mask is None else mask.astype(np.float32)
    count = weight.sum(axis=1, keepdims=True)
    a = (a - _divide((a * weight).sum(axis=1, keepdims=True), count)) * weight
    b = (b - _divide((b * weight).sum(axis=1, keepdims=True), count)) * weight
    return _divide((a * b).sum(axis=1), np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))


def _slide(extreme, x, radius):
    """Minimum or maximum over the square of side ``2 radius + 1``; the edge is repeated outward."""
    for axis in (-1, -2):
        pad = [(0, 0)] * x.ndim
        pad[axis] = (radius, radius)
        y, size, full = np.moveaxis(np.pad(x, pad, mode="edge"), axis, -1), 1, 2 * radius + 1
        while 2 * size <= full:  # windows of 2, 4, 8, ... from two halves
            y, size = extreme(y[..., :-size], y[..., size:]), 2 * size
        if rest := full - size:
            y = extreme(y[..., :-rest], y[..., rest:])
        x = np.moveaxis(y, -1, axis)
    return x


def _ring_masks(shape):
    """(H W, RINGS) weights whose product with pixels is the mean of each ring."""
    ring = (_distance_to_centre(shape) / (min(shape) / 2) * RINGS).astype(int).ravel()
    masks = (ring[:, None] == np.arange(RINGS)).astype(np.float32)
    return masks / np.maximum(masks.sum(axis=0), 1)


def _zernike_basis(shape):
    """(H W, 2 Z) real and imaginary parts of the Zernike polynomials on the inscribed disc."""
    row, column = np.indices(shape)
    angle = np.arctan2(row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2)
    radius = _distance_to_centre(shape) / (min(shape) / 2)
    waves = []
    for n, m in ZERNIKE:
        half = (n - m) // 2
        polynomial = sum(
            (-1) ** k * math.comb(n - k, k) * math.comb(n - 2 * k, half - k) * radius ** (n - 2 * k)
            for k in range(half + 1)
        )
        waves.append(np.where(radius <= 1, polynomial, 0) * np.exp(1j * m * angle))
    waves = np.stack(waves).reshape(len(ZERNIKE), -1).T
    return np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32)


def handcrafted_features(images, channels=None, workers=None, progress=False):
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
    check_images(images)
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
        for _ in tqdm(pool.map(measure, starts), total=len(starts), desc="handcrafted", disable=not progress):
            pass
    return out
