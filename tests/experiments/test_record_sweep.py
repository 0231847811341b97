"""The sweep behind chapter 8: complete, at equal cost, of the settings that a run would use now."""

import json

import pandas as pd
import pytest

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig


@pytest.fixture
def results(repository):
    return repository / "experiments/results"


@pytest.fixture
def trials(results):
    return pd.read_csv(results / "sweep.csv")


def test_every_setting_with_every_seed(trials):
    assert trials["error"].isna().all()
    seeds = trials.groupby(["temperature", "batch_size"])["seed"].nunique()
    assert len(seeds) == trials["temperature"].nunique() * trials["batch_size"].nunique() >= 9
    assert (seeds == trials["seed"].nunique()).all() and trials["seed"].nunique() >= 3


def test_equal_budget_and_shares(trials):
    assert trials["cells_seen"].nunique() == 1
    assert trials[["retrieval", "week_accuracy", "nsc", "nscb", "top1"]].stack().between(0, 1).all()
    assert "checkpoint_path" not in trials  # a path of the machine that ran it


def test_the_curves_end_where_the_trials_do(results, trials):
    curves = pd.read_csv(results / "sweep_history.csv")
    names = ["temperature", "batch_size", "seed"]
    last = curves.sort_values("epoch").groupby(names)[["retrieval", "loss", "cells_seen"]].last()
    pd.testing.assert_frame_equal(
        last, trials.set_index(names)[["retrieval", "loss", "cells_seen"]].sort_index(), rtol=1e-4
    )


def test_provenance(repository, results, monkeypatch):
    from cellclr_lib.pipeline.provenance import changed_settings

    record = json.loads((results / "sweep.json").read_text())
    assert {"date", "commit", "versions", "processor", "cores", "command"} <= set(record) and not record["changed"]
    settings = {"simulation": SimulationConfig(), "cropping": CropConfig(), "training": TrainConfig()}
    for name, value in settings.items():
        assert not changed_settings(record[name], value), f"{name} changed: run the sweep again"


def test_an_unfinished_sweep_is_refused(repository, monkeypatch, tmp_path, capsys):
    from experiments import record_sweep

    assert record_sweep.main([str(tmp_path), "--command", "none"]) == 1
    assert "history.csv" in capsys.readouterr().err
