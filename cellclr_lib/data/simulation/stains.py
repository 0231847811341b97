"""Draw what each stain shows of a cell: chromatin, microtubules, actin, and the figures of division.

All levels are camera counts above background. Explained in chapter 1, the screen.
"""

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from cellclr_lib.data.simulation.brush import (
    STEP_PX,
    bumps,
    distance,
    ellipse,
    filaments,
    grid,
    polar,
    soft,
    texture,
    window,
)

DNA, TUBULIN, ACTIN = 0, 1, 2
ORDINARY_NUCLEUS_PX = 18.0  # radius
DIVISION_PX = 34  # half width of the patch that holds a dividing cell


def nucleus(layer: np.ndarray, cell: Any, rng: np.random.Generator) -> None:
    """Draw the chromatin of a cell that is not dividing, in one piece, two, or many."""
    radius = cell.nucleus_radius
    if cell.state == "fragmented":
        n = int(rng.integers(3, 9))
        y, x = polar(rng.uniform(0, 2 * np.pi, n), radius * rng.uniform(0.3, 1.0, n))
        pieces = list(zip(y, x, radius * rng.uniform(0.35, 0.75, n), strict=True))
    elif cell.state == "binucleate":
        y, x = polar(rng.uniform(0, np.pi), 0.9 * radius)
        pieces = [(y, x, 0.88 * radius), (-y, -x, 0.88 * radius)]
    else:
        pieces = [(0.0, 0.0, radius)]
    half = int(2.6 * radius) + 4
    image = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for y, x, size in pieces:
        np.maximum(image, _lump(cell, half, y, x, size, rng), out=image)
    image *= 1.0 + cell.chromatin * (0.9 * texture(half, 1.0, rng) + 0.4 * texture(half, 3.5, rng))
    for _ in range(rng.integers(1, 4)):
        hole = polar(rng.uniform(0, 2 * np.pi, 1), rng.uniform(0.1, 0.6, 1) * radius)
        image *= 1.0 - min(cell.nucleoli, 0.8) * bumps(half, *hole, rng.uniform(1.6, 3.0))
    level = cell.dna * (ORDINARY_NUCLEUS_PX / radius) ** 1.2 * (1.0 + 0.6 * min(cell.rounding, 1.0))
    layer[DNA][window(cell, half)] += level * image


def _lump(cell: Any, half: int, y: float, x: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Draw one piece of a nucleus: an ellipse with bulges and clefts, a soft edge and a domed profile."""
    rows, columns = grid(half)
    rows, columns = rows - np.float32(y), columns - np.float32(x)
    away, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    aspect = 1.0 + cell.nucleus_elongation * rng.uniform(0.5, 1.4)
    edge = size * ellipse(angle - np.float32(rng.uniform(0, np.pi)), np.float32(aspect))
    for k in (2, 3, 4, 6):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        edge = edge * (1.0 + min(cell.lobes, 0.6) * rng.normal(0, 1.2 / k) * np.cos(k * angle + phase))
    edge = np.clip(edge, 0.4 * size, 1.7 * size)
    dome = np.sqrt(np.clip(1.0 - (away / edge) ** 2, 0.0, 1.0))
    return soft(edge - away, 2.0) * (0.75 + 0.25 * dome)


def tubulin(
    out: np.ndarray,
    cell: Any,
    axis: float,
    half: int,
    mask: np.ndarray,
    dome: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Microtubules of a spread cell: a haze, a network of threads, and under stabilizers thick ropes."""
    radius, area = cell.cell_radius, max(float(mask.sum()), 200.0)
    from_nucleus = distance(half) / cell.nucleus_radius
    near = np.exp(-((from_nucleus / 1.6) ** 2))
    shadow = 1.0 - 0.45 * soft(0.95 * cell.nucleus_radius - distance(half), 9.0)
    body = dome * shadow * (0.85 + cell.perinuclear * (1.9 * near - 0.25))
    steps = int(1.1 * radius)
    n = int(np.clip(area * 1.3 / steps, 12, 300))
    angle, reach = rng.uniform(0, 2 * np.pi, n), 0.95 * radius * np.sqrt(rng.uniform(0.02, 1.0, n))
    sideways = np.where(rng.random(n) < 0.5, 1, -1) * (np.pi / 2) * np.clip(1.15 - cell.radial, 0.0, 1.0)
    heading = np.where(rng.random(n) < 0.7 * cell.elongation, axis, angle + sideways) + rng.normal(0, 0.4, n)
    threads = filaments(half, *polar(angle, reach), heading, steps, 0.09, 0.03, rng)
    share = min(cell.fibres, 1.0)
    image = body * ((1.0 - 0.72 * share) + 0.62 * share * threads)
    if cell.vacuoles > 0.1:
        holes = np.clip(texture(half, 3.2, rng) * 2.2 - 1.0, 0.0, 1.0)
        image *= 1.0 - min(cell.vacuoles, 1.0) * holes
    if cell.bundles > 0.1:
        m = int(5 + 14 * min(cell.bundles, 1.0))
        angle, reach = rng.uniform(0, 2 * np.pi, m), cell.nucleus_radius * rng.uniform(0.9, 1.6, m)
        heading = angle + np.pi / 2 + rng.normal(0, 0.5, m)
        around = rng.uniform(-0.3, 1.0, m) * STEP_PX / reach  # bent around the nucleus, more or less
        ropes = filaments(half, *polar(angle, reach), heading, int(1.4 * steps), 0.05, 0.015, rng, around)
        image += 3.8 * min(cell.bundles, 1.4) * gaussian_filter(ropes, 1.0) * np.sqrt(mask * body)
    if cell.aggresome > 0.15:
        image += 1.2 * _aggresome(cell, half, rng) * mask
    out += cell.tubulin * image


def actin(
    out: np.ndarray,
    cell: Any,
    axis: float,
    half: int,
    free: np.ndarray,
    border: np.ndarray,
    mask: np.ndarray,
    sheet: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Actin of a spread cell: cytoplasm, the free edge, junctions, stress fibres, aggregates."""
    away = distance(half) / cell.nucleus_radius
    over = 1.0 - 0.42 * soft((1.05 - away) * cell.nucleus_radius, 7.0)  # most of it runs beside the nucleus
    image = 1.1 * over * sheet * (1.0 + 0.12 * texture(half, 4.0, rng) + 0.10 * texture(half, 1.0, rng))
    patchy = np.clip(0.7 + 0.7 * texture(half, 6.0, rng), 0.0, 2.2)
    image += 1.3 * cell.cortex * patchy * np.exp(-(((free - 2.0) / 2.0) ** 2)) * mask
    image += 1.5 * cell.junctions * (0.4 + 0.6 * patchy) * np.exp(-((border / 2.2) ** 2)) * soft(free, 3.0)
    if cell.stress_fibres > 0.05:
        n = int(3 + 18 * min(cell.stress_fibres, 1.0))
        across, along = rng.normal(0, 0.5, n) * cell.cell_radius, rng.uniform(-1.0, 0.2, n) * cell.cell_radius
        y = along * np.sin(axis) + across * np.cos(axis)
        x = along * np.cos(axis) - across * np.sin(axis)
        cables = filaments(half, y, x, axis + rng.normal(0, 0.15, n), int(cell.cell_radius), 0.015, 0.006, rng)
        image += 0.9 * min(cell.stress_fibres, 1.2) * cables * mask
    if cell.speckles > 0.15:
        amount, side = min(cell.speckles, 1.3), 2 * half + 1
        n = int(0.02 * amount * side * side)
        spots = np.bincount(rng.integers(0, side * side, n), rng.lognormal(-0.5, 0.9, n), side * side)
        spots = spots.reshape(side, side).astype(np.float32)
        spots = gaussian_filter(spots, 1.0) + 1.2 * gaussian_filter(spots, 2.5)
        clustered = np.clip(0.8 + texture(half, 9.0, rng), 0.1, 2.5)
        image = image * (1.0 - 0.3 * min(amount, 1.0)) + 9.0 * amount * spots * clustered * sheet
    if cell.aggresome > 0.15:
        image += 0.9 * _aggresome(cell, half, rng) * mask
    out += cell.actin * image


def _aggresome(cell: Any, half: int, rng: np.random.Generator) -> np.ndarray:
    y, x = polar(rng.uniform(0, 2 * np.pi), 1.15 * cell.nucleus_radius)
    return min(cell.aggresome, 1.4) * bumps(half, np.array([y]), np.array([x]), 0.4 * cell.nucleus_radius)


def ball(layer: np.ndarray, cell: Any, radius: float, rng: np.random.Generator) -> None:
    """Draw a rounded cell: bright in tubulin and actin because all of it lies in one heap, often with blebs."""
    half = int(radius) + 10
    where, away = window(cell, half), distance(half)
    dome = np.sqrt(np.clip(1.0 - (away / radius) ** 2, 0.0, 1.0))
    uneven = 1.0 + 0.18 * texture(half, 5.0, rng) + 0.08 * texture(half, 1.5, rng)
    layer[TUBULIN][where] += 2.0 * cell.tubulin * dome * uneven
    patchy = np.clip(0.6 + 0.8 * texture(half, 4.0, rng), 0.0, 2.2)
    image = 2.8 * dome * uneven + 1.0 * patchy * np.exp(-(((away - radius + 2.0) / 2.0) ** 2))
    n = rng.integers(0, 7)
    image += 0.9 * bumps(half, *polar(rng.uniform(0, 2 * np.pi, n), radius + rng.uniform(-1, 4, n)), 2.5)
    layer[ACTIN][where] += cell.actin * image


def division(layer: np.ndarray, cell: Any, rng: np.random.Generator) -> None:
    """Draw condensed chromosomes and the spindle: a plate, two halves, a rosette around one pole, or disorder."""
    half, axis = DIVISION_PX, rng.uniform(0, np.pi)
    where = window(cell, half)
    if cell.state == "monopolar":
        ring = rng.uniform(4.0, 8.0)
        y, x = polar(rng.uniform(0, 2 * np.pi, 18), ring * rng.uniform(0.6, 1.3, 18))
        chromosomes, poles = bumps(half, y, x, 2.0), [(0.0, 0.0, 90)]
    elif cell.state == "scattered":
        y, x = rng.normal(0, 4.8, (2, 16))
        chromosomes, poles = bumps(half, y, x, 2.0), []
    else:
        apart = rng.choice([0.0, 0.0, 6.5])  # a plate, or two halves moving apart
        along = np.linspace(-9, 9, 13)
        chromosomes = np.zeros(1, np.float32)
        for side in {apart, -apart}:
            y = along * np.cos(axis) + side * np.sin(axis) + rng.normal(0, 0.7, 13)
            x = -along * np.sin(axis) + side * np.cos(axis) + rng.normal(0, 0.7, 13)
            chromosomes = chromosomes + bumps(half, y, x, 2.2)
        poles = [(*polar(axis, side * (apart + 9.0)), 40) for side in (-1, 1)]
    layer[DNA][where] += 2.2 * cell.dna * chromosomes / (1.0 + 0.3 * chromosomes)
    for y, x, n in poles:
        heading = rng.uniform(0, 2 * np.pi, n)
        rays = filaments(half, np.full(n, y), np.full(n, x), heading, 8, 0.08, 0.0, rng)
        layer[TUBULIN][where] += 1.6 * cell.tubulin * gaussian_filter(np.minimum(rays, 6.0), 0.8)


def condensed(layer: np.ndarray, cell: Any, rng: np.random.Generator) -> None:
    """Draw a dying cell: a few dense, very bright clumps."""
    n = int(rng.integers(1, 5))
    y, x = rng.normal(0, 3.0, (2, n))
    clumps = bumps(DIVISION_PX, y, x, rng.uniform(2.5, 4.0))
    layer[DNA][window(cell, DIVISION_PX)] += 4.0 * cell.dna * clumps / (1.0 + 0.3 * clumps)


def debris(layer: np.ndarray, cell: Any, rng: np.random.Generator) -> None:
    """Draw a speck or smear that is no cell."""
    rows, columns = grid(DIVISION_PX)
    size, angle, aspect = rng.uniform(1.2, 5.0), rng.uniform(0, np.pi), rng.uniform(1.0, 3.0)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    speck = np.exp(-(across**2 * aspect + along**2 / aspect) / (2 * size**2))
    for channel, level in zip((DNA, TUBULIN, ACTIN), rng.lognormal(4.8, 0.9, 3), strict=True):
        layer[channel][window(cell, DIVISION_PX)] += min(level, 1500.0) * speck
