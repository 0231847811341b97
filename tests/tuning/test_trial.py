"""A trial on its own: what it does when it is started once more."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tuning import trial
from tuning.schedulers import RUNG_COLUMNS


@pytest.mark.parametrize("decision", ["STOP", "CONTINUE"])
def test_a_trial_that_was_to_be_stopped_trains_no_further(tmp_path, monkeypatch, decision):
    """The driver was killed after the decision was written down and before Ray had saved it."""
    folder = tmp_path / "runs" / "0001"
    folder.mkdir(parents=True)
    history = pd.DataFrame({"epoch": [1, 2, 3], "cells_seen": [64, 128, 192], "retrieval": [0.1, 0.3, 0.2]})
    history.to_csv(folder / "history.csv", index=False)
    rungs = [
        ("0001", 64, 0.1, None, "CONTINUE"),
        ("0002", 64, 0.05, 0.1, "STOP"),
        ("0001", 192, 0.2, 0.4, decision),
    ]
    pd.DataFrame(rungs, columns=RUNG_COLUMNS).to_csv(tmp_path / "decisions.csv", index=False)
    reported, trained = [], []
    monkeypatch.setattr(trial.tune, "get_context", lambda: SimpleNamespace(get_trial_id=lambda: "0001"))
    monkeypatch.setattr(trial.tune, "report", reported.append)
    monkeypatch.setattr(trial, "run", lambda plan, folder, settings: trained.append(settings))
    trial.trainable(None, tmp_path / "runs")({"temperature": 0.1})
    if decision == "STOP":
        assert reported == [{"epoch": 3, "cells_seen": 192, "retrieval": 0.2}] and not trained
    else:
        assert trained == [{"temperature": 0.1}] and not reported
