"""Draw the cells of a field: outlines that spread, touch and share borders. Explained in chapter 1, the screen."""

from typing import Any

import numpy as np
import pandas as pd

from cellclr_lib.data.simulation import stains
from cellclr_lib.data.simulation.brush import (
    PAD_PX,
    REACH_PX,
    THETA,
    along_outline,
    distance,
    ellipse,
    soft,
    window,
)

SPREAD = ("interphase", "fragmented", "binucleate")  # states in which a cell lies flat on the plate


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
    canvas = np.zeros((2, 3, shape[0] + 2 * PAD_PX, shape[1] + 2 * PAD_PX), np.float32)
    things = list(cells.itertuples())
    territory = _Territory(canvas.shape[2:])
    outlines = {}
    for i, cell in enumerate(things):
        if not cell.is_debris and cell.state in SPREAD:
            outlines[i] = _outline(cell, rng)
            territory.claim(i, cell, *outlines[i])
    for i, cell in enumerate(things):
        layer = canvas[int(cell.out_of_focus)]
        if cell.is_debris:
            stains.debris(layer, cell, rng)
        elif cell.state == "dead":
            stains.ball(layer, cell, rng.uniform(8.0, 13.0), rng)
            stains.condensed(layer, cell, rng)
        elif cell.state in SPREAD:
            free, border = territory.edges(i, cell, *outlines[i])
            _spread(layer, cell, *outlines[i], free, border, rng)
        else:
            stains.ball(layer, cell, 0.54 * min(cell.cell_radius, 46.0), rng)
            stains.division(layer, cell, rng)
    return canvas[:, :, PAD_PX:-PAD_PX, PAD_PX:-PAD_PX]


def _outline(cell: Any, rng: np.random.Generator) -> tuple[np.ndarray, float, int]:
    """Draw radius by direction, direction of the long axis, and half width of the patch that holds the cell."""
    spread = max(1.0 - cell.rounding, 0.0)
    axis = rng.uniform(0, np.pi)
    radius = ellipse(THETA - axis, 1.0 + cell.elongation * (0.4 + 0.6 * spread))
    corners = rng.uniform(0, 2 * np.pi, rng.integers(3, 7))
    away = np.abs((THETA[:, None] - corners + np.pi) % (2 * np.pi) - np.pi)
    radius *= 1.0 + cell.spikes * spread * (1.5 * np.exp(-away / 0.28).max(1) - 0.45)
    for k in (3, 5, 8):
        radius *= 1.0 + 0.03 * rng.normal() * np.cos(k * THETA + rng.uniform(0, 2 * np.pi))
    radius *= cell.cell_radius * (1.0 - 0.40 * min(cell.rounding, 1.0))
    radius = np.clip(radius, 1.1 * cell.nucleus_radius, REACH_PX - 6).astype(np.float32)
    return radius, axis, int(radius.max()) + 4


class _Territory:
    """Decide which cell owns which pixel: touching cells share a border, as in an epithelium."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.best = np.full(shape, np.inf, np.float32)  # distance to the nearest cell in units of its own radius
        self.second = np.full(shape, np.inf, np.float32)
        self.owner = np.full(shape, -1, np.int32)

    def claim(self, i: int, cell: Any, radius: np.ndarray, axis: float, half: int) -> None:
        where = window(cell, half)
        reach = distance(half) / along_outline(radius, half)
        best, second, owner = self.best[where], self.second[where], self.owner[where]
        closer = reach < best
        second[:] = np.where(closer, best, np.minimum(second, reach))
        best[closer] = reach[closer]
        owner[closer] = i

    def edges(
        self, i: int, cell: Any, radius: np.ndarray, axis: float, half: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the distance in px of every pixel from the free edge and from neighbours; minus outside."""
        where = window(cell, half)
        outline = along_outline(radius, half)
        reach = distance(half) / outline
        other = np.where(self.owner[where] == i, self.second[where], self.best[where])
        return (1.0 - reach) * outline, np.clip(other - reach, -2.0, 4.0) * (0.5 * cell.cell_radius)


def _spread(
    layer: np.ndarray,
    cell: Any,
    radius: np.ndarray,
    axis: float,
    half: int,
    free: np.ndarray,
    border: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw a cell that lies flat: thin rim, thick middle; the smaller its area, the thicker and brighter."""
    inside = np.minimum(free, border)
    mask = soft(inside, 3.0)
    thickness = float(np.clip((4500.0 / max(float(mask.sum()), 200.0)) ** 0.8, 0.5, 4.0))
    ramp = np.clip(inside / (0.45 * cell.cell_radius), 0.0, 1.0)
    dome = mask * (0.45 + 0.55 * ramp * (2.0 - ramp)) * thickness
    sheet = 0.85 * mask * thickness  # actin lines the membrane: it follows the cell's height less
    where = window(cell, half)
    stains.tubulin(layer[stains.TUBULIN][where], cell, axis, half, mask, dome, rng)
    stains.actin(layer[stains.ACTIN][where], cell, axis, half, free, border, mask, sheet, rng)
    stains.nucleus(layer, cell, rng)
