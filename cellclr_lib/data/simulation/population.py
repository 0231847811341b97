"""Place the cells of a field: crowding, islands, debris. Explained in chapter 1, the screen."""

import numpy as np
import pandas as pd

from cellclr_lib.data.simulation.config import SimulationConfig
from cellclr_lib.data.simulation.mechanisms import POPULATION
from cellclr_lib.data.simulation.phenotypes import culture, effect, looks
from cellclr_lib.data.simulation.plate_map import generator

MARGIN_PX = 36  # cells are placed this far outside the field too, so that border cells are cut as in life

TALL_OUT_OF_FOCUS = 0.35  # share of rounded cells whose nucleus lies above the focal plane


def populate(config: SimulationConfig, field: pd.Series) -> tuple[pd.DataFrame, np.random.Generator]:
    """Place the cells and debris of one field.

    Parameters
    ----------
    field : Series
        A row of `plate_map.fields`.

    Returns
    -------
    cells : DataFrame
        One row per cell or piece of debris whose centre lies within `MARGIN_PX` of the field:
        ``x_px y_px`` (column and row of the nucleus centre), the columns of `phenotypes.looks`,
        ``is_debris``, ``out_of_focus``.
    rng : numpy.random.Generator
        The field's generator, for drawing what is left to draw.
    """
    rng = generator(config, "field", field.plate, field.well, field.site)
    effects = effect(config, field.compound, field.moa, field.concentration_um)
    crowding = sum(
        scale * spread * generator(config, "crowding", *names).normal()
        for scale, spread, names in (
            (config.week_effect, 0.14, (field.week,)),
            (config.plate_effect, 0.08, (field.plate,)),
            (config.well_effect, 0.15, (field.plate, field.well)),
        )
    )
    density = POPULATION["density"] * np.exp(np.clip(config.responding * effects["density"] + crowding, -0.5, 0.4))
    islands = float(np.clip(POPULATION["islands"] + effects["islands"], 0.0, 0.98))
    height, width = (side + 2 * MARGIN_PX for side in config.field_px)
    expected = density * height * width / config.area_per_cell_px2
    n = max(1, round(expected + 0.5 * np.sqrt(expected) * rng.normal()))
    cells = looks(config, effects, culture(config, field.week, field.plate, field.well), n, rng)
    centres = _place(cells["nucleus_radius"].to_numpy(), (height, width), islands, rng) - MARGIN_PX
    cells.insert(0, "x_px", centres[:, 1])
    cells.insert(1, "y_px", centres[:, 0])
    cells["is_debris"] = rng.random(n) < config.debris
    tall = ~cells["state"].isin(["interphase", "fragmented", "binucleate"])
    cells["out_of_focus"] = rng.random(n) < np.where(tall, TALL_OUT_OF_FOCUS, config.out_of_focus)
    return cells, rng


def _place(radii: np.ndarray, shape: tuple[int, int], islands: float, rng: np.random.Generator) -> np.ndarray:
    """Choose centres (n, 2), (row, column) in whole px: nuclei rarely overlap, and cells gather in islands."""
    centres = np.empty((len(radii), 2))
    for i, radius in enumerate(radii):
        best, best_gap = None, -np.inf
        for _ in range(12):
            if i and rng.random() < islands:
                angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(2.3, 3.8)
                spot = centres[rng.integers(i)] + reach * np.array([np.sin(angle), np.cos(angle)])
            else:
                spot = rng.uniform((0, 0), shape)
            if not (0 <= spot[0] < shape[0] and 0 <= spot[1] < shape[1]):
                continue
            gap = (np.hypot(*(centres[:i] - spot).T) - radii[:i]).min() - radius if i else np.inf
            if gap > best_gap:
                best, best_gap = spot, gap
            if gap > 0.35 * radius:
                break
        centres[i] = rng.uniform((0, 0), shape) if best is None else best
    return np.floor(centres).astype(int)
