"""Draw the properties of single cells: how mechanisms, doses, compounds and cells differ.

A dose decides how far a mechanism moves a cell; a compound deviates from its mechanism; and every cell responds in
its own measure. The numbers are in `mechanisms`. Explained in chapter 1, the screen.
"""

import numpy as np
import pandas as pd

from cellclr_lib.data.simulation.config import SimulationConfig
from cellclr_lib.data.simulation.mechanisms import (
    GROWN,
    GROWTH_SPREAD,
    MECHANISMS,
    POPULATION,
    SHARES,
    SIZES,
    STAIN_SPREAD,
    STAINED,
    STRAY,
    TRAITS,
)
from cellclr_lib.data.simulation.plate_map import generator, treatments


def dose_response(config: SimulationConfig, compound: str, concentration_um: float) -> float:
    """Compute the share of the full effect at a dose, 0..1, by a Hill curve.

    Half of the effect lies somewhat below the compound's lowest annotated dose, since only active doses are
    annotated: even the weakest does something. The exact place is drawn for each compound.
    """
    series = treatments()
    lowest = series.loc[series["compound"] == compound, "concentration_um"].min()
    half = lowest * np.exp(generator(config, "potency", compound).normal(-1.0, 0.5))
    return float(concentration_um / (concentration_um + half))


def effect(config: SimulationConfig, compound: str, moa: str, concentration_um: float) -> dict[str, float]:
    """Compute what a treatment does to a cell that responds in full.

    Returns
    -------
    dict
        One number per property: a logarithm of a factor for `SIZES` and ``density``, an addition for the rest.
        Everything is 0 for DMSO. ``response`` is the share of the full effect, 0..1.
    """
    names = [*SIZES, *TRAITS, *SHARES, *POPULATION]
    if compound == "DMSO":
        return dict.fromkeys([*names, "response"], 0.0)
    mechanism = MECHANISMS[moa]
    rng = generator(config, "compound", compound)
    response = dose_response(config, compound, concentration_um)
    out = {"response": response}
    for name in names:
        logarithmic = name in SIZES or name == "density"
        full = np.log(mechanism.get(name, 1.0)) if logarithmic else mechanism.get(name, 0.0)
        # A compound changes what its mechanism changes, by more or less, and a little of everything else.
        share = 1 + config.compound_deviation * rng.normal()
        stray = STRAY.get(name, 0.2) * config.compound_deviation * rng.normal()
        out[name] = config.phenotype_strength * response * (full * share + stray)
    return out


def culture(config: SimulationConfig, week: int, plate: str, well: str) -> dict[str, float]:
    """Draw how the cells of a well differ before any treatment: passage, serum, staining; by week, plate and well.

    Returns
    -------
    dict
        One number for each of `SIZES` (a logarithm of a factor) and `TRAITS` (an addition).
    """
    out = dict.fromkeys([*SIZES, *TRAITS], 0.0)
    sources = (
        (config.week_effect, 0.45, ("culture", week)),
        (config.plate_effect, 0.20, ("culture", plate)),
        (config.well_effect, 0.15, ("culture", plate, well)),
    )
    for scale, share, names in sources:
        rng = generator(config, *names)
        for name, (_, spread) in (SIZES | TRAITS).items():
            out[name] += scale * share * spread * rng.normal()
    return out


def looks(
    config: SimulationConfig,
    effects: dict[str, float],
    cultured: dict[str, float],
    n: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw the properties of n cells of one treatment.

    Parameters
    ----------
    effects, cultured : dict
        From `effect` and `culture`.

    Returns
    -------
    DataFrame
        One row per cell: ``strength`` (how much of the treatment's effect the cell shows), every name in `SIZES`
        and `TRAITS`, and ``state``: "interphase", "fragmented", "binucleate", "metaphase", "monopolar",
        "scattered" or "dead".
    """
    responds = rng.random(n) < config.responding
    strength = np.where(responds, rng.lognormal(0.0, 0.25 * config.cell_variation, n), 0.1)
    table = {"strength": strength * effects["response"]}
    shared = rng.normal(0.0, STAIN_SPREAD * config.cell_variation, n)
    growth = rng.normal(0.0, GROWTH_SPREAD * config.cell_variation, n)
    for name, (usual, spread) in SIZES.items():
        noise = rng.normal(0.0, spread * config.cell_variation, n) + shared * (name in STAINED)
        noise += growth * (name in GROWN)
        most = 0.7 if name.endswith("radius") else 1.2  # no cell is larger than twice or smaller than half
        shift = strength * effects[name] + cultured[name] + noise
        table[name] = usual * np.exp(np.clip(shift, -most, most))
    for name, (usual, spread) in TRAITS.items():
        noise = rng.normal(0.0, spread * config.cell_variation, n)
        table[name] = np.clip(usual + strength * effects[name] + cultured[name] + noise, 0.0, 1.6)
    share = {name: np.clip(usual + strength * effects[name], 0.0, 0.95) for name, usual in SHARES.items()}
    rounded = rng.random(n) < share["rounded"]
    table["rounding"] = table["rounding"] + rounded * rng.uniform(0.4, 1.0, n)
    chance = rng.random((5, n))
    state = np.full(n, "interphase", dtype=object)
    state[chance[0] < share["binucleate"]] = "binucleate"
    state[chance[1] < share["fragmented"]] = "fragmented"
    mitotic = chance[2] < share["mitotic"]
    kind = np.where(
        chance[3] < share["monopolar"],
        "monopolar",
        np.where(chance[3] < share["monopolar"] + share["scattered"], "scattered", "metaphase"),
    )
    state[mitotic] = kind[mitotic]
    state[chance[4] < share["dead"]] = "dead"
    table["state"] = state
    return pd.DataFrame(table)
