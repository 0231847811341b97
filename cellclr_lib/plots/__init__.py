"""Figures of the book and the reports: tables in, Plotly figures out; nothing is ever shown here.

`style` holds the palette and the look, `images` pictures of cells and fields, `fields` contrasts and dose
series, `layout` what lies on plates and in weeks, `screens` counts of cells on plates and what became of the
cells, `loss` what is pulled and pushed, `training` curves and the embedding map, `scores` everything about NSC and
NSCB, `postprocessing` what whitening and TVN do, `real` what the real screen costs and where its scores
stand, `gaps` how far simulated crops are from real ones, `tuning` the results of a sweep, `seeds` whether
they are more than luck, `views` random changes of cells, `ablations` which settings pay.
"""

from . import style
from .ablations import ablation
from .fields import beside, contrast, dose_series
from .gaps import spectrum_ratio, told_by_family
from .images import composite, field, montage, pairs
from .layout import compounds_by_week, moa_code, moa_plate_map
from .loss import circle_walk, hardest_negatives, push_enrichment, push_weights, similarity_matrices
from .postprocessing import (
    by_similarity,
    control_covariances,
    control_maps,
    control_spectrum,
    post_gains,
    score_path,
    week_told,
    whitening_sketch,
)
from .real import published_and_measured, published_table, real_among_draws, stage_times
from .scores import (
    admissible_neighbours,
    confusion,
    data_ladder,
    error_table,
    leaders,
    score_intervals,
    score_slope,
    score_table,
)
from .screens import illumination, intensity_scaling, plate_map, rejections
from .seeds import best_of_many, sweep_cost, sweep_interaction
from .style import moa_colour, note
from .training import embedding_map, training_curves
from .tuning import sweep_agreement, sweep_curves, sweep_heatmap, sweep_parallel
from .views import view_agreement, view_grid, view_matches

__all__ = [
    "ablation",
    "admissible_neighbours",
    "beside",
    "best_of_many",
    "by_similarity",
    "circle_walk",
    "composite",
    "compounds_by_week",
    "confusion",
    "contrast",
    "control_covariances",
    "control_maps",
    "control_spectrum",
    "data_ladder",
    "dose_series",
    "embedding_map",
    "error_table",
    "field",
    "hardest_negatives",
    "illumination",
    "intensity_scaling",
    "leaders",
    "moa_code",
    "moa_colour",
    "moa_plate_map",
    "montage",
    "note",
    "pairs",
    "plate_map",
    "post_gains",
    "published_and_measured",
    "published_table",
    "push_enrichment",
    "push_weights",
    "real_among_draws",
    "rejections",
    "score_intervals",
    "score_path",
    "score_slope",
    "score_table",
    "similarity_matrices",
    "spectrum_ratio",
    "stage_times",
    "sweep_agreement",
    "sweep_cost",
    "sweep_curves",
    "sweep_heatmap",
    "sweep_interaction",
    "sweep_parallel",
    "told_by_family",
    "training_curves",
    "view_agreement",
    "view_grid",
    "view_matches",
    "week_told",
    "whitening_sketch",
]

style.use_book_renderer_when_asked()
