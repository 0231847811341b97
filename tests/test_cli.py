"""The command line: the whole way on a tiny screen, and clear words for wrong input."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from cellclr_lib.cli import COMMANDS, main
from cellclr_lib.cli_options import Train, parse
from cellclr_lib.data import CellStore, CropConfig, Screen, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline.reproduction import Reproduction
from cellclr_lib.views import ViewConfig


@pytest.fixture(scope="module")
def way(tmp_path_factory, tiny_screen):
    """Every stage once, by the commands of the README; the folder with what they made."""
    folder = tmp_path_factory.mktemp("way")
    store, run, features = folder / "store", folder / "run", folder / "features.npy"
    (folder / "train.yaml").write_text("epochs: 3\nbatch_size: 32\ninput_px: 32\n")
    assert main(["crop", str(tiny_screen.root), str(store), "--jobs", "1"]) == 0
    settings = ["--config", str(folder / "train.yaml"), "--epochs", "1", "--views.crop_area", "0.5", "1"]
    assert main(["train", str(store), "--folder", str(run), *settings]) == 0
    assert main(["embed", str(run / "checkpoint.pt"), str(store), str(features)]) == 0
    assert main(["evaluate", str(store), str(features), "--out", str(folder / "scores.csv")]) == 0
    assert main(["export", str(store), str(features), str(folder / "profiles.parquet")]) == 0
    return folder


def test_the_whole_way(way):
    features = np.load(way / "features.npy")
    cells = pd.read_parquet(way / "store" / "cells.parquet")
    assert len(features) == len(cells)
    scores = pd.read_csv(way / "scores.csv")
    assert scores["post"].tolist() == ["none", "z_score", "whitening", "tvn"]
    assert scores[["nsc", "nscb"]].stack().between(0, 1).all()
    profiles = pd.read_parquet(way / "profiles.parquet")
    assert len(profiles) == len(cells.drop_duplicates(["plate", "well"])) and "Metadata_Plate" in profiles
    assert (profiles.drop(columns=profiles.filter(regex="^Metadata_")).dtypes == np.float32).all()


def test_profiles_are_post_processed_and_exported_as_anndata(way):
    anndata = pytest.importorskip("anndata", reason="needs the extra anndata")
    stage = ["export", str(way / "store"), str(way / "features.npy")]
    assert main([*stage, str(way / "profiles.h5ad"), "--post", "z_score"]) == 0
    profiles = anndata.read_h5ad(way / "profiles.h5ad")
    np.testing.assert_allclose(profiles.X.mean(axis=0), 0, atol=1e-4)


def test_what_cannot_be_exported_is_said(way, capsys):
    stage = [str(way / "store"), str(way / "features.npy")]
    assert main(["export", *stage, str(way / "profiles.csv")]) == 1
    assert ".parquet or .h5ad, not 'profiles.csv'" in capsys.readouterr().err
    assert main(["export", *stage, str(way / "profiles.parquet"), "--post", "bleach"]) == 1
    assert "'bleach'" in capsys.readouterr().err
    np.save(way / "few.npy", np.zeros((2, 3), np.float32))
    for command in (["evaluate"], ["export", str(way / "profiles.parquet")]):
        assert main([command[0], stage[0], str(way / "few.npy"), *command[1:]]) == 1
        assert "holds 2 cells" in capsys.readouterr().err


def test_single_settings_win_over_the_file(way):
    settings = yaml.safe_load((way / "run" / "config.yaml").read_text())
    assert (settings["epochs"], settings["batch_size"]) == (1, 32)
    assert settings["views"]["crop_area"] == [0.5, 1.0]


def test_fields_are_set_as_in_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("epochs: 3\nbatch_size: 32\n")
    fields = ["--set", "epochs=4", "--set", "views.blur_sigma_px=[0.5, 1]", "--set", "input_px=null"]
    given = ["store", "--config", str(tmp_path / "mine.yaml"), *fields, "--lr", "1e-4"]
    _, config = parse(Train, given, base=TrainConfig(), prog="")
    assert (config.epochs, config.batch_size, config.input_px, config.lr) == (4, 32, None, 1e-4)
    assert config.views == ViewConfig(blur_sigma_px=(0.5, 1.0))


def test_simulate(tmp_path, capsys):
    (tmp_path / "few.yaml").write_text("replicates: 1\n")
    few = ["--config", str(tmp_path / "few.yaml")]
    assert main(["simulate", str(tmp_path / "screen"), "--size", "smoke", "--weeks", "2", *few]) == 0
    assert "fields" in capsys.readouterr().out
    assert Screen(tmp_path / "screen").fields["plate"].nunique() < len(SimulationConfig.smoke().weeks) * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crop", "nowhere", "store"], "nowhere/BBBC021_v1_image.csv"),
        (["train", "nowhere"], "no finished cell store at nowhere"),
        (["train", "nowhere", "--epochs", "0"], "epochs is 0; expected 1 or more"),
        (["train", "nowhere", "--set", "epoch=3"], "--set: unknown entry 'epoch'; TrainConfig knows"),
        (["train", "nowhere", "--set", "views.crop=3"], "--set: unknown entry 'views.crop'; ViewConfig knows"),
        (["train", "nowhere", "--set", "view.crop=3"], "--set: unknown entry 'view.crop'"),
        (["train", "nowhere", "--set", "epochs"], "--set takes NAME=VALUE, not 'epochs'"),
        (["train", "nowhere", "--set", "epochs=[1"], "--set epochs is not valid YAML"),
        (["train", "nowhere", "--config", "none.yaml"], "none.yaml"),
        (["train", "s3://bucket/store"], "s3://bucket/store is an address"),
        (["train", "nowhere", "--folder=gs://bucket/run"], "--folder=gs://bucket/run is an address"),
    ],
)
def test_wrong_input_is_one_clear_line(arguments, words, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and "Traceback" not in error


def test_a_loss_that_is_no_number_ends_in_one_line(way, tmp_path, capsys):
    absurd = ["--lr", "1e30", "--warmup_epochs", "0", "--input_px", "24", "--batch_size", "32", "--epochs", "1"]
    assert main(["train", str(way / "store"), "--folder", str(tmp_path), "--device", "cpu", *absurd]) == 1
    error = capsys.readouterr().err
    assert "error: the loss is nan" in error and "smaller lr" in error and "Traceback" not in error


def test_images_without_a_plate_map_are_learned_from(tmp_path, capsys, caplog):
    images = np.random.default_rng(0).integers(0, 255, (32, 3, 16, 16), dtype=np.uint8)
    CellStore.from_arrays(images, pd.DataFrame({"name": range(32)}), tmp_path / "store")
    short = ["--epochs", "1", "--batch_size", "16", "--input_px", "16", "--device", "cpu"]
    assert main(["train", str(tmp_path / "store"), *short]) == 0
    assert "lacks the columns plate, well" in caplog.text and "trained" in capsys.readouterr().out


def test_unknown_plate(tiny_screen, tmp_path, capsys):
    assert main(["crop", str(tiny_screen.root), str(tmp_path / "store"), "--plates", "Week9_1"]) == 1
    assert "no plate Week9_1" in capsys.readouterr().err


def test_a_broken_yaml_is_named(tmp_path, capsys):
    (tmp_path / "broken.yaml").write_text("epochs: [1")
    assert main(["train", "nowhere", "--config", str(tmp_path / "broken.yaml")]) == 1
    assert "broken.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*([command] if command else []), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS) if command is None else f"cellclr_lib {command}" in shown


@pytest.mark.parametrize(
    ("command", "config"),
    [("simulate", SimulationConfig), ("crop", CropConfig), ("train", TrainConfig), ("reproduce", Reproduction)],
)
def test_help_shows_every_setting_with_its_default(command, config, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")  # one column
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())

    def look(settings, prefix=""):
        for field in dataclasses.fields(settings):
            value, name = getattr(settings, field.name), f"--{prefix}{field.name}"
            if dataclasses.is_dataclass(value):
                look(value, f"{prefix}{field.name}.")
                continue
            said = re.search(rf"{re.escape(name)} (.*?)\(default: ([^)]*)\)", shown)
            assert said, name
            wanted = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert isinstance(value, bool) or said[2] == wanted, name

    look(config())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["train", "nowhere", "--epoch", "3"], "--epoch"),
        (["train", "nowhere", "--epochs", "many"], "many"),
        (["train"], "STORE"),
        (["download", "there", "--all", "--moa_only"], "--all"),
    ],
)
def test_wrong_usage(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_file_with_a_wrong_entry(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("epoch: 3")
    assert main(["train", "nowhere", "--config", str(tmp_path / "mine.yaml")]) == 1
    assert "mine.yaml: unknown entry 'epoch'; TrainConfig knows encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("cellclr_lib, cellclr_lib.learning, cellclr_lib.cli", "torch pandas scipy skimage"),
        ("cellclr_lib.data, cellclr_lib.profiles", "torch torchvision sklearn plotly"),
    ],
)
def test_nothing_slow_is_imported_before_it_is_needed(modules, unwanted):
    code = f"import {modules}, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "cellclr_lib" in loaded and not set(unwanted.split()) & set(loaded)
