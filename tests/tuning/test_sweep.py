"""The sweep: four trials on a tiny screen, one row each, ranked without labels."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


def sweep(repository, folder, *options):
    environment = os.environ | {"CELLCLR_CACHE": str(folder / "cache")}
    command = [sys.executable, "tuning/sweep.py", "--smoke", "--storage", str(folder), "--name", "one", *options]
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def smoke(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    return folder, sweep(repository, folder)


@pytest.mark.slow
def test_one_row_per_trial(smoke):
    folder, run = smoke
    assert run.returncode == 0, run.stderr
    table = pd.read_csv(folder / "one" / "results.csv")
    assert len(table) == 4
    assert set(zip(table["temperature"], table["batch_size"], strict=True)) == {
        (0.1, 32),
        (0.1, 64),
        (0.5, 32),
        (0.5, 64),
    }
    assert table["retrieval"].is_monotonic_decreasing and table["retrieval"].between(0, 1).all()
    assert table[["nsc", "nscb", "loss", "week_from_dmso"]].notna().all(axis=None)
    assert "4 of 4 trials done" in run.stdout
    for checkpoint in table["checkpoint_path"]:  # they stay with the sweep
        assert Path(checkpoint).is_file() and folder in Path(checkpoint).parents


@pytest.mark.slow
def test_a_name_in_use_is_refused(smoke, repository):
    folder, _ = smoke
    again = sweep(repository, folder)
    assert again.returncode == 1 and "choose another --name" in again.stderr


def test_a_missing_store_is_named(repository, tmp_path):
    run = sweep(repository, tmp_path, "--store", "nowhere")
    assert run.returncode == 1 and "nowhere" in run.stderr
