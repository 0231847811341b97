"""Measure the families of handcrafted features on a batch of crops.

Each function takes pixels (N, H, W) of one stain and gives columns (N, F). What is undefined is 0. They are put
together, and named, in `cellclr_lib.baselines.handcrafted`. Explained in chapter 6, *evaluation*.
"""

import math
from itertools import pairwise

import numpy as np

from cellclr_lib.data.central_nucleus import distance_to_centre, divide

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RINGS = 6  # annuli of equal width from the centre to the border of the crop
ZERNIKE = [(n, m) for n in range(2, 7) for m in range(n % 2, n + 1, 2)]
LEVELS = 16  # grey levels of the co-occurrence matrices
OFFSETS_PX = (1, 3, 6)  # distances of the paired pixels
OPENINGS_PX = (1, 2, 4, 7, 11)  # half widths of the squares that sift by size
DIRECTIONS = 32  # in which the width of a nucleus is taken

TEXTURE = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
SHAPE = (
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


def shape(nucleus: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Measure size, form and place of the nucleus, (N, 14), and the other objects of the crop."""
    n, height, width = nucleus.shape
    image, row, column = np.nonzero(nucleus)
    area = np.bincount(image, minlength=n).astype(float)

    def mean(values: np.ndarray) -> np.ndarray:
        return divide(np.bincount(image, values, minlength=n), area)

    y, x = row - mean(row)[image], column - mean(column)[image]
    yy, xx, xy = mean(y * y) + 1 / 12, mean(x * x) + 1 / 12, mean(x * y)
    root = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
    major, minor = np.sqrt(8 * (yy + xx + root)), np.sqrt(8 * np.maximum(yy + xx - root, 0))
    off_centre = np.hypot(mean(row) - (height - 1) / 2, mean(column) - (width - 1) / 2) * (area > 0)
    skewness = divide(np.hypot(mean(x * (x * x + y * y)), mean(y * (x * x + y * y))), (yy + xx) ** 1.5)

    padded = np.pad(nucleus, ((0, 0), (1, 1), (1, 1))).astype(np.int8)
    corners = padded[:, :-1, :-1] + padded[:, 1:, :-1] + padded[:, :-1, 1:] + padded[:, 1:, 1:]
    diagonal = (padded[:, :-1, :-1] == padded[:, 1:, 1:]) & (corners == 2)
    # A 2 x 2 neighbourhood with one or three pixels inside cuts a corner, one with two side by side an edge.
    perimeter = np.select([corners % 2 == 1, diagonal, corners == 2], [math.sqrt(0.5), math.sqrt(2), 1.0])
    perimeter = perimeter.sum(axis=(1, 2))

    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    reach = np.zeros((n, DIRECTIONS))  # support function: how far the nucleus reaches in each direction
    edge = (nucleus & (slide(np.minimum, nucleus, 1) == 0))[image, row, column]
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
            np.sqrt(1 - divide(minor, major) ** 2),
            np.log1p(perimeter),
            divide(4 * np.pi * area, perimeter**2),
            divide(area, convex),
            np.log1p(widths.max(axis=1)),
            np.log1p(widths.min(axis=1)),
            divide(widths.std(axis=1), widths.mean(axis=1)),
            skewness,
            off_centre,
            [len(np.unique(o[o > 0])) for o in others],
            (others > 0).mean(axis=(1, 2)),
        ],
        axis=1,
    )


def quantiles(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute logarithms of the quantiles (N, Q), and the darkest and brightest 1 % as (N, 1, 1)."""
    values = np.sort(x.reshape(len(x), -1), axis=1, kind="stable")  # radix sort for integers
    at = np.round(np.array(QUANTILES) * (values.shape[1] - 1)).astype(int)
    chosen = values[:, at].astype(np.float32)
    return np.log1p(chosen), chosen[:, 0, None, None], chosen[:, -1, None, None]


def moments(x: np.ndarray) -> np.ndarray:
    """Compute mean, deviation, skewness and kurtosis of the pixels, (N, 4)."""
    mean, std = x.mean(axis=(1, 2)), x.std(axis=(1, 2))
    z = divide(x - mean[:, None, None], std[:, None, None])
    square = z * z
    skewness, kurtosis = (square * z).mean(axis=(1, 2)), (square * square).mean(axis=(1, 2))
    return np.stack([np.log1p(mean), np.log1p(std), skewness, np.log1p(kurtosis)], axis=1)


def nuclear(x: np.ndarray, nucleus: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Compare the light of the nucleus with the rest of the crop and with the ring around it, (N, 5)."""
    def mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return divide((values * mask).sum(axis=(1, 2)), mask.sum(axis=(1, 2)))

    inside, outside, around = mean(x, nucleus), mean(x, ~nucleus), mean(x, ring)
    std = np.sqrt(np.maximum(mean((x - inside[:, None, None]) ** 2, nucleus), 0))
    share = divide((x * nucleus).sum(axis=(1, 2)), x.sum(axis=(1, 2)))
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


def radial(x: np.ndarray) -> np.ndarray:
    """Compute the mean of each ring over the mean of the crop, and the variation along it, (N, 2 · RINGS)."""
    rings = _ring_masks(x.shape[1:])
    flat = x.reshape(len(x), -1)
    mean, square = flat @ rings, (flat * flat) @ rings
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return np.concatenate([divide(mean, flat.mean(axis=1, keepdims=True)), divide(std, np.abs(mean))], axis=1)


def zernike(x: np.ndarray) -> np.ndarray:
    """Compute moduli of the Zernike moments of orders 2 to 6, over the total: the rotation-invariant layout."""
    flat = np.maximum(x, 0).reshape(len(x), -1)
    parts = flat @ zernike_basis(x.shape[1:])
    real, imaginary = parts[:, : len(ZERNIKE)], parts[:, len(ZERNIKE) :]
    return divide(np.hypot(real, imaginary), flat.sum(axis=1, keepdims=True))


def texture(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Compute Haralick features of the co-occurrence of grey levels, in four directions (Haralick et al. 1973)."""
    n = len(x)
    level = np.clip(divide((x - low) * LEVELS, high - low), 0, LEVELS - 1).astype(np.int32)
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
            divide(product - mean**2, square - mean**2),
            -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1),
        ]
    return np.stack(columns, axis=1)


def granularity(x: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Compute the share of light that an opening with each square removes beyond the one before (granulometry)."""
    opened = [x] + [slide(np.maximum, slide(np.minimum, x, r), r) for r in OPENINGS_PX]
    left = [np.maximum(y - low, 0).sum(axis=(1, 2)) for y in opened]
    return np.stack([divide(a - b, left[0]) for a, b in pairwise(left)], axis=1)


def details(x: np.ndarray) -> np.ndarray:
    """Compute the share of variance at details of 1, 2, 4 and 8 px: what halving the resolution loses."""
    total = x.var(axis=(1, 2))
    columns = []
    for _ in range(4):
        x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
        coarse = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
        lost = np.maximum(x.var(axis=(1, 2)) - coarse.var(axis=(1, 2)), 0)
        columns.append(np.log1p(1000 * divide(lost, total)))
        x = coarse
    return np.stack(columns, axis=1)


def correlation(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Correlate rows (N, P) by Pearson, over the pixels of `mask` if given."""
    weight = np.ones_like(a) if mask is None else mask.astype(np.float32)
    count = weight.sum(axis=1, keepdims=True)
    a = (a - divide((a * weight).sum(axis=1, keepdims=True), count)) * weight
    b = (b - divide((b * weight).sum(axis=1, keepdims=True), count)) * weight
    return divide((a * b).sum(axis=1), np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))


def slide(extreme: np.ufunc, x: np.ndarray, radius: int) -> np.ndarray:
    """Take the minimum or maximum over the square of side ``2 radius + 1``; the edge is repeated outward."""
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


def _ring_masks(shape: tuple[int, ...]) -> np.ndarray:
    """Weigh pixels (H W, RINGS) so that their product with an image is the mean of each ring."""
    ring = (distance_to_centre(shape) / (min(shape) / 2) * RINGS).astype(int).ravel()
    masks = (ring[:, None] == np.arange(RINGS)).astype(np.float32)
    return masks / np.maximum(masks.sum(axis=0), 1)


def zernike_basis(shape: tuple[int, ...]) -> np.ndarray:
    """Compute real and imaginary parts (H W, 2 Z) of the Zernike polynomials on the inscribed disc."""
    row, column = np.indices(shape)
    angle = np.arctan2(row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2)
    radius = distance_to_centre(shape) / (min(shape) / 2)
    waves = []
    for n, m in ZERNIKE:
        half = (n - m) // 2
        polynomial = sum(
            (-1) ** k * math.comb(n - k, k) * math.comb(n - 2 * k, half - k) * radius ** (n - 2 * k)
            for k in range(half + 1)
        )
        waves.append(np.where(radius <= 1, polynomial, 0) * np.exp(1j * m * angle))
    basis = np.stack(waves).reshape(len(ZERNIKE), -1).T
    return np.concatenate([basis.real, basis.imag], axis=1).astype(np.float32)
