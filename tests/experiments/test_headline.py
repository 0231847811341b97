"""The headline results: complete, consistent, and what the README shows."""

import json

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def headline(repository):
    from experiments import headline

    return headline


@pytest.fixture(scope="module")
def table(headline):
    return pd.read_csv(headline.RESULTS)


def test_every_method_seed_and_post_processing(table):
    runs = table.groupby("method")["seed"].nunique()
    assert runs.to_dict() == {"pixel_pca": 3, "handcrafted": 1, "untrained": 3, "simclr": 3}
    assert (table.groupby(["method", "seed"])["post"].nunique() == 4).all()
    assert (table["nsc_total"] == 103).all() and (table["nscb_total"] == 92).all()


def test_scores_agree_with_their_counts(table):
    for name in ("nsc", "nscb"):
        pd.testing.assert_series_equal(
            table[name], table[f"{name}_correct"] / table[f"{name}_total"], check_names=False, atol=1e-4
        )
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()


def test_the_documents_show_this_table(headline, table, repository):
    assert headline.summary(table) in (repository / "README.md").read_text()
    assert headline.markdown(table) in (repository / "experiments/README.md").read_text()


def test_provenance_and_current_defaults(headline):
    from cellclr_lib.data import CropConfig, SimulationConfig
    from cellclr_lib.learning import TrainConfig
    from cellclr_lib.pipeline.provenance import changed_settings

    record = json.loads(headline.RESULTS.with_suffix(".json").read_text())
    assert {"date", "commit", "versions", "processor"} <= set(record)
    defaults = {"simulation": SimulationConfig(), "cropping": CropConfig(), "training": TrainConfig()}
    for name, settings in defaults.items():
        assert not changed_settings(record[name], settings), f"{name} changed: run the benchmark again"
