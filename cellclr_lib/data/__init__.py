"""A screen → single cells: read or simulate a screen, find nuclei, cut crops, keep them in a `CellStore`."""

from cellclr_lib.data.cropping import CropConfig, crop_cells, crop_screen, scale_to_uint8
from cellclr_lib.data.illumination import EvenScreen, Illumination, fit_illumination
from cellclr_lib.data.nuclei import find_nuclei, segment_nuclei
from cellclr_lib.data.positions import read_positions
from cellclr_lib.data.screen import Screen
from cellclr_lib.data.simulate import SimulationConfig, simulate
from cellclr_lib.data.store import CellStore

__all__ = [
    "CellStore",
    "CropConfig",
    "EvenScreen",
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
