"""Training learns, repeats itself exactly, survives being killed, and refuses to mix runs."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, embed, train, training_loop
from cellclr_lib.learning.checkpoint import load_checkpoint
from cellclr_lib.learning.loader import read_shrunk
from cellclr_lib.learning.optimizer import learning_rate
from cellclr_lib.settings import load_yaml, save_yaml
from cellclr_lib.views import ViewConfig

CONFIG = TrainConfig(
    views=ViewConfig(elastic_p=0.0),
    input_px=16,
    epochs=4,
    batch_size=16,
    lr=1e-3,
    device="cpu",
    precision="fp32",
    checkpoint_every_s=0.0,
)


def make_store(path, n=64, channels=3, dtype=np.uint8, seed=0):
    """Cells that differ in where three blobs lie; every fourth is a control."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :24]
    centre = rng.uniform(6, 18, (n, channels, 2, 1, 1))
    images = np.exp(-((y - centre[:, :, 0]) ** 2 + (x - centre[:, :, 1]) ** 2) / 20)
    images = (np.clip(images + 0.05 * rng.standard_normal(images.shape), 0, 1) * np.iinfo(dtype).max).astype(dtype)
    compound = np.where(np.arange(n) % 4 == 0, "DMSO", "taxol")
    return CellStore.from_arrays(images, pd.DataFrame({"compound": compound}), path)


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def weights(result):
    contents = load_checkpoint(result.checkpoint)
    return {f"{part}.{name}": t for part in ("encoder", "head") for name, t in contents[part].items()}


def assert_same_run(a, b):
    pd.testing.assert_frame_equal(a.history.drop(columns="seconds"), b.history.drop(columns="seconds"))
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_learns_and_leaves_its_record(store, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=6, folder=str(tmp_path / "run"))
    result = train(store, config)
    history = result.history
    assert list(history) == ["epoch", "loss", "top1", "lr", "cells_seen", "seconds"]
    assert list(history["epoch"]) == [1, 2, 3, 4, 5, 6] and list(history["cells_seen"]) == [
        64 * e for e in range(1, 7)
    ]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 0.1
    assert history["top1"].iloc[-1] > 2 / 31  # chance is 1 / 31
    assert history["seconds"].is_monotonic_increasing and history["lr"].iloc[-1] < 1e-4
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt", "config.yaml", "history.csv"
    ]  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "history.csv"), history)
    assert load_yaml(TrainConfig, tmp_path / "run" / "config.yaml") == config


def test_same_seed_same_result_whatever_the_global_seed(store, tmp_path):
    results = []
    for i, seed in enumerate((0, 0, 1)):
        torch.manual_seed(i)
        before = torch.get_rng_state()
        results.append(
            train(store, dataclasses.replace(CONFIG, epochs=2, seed=seed, folder=str(tmp_path / str(i))))
        )
        assert torch.equal(before, torch.get_rng_state())
    assert_same_run(results[0], results[1])
    assert results[0].history["loss"].iloc[0] != results[2].history["loss"].iloc[0]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("control_weight", [1.0, 3.0])
@pytest.mark.parametrize("optimizer", ["adamw", "lars"])
def test_resumes_exactly(store, tmp_path, control_weight, optimizer):
    config = dataclasses.replace(CONFIG, control_weight=control_weight, optimizer=optimizer)

    def column(state):
        return {"double": 2 * state.epoch}

    def killed(state):
        if state.epoch == 3:
            raise KilledError  # after the checkpoint of epoch 2
        return column(state)

    undisturbed = train(store, dataclasses.replace(config, folder=str(tmp_path / "a")), on_epoch=column)
    resumed = dataclasses.replace(config, folder=str(tmp_path / "b"))
    with pytest.raises(KilledError):
        train(store, resumed, on_epoch=killed)
    assert load_checkpoint(tmp_path / "b" / "checkpoint.pt")["epoch"] == 2
    assert_same_run(undisturbed, train(store, resumed, on_epoch=column))


KILL_ITSELF = """
import os, sys
from cellclr_lib.settings import load_yaml
from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, train
config, store = load_yaml(TrainConfig, sys.argv[1]), CellStore.open(sys.argv[2])
train(store, config, on_epoch=lambda state: os.kill(os.getpid(), 9) if state.epoch == 3 else None)
"""


def test_resumes_after_kill_9(store, tmp_path):
    config = dataclasses.replace(CONFIG, folder=str(tmp_path / "b"))
    path = save_yaml(config, tmp_path / "config.yaml")
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run(
        [sys.executable, "-c", KILL_ITSELF, path, store.path], env=environment, capture_output=True
    )
    assert killed.returncode == -9
    undisturbed = train(store, dataclasses.replace(config, folder=str(tmp_path / "a")))
    assert_same_run(undisturbed, train(store, config))


def test_a_finished_training_is_returned_not_repeated(store, tmp_path):
    first = train(store, CONFIG)
    assert first.checkpoint.parent.parent == store.path / "runs"
    written = first.checkpoint.stat().st_mtime_ns

    def never(state):
        raise AssertionError("trained again")

    again = train(store, CONFIG, on_epoch=never)
    assert again.checkpoint == first.checkpoint and written == first.checkpoint.stat().st_mtime_ns
    assert_same_run(first, again)
    other = train(store, dataclasses.replace(CONFIG, epochs=1))
    assert other.checkpoint != first.checkpoint


def test_another_run_in_the_same_folder_is_refused(store, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, epochs=1, folder=str(tmp_path / "run"))
    train(store, config)
    with pytest.raises(
        ValueError, match="run holds a training of another configuration: temperature is 0.1 there"
    ):
        train(store, dataclasses.replace(config, temperature=0.2))
    with pytest.raises(ValueError, match="other cells"):
        train(make_store(tmp_path / "other", seed=1), config)
    monkeypatch.setattr("cellclr_lib.learning.checkpoint.VERSION", 0)
    with pytest.raises(ValueError, match="another version of training"):
        train(store, config)


def test_on_epoch_sees_the_encoder_and_adds_columns(store):
    seen = []

    def on_epoch(state):
        assert state.encoder.training and state.config == CONFIG and state.epochs == 4
        h = state.embed(store)
        assert state.encoder.training, "the mode is given back"
        np.testing.assert_array_equal(h, state.embed(store.images))
        np.testing.assert_allclose(h[:5], state.embed(store.images[:5]), atol=1e-4)
        seen.append(h)
        return {"spread": h.std(), "half": state.epoch / 2} if state.epoch > 1 else None

    result = train(store, CONFIG, on_epoch=on_epoch)
    assert len(seen) == 4 and seen[0].shape == (64, 256) and seen[0].dtype == np.float32
    assert list(result.history)[-2:] == ["spread", "half"]
    assert np.isnan(result.history["half"][0]) and list(result.history["half"][1:]) == [1.0, 1.5, 2.0]
    np.testing.assert_allclose(embed(store, result.checkpoint, precision="fp32"), seen[-1], atol=1e-5)


def test_watching_changes_nothing(store, tmp_path):
    plain = train(store, dataclasses.replace(CONFIG, epochs=2, folder=str(tmp_path / "a")))

    def watch(state):
        torch.rand(3), np.random.rand(3)  # noqa: NPY002
        state.embed(store)

    watched = train(store, dataclasses.replace(CONFIG, epochs=2, folder=str(tmp_path / "b")), on_epoch=watch)
    assert_same_run(plain, watched)


def drawn_rows(config, store, monkeypatch, tmp_path):
    rows = []

    def source(images, device, input_px):
        def read(batch):
            rows.extend(batch.tolist())
            return read_shrunk(images, batch, input_px)

        return lambda batches: map(read, batches)

    monkeypatch.setattr(training_loop, "pixel_source", source)
    train(store, dataclasses.replace(config, epochs=1, folder=str(tmp_path / "run")))
    return np.array(rows)


def test_an_epoch_takes_each_cell_once(store, monkeypatch, tmp_path):
    rows = drawn_rows(CONFIG, store, monkeypatch, tmp_path)
    assert sorted(rows) == list(range(64)) and list(rows[:16]) != list(range(16))


@pytest.mark.parametrize(("weight", "share"), [(0.0, 0.0), (3.0, 0.5)])
def test_controls_are_drawn_by_weight(monkeypatch, tmp_path, weight, share):
    store = make_store(tmp_path / "store", n=400)
    rows = drawn_rows(dataclasses.replace(CONFIG, control_weight=weight), store, monkeypatch, tmp_path)
    controls = (store.table["compound"] == "DMSO").to_numpy()
    assert len(rows) == 400 and controls[rows].mean() == pytest.approx(share, abs=0.08)


def test_positive_controls_are_controls(monkeypatch, tmp_path):
    made = make_store(tmp_path / "made", n=400)
    table = made.table.assign(role=np.where(np.arange(400) % 4 == 1, "positive_control", "treatment"))
    store = CellStore.from_arrays(made.images, table, tmp_path / "store")
    rows = drawn_rows(dataclasses.replace(CONFIG, control_weight=0.0), store, monkeypatch, tmp_path)
    assert set(rows % 4) == {2, 3}


def test_cells_per_epoch_and_small_stores(monkeypatch, tmp_path):
    store = make_store(tmp_path / "store", n=40)
    config = dataclasses.replace(CONFIG, cells_per_epoch=20, batch_size=8)
    assert len(set(drawn_rows(config, store, monkeypatch, tmp_path))) == 16
    tiny = make_store(tmp_path / "tiny", n=3, channels=1, dtype=np.uint16)
    result = train(tiny, dataclasses.replace(CONFIG, epochs=1, batch_size=256))
    assert result.history["cells_seen"].tolist() == [3]


def test_bfloat16_trains_too(store, tmp_path):
    config = dataclasses.replace(CONFIG, precision="bf16", epochs=6)
    history = train(store, config).history
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 0.1


def test_learning_rate_rises_then_falls():
    config = dataclasses.replace(CONFIG, lr=2.0, epochs=10, warmup_epochs=2.0)
    rates = np.array([learning_rate(config, step, 5) for step in range(50)])
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11))
    np.testing.assert_allclose(rates[10:], 1 + np.cos(np.pi * np.arange(40) / 40))
    assert learning_rate(dataclasses.replace(config, warmup_epochs=0.0), 0, 5) == 2.0


def test_lars_moves_each_matrix_in_proportion_to_its_norm():
    from cellclr_lib.learning.optimizer import LARS

    matrix, bias = torch.nn.Parameter(torch.full((2, 2), 3.0)), torch.nn.Parameter(torch.ones(2))
    optimizer = LARS([matrix, bias], lr=0.5, trust=0.01)
    (100 * matrix.sum() + 2 * bias.sum()).backward()
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 2), 3.0 - 0.5 * 0.01 * 6 / 200 * 100))
    torch.testing.assert_close(bias.detach(), torch.zeros(2))
    optimizer.step()  # momentum: the old step shrunk, plus a new one
    torch.testing.assert_close(bias.detach(), torch.full((2,), -0.5 * (0.9 * 2 + 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0}, {"batch_size": 1}, {"temperature": 0.0}, {"lr": -1.0}, {"optimizer": "sgd"},
        {"input_px": 2}, {"control_weight": -1.0}, {"precision": "fp8"}, {"device": "tpu"},
    ],
)  # fmt: skip
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TrainConfig(**change)


def test_impossible_demands(store, tmp_path):
    with pytest.raises(ValueError, match="holds 1 cells"):
        train(make_store(tmp_path / "one", n=1), CONFIG)
    lone = make_store(tmp_path / "lone", n=2)
    lone.table["compound"] = "DMSO"
    with pytest.raises(ValueError, match="control_weight is 0"):
        train(lone, dataclasses.replace(CONFIG, control_weight=0.0))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no GPU"):
            train(store, dataclasses.replace(CONFIG, device="cuda"))
    with pytest.raises(FloatingPointError, match="smaller lr"):
        train(store, dataclasses.replace(CONFIG, lr=1e30, warmup_epochs=0.0))
