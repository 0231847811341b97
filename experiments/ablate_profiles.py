"""Measure what makes a profile good: ``python -m experiments.ablate_profiles [--data ../shared/real/bbbc021]``.

From the features of trained encoders: how many cells does a well need, how many DMSO wells does post-processing
need, and which λ. On the default simulated screen and, with ``--data``, on the real crops (`real_crops.py`), three
seeds each. Cells and control wells are drawn five times. Written seed by seed; what the table holds is not
measured again. Explained in chapter 9, *the real screen*.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import TVN, Whitener, ZScore, aggregate_treatments, aggregate_wells, nsc, nscb
from cellclr_lib.settings import to_dict
from experiments.ablate_views import TRAINING
from experiments.real_crops import CHOSEN, RealCrops
from experiments.real_crops import SEEDS as REPORTED

RESULTS = Path(__file__).with_name("results") / "profiles.csv"
SEEDS, DRAWS = {"simulated": (0, 1, 2), "real": REPORTED[:3]}, 5
CELLS = (1, 2, 3, 5, 10, 20, 50)  # at most so many of each well
CONTROL_WELLS = (1, 2, 3, 4, 5, 6)  # at most so many DMSO wells of each plate
LAMS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
STEPS = {"whitening": Whitener, "tvn": TVN}


def simulated(seeds):
    """``(seed, meta, feats)`` of the default simulated screen, after the short training of `ablate_views`."""
    for seed in seeds:
        yield seed, *cache.features("simclr", replace(TRAINING, seed=seed))


def real(folder, seeds):
    """``(seed, meta, feats)`` of the real crops that are scored."""
    data = RealCrops(folder)
    for seed in seeds:
        feats = data.simclr(replace(CHOSEN, training=replace(CHOSEN.training, seed=seed)))
        yield seed, data.meta, feats[data.scored]


def measure(meta, feats, draws=DRAWS):
    """Measure all rows of one set of cells.

    Returns
    -------
    list of dict
        ``asked post cells_per_well control_wells lam draw nsc nscb``: what was asked, "cells", "controls" or
        "lam", the settings (NaN: all of them, or no λ), and the scores as shares.
    """
    rows = []
    for cells in (*CELLS, None):
        for draw in range(draws if cells else 1):
            kept = at_most(meta, ["plate", "well"], cells, draw)
            for post in ("z_score", "whitening"):
                rows.append(_row("cells", *aggregate_wells(meta[kept], feats[kept]), post, draw, cells=cells))
    meta, feats = aggregate_wells(meta, feats)
    treated = (meta["compound"] != "DMSO").to_numpy()
    for controls in CONTROL_WELLS:
        for draw in range(draws):
            kept = treated | at_most(meta, ["plate", "compound"], controls, draw)
            for post in STEPS:
                rows.append(_row("controls", meta[kept], feats[kept], post, draw, controls=controls))
    for lam in LAMS:
        for post in STEPS:
            rows.append(_row("lam", meta, feats, post, 0, lam=lam))
    return rows


def at_most(meta, group, most, draw):
    """Mask (n,) of at most so many rows of each group, drawn at random; all of them if `most` is None."""
    if most is None:
        return np.ones(len(meta), bool)
    chance = pd.Series(np.random.default_rng(draw).random(len(meta)))
    rank = chance.groupby([meta[name].to_numpy() for name in group]).rank(method="first")
    return (rank <= most).to_numpy()


def _row(asked, meta, feats, post, draw, cells=None, controls=None, lam=None):
    feats = ZScore(rows="all").fit_transform(meta, feats)
    if post in STEPS:
        feats = STEPS[post](1.0 if lam is None else lam).fit_transform(meta, feats)
    pair = aggregate_treatments(meta, feats)
    settings = {"asked": asked, "post": post, "cells_per_well": cells, "control_wells": controls, "lam": lam}
    return settings | {"draw": draw, "nsc": nsc(*pair).accuracy, "nscb": nscb(*pair).accuracy}


def main(arguments=None):
    """Measure what is missing; writes the table after every seed and its provenance at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ablate_profiles", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, help="folder of the real crops; without it, simulated cells only")
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    start = time.time()
    tables = [pd.read_csv(options.out)] if options.out.exists() else []
    done = {pair for table in tables for pair in zip(table["data"], table["seed"], strict=True)}
    sources = {"simulated": simulated}
    if options.data:
        sources["real"] = lambda seeds: real(options.data, seeds)
    for name, source in sources.items():
        for seed, meta, feats in source([seed for seed in SEEDS[name] if (name, seed) not in done]):
            table = pd.DataFrame(measure(meta, feats))
            table.insert(0, "data", name)
            table.insert(1, "seed", seed)
            tables.append(table)
            pd.concat(tables).to_csv(options.out, index=False, float_format="%.4f")
            print(f"[{(time.time() - start) / 60:5.1f} min] {name}, seed {seed}", flush=True)
    provenance.write(
        options.out.with_suffix(".json"),
        command="python -m experiments.ablate_profiles --data FOLDER",
        data="the default simulated screen, and the 1,294 scored real crops",
        simulation=to_dict(SimulationConfig()),
        cropping=to_dict(CropConfig()),
        training=to_dict(TRAINING),
        real=to_dict(CHOSEN),
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    sys.exit(main())
