"""Measure features of cells to scores: wells, TVN, treatments, NSC and NSCB, in BBBC021's plate layout.

The first case is the whole way, in a process of its own whose highest memory is `memory_gb`, the features
included: mean of each well, then NSC and NSCB once raw and once after z-score and TVN. The others take its parts
at sizes that the peers can finish. Wells: the per-row loop of published code, expressed again (one table of
metadata and features, added up row by row), and pycytominer's `aggregate` on the same table. Neighbours: the
per-row loop compares treatments pair by pair. Whitening: pycytominer's `normalize`, standardise and then spherize
(PCA) on DMSO wells, against `ZScore` and `Whitener`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.data import Screen, SimulationConfig
from cellclr_lib.data.screen import IMAGE_TABLE, MOA_TABLE
from cellclr_lib.data.simulation import plate_map
from cellclr_lib.profiles import Whitener, ZScore, aggregate_treatments, aggregate_wells, nsc, nscb, postprocess
from speed import paper
from speed.measure import RUNS, PeakMemory, in_fresh_process, installed, per_call, take_turns


def measure(results, cells=450_000, width=2048, cells_for_peers=20_000, runs=RUNS):
    """Seconds of the whole way and of its parts."""
    seconds, peak = in_fresh_process(_whole, cells, width, runs)
    case = f"{cells:,} cells × {width:,} features to NSC and NSCB, raw and TVN"
    results.add(case, {"cellclr": seconds}, cells, "cells", memory_gb={"cellclr": peak})

    meta, feats = simulated_features(cells_for_peers, width)
    names = [f"Cells_{i}" for i in range(width)]
    table = pd.concat([meta, pd.DataFrame(feats, columns=names)], axis=1)
    variants = {
        "cellclr": lambda: aggregate_wells(meta, feats),
        "per-row loop": lambda: paper.mean_of_wells(table, width),
    }
    variants |= installed({"pycytominer": lambda: _pycytominer_wells(table, names)})
    case = f"mean of each well, {cells_for_peers:,} cells × {width:,}"
    results.add(case, take_turns(variants, runs), cells_for_peers, "cells")

    well_meta, well_feats = aggregate_wells(meta, feats)
    treated, profiles = aggregate_treatments(well_meta, well_feats)
    variants = {
        "cellclr": per_call(lambda: (nsc(treated, profiles), nscb(treated, profiles))),
        "per-row loop": lambda: [paper.nearest_moa(treated, profiles, other) for other in (False, True)],
    }
    results.add(f"NSC and NSCB of {len(treated)} treatments", take_turns(variants, runs), 1, "times")

    variants = {"cellclr": lambda: whitened(well_meta, well_feats)}
    variants |= installed({"pycytominer": lambda: _pycytominer_whitening(well_meta, well_feats, names)})
    case = f"z-score and whitening, {len(well_meta):,} wells × {width:,}"
    results.add(case, take_turns(variants, runs), len(well_meta), "wells")


def simulated_features(cells, width, seed=0):
    """(meta, feats) of cells of the annotated wells of BBBC021, DMSO and taxol included; features are noise."""
    plan = plate_map.fields(SimulationConfig.full_size())
    with tempfile.TemporaryDirectory() as folder:
        plate_map.image_table(plan).to_csv(Path(folder) / IMAGE_TABLE, index=False)
        plate_map.moa_table(plan).to_csv(Path(folder) / MOA_TABLE, index=False)
        table = Screen(folder).wells
    meta = table.iloc[np.arange(cells) * len(table) // cells].reset_index(drop=True)
    return meta, np.random.default_rng(seed).standard_normal((cells, width), dtype=np.float32)


def scores(meta, feats):
    """Score features of cells: {post: (NSC, NSCB)}."""
    meta, feats = aggregate_wells(meta, feats)
    found = {}
    for post in ("none", "tvn"):
        table, profiles = aggregate_treatments(meta, postprocess(meta, feats, post))
        found[post] = nsc(table, profiles).accuracy, nscb(table, profiles).accuracy
    return found


def whitened(meta, feats):
    """Wells after z-score and whitening on DMSO."""
    feats = ZScore(rows="all").fit_transform(meta, feats)
    return Whitener().fit_transform(meta, feats)


def _whole(cells, width, runs):
    meta, feats = simulated_features(cells, width)
    with PeakMemory() as peak:
        seconds = take_turns({"cellclr": lambda: scores(meta, feats)}, runs)["cellclr"]
    return seconds, peak.gb


def _pycytominer_wells(table, names):
    import pycytominer

    def run():
        return pycytominer.aggregate(table, strata=["plate", "well"], features=names, operation="mean")

    return run


def _pycytominer_whitening(meta, feats, names):
    import pycytominer

    table = pd.concat([meta.add_prefix("Metadata_"), pd.DataFrame(feats, columns=names)], axis=1)
    about = dict(features=names, meta_features=[f"Metadata_{column}" for column in meta])

    def run():
        standard = pycytominer.normalize(table, samples="all", method="standardize", **about)
        controls = "Metadata_compound == 'DMSO'"
        return pycytominer.normalize(
            standard, samples=controls, method="spherize", spherize_method="PCA", spherize_epsilon=1.0, **about
        )

    return run
