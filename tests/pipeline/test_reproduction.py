"""From nothing to the table by one command, killed at every stage in turn."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.cli import main
from cellclr_lib.data import SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline.cost import estimate
from cellclr_lib.pipeline.reproduction import Reproduction, reproduce
from cellclr_lib.settings import load_yaml, save_yaml

STAGES = ["screen:", "crops:", "training:", "features:", "scores:"]
CONFIG = Reproduction(
    source="simulate",
    simulation=SimulationConfig.smoke(),
    training=TrainConfig(epochs=2, batch_size=64, checkpoint_every_s=0, device="cpu"),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(folder of the screen, folder of the results)."""
    folder = tmp_path_factory.mktemp("undisturbed")
    said = []
    table = reproduce(folder / "screen", CONFIG, folder / "out", say=said.append)
    assert [line.split()[0] for line in said] == STAGES
    assert len(table) == 8 and set(table["protocol"]) == {"strict", "published"}
    return folder / "screen", folder / "out"


@pytest.mark.slow
def test_killed_at_every_stage_in_turn(undisturbed, tmp_path, repository):
    file = save_yaml(CONFIG, tmp_path / "config.yaml")
    command = [sys.executable, "-m", "cellclr_lib", "reproduce", "--config", str(file)]
    command += ["--screen", str(tmp_path / "screen"), "--out", str(tmp_path / "out")]
    for stage in STAGES:
        process = subprocess.Popen(
            command, cwd=repository, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert any(line.startswith(stage) for line in process.stdout), f"{stage} did not come"
        process.kill()
        process.wait()
    run = subprocess.run(command, cwd=repository, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert "SimCLR, the paper" in run.stdout  # the published figures beside the own
    found, expected = (pd.read_csv(out / "scores.csv") for out in (tmp_path / "out", undisturbed[1]))
    pd.testing.assert_frame_equal(found, expected)


def test_other_settings_need_another_folder(undisturbed):
    screen, out = undisturbed
    with pytest.raises(ValueError, match="begun with other settings"):
        reproduce(screen, replace(CONFIG, protocols=("strict",)), out)


def test_results_of_corrected_mechanisms_are_made_anew(undisturbed, tmp_path):
    screen, out = tmp_path / "screen", tmp_path / "out"
    shutil.copytree(undisturbed[0], screen)
    shutil.copytree(undisturbed[1], out)
    config = replace(CONFIG, source="folder")
    save_yaml(config, out / "config.yaml")
    quiet = {"say": lambda text: None}
    before = reproduce(screen, config, out, **quiet)
    moa = pd.read_csv(screen / "BBBC021_v1_moa.csv")
    treated = moa["moa"] != "DMSO"
    by_compound = moa[treated].drop_duplicates("compound").set_index("compound")["moa"]
    turned = dict(zip(by_compound.index, np.roll(by_compound, 1), strict=True))
    moa.loc[treated, "moa"] = moa.loc[treated, "compound"].map(turned)
    moa.to_csv(screen / "BBBC021_v1_moa.csv", index=False)
    with pytest.raises(ValueError, match=r"made from another BBBC021_v1_moa\.csv .*--redo"):
        reproduce(screen, config, out, **quiet)
    after = reproduce(screen, config, out, redo=True, **quiet)
    assert not before["nsc"].equals(after["nsc"])
    pd.testing.assert_frame_equal(after, reproduce(screen, config, tmp_path / "new", **quiet))


def test_plates_lie_where_the_image_table_says(undisturbed, tmp_path):
    screen = tmp_path / "screen"
    shutil.copytree(undisturbed[0], screen)
    table = pd.read_csv(screen / "BBBC021_v1_image.csv")
    plate, folder = table[["Image_Metadata_Plate_DAPI", "Image_PathName_DAPI"]].iloc[0]
    (screen / folder).parent.mkdir(exist_ok=True)
    shutil.move(screen / plate, screen / folder)
    reproduce(screen, replace(CONFIG, source="folder"), tmp_path / "out", say=lambda text: None)
    cells = pd.read_parquet(tmp_path / "out" / "store" / "cells.parquet")
    assert set(cells["plate"]) == set(table["Image_Metadata_Plate_DAPI"])


def test_only_the_wells_of_some_roles(undisturbed, tmp_path):
    screen, _ = undisturbed
    reproduce(screen, replace(CONFIG, roles=("control", "treatment")), tmp_path, say=lambda text: None)
    cells = pd.read_parquet(tmp_path / "store" / "cells.parquet")
    assert set(cells["role"]) == {"control", "treatment"}
    with pytest.raises(ValueError, match="roles holds 'treated'"):
        Reproduction(roles=("treated",))


def test_an_estimate_makes_nothing(tmp_path, capsys):
    cost = estimate(tmp_path / "screen", CONFIG).set_index("stage")
    assert list(cost.index) == ["crops", "training", "features"] and (cost["hours"] > 0).all()
    assert not list(tmp_path.iterdir())
    twice = replace(CONFIG, training=replace(CONFIG.training, epochs=4))
    more = estimate(tmp_path / "screen", twice).set_index("stage")
    cells = [int(table.loc["training", "basis"].split()[0].replace(",", "")) for table in (cost, more)]
    assert cells[1] == 2 * cells[0]


@pytest.mark.real
def test_an_estimate_of_the_real_screen(real_screen):
    cost = estimate(real_screen.root, replace(CONFIG, source="download")).set_index("stage")
    assert 30 < cost.loc["screen", "disk_gb"] < 120 and 5 < cost.loc["crops", "disk_gb"] < 60
    assert "archives of 0.84 GB" in cost.loc["screen", "basis"]


@pytest.mark.parametrize("name", ["perakis2021", "cellclr", "simulated"])
def test_configurations(repository, name):
    config = load_yaml(Reproduction, repository / "configs" / f"{name}.yaml")
    if name == "perakis2021":
        assert (config.training.encoder, config.training.temperature) == ("resnet50", 0.1)
        assert config.training.views.vertical_flip_p == config.training.views.quarter_turn_p == 0


def test_a_wrong_configuration_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("trainin: {}\n")
    assert main(["reproduce", "--config", str(tmp_path / "config.yaml")]) == 1
    assert "unknown entry 'trainin'" in capsys.readouterr().err
