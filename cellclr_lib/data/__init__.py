"""Turn a screen into single cells: read or simulate it, find nuclei, cut crops, keep them in a `CellStore`.

Coordinates have one convention. An array of places is ``(row, column)``, as an array of pixels is: `find_nuclei`
and `read_positions` give such centres and `crop_cells` takes them. A table names its columns ``x_px`` (column) and
``y_px`` (row). Both are in px and count from 0 at the middle of the first pixel.
"""

from cellclr_lib.data.field_cropping import CropConfig, crop_cells, scale_to_uint8
from cellclr_lib.data.illumination import CorrectedScreen, Illumination, fit_illumination
from cellclr_lib.data.nuclei import find_nuclei, segment_nuclei
from cellclr_lib.data.positions import read_positions
from cellclr_lib.data.screen import Screen
from cellclr_lib.data.screen_cropping import crop_screen
from cellclr_lib.data.simulation import SimulationConfig, simulate
from cellclr_lib.data.store import CellStore

__all__ = [
    "CellStore",
    "CorrectedScreen",
    "CropConfig",
    "Illumination",
    "Screen",
    "SimulationConfig",
    "crop_cells",
    "crop_screen",
    "find_nuclei",
    "fit_illumination",
    "read_positions",
    "scale_to_uint8",
    "segment_nuclei",
    "simulate",
]
