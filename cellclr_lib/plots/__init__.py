"""Draw the figures that more than one page or a report needs: tables in, Plotly figures out.

`style` holds the palette and the look, `compositing` merges stains to colour, `galleries` shows cells and fields,
`plates` what lies in the wells of a plate, `training` curves and the embedding map, `scores` and `score_paths` NSC
and NSCB, `sweeps` and `parallel_coordinates` the results of a sweep, `ablations` which settings pay. What one
chapter alone draws is in `book/figures`.
"""

from cellclr_lib.plots import style
from cellclr_lib.plots.ablations import ablation
from cellclr_lib.plots.compositing import composite
from cellclr_lib.plots.galleries import field, montage, pairs
from cellclr_lib.plots.parallel_coordinates import sweep_parallel
from cellclr_lib.plots.plates import moa_code, moa_plate_map, plate_map
from cellclr_lib.plots.score_paths import score_path
from cellclr_lib.plots.scores import confusion, leaders, score_intervals, score_table
from cellclr_lib.plots.style import moa_colour, note
from cellclr_lib.plots.sweeps import sweep_agreement, sweep_curves, sweep_heatmap
from cellclr_lib.plots.training import embedding_map, training_curves

__all__ = [
    "ablation",
    "composite",
    "confusion",
    "embedding_map",
    "field",
    "leaders",
    "moa_code",
    "moa_colour",
    "moa_plate_map",
    "montage",
    "note",
    "pairs",
    "plate_map",
    "score_intervals",
    "score_path",
    "score_table",
    "sweep_agreement",
    "sweep_curves",
    "sweep_heatmap",
    "sweep_parallel",
    "training_curves",
]

style.use_book_renderer_when_asked()
