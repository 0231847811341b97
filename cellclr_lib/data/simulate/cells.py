"""Draw cells: each one in a small patch, nucleus, microtubules and actin, as camera counts above background.

Cheap tricks, all vectorised: outlines are radii per angle, filaments are random walks of many points at once,
chromatin is a window of a stored noise tile. Explained in chapter 1, the screen.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

DNA, TUBULIN, ACTIN = 0, 1, 2
REACH_PX = 110  # no cell reaches further from its centre
ANGLES = 512  # an outline is a radius for each of so many directions
SPREAD = ("interphase", "fragmented", "binucleate")  # states in which a cell lies flat on the plate
_Y, _X = np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1].astype(np.float32)
_RADIUS = np.hypot(_X, _Y)
_DIRECTION = ((np.arctan2(_Y, _X) / (2 * np.pi) % 1.0) * ANGLES).astype(np.int16) % ANGLES
_THETA = np.arange(ANGLES) * (2 * np.pi / ANGLES)


def draw(cells: pd.DataFrame, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a field.

    Parameters
    ----------
    cells : DataFrame
        From `population.populate`.
    shape : (height, width)

    Returns
    -------
    ndarray (2, 3, H, W) float32
        What lies in focus and what does not; channels DNA, tubulin, actin; camera counts, no background.
    """
    canvas = np.zeros((2, 3, shape[0] + 2 * _PAD, shape[1] + 2 * _PAD), np.float32)
    things = list(cells.itertuples())
    territory = _Territory(canvas.shape[2:])
    outlines = {}
    for i, cell in enumerate(things):
        if not cell.is_debris and cell.state in SPREAD:
            outlines[i] = _cell_outline(cell, rng)
            territory.claim(i, cell, *outlines[i])
    for i, cell in enumerate(things):
        layer = canvas[int(cell.out_of_focus)]
        if cell.is_debris:
            _debris(layer, cell, rng)
        elif cell.state == "dead":
            _ball(layer, cell, 9.0, rng)
            _blobs(layer, cell, rng, n=3, spread=2.5, size=2.6, level=3.0 * cell.dna)
        elif cell.state in SPREAD:
            _nucleus(layer, cell, rng)
            _cytoplasm(layer, cell, *outlines[i], territory.share(i, cell, *outlines[i]), rng)
        else:
            _ball(layer, cell, 0.58 * min(cell.cell_radius, 45.0), rng)
            _division(layer, cell, rng)
    return canvas[:, :, _PAD:-_PAD, _PAD:-_PAD]


_PAD = 40 + REACH_PX + 40  # centres may lie outside the field, patches further


def _window(cell, half: int) -> tuple[slice, slice]:
    """The part of a canvas around a cell."""
    return (slice(cell.y_px + _PAD - half, cell.y_px + _PAD + half + 1),
            slice(cell.x_px + _PAD - half, cell.x_px + _PAD + half + 1))


def _centre(half: int) -> tuple[slice, slice]:
    """The part of the stored coordinate tables around their centre."""
    return (slice(REACH_PX - half, REACH_PX + half + 1),) * 2


def _cell_outline(cell, rng) -> tuple[np.ndarray, float, int]:
    """Radius by direction, orientation of the long axis, and half width of the patch that holds the cell."""
    spread = max(1.0 - cell.rounding, 0.0)
    axis = rng.uniform(0, np.pi)
    aspect = 1.0 + cell.elongation * (0.4 + 0.6 * spread)
    turned = _THETA - axis
    radius = 1.0 / np.sqrt(np.cos(turned) ** 2 / aspect + np.sin(turned) ** 2 * aspect)
    corners = rng.uniform(0, 2 * np.pi, rng.integers(3, 7))
    away = np.abs((_THETA[:, None] - corners + np.pi) % (2 * np.pi) - np.pi)
    radius *= 1.0 + cell.spikes * spread * (1.5 * np.exp(-away / 0.28).max(1) - 0.45)
    radius *= 1.0 + 0.03 * sum(rng.normal() * np.cos(k * _THETA + rng.uniform(0, 7)) for k in (3, 5, 8))
    radius *= cell.cell_radius * (1.0 - 0.35 * min(cell.rounding, 1.0))
    radius = np.clip(radius, 1.05 * cell.nucleus_radius, REACH_PX - 6).astype(np.float32)
    return radius, axis, int(radius.max()) + 4


class _Territory:
    """Who owns which pixel: touching cells share a straight border, as in an epithelium."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.best = np.full(shape, np.inf, np.float32)  # distance to the nearest cell in units of its own radius
        self.second = np.full(shape, np.inf, np.float32)
        self.owner = np.full(shape, -1, np.int32)

    def claim(self, i: int, cell, radius: np.ndarray, axis: float, half: int) -> None:
        where, table = _window(cell, half), _centre(half)
        distance = _RADIUS[table] / radius[_DIRECTION[table]]
        best, second, owner = self.best[where], self.second[where], self.owner[where]
        closer = distance < best
        second[:] = np.where(closer, best, np.minimum(second, distance))
        best[closer] = distance[closer]
        owner[closer] = i

    def share(self, i: int, cell, radius: np.ndarray, axis: float, half: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances in px from the free edge, and from the border with a neighbour; negative outside."""
        where, table = _window(cell, half), _centre(half)
        own = self.owner[where] == i
        reach = radius[_DIRECTION[table]]
        distance = _RADIUS[table] / reach
        free = (1.0 - distance) * reach
        rival = np.where(own, self.second[where] - distance, self.best[where] - distance)
        border = np.clip(rival, -2.0, 4.0) * (0.5 * cell.cell_radius)
        return free, border


def _soft(distance: np.ndarray, width: float) -> np.ndarray:
    """0 outside, 1 inside, linear over ``width`` px around the edge."""
    return np.clip(distance / width + 0.5, 0.0, 1.0)


@lru_cache
def _tile(sigma: float) -> np.ndarray:
    """Periodic noise (512, 512) of mean 0 and standard deviation 1, smooth on ``sigma`` px."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(512, 512)), sigma, mode="wrap")
    return (noise / noise.std()).astype(np.float32)


def _noise(half: int, sigma: float, rng) -> np.ndarray:
    y, x = rng.integers(0, 511 - 2 * half, 2)
    return _tile(sigma)[y : y + 2 * half + 1, x : x + 2 * half + 1]


def _filaments(half: int, start_y, start_x, heading, steps: int, wander: float, bend: float, rng) -> np.ndarray:
    """Density of points along random walks of 1.3 px a step, (2 half + 1,) * 2 float32."""
    n = len(heading)
    turn = rng.standard_normal((n, steps), np.float32) * wander
    turn += (rng.standard_normal(n, np.float32) * bend)[:, None]
    heading = heading[:, None] + np.cumsum(turn, 1)
    y = start_y[:, None] + np.cumsum(np.sin(heading), 1) * 1.3 + (half + 0.5)
    x = start_x[:, None] + np.cumsum(np.cos(heading), 1) * 1.3 + (half + 0.5)
    side = 2 * half + 1
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    spots = y[inside].astype(np.int32) * side + x[inside].astype(np.int32)
    return np.bincount(spots, minlength=side * side).reshape(side, side).astype(np.float32)


def _cytoplasm(layer, cell, radius, axis, half, distances, rng) -> None:
    where, table = _window(cell, half), _centre(half)
    free, border = distances
    inside = np.minimum(free, border)
    mask = _soft(inside, 3.0)
    area = max(mask.sum(), 200.0)
    thickness = np.sqrt(4000.0 / area).clip(0.6, 2.2)  # a small cell is a thick cell
    ramp = np.clip(inside / (0.45 * cell.cell_radius), 0.0, 1.0)
    dome = mask * (0.45 + 0.55 * ramp * (2.0 - ramp)) * thickness
    near = np.exp(-((_RADIUS[table] / (1.5 * cell.nucleus_radius)) ** 2))
    shadow = 1.0 - 0.25 * _soft(0.95 * cell.nucleus_radius - _RADIUS[table], 6.0)
    _tubulin(layer[TUBULIN][where], cell, radius, half, mask, area, dome, near, shadow, rng)
    _actin(layer[ACTIN][where], cell, axis, half, free, border, mask, area, dome, near, rng)


def _tubulin(out, cell, radius, half, mask, area, dome, near, shadow, rng) -> None:
    steps = int(1.1 * cell.cell_radius)
    n = int(np.clip(area * 1.2 / steps, 20, 400))
    angle = rng.uniform(0, 2 * np.pi, n)
    reach = cell.nucleus_radius * rng.uniform(0.3, 1.5, n)
    sideways = np.where(rng.random(n) < 0.5, 1, -1) * np.clip(1.0 - cell.radial, 0, 1) * rng.uniform(0.4, 1.6, n)
    threads = _filaments(half, reach * np.sin(angle), reach * np.cos(angle), angle + sideways, steps, 0.10, 0.02, rng)
    body = dome * shadow * (1.0 + cell.perinuclear * (1.5 * near - 0.4))
    fibres = min(cell.fibres, 1.0)
    image = body * (1.0 - fibres) + fibres * (0.25 * body + 0.62 * threads * mask * np.sqrt(dome + 1e-6))
    if cell.vacuoles > 0.05:
        holes = np.clip(_noise(half, 2.6, rng) * 1.6 - 0.9, 0.0, 1.0)
        image *= 1.0 - np.minimum(cell.vacuoles, 1.0) * holes
    if cell.bundles > 0.1:
        m = int(6 + 16 * min(cell.bundles, 1.0))
        angle = rng.uniform(0, 2 * np.pi, m)
        reach = cell.nucleus_radius * rng.uniform(0.9, 1.5, m)
        heading = angle + np.pi / 2 + rng.normal(0, 0.35, m)
        ropes = _filaments(half, reach * np.sin(angle), reach * np.cos(angle), heading, int(1.3 * steps), 0.04, 0.02, rng)
        image += min(cell.bundles, 1.4) * 1.6 * gaussian_filter(ropes, 1.1) * mask * 2.0
    if cell.aggresome > 0.15:
        image += _aggresome(cell, half, rng, 1.2) * mask
    out += cell.tubulin * image


def _aggresome(cell, half, rng, level: float) -> np.ndarray:
    angle, reach = rng.uniform(0, 2 * np.pi), 1.15 * cell.nucleus_radius
    table = _centre(half)
    squared = (_Y[table] - reach * np.sin(angle)) ** 2 + (_X[table] - reach * np.cos(angle)) ** 2
    return level * min(cell.aggresome, 1.4) * np.exp(-squared / (2 * (0.38 * cell.nucleus_radius) ** 2))


def _actin(out, cell, axis, half, free, border, mask, area, dome, near, rng) -> None:
    image = 0.72 * dome * (1.0 + 0.10 * _noise(half, 4.0, rng) + 0.08 * _noise(half, 1.2, rng))
    image += cell.cortex * 1.5 * np.exp(-(((free - 2.0) / 2.2) ** 2)) * mask
    image += cell.junctions * 1.5 * np.exp(-((border / 2.2) ** 2)) * _soft(free, 3.0)
    if cell.stress_fibres > 0.05:
        n = int(4 + 22 * min(cell.stress_fibres, 1.0))
        across, along = rng.normal(0, 0.5 * cell.cell_radius, n), rng.uniform(-1.0, 0.2, n) * cell.cell_radius
        y = along * np.sin(axis) + across * np.cos(axis)
        x = along * np.cos(axis) - across * np.sin(axis)
        cables = _filaments(half, y, x, axis + rng.normal(0, 0.12, n), int(cell.cell_radius), 0.015, 0.004, rng)
        image += 1.0 * min(cell.stress_fibres, 1.2) * gaussian_filter(cables, 0.6) * mask
    if cell.speckles > 0.15:
        n = int(area * 0.014 * min(cell.speckles, 1.3))
        side = 2 * half + 1
        points = np.bincount(rng.integers(0, side * side, int(n * side * side / area)), minlength=side * side)
        weight = points.reshape(side, side) * rng.lognormal(0, 0.5, (side, side)).astype(np.float32)
        image = image * (1 - 0.3 * min(cell.speckles, 1.0)) + 18.0 * min(cell.speckles, 1.3) * gaussian_filter(weight, 1.3) * mask
    if cell.aggresome > 0.15:
        image += _aggresome(cell, half, rng, 0.9) * mask
    out += cell.actin * image


def _nucleus(layer, cell, rng) -> None:
    if cell.state == "fragmented":
        n = int(rng.integers(4, 9))
        sizes = cell.nucleus_radius * rng.uniform(0.28, 0.62, n)
        angle, reach = rng.uniform(0, 2 * np.pi, n), cell.nucleus_radius * rng.uniform(0.25, 1.05, n)
        pieces = list(zip(reach * np.sin(angle), reach * np.cos(angle), sizes, strict=True))
    elif cell.state == "binucleate":
        angle, reach = rng.uniform(0, np.pi), 0.92 * cell.nucleus_radius
        pieces = [(sign * reach * np.sin(angle), sign * reach * np.cos(angle), 0.88 * cell.nucleus_radius) for sign in (-1, 1)]
    else:
        pieces = [(0.0, 0.0, cell.nucleus_radius)]
    half = int(2.6 * cell.nucleus_radius) + 4
    image = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for dy, dx, size in pieces:
        np.maximum(image, _lump(cell, half, dy, dx, size, rng), out=image)
    image *= 1.0 + cell.chromatin * (0.7 * _noise(half, 1.5, rng) + 0.4 * _noise(half, 4.0, rng))
    if cell.nucleoli > 0.02:
        table = _centre(half)
        for _ in range(rng.integers(1, 4)):
            angle, reach, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6) * cell.nucleus_radius, rng.uniform(1.6, 3.2)
            squared = (_Y[table] - reach * np.sin(angle)) ** 2 + (_X[table] - reach * np.cos(angle)) ** 2
            image *= 1.0 - min(1.6 * cell.nucleoli, 0.8) * np.exp(-squared / (2 * size**2))
    level = cell.dna * (14.8 / cell.nucleus_radius) ** 0.6 * (1 + 0.5 * min(cell.rounding, 1.0))
    layer[DNA][_window(cell, half)] += level * image


def _lump(cell, half, dy, dx, size, rng) -> np.ndarray:
    """One piece of a nucleus: an ellipse with bulges and clefts, a soft edge and a domed profile."""
    table = _centre(half)
    y, x = _Y[table] - np.float32(dy), _X[table] - np.float32(dx)
    distance, angle = np.hypot(y, x), np.arctan2(y, x)
    aspect, turned = 1.0 + cell.nucleus_elongation * rng.uniform(0.5, 1.3), angle - np.float32(rng.uniform(0, np.pi))
    edge = size / np.sqrt(np.cos(turned) ** 2 / aspect + np.sin(turned) ** 2 * aspect)
    for k in (2, 3, 4, 5):
        edge = edge * (1.0 + min(cell.lobes, 0.6) * rng.normal(0, 0.55) * np.cos(k * angle + np.float32(rng.uniform(0, 7))))
    edge = np.clip(edge, 0.4 * size, 1.7 * size)
    return _soft(edge - distance, 3.0) * (0.72 + 0.28 * np.sqrt(np.clip(1.0 - (distance / edge) ** 2, 0.0, 1.0)))


def _blobs(layer, cell, rng, n, spread, size, level, ring=0.0) -> None:
    """Condensed chromatin: n clumps, in a ring where ``ring`` px is not 0."""
    half = 34
    angle = rng.uniform(0, 2 * np.pi, n)
    y = np.clip(ring * np.sin(angle) + rng.normal(0, spread, n), -26, 26)
    x = np.clip(ring * np.cos(angle) + rng.normal(0, spread, n), -26, 26)
    table = _centre(half)
    squared = (_Y[table][..., None] - y.astype(np.float32)) ** 2 + (_X[table][..., None] - x.astype(np.float32)) ** 2
    image = np.exp(-squared / (2 * size**2)).sum(-1)
    layer[DNA][_window(cell, half)] += level * image / (1.0 + 0.35 * image)


def _ball(layer, cell, radius: float, rng) -> None:
    """A rounded cell: bright in tubulin and actin because all of it lies in one heap."""
    half = int(radius) + 6
    where, table = _window(cell, half), _centre(half)
    distance = _RADIUS[table]
    dome = np.sqrt(np.clip(1.0 - (distance / radius) ** 2, 0.0, 1.0))
    layer[TUBULIN][where] += cell.tubulin * 1.7 * dome
    layer[ACTIN][where] += cell.actin * (1.7 * dome + 1.1 * np.exp(-(((distance - radius + 2.0) / 2.0) ** 2)))


def _division(layer, cell, rng) -> None:
    axis = rng.uniform(0, np.pi)
    if cell.state == "monopolar":
        _blobs(layer, cell, rng, n=16, spread=1.6, size=1.9, level=1.6 * cell.dna, ring=rng.uniform(5.0, 8.0))
        _aster(layer, cell, 0.0, 0.0, 90, rng)
    elif cell.state == "scattered":
        _blobs(layer, cell, rng, n=14, spread=4.8, size=1.9, level=1.6 * cell.dna)
    else:
        apart = rng.choice([0.0, 0.0, 6.5])  # plate, or two halves on their way
        along = np.linspace(-9, 9, 13) + rng.normal(0, 0.6, 13)
        half = 34
        table = _centre(half)
        image = 0.0
        for side in (-apart, apart) if apart else (0.0,):
            cy = along * np.cos(axis) + side * np.sin(axis)
            cx = -along * np.sin(axis) + side * np.cos(axis)
            squared = (_Y[table][..., None] - cy.astype(np.float32)) ** 2 + (_X[table][..., None] - cx.astype(np.float32)) ** 2
            image = image + np.exp(-squared / (2 * 2.3**2)).sum(-1)
        layer[DNA][_window(cell, half)] += 1.7 * cell.dna * image / (1.0 + 0.35 * image)
        for side in (-1, 1):
            reach = side * (apart + 9.0)
            _aster(layer, cell, reach * np.sin(axis), reach * np.cos(axis), 40, rng)


def _aster(layer, cell, dy: float, dx: float, n: int, rng) -> None:
    """Microtubules that radiate from a spindle pole."""
    half = 34
    heading = rng.uniform(0, 2 * np.pi, n)
    rays = _filaments(half, np.full(n, dy), np.full(n, dx), heading, 10, 0.08, 0.0, rng)
    layer[TUBULIN][_window(cell, half)] += cell.tubulin * 1.6 * gaussian_filter(rays, 0.9) / (1 + 0.05 * rays)


def _debris(layer, cell, rng) -> None:
    """A speck or smear that is no cell."""
    half = 34
    table = _centre(half)
    size, angle, aspect = rng.uniform(1.2, 5.0), rng.uniform(0, np.pi), rng.uniform(1.0, 3.0)
    y = _Y[table] * np.cos(angle) - _X[table] * np.sin(angle)
    x = _Y[table] * np.sin(angle) + _X[table] * np.cos(angle)
    speck = np.exp(-(y**2 * aspect + x**2 / aspect) / (2 * size**2))
    for channel, level in zip((DNA, TUBULIN, ACTIN), rng.lognormal(4.2, 0.9, 3), strict=True):
        layer[channel][_window(cell, half)] += level * speck
