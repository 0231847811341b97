"""A plan knows all its trials before the first one starts, and refuses what does not go together."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig
from cellclr_lib.settings import load_yaml, save_yaml
from tuning.plan import Plan, check_store, with_budget

SPACE = {"temperature": [0.1, 0.5], "batch_size": [32, 64]}
RANGE = {"low": 0.1, "high": 1.0}
PLAN = Plan(Path("store"), TrainConfig(epochs=2, cells_per_epoch=64), SPACE, seeds=(0, 1))


def test_it_counts_its_trials():
    assert PLAN.count == 8 and len(PLAN.trials) == 8 and PLAN.cells == 128
    assert replace(PLAN, search="random", num_samples=3).count == 6
    optuna = replace(PLAN, search="optuna", num_samples=5, seeds=(0,))
    assert optuna.count == 5 and optuna.trials is None


def test_it_survives_its_file(tmp_path):
    plan = replace(PLAN, space=SPACE | {"lr": RANGE}, search="random", num_samples=2, chunk_cells={"x": 8})
    read = load_yaml(Plan, save_yaml(plan, tmp_path / "plan.yaml"))
    assert read == plan and read.trials == plan.trials


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": SPACE | {"lr": RANGE}}, "'lr' is a range"),
        ({"num_samples": 3}, "--num-samples goes with"),
        ({"search": "optuna", "num_samples": 3}, "one seed"),
        ({"search": "optuna", "num_samples": 3, "seeds": (0,), "scheduler": "pbt"}, "--scheduler pbt"),
        ({"search": "random", "num_samples": 3, "space": SPACE | {"batch_size": RANGE}}, "batch_size must be"),
    ],
)
def test_what_does_not_go_together(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **change)


def test_every_size_of_training_is_known_and_chunked():
    names = list(PLAN.sizes())
    assert len(names) == 2 and "batch_size 32" in names[0]  # temperature and seed need no memory
    plan = replace(PLAN, chunk_cells={names[1]: 16})
    assert plan.training_of({"batch_size": 64}).chunk_cells == 16
    assert plan.training_of({"batch_size": 32}).chunk_cells is None


def test_the_budget_is_that_of_the_store(tiny_store):
    training = with_budget(TrainConfig(), tiny_store, SPACE)
    assert len(tiny_store) - 64 < training.cells_per_epoch <= len(tiny_store)
    assert training.cells_per_epoch % 64 == 0


def test_a_store_that_cannot_rank_is_refused(tiny_store, tmp_path):
    check_store(tiny_store)
    table = tiny_store.table
    bare = CellStore.from_arrays(tiny_store.images, table.drop(columns=["plate"]), tmp_path / "bare")
    with pytest.raises(ValueError, match="cells.parquet lacks the columns plate"):
        check_store(bare)
    lone = pd.DataFrame(table).assign(plate=table["batch"].astype(str) + "_1", well=table["plate"] + table["well"])
    with pytest.raises(ValueError, match="two plates of one week"):
        check_store(CellStore.from_arrays(tiny_store.images, lone, tmp_path / "lone"))
