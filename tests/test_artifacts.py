"""Artefacts are made once, loaded ever after, and never stale."""

from dataclasses import replace

import numpy as np
import pytest

from cellclr_lib import artifacts
from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig

SOURCE = SimulationConfig.smoke(weeks=(1,), replicates=2)
TRAINING = TrainConfig(epochs=1, batch_size=32, input_px=32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("CELLCLR_CACHE", str(folder))
        yield folder


def test_crops_are_made_once(cache):
    first = artifacts.crops(source=SOURCE)
    made = (first.path / "store.json").stat().st_mtime_ns
    again = artifacts.crops(source=SOURCE)
    assert again.path == first.path and (again.path / "store.json").stat().st_mtime_ns == made
    assert cache in first.path.parents and artifacts.size() > first.images.nbytes


def test_another_setting_is_another_artefact(cache):
    default = artifacts.crops(source=SOURCE)
    small = artifacts.crops(CropConfig(crop_px=48), SOURCE)
    assert small.path != default.path and small.images.shape[-1] == 48


def test_other_code_is_another_artefact(cache, monkeypatch, tmp_path):
    before = artifacts.crops(source=SOURCE).path
    changed = tmp_path / "cropping.py"
    changed.write_text("A = 1\n")
    monkeypatch.setattr(artifacts, "CROP_CODE", [*artifacts.CROP_CODE, changed])
    assert artifacts.crops(source=SOURCE).path != before


def test_other_positions_are_another_artefact(cache, monkeypatch, tmp_path):
    tables = tmp_path / "objects.txt", tmp_path / "images.txt"
    cropping = CropConfig(object_table=tables[0], image_table=tables[1])
    monkeypatch.setattr(artifacts, "crop_screen", lambda screen, folder, cropping: None)
    monkeypatch.setattr(artifacts.CellStore, "open", lambda folder: folder)
    folders = set()
    for content in ("1", "2"):
        for table in tables:
            table.write_text(content)
        folders.add(artifacts.crops(cropping, SOURCE))
    assert len(folders) == 2


def test_a_screen_may_be_a_folder(cache):
    folder = artifacts.screen(SOURCE).root
    assert len(artifacts.screen(folder).fields) == len(artifacts.screen(SOURCE).fields)
    np.testing.assert_array_equal(artifacts.crops(source=folder).images, artifacts.crops(source=SOURCE).images)


def test_a_training_is_run_once_and_watched(cache):
    first = artifacts.checkpoint(TRAINING, source=SOURCE)
    assert {"loss", "top1", "retrieval", "week_from_dmso"} <= set(first.history)
    made = first.checkpoint.stat().st_mtime_ns
    again = artifacts.checkpoint(TRAINING, source=SOURCE)
    assert again.checkpoint == first.checkpoint and again.checkpoint.stat().st_mtime_ns == made
    other = artifacts.checkpoint(replace(TRAINING, temperature=0.9), source=SOURCE)
    assert other.checkpoint != first.checkpoint


@pytest.mark.parametrize("method", artifacts.METHODS)
def test_features_have_a_row_per_cell(cache, method):
    meta, feats = artifacts.features(method, TRAINING, source=SOURCE)
    assert len(meta) == len(feats) == len(artifacts.crops(source=SOURCE))
    assert feats.dtype == np.float32 and np.isfinite(feats).all()
    np.testing.assert_array_equal(artifacts.features(method, TRAINING, source=SOURCE)[1], feats)


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="pixel_pca"):
        artifacts.features("magic")
