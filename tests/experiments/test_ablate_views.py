"""The ablation of views: its variants differ in what their names say, its committed results are complete."""

import json
from dataclasses import asdict

import pandas as pd
import pytest

from cellclr_lib.views import ViewConfig

DEFAULT, NONE = asdict(ViewConfig()), asdict(ViewConfig.none())


@pytest.fixture(scope="module")
def ablation(repository):
    from experiments import ablate_views

    return ablate_views


@pytest.fixture(scope="module")
def variants(ablation):
    return ablation.variants()


def changed(views, reference):
    """Settings of `views` that differ from a dict of settings, with their values."""
    return {name: value for name, value in asdict(views).items() if value != reference[name]}


def test_changes_are_all_that_the_default_does(ablation):
    """Together the named changes are the default: nothing is left out of the ablation, nothing counted twice."""
    switches = [switch for change in ablation.CHANGES.values() for switch in change]
    assert len(switches) == len(set(switches))
    named = {name: value for change in ablation.CHANGES.values() for name, value in change.items()}
    assert named == {name: value for name, value in DEFAULT.items() if name.endswith("_p") and value > 0}


def test_each_variant_differs_in_what_its_name_says(ablation, variants):
    assert variants["all: default"] == ViewConfig()
    assert variants["all: paper"] == ViewConfig.paper()
    assert variants["all: none"] == ViewConfig.none()
    for name, switches in ablation.CHANGES.items():
        assert changed(variants[f"without: {name}"], DEFAULT) == dict.fromkeys(switches, 0.0)
        assert changed(variants[f"only: {name}"], NONE) == switches
    for name, switches in ablation.ADDED.items():
        assert changed(variants[f"with: {name}"], DEFAULT) == switches


def test_no_two_variants_are_the_same_and_none_is_unnamed(ablation, variants):
    assert len(variants) == 3 + 2 * len(ablation.CHANGES) + len(ablation.ADDED)
    assert len(set(variants.values())) == len(variants)
    assert "untrained" not in variants, "the name of the row without a training"


@pytest.fixture(scope="module")
def table(ablation):
    return pd.read_csv(ablation.RESULTS)


@pytest.fixture(scope="module")
def record(ablation):
    return json.loads(ablation.RESULTS.with_suffix(".json").read_text())


def test_every_variant_seed_and_post_processing(ablation, variants, table):
    assert list(dict.fromkeys(table["views"])) == ["untrained", *variants]
    runs = table.groupby(["views", "seed"])["post"].apply(list)
    assert (runs.map(tuple) == tuple(ablation.POSTS)).all()
    assert (table.groupby("views")["seed"].nunique() == 3).all() and len(table) == 3 * 4 * (len(variants) + 1)
    assert (table["nsc_total"] == 103).all() and (table["nscb_total"] == 92).all()


def test_trainings_differ_in_nothing_but_their_views(ablation, table):
    trained = table[table["views"] != "untrained"]
    seen = ablation.TRAINING.epochs * ablation.TRAINING.cells_per_epoch
    assert (trained["cells_seen"] == seen).all()
    assert trained["top1"].between(0, 1).all() and table.loc[table["views"] == "untrained", "top1"].isna().all()
    assert len(trained.drop_duplicates(["views", "seed"])["loss"].unique()) > 0.9 * len(trained) / 4


def test_scores_agree_with_their_counts(table):
    for name in ("nsc", "nscb"):
        pd.testing.assert_series_equal(
            table[name], table[f"{name}_correct"] / table[f"{name}_total"], check_names=False, atol=1e-4
        )
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()
    pd.testing.assert_series_equal(table["drop"], table["nsc"] - table["nscb"], check_names=False, atol=2e-4)
    assert table[["retrieval", "week_accuracy"]].stack().between(0, 1).all()


def test_provenance_names_the_views_and_current_defaults(ablation, variants, record):
    """A stale file fails: who changes a view, the training or a default has to run the ablation again."""
    from cellclr_lib.data import CropConfig, SimulationConfig
    from cellclr_lib.pipeline.provenance import changed_settings
    from cellclr_lib.settings import to_dict

    assert {"date", "commit", "versions", "processor", "cores", "cells"} <= set(record)
    assert record["views"] == {name: to_dict(views) for name, views in variants.items()}
    settings = {"simulation": SimulationConfig(), "cropping": CropConfig(), "training": ablation.TRAINING}
    for name, value in settings.items():
        assert not changed_settings(record[name], value), f"{name} changed: run experiments/ablate_views.py again"
