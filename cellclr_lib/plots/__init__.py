"""Figures of the book and the reports: tables in, Plotly figures out; nothing is ever shown here.

`style` holds the palette and the look, `images` pictures of cells and fields, `screens` plate maps and what
became of the cells, `training` curves and the embedding map, `scores` everything about NSC and NSCB,
`tuning` the results of a sweep.
"""

from . import style
from .images import composite, field, montage, pairs
from .scores import (
    admissible_neighbours,
    confusion,
    data_ladder,
    error_table,
    score_intervals,
    score_slope,
    score_table,
)
from .screens import intensity_scaling, plate_map, rejections
from .style import moa_colour
from .training import embedding_map, training_curves
from .tuning import sweep_agreement, sweep_curves, sweep_heatmap, sweep_parallel

__all__ = [
    "admissible_neighbours",
    "composite",
    "confusion",
    "data_ladder",
    "embedding_map",
    "error_table",
    "field",
    "intensity_scaling",
    "moa_colour",
    "montage",
    "pairs",
    "plate_map",
    "rejections",
    "score_intervals",
    "score_slope",
    "score_table",
    "sweep_agreement",
    "sweep_curves",
    "sweep_heatmap",
    "sweep_parallel",
    "training_curves",
]

style.use_book_renderer_when_asked()
