"""Simulate a screen in BBBC021's own layout, so that one reader serves both."""

from cellclr_lib.data.simulation.config import SimulationConfig
from cellclr_lib.data.simulation.writing import VERSION, simulate, simulate_field

__all__ = ["VERSION", "SimulationConfig", "simulate", "simulate_field"]
