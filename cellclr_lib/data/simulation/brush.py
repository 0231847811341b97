"""Draw soft discs, filaments, spots and textures into a small patch around a cell, cheaply.

A patch is a square of ``2 half + 1`` pixels centred on a cell; all coordinates are pixels from its centre.
Explained in chapter 1, the screen.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

REACH_PX = 110  # no patch is wider than this to each side
PAD_PX = 150  # a canvas is wider than its field by this much to each side, so that no patch is cut
ANGLES = 512  # an outline is a radius for each of so many directions
STEP_PX = 1.2  # of a filament
THETA = np.arange(ANGLES) * (2 * np.pi / ANGLES)

_Y, _X = np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1].astype(np.float32)
_DISTANCE = np.hypot(_X, _Y)
_DIRECTION = ((np.arctan2(_Y, _X) / (2 * np.pi) % 1.0) * ANGLES).astype(np.int16) % ANGLES


def window(cell: Any, half: int) -> tuple[slice, slice]:
    """Locate the patch of a cell in a canvas."""
    y, x = cell.y_px + PAD_PX, cell.x_px + PAD_PX
    return slice(y - half, y + half + 1), slice(x - half, x + half + 1)


def grid(half: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of every pixel of a patch, from its centre."""
    part = slice(REACH_PX - half, REACH_PX + half + 1)
    return _Y[part, part], _X[part, part]


def distance(half: int) -> np.ndarray:
    """Return the distance of every pixel of a patch from its centre."""
    part = slice(REACH_PX - half, REACH_PX + half + 1)
    return _DISTANCE[part, part]


def along_outline(radius: np.ndarray, half: int) -> np.ndarray:
    """Look up the outline's radius (ANGLES,) in the direction of every pixel of a patch."""
    part = slice(REACH_PX - half, REACH_PX + half + 1)
    return radius[_DIRECTION[part, part]]


def soft(inside_px: np.ndarray, width_px: float) -> np.ndarray:
    """Compute a soft mask: 0 outside, 1 inside, linear over ``width_px`` around the edge."""
    return np.clip(inside_px / width_px + 0.5, 0.0, 1.0)


def ellipse(turned: np.ndarray, aspect: Any) -> np.ndarray:
    """Compute the radius of an ellipse of area pi at angles counted from its long axis."""
    return 1.0 / np.sqrt(np.cos(turned) ** 2 / aspect + np.sin(turned) ** 2 * aspect)


@lru_cache
def _tile(sigma: float) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(512, 512)), sigma, mode="wrap")
    return (noise / noise.std()).astype(np.float32)


def texture(half: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of mean 0 and deviation 1, smooth on ``sigma`` px: a random window of a stored tile."""
    y, x = rng.integers(0, 511 - 2 * half, 2)
    return _tile(sigma)[y : y + 2 * half + 1, x : x + 2 * half + 1]


def filaments(
    half: int,
    y: np.ndarray,
    x: np.ndarray,
    heading: np.ndarray,
    steps: int,
    wander: float,
    bend: float,
    rng: np.random.Generator,
    turn: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Count points per pixel along random walks that start at (y, x) and turn by ``wander`` radians a step.

    Each walk also turns steadily, by ``turn`` radians a step on average and ``bend`` as standard deviation.
    """
    n, side = len(heading), 2 * half + 1
    turns = rng.standard_normal((n, steps), np.float32) * np.float32(wander)
    turns += (rng.standard_normal(n, np.float32) * np.float32(bend) + turn).astype(np.float32)[:, None]
    heading = np.asarray(heading, np.float32)[:, None] + np.cumsum(turns, 1)
    step = np.float32(STEP_PX)
    rows = np.cumsum(np.sin(heading), 1) * step + np.asarray(y, np.float32)[:, None] + (half + 0.5)
    columns = np.cumsum(np.cos(heading), 1) * step + np.asarray(x, np.float32)[:, None] + (half + 0.5)
    kept = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    spots = rows[kept].astype(np.int32) * side + columns[kept].astype(np.int32)
    return np.bincount(spots, minlength=side * side).reshape(side, side).astype(np.float32)


def bumps(half: int, y: np.ndarray, x: np.ndarray, size_px: float) -> np.ndarray:
    """Sum round Gaussian bumps of height 1 at (y, x)."""
    rows, columns = np.arange(-half, half + 1)[:, None] - y, np.arange(-half, half + 1)[:, None] - x
    down, across = (np.exp(-(offset**2) / (2 * size_px**2)) for offset in (rows, columns))
    return (down @ across.T).astype(np.float32)


def polar(angle: Any, reach: Any) -> tuple[Any, Any]:
    """Convert an angle and a distance to (row, column)."""
    return reach * np.sin(angle), reach * np.cos(angle)
