"""Artefacts are made once, loaded ever after, and never stale."""

from dataclasses import replace

import numpy as np
import pytest

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache

SOURCE = SimulationConfig.smoke(weeks=(1,), replicates=2)
TRAINING = TrainConfig(epochs=1, batch_size=32, input_px=32)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """A cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("CELLCLR_CACHE", str(folder))
        yield folder


def test_crops_are_made_once(own_cache):
    first = cache.crops(source=SOURCE)
    made = (first.path / "store.json").stat().st_mtime_ns
    again = cache.crops(source=SOURCE)
    assert again.path == first.path and (again.path / "store.json").stat().st_mtime_ns == made
    assert own_cache in first.path.parents and cache.size() > first.images.nbytes


def test_another_setting_is_another_artefact(own_cache):
    default = cache.crops(source=SOURCE)
    small = cache.crops(CropConfig(crop_px=48), SOURCE)
    assert small.path != default.path and small.images.shape[-1] == 48


@pytest.mark.parametrize("stage", ["simulation", "cropping"])
def test_another_version_of_a_stage_is_another_result(own_cache, monkeypatch, stage):
    names = {
        "simulation": "cellclr_lib.data.simulation.VERSION",
        "cropping": "cellclr_lib.data.screen_cropping.VERSION",
    }
    before = cache.crops(source=SOURCE).path
    monkeypatch.setattr(names[stage], 2)
    assert cache.crops(source=SOURCE).path != before


def test_other_positions_are_another_artefact(own_cache, monkeypatch, tmp_path):
    tables = tmp_path / "objects.txt", tmp_path / "images.txt"
    cropping = CropConfig(object_table=tables[0], image_table=tables[1])
    monkeypatch.setattr(cache, "crop_screen", lambda screen, cropping, folder: None)
    monkeypatch.setattr(cache.CellStore, "open", lambda folder: folder)
    folders = set()
    for content in ("1", "2"):
        for table in tables:
            table.write_text(content)
        folders.add(cache.crops(cropping, SOURCE))
    assert len(folders) == 2


def test_a_screen_may_be_a_folder(own_cache):
    folder = cache.screen(SOURCE).root
    assert len(cache.screen(folder).fields) == len(cache.screen(SOURCE).fields)
    np.testing.assert_array_equal(cache.crops(source=folder).images, cache.crops(source=SOURCE).images)


def test_a_training_is_run_once_and_watched(own_cache):
    first = cache.checkpoint(TRAINING, source=SOURCE)
    assert {"loss", "top1", "retrieval", "week_accuracy"} <= set(first.history)
    made = first.checkpoint.stat().st_mtime_ns
    again = cache.checkpoint(TRAINING, source=SOURCE)
    assert again.checkpoint == first.checkpoint and again.checkpoint.stat().st_mtime_ns == made
    other = cache.checkpoint(replace(TRAINING, temperature=0.9), source=SOURCE)
    assert other.checkpoint != first.checkpoint


@pytest.mark.parametrize("method", cache.METHODS)
def test_features_have_a_row_per_cell(own_cache, method):
    meta, feats = cache.features(method, TRAINING, source=SOURCE)
    assert len(meta) == len(feats) == len(cache.crops(source=SOURCE))
    assert feats.dtype == np.float32 and np.isfinite(feats).all()
    np.testing.assert_array_equal(cache.features(method, TRAINING, source=SOURCE)[1], feats)


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="pixel_pca"):
        cache.features("magic")
