"""A simulated screen in BBBC021's own layout, so that one reader serves both."""

from cellclr_lib.data.simulate.config import SimulationConfig
from cellclr_lib.data.simulate.writing import simulate, simulate_field

__all__ = ["SimulationConfig", "simulate", "simulate_field"]
