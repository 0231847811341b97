"""One training in two processes under Ray Train equals one process, and survives the death of a rank."""

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from cellclr_lib.learning import TrainConfig, train
from cellclr_lib.settings import save_yaml

pytestmark = pytest.mark.slow
TIMEOUT_S = 900  # ends what hangs, however slow the machine
CONFIG = TrainConfig(
    epochs=6, batch_size=32, input_px=24, cells_per_epoch=128, lr=3e-5, device="cpu", precision="fp32",
    checkpoint_every_s=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def alone(tiny_store, tmp_path_factory):
    config = dataclasses.replace(CONFIG, folder=str(tmp_path_factory.mktemp("alone")))
    return train(tiny_store, config).history


def command(store, folder, *options):
    config = save_yaml(CONFIG, folder.parent / "config.yaml")
    script = "tuning/train_distributed.py"
    return [sys.executable, script, str(store), "--folder", str(folder), "--config", str(config), *options]


@pytest.fixture(scope="module")
def together(tiny_store, repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "run"
    run = subprocess.run(
        command(tiny_store.path, folder), cwd=repository, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert run.returncode == 0, run.stderr
    return pd.read_csv(folder / "history.csv")


def test_two_workers_equal_one_process(alone, together):
    """But for rounding, which grows from step to step, as it does between one thread and two."""
    np.testing.assert_allclose(together["loss"][0], alone["loss"][0], atol=1e-5)
    np.testing.assert_allclose(together["loss"], alone["loss"], atol=1e-3)
    assert together["retrieval"].notna().all()


def test_a_rank_dies_and_the_training_goes_on(together, tiny_store, repository, tmp_path):
    process = subprocess.Popen(
        command(tiny_store.path, tmp_path / "run"), cwd=repository, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "run" / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if "TrainWorker" in p.cmdline()[0]]
    workers[0].kill()
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(history["loss"], together["loss"], atol=1e-6)  # as if nothing had happened


def test_too_many_workers_are_refused(tiny_store, repository, tmp_path):
    run = subprocess.run(
        command(tiny_store.path, tmp_path / "run", "--workers", "999"),
        cwd=repository, capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert run.returncode == 1 and "999 workers of that size are too many" in run.stderr


def test_a_folder_is_needed_and_settings_are_options(tiny_store, capsys):
    from tuning.train_distributed import main

    assert main([str(tiny_store.path), "--epochs", "2"]) == 1
    assert "--folder is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([str(tiny_store.path), "--epoch", "2"])
    assert stop.value.code == 2
