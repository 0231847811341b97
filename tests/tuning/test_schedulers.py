"""Searches and schedulers: every trial of the plan ends, and every decision follows from what was written down."""

import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tuning.schedulers import RUNG_COLUMNS, LoggedASHA, inconsistent


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


def decide(scheduler, reports):
    """Decisions on reports (trial, cells seen, retrieval) in their order of arrival."""
    scheduler.set_search_properties("retrieval", "max")
    trials = {name: SimpleNamespace(trial_id=name) for name, _, _ in reports}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    return [
        scheduler.on_trial_result(None, trials[name], {"cells_seen": cells, "retrieval": retrieval})
        for name, cells, retrieval in reports
    ]


def test_asha_goes_on_from_its_log(tmp_path):
    rng = np.random.default_rng(0)
    score = {f"{number:08d}": rng.random() for number in range(12)}  # names that look like numbers
    reports = [(name, 64 * epoch, score[name]) for epoch in (1, 2, 3) for name in score]
    whole = decide(LoggedASHA(tmp_path / "whole.csv", 64, 576), reports)
    first = decide(LoggedASHA(tmp_path / "parts.csv", 64, 576), reports[:7])
    second = decide(LoggedASHA(tmp_path / "parts.csv", 64, 576), reports[7:])
    assert first + second[:5] == whole[:12] and "STOP" in whole[:12]
    stopped = {name for (name, _, _), decision in zip(reports[:7], first, strict=True) if decision == "STOP"}
    again = [
        decision for (name, _, _), decision in zip(reports[12:19], second[5:12], strict=True) if name in stopped
    ]
    assert again and set(again) == {"STOP"}  # what was to be stopped does not come back
    assert inconsistent(tmp_path / "whole.csv").empty and inconsistent(tmp_path / "parts.csv").empty


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
def test_optuna_suggests_asha_stops_and_both_go_on_after_kill_9(sweep, tmp_path):
    pytest.importorskip("optuna")
    options = ("--search", "optuna", "--scheduler", "asha", "--num-samples", "6", "--epochs", "3")
    process = sweep.start(tmp_path, "one", *sweep.new(*options))
    seen = 0
    for line in process.stdout:
        seen += "epoch" in line
        if seen == 4:
            break
    process.kill()
    process.wait()
    time.sleep(5)  # Ray ends its own processes
    run = sweep.run(tmp_path, "one", "--resume")
    assert run.returncode == 0, run.stderr
    results = pd.read_csv(tmp_path / "one" / "results.csv")
    assert len(results) == 6 and results["error"].isna().all() and results["nscb"].notna().all()
    assert results["temperature"].between(0.05, 1).all() and results["temperature"].nunique() == 6
    assert inconsistent(tmp_path / "one" / "decisions.csv").empty
