"""The committed record says that the simulation is as hard as reality, and the defaults are what it measured."""

import json

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data.simulation import SimulationConfig


@pytest.fixture
def record(repository):
    folder = repository / "experiments" / "results"
    return json.loads((folder / "calibration.json").read_text()), pd.read_csv(folder / "calibration.csv")


def test_the_defaults_are_the_calibrated_ones(record):
    difficulty = record[0]["difficulty"]
    assert {"phenotype_strength", "compound_deviation", "responding", "week_effect"} <= set(difficulty)
    for name, value in difficulty.items():
        assert getattr(SimulationConfig(), name) == value, name
        assert getattr(SimulationConfig.full_size(), name) == value, name


def test_real_scores_lie_within_the_central_90_percent_of_the_draws(record):
    record, table = record
    assert record["holds"] and record["draws"] >= 20 and record["central"] == 0.9
    for method in ("handcrafted", "untrained"):
        rows = table[table["method"] == method]
        drawn = rows[rows["draw"] != "real"]
        assert len(drawn) == record["draws"]
        for score, total in (("nsc", 103), ("nscb", 92)):
            real = rows.loc[rows["draw"] == "real", score].item()
            low, high = np.percentile(drawn[score], (5, 95))
            assert low <= real <= high and 0 < real < total
            assert record["scores"][method][score]["real"] == real
            assert record["scores"][method][score]["total"] == total
