"""The ablation of profiles: what it draws, and that its ends are the library's own scores."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import Whitener, ZScore, aggregate_treatments, aggregate_wells, nscb


@pytest.fixture
def ablation(repository, monkeypatch):
    from experiments import ablate_profiles

    return ablate_profiles


@pytest.fixture(scope="module")
def cells():
    """Noise in two weeks of three plates: two mechanisms, DMSO in six wells a plate, up to nine cells a well."""
    rng = np.random.default_rng(0)
    rows = []
    for plate in range(6):
        week = f"Week{plate // 3 + 1}"
        for place in range(6):
            rows += [(f"P{plate}", f"D{place}", week, "DMSO", 0.0, "DMSO", "control")] * rng.integers(3, 9)
        for place, (compound, moa) in enumerate([("a", "x"), ("b", "y")]):
            name = f"{compound}{week}"
            rows += [(f"P{plate}", f"T{place}", week, name, 1.0, moa, "treatment")] * rng.integers(3, 9)
    names = ["plate", "well", "batch", "compound", "concentration_um", "moa", "role"]
    return pd.DataFrame(rows, columns=names), rng.normal(size=(len(rows), 4))


def test_at_most_so_many_of_each_group(ablation, cells):
    meta, _ = cells
    kept = ablation.at_most(meta, ["plate", "well"], 4, draw=0)
    sizes = meta.groupby(["plate", "well"]).size()
    np.testing.assert_array_equal(meta[kept].groupby(["plate", "well"]).size(), sizes.clip(upper=4))
    np.testing.assert_array_equal(kept, ablation.at_most(meta, ["plate", "well"], 4, draw=0))
    assert (kept != ablation.at_most(meta, ["plate", "well"], 4, draw=1)).any()
    assert ablation.at_most(meta, ["plate", "well"], None, draw=0).all()


def test_all_cells_and_controls_give_the_scores_of_the_library(ablation, cells):
    meta, feats = cells
    table = pd.DataFrame(ablation.measure(meta, feats, draws=2))
    well_meta, well_feats = aggregate_wells(meta, feats)
    profiles = ZScore(rows="all").fit_transform(well_meta, well_feats)
    profiles = Whitener(1.0).fit_transform(well_meta, profiles)
    expected = nscb(*aggregate_treatments(well_meta, profiles)).accuracy
    whitened = table[table["post"] == "whitening"]
    assert (whitened[(whitened["asked"] == "cells") & whitened["cells_per_well"].isna()]["nscb"] == expected).all()
    assert (whitened[whitened["control_wells"] == 6]["nscb"] == expected).all()
    assert (whitened[whitened["lam"] == 1]["nscb"] == expected).all()
    assert table.groupby("asked").size().to_dict() == {
        "cells": 2 * (2 * len(ablation.CELLS) + 1), "controls": 2 * 2 * len(ablation.CONTROL_WELLS),
        "lam": 2 * len(ablation.LAMS),
    }  # fmt: skip


def test_committed_table(ablation, repository):
    table = pd.read_csv(repository / "experiments/results/profiles.csv")
    assert set(table["data"]) == {"simulated", "real"} and table[["nsc", "nscb"]].stack().between(0, 1).all()
    assert {name: set(rows["seed"]) for name, rows in table.groupby("data")} == {
        name: set(seeds) for name, seeds in ablation.SEEDS.items()
    }
    every = len(ablation.CELLS), len(ablation.CONTROL_WELLS), len(ablation.LAMS)
    expected = 2 * (ablation.DRAWS * (every[0] + every[1]) + 1 + every[2])
    assert (table.groupby(["data", "seed"]).size() == expected).all()
