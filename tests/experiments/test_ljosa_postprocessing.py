"""Whitening and TVN on real profiles: the committed table is complete and can be made again."""

import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def benchmark(repository):
    from experiments import ljosa_postprocessing

    return ljosa_postprocessing


@pytest.fixture(scope="module")
def table(benchmark):
    return pd.read_csv(benchmark.RESULTS)


def test_every_post_processing_and_lambda(benchmark, table):
    assert table["post"].iloc[0] == "z_score" and np.isnan(table["lam"].iloc[0])
    for post in benchmark.POSTS:
        assert tuple(table["lam"][table["post"] == post]) == benchmark.LAMS
    assert (table["nsc_total"] == 103).all() and (table["nscb_total"] == 92).all()
    for name in ("nsc", "nscb"):
        np.testing.assert_allclose(table[name], table[f"{name}_correct"] / table[f"{name}_total"], atol=1e-5)
    centred = table[(table["post"] == "whitening") & np.isinf(table["lam"])].iloc[0]
    for name in ("nsc", "nscb"):
        np.testing.assert_allclose(table[f"{name}_gain"], table[name] - centred[name], atol=1e-5)
        assert (table[f"{name}_gain_low"] <= table[f"{name}_gain"]).all()
        assert (table[f"{name}_gain"] <= table[f"{name}_gain_high"]).all()
    assert {"date", "commit", "versions"} <= set(json.loads(benchmark.RESULTS.with_suffix(".json").read_text()))


def test_the_reference_counts_are_among_them(table):
    """Known from the evaluation protocol: z-score, and whitening with λ = 1."""
    counts = table.set_index(["post", "lam"])[["nsc_correct", "nscb_correct"]]
    assert list(counts.iloc[0]) == [90, 64]
    assert list(counts.loc[("whitening", 1.0)]) == [97, 68]


@pytest.mark.real
def test_a_part_is_measured_again(benchmark, table, real_bbbc021, monkeypatch):
    monkeypatch.setattr(benchmark.cache, "published", lambda name: real_bbbc021 / name)
    monkeypatch.setattr(benchmark, "POSTS", {"tvn": benchmark.TVN})
    again = benchmark.measure(*benchmark.z_scored(), lams=(1.0,), halves=1)
    kept = table[(table["post"] == "z_score") | ((table["post"] == "tvn") & (table["lam"] == 1))]
    for name in ("nsc_correct", "nscb_correct"):
        assert abs(again[name].to_numpy() - kept[name].to_numpy()).max() <= 1  # one tie may fall otherwise
    assert again["week_other"].iloc[1] > again["week_fitted"].iloc[1]


def test_half_of_every_plate_s_controls_is_fitted(benchmark, monkeypatch):
    meta = pd.DataFrame({"plate": ["p1"] * 5 + ["p2"] * 5, "well": list("abcdefghij"), "batch": "Week1"})
    meta["compound"] = ["DMSO"] * 4 + ["x"] + ["DMSO"] * 4 + ["x"]
    seen = []

    class Spy:
        def fit(self, meta, feats):
            seen.append(meta)
            return self

        def transform(self, meta, feats):
            return feats

    feats = np.random.default_rng(0).normal(size=(10, 3))
    told = benchmark.week_accuracy_of_halves(meta, feats, Spy(), halves=2)
    assert [list(fit.groupby("plate").size()) for fit in seen] == [[2, 2], [2, 2]]
    assert all((fit["compound"] == "DMSO").all() for fit in seen)
    assert told == {"week_fitted": 1.0, "week_other": 1.0, "week_chance": 1.0}
