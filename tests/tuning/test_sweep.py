"""The sweep as a user runs it: one row per trial, ranked without labels, a report, errors in one line."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cellclr_lib.learning import TrainConfig
from cellclr_lib.settings import load_yaml


@pytest.fixture(scope="module")
def smoke(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    return folder / "one", sweep.run(folder, "one", *sweep.new())


@pytest.mark.slow
def test_one_row_per_trial(smoke):
    folder, run = smoke
    assert run.returncode == 0, run.stderr
    table = pd.read_csv(folder / "results.csv")
    assert set(zip(table["temperature"], table["batch_size"], strict=True)) == {
        (0.1, 32), (0.1, 64), (0.5, 32), (0.5, 64)
    }  # fmt: skip
    assert len(table) == 4 and table["error"].isna().all()
    assert table["retrieval"].is_monotonic_decreasing and table["retrieval"].between(0, 1).all()
    assert table[["nsc", "nscb", "loss", "top1", "week_accuracy", "seconds"]].notna().all(axis=None)
    assert table["cells_seen"].nunique() == 1  # the same budget, whatever the batch size
    for checkpoint in table["checkpoint_path"]:  # they stay with the sweep
        assert Path(checkpoint).is_file() and folder in Path(checkpoint).parents
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == 8 and history["cells_seen"].nunique() == 2
    assert {"temperature", "batch_size", "seed", "epoch", "loss", "top1", "lr", "retrieval"} <= set(history)


@pytest.mark.slow
def test_it_says_what_it_costs_how_far_it_is_and_what_is_best(smoke):
    folder, run = smoke
    assert not run.stderr, "no noise"
    plan, result = run.stdout.index("4 trials: temperature {0.1, 0.5}"), run.stdout.index("4 of 4 trials done:")
    assert re.search(r"about \d+\.\d min: .* ms a cell", run.stdout) and plan < result
    assert run.stdout.count("epoch 2/2, retrieval") == 4
    best = load_yaml(TrainConfig, folder / "best.yaml")
    first = pd.read_csv(folder / "results.csv").iloc[0]
    assert (best.temperature, best.batch_size) == (first["temperature"], first["batch_size"])
    assert best.lr == pytest.approx(1e-3 * (best.batch_size / 256) ** 0.5)
    assert f"--config {folder / 'best.yaml'}" in run.stdout


@pytest.mark.slow
def test_the_report_needs_no_network(smoke):
    folder, _ = smoke
    page = (folder / "report.html").read_text()
    assert "Plotly.newPlot" in page and "prefers-color-scheme" not in page.split("<script>")[0]
    head, _, rest = page.partition("<script>")
    body = rest[rest.index("</script>") :]  # what is not plotly.js itself
    assert not re.search(r"""(src|href)=["']|@import|url\(""", head + body)


@pytest.mark.slow
def test_a_name_in_use_is_refused(smoke, sweep):
    folder, _ = smoke
    again = sweep.run(folder.parent, "one", *sweep.new())
    assert again.returncode == 1 and "choose another --name" in again.stderr


def test_a_missing_sweep_cannot_be_resumed(sweep, tmp_path):
    run = sweep.run(tmp_path, "none", "--resume")
    assert run.returncode == 1 and "no sweep in" in run.stderr


@pytest.mark.slow
def test_a_resumed_sweep_keeps_its_plan(smoke, sweep):
    folder, _ = smoke
    run = sweep.run(folder.parent, "one", "--resume", "--epochs", "5")
    assert run.returncode == 1 and "leave out --epochs" in run.stderr


@pytest.mark.slow
def test_a_missing_store_is_named(sweep, tmp_path):
    run = sweep.run(tmp_path, "one", "--store", "nowhere")
    assert run.returncode == 1 and "nowhere" in run.stderr and not (tmp_path / "one").exists()


@pytest.mark.slow
def test_a_dry_run_leaves_nothing(sweep, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text("projection: [16, 32]\n")
    run = sweep.run(tmp_path, "dry", *sweep.new("--dry-run", "--space", str(space), "--seeds", "0", "1", "2"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("24 trials") and "projection {16, 32}" in run.stdout
    assert not (tmp_path / "dry").exists()


@pytest.mark.slow
def test_a_failing_trial_is_tried_twice_then_reported(sweep, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump({"lr": [0.001, 1e30], "temperature": [0.5], "batch_size": [32]}))
    run = sweep.run(tmp_path, "failing", *sweep.new("--space", str(space)))
    assert run.returncode == 3, run.stderr
    table = pd.read_csv(tmp_path / "failing" / "results.csv")
    assert len(table) == 2 and table["error"].isna()[0]
    assert "FloatingPointError" in table["error"][1] and "smaller lr" in table["error"][1]
    assert run.stdout.count("tried once more") == 1 and "1 of 2 trials done" in run.stdout
