"""Searches and schedulers: every trial of the plan ends, and every decision follows from what was written down."""

import pandas as pd
import pytest

from tuning.schedulers import RUNG_COLUMNS, inconsistent


def log(path, rows):
    pd.DataFrame(rows, columns=RUNG_COLUMNS).to_csv(path, index=False)
    return path


def test_a_decision_that_does_not_follow_is_found(tmp_path):
    rows = [
        ("a", 64, 0.5, None, "CONTINUE"), ("b", 64, 0.4, 0.5, "STOP"), ("c", 64, 0.45, 0.4667, "STOP"),
        ("d", 64, 0.9, 0.48, "CONTINUE"), ("a", 192, 0.6, None, "CONTINUE"),
    ]  # fmt: skip
    assert inconsistent(log(tmp_path / "right.csv", rows)).empty
    rows[1] = ("b", 64, 0.4, 0.5, "CONTINUE")
    assert list(inconsistent(log(tmp_path / "wrong.csv", rows))["trial"]) == ["b"]
    assert list(inconsistent(log(tmp_path / "twice.csv", [*rows[:1], *rows[:1]]))["trial"]) == ["a"]
    assert inconsistent(tmp_path / "nothing.csv").empty


@pytest.mark.slow
def test_pbt_copies_better_trials(sweep, tmp_path):
    run = sweep.run(tmp_path, "one", *sweep.new("--scheduler", "pbt", "--epochs", "4", "--seeds", "0", "1"))
    assert run.returncode == 0, run.stderr
    results = pd.read_csv(tmp_path / "one" / "results.csv")
    assert len(results) == 8 and results["error"].isna().all() and (results["epoch"] == 4).all()
    copies = pd.read_csv(tmp_path / "one" / "decisions.csv")
    assert len(copies) and (copies["donor_retrieval"] >= copies["retrieval"]).all()
    assert (copies["trial"] != copies["donor"]).all() and set(copies["trial"]) <= set(results["trial"])
    changed = set(results["temperature"]) - {0.1, 0.5}
    assert changed  # copies go on at another temperature
    assert results["batch_size"].isin([32, 64]).all() and results["cells_seen"].nunique() == 1


@pytest.mark.slow
def test_optuna_suggests_and_asha_stops(sweep, tmp_path):
    pytest.importorskip("optuna")
    options = ("--search", "optuna", "--scheduler", "asha", "--num-samples", "4", "--epochs", "3")
    run = sweep.run(tmp_path, "one", *sweep.new(*options))
    assert run.returncode == 0, run.stderr
    results = pd.read_csv(tmp_path / "one" / "results.csv")
    assert len(results) == 4 and results["error"].isna().all() and results["nscb"].notna().all()
    assert results["temperature"].between(0.05, 1).all() and results["temperature"].nunique() == 4
    assert inconsistent(tmp_path / "one" / "decisions.csv").empty
