"""Hold the settings of a simulated screen. Explained in chapter 1, the screen."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class SimulationConfig:
    """Set size and difficulty of a simulated screen in BBBC021's layout. Explained in chapter 1, the screen.

    The size settings may be changed freely. The difficulty settings are calibrated on real crops
    (``python -m experiments.calibrate_simulation``) and frozen; a test compares them with the committed record.

    Raises
    ------
    ValueError
        If a value is impossible; names the field.

    Examples
    --------
    >>> SimulationConfig(weeks=(1, 2)).weeks
    (1, 2)
    >>> SimulationConfig.smoke().field_px
    (224, 224)
    """

    #: same seed, settings and kind of processor, same bytes; on another kind single pixels differ by one count
    seed: int = 0
    # --- size
    weeks: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)  #: weeks (batches) to simulate
    replicates: int = 3  #: plates per plate set, at most 3
    field_px: tuple[int, int] = (448, 448)  #: height and width of a field; the real ones are (1024, 1280)
    treated_sites: int = 2  #: fields per treated well; 4 in the real screen
    control_sites: int = 1  #: fields per DMSO or positive-control well; 4 in the real screen
    dmso_wells: int = 6  #: DMSO wells per plate, at most 6
    taxol_wells: int = 1  #: positive-control wells (taxol 0.3 uM) per plate, at most 6
    area_per_cell_px2: float = 5500.0  #: field area per cell in DMSO wells; toxic treatments hold fewer
    # --- difficulty: the biology
    phenotype_strength: float = 1.25  #: how far a mechanism moves a fully responding cell from DMSO
    compound_deviation: float = 0.20  #: how far compounds of one mechanism differ from one another
    responding: float = 0.85  #: fraction of cells that respond at full dose
    cell_variation: float = 1.0  #: cell-to-cell spread of every property, in units of the modelled spread
    # --- difficulty: the nuisances
    week_effect: float = 1.0  #: spread between weeks of gain, offset, blur and background
    plate_effect: float = 1.0  #: the same between plates of a week
    well_effect: float = 1.0  #: the same between wells of a plate
    out_of_focus: float = 0.02  #: fraction of fields, and of single cells, that lie out of focus
    debris: float = 0.025  #: debris per cell

    def __post_init__(self) -> None:
        limits = {
            "replicates": (1, 3),
            "dmso_wells": (1, 6),
            "taxol_wells": (0, 6),
            "treated_sites": (1, 99),
            "control_sites": (1, 99),
            "responding": (0, 1),
            "out_of_focus": (0, 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"SimulationConfig.{name} is {value}; it must lie in {low}..{high}")
        object.__setattr__(self, "weeks", tuple(int(week) for week in self.weeks))
        object.__setattr__(self, "field_px", tuple(int(side) for side in self.field_px))
        if not self.weeks or len(set(self.weeks)) < len(self.weeks) or not set(self.weeks) <= set(range(1, 11)):
            raise ValueError(f"SimulationConfig.weeks is {self.weeks}; give different weeks out of 1..10")
        if len(self.field_px) != 2 or min(self.field_px) < 64:
            raise ValueError(f"SimulationConfig.field_px is {self.field_px}; give (height, width) of 64 or more")

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """Return a tiny screen, a few hundred cells in seconds: weeks 1 and 3, enough for NSC and NSCB."""
        settings: dict[str, Any] = {
            "weeks": (1, 3),
            "replicates": 2,
            "field_px": (224, 224),
            "treated_sites": 1,
            "dmso_wells": 2,
            "taxol_wells": 0,
            "area_per_cell_px2": 4000.0,
        }
        return cls(**(settings | changes))

    @classmethod
    def full_size(cls, **changes: Any) -> Self:
        """Return the real screen's size: 1024 x 1280 px, four sites a well, six positive-control wells a plate."""
        settings: dict[str, Any] = {"field_px": (1024, 1280), "treated_sites": 4, "control_sites": 4}
        settings["taxol_wells"] = 6
        return cls(**(settings | changes))
